package intel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/store"
)

var (
	// ErrNotFound says that no live indicator has a value.
	ErrNotFound = errors.New("intel: no such indicator")
	// ErrTenant says that a call names no tenant.
	ErrTenant = errors.New("intel: a tenant is needed, or SharedTenant")
)

// batchRows is how many rows an import commits at once: enough to share the cost of a commit,
// few enough not to keep other writers waiting.
const batchRows = 1000

// Store keeps indicators in the table threat_intel_iocs. It is safe for concurrent use.
// Errors of the engine wrap store.ErrUnavailable.
type Store struct{ db store.DB }

// NewStore returns a store in db, which has the migrations of store/schema.
func NewStore(db store.DB) *Store { return &Store{db: db} }

// Import reads a file and keeps its indicators for the tenant, or for all under
// SharedTenant. It commits as it goes: rows in front of an error are kept, and importing the
// file again does no harm. Options.Now must be set; it is the time of the import.
func (s *Store) Import(ctx context.Context, tenant string, r io.Reader, o Options) (Report, error) {
	if tenant == "" {
		return Report{}, ErrTenant
	}
	batch := make([]Indicator, 0, batchRows)
	flush := func() error {
		err := s.Upsert(ctx, tenant, o.Now, batch)
		batch = batch[:0]
		return err
	}
	rep, err := Read(r, o, func(i Indicator) error {
		if batch = append(batch, i); len(batch) < batchRows {
			return nil
		}
		return flush()
	})
	if err == nil || rep.Accepted > 0 {
		err = errors.Join(err, flush())
	}
	if err != nil && rep.Accepted == 0 {
		return rep, err
	}
	feed := o.Feed
	if feed == "" {
		feed = string(rep.Format)
	}
	return rep, errors.Join(err, s.record(ctx, tenant, feed, &rep, o.Now))
}

func (s *Store) record(ctx context.Context, tenant, feed string, rep *Report, now time.Time) error {
	return s.db.Update(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO threat_intel_imports
	(tenant_id, feed, format, accepted, refused, skipped, imported_at) VALUES ($1,$2,$3,$4,$5,$6,$7)`,
			tenant, feed, string(rep.Format), rep.Accepted, rep.Refused, rep.Skipped, now.UnixMicro())
		if err != nil {
			return fmt.Errorf("record import: %w", err)
		}
		return nil
	})
}

// Upsert keeps rows, whose values must be canonical, in one transaction. A value that is
// known keeps the higher confidence and severity, the union of its lists and the wider span
// of time. A row without expiry gets one by its confidence, from now.
func (s *Store) Upsert(ctx context.Context, tenant string, now time.Time, rows []Indicator) error {
	if tenant == "" {
		return ErrTenant
	}
	if len(rows) == 0 {
		return nil
	}
	merged := distinct(rows, now)
	return s.db.Update(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		out := make([]Indicator, len(merged)) // fn may run twice
		for i := range merged {
			out[i] = merged[i]
			old, err := selectOne(tx, tenant, out[i].Type, out[i].Value)
			switch {
			case err == nil:
				out[i].merge(&old)
			case !errors.Is(err, store.ErrNoRows):
				return fmt.Errorf("look up indicator: %w", err)
			}
		}
		return insert(tx, tenant, now, out)
	})
}

// distinct merges rows of one value: one INSERT must not touch a row twice.
func distinct(rows []Indicator, now time.Time) []Indicator {
	type id struct {
		t alert.IndicatorType
		v string
	}
	at := make(map[id]int, len(rows))
	out := make([]Indicator, 0, len(rows))
	for i := range rows {
		r := rows[i]
		r.bound()
		if r.Expiry.IsZero() {
			r.Expiry = now.Add(Lifetime(r.Confidence))
		}
		if n, ok := at[id{r.Type, r.Value}]; ok {
			out[n].merge(&r)
			continue
		}
		at[id{r.Type, r.Value}] = len(out)
		out = append(out, r)
	}
	return out
}

func insert(tx store.Tx, tenant string, now time.Time, rows []Indicator) error {
	const columns = 16
	cells := make([]any, 0, len(rows)*columns)
	for i := range rows {
		r := &rows[i]
		cells = append(cells, tenant, string(r.Type), r.Value, r.Confidence, int64(r.Severity),
			list(r.Campaigns), list(r.Groups), list(r.Techniques), micros(r.FirstSeen), micros(r.LastSeen),
			list(r.Sources), r.Context, r.Expiry.UnixMicro(), list(r.Tags), now.UnixMicro(), now.UnixMicro())
	}
	err := store.BulkInsert(tx, `INSERT INTO threat_intel_iocs (tenant_id, indicator_type, indicator_value, confidence, severity,
	associated_campaigns, associated_groups, mitre_techniques, first_seen, last_seen,
	sources, context, expiry, tags, created_at, updated_at)`,
		columns, len(rows), func(row, col int) any { return cells[row*columns+col] },
		`ON CONFLICT (indicator_type, indicator_value, tenant_id) DO UPDATE SET
	confidence = excluded.confidence, severity = excluded.severity,
	associated_campaigns = excluded.associated_campaigns, associated_groups = excluded.associated_groups,
	mitre_techniques = excluded.mitre_techniques, first_seen = excluded.first_seen, last_seen = excluded.last_seen,
	sources = excluded.sources, context = excluded.context, expiry = excluded.expiry, tags = excluded.tags,
	updated_at = excluded.updated_at`)
	if err != nil {
		return fmt.Errorf("keep indicators: %w", err)
	}
	return nil
}

// Lookup returns the indicator of exactly that value, of the tenant or of all, whichever has
// the higher confidence. The value may be in any form that Parse takes. It fails with
// ErrNotFound, or with a *ValueError when the value can be no indicator.
func (s *Store) Lookup(ctx context.Context, tenant string, t alert.IndicatorType, value string, now time.Time) (Indicator, error) {
	if tenant == "" {
		return Indicator{}, ErrTenant
	}
	t, value, err := ParseAs(t, value)
	if err != nil {
		return Indicator{}, err
	}
	var best Indicator
	found := false
	err = s.db.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		found = false
		for _, owner := range [...]string{tenant, SharedTenant} {
			i, err := selectOne(tx, owner, t, value)
			if errors.Is(err, store.ErrNoRows) {
				continue
			}
			if err != nil {
				return fmt.Errorf("look up indicator: %w", err)
			}
			if i.Expiry.After(now) && (!found || i.Confidence > best.Confidence) {
				best, found = i, true
			}
		}
		return nil
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	return best, err
}

// Expire removes what expired at or before now and returns how many rows that were.
func (s *Store) Expire(ctx context.Context, now time.Time) (n int64, err error) {
	err = s.db.Update(ctx, func(tx store.Tx) error {
		n, err = tx.Exec(`DELETE FROM threat_intel_iocs WHERE expiry <= $1`, now.UnixMicro())
		if err != nil {
			return fmt.Errorf("expire indicators: %w", err)
		}
		return nil
	})
	return n, err
}

// Imported is one import that took place.
type Imported struct {
	Tenant   string    `json:"tenant"`
	Feed     string    `json:"feed"`
	Format   Format    `json:"format"`
	Accepted int       `json:"accepted"`
	Refused  int       `json:"refused"`
	Skipped  int       `json:"skipped"`
	At       time.Time `json:"at"`
}

// Imports returns the last imports for the tenant and for all, newest first, at most limit.
func (s *Store) Imports(ctx context.Context, tenant string, limit int) (out []Imported, err error) {
	err = s.db.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT tenant_id, feed, format, accepted, refused, skipped, imported_at
	FROM threat_intel_imports WHERE tenant_id IN ($1, $2) ORDER BY imported_at DESC, import_id DESC LIMIT $3`,
			tenant, SharedTenant, limit)
		if err != nil {
			return fmt.Errorf("list imports: %w", err)
		}
		return eachRow(rows, func() error {
			var m Imported
			var format string
			var at int64
			if err := rows.Scan(&m.Tenant, &m.Feed, &format, &m.Accepted, &m.Refused, &m.Skipped, &at); err != nil {
				return err
			}
			m.Format, m.At = Format(format), time.UnixMicro(at).UTC()
			out = append(out, m)
			return nil
		})
	})
	return out, err
}

// CountImports is how many imports of any tenant there were: whoever holds an index sees by it that
// another process imported. The newest number would not do: a lower one may commit after it.
func (s *Store) CountImports(ctx context.Context) (n int64, err error) {
	err = s.db.View(ctx, func(tx store.Tx) error {
		n, err = countImports(tx)
		return err
	})
	return n, err
}

func countImports(tx store.Tx) (n int64, err error) {
	if err := tx.QueryRow(`SELECT COUNT(*) FROM threat_intel_imports`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count imports: %w", err)
	}
	return n, nil
}

// Index makes an index of everything that has not expired at now.
func (s *Store) Index(ctx context.Context, now time.Time) (index *Index, err error) {
	return s.index(ctx, now, false)
}

// index makes an index of all rows, or of the resident ones.
func (s *Store) index(ctx context.Context, now time.Time, resident bool) (index *Index, err error) {
	err = s.db.View(ctx, func(tx store.Tx) error {
		var count int
		if err := tx.QueryRow(`SELECT COUNT(*) FROM threat_intel_iocs WHERE expiry > $1`, now.UnixMicro()).Scan(&count); err != nil {
			return fmt.Errorf("count indicators: %w", err)
		}
		imports, err := countImports(tx)
		if err != nil {
			return err
		}
		query, hint := selectAll, count
		if resident {
			query, hint = selectResident, 0
		}
		b := NewBuilder(hint)
		if err := addImports(tx, b); err != nil {
			return err
		}
		if err := addRows(tx, b, query, now); err != nil {
			return err
		}
		index = b.Build()
		index.imports = imports
		if resident {
			index.size = count
		}
		return nil
	})
	return index, err
}

// Refresh puts a new index into use. When that fails the old one stays, and a Live that never
// had one says why.
func (s *Store) Refresh(ctx context.Context, live *Live, now time.Time) error {
	live.refresh.Lock()
	defer live.refresh.Unlock()
	index, err := s.index(ctx, now, live.resident)
	if err != nil {
		live.Fail(err)
		return err
	}
	live.Swap(index)
	return nil
}

func addImports(tx store.Tx, b *Builder) error {
	rows, err := tx.Query(`SELECT DISTINCT tenant_id FROM threat_intel_imports`)
	if err != nil {
		return fmt.Errorf("list imports: %w", err)
	}
	var names []string
	err = eachRow(rows, func() error {
		var tenant string
		err := rows.Scan(&tenant)
		names = append(names, tenant)
		return err
	})
	for _, n := range names {
		b.Imported(n)
	}
	return err
}

const (
	selectAll = `SELECT ` + indicatorColumns + `, tenant_id FROM threat_intel_iocs WHERE expiry > $1`
	// selectResident has what is in memory also where the rest is asked for: few rows, met in other ways
	// than by their value.
	selectResident = selectAll + ` AND (indicator_type IN ('user_agent', 'path') OR indicator_type IN ('ipv4', 'ipv6') AND indicator_value LIKE '%/%')`
)

func addRows(tx store.Tx, b *Builder, query string, now time.Time) error {
	rows, err := tx.Query(query, now.UnixMicro())
	if err != nil {
		return fmt.Errorf("read indicators: %w", err)
	}
	var tenant string
	scan := scanner{lists: map[string][]string{}}
	return eachRow(rows, func() error {
		i, err := scan.indicator(rows, &tenant)
		if err == nil {
			b.Add(tenant, &i)
		}
		return err
	})
}
