package fp

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrInvalid says that a definition or a call is malformed.
	ErrInvalid = errors.New("fp: invalid")
	// ErrRefused says that a pattern is well formed and must not be used; it comes as a *RefusedError.
	ErrRefused = errors.New("fp: pattern refused")
	// ErrForbidden says that this person may not decide this: proposer and approvers are three people.
	ErrForbidden = errors.New("fp: not this person's to decide")
	// ErrConflict says that the pattern is not in a status, or not at the version, for which this was decided.
	ErrConflict = errors.New("fp: not possible in this status")
	// ErrNotFound says that there is no such pattern or switch.
	ErrNotFound = errors.New("fp: not found")
	// ErrStale says that patterns or switches changed since they were read.
	ErrStale = errors.New("fp: patterns or kill switches changed meanwhile")
	// ErrDamaged says that a stored pattern cannot be read back.
	ErrDamaged = errors.New("fp: stored pattern is damaged")
)

// SyntaxError is a mistake in a pattern file.
type SyntaxError struct {
	File   string
	Line   int // 1-based, 0 when unknown
	Reason string
}

// Error implements error.
func (e *SyntaxError) Error() string {
	file := e.File
	if file == "" {
		file = "pattern"
	}
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", file, e.Line, e.Reason)
	}
	return file + ": " + e.Reason
}

// Unwrap makes errors.Is(err, ErrInvalid) true.
func (e *SyntaxError) Unwrap() error { return ErrInvalid }

// Refusal is one reason why a pattern must not be used.
type Refusal struct {
	// Code is stable: unscoped, attacker_writable, too_wide, critical_class, true_positive,
	// other_definition.
	Code   string `json:"code"`
	Reason string `json:"reason"`
}

// The codes of refusals.
const (
	RefusedUnscoped         = "unscoped"
	RefusedAttackerWritable = "attacker_writable"
	RefusedTooWide          = "too_wide"
	RefusedCriticalClass    = "critical_class"
	RefusedTruePositive     = "true_positive"
	RefusedOtherDefinition  = "other_definition"
)

// RefusedError lists every reason at once.
type RefusedError struct {
	Name     string
	Refusals []Refusal
}

// Error implements error.
func (e *RefusedError) Error() string {
	parts := make([]string, len(e.Refusals))
	for i, r := range e.Refusals {
		parts[i] = r.Code + ": " + r.Reason
	}
	return fmt.Sprintf("pattern %q is refused: %s", e.Name, strings.Join(parts, "; "))
}

// Unwrap makes errors.Is(err, ErrRefused) true.
func (e *RefusedError) Unwrap() error { return ErrRefused }

// Has reports whether one of the reasons has that code.
func (e *RefusedError) Has(code string) bool {
	for _, r := range e.Refusals {
		if r.Code == code {
			return true
		}
	}
	return false
}

func refuse(name string, list []Refusal) error {
	if len(list) == 0 {
		return nil
	}
	return &RefusedError{Name: name, Refusals: list}
}
