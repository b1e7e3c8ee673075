package fp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/id"
)

// Emitter numbers audit events of one tenant inside the transaction of their cause and returns
// the messages that carry them to the audit-service.
type Emitter interface {
	Emit(tx store.Tx, tenant string, events []audit.Event) ([]store.Message, error)
}

// Config is what a Store is made of. DB, Outbox and Audit are required.
type Config struct {
	DB     store.DB
	Outbox *store.Outbox
	Audit  Emitter
	Clock  clock.Clock
	IDs    *id.Source
	// Gate is refreshed after each change, before the call returns; nil for none.
	Gate *Gate
	// Hot, if set, carries the news of a change to the Watch of other processes.
	Hot Hot
	// SystemTenant is whose audit trail records switches that belong to no tenant of their own;
	// empty means "default".
	SystemTenant string
}

// Store keeps patterns, closures and kill switches. Each change commits with its audit events.
// It is safe for concurrent use. Errors of the engine wrap store.ErrUnavailable.
type Store struct{ cfg Config }

// NewStore checks the configuration. The database has the tables of migration 0005.
func NewStore(cfg Config) (*Store, error) {
	if cfg.DB == nil || cfg.Outbox == nil || cfg.Audit == nil {
		return nil, errors.New("fp: database, outbox and audit are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.IDs == nil {
		cfg.IDs = id.NewSource(nil)
	}
	if cfg.SystemTenant == "" {
		cfg.SystemTenant = "default"
	}
	return &Store{cfg: cfg}, nil
}

const columns = `pattern_id, scope_tenant_id, pattern_name, definition, status, proposer, approved_by_1, approval_reason_1,
	approved_by_2, approval_reason_2, created_at, approval_date, expiry_date, reaffirmed_by, reaffirmed_date,
	ended_by, ended_reason, ended_date, occurrences, last_occurrence, shadow_decisions, shadow_disagreements, version`

const updatePattern = `UPDATE fp_patterns SET status = $1, approved_by_1 = $2, approval_reason_1 = $3, approved_by_2 = $4,
	approval_reason_2 = $5, approval_date = $6, expiry_date = $7, reaffirmed_by = $8, reaffirmed_date = $9,
	ended_by = $10, ended_reason = $11, ended_date = $12, version = version + 1 WHERE pattern_id = $13 AND version = $14`

func scanPattern(row store.Row) (*Pattern, error) {
	var (
		p                                                   Pattern
		name, tenant, definition                            string
		created                                             int64
		approved, expiry, reaffirmed, ended, lastOccurrence *int64
	)
	err := row.Scan(&p.ID, &tenant, &name, &definition, &p.Status, &p.Proposer, &p.ApprovedBy1, &p.ApprovalReason1,
		&p.ApprovedBy2, &p.ApprovalReason2, &created, &approved, &expiry, &p.ReaffirmedBy, &reaffirmed,
		&p.EndedBy, &p.EndedReason, &ended, &p.Occurrences, &lastOccurrence, &p.ShadowDecisions, &p.ShadowDisagreements, &p.Version)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(definition), &p.Definition, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, p.ID, err)
	}
	if p.Tenant != tenant || p.Name != name {
		return nil, fmt.Errorf("%w: %s: definition and columns differ", ErrDamaged, p.ID)
	}
	p.CreatedAt = time.UnixMicro(created).UTC()
	for _, f := range []struct {
		to   *time.Time
		from *int64
	}{{&p.ApprovedAt, approved}, {&p.Expiry, expiry}, {&p.ReaffirmedAt, reaffirmed}, {&p.EndedAt, ended}, {&p.LastOccurrence, lastOccurrence}} {
		if f.from != nil {
			*f.to = time.UnixMicro(*f.from).UTC()
		}
	}
	return &p, nil
}

func stamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func load(tx store.Tx, tenant, pattern string) (*Pattern, error) {
	p, err := scanPattern(tx.QueryRow(`SELECT `+columns+` FROM fp_patterns WHERE pattern_id = $1 AND scope_tenant_id = $2`, pattern, tenant))
	if errors.Is(err, store.ErrNoRows) {
		return nil, fmt.Errorf("%w: pattern %q", ErrNotFound, pattern)
	}
	if err != nil {
		return nil, fmt.Errorf("load pattern %s: %w", pattern, err)
	}
	return p, nil
}

// save writes the standing of p back; its version must still be the one that was loaded.
func save(tx store.Tx, p *Pattern) error {
	n, err := tx.Exec(updatePattern, string(p.Status), p.ApprovedBy1, p.ApprovalReason1, p.ApprovedBy2, p.ApprovalReason2,
		stamp(p.ApprovedAt), stamp(p.Expiry), p.ReaffirmedBy, stamp(p.ReaffirmedAt), p.EndedBy, p.EndedReason, stamp(p.EndedAt), p.ID, p.Version)
	if err != nil {
		return fmt.Errorf("save pattern %s: %w", p.ID, err)
	}
	if n != 1 {
		return fmt.Errorf("%w: pattern %s is no longer at version %d", ErrConflict, p.ID, p.Version)
	}
	p.Version++
	return nil
}

func insert(tx store.Tx, p *Pattern) error {
	definition, err := json.Marshal(&p.Definition, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	_, err = tx.Exec(`INSERT INTO fp_patterns (pattern_id, scope_tenant_id, pattern_name, definition, status, proposer, created_at, version)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, p.ID, p.Tenant, p.Name, string(definition), string(p.Status), p.Proposer, p.CreatedAt.UnixMicro(), p.Version)
	if err != nil {
		return fmt.Errorf("store pattern %s: %w", p.ID, err)
	}
	return nil
}

// touch moves the revision, so that every reader learns that what it holds is old.
func touch(tx store.Tx) error {
	if _, err := tx.Exec(`UPDATE counter SET value = value + 1 WHERE name = 'fp'`); err != nil {
		return fmt.Errorf("move the revision of patterns: %w", err)
	}
	return nil
}

func revision(tx store.Tx) (n int64, err error) {
	if err := tx.QueryRow(`SELECT value FROM counter WHERE name = 'fp'`).Scan(&n); err != nil {
		return 0, fmt.Errorf("read the revision of patterns: %w", err)
	}
	return n, nil
}

// emit sends the audit events of a change with its transaction.
func (s *Store) emit(tx store.Tx, tenant string, events []audit.Event) error {
	if len(events) == 0 {
		return s.cfg.Outbox.Append(tx)
	}
	msgs, err := s.cfg.Audit.Emit(tx, tenant, events)
	if err != nil {
		return fmt.Errorf("emit audit events: %w", err)
	}
	return s.cfg.Outbox.Append(tx, msgs...)
}

func queryAll[T any](tx store.Tx, scan func(store.Rows) (T, error), query string, args ...any) (out []T, err error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

func scanRows(rows store.Rows) (*Pattern, error) { return scanPattern(rows) }

// Get returns one pattern of the tenant.
func (s *Store) Get(ctx context.Context, tenant, pattern string) (p *Pattern, err error) {
	err = s.cfg.DB.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		p, err = load(tx, tenant, pattern)
		return err
	})
	return p, err
}

// List returns the patterns of the tenant in order of proposal; an empty status means all.
func (s *Store) List(ctx context.Context, tenant string, status Status) (out []*Pattern, err error) {
	err = s.cfg.DB.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		out, err = queryAll(tx, scanRows, `SELECT `+columns+` FROM fp_patterns WHERE scope_tenant_id = $1 AND ($2 = '' OR status = $2) ORDER BY seq`, tenant, string(status))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list patterns: %w", err)
	}
	return out, nil
}

// Refresh brings matcher and switches up to what is stored. Patterns are only read when they
// changed. When it fails the old sets stay, and the switches grow too old to allow anything.
// Patterns that cannot be read back are left out and named in an error that wraps ErrDamaged.
func (s *Store) Refresh(ctx context.Context, m *Matcher, w *Switches) error {
	var (
		rev      int64
		switches []Switch
		patterns []*Pattern
		damaged  []error
		changed  bool
	)
	now := s.cfg.Clock.Now() // before reading: the snapshot is at least as new
	err := s.cfg.DB.View(ctx, func(tx store.Tx) (err error) {
		patterns, damaged = nil, nil
		if rev, err = revision(tx); err != nil {
			return err
		}
		if switches, err = queryAll(tx, scanSwitch, selectSwitches); err != nil {
			return fmt.Errorf("read kill switches: %w", err)
		}
		if changed = m.Revision() != rev; !changed {
			return nil
		}
		_, err = queryAll(tx, func(rows store.Rows) (struct{}, error) {
			p, err := scanPattern(rows)
			switch {
			case errors.Is(err, ErrDamaged):
				damaged = append(damaged, err)
				err = nil
			case err == nil:
				patterns = append(patterns, p)
			}
			return struct{}{}, err
		}, `SELECT `+columns+` FROM fp_patterns WHERE status IN ('active', 'shadow') ORDER BY seq`)
		return err
	})
	if err != nil {
		return fmt.Errorf("refresh patterns and kill switches: %w", err)
	}
	w.Replace(switches, rev, now)
	if changed {
		damaged = append(damaged, m.Replace(patterns, rev))
	}
	return errors.Join(damaged...)
}

// show makes a committed change visible in this process at once, and soon in others. That it
// failed is no error of the change, which is durable: Current refuses what an old snapshot decides.
func (s *Store) show(ctx context.Context) {
	s.ring(ctx)
	if g := s.cfg.Gate; g != nil {
		_ = s.Refresh(ctx, g.Patterns, g.Switches)
	}
}

// Current returns ErrStale when patterns or switches were changed after the gate's snapshots
// were read. Called in the transaction that closes by pattern, it makes sure that nothing is
// closed by a pattern that was revoked, or under a switch that was set, before the commit.
func (s *Store) Current(tx store.Tx, g *Gate) error {
	rev, err := revision(tx)
	if err != nil {
		return err
	}
	if g.Patterns.Revision() != rev || g.Switches.Revision() != rev {
		return ErrStale
	}
	return nil
}
