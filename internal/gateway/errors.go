package gateway

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrUnavailable says that no model can be asked now. Use errors.As with *Unavailable for when.
	ErrUnavailable = errors.New("gateway: no model can be asked now")
	// ErrBudget says that a cap on spending or a quota does not allow the call.
	ErrBudget = errors.New("gateway: the budget does not allow it")
	// ErrRefused says that the model gave no usable answer, twice, or refused: a person decides.
	ErrRefused = errors.New("gateway: no usable answer")
	// ErrEvidence says that prompts and answers cannot be kept now: nothing is asked, or what was
	// answered is not used, until they can.
	ErrEvidence = errors.New("gateway: prompts and answers cannot be kept as evidence now")
	// ErrQuestion says that the question itself cannot be asked.
	ErrQuestion = errors.New("gateway: question")
)

// Unavailable is ErrUnavailable with the time from which trying again makes sense.
type Unavailable struct {
	Until time.Time
	Err   error
}

// Error implements error.
func (e *Unavailable) Error() string { return fmt.Sprintf("%v: %v", ErrUnavailable, e.Err) }

// Unwrap implements errors.Unwrap.
func (e *Unavailable) Unwrap() []error { return []error{ErrUnavailable, e.Err} }

// OverBudget is ErrBudget with the cap and when it frees; zero when not by itself.
type OverBudget struct {
	Cap   string
	Until time.Time
	Err   error
}

// Error implements error.
func (e *OverBudget) Error() string { return fmt.Sprintf("%v: %v", ErrBudget, e.Err) }

// Unwrap implements errors.Unwrap.
func (e *OverBudget) Unwrap() []error { return []error{ErrBudget, e.Err} }

// Refusal is ErrRefused with what was wrong with each answer.
type Refusal struct{ Reasons []string }

// Error implements error.
func (e *Refusal) Error() string {
	s := ErrRefused.Error()
	for _, r := range e.Reasons {
		s += "; " + r
	}
	return s
}

// Unwrap implements errors.Unwrap.
func (e *Refusal) Unwrap() error { return ErrRefused }
