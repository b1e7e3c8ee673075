// Package investigate holds the rules of an investigation: its states and the transitions
// between them, the gates that ask for a person, how alerts fold into one investigation and
// when a fold reopens it. It is pure: no clock, no store, no network. Package orchestrate
// runs it.
package investigate

import (
	"fmt"
	"slices"
)

// State is where an investigation stands.
type State string

// The states (DESIGN section 6).
const (
	Received      State = "received"
	Parsing       State = "parsing"
	Enriching     State = "enriching"
	Reasoning     State = "reasoning"
	AwaitingHuman State = "awaiting_human"
	Responding    State = "responding"
	Closed        State = "closed"
	Failed        State = "failed"
)

// States lists all states in the order of an undisturbed life.
func States() []State {
	return []State{Received, Parsing, Enriching, Reasoning, AwaitingHuman, Responding, Closed, Failed}
}

// WaitReason says what an investigation in AwaitingHuman waits for.
type WaitReason string

// The reasons to wait.
const (
	WaitNone     WaitReason = ""
	WaitVerdict  WaitReason = "verdict"
	WaitApproval WaitReason = "approval"
	WaitShadow   WaitReason = "shadow"
	WaitDegraded WaitReason = "degraded"
)

// transitions lists what may follow each state. Every state but the ends may fail; closed and
// failed lead back to parsing when a fold or a rolled-back pattern reopens them.
var transitions = map[State][]State{
	Received:      {Parsing, Failed},
	Parsing:       {Enriching, Closed, Failed},
	Enriching:     {Reasoning, Failed},
	Reasoning:     {AwaitingHuman, Responding, Failed},
	AwaitingHuman: {AwaitingHuman, Responding, Closed, Parsing, Failed},
	Responding:    {Closed, AwaitingHuman, Failed},
	Closed:        {Parsing},
	Failed:        {Parsing},
}

// CanMove reports whether an investigation may go from one state straight to another.
func CanMove(from, to State) bool { return slices.Contains(transitions[from], to) }

// TransitionError is a move that the state machine does not have.
type TransitionError struct{ From, To State }

// Error implements error.
func (e *TransitionError) Error() string {
	return fmt.Sprintf("an investigation cannot go from %s to %s", e.From, e.To)
}

// CheckPath returns a *TransitionError for the first move of the path that is not allowed.
func CheckPath(path []State) error {
	for i := 1; i < len(path); i++ {
		if !CanMove(path[i-1], path[i]) {
			return &TransitionError{From: path[i-1], To: path[i]}
		}
	}
	return nil
}
