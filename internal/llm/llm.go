// Package llm is a call to a language model in a neutral form: one request, one response, one
// kind of error, whichever provider answers. Providers live below it (anthropic, openai) and
// translate; what may be asked, of which model and at what price is decided by llm/route and
// llm/spend. Only the gateway may use any of them.
package llm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Provider calls the models of one vendor or server. Implementations are safe for concurrent
// use, make exactly one attempt per call and keep nothing between calls: retries, fallbacks and
// budgets belong to the caller.
type Provider interface {
	// Name is short and stable, such as "anthropic"; it appears in configuration and records.
	Name() string
	// Complete returns the whole answer. Errors are *Error.
	Complete(ctx context.Context, r *Request) (*Response, error)
	// Stream does the same and hands over the text as it arrives. What was handed over is not an
	// answer: only the response that is returned without an error is complete.
	Stream(ctx context.Context, r *Request, text func(delta string)) (*Response, error)
}

// Request is one call.
type Request struct {
	// Model is the name that the provider knows.
	Model string
	// System are the fixed instructions of the task: never text from an alert. They are the same
	// for every call of a task, so providers that can cache prompts mark their end.
	System string
	// Messages alternate between user and assistant and begin with user.
	Messages []Message
	Tools    []Tool
	// Answer asks for an answer that meets a schema; nil for free text.
	Answer *Schema
	// MaxTokens bounds the answer, thinking included.
	MaxTokens int
	// ThinkingTokens is the budget of extended thinking, 0 for none. Models that think adaptively
	// take it as a wish.
	ThinkingTokens int
	// Key correlates the call with its records and makes a repetition recognisable. At most 64
	// characters of [A-Za-z0-9_-].
	Key string
}

// Role says who speaks.
type Role string

// The roles. System instructions are a field of Request: data can never take that place.
const (
	User      Role = "user"
	Assistant Role = "assistant"
)

// Message is one turn: text, calls of tools (assistant) or results of tools (user).
type Message struct {
	Role    Role
	Text    string
	Calls   []ToolCall
	Results []ToolResult
	// Opaque is what a provider needs back unchanged to continue its own turn (thinking blocks).
	Opaque json.RawMessage
}

// Schema is a JSON Schema (2020-12, the subset that strict modes share: every property required,
// additionalProperties false, no numeric or length bounds).
type Schema struct {
	Name string
	JSON json.RawMessage
}

// Tool is a function that the model may ask for.
type Tool struct {
	Name, Description string
	Input             json.RawMessage // JSON Schema, as in Schema
}

// ToolCall is what the model asks for. Input is complete JSON, not yet checked against the schema.
type ToolCall struct {
	ID, Name string
	Input    json.RawMessage
}

// ToolResult answers a ToolCall.
type ToolResult struct {
	CallID string
	Text   string
	Failed bool
}

// Stop says why the model stopped.
type Stop string

// The reasons to stop. Only StopEnd and StopTools are complete answers.
const (
	StopEnd     Stop = "end"
	StopTools   Stop = "tools"
	StopLength  Stop = "length"  // cut at MaxTokens
	StopContext Stop = "context" // cut at the window of the model
	StopRefusal Stop = "refusal"
	StopPause   Stop = "pause"
	StopUnknown Stop = "unknown" // missing, or one that this program does not know
)

// Complete reports whether a response that stopped so may be used.
func (s Stop) Complete() bool { return s == StopEnd || s == StopTools }

// Response is an answer as it came, complete or not: look at Stop first.
type Response struct {
	// ID is the provider's; Model is the one that answered, which may differ from the one asked.
	ID, Model string
	Text      string
	Calls     []ToolCall
	Opaque    json.RawMessage // see Message.Opaque
	Stop      Stop
	Usage     Usage
}

// Message returns the response as a turn of the conversation.
func (r *Response) Message() Message {
	return Message{Role: Assistant, Text: r.Text, Calls: r.Calls, Opaque: r.Opaque}
}

// Usage is what a call consumed, in tokens. Input counts what was neither read from nor written
// to the cache.
type Usage struct {
	Input, Output, CacheRead, CacheWrite int64
	// Known is false when the provider did not say; the numbers are then not to be used.
	Known bool
}

// Prompt is the length of the whole prompt, however it was billed.
func (u Usage) Prompt() int64 { return u.Input + u.CacheRead + u.CacheWrite }

// Kind classifies what went wrong.
type Kind string

// The kinds of errors.
const (
	KindRate       Kind = "rate_limited" // 429: slow down
	KindSpend      Kind = "spend_limit"  // 429 or 402 for the account's own limit: asking again is useless
	KindOverloaded Kind = "overloaded"   // 529, 503
	KindServer     Kind = "server"       // other 5xx
	KindTimeout    Kind = "timeout"      // no answer, or no further bytes, in time
	KindNetwork    Kind = "network"      // no connection, TLS, DNS
	KindCut        Kind = "cut"          // the stream ended before the answer did
	KindAuth       Kind = "auth"         // 401, 403: the key is wrong or revoked
	KindRequest    Kind = "request"      // other 4xx: asking the same again is useless
	KindTooLong    Kind = "too_long"     // 413, or the prompt exceeds the window
	KindUnreadable Kind = "unreadable"   // the provider's envelope is not what its protocol says, or too large
	KindCanceled   Kind = "canceled"     // the caller's context ended
)

// Error is a call that gave no answer.
type Error struct {
	Kind     Kind
	Provider string
	Model    string
	// Status is the HTTP status, 0 when there was none.
	Status int
	// RetryAfter is how long the provider asked to wait, 0 when it did not say.
	RetryAfter time.Duration
	// Usage is what was consumed all the same, as far as the provider said: a cut stream is billed.
	Usage Usage
	// Err says more. It never holds a key or the text of a prompt.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	s := e.Provider + ": " + string(e.Kind)
	if e.Status != 0 {
		s += fmt.Sprintf(" (HTTP %d)", e.Status)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap implements errors.Unwrap.
func (e *Error) Unwrap() error { return e.Err }

// Retryable reports whether the same call may succeed later at the same provider.
func (e *Error) Retryable() bool {
	switch e.Kind {
	case KindRate, KindOverloaded, KindServer, KindTimeout, KindNetwork, KindCut, KindUnreadable:
		return true
	}
	return false
}

// Unavailable reports whether the failure speaks against the provider and not against the call:
// what a circuit breaker counts.
func (e *Error) Unavailable() bool {
	switch e.Kind {
	case KindOverloaded, KindServer, KindTimeout, KindNetwork, KindCut, KindUnreadable, KindAuth, KindSpend:
		return true
	}
	return false
}

// KindOf returns the kind of an error of a provider, "" for any other.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}
