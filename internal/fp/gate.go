package fp

import (
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
)

// Degradation levels at which a pattern may close, as package investigate writes them.
const (
	fullCapability  = "full_capability"
	secondaryActive = "secondary_active"
)

// Weights in bits from which an item vetoes a closing. An indicator of confidence above 80 has
// 3.5 bits or more.
const (
	vetoFor       = 3
	vetoIndicator = 3.5
)

// Input is everything that a closing depends on. What is left out speaks against it.
type Input struct {
	Tenant   string
	Alert    *alert.Alert
	Entities *alert.Entities
	// AssetClasses are the classes of the assets concerned, from the organisation's context.
	AssetClasses []string
	// Techniques are those of the investigation; the alert's own are looked at as well.
	Techniques []string
	// Evidence is what the local sources said about the alerts of this investigation. In an
	// investigation of several alerts, Decide is asked once for each and all must close.
	Evidence []evidence.Evidence
	// Checked says that the local sources (indicators, evidence rules, safety and AI markers)
	// were asked. Blind names those that could not answer; a source that has nothing to look into
	// by the operator's choice is not blind in this sense and is left out by the caller.
	Checked bool
	Blind   []string
	// Severity is the investigation's own.
	Severity alert.Severity
	// Degradation is the level of ability now; empty is unknown.
	Degradation string
	// Drift says that the mix of alerts has drifted (REFERENCE 10.4).
	Drift bool
	// ShadowMode says that the tenant or the rule family only watches.
	ShadowMode bool
	// At is the time of the decision by the server's clock.
	At time.Time
}

// Decision is what the gate says. The zero value closes nothing.
type Decision struct {
	// Close says that every gate is open: the investigation may be closed as a false positive.
	Close bool
	// Pattern and Name are those of the pattern that fitted, also when something else forbids.
	Pattern string
	Name    string
	// Confidence is the match's; Threshold what it had to reach here.
	Confidence float64
	Threshold  float64
	// Why says in one sentence why not, or why.
	Why string
	// SafetyBlock says that evidence or severity forbade what the pattern would have closed: it
	// is recorded as fp.safety_block.
	SafetyBlock bool
	// Shadow says that it would have been closed if pattern and tenant were not in shadow.
	Shadow bool
}

// Gate decides whether a pattern may close an alert. It is pure apart from reading the two
// snapshots, and safe for concurrent use.
type Gate struct {
	Patterns *Matcher
	Switches *Switches
	// Floor is the executor's; 0 means ExecutorFloor. It cannot lower what a pattern asks for.
	Floor float64
}

// Decide goes through the gates in the order of REFERENCE 10.1. It never fails: whatever is
// missing or in doubt ends in Close false.
func (g *Gate) Decide(in *Input) Decision {
	if why := g.incomplete(in); why != "" {
		return Decision{Why: why}
	}
	switches, why := g.Switches.reading(in.At)
	if why == "" {
		why = switches.blocks(in.Tenant, in.Alert.Source, in.Alert.Techniques)
	}
	if why == "" {
		why = switches.blocks(in.Tenant, in.Alert.Source, in.Techniques)
	}
	for i := range in.Evidence {
		if why == "" && len(in.Evidence[i].Techniques) > 0 {
			why = switches.blocks(in.Tenant, in.Alert.Source, in.Evidence[i].Techniques)
		}
	}
	if why != "" {
		return Decision{Why: why}
	}
	s := Subject{Tenant: in.Tenant, Alert: in.Alert, Entities: in.Entities, AssetClasses: in.AssetClasses}
	m, ok, killed := g.Patterns.find(&s, in.At, switches)
	switch {
	case !ok && killed:
		return Decision{Why: "the pattern that fits is switched off"}
	case !ok:
		return Decision{Why: "no pattern in force fits"}
	}
	return g.weigh(in, &m)
}

func (g *Gate) incomplete(in *Input) string {
	switch {
	case g == nil || g.Patterns == nil || g.Switches == nil:
		return "patterns or kill switches are not set up"
	case in == nil || in.Alert == nil || in.Entities == nil:
		return "the alert was not parsed"
	case in.Tenant == "" || in.Tenant != in.Alert.TenantID:
		return "the tenant is not the alert's"
	case in.At.IsZero():
		return "the time of the decision is not known"
	case in.Alert.Source == "":
		return "the source is not known"
	}
	return ""
}

// weigh holds a match against everything that may still forbid the closing.
func (g *Gate) weigh(in *Input, m *Match) Decision {
	d := Decision{Pattern: m.PatternID, Name: m.Name, Confidence: m.Confidence, Threshold: max(m.Threshold, DefaultThreshold, ExecutorFloor, g.Floor)}
	if in.Drift || in.Degradation == secondaryActive {
		d.Threshold = max(d.Threshold, RaisedThreshold)
	}
	switch {
	case !in.Checked:
		d.Why = "the local evidence was not gathered"
	case len(in.Blind) > 0:
		d.Why = "a local source could not look: " + in.Blind[0]
	case in.Degradation != fullCapability && in.Degradation != secondaryActive:
		d.Why = "the product does not run at full capability"
	case !(m.Confidence >= d.Threshold):
		d.Why = "the confidence is below what is needed now"
	default:
		d.Why = veto(in)
		d.SafetyBlock = d.Why != ""
	}
	if d.Why != "" {
		return d
	}
	if m.Shadow || in.ShadowMode {
		d.Shadow, d.Why = true, "in shadow: the match is only recorded"
		return d
	}
	d.Close, d.Why = true, "an approved pattern fits and nothing speaks against it"
	return d
}

// veto says what in the evidence or the severity forbids a closing.
func veto(in *Input) string {
	for i := range in.Evidence {
		e := &in.Evidence[i]
		switch {
		case e.Safety:
			return "there is evidence about the safety of a physical process"
		case e.Weight != e.Weight:
			return "an item of evidence has no weight"
		case e.Kind == "indicator" && e.Weight >= vetoIndicator:
			return "an indicator is known with a confidence above 80"
		case e.Stance == evidence.For && e.Weight >= vetoFor:
			return "there is evidence for malicious of 3 bits or more"
		}
	}
	if in.Severity >= alert.Critical || in.Alert.Severity >= alert.Critical {
		return "no pattern closes anything of severity critical"
	}
	return ""
}
