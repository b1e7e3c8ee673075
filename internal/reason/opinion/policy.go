package opinion

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
)

// When says for which verdicts a model is asked.
type When string

// The policies, per severity.
const (
	Never     When = "never"
	Uncertain When = "uncertain" // deferred verdicts and conflicts of evidence
	Always    When = "always"
)

// Valid reports whether w is one of the policies.
func (w When) Valid() bool { return w == Never || w == Uncertain || w == Always }

// Policy says when a model is asked, by severity and, where a tenant wants it otherwise, tenant.
type Policy struct {
	Critical, High, Medium, Low, Informational When
	Tenants                                    map[string]Policy
}

// DefaultPolicy asks about every high or critical investigation and, below, about what the
// evidence does not decide.
func DefaultPolicy() Policy {
	return Policy{Critical: Always, High: Always, Medium: Uncertain, Low: Uncertain, Informational: Uncertain}
}

func (p Policy) of(tenant string, s alert.Severity) When {
	if own, ok := p.Tenants[tenant]; ok {
		p = own
	}
	switch s {
	case alert.Critical:
		return p.Critical
	case alert.High:
		return p.High
	case alert.Medium:
		return p.Medium
	case alert.Low:
		return p.Low
	default:
		return p.Informational
	}
}

// conflictBits is what evidence must count on both sides to be a conflict.
const conflictBits = 3

// Wants reports whether a model is asked about a verdict.
func (p Policy) Wants(tenant string, v *evidence.Verdict, items []evidence.Evidence) bool {
	switch p.of(tenant, v.Severity) {
	case Always:
		return true
	case Uncertain:
		return v.Classification.Deferred() || conflict(items)
	}
	return false
}

func conflict(items []evidence.Evidence) bool {
	up, down := 0.0, 0.0
	for i := range items {
		up, down = max(up, items[i].Counted), max(down, -items[i].Counted)
	}
	return up >= conflictBits && down >= conflictBits
}

// Digest identifies what a model is asked about: the items of evidence, without those that rest
// on a model. Repeats that only count do not change it, so nothing is asked twice.
func Digest(items []evidence.Evidence) string {
	lines := make([]string, 0, len(items))
	for i := range items {
		if e := &items[i]; !IsModel(e) {
			lines = append(lines, fmt.Sprintf("%s %d", e.ID, int64(math.Round(e.Weight*1e6))))
		}
	}
	slices.Sort(lines)
	h := sha256.New()
	for _, l := range lines {
		fmt.Fprintf(h, "%d:%s", len(l), l)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Accepts reports whether a second, stronger opinion replaces the first: only if it is surer.
func (o *Opinion) Accepts(second *Opinion) bool {
	return second != nil && second.Confidence > o.Confidence
}

// Escalates reports whether a stronger model is to be asked after this opinion (REFERENCE 9.2).
func (o *Opinion) Escalates(s alert.Severity) bool { return o.Confidence < 0.6 && s >= alert.High }
