package eval

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/result"
)

func TestWilsonInterval(t *testing.T) {
	for _, c := range []struct {
		count, of       int
		rate, low, high float64
	}{
		// Reference values from the closed formula, rounded: Newcombe 1998 and R's prop.test without correction.
		{0, 25, 0, 0, 0.1332}, {25, 25, 1, 0.8668, 1}, {34, 38, 0.8947, 0.7587, 0.9583}, {81, 263, 0.3080, 0.2553, 0.3662}, {1, 29, 0.0345, 0.0061, 0.1718},
	} {
		r := NewRate(c.count, c.of)
		for _, x := range [][2]float64{{*r.Rate, c.rate}, {*r.Low, c.low}, {*r.High, c.high}} {
			if math.Abs(x[0]-x[1]) > 0.0002 {
				t.Errorf("%d of %d: got %.4f [%.4f, %.4f], want %+v", c.count, c.of, *r.Rate, *r.Low, *r.High, c)
				break
			}
		}
	}
	if r := NewRate(0, 0); r.Rate != nil || r.Low != nil || r.High != nil {
		t.Errorf("nothing out of nothing is unknown, not %v", r)
	}
}

func verdict(id string, c evidence.Classification, p float64) Judged {
	return Judged{Line: result.Line{Result: &result.Result{
		Alert:         result.Alert{ID: id, Source: "wazuh", Analytic: "rule:1", Tenant: "default"},
		Investigation: result.Investigation{ID: "inv-" + id, State: investigate.AwaitingHuman, Classification: c, Probability: p, Cohort: "of the same reason"},
	}}}
}

func TestScore(t *testing.T) {
	type row struct {
		label Label
		c     evidence.Classification
		p     float64
	}
	rows := []row{
		{Positive, evidence.TruePositive, 0.9}, {Positive, evidence.TruePositive, 0.8}, {Positive, evidence.FalsePositive, 0.1},
		{Positive, evidence.Suspicious, 0.7}, {Negative, evidence.TruePositive, 0.8}, {Negative, evidence.BenignTruePositive, 0.2},
		{Negative, evidence.FalsePositive, 0.1}, {Negative, evidence.InvestigationRequired, 0.3}, {Unlabelled, evidence.TruePositive, 1},
	}
	var samples []Sample
	var judged []Judged
	for i, r := range rows {
		samples = append(samples, Sample{Truth: Truth{Label: r.label}})
		judged = append(judged, verdict(string(rune('a'+i)), r.c, r.p))
	}
	judged[2].Line.Investigation.State = investigate.Closed
	f := Score(samples, judged)
	counts := map[string][2]int{
		"missed": {f.Missed.Count, f.Missed.Of}, "recall": {f.Recall.Count, f.Recall.Of}, "false escalation": {f.FalseEscalation.Count, f.FalseEscalation.Of},
		"precision": {f.Precision.Count, f.Precision.Of}, "deferral": {f.Deferral.Count, f.Deferral.Of}, "benign share": {f.BenignShare.Count, f.BenignShare.Of},
		"recall decided": {f.DecidedOnly.Recall.Count, f.DecidedOnly.Recall.Of}, "fpr decided": {f.DecidedOnly.FalsePositiveRate.Count, f.DecidedOnly.FalsePositiveRate.Of},
	}
	want := map[string][2]int{
		"missed": {1, 4}, "recall": {2, 4}, "false escalation": {1, 4}, "precision": {2, 3}, "deferral": {2, 8}, "benign share": {2, 4},
		"recall decided": {2, 3}, "fpr decided": {1, 3},
	}
	if d := cmp.Diff(want, counts); d != "" {
		t.Error(d)
	}
	brier := (0.01 + 0.04 + 0.81 + 0.09 + 0.64 + 0.04 + 0.01 + 0.09) / 8
	cost := (20 + 1 + 0.3*2) / 8
	// Six wait by themselves (the unlabelled one too), one group of benign proposals, one is closed.
	human := 1000 * 6.0 / 9
	if math.Abs(f.Brier-brier) > 1e-9 || math.Abs(f.DecisionCost-cost) > 1e-9 || math.Abs(f.HumanDecisions-human-1000.0/9) > 1e-6 {
		t.Errorf("brier %v want %v, cost %v want %v, human %v", f.Brier, brier, f.DecisionCost, cost, f.HumanDecisions)
	}
	if f.AutoClosedPositives != 1 || f.N != 8 || f.Unlabelled != 1 {
		t.Errorf("%+v", f)
	}
}

// A record that nobody will see is a miss; one that was rejected is seen by a person.
func TestScoreOfRecordsWithoutVerdict(t *testing.T) {
	dropped := Judged{Line: result.Line{Rejection: &result.Rejection{Rejected: result.Rejected{Dropped: true}}}}
	rejected := Judged{Line: result.Line{Rejection: &result.Rejection{}}}
	f := Score([]Sample{{Truth: Truth{Label: Positive}}, {Truth: Truth{Label: Positive}}}, []Judged{dropped, rejected})
	if f.Missed.Count != 1 || f.Deferral.Count != 1 || f.Rejected != 2 {
		t.Errorf("%+v", f)
	}
}

func TestReadLabels(t *testing.T) {
	got, err := ReadLabels(strings.NewReader("\ufeffalert_id,Label,why,step\na,TP,x,entry\nb,benign\n\"c,1\",1,,\nd,False,,\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Truth{"a": {Positive, "entry"}, "b": {Label: Negative}, "c,1": {Label: Positive}, "d": {Label: Negative}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, c := range []struct{ in, says string }{
		{"", "line 1"}, {"x,y\n1,TP\n", "id"}, {"id,label\na,perhaps\n", "line 2"}, {"id,label\na,TP\na,FP\n", "two different labels"},
		{"id,label\n,TP\n", "empty"}, {"id,label\na\n", "shorter"}, {"id,label\n\"a,TP\n", "line"},
	} {
		_, err := ReadLabels(strings.NewReader(c.in))
		var le *LabelError
		if !errors.As(err, &le) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: got %v, want a LabelError with %q", c.in, err, c.says)
		}
	}
}

func FuzzReadLabels(f *testing.F) {
	f.Add("id,label\na,TP\n")
	f.Add("alert_id,label,step\n\"a\"\"b\",0,x\n")
	f.Fuzz(func(t *testing.T, in string) {
		labels, err := ReadLabels(strings.NewReader(in))
		if err == nil && labels == nil {
			t.Error("neither labels nor an error")
		}
	})
}
