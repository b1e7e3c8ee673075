package intel

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/evidence"
)

// Remote says which indicators of an alert are known to be malicious, as Source does, for tables
// that are too large for the memory of a process. In memory are only the rows that are met in other
// ways than by their value: networks, paths, user agents. The others are asked for once per batch:
// of the cache first, of the database what the cache does not know. A failure of the cache costs
// queries and nothing else.
type Remote struct {
	store *Store
	live  *Live
	hot   hot
	clock clock.Clock
}

// NewRemote returns a Remote over s, which it asks for the secret of its database, and live, which
// is a NewResident.
func NewRemote(ctx context.Context, s *Store, live *Live, c Hot, clk clock.Clock) (*Remote, error) {
	secret, err := s.secret(ctx)
	if err != nil {
		return nil, err
	}
	return &Remote{store: s, live: live, hot: hot{c, secret}, clock: clk}, nil
}

var _ evidence.Source = (*Remote)(nil)

// Name implements evidence.Source.
func (*Remote) Name() string { return "indicators" }

// Gather implements evidence.Source. A batch is answered as of one number of imports.
func (r *Remote) Gather(ctx context.Context, subjects []evidence.Subject) ([]evidence.Finding, error) {
	return answerAll(ctx, r.live, subjects, func(held *Index) (lookup, error) {
		asked := map[string]map[ref]struct{}{}
		for i := range subjects {
			s := &subjects[i]
			if s.Alert == nil || s.Entities == nil || !held.Imported(s.Alert.TenantID) {
				continue
			}
			for j := range s.Entities.Indicators {
				if ind := &s.Entities.Indicators[j]; ind.Benign == "" {
					held.ask(asked, s.Alert.TenantID, ind.Type, ind.Value)
				}
			}
		}
		return r.fetch(ctx, held, asked)
	})
}

// Lookup finds the best indicator for one value, as Index.Lookup does.
func (r *Remote) Lookup(ctx context.Context, tenant string, t alert.IndicatorType, value string, at time.Time) (Hit, bool, error) {
	held, blind := r.live.Index()
	if held == nil {
		return Hit{}, false, errors.New(blind)
	}
	asked := map[string]map[ref]struct{}{}
	held.ask(asked, tenant, t, value)
	find, err := r.fetch(ctx, held, asked)
	if err != nil {
		return Hit{}, false, err
	}
	h, ok := find(tenant, t, value, at)
	return h, ok, nil
}

// ask adds to asked, by owner, what could be found about a value; owners without an import have
// nothing.
func (x *Index) ask(asked map[string]map[ref]struct{}, tenant string, t alert.IndicatorType, value string) {
	refs := appendRefs(nil, t, value)
	for _, owner := range [...]string{tenant, SharedTenant} {
		if tb := x.tenants[owner]; tb == nil || !tb.imported {
			continue
		}
		if asked[owner] == nil {
			asked[owner] = map[ref]struct{}{}
		}
		for _, r := range refs {
			asked[owner][r] = struct{}{}
		}
	}
}

// askAtOnce is how many names one request to the cache has.
const askAtOnce = 1000

// fetch makes an index of the rows that were asked for and returns the look-up over it and what is
// held in memory.
func (r *Remote) fetch(ctx context.Context, held *Index, asked map[string]map[ref]struct{}) (lookup, error) {
	b, now := NewBuilder(0), r.clock.Now()
	for owner, set := range asked {
		for refs := range slices.Chunk(slices.Collect(maps.Keys(set)), askAtOnce) {
			missing := r.hot.get(ctx, owner, held.imports, refs, func(i *Indicator) { b.Add(owner, i) })
			if len(missing) == 0 {
				continue
			}
			rows, err := r.read(ctx, owner, missing, now)
			if err != nil {
				return nil, err
			}
			for _, i := range rows {
				b.Add(owner, i)
			}
			r.hot.keep(ctx, owner, held.imports, missing, rows, now)
		}
	}
	fetched := b.Build()
	return func(tenant string, t alert.IndicatorType, value string, at time.Time) (Hit, bool) {
		return best(tenant, func(owner string) (Hit, bool) {
			f, ok := fetched.find(fetched.tenants[owner], t, value, at)
			h, okHeld := held.find(held.tenants[owner], t, value, at)
			if !ok || okHeld && h.Match < f.Match {
				return h, okHeld
			}
			return f, ok
		})
	}, nil
}

// How long a database that is away is waited for between two tries. Without it the batch could not
// be committed either, and with it the verdict need not be blind.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
)

func (r *Remote) read(ctx context.Context, owner string, refs []ref, now time.Time) (map[ref]*Indicator, error) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		rows, err := r.store.rows(ctx, owner, refs, now)
		if !errors.Is(err, store.ErrUnavailable) {
			return rows, err
		}
		t := r.clock.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		case <-t.C:
		}
	}
}

// inSize is how many values one IN list takes; shorter lists repeat their last value, so that one
// statement text exists.
const inSize = 50

var selectRows = func() string {
	var b strings.Builder
	b.WriteString(`SELECT ` + indicatorColumns + ` FROM threat_intel_iocs WHERE tenant_id = $1 AND indicator_type = $2 AND indicator_value IN (`)
	for i := range inSize {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "$%d", i+3)
	}
	b.WriteByte(')')
	return b.String()
}()

// rows returns those rows of one owner that have not expired at now.
func (s *Store) rows(ctx context.Context, owner string, refs []ref, now time.Time) (out map[ref]*Indicator, err error) {
	byKind := map[alert.IndicatorType][]string{}
	for _, r := range refs {
		byKind[r.kind] = append(byKind[r.kind], r.value)
	}
	err = s.db.View(store.ForTenant(ctx, owner), func(tx store.Tx) error {
		out = map[ref]*Indicator{}
		scan := scanner{lists: map[string][]string{}}
		for kind, values := range byKind {
			for some := range slices.Chunk(values, inSize) {
				args := []any{owner, string(kind)}
				for i := range inSize {
					args = append(args, some[min(i, len(some)-1)])
				}
				rows, err := tx.Query(selectRows, args...)
				if err != nil {
					return fmt.Errorf("look up indicators: %w", err)
				}
				err = eachRow(rows, func() error {
					i, err := scan.indicator(rows)
					if err == nil && i.Expiry.After(now) {
						out[ref{i.Type, i.Value}] = &i
					}
					return err
				})
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
	return out, err
}

// secret returns the secret with which what leaves the database is sealed; the first call makes it.
func (s *Store) secret(ctx context.Context) (secret []byte, err error) {
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails
	err = s.db.Update(ctx, func(tx store.Tx) error {
		if _, err := tx.Exec(`INSERT INTO cache_secret (one, secret) VALUES (1, $1) ON CONFLICT (one) DO NOTHING`, fresh); err != nil {
			return err
		}
		return tx.QueryRow(`SELECT secret FROM cache_secret`).Scan(&secret)
	})
	if err != nil {
		return nil, fmt.Errorf("secret of the cache: %w", err)
	}
	return secret, nil
}
