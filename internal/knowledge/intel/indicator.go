package intel

import (
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// Limits of what a feed may put into one indicator.
const (
	// DefaultConfidence is that of an indicator whose feed states none.
	DefaultConfidence = 50
	maxContext        = 500
	maxList           = 32
	maxListItem       = 200
)

// Indicator is one row of intelligence.
type Indicator struct {
	Type alert.IndicatorType
	// Value is canonical: see Parse. An address may be a network in CIDR form.
	Value string
	// Confidence is 0 to 100.
	Confidence int
	Severity   alert.Severity
	// Campaigns are campaigns and malware families, Groups the actors behind them, Techniques
	// ATT&CK or ATLAS ids.
	Campaigns  []string
	Groups     []string
	Techniques []string
	// FirstSeen and LastSeen are zero when the feed does not say.
	FirstSeen time.Time
	LastSeen  time.Time
	// Sources are the names of the feeds, sorted.
	Sources []string
	// Context is what the feed says about the value in its own words.
	Context string
	// Expiry is when the row stops counting. Zero lets Store.Upsert decide by confidence.
	Expiry time.Time
	Tags   []string
}

// Lifetime is how long an indicator of that confidence counts when its feed does not say.
func Lifetime(confidence int) time.Duration {
	const day = 24 * time.Hour
	switch {
	case confidence > 80:
		return 30 * day
	case confidence >= 50:
		return 7 * day
	default:
		return day
	}
}

// countConfidence turns the number of lists that name an address into a confidence.
func countConfidence(n int) int {
	ladder := [...]int{30, 45, 60, 70, 75, 80, 85}
	if n < 1 {
		return ladder[0]
	}
	if n > len(ladder) {
		return 90
	}
	return ladder[n-1]
}

// spoofable reports whether anyone can give a harmless thing a value of this type.
func spoofable(t alert.IndicatorType) bool {
	return t == alert.IndicatorPath || t == alert.IndicatorRegistry || t == alert.IndicatorUserAgent
}

// bound brings the parts of a row into the limits of the table.
func (i *Indicator) bound() {
	i.Confidence = min(max(i.Confidence, 0), 100)
	if spoofable(i.Type) {
		i.Confidence = min(i.Confidence, 70)
	}
	i.Severity = min(max(i.Severity, alert.Informational), alert.Critical)
	i.Context = cut(clean(i.Context), maxContext)
	i.Campaigns = boundList(i.Campaigns)
	i.Groups = boundList(i.Groups)
	i.Sources = boundList(i.Sources)
	i.Tags = boundList(i.Tags)
	i.Techniques = boundList(slices.DeleteFunc(slices.Clone(i.Techniques),
		func(s string) bool { return !alert.IsTechniqueID(s) }))
}

// merge adds what other says about the same value: the higher confidence and severity, the
// union of the lists, the wider span of time.
func (i *Indicator) merge(other *Indicator) {
	i.Confidence = max(i.Confidence, other.Confidence)
	i.Severity = max(i.Severity, other.Severity)
	i.Campaigns = union(i.Campaigns, other.Campaigns)
	i.Groups = union(i.Groups, other.Groups)
	i.Techniques = union(i.Techniques, other.Techniques)
	i.Sources = union(i.Sources, other.Sources)
	i.Tags = union(i.Tags, other.Tags)
	// The longer text wins, whichever came first: the order of imports must not matter.
	if n, m := len(i.Context), len(other.Context); m > n || m == n && other.Context > i.Context {
		i.Context = other.Context
	}
	if i.FirstSeen.IsZero() || (!other.FirstSeen.IsZero() && other.FirstSeen.Before(i.FirstSeen)) {
		i.FirstSeen = other.FirstSeen
	}
	if other.LastSeen.After(i.LastSeen) {
		i.LastSeen = other.LastSeen
	}
	if other.Expiry.After(i.Expiry) {
		i.Expiry = other.Expiry
	}
}

func union(a, b []string) []string {
	if len(b) == 0 || slices.Equal(a, b) {
		return a
	}
	return boundList(append(slices.Clone(a), b...))
}

func boundList(in []string) []string {
	if len(in) == 0 {
		return nil
	}
	out := make([]string, 0, len(in))
	for _, s := range in {
		if s = cut(clean(s), maxListItem); s != "" {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if len(out) > maxList {
		out = out[:maxList]
	}
	if len(out) == 0 {
		return nil
	}
	return slices.Clip(out)
}
