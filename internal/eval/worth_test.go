package eval

import (
	"testing"

	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/reason/opinion"
	"github.com/aluskort/aluskort/internal/result"
)

func judgedAs(id string, c evidence.Classification, says evidence.Classification) Judged {
	inv := &investigate.Investigation{ID: id, Verdict: evidence.Verdict{Classification: c}}
	if says != "" {
		inv.Consultation = &investigate.Consultation{Opinion: &opinion.Opinion{Classification: says}, Calls: 1, MicroUSD: 1000}
	}
	r := result.OfInvestigation(inv)
	return Judged{Line: result.Line{Result: &result.Result{Investigation: r}}, Investigation: inv}
}

func TestWorthCountsOnlyWhereAModelIsAsked(t *testing.T) {
	const (
		tp, fp, open, sus = evidence.TruePositive, evidence.FalsePositive, evidence.InvestigationRequired, evidence.Suspicious
	)
	samples := make([]Sample, 7)
	for i, l := range []Label{Positive, Negative, Positive, Negative, Positive, Positive, Negative} {
		samples[i].Label = l
	}
	ids := []string{"a", "b", "c", "d", "e", "f", "g"}
	run := func(list ...[2]evidence.Classification) (out []Judged) {
		for i, x := range list {
			out = append(out, judgedAs(ids[i], x[0], x[1]))
		}
		return out
	}
	type pair = [2]evidence.Classification
	base := run(pair{open}, pair{open}, pair{open}, pair{open}, pair{tp}, pair{open}, pair{fp})
	first := run(pair{tp, tp}, pair{tp, tp}, pair{sus, sus}, pair{open, fp}, pair{tp, tp}, pair{open}, pair{tp, tp})
	second := run(pair{tp, tp}, pair{open, open}, pair{sus, sus}, pair{open, fp}, pair{tp, tp}, pair{open}, pair{tp, tp})
	r := worth(samples, base, [][]Judged{first, second})
	if r.Deferred != 5 || r.Positives != 3 || r.Asked != 4 || r.Answered.Count != 4 {
		t.Errorf("deferred %d (%d attacks), asked %d, answered %d", r.Deferred, r.Positives, r.Asked, r.Answered.Count)
	}
	if r.Decided.Count != 2 || r.Right.Count != 1 || r.Raised.Count != 1 || r.Proposed.Count != 1 || r.ProposedRight.Count != 1 {
		t.Errorf("decided %+v, right %+v, raised %+v, proposed %+v %+v", r.Decided, r.Right, r.Raised, r.Proposed, r.ProposedRight)
	}
	if r.Changed != 1 || r.Flips.Count != 1 || r.Calls != 6 || r.CostPerRight == nil || *r.CostPerRight != 0.006 {
		t.Errorf("changed %d, flips %+v, calls %d, per right decision %v", r.Changed, r.Flips, r.Calls, r.CostPerRight)
	}
}
