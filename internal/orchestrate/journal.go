package orchestrate

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
)

// service is the name under which this package signs audit events.
const service = "orchestrator"

// journal collects the audit events of one transaction, by tenant. Building an event can fail
// only on text that is not UTF-8; that text is repaired first, so err stays nil in practice and
// is checked once at the end.
type journal struct {
	events map[string][]audit.Event
	object audit.Object
	err    error
}

func (j *journal) tenants() []string {
	out := make([]string, 0, len(j.events))
	for t := range j.events {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

func (j *journal) add(now time.Time, inv *investigate.Investigation, t audit.Type, change func(*audit.Event)) {
	ev := audit.Event{
		Type: t, Timestamp: now.UnixMicro(), ActorType: audit.ActorAgent, ActorID: "orchestrator",
		SourceService: service, InvestigationID: inv.ID,
	}
	change(&ev)
	j.append(inv.TenantID, ev)
}

func (j *journal) append(tenant string, ev audit.Event) {
	if j.events == nil {
		j.events = map[string][]audit.Event{}
	}
	j.events[tenant] = append(j.events[tenant], ev)
}

func (j *journal) fragment(build func(o *audit.Object)) audit.Fragment {
	j.object.Reset()
	build(&j.object)
	f, err := j.object.Finish()
	j.err = errors.Join(j.err, err)
	return f
}

// Bounds of texts in a record, so that nothing that a sender writes makes an event larger than
// the chain takes: that would hold up every alert behind it.
const (
	maxText = 16 << 10
	maxName = 256 // what stands in lists, and ids
)

// text makes s fit for a record.
func text(s string) string { return bounded(s, maxText) }

// name makes an id or an item of a list fit for a record.
func name(s string) string { return bounded(s, maxName) }

// bounded repairs s and cuts it; what was cut ends in the hash of the whole, so that two stay two.
func bounded(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit-80] + fmt.Sprintf("…sha256:%x", sha256.Sum256([]byte(s)))
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func texts[S ~string](list []S) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = name(string(s))
	}
	return out
}

// micros is how a fraction or a weight stands in a record: in millionths.
func micros(f float64) int64 { return int64(math.Round(f * 1e6)) }

// moved records a path through the states: one event however many states were passed at once.
func (j *journal) moved(now time.Time, inv *investigate.Investigation, path []investigate.State, why []string) {
	j.add(now, inv, audit.InvestigationState, func(ev *audit.Event) {
		ev.Outcome = j.fragment(func(o *audit.Object) {
			o.Strs("path", texts(path))
			o.Str("state_after", string(path[len(path)-1]))
			o.Str("state_before", string(path[0]))
			o.Str("wait_reason", string(inv.WaitReason))
			o.Strs("why", texts(why))
		})
	})
}

func (j *journal) enriched(now time.Time, inv *investigate.Investigation, items []*item) {
	j.add(now, inv, audit.InvestigationEnriched, func(ev *audit.Event) {
		ev.AlertID = name(items[0].msg.Alert.ID)
		ev.EntityIDs = entityIDs(inv.Entities)
		ev.Context = j.fragment(func(o *audit.Object) {
			o.Strs("blind", texts(inv.Blind))
			o.Int("evidence", int64(len(inv.Evidence)))
			o.Int("indicators", int64(len(inv.Indicators)))
			o.Str("source", name(inv.Source))
			o.Strs("techniques", inv.TechniqueIDs())
			o.Strs("techniques_quarantined", texts(inv.Quarantined))
		})
	})
	if len(inv.Quarantined) > 0 {
		j.add(now, inv, audit.TechniqueQuarantined, func(ev *audit.Event) {
			ev.Severity = audit.SeverityWarning
			ev.Context = j.fragment(func(o *audit.Object) { o.Strs("techniques_quarantined", texts(inv.Quarantined)) })
		})
	}
}

// entityIDs names at most ten principal entities: who and what the record is about.
func entityIDs(list []alert.Entity) []string {
	var out []string
	for i := range list {
		if list[i].Principal && len(out) < 10 {
			out = append(out, name(string(list[i].Type)+":"+list[i].Value))
		}
	}
	return out
}

func (j *journal) classified(now time.Time, inv *investigate.Investigation) {
	j.add(now, inv, audit.AlertClassified, func(ev *audit.Event) {
		ev.Context = j.fragment(func(o *audit.Object) {
			o.Str("degradation_level", string(inv.Degradation))
			o.Str("prior_source", text(inv.Verdict.PriorSource))
			o.Str("risk_state", inv.RiskState)
		})
		ev.Decision = j.fragment(func(o *audit.Object) { verdictInto(o, inv) })
	})
}

func verdictInto(o *audit.Object, inv *investigate.Investigation) {
	v := &inv.Verdict
	o.Str("alternatives_considered", text(v.Alternative))
	o.Str("by", text(v.By))
	o.Str("classification", string(v.Classification))
	o.Int("confidence", micros(v.Confidence))
	o.OpenArray("evidence")
	for i := range inv.Evidence {
		e := &inv.Evidence[i]
		if e.Counted == 0 {
			continue
		}
		o.OpenItem().Int("counted", micros(e.Counted)).Str("id", name(e.ID)).Str("source", name(e.Source)).Int("weight", micros(e.Weight)).Close()
	}
	o.Close()
	o.Int("malicious_probability", micros(v.Probability))
	o.Int("prior", micros(v.Prior))
	o.OpenArray("recommended_actions")
	for _, a := range inv.Actions {
		o.Item(name(a.Action + " " + a.Target))
	}
	o.Close()
	o.Int("revision", int64(v.Revision))
	o.Str("severity_assigned", v.Severity.String())
}

func (j *journal) folded(now time.Time, inv *investigate.Investigation, n int) {
	j.add(now, inv, audit.AlertFolded, func(ev *audit.Event) {
		ev.Outcome = j.fragment(func(o *audit.Object) {
			o.Int("alerts", int64(inv.Alerts))
			o.Int("count", int64(n))
		})
	})
}

func (j *journal) reopened(now time.Time, inv *investigate.Investigation) {
	j.add(now, inv, audit.InvestigationReopened, func(ev *audit.Event) {
		ev.Severity = audit.SeverityWarning
		ev.Outcome = j.fragment(func(o *audit.Object) {
			o.Int("reopened", int64(inv.Reopened))
			o.Str("state_before", string(inv.State))
		})
	})
}

func (j *journal) revised(now time.Time, inv *investigate.Investigation, before *evidence.Verdict) {
	j.add(now, inv, audit.InvestigationRevised, func(ev *audit.Event) {
		ev.Decision = j.fragment(func(o *audit.Object) { verdictInto(o, inv) })
		ev.Outcome = j.fragment(func(o *audit.Object) {
			o.Str("classification_before", string(before.Classification))
			o.Int("malicious_probability_before", micros(before.Probability))
			o.Int("revision_before", int64(before.Revision))
		})
	})
}

func (j *journal) approvalRequested(now time.Time, inv *investigate.Investigation) {
	j.add(now, inv, audit.ApprovalRequested, func(ev *audit.Event) {
		ev.Severity = audit.SeverityWarning
		ev.Decision = j.fragment(func(o *audit.Object) {
			o.Str("plan_hash", planHash(inv))
			o.OpenArray("recommended_actions")
			for _, a := range inv.Actions {
				if a.NeedsApproval {
					o.Item(name(a.Action + " " + a.Target))
				}
			}
			o.Close()
		})
		ev.Outcome = j.fragment(func(o *audit.Object) { o.Int("deadline", inv.DueAt.UnixMicro()) })
	})
}

// failed records that the product failed an investigation that was to go along path.
func (j *journal) failed(now time.Time, inv *investigate.Investigation, path []investigate.State, why error) {
	j.add(now, inv, audit.InvestigationFailed, func(ev *audit.Event) {
		ev.Severity = audit.SeverityCritical
		ev.Outcome = j.fragment(func(o *audit.Object) {
			o.Str("error_details", text(why.Error()))
			o.Strs("path", texts(path))
			o.Str("state_after", string(investigate.Failed))
			o.Str("state_before", name(string(path[0])))
		})
	})
}

// timer records what a deadline did about a plan, and whom it asked.
func (j *journal) timer(now time.Time, inv *investigate.Investigation, t audit.Type, plan, asked string) {
	j.add(now, inv, t, func(ev *audit.Event) {
		ev.Severity, ev.ActorType, ev.ActorID = audit.SeverityWarning, audit.ActorScheduler, "sweeper"
		ev.Decision = j.fragment(func(o *audit.Object) { o.Str("plan_hash", plan) })
		ev.Outcome = j.fragment(func(o *audit.Object) {
			deadline := int64(0)
			if !inv.DueAt.IsZero() {
				deadline = inv.DueAt.UnixMicro()
			}
			o.Int("deadline", deadline)
			if asked != "" {
				o.Str("requested_from", asked)
			}
		})
	})
}

// result is the message on incidents.enriched.
type result struct {
	Investigation  string                  `json:"investigation_id"`
	Tenant         string                  `json:"tenant_id"`
	Version        int64                   `json:"version"`
	State          investigate.State       `json:"state"`
	WaitReason     investigate.WaitReason  `json:"wait_reason,omitempty"`
	Classification evidence.Classification `json:"classification"`
	Severity       alert.Severity          `json:"severity"`
	Probability    float64                 `json:"malicious_probability"`
	Alerts         int                     `json:"alerts"`
	Revision       int                     `json:"revision"`
}

// TopicEnriched is where results are published: one message per batch and tenant, one JSON
// object a line.
const TopicEnriched = "incidents.enriched"

// enriched returns the messages that tell console and exposures what changed.
func (w *writer) enriched() ([]store.Message, error) {
	if w.journal.err != nil {
		return nil, &ContentError{Err: fmt.Errorf("build audit events: %w", w.journal.err)}
	}
	lines := map[string][]byte{}
	var out []store.Message
	flush := func(tenant string) {
		out = append(out, store.Message{Topic: TopicEnriched, Key: []byte(tenant), Tenant: tenant, Payload: lines[tenant]})
		delete(lines, tenant)
	}
	for _, id := range w.touched {
		inv := w.rows[id].inv
		line, err := json.Marshal(result{
			Investigation: inv.ID, Tenant: inv.TenantID, Version: inv.Version, State: inv.State, WaitReason: inv.WaitReason,
			Classification: inv.Verdict.Classification, Severity: inv.Verdict.Severity, Probability: inv.Verdict.Probability,
			Alerts: inv.Alerts, Revision: inv.Verdict.Revision,
		})
		if err != nil {
			return nil, &ContentError{id, fmt.Errorf("encode result: %w", err)}
		}
		lines[inv.TenantID] = append(append(lines[inv.TenantID], line...), '\n')
		if len(lines[inv.TenantID]) > store.MaxPayload/2 {
			flush(inv.TenantID)
		}
	}
	tenants := make([]string, 0, len(lines))
	for t := range lines {
		tenants = append(tenants, t)
	}
	slices.Sort(tenants)
	for _, t := range tenants {
		flush(t)
	}
	return out, nil
}
