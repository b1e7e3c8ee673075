package alert

import (
	"fmt"
	"strings"
)

// Severity orders alerts from informational to critical. The zero value is Informational.
type Severity int8

// The severities, lowest first.
const (
	Informational Severity = iota
	Low
	Medium
	High
	Critical
)

var severityNames = [...]string{"informational", "low", "medium", "high", "critical"}

// Severities lists all severities, highest first: the order of queues and tables.
func Severities() []Severity { return []Severity{Critical, High, Medium, Low, Informational} }

// String returns the canonical word.
func (s Severity) String() string {
	if s < Informational || s > Critical {
		return fmt.Sprintf("severity(%d)", int8(s))
	}
	return severityNames[s]
}

// ParseSeverity reads a canonical severity word or one of the usual synonyms ("info",
// "warning", "moderate", "severe", "fatal"), in any case. ok is false for anything else.
func ParseSeverity(s string) (sev Severity, ok bool) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "informational", "information", "info", "none", "unknown":
		return Informational, true
	case "low", "minor":
		return Low, true
	case "medium", "moderate", "warning":
		return Medium, true
	case "high", "major", "severe":
		return High, true
	case "critical", "fatal", "emergency":
		return Critical, true
	}
	return Medium, false
}

// Raise returns the next higher severity, at most Critical.
func (s Severity) Raise() Severity { return min(s+1, Critical) }

// Lower returns the next lower severity, at least Informational.
func (s Severity) Lower() Severity { return max(s-1, Informational) }

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; unknown words are an error.
func (s *Severity) UnmarshalText(b []byte) error {
	v, ok := ParseSeverity(string(b))
	if !ok {
		return fmt.Errorf("alert: %q is not a severity (critical, high, medium, low, informational)", b)
	}
	*s = v
	return nil
}
