// Package memory is the cache in the process, bounded in bytes. It is the embedded engine.
package memory

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/cache"
)

// Config bounds the cache.
type Config struct {
	// Bytes is the most that keys and values take together; 0 means 32 MB. What each entry costs
	// beside is counted as 128 bytes.
	Bytes int64
	Clock clock.Clock // nil is the machine's
}

const (
	defaultBytes = 32 << 20
	overhead     = 128
)

// Cache implements cache.Cache.
type Cache struct {
	entries *otter.Cache[key, entry]
	clock   clock.Clock
	closed  atomic.Bool
}

var _ cache.Cache = (*Cache)(nil)

type key struct{ tenant, space, name string }

// entry is a value until an instant. Numbers are decimal text.
type entry struct {
	value []byte
	until time.Time
}

// New makes a cache. The caller closes it.
func New(cfg Config) (*Cache, error) {
	if cfg.Bytes <= 0 {
		cfg.Bytes = defaultBytes
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	c := &Cache{clock: cfg.Clock}
	entries, err := otter.New(&otter.Options[key, entry]{
		MaximumWeight: uint64(cfg.Bytes),
		Weigher: func(k key, e entry) uint32 {
			return uint32(min(len(k.tenant)+len(k.space)+len(k.name)+len(e.value)+overhead, math.MaxUint32))
		},
		// The library removes what has expired by the machine's clock; whether a value is alive is
		// decided by ours.
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[key, entry]) time.Duration {
			return e.Value.until.Sub(c.clock.Now())
		}),
		// Maintenance runs on the caller: the cache has no goroutines of its own to wait for.
		Executor: func(fn func()) { fn() },
		Clock:    ticking{cfg.Clock},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cache.ErrInvalid, err)
	}
	c.entries = entries
	return c, nil
}

// ticking is the clock in the form of the library. Without ticks what has expired is removed when
// the cache is used; its memory is bounded either way.
type ticking struct{ clock clock.Clock }

func (t ticking) NowNano() int64 { return t.clock.Now().UnixNano() }

func (ticking) Tick(time.Duration) <-chan time.Time { return nil }

// Close implements cache.Cache.
func (c *Cache) Close() error {
	if !c.closed.Swap(true) {
		c.entries.InvalidateAll()
		c.entries.StopAllGoroutines()
	}
	return nil
}

func (c *Cache) begin(ctx context.Context, s cache.Space, names ...string) error {
	if err := cache.Check(s, names...); err != nil {
		return err
	}
	return c.ended(ctx)
}

func (c *Cache) ended(ctx context.Context) error {
	if c.closed.Load() {
		return fmt.Errorf("%w: the cache is closed", cache.ErrUnavailable)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", cache.ErrUnavailable, err)
	}
	return nil
}

func (c *Cache) live(e *entry) bool { return c.clock.Now().Before(e.until) }

func keyOf(s cache.Space, name string) key { return key{s.Tenant, s.Name, name} }

func (c *Cache) get(s cache.Space, name string) ([]byte, bool) {
	e, ok := c.entries.GetIfPresent(keyOf(s, name))
	if !ok || !c.live(&e) {
		return nil, false
	}
	return e.value, true
}

// Get implements cache.Cache.
func (c *Cache) Get(ctx context.Context, s cache.Space, name string) ([]byte, error) {
	if err := c.begin(ctx, s, name); err != nil {
		return nil, err
	}
	if v, ok := c.get(s, name); ok {
		return v, nil
	}
	return nil, cache.ErrMiss
}

// GetMany implements cache.Cache.
func (c *Cache) GetMany(ctx context.Context, s cache.Space, names []string) ([][]byte, error) {
	if err := c.begin(ctx, s, names...); err != nil {
		return nil, err
	}
	out := make([][]byte, len(names))
	for i, n := range names {
		out[i], _ = c.get(s, n)
	}
	return out, nil
}

// Set implements cache.Cache.
func (c *Cache) Set(ctx context.Context, s cache.Space, entries ...cache.Entry) error {
	if err := cache.CheckEntries(s, entries...); err != nil {
		return err
	}
	if err := c.ended(ctx); err != nil {
		return err
	}
	for i := range entries {
		c.entries.Set(keyOf(s, entries[i].Name), c.entry(&entries[i]))
	}
	return nil
}

func (c *Cache) entry(e *cache.Entry) entry {
	value := e.Value
	if value == nil {
		value = []byte{}
	}
	return entry{value: value, until: c.clock.Now().Add(e.Life)}
}

// Delete implements cache.Cache.
func (c *Cache) Delete(ctx context.Context, s cache.Space, names ...string) error {
	if err := c.begin(ctx, s, names...); err != nil {
		return err
	}
	for _, n := range names {
		c.entries.Invalidate(keyOf(s, n))
	}
	return nil
}

// Incr implements cache.Cache.
func (c *Cache) Incr(ctx context.Context, s cache.Space, name string, by int64, life time.Duration) (sum int64, err error) {
	if err := cache.CheckLife(life); err != nil {
		return 0, err
	}
	if err := c.begin(ctx, s, name); err != nil {
		return 0, err
	}
	c.entries.Compute(keyOf(s, name), func(old entry, found bool) (entry, otter.ComputeOp) {
		if !found || !c.live(&old) {
			old = entry{value: []byte("0"), until: c.clock.Now().Add(life)}
		}
		if sum, err = add(old.value, by); err != nil {
			err = fmt.Errorf("%s/%s: %w", s.Name, name, err)
			return old, otter.CancelOp
		}
		return entry{value: strconv.AppendInt(nil, sum, 10), until: old.until}, otter.WriteOp
	})
	return sum, err
}

func add(number []byte, by int64) (int64, error) {
	n, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: not a number", cache.ErrInvalid)
	}
	sum := n + by
	if by > 0 && sum < n || by < 0 && sum > n {
		return 0, fmt.Errorf("%w: the sum is too large", cache.ErrInvalid)
	}
	return sum, nil
}

// CompareAndSet implements cache.Cache.
func (c *Cache) CompareAndSet(ctx context.Context, s cache.Space, old []byte, e cache.Entry) (done bool, err error) {
	if err := cache.CheckEntries(s, e); err != nil {
		return false, err
	}
	if err := c.ended(ctx); err != nil {
		return false, err
	}
	c.entries.Compute(keyOf(s, e.Name), func(now entry, found bool) (entry, otter.ComputeOp) {
		found = found && c.live(&now)
		if done = found == (old != nil) && (!found || bytes.Equal(now.value, old)); !done {
			return now, otter.CancelOp
		}
		return c.entry(&e), otter.WriteOp
	})
	return done, nil
}
