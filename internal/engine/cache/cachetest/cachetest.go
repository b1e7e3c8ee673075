// Package cachetest is the suite of behaviour that every engine of cache passes.
package cachetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/engine/cache"
)

// Fixture is an empty cache.
type Fixture struct {
	Cache cache.Cache
	// Advance moves the clock by which values expire; nil when it is nobody's to move, and the
	// suite waits.
	Advance func(time.Duration)
}

// Open makes a fixture; the suite closes the cache.
type Open func(t *testing.T) *Fixture

// patience bounds the wait for a value to expire on a clock that is not ours.
const patience = 20 * time.Second

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, f *Fixture)
	}{
		{"values come back", testValues},
		{"many at once", testMany},
		{"values expire", testExpiry},
		{"deletion", testDelete},
		{"tenants and spaces are apart", testApart},
		{"numbers", testIncr},
		{"numbers expire from their beginning", testIncrExpiry},
		{"numbers under concurrency", testIncrConcurrent},
		{"compare and set", testCompare},
		{"one of many wins a comparison", testCompareConcurrent},
		{"arguments that are none", testInvalid},
		{"a context that has ended", testContext},
		{"after the end", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := open(t)
			defer func() {
				if err := f.Cache.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}()
			c.test(t, f)
		})
	}
}

var space = cache.Space{Tenant: "acme", Name: "ioc"}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, what string, got, wanted error) {
	t.Helper()
	if !errors.Is(got, wanted) {
		t.Errorf("%s: got %v, want %v", what, got, wanted)
	}
}

func holds(t *testing.T, f *Fixture, s cache.Space, name, wanted string) {
	t.Helper()
	if got, err := f.Cache.Get(t.Context(), s, name); err != nil || string(got) != wanted {
		t.Errorf("%v %s: %q, %v; want %q", s, name, got, err, wanted)
	}
}

func misses(t *testing.T, f *Fixture, s cache.Space, name string) {
	t.Helper()
	got, err := f.Cache.Get(t.Context(), s, name)
	want(t, fmt.Sprintf("%v %s, which holds %q", s, name, got), err, cache.ErrMiss)
}

func entry(name, value string) cache.Entry {
	return cache.Entry{Name: name, Value: []byte(value), Life: time.Hour}
}

func testValues(t *testing.T, f *Fixture) {
	misses(t, f, space, "a")
	for _, v := range []string{"one", "", "two\x00\xff\r\n", strings.Repeat("x", 300_000)} {
		ok(t, f.Cache.Set(t.Context(), space, entry("a", v)))
		holds(t, f, space, "a", v)
	}
	for _, name := range []string{"a:b", "a b", "{x}", "ä", "\x00\r\n", "a%3Ab", strings.Repeat("n", 2000)} {
		ok(t, f.Cache.Set(t.Context(), space, entry(name, name)))
		holds(t, f, space, name, name)
	}
	ok(t, f.Cache.Set(t.Context(), space, cache.Entry{Name: "nil", Life: time.Hour}))
	holds(t, f, space, "nil", "")
}

func testMany(t *testing.T, f *Fixture) {
	ok(t, f.Cache.Set(t.Context(), space))
	ok(t, f.Cache.Set(t.Context(), space, entry("a", "1"), entry("b", ""), entry("d", "4")))
	got, err := f.Cache.GetMany(t.Context(), space, []string{"a", "b", "c", "d", "a"})
	ok(t, err)
	if len(got) != 5 || string(got[0]) != "1" || got[1] == nil || len(got[1]) != 0 || got[2] != nil || string(got[3]) != "4" || string(got[4]) != "1" {
		t.Errorf("got %q", got)
	}
	if got, err := f.Cache.GetMany(t.Context(), space, nil); err != nil || len(got) != 0 {
		t.Errorf("of nothing: %q, %v", got, err)
	}
}

// expired waits until a value is gone.
func expired(t *testing.T, f *Fixture, s cache.Space, name string, life time.Duration) {
	t.Helper()
	if f.Advance != nil {
		f.Advance(life)
		misses(t, f, s, name)
		return
	}
	deadline, again := time.After(patience), time.NewTicker(20*time.Millisecond)
	defer again.Stop()
	for {
		_, err := f.Cache.Get(t.Context(), s, name)
		if errors.Is(err, cache.ErrMiss) {
			return
		}
		ok(t, err)
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("%s did not expire", name)
		}
	}
}

func testExpiry(t *testing.T, f *Fixture) {
	const life = 300 * time.Millisecond
	ok(t, f.Cache.Set(t.Context(), space, cache.Entry{Name: "short", Value: []byte("1"), Life: life}, entry("long", "2")))
	holds(t, f, space, "short", "1")
	expired(t, f, space, "short", life)
	holds(t, f, space, "long", "2")
	// A value that is written again lives anew.
	ok(t, f.Cache.Set(t.Context(), space, cache.Entry{Name: "long", Value: []byte("3"), Life: life}))
	expired(t, f, space, "long", life)
}

func testDelete(t *testing.T, f *Fixture) {
	ok(t, f.Cache.Set(t.Context(), space, entry("a", "1"), entry("b", "2"), entry("c", "3")))
	ok(t, f.Cache.Delete(t.Context(), space, "a", "c", "never there"))
	ok(t, f.Cache.Delete(t.Context(), space))
	misses(t, f, space, "a")
	holds(t, f, space, "b", "2")
	misses(t, f, space, "c")
}

func testApart(t *testing.T, f *Fixture) {
	spaces := []cache.Space{
		space, {Tenant: "acme", Name: "fp"}, {Tenant: "other", Name: "ioc"}, {Tenant: "Acme", Name: "ioc"},
		{Tenant: "acme}:ioc", Name: "ioc"}, {Tenant: "acme:ioc", Name: "ioc"}, {Tenant: "acme%3Aioc", Name: "ioc"},
		{Tenant: "{acme}", Name: "ioc"}, {Tenant: "*", Name: "ioc"},
	}
	names := []string{"a", "ioc:a", "}:ioc:a"}
	for i, s := range spaces {
		for k, n := range names {
			ok(t, f.Cache.Set(t.Context(), s, entry(n, fmt.Sprint(i, k))))
		}
	}
	for i, s := range spaces {
		for k, n := range names {
			holds(t, f, s, n, fmt.Sprint(i, k))
		}
	}
	ok(t, f.Cache.Delete(t.Context(), spaces[2], names...))
	for i, s := range spaces {
		if i != 2 {
			holds(t, f, s, "a", fmt.Sprint(i, 0))
		}
	}
}

func testIncr(t *testing.T, f *Fixture) {
	for _, c := range []struct{ by, want int64 }{{1, 1}, {1, 2}, {0, 2}, {40, 42}, {-50, -8}} {
		if got, err := f.Cache.Incr(t.Context(), space, "n", c.by, time.Hour); err != nil || got != c.want {
			t.Errorf("%+d: %d, %v; want %d", c.by, got, err, c.want)
		}
	}
	holds(t, f, space, "n", "-8")
	ok(t, f.Cache.Set(t.Context(), space, entry("text", "many")))
	_, err := f.Cache.Incr(t.Context(), space, "text", 1, time.Hour)
	want(t, "a text", err, cache.ErrInvalid)
	holds(t, f, space, "text", "many")
	if _, err := f.Cache.Incr(t.Context(), space, "large", math.MaxInt64, time.Hour); err != nil {
		t.Error(err)
	}
	_, err = f.Cache.Incr(t.Context(), space, "large", 1, time.Hour)
	want(t, "too large", err, cache.ErrInvalid)
	holds(t, f, space, "large", fmt.Sprint(int64(math.MaxInt64)))
}

func testIncrExpiry(t *testing.T, f *Fixture) {
	const life = 300 * time.Millisecond
	for range 3 {
		if _, err := f.Cache.Incr(t.Context(), space, "n", 1, life); err != nil {
			t.Fatal(err)
		}
	}
	// Adding with a long life does not prolong.
	if _, err := f.Cache.Incr(t.Context(), space, "n", 1, time.Hour); err != nil {
		t.Fatal(err)
	}
	expired(t, f, space, "n", life)
	if got, err := f.Cache.Incr(t.Context(), space, "n", 1, time.Hour); err != nil || got != 1 {
		t.Errorf("begins at %d, %v", got, err)
	}
}

func testIncrConcurrent(t *testing.T, f *Fixture) {
	const workers, each = 8, 50
	var wg sync.WaitGroup
	var highest atomic.Int64
	for range workers {
		wg.Go(func() {
			for range each {
				n, err := f.Cache.Incr(t.Context(), space, "n", 1, time.Hour)
				if err != nil {
					t.Error(err)
				}
				for h := highest.Load(); n > h && !highest.CompareAndSwap(h, n); h = highest.Load() {
				}
			}
		})
	}
	wg.Wait()
	if highest.Load() != workers*each {
		t.Errorf("counted %d, want %d", highest.Load(), workers*each)
	}
}

func testCompare(t *testing.T, f *Fixture) {
	for _, c := range []struct {
		old  []byte
		to   string
		done bool
		then string
	}{
		{[]byte("x"), "a", false, ""},
		{nil, "a", true, "a"},
		{nil, "b", false, "a"},
		{[]byte("b"), "c", false, "a"},
		{[]byte{}, "c", false, "a"},
		{[]byte("a"), "", true, ""},
		{nil, "d", false, ""},
		{[]byte{}, "e", true, "e"},
	} {
		done, err := f.Cache.CompareAndSet(t.Context(), space, c.old, entry("k", c.to))
		if err != nil || done != c.done {
			t.Errorf("%q to %q: %t, %v", c.old, c.to, done, err)
		}
		if c.done || c.then != "" {
			holds(t, f, space, "k", c.then)
		}
	}
	const life = 300 * time.Millisecond
	if done, err := f.Cache.CompareAndSet(t.Context(), space, []byte("e"), cache.Entry{Name: "k", Value: []byte("f"), Life: life}); !done || err != nil {
		t.Errorf("%t, %v", done, err)
	}
	expired(t, f, space, "k", life)
	if done, err := f.Cache.CompareAndSet(t.Context(), space, nil, cache.Entry{Name: "k", Value: []byte("g"), Life: life}); !done || err != nil {
		t.Errorf("after it expired: %t, %v", done, err)
	}
	expired(t, f, space, "k", life)
}

func testCompareConcurrent(t *testing.T, f *Fixture) {
	var wg sync.WaitGroup
	var won atomic.Int64
	for i := range 16 {
		wg.Go(func() {
			done, err := f.Cache.CompareAndSet(t.Context(), space, nil, entry("k", fmt.Sprint(i)))
			if err != nil {
				t.Error(err)
			}
			if done {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won", won.Load())
	}
}

func testInvalid(t *testing.T, f *Fixture) {
	ctx := t.Context()
	for _, s := range []cache.Space{{}, {Tenant: "acme"}, {Name: "ioc"}, {Tenant: "acme", Name: "IOC"}, {Tenant: "acme", Name: "i:c"}, {Tenant: strings.Repeat("t", 201), Name: "ioc"}, {Tenant: "acme", Name: strings.Repeat("s", 41)}} {
		_, err := f.Cache.Get(ctx, s, "a")
		want(t, fmt.Sprint(s), err, cache.ErrInvalid)
		_, err = f.Cache.GetMany(ctx, s, nil)
		want(t, fmt.Sprint(s), err, cache.ErrInvalid)
		want(t, fmt.Sprint(s), f.Cache.Set(ctx, s, entry("a", "1")), cache.ErrInvalid)
		want(t, fmt.Sprint(s), f.Cache.Delete(ctx, s, "a"), cache.ErrInvalid)
		_, err = f.Cache.Incr(ctx, s, "a", 1, time.Hour)
		want(t, fmt.Sprint(s), err, cache.ErrInvalid)
		_, err = f.Cache.CompareAndSet(ctx, s, nil, entry("a", "1"))
		want(t, fmt.Sprint(s), err, cache.ErrInvalid)
	}
	for _, e := range []cache.Entry{
		{Name: "", Life: time.Hour}, {Name: strings.Repeat("n", 2049), Life: time.Hour}, {Name: "a"}, {Name: "a", Life: -1},
		{Name: "a", Life: time.Microsecond}, {Name: "a", Life: 1000 * 24 * time.Hour}, {Name: "a", Value: bytes.Repeat([]byte("x"), 1<<20+1), Life: time.Hour},
	} {
		want(t, fmt.Sprintf("%.10s for %s", e.Name, e.Life), f.Cache.Set(ctx, space, entry("good", "1"), e), cache.ErrInvalid)
		_, err := f.Cache.CompareAndSet(ctx, space, nil, e)
		want(t, fmt.Sprintf("%.10s for %s", e.Name, e.Life), err, cache.ErrInvalid)
	}
	misses(t, f, space, "good")
	_, err := f.Cache.Incr(ctx, space, "a", 1, 0)
	want(t, "a number without a life", err, cache.ErrInvalid)
}

func testContext(t *testing.T, f *Fixture) {
	ok(t, f.Cache.Set(t.Context(), space, entry("a", "1")))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Cache.Get(ctx, space, "a")
	want(t, "get", err, context.Canceled)
	want(t, "get", err, cache.ErrUnavailable)
	want(t, "set", f.Cache.Set(ctx, space, entry("a", "2")), context.Canceled)
	// Somebody's cancelled call is no fault of the cache.
	holds(t, f, space, "a", "1")
}

func testClosed(t *testing.T, f *Fixture) {
	ok(t, f.Cache.Set(t.Context(), space, entry("a", "1")))
	for range 2 {
		ok(t, f.Cache.Close())
	}
	_, err := f.Cache.Get(t.Context(), space, "a")
	want(t, "get", err, cache.ErrUnavailable)
	want(t, "set", f.Cache.Set(t.Context(), space, entry("a", "1")), cache.ErrUnavailable)
	_, err = f.Cache.Incr(t.Context(), space, "n", 1, time.Hour)
	want(t, "incr", err, cache.ErrUnavailable)
}
