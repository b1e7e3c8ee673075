// Package priorstore keeps what people concluded and the priors that were learned from it.
package priorstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/reason/prior"
)

// ErrNotFound says that no snapshot has that version.
var ErrNotFound = errors.New("priorstore: no such version")

// Store keeps judgements and snapshots in the state database (migration 0008). It is safe for
// concurrent use. Errors of the engine wrap store.ErrUnavailable.
type Store struct{ db store.DB }

// New returns the store of a state database.
func New(db store.DB) *Store { return &Store{db: db} }

const insertJudgement = `INSERT INTO judgement (tenant, source, analytic, severity, actor, malicious, judged_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`

// Record adds a judgement in the transaction of the verdict. One without an analytic teaches
// nothing and is left out; one that lacks anything else fails with prior.ErrInvalid before
// anything is written.
func (*Store) Record(tx store.Tx, j prior.Judgement) error {
	if strings.TrimSpace(j.Analytic) == "" {
		return nil
	}
	if err := j.Check(); err != nil {
		return err
	}
	malicious := int64(0)
	if j.Malicious {
		malicious = 1
	}
	if _, err := tx.Exec(insertJudgement, j.Tenant, j.Source, j.Analytic, int64(j.Severity), j.Actor, malicious, j.At.UnixMicro()); err != nil {
		return fmt.Errorf("record the judgement of %s on %s: %w", j.Actor, j.Analytic, err)
	}
	return nil
}

const (
	selectJudgements    = `SELECT tenant, source, analytic, severity, actor, malicious, judged_at FROM judgement WHERE judged_at >= $1 ORDER BY seq`
	selectLatest        = `SELECT version, body FROM prior_snapshot ORDER BY seq DESC LIMIT 1`
	selectLatestVersion = `SELECT version FROM prior_snapshot ORDER BY seq DESC LIMIT 1`
	selectVersion       = `SELECT version, body FROM prior_snapshot WHERE version = $1 ORDER BY seq DESC LIMIT 1`
	insertSnapshot      = `INSERT INTO prior_snapshot (version, fitted_at, body) VALUES ($1, $2, $3)`
)

// Refit learns from every judgement as of now, stores the snapshot when it says something new,
// and returns it. stored, if not nil, is called in the transaction that stores one, with the
// version that was current before. It is for a schedule or a command, never for an alert.
func (s *Store) Refit(ctx context.Context, now time.Time, stored func(tx store.Tx, before string, next *prior.Snapshot) error) (*prior.Snapshot, error) {
	var list []prior.Judgement
	err := s.db.View(ctx, func(tx store.Tx) (err error) {
		list, err = judgements(tx, now.Add(-prior.Horizon))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read judgements: %w", err)
	}
	snapshot := prior.Fit(list, now)
	body, err := snapshot.Encode()
	if err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(tx store.Tx) error {
		before, err := latest(tx)
		if err != nil || before == snapshot.Version() {
			return err
		}
		if _, err := tx.Exec(insertSnapshot, snapshot.Version(), now.UnixMicro(), body); err != nil || stored == nil {
			return err
		}
		return stored(tx, before, snapshot)
	})
	if err != nil {
		return nil, fmt.Errorf("store priors %s: %w", snapshot.Version(), err)
	}
	return snapshot, nil
}

// Latest is the version of the current snapshot: whoever holds one sees by it that another process
// fitted.
func (s *Store) Latest(ctx context.Context) (version string, err error) {
	err = s.db.View(ctx, func(tx store.Tx) error {
		version, err = latest(tx)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("newest priors: %w", err)
	}
	return version, nil
}

func latest(tx store.Tx) (version string, err error) {
	err = tx.QueryRow(selectLatestVersion).Scan(&version)
	if errors.Is(err, store.ErrNoRows) {
		return (*prior.Snapshot)(nil).Version(), nil
	}
	return version, err
}

func judgements(tx store.Tx, since time.Time) (out []prior.Judgement, err error) {
	rows, err := tx.Query(selectJudgements, since.UnixMicro())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var j prior.Judgement
		var severity, malicious, at int64
		if err := rows.Scan(&j.Tenant, &j.Source, &j.Analytic, &severity, &j.Actor, &malicious, &at); err != nil {
			return nil, err
		}
		j.Severity, j.Malicious, j.At = alert.Severity(severity), malicious != 0, time.UnixMicro(at).UTC()
		out = append(out, j)
	}
	return out, rows.Err()
}

// Load returns the current snapshot; one that has learned nothing when none was ever fitted.
// A snapshot that cannot be read back fails with prior.ErrDamaged: fit again.
func (s *Store) Load(ctx context.Context) (*prior.Snapshot, error) {
	snapshot, err := s.read(ctx, selectLatest)
	if errors.Is(err, store.ErrNoRows) {
		return prior.Fit(nil, time.Time{}), nil
	}
	if err != nil {
		return nil, fmt.Errorf("load priors: %w", err)
	}
	return snapshot, nil
}

// Version returns the snapshot that a verdict names; ErrNotFound when there is none.
func (s *Store) Version(ctx context.Context, version string) (*prior.Snapshot, error) {
	snapshot, err := s.read(ctx, selectVersion, version)
	if errors.Is(err, store.ErrNoRows) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, version)
	}
	if err != nil {
		return nil, fmt.Errorf("load priors %s: %w", version, err)
	}
	return snapshot, nil
}

func (s *Store) read(ctx context.Context, query string, args ...any) (*prior.Snapshot, error) {
	var version string
	var body []byte
	err := s.db.View(ctx, func(tx store.Tx) error { return tx.QueryRow(query, args...).Scan(&version, &body) })
	if err != nil {
		return nil, err
	}
	snapshot, err := prior.Decode(body)
	if err == nil && snapshot.Version() != version {
		return nil, fmt.Errorf("%w: %s is stored as %s", prior.ErrDamaged, snapshot.Version(), version)
	}
	return snapshot, err
}
