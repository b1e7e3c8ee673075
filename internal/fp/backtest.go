package fp

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
)

// MaxShare is the share of a tenant's alerts that one pattern may hide, unless Limits say otherwise.
const MaxShare = 0.20

// Sample is one stored alert with what became of it.
type Sample struct {
	Investigation string
	Alert         *alert.Alert
	Entities      *alert.Entities
	// AssetClasses are those that were known; nil is unknown and counts as any.
	AssetClasses []string
	// Unread says that the native record could not be read again, so that conditions on it count
	// as satisfied.
	Unread bool
	// Severity and Classification are the investigation's.
	Severity       alert.Severity
	Classification evidence.Classification
	// Confirmed says that a person stands behind the classification.
	Confirmed bool
}

// History gives the stored alerts of a tenant, in any order, until fn returns false. The sample
// is only valid during the call.
type History func(ctx context.Context, tenant string, fn func(*Sample) bool) error

// Limits bound what a pattern may hide. The zero value has the defaults.
type Limits struct {
	// MaxShare is the largest share of the tenant's alerts; 0 means MaxShare.
	MaxShare float64
}

// Report says what a pattern would have done to the past. It ignores vetoes of evidence: what
// a pattern covers is its width, whatever else would have stopped it.
type Report struct {
	Digest string    `json:"definition"`
	Tenant string    `json:"tenant"`
	At     time.Time `json:"at"`
	// Alerts were looked at; Hidden of them would have been closed, in Investigations.
	Alerts         int `json:"alerts"`
	Hidden         int `json:"hidden"`
	Investigations int `json:"hidden_investigations"`
	// Unread of the alerts looked at could not be read in full.
	Unread int `json:"unread"`
	// Critical are hidden alerts of severity critical, or of an analytic that has raised one.
	Critical int `json:"hidden_critical"`
	// Confirmed are hidden alerts that a person called true_positive; Malicious those that the
	// product did.
	Confirmed int `json:"hidden_confirmed_true_positives"`
	Malicious int `json:"hidden_true_positives"`
	// Hosts and Accounts are how many distinct ones the hidden alerts name.
	Hosts    int       `json:"hidden_hosts"`
	Accounts int       `json:"hidden_accounts"`
	First    time.Time `json:"hidden_first,omitzero"`
	Last     time.Time `json:"hidden_last,omitzero"`
	// Examples are up to five hidden investigations, Against up to five that forbid the pattern.
	Examples []string  `json:"examples,omitempty"`
	Against  []string  `json:"against,omitempty"`
	Refusals []Refusal `json:"refusals,omitempty"`
}

// Share is the part of the alerts that would have been hidden; 0 without any.
func (r *Report) Share() float64 {
	if r.Alerts == 0 {
		return 0
	}
	return float64(r.Hidden) / float64(r.Alerts)
}

// Err is a *RefusedError when the past forbids the pattern.
func (r *Report) Err(name string) error { return refuse(name, r.Refusals) }

const reportExamples = 5

// Backtest holds a definition against history. The error is that of history or of a definition
// that cannot be matched; a refusal stands in the report.
func Backtest(ctx context.Context, d *Definition, history History, limits Limits, at time.Time) (*Report, error) {
	if err := d.valid(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	p := &Pattern{ID: "backtest", Definition: *d, Status: Active, Expiry: at.Add(Term)}
	c, err := compile(p)
	if err != nil {
		return nil, err
	}
	loose := *c
	loose.payload = nil
	b := &backtest{
		report: Report{Digest: d.Digest(), Tenant: d.Tenant, At: at}, pattern: c, loose: &loose, at: at.UnixMicro(),
		investigations: map[string]bool{}, classes: map[string]bool{}, hidden: map[string]string{},
		hiddenOf: map[string]int{}, hosts: map[string]bool{}, accounts: map[string]bool{},
	}
	err = history(ctx, d.Tenant, func(s *Sample) bool {
		b.sample(s)
		return ctx.Err() == nil
	})
	if err := cmp.Or(err, ctx.Err()); err != nil {
		return nil, fmt.Errorf("backtest of %q: %w", d.Name, err)
	}
	b.finish(limits)
	return &b.report, nil
}

type backtest struct {
	report  Report
	pattern *compiled
	loose   *compiled // without the conditions on the native record
	at      int64
	probe   probe

	investigations map[string]bool
	classes        map[string]bool   // that have raised a critical alert
	hidden         map[string]string // an investigation per class of hidden alerts that are not critical themselves
	hiddenOf       map[string]int    // how many there are of the class
	hosts          map[string]bool
	accounts       map[string]bool
}

// class is what the detection is: its source and analytic, or title.
func class(a *alert.Alert) string {
	return a.Source + "\x00" + folded(cmp.Or(a.Analytic, a.Title))
}

func (b *backtest) sample(s *Sample) {
	if s.Alert == nil || s.Alert.TenantID != b.report.Tenant {
		return
	}
	b.report.Alerts++
	critical := s.Alert.Severity >= alert.Critical
	if critical {
		b.classes[class(s.Alert)] = true
	}
	subject := Subject{Tenant: b.report.Tenant, Alert: s.Alert, Entities: s.Entities, AssetClasses: s.AssetClasses}
	if s.AssetClasses == nil {
		subject.AssetClasses = []string{b.pattern.assetClass}
	}
	pattern := b.pattern
	if s.Unread {
		b.report.Unread++
		pattern = b.loose
	}
	if !b.probe.prepare(&subject, b.at) {
		return
	}
	if _, ok := b.probe.evaluate(pattern); !ok {
		return
	}
	b.hide(s, critical || s.Severity >= alert.Critical)
}

func (b *backtest) hide(s *Sample, critical bool) {
	r := &b.report
	r.Hidden++
	if !b.investigations[s.Investigation] {
		b.investigations[s.Investigation] = true
		r.Examples = example(r.Examples, s.Investigation)
	}
	at, _ := s.Alert.EventTime()
	if r.First.IsZero() || at.Before(r.First) {
		r.First = at
	}
	if at.After(r.Last) {
		r.Last = at
	}
	for i := range s.Entities.List {
		switch e := &s.Entities.List[i]; e.Type {
		case alert.Host:
			b.hosts[e.Key()] = true
		case alert.Account:
			b.accounts[e.Key()] = true
		}
	}
	if critical {
		r.Critical++
		r.Against = example(r.Against, s.Investigation)
	} else {
		b.hidden[class(s.Alert)] = s.Investigation
		b.hiddenOf[class(s.Alert)]++
	}
	if s.Classification == evidence.TruePositive {
		if s.Confirmed {
			r.Confirmed++
			r.Against = example(r.Against, s.Investigation)
		} else {
			r.Malicious++
		}
	}
}

func example(list []string, id string) []string {
	if len(list) < reportExamples && !slices.Contains(list, id) {
		list = append(list, id)
	}
	return list
}

func (b *backtest) finish(limits Limits) {
	r := &b.report
	for _, c := range slices.Sorted(maps.Keys(b.classes)) {
		if id, ok := b.hidden[c]; ok {
			r.Critical += b.hiddenOf[c]
			r.Against = example(r.Against, id)
		}
	}
	r.Investigations, r.Hosts, r.Accounts = len(b.investigations), len(b.hosts), len(b.accounts)
	slices.Sort(r.Against)
	slices.Sort(r.Examples)
	if r.Critical > 0 {
		r.Refusals = append(r.Refusals, Refusal{RefusedCriticalClass,
			fmt.Sprintf("it would have hidden %d alerts of severity critical or of a detection that raises them", r.Critical)})
	}
	if r.Confirmed > 0 {
		r.Refusals = append(r.Refusals, Refusal{RefusedTruePositive,
			fmt.Sprintf("it would have hidden %d alerts that a person called a true positive", r.Confirmed)})
	}
	limit := limits.MaxShare
	if !(limit > 0 && limit <= 1) {
		limit = MaxShare
	}
	if r.Share() > limit {
		r.Refusals = append(r.Refusals, Refusal{RefusedTooWide,
			fmt.Sprintf("it would have hidden %d of %d alerts; at most %.0f %% are allowed", r.Hidden, r.Alerts, limit*100)})
	}
}
