package intel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/id"
)

// How old a sighting may be before it counts half: addresses and names change hands, the
// content behind a hash does not.
const (
	staleNetwork = 90 * 24 * time.Hour
	staleHash    = 365 * 24 * time.Hour
)

// Source says which indicators of an alert are known to be malicious.
type Source struct{ live *Live }

// NewSource returns a source that looks into the index in use.
func NewSource(live *Live) *Source { return &Source{live: live} }

var _ evidence.Source = (*Source)(nil)

// Name implements evidence.Source.
func (*Source) Name() string { return "indicators" }

// Gather implements evidence.Source. One batch is answered from one index.
func (s *Source) Gather(ctx context.Context, subjects []evidence.Subject) ([]evidence.Finding, error) {
	return answerAll(ctx, s.live, subjects, func(x *Index) (lookup, error) { return x.Lookup, nil })
}

// Lookup finds the best indicator for one value in the index in use.
func (s *Source) Lookup(_ context.Context, tenant string, t alert.IndicatorType, value string, at time.Time) (Hit, bool, error) {
	x, blind := s.live.Index()
	if x == nil {
		return Hit{}, false, errors.New(blind)
	}
	h, ok := x.Lookup(tenant, t, value, at)
	return h, ok, nil
}

// lookup is Index.Lookup, over whatever there is.
type lookup func(tenant string, t alert.IndicatorType, value string, at time.Time) (Hit, bool)

// answerAll answers a batch by what with makes of the index in use.
func answerAll(ctx context.Context, live *Live, subjects []evidence.Subject, with func(*Index) (lookup, error)) ([]evidence.Finding, error) {
	out := make([]evidence.Finding, 0, len(subjects))
	index, blind := live.Index()
	var find lookup
	if index != nil {
		var err error
		if find, err = with(index); err != nil && ctx.Err() == nil {
			index, blind = nil, "indicators cannot be looked up: "+err.Error()
		}
	}
	for i := range subjects {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		switch {
		case index == nil:
			out = append(out, evidence.Finding{Blind: blind})
		case subjects[i].Alert != nil && !index.Imported(subjects[i].Alert.TenantID):
			out = append(out, evidence.Finding{Blind: "no indicators were imported", Unused: true})
		default:
			out = append(out, evidence.Finding{Items: items(find, &subjects[i])})
		}
	}
	return out, nil
}

func items(find lookup, s *evidence.Subject) []evidence.Evidence {
	if s.Alert == nil || s.Entities == nil {
		return nil
	}
	var out []evidence.Evidence
	at, _ := s.Alert.EventTime()
	for i := range s.Entities.Indicators {
		ind := &s.Entities.Indicators[i]
		if ind.Benign != "" {
			continue
		}
		if h, ok := find(s.Alert.TenantID, ind.Type, ind.Value, at); ok {
			out = append(out, item(ind, &h, at))
		}
	}
	return out
}

func item(ind *alert.Indicator, h *Hit, at time.Time) evidence.Evidence {
	e := evidence.Evidence{
		ID:         id.Derive("indicator", string(ind.Type), ind.Value),
		Kind:       "indicator",
		Stance:     evidence.For,
		Source:     strings.Join(h.About.Sources, ", "),
		Refs:       ind.Refs,
		Group:      group(ind),
		ObservedAt: at,
		Trust:      evidence.TrustExternal,
		Techniques: h.About.Techniques,
	}
	var age time.Duration
	if seen := lastKnown(h); !seen.IsZero() && at.After(seen) {
		age = at.Sub(seen)
		e.FreshnessSeconds = int64(age / time.Second)
	}
	if ind.Type == alert.IndicatorCVE {
		// That a flaw is exploited somewhere does not say that this activity exploits it.
		e.Stance = evidence.Context
	} else {
		e.Weight = weight(ind, h, age)
	}
	e.Statement = statement(ind, h)
	return e
}

// group is what the value was read from, so that several indicators of one field count as one.
func group(ind *alert.Indicator) string {
	if len(ind.Refs) > 0 {
		return ind.Refs[0]
	}
	return string(ind.Type) + ":" + ind.Value
}

func lastKnown(h *Hit) time.Time {
	if h.LastSeen.IsZero() {
		return h.FirstSeen
	}
	return h.LastSeen
}

// weight is the ladder of confidence in bits, halved for an old sighting and again for a
// value that was found in text rather than stated by the source.
func weight(ind *alert.Indicator, h *Hit, age time.Duration) float64 {
	var bits float64
	switch {
	case h.Confidence >= 90:
		bits = 4
	case h.Confidence > 80:
		bits = 3.5
	case h.Confidence >= 50:
		bits = 2
	default:
		bits = 1
	}
	if age > staleAfter(ind.Type) {
		bits /= 2
	}
	if ind.Confidence < 1 {
		bits /= 2
	}
	return bits
}

func staleAfter(t alert.IndicatorType) time.Duration {
	switch t {
	case alert.IndicatorMD5, alert.IndicatorSHA1, alert.IndicatorSHA256:
		return staleHash
	default:
		return staleNetwork
	}
}

var typeNames = map[alert.IndicatorType]string{
	alert.IndicatorIPv4: "Address", alert.IndicatorIPv6: "Address", alert.IndicatorDomain: "Domain",
	alert.IndicatorURL: "URL", alert.IndicatorEmail: "Mail address", alert.IndicatorMD5: "File hash",
	alert.IndicatorSHA1: "File hash", alert.IndicatorSHA256: "File hash", alert.IndicatorCVE: "Vulnerability",
	alert.IndicatorUserAgent: "User agent", alert.IndicatorPath: "Path", alert.IndicatorRegistry: "Registry key",
}

func statement(ind *alert.Indicator, h *Hit) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s ", typeNames[ind.Type], cut(ind.Value, 200))
	if ind.Type == alert.IndicatorCVE {
		b.WriteString("is known to be exploited")
	} else {
		b.WriteString("is a known indicator of compromise")
	}
	fmt.Fprintf(&b, ", according to %s (confidence %d, severity %s", strings.Join(h.About.Sources, ", "), h.Confidence, h.Severity)
	switch h.Match {
	case MatchExact:
	case MatchParent, MatchHost:
		b.WriteString(", matched on " + h.Value)
	default:
		fmt.Fprintf(&b, ", matched %s", h.Match)
	}
	if seen := lastKnown(h); seen.IsZero() {
		b.WriteString(", last seen at an unknown time")
	} else {
		b.WriteString(", last seen " + seen.Format(time.DateOnly))
	}
	b.WriteByte(')')
	if len(h.About.Campaigns) > 0 {
		b.WriteString("; campaigns and malware: " + strings.Join(first(h.About.Campaigns, 5), ", "))
	}
	if len(h.About.Groups) > 0 {
		b.WriteString("; groups: " + strings.Join(first(h.About.Groups, 5), ", "))
	}
	return b.String()
}

func first(list []string, n int) []string { return list[:min(n, len(list))] }
