package route

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/spend"
)

func TestBreakerOpensByRule(t *testing.T) {
	at := today
	for name, c := range map[string]struct {
		ends string // + worked, - failed, . says nothing
		open bool
	}{
		"five in a row":                {"-----", true},
		"four in a row":                {"----+----+----", false},
		"neutral ends do not break it": {"--..--.-", true},
		"half of twenty":               {"+-+-+-+-+-+-+-+-+-+-", true},
		"nine of twenty":               {"+-+-+-+-+-+-+-+-+-++", false},
		"half, but of nineteen":        {"-+-+-+-+-+-+-+-+-+-", false},
		"old failures are forgotten":   {"-+-+-+-+-+-+-+-+++++++++++-+-++++++++++++", false},
		"half of the last twenty":      {"+++++++++++++++++++++++-+-+-+-+-+-+-+-+-+-+-", true},
		"nothing but neutral":          {"..............................", false},
	} {
		b := newBreaker()
		for _, end := range c.ends {
			g, ok := b.allow(at)
			if !ok {
				break
			}
			b.record(at, g, map[rune]outcome{'+': worked, '-': failed, '.': says}[end])
		}
		if (b.state == Open) != c.open {
			t.Errorf("%s: %s", name, b.state)
		}
	}
}

func TestBreakerLetsOneProbeThrough(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, func(c *Config) { c.Providers = c.Providers[:1] })
		f.first.do = failing(llm.KindServer)
		for f.Status().Providers[0].Breaker != Open {
			_, _ = f.Call(t.Context(), asking(llm.Investigation, alert.Critical), request())
		}
		if f.first.calls() != 5 {
			t.Fatalf("opened after %d failures", f.first.calls())
		}
		time.Sleep(30*time.Second - time.Millisecond)
		if _, err := f.Call(t.Context(), asking(llm.Investigation, alert.Critical), request()); !errors.Is(err, ErrNoModel) || f.first.calls() != 5 {
			t.Fatalf("before its time: %v, %d calls", err, f.first.calls())
		}
		time.Sleep(time.Millisecond)
		var running, most atomic.Int64
		f.first.script(func(_ context.Context, _ int, r *llm.Request) (*llm.Response, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			time.Sleep(2 * time.Second)
			return answer(r), nil
		})
		var good atomic.Int64
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				if _, err := f.Call(t.Context(), asking(llm.Investigation, alert.Critical), request()); err == nil {
					good.Add(1)
				}
			})
		}
		wg.Wait()
		if good.Load() != 1 || most.Load() != 1 || f.first.calls() != 6 {
			t.Errorf("%d answers, %d at once, %d calls in all", good.Load(), most.Load(), f.first.calls())
		}
		if _, err := f.Call(t.Context(), asking(llm.Investigation, alert.Critical), request()); f.Status().Providers[0].Breaker != Closed {
			t.Errorf("%+v, %v", f.Status(), err)
		}
		if got := f.told(BreakerOpened, BreakerClosed); !slices.Equal(got, []string{"circuit_breaker.opened open", "circuit_breaker.closed closed"}) {
			t.Errorf("%q", got)
		}
		f.settled(t)
	})
}

func TestFailedProbeOpensAgainAndLateAnswersDoNotClose(t *testing.T) {
	at := today
	b := newBreaker()
	early, _ := b.allow(at) // still on its way when the breaker opens
	for range 5 {
		g, _ := b.allow(at)
		b.record(at, g, failed)
	}
	if b.record(at, early, worked); b.state != Open {
		t.Error("an answer to an old call closed the breaker")
	}
	probe, ok := b.allow(at.Add(30 * time.Second))
	if _, second := b.allow(at.Add(30 * time.Second)); !ok || second {
		t.Fatalf("probe %v, second probe %v", ok, second)
	}
	if b.record(at.Add(31*time.Second), early, failed); b.state != HalfOpen {
		t.Error("an old failure ended the probe")
	}
	b.record(at.Add(31*time.Second), probe, failed)
	if _, ok := b.allow(at.Add(60 * time.Second)); ok {
		t.Error("open for less than 30 s after a failed probe")
	}
	probe, _ = b.allow(at.Add(61 * time.Second))
	b.record(at.Add(62*time.Second), probe, says) // canceled: nothing is known
	if _, ok := b.allow(at.Add(66 * time.Second)); ok {
		t.Error("probed again at once")
	}
	if probe, ok = b.allow(at.Add(67 * time.Second)); !ok {
		t.Error("a probe that was canceled blocks the next")
	}
	if b.record(at.Add(68*time.Second), probe, worked); b.state != Closed {
		t.Error("an answered probe did not close the breaker")
	}
}

func TestB11ClockThatGoesBackBlocksNothing(t *testing.T) {
	b := newBreaker()
	for range 5 {
		g, _ := b.allow(today)
		b.record(today, g, failed)
	}
	back := today.Add(-1000 * time.Hour)
	if _, ok := b.allow(back); ok {
		t.Error("a clock that went back closed the breaker")
	}
	if _, ok := b.allow(back.Add(30 * time.Second)); !ok {
		t.Error("waits longer than it ever does")
	}
	p := provider{breaker: newBreaker(), holdAt: today, until: today.Add(time.Minute)}
	if got := p.hold(back); got != time.Minute {
		t.Errorf("held for %s", got)
	}
	if got := p.hold(back.Add(time.Minute)); got != 0 {
		t.Errorf("held for %s", got)
	}
	l := newLevels()
	l.update(today, Deterministic)
	l.update(today.Add(time.Second), Full)
	l.update(back, Full)
	if _, to := l.update(back.Add(dwellShortest), Full); to != Full {
		t.Errorf("stuck in %s", to)
	}
}

// TestC2C12OutageAndReturn takes both providers down for an hour and brings them back one after
// the other, with nobody calling meanwhile but the probes.
func TestC2C12OutageAndReturn(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.Run(ctx)
		}()
		call := func() (*Result, error) {
			return f.Call(t.Context(), asking(llm.Investigation, alert.Critical), request())
		}
		f.first.script(failing(llm.KindOverloaded))
		for range 3 {
			if res, err := call(); err != nil || res.Used.Provider != "openai" {
				t.Fatalf("%+v, %v", res, err)
			}
		}
		if f.Level() != Secondary {
			t.Fatalf("level %s", f.Level())
		}
		res, err := call()
		if err != nil || res.Decision.Level != Secondary || res.Used.ThinkingTokens != 0 || len(res.Attempts) != 1 {
			t.Errorf("%+v, %v", res, err)
		}
		f.second.script(failing(llm.KindServer))
		for range 3 {
			if _, err := call(); !errors.Is(err, ErrNoModel) {
				t.Fatal(err)
			}
		}
		if f.Level() != Deterministic {
			t.Fatalf("level %s", f.Level())
		}
		asked := f.first.calls() + f.second.calls()
		for range 1000 {
			_, err := call()
			if e := wrongly(t, err); !errors.Is(err, ErrNoModel) || e.Decision.Refused != RefusedDegraded {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		if n := f.first.calls() + f.second.calls() - asked; n < 200 || n > 242 {
			t.Errorf("%d probes in an hour at two providers, want one each 30 s", n)
		}
		f.second.script(nil)
		time.Sleep(40 * time.Second)
		if f.Level() != Secondary {
			t.Errorf("level %s after the second provider is back", f.Level())
		}
		f.first.script(nil)
		time.Sleep(60 * time.Second)
		if res, err := call(); err != nil || res.Used.Provider != "anthropic" || f.Level() != Full {
			t.Errorf("%+v, %v, level %s", res, err, f.Level())
		}
		want := "degradation.entered secondary_active, degradation.entered deterministic_only, degradation.exited secondary_active, degradation.exited full_capability"
		if got := strings.Join(f.told(DegradationEntered, DegradationExited), ", "); got != want {
			t.Errorf("levels: %s", got)
		}
		if got := f.told(BreakerOpened, BreakerClosed); len(got) != 4 {
			t.Errorf("breakers: %v", got)
		}
		if got := f.told(ProviderFailover); !slices.Equal(got, []string{"routing.provider_failover openai", "routing.provider_failover anthropic"}) {
			t.Errorf("failovers: %v", got)
		}
		f.mu.Lock()
		for i, e := range f.events {
			if e.Reason == "" || e.At.IsZero() || i > 0 && e.At.Before(f.events[i-1].At) {
				t.Errorf("%+v", e)
			}
		}
		f.mu.Unlock()
		cancel()
		<-done
		f.settled(t)
	})
}

func TestI11FlappingIsNoStorm(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			f.Run(ctx)
		}()
		for range 300 { // ten minutes of a database that comes and goes every second
			f.SetEngines(false, "state database: disk full")
			time.Sleep(time.Second)
			f.SetEngines(true, "")
			time.Sleep(time.Second)
		}
		if f.Level() != Passthrough {
			t.Errorf("level %s", f.Level())
		}
		if got := f.told(); len(got) != 1 || !strings.Contains(f.reasons(), "disk full") {
			t.Errorf("%v", got)
		}
		time.Sleep(10 * time.Second)
		if got := f.told(); f.Level() != Full || len(got) != 2 {
			t.Errorf("not back within 10 s: %s, %v", f.Level(), got)
		}
		for range 60 { // an hour of half a minute each
			f.SetEngines(false, "broker")
			time.Sleep(30 * time.Second)
			f.SetEngines(true, "")
			time.Sleep(30 * time.Second)
		}
		if got := f.told(); len(got) > 8 {
			t.Errorf("%d changes were recorded: %v", len(got), got)
		}
		cancel()
		<-done
	})
}

func TestPassthroughAsksNobody(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.SetEngines(false, "bus")
		_, err := f.Call(t.Context(), asking(llm.IOCExtraction, alert.Critical), request())
		if e := wrongly(t, err); e.Decision.Level != Passthrough || e.Decision.Refused != RefusedDegraded || f.first.calls() != 0 {
			t.Error(err)
		}
		f.SetEngines(true, "")
		time.Sleep(dwellShortest)
		if _, err := f.Call(t.Context(), asking(llm.IOCExtraction, alert.Critical), request()); err != nil {
			t.Error(err)
		}
	})
}

func TestOneProviderAloneIsNeverSecondary(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, func(c *Config) { c.Providers = c.Providers[1:] })
		if f.Level() != Full {
			t.Errorf("level %s with the second provider alone", f.Level())
		}
		f.second.do = failing(llm.KindNetwork)
		for range 2 {
			_, _ = f.Call(t.Context(), asking(llm.IOCExtraction, alert.Critical), request())
		}
		if got := f.told(DegradationEntered); !slices.Equal(got, []string{"degradation.entered deterministic_only"}) {
			t.Errorf("%v", got)
		}
	})
}

// TestEventsComeOnceInOrderAndMayCallBack lets many callers change things at once.
func TestEventsComeOnceInOrderAndMayCallBack(t *testing.T) {
	inTime(t, func(t *testing.T) {
		var f *fixture
		var inside, overlap atomic.Int64
		var order []Event
		f = newFixture(t, func(c *Config) {
			c.Notify = func(e Event) {
				if inside.Add(1) > 1 {
					overlap.Add(1)
				}
				order = append(order, e)
				_ = f.Status()
				time.Sleep(time.Millisecond)
				inside.Add(-1)
			}
		})
		f.first.do = func(_ context.Context, n int, r *llm.Request) (*llm.Response, error) {
			if n%40 < 20 {
				return nil, &llm.Error{Kind: llm.KindServer}
			}
			return answer(r), nil
		}
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				for range 20 {
					_, _ = f.Call(t.Context(), asking(llm.Investigation, alert.Critical), request())
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		level, breaker := string(Full), string(Closed)
		for _, e := range order {
			switch e.Kind {
			case DegradationEntered, DegradationExited:
				if e.From != level || e.To == level {
					t.Errorf("%+v after %s", e, level)
				}
				level = e.To
			case BreakerOpened, BreakerClosed:
				if e.To == breaker {
					t.Errorf("%+v after %s", e, breaker)
				}
				breaker = e.To
			}
		}
		if overlap.Load() != 0 || len(order) < 4 {
			t.Errorf("%d at the same time, %d in all", overlap.Load(), len(order))
		}
	})
}

func TestProbeIsPaidForAndRefused(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, nil)
		if err := f.Probe(t.Context(), "anthropic"); err != nil {
			t.Fatal(err)
		}
		if c := f.meter.claims[0]; c.Task != llm.Probe || c.Tenant != "system" || c.Model.Model != "claude-haiku-5-5" || c.Output != 16 || c.Investigation != "" {
			t.Errorf("%+v", c)
		}
		if err := f.Probe(t.Context(), "nobody"); !errors.Is(err, ErrNoModel) {
			t.Error(err)
		}
		f.first.do = failing(llm.KindServer)
		for range 5 {
			if err := f.Probe(t.Context(), "anthropic"); err == nil {
				t.Error("a failing provider passed its probe")
			}
		}
		if err := f.Probe(t.Context(), "anthropic"); !errors.Is(err, errOpen) {
			t.Error(err)
		}
		// When the money is gone, probes end without turning in circles.
		f.meter.refuse = func(spend.Claim) error { return &spend.Refusal{Cap: spend.MonthMoney} }
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		f.Run(ctx)
		if f.first.calls() != 6 {
			t.Errorf("%d calls", f.first.calls())
		}
		// A probe that could not be paid for does not hold the breaker half open.
		f.meter.refuse = nil
		f.first.script(nil)
		time.Sleep(breakAgain)
		if _, err := f.Call(t.Context(), asking(llm.IOCExtraction, alert.Critical), request()); err != nil || f.Status().Providers[0].Breaker != Closed {
			t.Errorf("%v, %+v", err, f.Status().Providers[0])
		}
		f.settled(t)
	})
}

func TestStatusIsWhatOperatorsSee(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.first.do = func(_ context.Context, n int, r *llm.Request) (*llm.Response, error) {
			if n%4 == 3 {
				return nil, &llm.Error{Kind: llm.KindRequest}
			}
			if n%4 == 2 {
				return nil, &llm.Error{Kind: llm.KindServer}
			}
			return answer(r), nil
		}
		for range 12 {
			_, _ = f.Call(t.Context(), asking(llm.Investigation, alert.Critical), request())
		}
		s := f.Status()
		if p := s.Providers[0]; s.Level != Full || s.Profile != "default" || p.Provider != "anthropic" || p.Health != Degraded || p.Attempts != f.first.calls() || p.Worked >= p.Attempts {
			t.Errorf("%+v", s)
		}
		if p := s.Providers[1]; p.Health != Healthy || p.Breaker != Closed {
			t.Errorf("%+v", p)
		}
		time.Sleep(6 * time.Minute)
		if p := f.Status().Providers[0]; p.Health != Healthy || p.Attempts != 0 {
			t.Errorf("after the window: %+v", p)
		}
	})
}

// The strings are those of investigate.Degradation, which decides by them.
func TestLevelStrings(t *testing.T) {
	got := []Level{Full, Secondary, Deterministic, Passthrough}
	if !slices.Equal(got, []Level{"full_capability", "secondary_active", "deterministic_only", "passthrough"}) || !Passthrough.Worse(Deterministic) || Full.Worse(Full) {
		t.Error(got)
	}
}
