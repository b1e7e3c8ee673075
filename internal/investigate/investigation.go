package investigate

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/respond"
)

// Technique is an ATT&CK or ATLAS technique that the taxonomy knows.
type Technique struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Confidence is 1 for a technique that the source states.
	Confidence float64 `json:"confidence"`
}

// Decision is what a person decided, and why.
type Decision struct {
	Actor          string                  `json:"actor"`
	Action         string                  `json:"action"` // approve, reject, confirm
	Classification evidence.Classification `json:"classification,omitempty"`
	Reason         string                  `json:"reason"`
	At             time.Time               `json:"at"`
}

// Task is an approved action that a person carries out.
type Task struct {
	respond.Action
	ApprovedBy string    `json:"approved_by"`
	ApprovedAt time.Time `json:"approved_at"`
}

// Investigation is the whole of what is known and decided about one activity in one window.
// It is a value owned by whoever loaded it; Version fences concurrent writers.
type Investigation struct {
	ID          string `json:"id"`
	TenantID    string `json:"tenant_id"`
	Source      string `json:"source"`
	Analytic    string `json:"analytic"`
	Fingerprint string `json:"fingerprint"`
	// Title is the first in order among the titles of its alerts.
	Title       string    `json:"title"`
	WindowStart time.Time `json:"window_start"`

	State       State       `json:"state"`
	WaitReason  WaitReason  `json:"wait_reason,omitempty"`
	WaitWhy     []string    `json:"wait_why,omitempty"`
	Degradation Degradation `json:"degradation_level"`
	// Overdue says that a person was waited for longer than the clock of the wait allows.
	Overdue bool `json:"overdue,omitempty"`
	// ClockOf is the reason to wait whose clock runs; see StartClock. WaitingSince and DueAt are
	// its start and end, RemindedAt is when a second reviewer was told that half of it is over.
	ClockOf      WaitReason `json:"clock_of,omitempty"`
	WaitingSince time.Time  `json:"waiting_since,omitzero"`
	DueAt        time.Time  `json:"due_at,omitzero"`
	RemindedAt   time.Time  `json:"reminded_at,omitzero"`
	// PlanVoid says that the approval of the plan expired; there is none until the verdict changes.
	PlanVoid bool `json:"plan_void,omitempty"`
	// Escalated says that an unanswered approval went to the next person already.
	Escalated bool `json:"escalated,omitempty"`

	// SourceSeverity is the highest severity that an alert of the fold came with.
	SourceSeverity alert.Severity `json:"source_severity"`
	// SeverityWhy says why the investigation is of another severity.
	SeverityWhy string              `json:"severity_why,omitempty"`
	Verdict     evidence.Verdict    `json:"verdict"`
	Evidence    []evidence.Evidence `json:"evidence,omitempty"`
	Entities    []alert.Entity      `json:"entities,omitempty"`
	Indicators  []alert.Indicator   `json:"indicators,omitempty"`
	Techniques  []Technique         `json:"techniques,omitempty"`
	// Quarantined are stated technique ids that no taxonomy knows.
	Quarantined []string  `json:"quarantined_techniques,omitempty"`
	Links       []LinkKey `json:"links,omitempty"`
	Tallies     []Tally   `json:"tallies,omitempty"`
	// OwnBits is what the evidence of its own alerts weighs together; from AnchorBits on the
	// investigation lends weight to those it is linked with.
	OwnBits   float64          `json:"own_bits"`
	Actions   []respond.Action `json:"actions,omitempty"`
	Tasks     []Task           `json:"tasks,omitempty"`
	Decisions []Decision       `json:"decisions,omitempty"`
	// Consultation is what became of asking a model; nil when none was asked.
	Consultation *Consultation `json:"consultation,omitempty"`

	// Alerts counts the distinct alerts folded in; Redelivered how often one came again.
	Alerts      int       `json:"alerts"`
	Redelivered int       `json:"redelivered,omitempty"`
	FirstSeen   time.Time `json:"first_seen"`
	LastSeen    time.Time `json:"last_seen"`
	// Quality is the lowest quality score among the alerts.
	Quality float64 `json:"quality"`
	// Blind and Missing say what could not be looked at and what the records lack.
	Blind   []string `json:"blind,omitempty"`
	Missing []string `json:"missing,omitempty"`

	// RiskState is that of its hosts and accounts, looked up whenever the investigation is read.
	RiskState string    `json:"risk_state"`
	Reopened  int       `json:"reopened,omitempty"`
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	WakeAt    time.Time `json:"wake_at,omitzero"`
}

// Bounds of what one investigation keeps in memory. The alerts themselves are kept in full.
const (
	MaxEvidence   = 200
	MaxEntities   = 500
	MaxIndicators = 500
	maxNotes      = 50
)

// Folded is what one alert brings into an investigation: facts that depend on that alert alone.
type Folded struct {
	Severity    alert.Severity
	Title       string
	At          time.Time
	Evidence    []evidence.Evidence
	Entities    []alert.Entity
	Indicators  []alert.Indicator
	Techniques  []Technique
	Quarantined []string
	Links       []alert.Link
	Tallies     []evidence.Tally
	Blind       []string
	Missing     []string
	Quality     float64
}

// Change says what a fold changed.
type Change struct {
	// Evidence says that an item was added or grew stronger.
	Evidence bool
	// NewKindFor says that a kind of evidence for malicious appeared.
	NewKindFor bool
	// Before is the severity of the source before the fold.
	Before alert.Severity
}

// Open starts an investigation for the first alert of a fingerprint and window.
func Open(a *alert.Alert, fingerprint string, windowStart, now time.Time) *Investigation {
	return &Investigation{
		ID: ID(a.TenantID, fingerprint, windowStart), TenantID: a.TenantID, Source: a.Source, Analytic: a.Analytic,
		Fingerprint: fingerprint, Title: a.Title, WindowStart: windowStart, State: Received,
		Degradation: FullCapability, Quality: 1, RiskState: RiskUnknown, CreatedAt: now, UpdatedAt: now,
	}
}

// Fold adds alerts. Everything is kept by maximum and union, in canonical order, so that the
// result does not depend on the order or the batches in which the alerts came.
func (inv *Investigation) Fold(alerts []Folded) Change {
	ch := Change{Before: inv.SourceSeverity}
	kinds := kindsFor(inv.Evidence)
	for i := range alerts {
		f := &alerts[i]
		inv.SourceSeverity = max(inv.SourceSeverity, f.Severity)
		if f.Title != "" && (inv.Title == "" || f.Title < inv.Title) {
			inv.Title = f.Title
		}
		if inv.Alerts == 0 || f.At.Before(inv.FirstSeen) {
			inv.FirstSeen = f.At
		}
		if inv.Alerts == 0 || f.At.After(inv.LastSeen) {
			inv.LastSeen = f.At
		}
		inv.Alerts++
		inv.Quality = min(inv.Quality, f.Quality)
		for _, e := range f.Evidence {
			if inv.addEvidence(e) {
				ch.Evidence = true
				if e.Weight > 0 && e.Stance == evidence.For && !kinds[e.Kind] {
					ch.NewKindFor = true
				}
			}
		}
		inv.Entities = union(inv.Entities, f.Entities, MaxEntities, entityKey, moreConfidentEntity)
		inv.Indicators = union(inv.Indicators, f.Indicators, MaxIndicators, indicatorKey, moreConfidentIndicator)
		inv.Techniques = union(inv.Techniques, f.Techniques, MaxIndicators, func(t *Technique) string { return t.ID },
			func(a, b *Technique) bool { return a.Confidence > b.Confidence })
		inv.addLinks(f.Links, f.At)
		inv.addTallies(f.Tallies, f.At)
		inv.Quarantined = merge(inv.Quarantined, f.Quarantined)
		inv.Blind = merge(inv.Blind, f.Blind)
		inv.Missing = merge(inv.Missing, f.Missing)
	}
	return ch
}

func kindsFor(items []evidence.Evidence) map[string]bool {
	kinds := make(map[string]bool, len(items))
	for i := range items {
		if items[i].Weight > 0 && items[i].Stance == evidence.For {
			kinds[items[i].Kind] = true
		}
	}
	return kinds
}

// addEvidence keeps one item per id, the stronger one, and at most MaxEvidence items, the
// strongest ones; it reports whether anything changed.
func (inv *Investigation) addEvidence(e evidence.Evidence) bool {
	for i := range inv.Evidence {
		if inv.Evidence[i].ID == e.ID {
			if !stronger(&e, &inv.Evidence[i]) {
				return false
			}
			inv.Evidence[i] = e
			return true
		}
	}
	if len(inv.Evidence) < MaxEvidence {
		inv.Evidence = append(inv.Evidence, e)
		return true
	}
	weakest := 0
	for i := range inv.Evidence {
		if stronger(&inv.Evidence[weakest], &inv.Evidence[i]) {
			weakest = i
		}
	}
	if !stronger(&e, &inv.Evidence[weakest]) {
		return false
	}
	inv.Evidence[weakest] = e
	return true
}

// stronger is a total order on items, so that what is kept never depends on arrival.
func stronger(a, b *evidence.Evidence) bool {
	return cmp.Or(cmp.Compare(math.Abs(a.Weight), math.Abs(b.Weight)), cmp.Compare(a.Weight, b.Weight),
		cmp.Compare(b.ID, a.ID), cmp.Compare(b.Kind, a.Kind), cmp.Compare(b.Statement, a.Statement), slices.Compare(b.Refs, a.Refs), slices.Compare(b.Cites, a.Cites)) > 0
}

func entityKey(e *alert.Entity) string { return e.Key() }

func moreConfidentEntity(a, b *alert.Entity) bool {
	return cmp.Or(cmp.Compare(a.Confidence, b.Confidence), cmp.Compare(len(a.Properties), len(b.Properties)),
		cmp.Compare(b.Value, a.Value), cmp.Compare(b.Role, a.Role), cmp.Compare(b.Ref, a.Ref), compareProperties(b.Properties, a.Properties)) > 0
}

// compareProperties orders sets of properties by their sorted keys and values.
func compareProperties(a, b map[string]string) int {
	if maps.Equal(a, b) {
		return 0
	}
	pairs := func(m map[string]string) (out []string) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			out = append(out, k, m[k])
		}
		return out
	}
	return slices.Compare(pairs(a), pairs(b))
}

func indicatorKey(i *alert.Indicator) string { return string(i.Type) + "\x00" + i.Value }

func moreConfidentIndicator(a, b *alert.Indicator) bool {
	return cmp.Or(cmp.Compare(a.Confidence, b.Confidence), slices.Compare(b.Refs, a.Refs)) > 0
}

// union merges add into list by key, keeping the preferred of two with the same key, sorted by
// key, at most limit: the smallest keys. It never holds more, so that one alert with very many
// holds up nobody.
func union[T any](list, add []T, limit int, key func(*T) string, prefer func(a, b *T) bool) []T {
	for i := range add {
		k := key(&add[i])
		if len(list) >= limit && k > key(&list[limit-1]) {
			continue
		}
		at, found := slices.BinarySearchFunc(list, k, func(x T, k string) int { return cmp.Compare(key(&x), k) })
		switch {
		case found && prefer(&add[i], &list[at]):
			list[at] = add[i]
		case !found:
			list = slices.Insert(list, at, add[i])
			list = list[:min(len(list), limit)]
		}
	}
	return list
}

func merge(list, add []string) []string {
	for _, s := range add {
		if at, found := slices.BinarySearch(list, s); !found {
			list = slices.Insert(list, at, s)
		}
	}
	return list[:min(len(list), maxNotes)]
}

// Unknowns lists what the verdict could not know: blind sources and missing fields.
func (inv *Investigation) Unknowns() []string {
	out := make([]string, 0, len(inv.Blind)+len(inv.Missing)+len(inv.Quarantined))
	for _, b := range inv.Blind {
		out = append(out, "blind: "+b)
	}
	for _, m := range inv.Missing {
		out = append(out, "the record lacks: "+m)
	}
	for _, q := range inv.Quarantined {
		out = append(out, "technique id "+q+" is in no taxonomy and was set aside")
	}
	if c := inv.Consultation; c != nil {
		out = append(out, c.unknowns()...)
	}
	return out
}

// TechniqueIDs lists the ids of the techniques.
func (inv *Investigation) TechniqueIDs() []string {
	out := make([]string, len(inv.Techniques))
	for i := range inv.Techniques {
		out[i] = inv.Techniques[i].ID
	}
	return out
}

// DecidedByPerson reports whether the current verdict is a person's.
func (inv *Investigation) DecidedByPerson() bool {
	return inv.Verdict.By != "" && slices.ContainsFunc(inv.Decisions, func(d Decision) bool { return d.Actor == inv.Verdict.By })
}
