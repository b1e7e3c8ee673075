package spend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/registry"
)

func TestReservedThenBooked(t *testing.T) {
	b := newBench(t, Limits{})
	k := b.must(t, claim(1000, 500))
	if s := b.status(t); s.InFlight != 1500 || s.Booked != 0 || s.Calls != 1 || s.Month != "2026-11" {
		t.Errorf("in flight: %+v", s)
	}
	e, err := k.Book(t.Context(), llm.Usage{Input: 300, CacheRead: 100, Output: 50, Known: true}, "unit")
	if err != nil || e.Cost != 400 || e.Basis != Measured || e.Tokens != 450 || e.Reserved != 1500 {
		t.Errorf("%+v, %v", e, err)
	}
	if s := b.status(t); s.InFlight != 0 || s.Booked != 400 {
		t.Errorf("booked: %+v", s)
	}
	again, err := k.Fail(t.Context(), context.Canceled)
	if err != nil || again != e {
		t.Errorf("a second booking gave %+v, %v", again, err)
	}
	if s := b.status(t); s.Booked != 400 || s.Calls != 1 {
		t.Errorf("a second booking changed %+v", s)
	}
}

func TestEachCapLetsPassAndRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits Limits
		pass   func(i int) Claim // these fit, and fill the cap
		n      int
		refuse Claim
		by     Cap
		is     error
		other  func(c *Claim) // passes all the same
		freeAt time.Time
	}{
		{"calls of an investigation", Limits{InvestigationCalls: 3}, func(int) Claim { return claim(1, 1) }, 3, claim(1, 1), InvestigationCalls, ErrCap,
			func(c *Claim) { c.Investigation = "inv-2" }, time.Time{}},
		{"tokens of an investigation", Limits{InvestigationTokens: 100}, func(int) Claim { return claim(40, 10) }, 2, claim(1, 1), InvestigationTokens, ErrCap,
			func(c *Claim) { c.Investigation = "inv-2" }, time.Time{}},
		{"money of an investigation", Limits{InvestigationMoney: 100}, func(int) Claim { return claim(40, 10) }, 2, claim(1, 1), InvestigationMoney, ErrCap,
			func(c *Claim) { c.Model.Model = "free" }, time.Time{}},
		{"the same id at another tenant", Limits{InvestigationMoney: 100}, func(int) Claim { return claim(40, 10) }, 2, claim(1, 1), InvestigationMoney, ErrCap,
			func(c *Claim) { c.Tenant = "umbrella" }, time.Time{}},
		{"quota", Limits{Quota: map[Plan]int64{Premium: 4}}, func(int) Claim { return claim(1, 1) }, 4, claim(1, 1), TenantHourCalls, ErrQuota,
			func(c *Claim) { c.Tenant = "umbrella" }, time.Date(2026, 11, 28, 13, 0, 0, 0, time.UTC)},
		{"a further attempt is within the quota", Limits{Quota: map[Plan]int64{Premium: 4}}, func(int) Claim { return claim(1, 1) }, 4, claim(1, 1), TenantHourCalls, ErrQuota,
			func(c *Claim) { c.Again = true }, time.Date(2026, 11, 28, 13, 0, 0, 0, time.UTC)},
		{"money of an hour", Limits{TenantHour: 100}, func(int) Claim { return claim(25, 25) }, 2, claim(1, 1), TenantHourMoney, ErrCap,
			func(c *Claim) { c.Tenant = "umbrella" }, time.Date(2026, 11, 28, 13, 0, 0, 0, time.UTC)},
		{"money of a tenant's month", Limits{TenantMonth: 100}, func(int) Claim { return claim(25, 25) }, 2, claim(1, 1), TenantMonthMoney, ErrCap,
			func(c *Claim) { c.Tenant = "umbrella" }, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)},
		{"money of the month", Limits{MonthHard: 100}, func(i int) Claim { c := claim(25, 25); c.Tenant = string(rune('a' + i)); return c }, 2, claim(1, 1), MonthMoney, ErrCap,
			func(c *Claim) { c.Model.Model = "free" }, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, c.limits)
			for i := range c.n {
				b.must(t, c.pass(i))
			}
			no := b.refuse(t, c.refuse, c.by)
			if !errors.Is(&no, c.is) || errors.Is(&no, ErrCap) == errors.Is(&no, ErrQuota) || !no.FreeAt.Equal(c.freeAt) {
				t.Errorf("%v", &no)
			}
			other := c.refuse
			c.other(&other)
			b.must(t, other)
		})
	}
}

func TestQuotasByPlan(t *testing.T) {
	for plan, want := range map[Plan]int{Premium: 500, Standard: 100, Trial: 20, "": 20, "gold": 20} {
		b := newBench(t, Limits{InvestigationCalls: Unlimited})
		c := claim(1, 1)
		c.Plan = plan
		for range want {
			b.must(t, c)
		}
		b.refuse(t, c, TenantHourCalls)
		if h, err := b.Hour(t.Context(), "acme", plan); err != nil || h.Calls != int64(want) || h.Quota != int64(want) || h.InFlight != registry.Micro(2*want) {
			t.Errorf("%+v, %v", h, err)
		}
		b.reopen(t, Limits{InvestigationCalls: Unlimited})
		b.refuse(t, c, TenantHourCalls) // a restart gives nothing back
		b.clock.add(30 * time.Minute)
		b.must(t, c)
	}
}

func TestWhatComesBackCanBeSpent(t *testing.T) {
	b := newBench(t, Limits{MonthHard: 100})
	k := b.must(t, claim(50, 50))
	if no := b.refuse(t, claim(1, 1), MonthMoney); no.InFlight != 100 || no.Used != 0 {
		t.Errorf("%+v", no)
	}
	book(t, k, 10, 10)
	b.must(t, claim(40, 40))
	if no := b.refuse(t, claim(1, 1), MonthMoney); no.InFlight != 80 || no.Used != 20 {
		t.Errorf("%+v", no)
	}
}

func TestC10UnknownFiguresAreHighAndMarked(t *testing.T) {
	known := llm.Usage{Input: 200, Output: 20, Known: true}
	for _, c := range []struct {
		name     string
		usage    llm.Usage
		answered string
		cost     registry.Micro
		basis    Basis
		model    string
	}{
		{"as asked", known, "unit", 220, Measured, "unit"},
		{"provider does not say which", known, "", 220, Measured, "unit"},
		{"dated name of the same", known, "unit-20261120", 220, Measured, "unit-20261120"},
		{"no usage", llm.Usage{Input: 200}, "unit", 1500, Estimated, "unit"},
		{"usage without a prompt", llm.Usage{Output: 3, Known: true}, "unit", 1500, Estimated, "unit"},
		{"negative usage", llm.Usage{Input: 500, Output: -400, Known: true}, "unit", 1500, Estimated, "unit"},
		{"another model, with a price", known, "free", 0, Measured, "free"},
		{"another model, without a price", known, "unpriced", 1500, Estimated, "unpriced"},
		{"another model, never heard of", known, "surprise-9", 1500, Estimated, "surprise-9"},
		{"never heard of, and more than reserved", llm.Usage{Input: 9000, Known: true}, "surprise-9", 9000, Estimated, "surprise-9"},
		{"more than reserved is booked as it was", llm.Usage{Input: 9000, Known: true}, "unit", 9000, Measured, "unit"},
	} {
		b := newBench(t, Limits{})
		e, err := b.must(t, claim(1000, 500)).Book(t.Context(), c.usage, c.answered)
		if err != nil || e.Cost != c.cost || e.Basis != c.basis || e.Model != c.model {
			t.Errorf("%s: %+v, %v", c.name, e, err)
		}
		if s := b.status(t); s.Booked != c.cost || s.InFlight != 0 {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

func TestC10UnknownPriceRefuses(t *testing.T) {
	b := newBench(t, Limits{})
	for model, want := range map[string]error{"unpriced": registry.ErrNoPrice, "surprise-9": registry.ErrNoModel} {
		c := claim(1, 1)
		c.Model.Model = model
		if _, err := b.Reserve(t.Context(), c); !errors.Is(err, want) {
			t.Errorf("%s: %v", model, err)
		}
	}
	c := claim(1, 1)
	c.Model.Model = "dated"
	b.must(t, c)
	b.clock.set(time.Unix(0, 0))
	if _, err := b.Reserve(t.Context(), c); !errors.Is(err, registry.ErrNoPrice) {
		t.Errorf("in 1970: %v", err)
	}
	if s := b.status(t); s.Calls != 0 {
		t.Errorf("in 1970: %+v", s)
	}
}

func TestIncompleteClaimsAreRefused(t *testing.T) {
	b := newBench(t, Limits{})
	for name, change := range map[string]func(c *Claim){
		"tenant": func(c *Claim) { c.Tenant = "" }, "task": func(c *Claim) { c.Task = "" }, "tier": func(c *Claim) { c.Tier = "" },
		"model": func(c *Claim) { c.Model.Model = "" }, "prompt": func(c *Claim) { c.Prompt = 0 }, "output": func(c *Claim) { c.Output = -1 },
		"too much": func(c *Claim) { c.Prompt = 1 << 60 },
	} {
		c := claim(1, 1)
		change(&c)
		if _, err := b.Reserve(t.Context(), c); !errors.Is(err, ErrClaim) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFailuresAreFreeOnlyWhenNothingWasBilled(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		cost  registry.Micro
		basis Basis
	}{
		{"429", &llm.Error{Kind: llm.KindRate}, 0, Measured},
		{"529", &llm.Error{Kind: llm.KindOverloaded}, 0, Measured},
		{"500", &llm.Error{Kind: llm.KindServer}, 0, Measured},
		{"no connection", &llm.Error{Kind: llm.KindNetwork}, 0, Measured},
		{"key", &llm.Error{Kind: llm.KindAuth}, 0, Measured},
		{"bad request", &llm.Error{Kind: llm.KindRequest}, 0, Measured},
		{"cut, with usage", &llm.Error{Kind: llm.KindCut, Usage: llm.Usage{Input: 200, Output: 7, Known: true}}, 207, Measured},
		{"cut", &llm.Error{Kind: llm.KindCut}, 1500, Unknown},
		{"timeout", &llm.Error{Kind: llm.KindTimeout}, 1500, Unknown},
		{"unreadable", &llm.Error{Kind: llm.KindUnreadable}, 1500, Unknown},
		{"canceled", &llm.Error{Kind: llm.KindCanceled}, 1500, Unknown},
		{"no error of a provider", errors.New("panic"), 1500, Unknown},
		{"never made", fmt.Errorf("shutting down: %w", ErrNotMade), 0, Measured},
	} {
		b := newBench(t, Limits{})
		ctx, cancel := context.WithCancel(t.Context())
		k, err := b.Reserve(ctx, claim(1000, 500))
		if err != nil {
			t.Fatal(err)
		}
		cancel() // it is booked all the same
		e, err := k.Fail(ctx, c.err)
		if err != nil || e.Cost != c.cost || e.Basis != c.basis {
			t.Errorf("%s: %+v, %v", c.name, e, err)
		}
	}
}

func TestReservationsLeftOpenAreNeverFree(t *testing.T) {
	b := newBench(t, Limits{MonthHard: 3000})
	b.must(t, claim(500, 500)) // its process dies
	b.reopen(t, Limits{MonthHard: 3000})
	if s := b.status(t); s.Booked != 1000 || s.InFlight != 0 {
		t.Errorf("after a restart: %+v", s)
	}
	k := b.must(t, claim(500, 500)) // nobody books it
	b.clock.add(defaultLease - time.Microsecond)
	if n, err := b.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("before its lease ended: %d, %v", n, err)
	}
	b.clock.add(time.Microsecond)
	b.refuse(t, claim(1000, 500), MonthMoney) // sweeps, and what lapsed counts
	if s := b.status(t); s.Booked != 2000 || s.InFlight != 0 {
		t.Errorf("after the lease: %+v", s)
	}
	lines, err := b.Report(t.Context(), Query{})
	if err != nil || len(lines) != 1 || lines[0].Estimated.Cost != 2000 || lines[0].Estimated.Calls != 2 || lines[0].Measured.Calls != 0 {
		t.Errorf("%+v, %v", lines, err)
	}
	// An answer that comes late after all says what it was.
	if e := book(t, k, 10, 5); e.Cost != 15 || e.Basis != Measured {
		t.Errorf("late: %+v", e)
	}
	lines, err = b.Report(t.Context(), Query{})
	if err != nil || lines[0].Estimated.Cost != 1000 || lines[0].Estimated.Calls != 1 || lines[0].Measured.Cost != 15 {
		t.Errorf("%+v, %v", lines, err)
	}
	if s := b.status(t); s.Booked != 1015 {
		t.Errorf("%+v", s)
	}
}

func TestBatchIsResumedAfterARestart(t *testing.T) {
	b := newBench(t, Limits{})
	c := claim(1000, 500)
	c.Terms.Batch, c.Lease = true, 26*time.Hour
	id := b.must(t, c).ID()
	b.clock.add(25 * time.Hour)
	if n, err := b.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("%d lapsed within their lease, %v", n, err)
	}
	b.reopen(t, Limits{})
	if s := b.status(t); s.Booked != 1500 {
		t.Errorf("%+v", s)
	}
	k, err := b.Resume(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if e := book(t, k, 200, 20); e.Cost != 220 || e.Basis != Measured {
		t.Errorf("%+v", e)
	}
	if s := b.status(t); s.Booked != 220 || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
	if _, err := b.Resume(t.Context(), id+1); !errors.Is(err, ErrNoBooking) {
		t.Error(err)
	}
}

func TestSharedDatabaseWaitsForTheLeasesOfOthers(t *testing.T) {
	b := newBench(t, Limits{})
	k := b.must(t, claim(500, 500))
	other, err := Open(t.Context(), Config{DB: b.db, Table: b.cfg.Table, Clock: b.clock, Shared: true})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := other.Status(t.Context()); err != nil || s.InFlight != 1000 {
		t.Errorf("%+v, %v", s, err)
	}
	if e := book(t, k, 1, 1); e.Cost != 2 {
		t.Errorf("%+v", e)
	}
}

func TestSoftAndHardAreToldOnceAMonth(t *testing.T) {
	limits := Limits{MonthSoft: 100, MonthHard: 200}
	b := newBench(t, limits)
	book(t, b.must(t, claim(90, 9)), 90, 9)
	if len(b.events) != 0 {
		t.Fatalf("below the soft limit: %+v", b.events)
	}
	for range 3 {
		book(t, b.must(t, claim(1, 1)), 1, 0)
	}
	if len(b.events) != 1 || b.events[0].Kind != SoftLimit || b.events[0].Month != "2026-11" || b.events[0].Used != 100 {
		t.Fatalf("%+v", b.events)
	}
	b.reopen(t, limits)
	for range 3 {
		b.refuse(t, claim(100, 1), MonthMoney)
	}
	if len(b.events) != 2 || b.events[1].Kind != HardLimit || b.events[1].Limit != 200 {
		t.Fatalf("%+v", b.events)
	}
	if s := b.status(t); !s.SoftReached || !s.HardReached {
		t.Errorf("%+v", s)
	}
	b.clock.set(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC))
	if s := b.status(t); s.SoftReached || s.HardReached || s.Booked != 0 {
		t.Errorf("next month: %+v", s)
	}
	book(t, b.must(t, claim(100, 1)), 100, 0)
	if len(b.events) != 3 || b.events[2].Kind != SoftLimit || b.events[2].Month != "2026-12" {
		t.Fatalf("%+v", b.events)
	}
}

func TestEventThatCannotBeRecordedUndoesItsBooking(t *testing.T) {
	b := newBench(t, Limits{MonthSoft: 10})
	k := b.must(t, claim(50, 50))
	b.fail = store.ErrUnavailable
	if _, err := k.Book(t.Context(), llm.Usage{Input: 20, Known: true}, "unit"); !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err)
	}
	if s := b.status(t); s.InFlight != 100 || s.SoftReached {
		t.Errorf("%+v", s)
	}
	b.fail = nil
	book(t, k, 20, 0)
	if s := b.status(t); len(b.events) != 1 || s.Booked != 20 || !s.SoftReached {
		t.Errorf("%+v, %+v", b.events, s)
	}
}

func TestB11MonthEndsInUTC(t *testing.T) {
	end := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for _, zone := range []*time.Location{time.UTC, time.FixedZone("east", 14*3600), time.FixedZone("west", -11*3600)} {
		b := newBench(t, Limits{MonthHard: 100})
		b.clock.set(end.Add(-time.Microsecond).In(zone))
		k := b.must(t, claim(50, 50))
		if no := b.refuse(t, claim(1, 1), MonthMoney); !no.FreeAt.Equal(end) {
			t.Errorf("%s: free at %s", zone, no.FreeAt)
		}
		b.clock.set(end.In(zone))
		b.must(t, claim(50, 50)) // a new month
		book(t, k, 30, 30)       // belongs to the month in which it was asked
		b.refuse(t, claim(1, 1), MonthMoney)
		b.clock.set(end.Add(-time.Second).In(zone))
		if s := b.status(t); s.Booked != 60 || s.Month != "2026-11" {
			t.Errorf("%s: %+v", zone, s)
		}
	}
	leap := time.Date(2028, 2, 29, 23, 59, 59, 0, time.UTC)
	if got := monthStart(month(leap) + 1); !got.Equal(leap.Add(time.Second)) {
		t.Errorf("%s", got)
	}
}

func TestB11ClockJumpsGiveNothingBack(t *testing.T) {
	b := newBench(t, Limits{MonthHard: 100, TenantHour: Unlimited})
	start := b.clock.Now()
	spent := registry.Micro(0)
	for _, jump := range []time.Duration{0, time.Hour, -time.Hour, 24 * time.Hour, -20 * 24 * time.Hour, 2 * time.Hour, time.Millisecond} {
		b.clock.set(start.Add(jump)) // all in November
		for {
			k, err := b.Reserve(t.Context(), claim(9, 1))
			if err != nil {
				break
			}
			spent += book(t, k, 9, 1).Cost
		}
	}
	if spent != 100 {
		t.Errorf("%d spent in the month of 100", spent)
	}
	// A jump to another month finds its own cap, and the way back finds the old one full.
	b.clock.set(start.AddDate(1, 0, 0))
	k := b.must(t, claim(9, 1))
	b.clock.set(start)
	book(t, k, 9, 1)
	b.refuse(t, claim(9, 1), MonthMoney)
}

func TestEngineDownRefuses(t *testing.T) {
	b := newBench(t, Limits{})
	k := b.must(t, claim(1, 1))
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Reserve(t.Context(), claim(1, 1)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("reserve: %v", err)
	}
	if _, err := k.Book(t.Context(), llm.Usage{Input: 1, Known: true}, ""); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("book: %v", err)
	}
}

// TestI7CapsHoldWith64Callers lets 64 callers spend as fast as they can, some of them forgetting
// to book, with restarts in between. What they were billed never passes any cap, all of it is in
// the books, and the cap is used and not merely kept by refusing.
func TestI7CapsHoldWith64Callers(t *testing.T) {
	limits := Limits{MonthHard: 60_000, TenantHour: 25_000, InvestigationMoney: 4000, InvestigationCalls: 40, InvestigationTokens: 3500}
	b := newBench(t, limits)
	var month, calls atomic.Int64
	var mu sync.Mutex
	byTenant, byCase, callsByCase := map[string]int64{}, map[string]int64{}, map[string]int64{}
	for round := range 4 {
		var wg sync.WaitGroup
		for g := range 64 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(round), uint64(g)))
				for range 12 {
					c := claim(1+r.Int64N(80), 1+r.Int64N(80))
					c.Tenant = string(rune('a' + r.IntN(4)))
					c.Investigation = string(rune('A' + r.IntN(8)))
					k, err := b.Reserve(t.Context(), c)
					if err != nil {
						if _, ok := errors.AsType[*Refusal](err); !ok {
							t.Error(err)
						}
						continue
					}
					u := llm.Usage{Input: 1 + r.Int64N(c.Prompt), Output: r.Int64N(c.Output + 1), Known: true}
					billed := u.Input + u.Output
					mu.Lock()
					byTenant[c.Tenant] += billed
					byCase[c.Tenant+c.Investigation] += billed
					callsByCase[c.Tenant+c.Investigation]++
					mu.Unlock()
					month.Add(billed)
					calls.Add(1)
					switch r.IntN(10) {
					case 0: // dies before it books
					case 1:
						_, err = k.Fail(t.Context(), &llm.Error{Kind: llm.KindCut, Usage: u})
					default:
						_, err = k.Book(t.Context(), u, "unit")
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		b.reopen(t, limits)
	}
	s := b.status(t)
	if month.Load() > int64(limits.MonthHard) || s.Booked > limits.MonthHard || int64(s.Booked) < month.Load() || s.InFlight != 0 || s.Calls != calls.Load() {
		t.Errorf("billed %d in %d calls, books say %+v", month.Load(), calls.Load(), s)
	}
	if int64(s.Booked) < int64(limits.MonthHard)*9/10 {
		t.Errorf("only %d of %d were spent: the test shows little", s.Booked, limits.MonthHard)
	}
	for tenant, n := range byTenant {
		if n > int64(limits.TenantHour) {
			t.Errorf("tenant %s was billed %d", tenant, n)
		}
	}
	for name, n := range byCase {
		if n > 3500 || callsByCase[name] > 40 {
			t.Errorf("investigation %s was billed %d in %d calls", name, n, callsByCase[name])
		}
	}
	lines, err := b.Report(t.Context(), Query{}, ByTenant)
	if err != nil {
		t.Fatal(err)
	}
	var total registry.Micro
	for i := range lines {
		total += lines[i].Total()
	}
	if total != s.Booked {
		t.Errorf("the report adds up to %d, the cap counts %d", total, s.Booked)
	}
}

func TestReportKeepsFiguresApart(t *testing.T) {
	b := newBench(t, Limits{})
	book(t, b.must(t, claim(100, 10)), 50, 5)
	c := claim(100, 10)
	c.Tenant, c.Task, c.Tier = "umbrella", llm.IOCExtraction, registry.T0
	if _, err := b.must(t, c).Book(t.Context(), llm.Usage{}, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := b.must(t, c).Fail(t.Context(), &llm.Error{Kind: llm.KindTimeout}); err != nil {
		t.Fatal(err)
	}
	b.clock.set(time.Date(2026, 12, 5, 0, 0, 0, 0, time.UTC))
	book(t, b.must(t, claim(100, 10)), 7, 0)
	b.must(t, claim(100, 10)) // in flight: not in a report

	all, err := b.Report(t.Context(), Query{}, Dimensions()...)
	if err != nil || len(all) != 3 {
		t.Fatalf("%+v, %v", all, err)
	}
	first, second, third := all[0], all[1], all[2]
	if first.Month != "2026-11" || first.Tenant != "acme" || first.Measured != (Figures{Calls: 1, Cost: 55, Tokens: 55, Input: 50, Output: 5}) || first.Estimated.Calls != 0 {
		t.Errorf("%+v", first)
	}
	if second.Key != (Key{"2026-11", "umbrella", registry.T0, "local", "unit", llm.IOCExtraction}) || second.Estimated.Cost != 110 || second.Unknown.Cost != 110 || second.Measured.Calls != 0 {
		t.Errorf("%+v", second)
	}
	if third.Month != "2026-12" || third.Total() != 7 {
		t.Errorf("%+v", third)
	}
	for _, c := range []struct {
		q    Query
		by   []Dimension
		want []registry.Micro
	}{
		{Query{}, nil, []registry.Micro{282}},
		{Query{}, []Dimension{ByMonth}, []registry.Micro{275, 7}},
		{Query{}, []Dimension{ByTier}, []registry.Micro{220, 62}},
		{Query{Tenant: "acme"}, []Dimension{ByTenant, ByProvider}, []registry.Micro{62}},
		{Query{From: b.clock.Now()}, []Dimension{ByModel}, []registry.Micro{7}},
		{Query{To: b.clock.Now().AddDate(0, -1, 0)}, []Dimension{ByTask}, []registry.Micro{55, 220}},
		{Query{Tenant: "nobody"}, nil, nil},
	} {
		lines, err := b.Report(t.Context(), c.q, c.by...)
		var got []registry.Micro
		for i := range lines {
			got = append(got, lines[i].Total())
		}
		if c.by != nil && c.by[0] == ByTask && len(got) == 2 && got[0] == 55 && lines[0].Task != llm.Investigation {
			t.Errorf("%+v", lines)
		}
		if err != nil || !sameAmounts(got, c.want) {
			t.Errorf("%+v by %v: %v, %v; want %v", c.q, c.by, got, err, c.want)
		}
	}
	if _, err := b.Report(t.Context(), Query{}, "colour"); err == nil {
		t.Error("an unknown dimension was taken")
	}
	calls, err := b.Calls(t.Context(), "acme", "inv-1")
	if err != nil || len(calls) != 3 || calls[0].Cost != 55 || calls[0].Outcome != "ok" || !calls[2].Open || calls[2].Cost != 110 {
		t.Errorf("%+v, %v", calls, err)
	}
}

func sameAmounts(a, b []registry.Micro) bool {
	left := map[registry.Micro]int{}
	for _, x := range a {
		left[x]++
	}
	for _, x := range b {
		left[x]--
	}
	for _, n := range left {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestRecentAndPrune(t *testing.T) {
	b := newBench(t, Limits{})
	start := b.clock.Now()
	for range 3 {
		c := claim(1, 1)
		c.Tier = registry.T1Plus
		book(t, b.must(t, c), 1, 1)
		b.must(t, claim(1, 1))
		b.clock.add(10 * time.Minute)
	}
	got, err := b.Recent(t.Context(), registry.T1Plus, start.Add(time.Minute))
	if err != nil || len(got) != 2 || !got[0].Equal(start.Add(10*time.Minute)) {
		t.Errorf("%v, %v", got, err)
	}
	before := b.status(t)
	if err := b.Prune(t.Context(), start.Add(48*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Recent(t.Context(), registry.T1Plus, start); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	if after := b.status(t); after != before {
		t.Errorf("pruning changed %+v to %+v", before, after)
	}
}

// What is asked about one tenant is read in a transaction of that tenant; reservations share
// commits and the sum of the month, and are for all.
func TestReportsAreBoundToTheirTenant(t *testing.T) {
	b := newBench(t, Limits{})
	b.must(t, claim(10, 10))
	watched := dbtest.Watch(b.db)
	b.db = watched
	b.reopen(t, Limits{})
	watched.Take()
	acme, all := []string{"acme"}, []string{dbtest.Everybody}
	for _, c := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"hour", func() error { _, err := b.Hour(t.Context(), "acme", Premium); return err }, acme},
		{"calls", func() error {
			calls, err := b.Calls(t.Context(), "acme", "inv-1")
			if len(calls) != 1 {
				t.Errorf("%d calls", len(calls))
			}
			return err
		}, acme},
		{"report", func() error { _, err := b.Report(t.Context(), Query{Tenant: "acme"}, ByTenant); return err }, acme},
		{"report of all", func() error { _, err := b.Report(t.Context(), Query{}, ByTenant); return err }, all},
	} {
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if views, _ := watched.Take(); !slices.Equal(views, c.want) {
			t.Errorf("%s: views for %v, want %v", c.name, views, c.want)
		}
	}
}
