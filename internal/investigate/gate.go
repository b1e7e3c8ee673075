package investigate

import (
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
)

// Degradation is the level of ability at which a decision was made.
type Degradation string

// The degradation levels (REFERENCE 11.5). A product without a configured model is at full capability.
const (
	FullCapability    Degradation = "full_capability"
	SecondaryActive   Degradation = "secondary_active"
	DeterministicOnly Degradation = "deterministic_only"
	Passthrough       Degradation = "passthrough"
)

// Conditions is what the gates look at beside the verdict.
type Conditions struct {
	// MaxTier is the highest tier of a planned action, -1 without any.
	MaxTier int
	// ShadowMode says that tenant or rule family only watch.
	ShadowMode bool
	// Untrusted says that everything known comes from self-reported telemetry.
	Untrusted bool
	// Accumulation says that the accumulation guard tripped.
	Accumulation bool
	Degradation  Degradation
}

// Gate decides what happens after reasoning: the state that follows, why a person is needed,
// and a sentence for each gate that asked for one.
func Gate(v *evidence.Verdict, c Conditions) (next State, wait WaitReason, why []string) {
	ask := func(w WaitReason, reason string) {
		if wait == WaitNone {
			wait = w
		}
		why = append(why, reason)
	}
	switch c.Degradation {
	case DeterministicOnly, Passthrough:
		ask(WaitDegraded, "the product runs degraded ("+string(c.Degradation)+"): a person decides")
	}
	if c.ShadowMode {
		ask(WaitShadow, "shadow mode: the decision is recorded, a person decides")
	}
	if v.Classification.Deferred() {
		ask(WaitVerdict, "the evidence does not decide: "+string(v.Classification))
	}
	if v.Classification.Benign() {
		ask(WaitVerdict, "proposed benign: without an approved pattern a person confirms the closing")
	}
	if c.Untrusted {
		ask(WaitVerdict, "all evidence comes from untrusted telemetry")
	}
	if c.Accumulation {
		ask(WaitVerdict, "the accumulation guard tripped")
	}
	if v.Confidence < 0.6 && v.Severity >= alert.High {
		ask(WaitVerdict, "confidence below 0.6 at severity "+v.Severity.String())
	}
	if v.Confidence < 0.95 && v.Severity == alert.Critical {
		ask(WaitVerdict, "confidence below 0.95 at severity critical")
	}
	if c.MaxTier >= 2 {
		if v.Classification == evidence.TruePositive && (wait == WaitNone || wait == WaitVerdict) {
			wait = WaitApproval
		}
		ask(WaitApproval, "a planned action of tier 2 or more needs approval")
	}
	if wait == WaitNone {
		return Responding, WaitNone, nil
	}
	return AwaitingHuman, wait, why
}

// Deadlines are the clocks of a wait for approval (DESIGN section 6, "Waiting").
type Deadlines struct {
	// Escalate is when an unanswered approval goes to the next person; zero means at Expire only.
	Escalate time.Duration
	// Expire is when the approval and its plan become void.
	Expire time.Duration
}

// ApprovalDeadlines returns the default clocks by severity.
func ApprovalDeadlines(s alert.Severity) Deadlines {
	switch s {
	case alert.Critical:
		return Deadlines{Escalate: 15 * time.Minute, Expire: time.Hour}
	case alert.High:
		return Deadlines{Escalate: 30 * time.Minute, Expire: 2 * time.Hour}
	case alert.Medium:
		return Deadlines{Expire: 4 * time.Hour}
	default:
		return Deadlines{Expire: 8 * time.Hour}
	}
}
