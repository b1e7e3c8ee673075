package prior

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/reason"
)

var now = time.Date(2026, 3, 2, 7, 30, 0, 0, time.UTC)

const dayLong = 24 * time.Hour

func judged(actor string, malicious bool, age time.Duration) Judgement {
	return Judgement{Tenant: "default", Source: "wazuh", Analytic: "suricata:2010935", Severity: alert.High, Actor: actor, Malicious: malicious, At: now.Add(-age)}
}

// many makes n judgements by as many accounts.
func many(n int, malicious bool, age time.Duration) []Judgement {
	out := make([]Judgement, n)
	for i := range out {
		out[i] = judged(fmt.Sprintf("analyst-%d", i), malicious, age)
	}
	return out
}

func bits(list []Judgement, s alert.Severity) float64 {
	return Fit(list, now).Prior("default", "wazuh", "suricata:2010935", s).Bits
}

func moved(list []Judgement, s alert.Severity) float64 {
	return bits(list, s) - reason.SeverityPrior(s).Bits
}

func judgements() *rapid.Generator[[]Judgement] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Judgement {
		j := judged(rapid.SampledFrom([]string{"ada", "Ada ", "bo", "cy"}).Draw(t, "actor"), rapid.Bool().Draw(t, "malicious"),
			time.Duration(rapid.IntRange(-48, 5000).Draw(t, "hours"))*time.Hour)
		j.Analytic = rapid.SampledFrom([]string{"suricata:2010935", "sigma:x"}).Draw(t, "analytic")
		return j
	}), 0, 60)
}

func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := judgements().Draw(t, "list")
		other := rapid.Permutation(list).Draw(t, "order")
		a, err := Fit(list, now).Encode()
		if err != nil {
			t.Fatal(err)
		}
		b, err := Fit(other, now).Encode()
		if err != nil || !bytes.Equal(a, b) {
			t.Fatalf("%v\n%s\n%s", err, a, b)
		}
	})
}

func TestOneAccountMovesOneBitADay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		others := judgements().Draw(t, "others")
		at := time.Duration(rapid.IntRange(0, 200).Draw(t, "age")) * dayLong
		all := slices.Clone(others)
		for range rapid.IntRange(1, 300).Draw(t, "n") {
			all = append(all, judged("mallory", rapid.Bool().Draw(t, "malicious"), at))
		}
		for _, s := range alert.Severities() {
			if d := math.Abs(bits(all, s) - bits(others, s)); d > Step+2e-6 {
				t.Fatalf("moved by %.3f bits at %s", d, s)
			}
		}
	})
}

func TestTheBoundOfADayIsReached(t *testing.T) {
	var list []Judgement
	for range 500 {
		list = append(list, judged("mallory", false, time.Hour))
	}
	if m := moved(list, alert.High); math.Abs(m+1) > 1e-5 {
		t.Errorf("500 verdicts of one account in a day moved by %.4f bits, want -1", m)
	}
	list = append(list, judged("MALLORY", false, time.Hour))
	if m := moved(list, alert.High); math.Abs(m+1) > 1e-5 {
		t.Errorf("another spelling of the account moved on, to %.4f", m)
	}
}

func TestTheCapHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 400).Draw(t, "n")
		list := many(n, rapid.Bool().Draw(t, "malicious"), 0)
		list = append(list, judgements().Draw(t, "more")...)
		for _, s := range alert.Severities() {
			if m := moved(list, s); math.Abs(m) > Cap+2e-6 {
				t.Fatalf("moved by %.4f bits at %s", m, s)
			}
		}
	})
	for malicious, want := range map[bool]float64{true: 2, false: -2} {
		if m := moved(many(400, malicious, 0), alert.High); math.Abs(m-want) > 1e-5 {
			t.Errorf("400 verdicts moved by %.4f, want %+.0f", m, want)
		}
	}
}

func TestMoreConsistentVerdictsMoveFurther(t *testing.T) {
	for _, malicious := range []bool{true, false} {
		last := 0.0
		for n := 1; n <= 6; n++ {
			m := moved(many(n, malicious, 0), alert.High)
			if malicious != (m > 0) || math.Abs(m) < math.Abs(last) || math.Abs(m) == math.Abs(last) && math.Abs(m) < Cap-1e-5 {
				t.Errorf("%d verdicts (malicious: %v) moved by %.4f, %d by %.4f", n-1, malicious, last, n, m)
			}
			last = m
		}
	}
	same := moved(many(6, false, 0), alert.High)
	mixed := moved(append(many(6, false, 0), judged("zoe", true, 0), judged("yan", true, 0)), alert.High)
	if !(same < mixed && mixed < 0) {
		t.Errorf("six of one mind moved by %.3f, six against two by %.3f", same, mixed)
	}
}

func TestOldVerdictsFade(t *testing.T) {
	last := math.Inf(1)
	for _, age := range []time.Duration{0, 30 * dayLong, 90 * dayLong, 360 * dayLong, Horizon} {
		m := math.Abs(moved(many(3, false, age), alert.High))
		if m >= last {
			t.Errorf("at an age of %s they still move by %.4f, before %.4f", age, m, last)
		}
		last = m
	}
	if last > 0.01 {
		t.Errorf("past the horizon they still move by %.4f", last)
	}
	// After a half-life two verdicts weigh one.
	if a, b := moved(many(2, false, HalfLife*dayLong), alert.High), moved(many(1, false, 0), alert.High); math.Abs(a-b) > 1e-5 {
		t.Errorf("two after a half-life move by %.5f, one now by %.5f", a, b)
	}
}

func TestSmoothingIsTowardsTheSeverity(t *testing.T) {
	// One benign verdict against a prior of strength 4 at one in three.
	want := math.Log2((4.0 / 3) / (8.0/3 + 1))
	if got := bits(many(1, false, 0), alert.High); math.Abs(got-want) > 1e-5 {
		t.Errorf("got %.6f, want %.6f", got, want)
	}
}

func TestOtherAnalyticsAndTenantsStay(t *testing.T) {
	s := Fit(many(20, false, 0), now)
	for _, k := range []key{{"other", "wazuh", "suricata:2010935"}, {"default", "splunk", "suricata:2010935"}, {"default", "wazuh", "x"}, {}} {
		if got := s.Prior(k.tenant, k.source, k.analytic, alert.High); got != reason.SeverityPrior(alert.High) {
			t.Errorf("%v: %+v", k, got)
		}
	}
}

func item(id string, w float64) evidence.Evidence {
	e := evidence.Evidence{ID: id, Kind: id, Weight: w, Stance: evidence.For}
	if w < 0 {
		e.Stance = evidence.Against
	}
	return e
}

// poisoned is the prior after 5,000 benign verdicts on one carrier, by many accounts on many days.
func poisoned() *Snapshot {
	list := make([]Judgement, 5000)
	for i := range list {
		list[i] = judged(fmt.Sprintf("bot-%d", i%50), false, time.Duration(i%60)*dayLong)
	}
	return Fit(list, now)
}

func TestPoisoningChangesNoStrongVerdict(t *testing.T) {
	s := poisoned()
	for _, severity := range alert.Severities() {
		p := s.Prior("default", "wazuh", "suricata:2010935", severity)
		if m := p.Bits - reason.SeverityPrior(severity).Bits; m < -Cap-1e-5 || m > 0 {
			t.Errorf("%s: moved by %.3f", severity, m)
		}
	}
	th := reason.DefaultThresholds()
	rapid.Check(t, func(t *rapid.T) {
		items := []evidence.Evidence{item("strong", rapid.Float64Range(3, 6).Draw(t, "strong"))}
		for i := range rapid.IntRange(0, 5).Draw(t, "n") {
			e := item(fmt.Sprint("more", i), rapid.Float64Range(-6, 6).Draw(t, "weight"))
			e.Expected = e.Weight < 0 && rapid.Bool().Draw(t, "expected")
			items = append(items, e)
		}
		severity := rapid.SampledFrom(alert.Severities()).Draw(t, "severity")
		learned := s.Prior("default", "wazuh", "suricata:2010935", severity)
		want := reason.Decide(reason.SeverityPrior(severity), slices.Clone(items), severity, nil, th)
		before := slices.Clone(items)
		guarded := Guard(learned, severity, items, th)
		for i := range items {
			if items[i].Counted != before[i].Counted || items[i].ID != before[i].ID {
				t.Fatal("the evidence changed")
			}
		}
		if got := reason.Decide(guarded, slices.Clone(items), severity, nil, th); got.Classification != want.Classification {
			t.Fatalf("%s became %s", want.Classification, got.Classification)
		}
		// Without the guard an error of the detection is still never claimed.
		if got := reason.Decide(learned, slices.Clone(items), severity, nil, th); got.Classification == evidence.FalsePositive {
			t.Fatalf("%s became %s", want.Classification, got.Classification)
		}
	})
}

func TestGuardLetsWeakEvidenceAndWorsePriorsBe(t *testing.T) {
	th := reason.DefaultThresholds()
	low := poisoned().Prior("default", "wazuh", "suricata:2010935", alert.High)
	high := Fit(many(20, true, 0), now).Prior("default", "wazuh", "suricata:2010935", alert.High)
	for _, tt := range []struct {
		name    string
		learned reason.Prior
		items   []evidence.Evidence
		want    float64
	}{
		{"weak evidence", low, []evidence.Evidence{item("a", 2.9)}, low.Bits},
		{"only benign", low, []evidence.Evidence{item("a", -5)}, low.Bits},
		{"one strong item", low, []evidence.Evidence{item("a", 3)}, -1},
		{"two that make three bits", low, []evidence.Evidence{item("a", 1.5), item("b", 1.5), item("c", -4)}, -1},
		{"worse than the severity", high, []evidence.Evidence{item("a", 5)}, high.Bits},
		{"nothing learned", reason.SeverityPrior(alert.High), []evidence.Evidence{item("a", 5)}, -1},
	} {
		got := Guard(tt.learned, alert.High, tt.items, th)
		if got.Bits != tt.want {
			t.Errorf("%s: %.2f bits, want %.2f", tt.name, got.Bits, tt.want)
		}
		if changed := got.Bits != tt.learned.Bits; changed != strings.Contains(got.Source, "set aside") {
			t.Errorf("%s: says %q", tt.name, got.Source)
		}
	}
}

func TestSourceSaysWhereItComesFrom(t *testing.T) {
	s := Fit(append(many(2, false, 0), judged("zoe", true, 0)), now)
	if got, want := s.Prior("default", "wazuh", "suricata:2010935", alert.High).Source, "learned from 3 verdicts, version "+s.Version(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := s.Prior("default", "wazuh", "other", alert.High).Source; got != "severity high" {
		t.Errorf("got %q", got)
	}
}

func TestVersionIsThatOfTheContent(t *testing.T) {
	a, b := Fit(many(3, false, 0), now), Fit(many(3, false, 0), now.Add(time.Hour))
	if a.Version() != b.Version() {
		t.Error("the hour of the day changed the version")
	}
	if c := Fit(many(4, false, 0), now); c.Version() == a.Version() {
		t.Error("another verdict kept the version")
	}
	if d := Fit(many(3, false, 0), now.Add(48*time.Hour)); d.Version() == a.Version() {
		t.Error("fading kept the version")
	}
}

func TestStoredForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Fit(judgements().Draw(t, "list"), now)
		b, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(b)
		if err != nil || got.Version() != s.Version() || !got.FittedAt().Equal(s.FittedAt()) || got.Len() != s.Len() {
			t.Fatalf("%v: %s read back as %+v", err, b, got)
		}
		for _, severity := range alert.Severities() {
			if got.Prior("default", "wazuh", "sigma:x", severity) != s.Prior("default", "wazuh", "sigma:x", severity) {
				t.Fatal("it answers otherwise")
			}
		}
	})
}

func TestDamageIsNoticed(t *testing.T) {
	b, err := Fit(many(3, false, 0), now).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"no JSON": "{", "other content": strings.Replace(string(b), `"benign":3`, `"benign":4`, 1),
		"beyond the cap": strings.Replace(string(b), `"bits":[`, `"bits":[-9,`, 1), "other version": strings.Replace(string(b), "p1:", "p1:0", 1), "empty": "",
	} {
		if _, err := Decode([]byte(bad)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIncompleteJudgementsTeachNothing(t *testing.T) {
	for _, change := range []func(*Judgement){
		func(j *Judgement) { j.Tenant = "" }, func(j *Judgement) { j.Source = " " }, func(j *Judgement) { j.Analytic = "" },
		func(j *Judgement) { j.Actor = "" }, func(j *Judgement) { j.At = time.Time{} },
	} {
		j := judged("ada", true, 0)
		change(&j)
		if err := j.Check(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", j, err)
		}
		if Fit([]Judgement{j}, now).Len() != 0 {
			t.Errorf("learned from %+v", j)
		}
	}
}

func TestNothingLearned(t *testing.T) {
	var none *Snapshot
	var c Current
	if none.Len() != 0 || none.Version() != Fit(nil, now).Version() || c.Prior("a", "b", "c", alert.Low) != reason.SeverityPrior(alert.Low) || !none.FittedAt().IsZero() {
		t.Error("a nil snapshot is not an empty one")
	}
	if b, err := none.Encode(); err != nil {
		t.Error(err)
	} else if _, err := Decode(b); err != nil {
		t.Error(err)
	}
}

func TestCurrentIsReplacedWhileInUse(t *testing.T) {
	var c Current
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if p := c.Prior("default", "wazuh", "suricata:2010935", alert.High); p.Bits > -1 {
					t.Errorf("got %.2f", p.Bits)
				}
			}
		})
	}
	for n := range 20 {
		c.Replace(Fit(many(n, false, 0), now))
	}
	wg.Wait()
	if c.Snapshot().Len() != 1 {
		t.Error("the last snapshot is not in force")
	}
}

func FuzzDecode(f *testing.F) {
	b, err := Fit(many(3, true, 0), now).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":"p1:","entries":[{}]}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(b)
		if err != nil {
			return
		}
		again, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if x, err := Decode(again); err != nil || x.Version() != s.Version() {
			t.Fatalf("%v: %s", err, again)
		}
	})
}

func BenchmarkPrior(b *testing.B) {
	s := Fit(many(50, false, 0), now)
	b.ReportAllocs()
	for b.Loop() {
		s.Prior("default", "wazuh", "suricata:2010935", alert.High)
	}
}

func BenchmarkFit10000(b *testing.B) {
	list := make([]Judgement, 10000)
	for i := range list {
		list[i] = judged(fmt.Sprint("a", i%20), i%7 == 0, time.Duration(i%300)*dayLong)
		list[i].Analytic = fmt.Sprint("rule-", i%500)
	}
	b.ReportAllocs()
	for b.Loop() {
		Fit(list, now)
	}
}
