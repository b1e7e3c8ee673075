package eval

import (
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/reason"
)

// Of two linked positives one is decided by a rule and lifts the other over the link: without
// the rule both are lost. A third rule decides nothing.
func TestAblateFollowsLinks(t *testing.T) {
	th := reason.DefaultThresholds()
	rule := func(id string, w float64) evidence.Evidence {
		return evidence.Evidence{ID: "rule:" + id, Source: "title " + id, Kind: "k." + id, Stance: evidence.For, Weight: w, Statement: id}
	}
	at := time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)
	inv := func(id string, items ...evidence.Evidence) *investigate.Investigation {
		i := &investigate.Investigation{ID: id, TenantID: "default", Title: id, Evidence: items}
		i.Links = []investigate.LinkKey{{Kind: alert.LinkProcess, Value: "lineage", First: at, Last: at}}
		return i
	}
	anchor, lifted, apart := inv("anchor", rule("strong", 5)), inv("lifted", rule("weak", 1.5)), inv("apart", rule("own", 5), rule("idle", 0.5))
	apart.Links = nil
	r := &Rescorer{Thresholds: th}
	var judged []Judged
	var samples []Sample
	for _, i := range []*investigate.Investigation{anchor, lifted, apart} {
		judged = append(judged, Judged{Investigation: i})
		samples = append(samples, Sample{Truth: Truth{Label: Positive}})
	}
	for id, c := range r.verdicts(newNeighbourhood(judged), all) {
		for _, j := range judged {
			if j.Investigation.ID == id {
				j.Investigation.Verdict.Classification = c
			}
		}
		if c != evidence.TruePositive {
			t.Fatalf("%s is %s: the example does not stand", id, c)
		}
	}
	got := r.Ablate(samples, judged)
	if got.Rules != 4 || got.Unreproduced != 0 {
		t.Errorf("%+v", got)
	}
	lost := map[string]float64{}
	for _, x := range got.Worst {
		lost[x.ID] = x.RecallPoints
	}
	for id, want := range map[string]float64{"strong": -66.67, "own": -33.33, "weak": 0, "idle": 0} {
		if lost[id] != want {
			t.Errorf("without %q recall changes by %v points, want %v", id, lost[id], want)
		}
	}
	if len(got.Above) != 2 {
		t.Errorf("above: %+v", got.Above)
	}
	anchor.Verdict.Classification = evidence.FalsePositive
	if got := r.Ablate(samples, judged); got.Unreproduced != 1 {
		t.Errorf("a stored verdict that does not follow from its evidence went unnoticed: %+v", got)
	}
}
