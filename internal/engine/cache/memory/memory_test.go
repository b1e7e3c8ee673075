package memory

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aluskort/aluskort/internal/engine/cache"
	"github.com/aluskort/aluskort/internal/engine/cache/cachetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// movable is a clock that a test moves.
type movable struct {
	mu sync.Mutex
	at time.Time
}

func (c *movable) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *movable) NewTimer(d time.Duration) *time.Timer { return time.NewTimer(d) }

func (c *movable) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func TestSuite(t *testing.T) {
	cachetest.Run(t, func(t *testing.T) *cachetest.Fixture {
		clock := &movable{at: time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)}
		c, err := New(Config{Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		return &cachetest.Fixture{Cache: c, Advance: clock.advance}
	})
}

// TestBounded puts ten times as much as fits.
func TestBounded(t *testing.T) {
	c, err := New(Config{Bytes: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := cache.Space{Tenant: "acme", Name: "ioc"}
	for i := range 4000 {
		if err := c.Set(t.Context(), s, cache.Entry{Name: fmt.Sprint(i), Value: make([]byte, 10_000), Life: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 8<<20 {
		t.Errorf("4 MB allowed, %d bytes taken", grown)
	}
	kept := 0
	for i := range 4000 {
		if _, err := c.Get(t.Context(), s, fmt.Sprint(i)); err == nil {
			kept++
		}
	}
	if kept < 200 || kept > 420 {
		t.Errorf("%d of 4000 values of 10 KB are kept in 4 MB", kept)
	}
}

func BenchmarkGet(b *testing.B) {
	c, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	s := cache.Space{Tenant: "acme", Name: "ioc"}
	if err := c.Set(b.Context(), s, cache.Entry{Name: "ipv4:192.0.2.1", Value: make([]byte, 200), Life: time.Hour}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Get(b.Context(), s, "ipv4:192.0.2.1"); err != nil {
			b.Fatal(err)
		}
	}
}
