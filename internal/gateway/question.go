package gateway

import (
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/reason/opinion"
)

// Task is what a model is asked for; see package llm for the list.
type Task = llm.Task

// The tasks that the product itself asks for.
const (
	Investigation = llm.Investigation
	Extraction    = llm.IOCExtraction
	Summary       = llm.LogSummarisation
)

// Question is one question about one investigation. Everything in it but the identifiers of our
// own is treated as text that an attacker may have written.
type Question struct {
	Tenant        string
	Investigation string
	Task          Task
	Severity      alert.Severity
	// Previous is the confidence of an earlier answer that was not sure enough; nil for the first.
	Previous *float64
	// Facts are single values that describe the investigation: title, source, times.
	Facts []Fact
	// Evidence is what may be cited by id; Fields is what may be cited by pointer.
	Evidence []evidence.Evidence
	Fields   []Field
	// Entities are who and what it is about. They are redacted everywhere, and the only things
	// that an action or a tool may name.
	Entities []alert.Entity
	// Choices are the actions that may be named.
	Choices []opinion.Action
	// Tools may be called while the answer is worked out.
	Tools []Tool
}

// Fact is a named value.
type Fact struct{ Name, Value string }

// Field is a leaf of the native record. Priority orders what is left out first when the question
// is too long: higher goes first.
type Field struct {
	Ref, Text string
	Priority  int
}

// Answer is what a model said, checked, with what it cost.
type Answer struct {
	// Exactly one of these is set, by the task.
	Opinion    *opinion.Opinion
	Indicators []alert.Indicator
	Summary    string

	Account
}

// Account is what asking took, also when it gave no answer.
type Account struct {
	Provider, Model, Tier string
	// Calls counts requests that were answered or billed.
	Calls     int
	MicroUSD  int64
	Estimated bool
	Latency   time.Duration
	// Injected says that text in the question tried to steer the model.
	Injected bool
	// Events are for the audit trail of the tenant, to be emitted by whoever commits the outcome.
	Events []audit.Event
}

// Tool is a read-only look-up that a model may ask for. Its only argument is a name or an
// indicator that stands in the data.
type Tool struct {
	Name, Description string
	// Call answers in a few lines of text, which are screened and redacted like everything else.
	Call func(subject string) (string, error)
}
