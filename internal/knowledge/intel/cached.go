package intel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/cache"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/id"
)

// Hot is what Cached needs of a cache.
type Hot interface {
	GetMany(ctx context.Context, s cache.Space, names []string) ([][]byte, error)
	Set(ctx context.Context, s cache.Space, entries ...cache.Entry) error
	CompareAndSet(ctx context.Context, s cache.Space, old []byte, e cache.Entry) (bool, error)
}

// How long an answer is kept. The lifetimes of REFERENCE 6.6 are those of the indicators, which
// the database keeps as their expiry; an answer never outlives it. Beyond that the surest are
// looked up least often, and that there is no indicator is believed for the shortest time.
const (
	keepHigh   = 24 * time.Hour // confidence above 80
	keepMedium = 6 * time.Hour  // from 50
	keepLow    = time.Hour
	keepNone   = 5 * time.Minute
	// keepGeneration outlives every answer.
	keepGeneration = 2 * keepHigh
)

// Cached answers Lookup of a Store through a cache. Every failure of the cache costs a query of the
// database and nothing else.
//
// Answers belong to the generation of their owner, a random name that an import changes: what was
// read before the import is not believed after it, whoever stores it when. Where the new generation
// could not be written, this process asks the database until it could; another process may believe
// an old answer for as long as it is kept.
type Cached struct {
	store *Store
	hot   Hot
	ids   *id.Source

	mu    sync.Mutex
	stale map[string]int // owners whose new generation is not in the cache, and how often that was asked
}

// NewCached returns a Cached over s and hot; ids names generations, nil is a source of its own.
func NewCached(s *Store, hot Hot, ids *id.Source) *Cached {
	if ids == nil {
		ids = id.NewSource(nil)
	}
	return &Cached{store: s, hot: hot, ids: ids, stale: map[string]int{}}
}

// answer is what the cache holds: an indicator, or that there is none.
type answer struct {
	Generation string     `json:"g"`
	Indicator  *Indicator `json:"i,omitempty"`
}

// about reports whether an answer is to this question. What else the cache says is brought into the
// limits of the table: it is not ours alone.
func (a *answer) about(t alert.IndicatorType, value string) bool {
	if a.Indicator == nil {
		return true
	}
	a.Indicator.bound()
	return a.Indicator.Type == t && a.Indicator.Value == value
}

const generationName = "generation"

func iocSpace(owner string) cache.Space { return cache.Space{Tenant: owner, Name: "ioc"} }

func iocName(t alert.IndicatorType, value string) string { return string(t) + ":" + value }

// Lookup is Store.Lookup.
func (c *Cached) Lookup(ctx context.Context, tenant string, t alert.IndicatorType, value string, now time.Time) (Indicator, error) {
	if tenant == "" {
		return Indicator{}, ErrTenant
	}
	t, value, err := ParseAs(t, value)
	if err != nil {
		return Indicator{}, err
	}
	owners := []string{tenant, SharedTenant}
	if tenant == SharedTenant {
		owners = owners[:1]
	}
	var best *Indicator
	for _, owner := range owners {
		found, err := c.of(ctx, owner, t, value, now)
		if err != nil {
			return Indicator{}, err
		}
		if found != nil && found.Expiry.After(now) && (best == nil || found.Confidence > best.Confidence) {
			best = found
		}
	}
	if best == nil {
		return Indicator{}, ErrNotFound
	}
	return *best, nil
}

// of returns the indicator of one owner, nil for none.
func (c *Cached) of(ctx context.Context, owner string, t alert.IndicatorType, value string, now time.Time) (*Indicator, error) {
	name := iocName(t, value)
	if len(name) > cache.MaxName || !c.current(ctx, owner) {
		return c.store.of(ctx, owner, t, value)
	}
	generation, kept := c.read(ctx, owner, name)
	if kept != nil && kept.about(t, value) {
		return kept.Indicator, nil
	}
	// The generation was read before the row: an import in between makes the answer an old one.
	found, err := c.store.of(ctx, owner, t, value)
	if err == nil && generation != "" {
		c.keep(ctx, owner, name, &answer{generation, found}, now)
	}
	return found, err
}

// read returns the generation in force, empty when there can be none, and the answer if one is kept.
func (c *Cached) read(ctx context.Context, owner, name string) (generation string, kept *answer) {
	values, err := c.hot.GetMany(ctx, iocSpace(owner), []string{generationName, name})
	if err != nil || len(values) != 2 {
		return "", nil
	}
	if values[0] == nil {
		return c.found(ctx, owner), nil
	}
	generation = string(values[0])
	var a answer
	if values[1] == nil || json.Unmarshal(values[1], &a) != nil || a.Generation != generation {
		return generation, nil
	}
	return generation, &a
}

// found begins a generation where there is none. When somebody else is first, the answer at hand is
// not kept.
func (c *Cached) found(ctx context.Context, owner string) string {
	next, err := c.ids.New()
	if err != nil {
		return ""
	}
	first, err := c.hot.CompareAndSet(ctx, iocSpace(owner), nil, cache.Entry{Name: generationName, Value: []byte(next), Life: keepGeneration})
	if err != nil || !first {
		return ""
	}
	return next
}

func (c *Cached) keep(ctx context.Context, owner, name string, a *answer, now time.Time) {
	life := keepNone
	if i := a.Indicator; i != nil {
		if life = min(keepFor(i.Confidence), i.Expiry.Sub(now)); cache.CheckLife(life) != nil {
			return
		}
	}
	if b, err := json.Marshal(a); err == nil {
		_ = c.hot.Set(ctx, iocSpace(owner), cache.Entry{Name: name, Value: b, Life: life}) // costs a query, no more
	}
}

func keepFor(confidence int) time.Duration {
	switch {
	case confidence > 80:
		return keepHigh
	case confidence >= 50:
		return keepMedium
	default:
		return keepLow
	}
}

// Import is Store.Import, after which what was kept for the owner is not believed any more.
func (c *Cached) Import(ctx context.Context, owner string, r io.Reader, o Options) (Report, error) {
	rep, err := c.store.Import(ctx, owner, r, o)
	if owner != "" {
		c.Forget(ctx, owner) // rows in front of an error are kept as well
	}
	return rep, err
}

// Upsert is Store.Upsert, after which what was kept for the owner is not believed any more.
func (c *Cached) Upsert(ctx context.Context, owner string, now time.Time, rows []Indicator) error {
	err := c.store.Upsert(ctx, owner, now, rows)
	if owner != "" {
		c.Forget(ctx, owner) // an error does not say that nothing was committed
	}
	return err
}

// Forget begins a new generation of an owner: a tenant, or SharedTenant. It is for callers that
// write to the table by another way, after they have. When the cache cannot be reached it is tried
// again at each look-up, which goes to the database until then.
func (c *Cached) Forget(ctx context.Context, owner string) {
	c.mu.Lock()
	c.stale[owner]++
	c.mu.Unlock()
	c.current(context.WithoutCancel(ctx), owner)
}

// current reports whether the cache may be asked about an owner, and makes it so if it can.
func (c *Cached) current(ctx context.Context, owner string) bool {
	c.mu.Lock()
	asked := c.stale[owner]
	c.mu.Unlock()
	if asked == 0 {
		return true
	}
	next, err := c.ids.New()
	if err != nil {
		return false
	}
	if err := c.hot.Set(ctx, iocSpace(owner), cache.Entry{Name: generationName, Value: []byte(next), Life: keepGeneration}); err != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stale[owner] == asked {
		delete(c.stale, owner)
	}
	return true
}

// of returns the indicator of exactly that canonical value and owner, expired or not; nil for none.
func (s *Store) of(ctx context.Context, owner string, t alert.IndicatorType, value string) (found *Indicator, err error) {
	err = s.db.View(ctx, func(tx store.Tx) error {
		found = nil
		i, err := selectOne(tx, owner, t, value)
		if errors.Is(err, store.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look up indicator: %w", err)
		}
		found = &i
		return nil
	})
	return found, err
}
