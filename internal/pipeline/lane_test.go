package pipeline

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/bus"
)

// TestAFloodGoesIntoTheBulkLane: beyond its share nothing of a sender goes before the rest, until
// it was calm for a while; others and what is critical do not notice.
func TestAFloodGoesIntoTheBulkLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &Intake{Shares: NewShares(clock.System{}, 10)}
		of := func(tenant, source string, s alert.Severity) lane {
			return in.lane(&alert.Alert{TenantID: tenant, Source: source, Severity: s})
		}
		send := func(n int) (within int) {
			for range n {
				if of("a", "wazuh", alert.High) == regular {
					within++
				}
			}
			return within
		}
		if got := send(150); got != 100 {
			t.Errorf("%d of 150 at once were within a share of 10 a second and ten seconds' worth", got)
		}
		if of("a", "wazuh", alert.Critical) != urgent {
			t.Error("a critical alert of a flood is not urgent")
		}
		if of("b", "wazuh", alert.Low) != regular || of("a", "sentinel", alert.Low) != regular {
			t.Error("another tenant or another source pays for the flood")
		}
		for range 20 { // twice its share, on and on
			time.Sleep(time.Second)
			if got := send(20); got != 0 {
				t.Fatalf("%d alerts of a flood that goes on went before the rest", got)
			}
		}
		time.Sleep(4 * time.Second)
		if send(1) != 0 {
			t.Error("the sender was calm for 4 s and goes before the rest again")
		}
		time.Sleep(2 * time.Second)
		if got := send(60); got != 59 {
			t.Errorf("after a rest %d of 60 were within the share, want the 59 that it had saved", got)
		}
	})
}

func TestWithoutSharesThereIsOneLineAndTheUrgentLane(t *testing.T) {
	in := &Intake{}
	if in.lane(&alert.Alert{Severity: alert.High}) != regular || in.lane(&alert.Alert{Severity: alert.Critical}) != urgent {
		t.Error("an intake without shares does not go by severity alone")
	}
}

func TestAParsedAlertStaysInItsLaneUnlessItIsCritical(t *testing.T) {
	for _, l := range lanes {
		if got := l.of(&alert.Alert{Severity: alert.Medium}); got != l {
			t.Errorf("a medium alert of %s went to %s", l.raw, got.normalized)
		}
		if got := l.of(&alert.Alert{Severity: alert.Critical}); got != urgent {
			t.Errorf("a critical alert of %s went to %s", l.raw, got.normalized)
		}
	}
}

// TestBulkStandsAside: while an alert ahead is on its way the bulk lane waits, but not for ever,
// and its batches are small for a second.
func TestBulkStandsAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPrecedence(clock.System{})
		waited := func(l lane) time.Duration {
			begin := time.Now()
			p.aside(t.Context(), l)
			return time.Since(begin)
		}
		fewer := p.limits(bulk).Fewer
		if waited(bulk) != 0 || fewer() <= smallBatch {
			t.Error("the bulk lane is held up by nothing")
		}
		p.begin(regular)
		if waited(regular) != 0 || waited(urgent) != 0 {
			t.Error("a lane ahead stood aside")
		}
		if got := waited(bulk); got != onTheWay {
			t.Errorf("the bulk lane waited %s for an alert that never came to its end, want %s", got, onTheWay)
		}
		p.begin(urgent)
		time.AfterFunc(4*time.Millisecond, func() { p.end(urgent) })
		if got := waited(bulk); got < 4*time.Millisecond || got > 5*time.Millisecond {
			t.Errorf("the bulk lane went on after %s, the urgent alert had its verdict after 4ms", got)
		}
		busy := time.NewTicker(5 * time.Millisecond)
		defer busy.Stop()
		done := make(chan struct{})
		defer close(done)
		go func() {
			for {
				select {
				case <-busy.C:
					p.begin(regular)
				case <-done:
					return
				}
			}
		}()
		time.Sleep(20 * time.Millisecond)
		if got := waited(bulk); got != asideFor {
			t.Errorf("beside a lane that never rests the bulk lane waited %s, want %s", got, asideFor)
		}
		if fewer() != smallBatch {
			t.Error("batches of the bulk lane are not small beside work ahead")
		}
		if ctx := t.Context(); p.sparing(ctx, bulk) == ctx || p.sparing(ctx, regular) != ctx {
			t.Error("beside work ahead it is not the bulk lane, and it alone, that leaves a processor")
		}
		busy.Stop()
		time.Sleep(smallFor + time.Millisecond)
		if ctx := t.Context(); fewer() <= smallBatch || p.sparing(ctx, bulk) != ctx {
			t.Error("batches stay small, or on fewer processors, although nothing is ahead any more")
		}
		if p.limits(urgent).Fewer != nil {
			t.Error("a lane ahead is limited")
		}
		p.begin(bulk)
		if waited(bulk) != 0 {
			t.Error("the bulk lane waits for itself")
		}
	})
}

// absent is an object store that does not answer the first reads.
type absent struct {
	blob.Store
	failures int
	asked    func() // before each answer
}

func (a *absent) Get(context.Context, string, string) ([]byte, error) {
	if a.asked != nil {
		a.asked()
	}
	if a.failures--; a.failures >= 0 {
		return nil, blob.ErrUnavailable
	}
	return []byte(`{}`), nil
}

// stored is a record whose native bytes lie in the object store.
func stored(t *testing.T, id string) bus.Record {
	t.Helper()
	b, err := alert.AppendFrame(nil, &alert.Message{Alert: alert.Alert{ID: id, Source: "test", TenantID: "a", Severity: alert.High}, RawRef: "sha256:" + strings.Repeat("0", 64), Fingerprint: "fp1:" + id})
	if err != nil {
		t.Fatal(err)
	}
	return bus.Record{Key: []byte(id), Value: b, Headers: tenantHeader("a")}
}

// TestWhatNeedsAnAbsentObjectHoldsUpNobody: on the lanes ahead it goes to the bulk lane as it came,
// where it is waited for; its neighbours go on.
func TestWhatNeedsAnAbsentObjectHoldsUpNobody(t *testing.T) {
	fields := func(string, []byte) (alert.Fields, error) { return alert.Fields{}, nil }
	for _, l := range lanes {
		t.Run("parser "+l.raw, func(t *testing.T) {
			p := &Parser{Stage: Stage{Clock: hasty{}, Log: slog.New(slog.DiscardHandler)}, Entities: swelling(1), Fields: fields}
			p.Blobs = &absent{failures: 3, asked: func() {
				if !p.Ready() {
					t.Error("an object store that is away closes the intake")
				}
			}}
			rec := stored(t, "1")
			work, err := p.parse(t.Context(), l, bus.Batch{Records: []bus.Record{rec, frame(t, "2")}})
			if err != nil || len(work.out) != 2 || len(work.letters) != 0 {
				t.Fatalf("%v: %+v", err, work)
			}
			moved := bus.Record{Topic: bus.AlertsRawBulk, Key: rec.Key, Value: rec.Value, Headers: rec.Headers}
			if got := reflect.DeepEqual(work.out[0], moved); got != l.ahead {
				t.Errorf("moved to the bulk lane: %v; %+v", got, work.out[0])
			}
			if !l.ahead && work.out[0].Topic != l.normalized || work.out[1].Topic != l.normalized {
				t.Errorf("went to %s and %s", work.out[0].Topic, work.out[1].Topic)
			}
		})
	}
}

// The orchestrator does the same, and gives the alert its verdict when the object is there again.
func TestAVerdictWaitsForItsObjectInTheBulkLane(t *testing.T) {
	p := openPath(t, weights{})
	p.Blobs = &absent{failures: 2}
	rec := stored(t, "1")
	rec.Topic = bus.AlertsNormalized
	if err := p.Bus.Produce(t.Context(), []bus.Record{rec, normalised(t, "2", "two")}); err != nil {
		t.Fatal(err)
	}
	p.run(t, 2)
	for _, id := range []string{"1", "2"} {
		if _, err := p.Engine.Locate(t.Context(), "a", "test", id); err != nil {
			t.Errorf("alert %s: %v", id, err)
		}
	}
}

// While it waits, whoever changes what verdicts rest on is not held up, and so neither are the lanes
// that would wait behind them.
func TestWaitingForAnObjectHoldsNothing(t *testing.T) {
	p := openPath(t, weights{})
	p.Steady = new(sync.RWMutex)
	asked := 0
	p.Blobs = &absent{failures: 3, asked: func() {
		asked++
		if !p.Steady.TryLock() {
			t.Error("knowledge cannot change while a batch waits for its objects")
			return
		}
		p.Steady.Unlock()
	}}
	rec := stored(t, "1")
	rec.Topic = bus.AlertsNormalizedBulk
	if err := p.Bus.Produce(t.Context(), []bus.Record{rec}); err != nil {
		t.Fatal(err)
	}
	p.run(t, 1)
	if asked < 4 {
		t.Errorf("asked %d times", asked)
	}
}
