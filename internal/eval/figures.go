package eval

import (
	"maps"
	"math"
	"slices"

	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/investigate/cohort"
)

// Rate is a share with its Wilson 95 % interval; all three are null when Of is 0.
type Rate struct {
	Count int      `json:"count"`
	Of    int      `json:"of"`
	Rate  *float64 `json:"rate"`
	Low   *float64 `json:"low"`
	High  *float64 `json:"high"`
}

// z is the standard normal quantile of a two-sided 95 % interval.
const z = 1.959963984540054

// NewRate computes the share and its interval (Wilson, 1927).
func NewRate(count, of int) Rate {
	r := Rate{Count: count, Of: of}
	if of == 0 {
		return r
	}
	n, p := float64(of), float64(count)/float64(of)
	mid := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	low, high := max(0, mid-half), min(1, mid+half)
	if count == 0 {
		low = 0
	}
	if count == of {
		high = 1
	}
	r.Rate, r.Low, r.High = &p, &low, &high
	return r
}

// value is the share, 0 when there is none.
func (r Rate) value() float64 {
	if r.Rate == nil {
		return 0
	}
	return *r.Rate
}

// Figures are those of contract/eval-triage.schema.json: rates over all positives or all
// negatives, never over decided alerts alone.
type Figures struct {
	N         int `json:"n"`
	Positives int `json:"positives"`
	Negatives int `json:"negatives"`
	// Unlabelled alerts are judged and not scored; Rejected ones count as deferred.
	Unlabelled int `json:"unlabelled"`
	Rejected   int `json:"rejected"`

	Missed          Rate `json:"missed"`
	Recall          Rate `json:"recall"`
	FalseEscalation Rate `json:"false_escalation"`
	Precision       Rate `json:"precision"`
	Deferral        Rate `json:"deferral"`
	BenignShare     Rate `json:"benign_share"`
	// AutoClosedPositives are positives that were called benign and closed with no person asked.
	AutoClosedPositives int `json:"auto_closed_positives"`
	// Brier is the mean squared error of malicious_probability.
	Brier        float64     `json:"brier"`
	DecisionCost float64     `json:"decision_cost"`
	DecidedOnly  DecidedOnly `json:"decided_only"`
	// HumanDecisions is how often a person has to decide, per 1,000 alerts: once per waiting
	// investigation, once per group of proposed benign ones.
	HumanDecisions float64 `json:"human_decisions_per_1000"`
}

// DecidedOnly are rates over the alerts that were not deferred. They flatter, so they stand
// beside the others and never alone.
type DecidedOnly struct {
	Recall            Rate `json:"recall"`
	FalsePositiveRate Rate `json:"false_positive_rate"`
}

// The prices of decision_cost, in false escalations.
const (
	missCost     = 20
	deferralCost = 0.3
)

// Score computes the figures of one run.
func Score(samples []Sample, judged []Judged) Figures {
	var f Figures
	var counts [3][3]int // label, call
	judgedLabels, squares := 0, 0.0
	for i := range samples {
		s, j := &samples[i], &judged[i]
		if s.Label == Unlabelled {
			f.Unlabelled++
			continue
		}
		counts[s.Label][callOf(j)]++
		if j.Line.Result == nil {
			f.Rejected++
			continue
		}
		truth := 0.0
		if s.Label == Positive {
			truth = 1
			if callOf(j) == benign && j.Line.Investigation.State == investigate.Closed {
				f.AutoClosedPositives++
			}
		}
		judgedLabels++
		squares += (j.Line.Investigation.Probability - truth) * (j.Line.Investigation.Probability - truth)
	}
	pos, neg := counts[Positive], counts[Negative]
	f.Positives, f.Negatives = pos[deferred]+pos[malicious]+pos[benign], neg[deferred]+neg[malicious]+neg[benign]
	f.N = f.Positives + f.Negatives
	f.Missed, f.Recall = NewRate(pos[benign], f.Positives), NewRate(pos[malicious], f.Positives)
	f.FalseEscalation, f.BenignShare = NewRate(neg[malicious], f.Negatives), NewRate(neg[benign], f.Negatives)
	f.Precision = NewRate(pos[malicious], pos[malicious]+neg[malicious])
	waiting := pos[deferred] + neg[deferred]
	f.Deferral = NewRate(waiting, f.N)
	f.DecidedOnly = DecidedOnly{
		Recall:            NewRate(pos[malicious], pos[malicious]+pos[benign]),
		FalsePositiveRate: NewRate(neg[malicious], neg[malicious]+neg[benign]),
	}
	if judgedLabels > 0 {
		f.Brier = squares / float64(judgedLabels)
	}
	if f.N > 0 {
		f.DecisionCost = (missCost*float64(pos[benign]) + float64(neg[malicious]) + deferralCost*float64(waiting)) / float64(f.N)
	}
	f.HumanDecisions = humanDecisions(judged)
	return f
}

// humanDecisions counts what a person has to decide, per 1,000 alerts: each waiting
// investigation is one decision, but the proposed benign ones of one cohort are confirmed
// together, and a plan is approved together with those of its attack that it covers.
func humanDecisions(judged []Judged) float64 {
	decisions, approvals := map[string]bool{}, map[string]*investigate.Investigation{}
	alerts := 0
	for i := range judged {
		if judged[i].Line.Rejection != nil && judged[i].Line.Rejected.Dropped {
			continue
		}
		alerts++
		r, inv := judged[i].Line.Result, judged[i].Investigation
		switch {
		case r == nil || r.Investigation.State != investigate.AwaitingHuman:
		case r.Investigation.Classification.Benign():
			decisions[r.Investigation.Cohort] = true
		case inv != nil && cohort.WaitsForApproval(inv):
			approvals[inv.TenantID+"\x00"+inv.ID] = inv
		default:
			decisions[r.Alert.Tenant+"\x00"+r.Investigation.ID] = true
		}
	}
	if alerts == 0 {
		return 0
	}
	plans := cohort.Plans(slices.Collect(maps.Values(approvals)))
	return 1000 * float64(len(decisions)+len(plans)) / float64(alerts)
}
