package orchestrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
)

func withLink(kind alert.LinkKind, value string) func(*alert.Message) {
	return func(m *alert.Message) { m.Alert.Links = []alert.Link{{Kind: kind, Value: value, Ref: "/l"}} }
}

func entitled(title string) func(*alert.Message) {
	return func(m *alert.Message) { m.Alert.Title = title }
}

// settle revises until nothing is left.
func (b *bench) settle() {
	b.t.Helper()
	rounds := 0
	for looked := 1; looked > 0; rounds++ {
		var err error
		if looked, _, err = b.Revise(context.Background()); err != nil || rounds > 1000 {
			b.t.Fatal("revised without end: ", err)
		}
	}
}

// lent lists what links lend to the investigation, in words.
func (b *bench) lent(id string) []string {
	var out []string
	for _, e := range b.get(id).Evidence {
		if strings.HasPrefix(e.Kind, "link.") {
			out = append(out, fmt.Sprintf("%s %g %s", e.ID, e.Counted, e.Statement))
		}
	}
	slices.Sort(out)
	return out
}

// B4: what a sender writes must never make the commit fail for good.
func TestB4HugeTextsDoNotStopTheBatch(t *testing.T) {
	b := open(t)
	huge := strings.Repeat("A", 300<<10)
	out := b.process(message(huge, "huge", "5 k"), message("2", "other", "1 k"))
	if loc, err := b.Locate(context.Background(), "a", "test", huge); err != nil || loc.Investigation != out[0].Investigation {
		t.Errorf("the alert is not found by its id: %+v, %v", loc, err)
	}
	if again := b.process(message(huge, "huge", "5 k")); !again[0].Redelivered {
		t.Error("the alert came again and was not known")
	}
}

// I8: a key that passes the bound within one batch is common for those before the batch too.
func TestI8AKeyThatBecomesCommonWithinABatch(t *testing.T) {
	for _, portion := range []int{1, 7, 1000} {
		t.Run(fmt.Sprint(portion), func(t *testing.T) {
			b := open(t)
			link := withLink(alert.LinkSource, "203.0.113.1")
			child := b.process(message("anchor", "anchor", "5 k", link), message("child", "child", "1 w", link))[1].Investigation
			if len(b.lent(child)) != 1 {
				t.Fatal("nothing lent before")
			}
			var msgs []*alert.Message
			for i := range investigate.MaxNeighbours + 5 {
				msgs = append(msgs, message(fmt.Sprint(i), fmt.Sprint(i), "1 w", link))
			}
			for part := range slices.Chunk(msgs, portion) {
				b.process(part...)
			}
			b.settle()
			if got := b.lent(child); len(got) != 0 {
				t.Errorf("a common key still lends: %v", got)
			}
		})
	}
}

// I8: an anchor lends along every key that its alerts bring, also along those that come later.
func TestI8AnAnchorThatGainsAKeyLendsToThoseBefore(t *testing.T) {
	far := func(m *alert.Message) { m.Alert.Timestamp = start.Add(-59 * time.Minute) }
	msgs := []*alert.Message{
		message("anchor 1", "anchor", "5 k", withLink(alert.LinkProcess, "guid-1")),
		message("child", "child", "1 w", withLink(alert.LinkProcess, "guid-2")),
		message("anchor 2", "anchor", "5 k", withLink(alert.LinkProcess, "guid-2")),
		message("before", "before", "1 w", withLink(alert.LinkProcess, "guid-1"), far),
	}
	for _, order := range [][]int{{0, 1, 2, 3}, {1, 0, 2, 3}, {2, 1, 0, 3}, {3, 0, 1, 2}} {
		b := open(t)
		ids := map[string]string{}
		for _, i := range order {
			ids[msgs[i].Alert.ID] = b.process(msgs[i])[0].Investigation
		}
		b.settle()
		if n := len(b.lent(ids["child"])); n != 1 {
			t.Errorf("order %v: %d links lend to the child, want 1", order, n)
		}
	}
}

// I8: the time in which an anchor carried a key grows; what comes within reach gets its weight.
func TestI8AnAnchorWhoseKeyReachesFurther(t *testing.T) {
	at := func(d time.Duration) func(*alert.Message) {
		return func(m *alert.Message) { m.Alert.Timestamp = start.Truncate(time.Hour).Add(d) }
	}
	session := withLink(alert.LinkSession, "ws-1|1")
	msgs := []*alert.Message{
		message("anchor early", "anchor", "5 k", session, at(0)),
		message("child", "child", "1 w", session, at(90*time.Minute)),
		message("anchor late", "anchor", "5 k", session, at(45*time.Minute)),
	}
	for _, order := range [][]int{{0, 1, 2}, {1, 0, 2}, {2, 0, 1}} {
		b := open(t)
		ids := map[string]string{}
		for _, i := range order {
			ids[msgs[i].Alert.ID] = b.process(msgs[i])[0].Investigation
		}
		b.settle()
		if n := len(b.lent(ids["child"])); n != 1 {
			t.Errorf("order %v: %d links lend to the child, want 1", order, n)
		}
	}
}

// I8: alerts of one fingerprint may be worded differently; which came first must not show.
func TestI8TitlesDoNotDependOnTheOrder(t *testing.T) {
	link := withLink(alert.LinkProcess, "guid")
	msgs := []*alert.Message{
		message("1", "anchor", "5 k", link, entitled("Fifth try")),
		message("2", "anchor", "5 k", link, entitled("Another try")),
		message("3", "child", "1 w", link),
	}
	var want []string
	for i, order := range [][]int{{0, 1, 2}, {1, 0, 2}, {2, 0, 1}, {0, 2, 1}, {1, 2, 0}} {
		b := open(t)
		ids := map[string]string{}
		for _, k := range order {
			ids[msgs[k].Alert.ID] = b.process(msgs[k])[0].Investigation
		}
		b.settle()
		got := append(b.lent(ids["3"]), b.get(ids["1"]).Title)
		if i == 0 {
			want = got
		}
		if !slices.Equal(got, want) {
			t.Errorf("order %v:\n%q, want\n%q", order, got, want)
		}
	}
}

// valuable raises every severity by a step.
type valuable struct{ naming }

func (valuable) Adjust(_ string, s alert.Severity, _ []alert.Entity, _ time.Time) (alert.Severity, string) {
	return s.Raise(), "a crown jewel"
}

func (valuable) Classes(string, []alert.Entity, time.Time) []string { return []string{"crown_jewel"} }

// I6: the gates act on the severity of the investigation, not on the source's word alone.
func TestI6APatternClosesNothingThatAssetsMakeCritical(t *testing.T) {
	s := &shelf{}
	b := withPattern(open(t), s)
	b.cfg.Org = valuable{}
	out := b.process(message("1", "known", "1 k", severity(alert.High)))
	if inv := b.get(out[0].Investigation); inv.State != investigate.AwaitingHuman || inv.Verdict.Severity != alert.Critical || len(s.closed) != 0 {
		t.Errorf("%s, severity %s, %d closures", inv.State, inv.Verdict.Severity, len(s.closed))
	}
}

// I6: native bytes that cannot be read were not checked by anything.
func TestI6APatternClosesNothingThatCouldNotBeRead(t *testing.T) {
	s := &shelf{}
	b := withPattern(open(t), s)
	b.cfg.Fields = func(string, []byte) (alert.Fields, error) { return nil, errors.New("no JSON") }
	out := b.process(message("1", "known", "1 k"))
	inv := b.get(out[0].Investigation)
	if inv.State != investigate.AwaitingHuman || len(s.closed) != 0 {
		t.Errorf("%s, %d closures", inv.State, len(s.closed))
	}
	if !slices.ContainsFunc(inv.Unknowns(), func(u string) bool { return strings.Contains(u, "native record") }) {
		t.Errorf("nothing says that the record was not read: %q", inv.Unknowns())
	}
}

// A burst that is longer than what is looked at of one key counts for its last alert as for its first.
func TestALongBurstCountsToItsEnd(t *testing.T) {
	b := open(t, counting{})
	n := maxOccurrences + 100
	msgs := make([]*alert.Message, n)
	for i := range msgs {
		msgs[i] = message(fmt.Sprint(i), fmt.Sprint(i), "", func(m *alert.Message) {
			m.Alert.Timestamp, m.Alert.Product = start.Add(time.Duration(i)*10*time.Millisecond), "k"
		})
	}
	var out []Outcome
	for part := range slices.Chunk(msgs, 500) {
		out = append(out, b.process(part...)...)
	}
	b.settle()
	for _, i := range []int{0, n / 2, maxOccurrences - 1, maxOccurrences, n - 1} {
		if !slices.ContainsFunc(b.get(out[i].Investigation).Evidence, func(e evidence.Evidence) bool { return e.Kind == "burst" }) {
			t.Errorf("alert %d of %d has no evidence of the burst", i, n)
		}
	}
}

func TestAnotherTenantCannotTellWhetherAnAlertExists(t *testing.T) {
	b := open(t)
	seq := b.process(message("1", "x", "1 k"))[0].Sequence
	_, foreign := b.Alert(context.Background(), "b", seq)
	_, missing := b.Alert(context.Background(), "b", seq+1000)
	if !errors.Is(foreign, ErrNotFound) || !errors.Is(missing, ErrNotFound) {
		t.Errorf("another's: %v; none: %v", foreign, missing)
	}
}
