package spend

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/engine/cache"
	"github.com/aluskort/aluskort/internal/engine/cache/memory"
)

// asked counts the claims that reach a meter.
type asked struct {
	Meter
	n int
}

func (a *asked) Reserve(ctx context.Context, c Claim) (Booking, error) {
	a.n++
	return a.Meter.Reserve(ctx, c)
}

// gone is a cache that is away.
type gone struct{}

func (gone) Get(context.Context, cache.Space, string) ([]byte, error) {
	return nil, cache.ErrUnavailable
}
func (gone) Set(context.Context, cache.Space, ...cache.Entry) error { return cache.ErrUnavailable }

// liar is a cache that answers everything with the same.
type liar string

func (l liar) Get(context.Context, cache.Space, string) ([]byte, error) { return []byte(l), nil }
func (liar) Set(context.Context, cache.Space, ...cache.Entry) error     { return nil }

func TestRemember(t *testing.T) {
	limits := Limits{Quota: map[Plan]int64{Premium: 3, Trial: 1}}
	b := newBench(t, limits)
	m, err := memory.New(memory.Config{Clock: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	inner := &asked{Meter: b.Ledger}
	r := Remember(inner, m, limits, b.clock)
	reserve := func(c Claim) error {
		_, err := r.Reserve(t.Context(), c)
		return err
	}
	for range 3 {
		if err := reserve(claim(1, 1)); err != nil {
			t.Fatal(err)
		}
	}
	var first, later *Refusal
	if err := reserve(claim(1, 1)); !errors.As(err, &first) || !errors.Is(err, ErrQuota) {
		t.Fatal(err)
	}
	known := inner.n
	if err := reserve(claim(1, 1)); !errors.As(err, &later) || *later != *first {
		t.Errorf("%+v, want %+v", later, first)
	}
	if inner.n != known {
		t.Error("the ledger was asked again")
	}
	if err := reserve(func() Claim { c := claim(1, 1); c.Again = true; return c }()); err != nil {
		t.Errorf("a further attempt: %v", err)
	}
	if err := reserve(func() Claim { c := claim(1, 1); c.Tenant = "other"; return c }()); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	higher := Limits{Quota: map[Plan]int64{Premium: 5}}
	b.reopen(t, higher)
	if _, err := Remember(b.Ledger, m, higher, b.clock).Reserve(t.Context(), claim(1, 1)); err != nil {
		t.Errorf("a higher limit: %v", err)
	}
	b.clock.add(30 * time.Minute) // the next hour
	b.reopen(t, limits)
	inner.Meter = b.Ledger
	if err := reserve(claim(1, 1)); err != nil {
		t.Errorf("the next hour: %v", err)
	}
}

// TestRememberCannotAllow runs claims through caches that fail or lie: the quota is kept to the call.
func TestRememberCannotAllow(t *testing.T) {
	for name, hot := range map[string]Hot{"away": gone{}, "says nothing used": liar("0"), "talks rubbish": liar("\x00many"), "says minus": liar("-9")} {
		limits := Limits{Quota: map[Plan]int64{Premium: 7}}
		b := newBench(t, limits)
		r := Remember(b.Ledger, hot, limits, b.clock)
		var wg sync.WaitGroup
		var mu sync.Mutex
		allowed, refused := 0, 0
		for range 30 {
			wg.Go(func() {
				_, err := r.Reserve(t.Context(), claim(1, 1))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					allowed++
				case errors.Is(err, ErrQuota):
					refused++
				default:
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		wg.Wait()
		if allowed != 7 || refused != 23 {
			t.Errorf("%s: %d allowed, %d refused", name, allowed, refused)
		}
	}
}
