package route

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/registry"
	"github.com/aluskort/aluskort/internal/llm/spend"
)

// inTime runs a test in a bubble whose clock says that it is today.
func inTime(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(today))
		test(t)
	})
}

func TestAnswerComesFromTheFirstModel(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, nil)
		req := request()
		req.MaxTokens, req.ThinkingTokens = 999_999, 0
		res, err := f.Call(t.Context(), asking(llm.Investigation, alert.High), req)
		if err != nil || res.Response.Text != "ok" || res.Used.Model != "claude-sonnet-5-5" || len(res.Attempts) != 1 || res.Cost != 7 {
			t.Fatalf("%+v, %v", res, err)
		}
		got := f.first.asked[0]
		if got.Model != "claude-sonnet-5-5" || got.MaxTokens != 8192 || got.ThinkingTokens != 4096 || got.System != req.System {
			t.Errorf("%+v", got)
		}
		c := f.meter.claims[0]
		if c.Model.Model != "claude-sonnet-5-5" || c.Output != 8192 || c.Prompt != registry.PromptBound(&req) || c.Again ||
			c.Tenant != "acme" || c.Investigation != "inv-1" || c.Tier != registry.T1 {
			t.Errorf("%+v", c)
		}
		if f.meter.booked != 1 || len(f.told()) != 0 {
			t.Errorf("%+v, %v", f.meter, f.told())
		}
		f.settled(t)
	})
}

func TestRetriesBackOffAndEnd(t *testing.T) {
	for _, kind := range []llm.Kind{llm.KindRate, llm.KindOverloaded, llm.KindServer, llm.KindNetwork, llm.KindCut, llm.KindUnreadable} {
		inTime(t, func(t *testing.T) {
			f := newFixture(t, nil)
			var at []time.Time
			f.first.do = func(context.Context, int, *llm.Request) (*llm.Response, error) {
				at = append(at, time.Now())
				return nil, &llm.Error{Kind: kind}
			}
			res, err := f.Call(t.Context(), asking(llm.Investigation, alert.High), request())
			if err != nil || res.Used.Provider != "openai" || len(at) != 4 || len(res.Attempts) != 5 {
				t.Fatalf("%s: %+v, %v after %d calls", kind, res, err, len(at))
			}
			for i, want := range []time.Duration{1125 * time.Millisecond, 2250 * time.Millisecond, 4500 * time.Millisecond} {
				if got := at[i+1].Sub(at[i]); got != want {
					t.Errorf("%s: waited %s before retry %d, want %s", kind, got, i+1, want)
				}
			}
			again := 0
			for _, c := range f.meter.claims {
				if c.Again {
					again++
				}
			}
			if last := f.meter.claims[4]; last.Model.Model != "gpt-4o" || again != 4 || f.meter.failed != 4 || f.meter.booked != 1 || res.Cost != 35 {
				t.Errorf("%s: %+v, cost %d", kind, f.meter, res.Cost)
			}
			f.settled(t)
		})
	}
}

func TestC1C14SomeErrorsAreNeverRetried(t *testing.T) {
	for _, kind := range []llm.Kind{llm.KindSpend, llm.KindAuth, llm.KindRequest, llm.KindTooLong} {
		inTime(t, func(t *testing.T) {
			f := newFixture(t, nil)
			f.first.do = failing(kind)
			for i := range 3 {
				start := time.Now()
				res, err := f.Call(t.Context(), asking(llm.Investigation, alert.High), request())
				if err != nil || res.Used.Provider != "openai" || f.first.calls() != i+1 || time.Since(start) != 0 {
					t.Fatalf("%s: %+v, %v", kind, res, err)
				}
			}
			alarms := f.told(ProviderAuthFailed, ProviderSpendLimit)
			if want := kind == llm.KindSpend || kind == llm.KindAuth; want != (len(alarms) == 1) {
				t.Errorf("%s: alarms %v", kind, alarms)
			}
			f.settled(t)
		})
	}
}

func TestC14NewKeyIsPickedUp(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.first.do = failing(llm.KindAuth)
		for range 6 {
			if _, err := f.Call(t.Context(), asking(llm.Investigation, alert.High), request()); err != nil {
				t.Fatal(err)
			}
		}
		if f.first.calls() != 5 {
			t.Errorf("asked %d times with a bad key", f.first.calls())
		}
		f.first.script(nil) // the key is right now
		time.Sleep(30 * time.Second)
		res, err := f.Call(t.Context(), asking(llm.Investigation, alert.High), request())
		if err != nil || res.Used.Provider != "anthropic" {
			t.Errorf("%+v, %v", res, err)
		}
		f.first.script(failing(llm.KindAuth))
		if _, err := f.Call(t.Context(), asking(llm.Investigation, alert.High), request()); err != nil {
			t.Fatal(err)
		}
		if alarms := f.told(ProviderAuthFailed); len(alarms) != 2 {
			t.Errorf("alarms %v, want one for each time that the key went bad", alarms)
		}
	})
}

func TestC1RetryAfterIsHeededByAllCallers(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, func(c *Config) { c.Providers = c.Providers[:1] })
		start := time.Now()
		f.first.do = func(_ context.Context, n int, r *llm.Request) (*llm.Response, error) {
			if n == 0 {
				return nil, &llm.Error{Kind: llm.KindRate, RetryAfter: 20 * time.Second}
			}
			if since := time.Since(start); since < 20*time.Second {
				t.Errorf("asked again after %s", since)
			}
			return answer(r), nil
		}
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Second)
				if _, err := f.Call(t.Context(), asking(llm.Investigation, alert.High), request()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if since := time.Since(start); since > 22*time.Second {
			t.Errorf("took %s", since)
		}
		f.settled(t)
	})
}

func TestC1RetryAfterIsHeededByWhoWaitsForItsTurn(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, nil)
		var told time.Time
		f.first.do = func(_ context.Context, n int, r *llm.Request) (*llm.Response, error) {
			if n == 0 {
				time.Sleep(5 * time.Second)
				told = time.Now()
				return nil, &llm.Error{Kind: llm.KindRate, RetryAfter: 20 * time.Second}
			}
			if since := time.Since(told); since < 20*time.Second {
				t.Errorf("asked again after %s", since)
			}
			return answer(r), nil
		}
		var wg sync.WaitGroup
		for range 3 { // the queue has one turn
			wg.Go(func() {
				if res, err := f.Call(t.Context(), asking(llm.Investigation, alert.Low), request()); err != nil || res.Used.Provider != "anthropic" {
					t.Errorf("%+v, %v", res, err)
				}
			})
		}
		wg.Wait()
		f.settled(t)
	})
}

func TestC1LongRetryAfterMeansNotNow(t *testing.T) {
	for name, c := range map[string]struct {
		after   time.Duration
		budget  int64
		timeout time.Duration
		second  bool
		takes   time.Duration
	}{
		"an hour, no deadline":            {after: time.Hour},
		"longer than the budget":          {after: 10 * time.Second, budget: 9000},
		"longer than the deadline":        {after: 10 * time.Second, timeout: 9 * time.Second},
		"longer than the other's as well": {after: time.Hour, second: true},
	} {
		inTime(t, func(t *testing.T) {
			f := newFixture(t, func(cfg *Config) {
				if !c.second {
					cfg.Providers = cfg.Providers[:1]
				}
			})
			f.first.do = func(context.Context, int, *llm.Request) (*llm.Response, error) {
				return nil, &llm.Error{Kind: llm.KindRate, RetryAfter: c.after}
			}
			f.second.do = f.first.do
			ctx := t.Context()
			if c.timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.timeout)
				defer cancel()
			}
			a := asking(llm.Investigation, alert.High)
			a.BudgetMS = c.budget
			start := time.Now()
			_, err := f.Call(ctx, a, request())
			e := wrongly(t, err)
			if !errors.Is(err, ErrNotNow) || errors.Is(err, ErrNoModel) || e.After < c.after || time.Since(start) != 0 || llm.KindOf(err) != llm.KindRate {
				t.Errorf("%s: %v, after %s, took %s", name, err, e.After, time.Since(start))
			}
			if f.first.calls() != 1 {
				t.Errorf("%s: asked %d times", name, f.first.calls())
			}
		})
	}
}

func TestLongRetryAfterFallsBackAndComesBack(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.first.do = func(_ context.Context, n int, r *llm.Request) (*llm.Response, error) {
			if n == 0 {
				return nil, &llm.Error{Kind: llm.KindRate, RetryAfter: time.Hour}
			}
			return answer(r), nil
		}
		for range 3 {
			if res, err := f.Call(t.Context(), asking(llm.Investigation, alert.High), request()); err != nil || res.Used.Provider != "openai" {
				t.Fatalf("%+v, %v", res, err)
			}
		}
		if f.first.calls() != 1 || f.Level() != Secondary {
			t.Errorf("asked %d times, level %s", f.first.calls(), f.Level())
		}
		time.Sleep(time.Hour)
		if res, err := f.Call(t.Context(), asking(llm.Investigation, alert.High), request()); err != nil || res.Used.Provider != "anthropic" {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

func TestC3AttemptsHaveATimeLimitAndCallersADeadline(t *testing.T) {
	hang := func(ctx context.Context, _ int, _ *llm.Request) (*llm.Response, error) {
		<-ctx.Done()
		return nil, &llm.Error{Kind: llm.KindCanceled, Err: ctx.Err()}
	}
	inTime(t, func(t *testing.T) { // the limit of the attempt is the provider's fault
		f := newFixture(t, nil)
		f.first.do = hang
		res, err := f.Call(t.Context(), asking(llm.IOCExtraction, alert.High), request())
		if err != nil || res.Used.Provider != "openai" || res.Attempts[0].Kind != llm.KindTimeout || res.Attempts[0].TookMS != 15_000 || len(res.Attempts) != 2 {
			t.Fatalf("%+v, %v", res, err)
		}
		if s := f.Status().Providers[0]; s.Attempts != 1 || s.Worked != 0 {
			t.Errorf("%+v", s)
		}
	})
	inTime(t, func(t *testing.T) { // the caller's is not
		f := newFixture(t, nil)
		f.first.do = hang
		a := asking(llm.Investigation, alert.High)
		a.BudgetMS = 5000
		start := time.Now()
		for range 10 {
			if _, err := f.Call(t.Context(), a, request()); !errors.Is(err, ErrNotNow) || llm.KindOf(err) != llm.KindCanceled {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != 50*time.Second || f.second.calls() != 0 || len(f.told()) != 0 {
			t.Errorf("took %s, %v", took, f.told())
		}
		f.settled(t)
	})
	inTime(t, func(t *testing.T) { // nor is its change of mind
		f := newFixture(t, nil)
		f.first.do = hang
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := f.Call(ctx, asking(llm.Investigation, alert.High), request()); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNoModel) || errors.Is(err, ErrNotNow) {
			t.Fatal(err)
		}
		f.settled(t)
	})
}

func TestModelsThatFailedTheCallerAreLeftOut(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, func(c *Config) { c.HourCache = true })
		a := asking(llm.Investigation, alert.High)
		a.Not = []registry.Ref{{Provider: "anthropic", Model: "claude-sonnet-5-5"}}
		res, err := f.Call(t.Context(), a, request())
		if err != nil || res.Used.Model != "gpt-4o" || f.first.calls() != 0 || !f.meter.claims[0].Terms.Hour {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

func TestAbsurdRetryAfterEnds(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.first.do = func(_ context.Context, n int, r *llm.Request) (*llm.Response, error) {
			if n == 0 {
				return nil, &llm.Error{Kind: llm.KindRate, RetryAfter: 1 << 62}
			}
			return answer(r), nil
		}
		_, _ = f.Call(t.Context(), asking(llm.Investigation, alert.High), request())
		time.Sleep(24 * time.Hour)
		if res, err := f.Call(t.Context(), asking(llm.Investigation, alert.High), request()); err != nil || res.Used.Provider != "anthropic" {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

func TestMeterDecides(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, nil)
		no := &spend.Refusal{Cap: spend.MonthMoney, FreeAt: time.Now().Add(72 * time.Hour)}
		f.meter.refuse = func(spend.Claim) error { return no }
		_, err := f.Call(t.Context(), asking(llm.Investigation, alert.High), request())
		if e := wrongly(t, err); !errors.Is(err, spend.ErrCap) || errors.Is(err, ErrNoModel) || e.After != 72*time.Hour {
			t.Errorf("%v, after %s", err, e.After)
		}
		f.meter.refuse = func(spend.Claim) error { return &spend.Refusal{Cap: spend.TenantHourCalls} }
		if _, err := f.Call(t.Context(), asking(llm.Investigation, alert.High), request()); !errors.Is(err, spend.ErrQuota) {
			t.Error(err)
		}
		f.meter.refuse = func(spend.Claim) error { return fmt.Errorf("reserve: %w", store.ErrUnavailable) }
		if _, err := f.Call(t.Context(), asking(llm.Investigation, alert.High), request()); !errors.Is(err, store.ErrUnavailable) {
			t.Error(err)
		}
		if f.first.calls()+f.second.calls() != 0 {
			t.Errorf("a provider was asked all the same")
		}
		// A price that is missing for one model is no reason not to ask the other.
		f.meter.refuse = func(c spend.Claim) error {
			if c.Model.Provider == "anthropic" {
				return registry.ErrNoPrice
			}
			return nil
		}
		res, err := f.Call(t.Context(), asking(llm.Investigation, alert.High), request())
		if err != nil || res.Used.Provider != "openai" || f.first.calls() != 0 || res.Attempts[0].Made {
			t.Errorf("%+v, %v", res, err)
		}
		f.settled(t)
	})
}

func TestStreamNumbersItsAttempts(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.first.do = func(_ context.Context, n int, r *llm.Request) (*llm.Response, error) {
			if n == 0 {
				return nil, &llm.Error{Kind: llm.KindCut}
			}
			return answer(r), nil
		}
		var got []string
		res, err := f.Stream(t.Context(), asking(llm.Investigation, alert.High), request(), func(n int, s string) { got = append(got, fmt.Sprint(n, s)) })
		if err != nil || res.Response.Text != "ok" || strings.Join(got, "|") != "0half |1half |1whole" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestOddProvidersDoNotEndTheProgram(t *testing.T) {
	for name, do := range map[string]func(context.Context, int, *llm.Request) (*llm.Response, error){
		"panics":        func(context.Context, int, *llm.Request) (*llm.Response, error) { panic("index out of range") },
		"says nothing":  func(context.Context, int, *llm.Request) (*llm.Response, error) { return nil, nil },
		"another error": func(context.Context, int, *llm.Request) (*llm.Response, error) { return nil, errors.New("odd") },
		"wrapped errors": func(context.Context, int, *llm.Request) (*llm.Response, error) {
			return nil, fmt.Errorf("x: %w", &llm.Error{Kind: llm.KindServer})
		},
	} {
		inTime(t, func(t *testing.T) {
			f := newFixture(t, nil)
			f.first.do, f.second.do = do, do
			_, err := f.Call(t.Context(), asking(llm.Investigation, alert.High), request())
			if e := wrongly(t, err); !errors.Is(err, ErrNoModel) || llm.KindOf(err) == "" || len(e.Attempts) != 8 {
				t.Errorf("%s: %v", name, err)
			}
			f.settled(t)
		})
	}
}

func TestNoProviderIsAChoice(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, func(c *Config) { c.Providers = nil })
		_, err := f.Call(t.Context(), asking(llm.Investigation, alert.High), request())
		if e := wrongly(t, err); !errors.Is(err, ErrNoModel) || e.Decision.Refused != RefusedNoModel || f.Level() != Full {
			t.Errorf("%v, level %s", err, f.Level())
		}
		if _, err := f.Call(t.Context(), Ask{}, request()); !errors.Is(err, ErrAsk) {
			t.Error(err)
		}
	})
}

func TestTenEscalationsAnHour(t *testing.T) {
	inTime(t, func(t *testing.T) {
		low := 0.3
		a := asking(llm.Investigation, alert.Critical)
		a.Confidence = &low
		f := newFixture(t, func(c *Config) {
			c.Escalated = []time.Time{time.Now().Add(-59 * time.Minute), time.Now().Add(-2 * time.Hour)}
		})
		lifted := func(n int) (count int) {
			var mu sync.Mutex
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					res, err := f.Call(t.Context(), a, request())
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					defer mu.Unlock()
					if res.Decision.Tier == registry.T1Plus {
						count++
					}
				})
			}
			wg.Wait()
			return count
		}
		_ = f.Route(a) // asking what would be is free
		if n := lifted(30); n != 9 {
			t.Errorf("%d calls were lifted, want 9: one of the last hour is remembered", n)
		}
		time.Sleep(61 * time.Second)
		if n := lifted(5); n != 1 {
			t.Errorf("%d calls were lifted, want the one that is free again", n)
		}
	})
}

func TestQueuesBoundWhatRunsAtOnce(t *testing.T) {
	for sev, want := range map[alert.Severity]int64{alert.Critical: 8, alert.High: 4, alert.Medium: 2, alert.Low: 1, alert.Informational: 1} {
		inTime(t, func(t *testing.T) {
			f := newFixture(t, nil)
			var running, most atomic.Int64
			f.first.do = func(_ context.Context, _ int, r *llm.Request) (*llm.Response, error) {
				n := running.Add(1)
				defer running.Add(-1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(time.Second)
				return answer(r), nil
			}
			var wg sync.WaitGroup
			for range 16 {
				wg.Go(func() {
					if _, err := f.Call(t.Context(), asking(llm.IOCExtraction, sev), request()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if most.Load() != want {
				t.Errorf("%s: %d at once, want %d", sev, most.Load(), want)
			}
		})
	}
}

func TestFloodOfOneQueueDoesNotHoldUpAnother(t *testing.T) {
	inTime(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.first.do = func(_ context.Context, _ int, r *llm.Request) (*llm.Response, error) {
			time.Sleep(10 * time.Second)
			return answer(r), nil
		}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { _, _ = f.Call(t.Context(), asking(llm.IOCExtraction, alert.Low), request()) })
		}
		synctest.Wait()
		start := time.Now()
		if _, err := f.Call(t.Context(), asking(llm.IOCExtraction, alert.Critical), request()); err != nil || time.Since(start) != 10*time.Second {
			t.Errorf("a critical call took %s, %v", time.Since(start), err)
		}
		wg.Wait()
	})
}

func TestQueuesBoundWhatBeginsInAMinute(t *testing.T) {
	for sev, want := range map[alert.Severity]int{alert.Critical: 200, alert.High: 100, alert.Medium: 50, alert.Low: 20} {
		inTime(t, func(t *testing.T) {
			f := newFixture(t, nil)
			var at []time.Time
			f.first.do = func(_ context.Context, _ int, r *llm.Request) (*llm.Response, error) {
				f.mu.Lock()
				at = append(at, time.Now())
				f.mu.Unlock()
				time.Sleep(100 * time.Millisecond)
				return answer(r), nil
			}
			var wg sync.WaitGroup
			for range 3 * want {
				wg.Go(func() { _, _ = f.Call(t.Context(), asking(llm.IOCExtraction, sev), request()) })
			}
			wg.Wait()
			slices.SortFunc(at, time.Time.Compare)
			for i := want; i < len(at); i++ {
				if at[i].Sub(at[i-want]) < time.Minute {
					t.Fatalf("%s: more than %d calls in %s", sev, want, at[i].Sub(at[i-want]))
				}
			}
			if took := at[len(at)-1].Sub(at[0]); len(at) != 3*want || took > 3*time.Minute {
				t.Errorf("%s: %d calls took %s", sev, len(at), took)
			}
			// Who cannot wait for a minute is told at once.
			a := asking(llm.IOCExtraction, sev)
			a.BudgetMS = 1000
			for range want {
				if _, err := f.Call(t.Context(), a, request()); err != nil {
					if !errors.Is(err, ErrNotNow) {
						t.Error(err)
					}
					return
				}
			}
			t.Errorf("%s: %d calls found room", sev, want)
		})
	}
}

func TestAnUnhurriedQueueNeverWaits(t *testing.T) {
	inTime(t, func(t *testing.T) {
		q := newQueue(clock.System{}, QueueLimit{Concurrent: 1, PerMinute: Unhurried})
		start := time.Now()
		for range 10_000 {
			if err := q.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
			q.leave()
		}
		if took := time.Since(start); took != 0 || len(q.last) != 0 {
			t.Errorf("10,000 turns took %s and left %d times behind", took, len(q.last))
		}
	})
}

// TestC2OneInTenFails makes 10,000 calls at providers of which one call in ten fails.
func TestC2OneInTenFails(t *testing.T) {
	kinds := []llm.Kind{llm.KindOverloaded, llm.KindServer, llm.KindServer, llm.KindOverloaded, llm.KindTimeout, llm.KindNetwork, llm.KindRate}
	inTime(t, func(t *testing.T) {
		f := newFixture(t, func(c *Config) {
			r := rand.New(rand.NewPCG(1, 2))
			var mu sync.Mutex
			c.Random = func() float64 {
				mu.Lock()
				defer mu.Unlock()
				return r.Float64()
			}
			c.Queues = map[Queue]QueueLimit{QueueCritical: {8, 4000}}
		})
		shaky := func(seed uint64) func(context.Context, int, *llm.Request) (*llm.Response, error) {
			r := rand.New(rand.NewPCG(seed, 7))
			var mu sync.Mutex
			return func(_ context.Context, n int, req *llm.Request) (*llm.Response, error) {
				mu.Lock()
				bad := r.IntN(10) == 0
				mu.Unlock()
				time.Sleep(200 * time.Millisecond)
				if bad {
					return nil, &llm.Error{Kind: kinds[n%len(kinds)]}
				}
				return answer(req), nil
			}
		}
		f.first.do, f.second.do = shaky(1), shaky(2)
		const calls = 10_000
		var good atomic.Int64
		work := make(chan struct{}, calls)
		for range calls {
			work <- struct{}{}
		}
		close(work)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range work {
					if _, err := f.Call(t.Context(), asking(llm.IOCExtraction, alert.Critical), request()); err == nil {
						good.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if good.Load() < calls*999/1000 {
			t.Errorf("%d of %d calls were answered", good.Load(), calls)
		}
		if asked := f.first.calls() + f.second.calls(); asked < calls*11/10*99/100 {
			t.Errorf("only %d attempts for %d calls: the providers did not fail", asked, calls)
		}
		if f.meter.booked != int(good.Load()) {
			t.Errorf("%d answers, %d booked", good.Load(), f.meter.booked)
		}
		t.Logf("%d of %d answered, %d attempts, events %v", good.Load(), calls, f.first.calls()+f.second.calls(), f.told())
		f.settled(t)
	})
}

// TestC11RunawayEndsAtItsCaps lets an agent ask for more without end, on a real ledger.
func TestC11RunawayEndsAtItsCaps(t *testing.T) {
	db := dbtest.MustOpen(t, dbtest.Config{Migrations: schema.FS, SQLiteDir: schema.SQLiteDir, PostgresDir: schema.PostgresDir})
	fixed := clockAt(today)
	ledger, err := spend.Open(t.Context(), spend.Config{DB: db, Table: table(t, "", ""), Clock: fixed, Limits: spend.Limits{InvestigationCalls: 40, MonthHard: 3 * registry.Dollar}})
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(c *Config) {
		c.Meter, c.Clock = ledger, fixed
		c.Queues = map[Queue]QueueLimit{QueueCritical: {64, 100_000}}
	})
	var billed atomic.Int64
	f.first.do = func(_ context.Context, _ int, r *llm.Request) (*llm.Response, error) {
		resp := answer(r)
		resp.Usage.Output = int64(r.MaxTokens) // always the longest answer
		cost, err := table(t, "", "").Cost(resp.Usage, registry.Ref{Provider: "anthropic", Model: r.Model}, today, registry.Terms{})
		if err != nil {
			return nil, err
		}
		billed.Add(int64(cost))
		return resp, nil
	}
	var wg sync.WaitGroup
	var refused sync.Map
	for g := range 64 {
		wg.Go(func() {
			a := asking(llm.Investigation, alert.Critical)
			a.Investigation = fmt.Sprint("inv-", g%4)
			for {
				_, err := f.Call(t.Context(), a, request())
				if no, ok := errors.AsType[*spend.Refusal](err); ok {
					refused.Store(no.Cap, true)
					if no.InFlight == 0 {
						return
					}
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	s, err := ledger.Status(t.Context())
	if err != nil || s.Booked > 3*registry.Dollar || int64(s.Booked) != billed.Load() || s.InFlight != 0 || f.first.calls() > 160 {
		t.Errorf("%+v, %v; billed %d in %d calls", s, err, billed.Load(), f.first.calls())
	}
	if _, ok := refused.Load(spend.MonthMoney); !ok || s.Booked < 2*registry.Dollar {
		t.Errorf("the month's cap was not what ended it: %+v", s)
	}
}

type clockAt time.Time

func (c clockAt) Now() time.Time                     { return time.Time(c) }
func (clockAt) NewTimer(d time.Duration) *time.Timer { return time.NewTimer(d) }
