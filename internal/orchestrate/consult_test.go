package orchestrate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/reason/opinion"
)

// consulting opens an engine that asks a model about what is deferred or severe.
func consulting(t *testing.T) *bench {
	b := open(t)
	policy := opinion.DefaultPolicy()
	b.cfg.Consult = func(inv *investigate.Investigation) bool {
		return policy.Wants(inv.TenantID, &inv.Verdict, inv.Evidence)
	}
	return b
}

func (b *bench) claim(owner string, n int) []Job {
	b.t.Helper()
	jobs, err := b.ClaimJobs(context.Background(), owner, n)
	if err != nil {
		b.t.Fatal(err)
	}
	return jobs
}

func (b *bench) finish(list ...Consulted) {
	b.t.Helper()
	if err := b.FinishJobs(context.Background(), list); err != nil {
		b.t.Fatal(err)
	}
}

func attack(confidence float64, cited ...string) *opinion.Opinion {
	o := &opinion.Opinion{Classification: evidence.TruePositive, Confidence: confidence, Model: "model-a", At: start}
	for _, c := range cited {
		o.Citations = append(o.Citations, opinion.Citation{Evidence: c, Bits: 2, Why: "it fits"})
	}
	return o
}

func TestDeferredVerdictIsDecidedWithAModel(t *testing.T) {
	b := consulting(t)
	out := b.process(message("1", "x", "2 odd,0.5 tool"))
	id := out[0].Investigation
	before := b.get(id)
	if !before.Verdict.Classification.Deferred() || before.State != investigate.AwaitingHuman {
		t.Fatalf("verdict without a model: %s, %s", before.Verdict.Classification, before.State)
	}
	jobs := b.claim("w", 5)
	if len(jobs) != 1 || jobs[0].Investigation.ID != id || jobs[0].Alert.Alert.ID != "1" {
		t.Fatalf("jobs %+v", jobs)
	}
	if again := b.claim("w2", 5); len(again) != 0 {
		t.Fatal("a leased job was claimed twice")
	}
	b.finish(Consulted{Job: jobs[0], Opinion: attack(0.9, "odd", "tool"), Calls: 1, MicroUSD: 1200})
	inv := b.get(id)
	if inv.Verdict.Classification != evidence.TruePositive || inv.Verdict.By != "model-a" || inv.Verdict.Revision != 1 {
		t.Errorf("verdict %+v", inv.Verdict)
	}
	if !strings.Contains(inv.Verdict.Counterfactual, "without the model: ") {
		t.Errorf("counterfactual %q", inv.Verdict.Counterfactual)
	}
	added := 0.0
	for _, e := range inv.Evidence {
		if opinion.IsModel(&e) {
			added += e.Counted
		}
	}
	if added != opinion.MaxBits {
		t.Errorf("the model added %g bits", added)
	}
	if c := inv.Consultation; c.Calls != 1 || c.MicroUSD != 1200 || c.Pending {
		t.Errorf("account %+v", c)
	}
	if len(b.claim("w", 5)) != 0 {
		t.Error("the job is still there")
	}
	if b.events(audit.InvestigationRevised) != 1 {
		t.Errorf("events %v", b.audit.types)
	}
}

func TestBenignOpinionIsAProposal(t *testing.T) {
	b := consulting(t)
	id := b.process(message("1", "x", "2.5 odd"))[0].Investigation
	o := &opinion.Opinion{Classification: evidence.FalsePositive, Confidence: 1, Model: "m", Citations: []opinion.Citation{{Evidence: "odd", Bits: -2, Why: "a scanner does this"}}}
	before := b.get(id)
	b.finish(Consulted{Job: b.claim("w", 1)[0], Opinion: o, Calls: 1})
	inv := b.get(id)
	if inv.Verdict.Classification != before.Verdict.Classification || inv.Verdict.Probability != before.Verdict.Probability {
		t.Errorf("a benign opinion moved the verdict: %+v", inv.Verdict)
	}
	if inv.State != investigate.AwaitingHuman || !slices.ContainsFunc(inv.WaitWhy, func(s string) bool { return strings.Contains(s, "proposes false_positive") }) {
		t.Errorf("%s, %q", inv.State, inv.WaitWhy)
	}
}

func TestModelNeverTouchesWhatAPersonDecided(t *testing.T) {
	b := consulting(t)
	id := b.process(message("1", "x", "2.5 odd"))[0].Investigation
	job := b.claim("w", 1)[0]
	if _, err := b.Conclude(context.Background(), "a", id, evidence.FalsePositive, HumanDecision{Actor: "ada", Reason: "known"}); err != nil {
		t.Fatal(err)
	}
	b.finish(Consulted{Job: job, Opinion: attack(1, "odd"), Calls: 1})
	inv := b.get(id)
	if inv.State != investigate.Closed || inv.Verdict.Classification != evidence.FalsePositive || inv.Verdict.By != "ada" {
		t.Errorf("%s, %+v", inv.State, inv.Verdict)
	}
	if inv.Consultation.Calls != 1 {
		t.Error("what was spent is not in the account")
	}
}

func TestPolicyDecidesWhoIsAskedAbout(t *testing.T) {
	b := consulting(t)
	b.process(message("1", "sure", "6 proof", severity(alert.Low)), message("2", "unsure", "1 odd", severity(alert.Low)),
		message("3", "severe", "6 proof", severity(alert.High)))
	var got []string
	for _, j := range b.claim("w", 10) {
		got = append(got, j.Investigation.Title)
	}
	if want := []string{"title severe", "title unsure"}; !slices.Equal(got, want) {
		t.Errorf("asked about %q, want %q, most urgent first", got, want)
	}
}

func TestRepeatsAreNotAskedAboutAgain(t *testing.T) {
	b := consulting(t)
	id := b.process(message("1", "x", "2.5 odd"))[0].Investigation
	b.finish(Consulted{Job: b.claim("w", 1)[0], Failure: "no usable answer", Calls: 1})
	b.process(message("2", "x", "2.5 odd"))
	if len(b.claim("w", 1)) != 0 {
		t.Error("a repeat that says the same is asked about again")
	}
	b.process(message("3", "x", "0.2 more"))
	if len(b.claim("w", 1)) != 1 {
		t.Error("new evidence is not asked about")
	}
	for i := range 6 {
		b.process(message(fmt.Sprint("n", i), "x", fmt.Sprintf("0.1 more%d", i)))
		for _, j := range b.claim("w", 1) {
			b.finish(Consulted{Job: j, Failure: "x", Calls: 1})
		}
	}
	if n := b.get(id).Consultation.Asked; n != investigate.MaxConsultations {
		t.Errorf("asked %d times", n)
	}
}

func TestEvidenceThatArrivesWhileAModelThinksIsAskedAbout(t *testing.T) {
	b := consulting(t)
	id := b.process(message("1", "x", "2.5 odd"))[0].Investigation
	job := b.claim("w", 1)[0]
	b.process(message("2", "x", "0.2 more"))
	b.finish(Consulted{Job: job, Failure: "no usable answer", Calls: 1})
	if !b.get(id).Consultation.Pending {
		t.Error("nothing is pending")
	}
	if jobs := b.claim("w", 1); len(jobs) != 1 || jobs[0].Input == job.Input {
		t.Errorf("jobs %+v", jobs)
	}
}

func TestLeaseThatEndedGoesToAnotherWorker(t *testing.T) {
	b := consulting(t)
	id := b.process(message("1", "x", "2.5 odd"))[0].Investigation
	slow := b.claim("slow", 1)[0]
	b.clock.add(jobLease + time.Second)
	quick := b.claim("quick", 1)[0]
	b.finish(Consulted{Job: quick, Opinion: attack(0.9, "odd"), Calls: 1})
	b.finish(Consulted{Job: slow, Failure: "too late", Calls: 1})
	inv := b.get(id)
	if inv.Consultation.Failure != "" || inv.Consultation.Opinion == nil {
		t.Error("the slow worker overwrote what the quick one found")
	}
	if inv.Consultation.Calls != 2 {
		t.Errorf("%d calls in the account, both were paid", inv.Consultation.Calls)
	}
}

func TestDegradedVerdictsWaitAndRecover(t *testing.T) {
	b := consulting(t)
	level := investigate.DeterministicOnly
	b.cfg.Level = func() investigate.Degradation { return level }
	id := b.process(message("1", "x", "6 proof", severity(alert.Low)))[0].Investigation
	inv := b.get(id)
	if inv.State != investigate.AwaitingHuman || inv.WaitReason != investigate.WaitDegraded || inv.Degradation != level {
		t.Fatalf("%s %s at %s", inv.State, inv.WaitReason, inv.Degradation)
	}
	if n, err := b.Recover(context.Background()); n != 0 || err != nil {
		t.Fatalf("recovered %d while degraded, %v", n, err)
	}
	level = investigate.FullCapability
	if n, err := b.Recover(context.Background()); n != 1 || err != nil {
		t.Fatalf("recovered %d, %v", n, err)
	}
	inv = b.get(id)
	if inv.WaitReason == investigate.WaitDegraded || inv.Degradation != investigate.FullCapability {
		t.Errorf("%s %s at %s", inv.State, inv.WaitReason, inv.Degradation)
	}
	if n, err := b.Recover(context.Background()); n != 0 || err != nil {
		t.Errorf("%d left, %v", n, err)
	}
}

func TestCriticalFirstAndTheOthersInTheirTurn(t *testing.T) {
	queue := func(p, n int) (out []candidate) {
		for i := range n {
			out = append(out, candidate{id: fmt.Sprintf("%d-%d", p, i), priority: p})
		}
		return out
	}
	var tn turn
	var queues [len(TopicsOfJobs)][]candidate
	queues[0], queues[1], queues[3] = queue(0, 100), queue(1, 100), queue(3, 100)
	got := tn.pick(queues, 40)
	var high, low int
	for i, c := range got {
		switch c.priority {
		case 1:
			high++
			if i < turns {
				t.Errorf("high at place %d", i)
			}
		case 3:
			low++
		}
	}
	if high != 2 || low != 0 {
		t.Errorf("%d high and %d low among 40", high, low)
	}
	if rest := tn.pick([len(TopicsOfJobs)][]candidate{3: queue(3, 5)}, 10); len(rest) != 5 {
		t.Errorf("%d of 5 when nothing else waits", len(rest))
	}
}

func TestLowIsPromotedAfterTenMinutes(t *testing.T) {
	b := consulting(t)
	b.process(message("1", "old", "1 odd", severity(alert.Low)))
	b.clock.add(promoteAfter + time.Second)
	b.process(message("2", "new", "1 odd", severity(alert.Medium)))
	if jobs := b.claim("w", 1); len(jobs) != 1 || jobs[0].Investigation.Title != "title old" {
		t.Errorf("claimed %+v", jobs)
	}
}
