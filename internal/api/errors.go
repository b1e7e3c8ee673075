package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/fp"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

// Code names a kind of failure. Clients may rely on codes; titles and details are for people.
type Code string

// The catalogue of codes. Each has one HTTP status.
const (
	CodeUnauthenticated   Code = "unauthenticated"
	CodeForbidden         Code = "forbidden"
	CodeCredentials       Code = "credentials_unreadable"
	CodeNotFound          Code = "not_found"
	CodeUnknownSource     Code = "unknown_source"
	CodeMethod            Code = "method_not_allowed"
	CodeInvalid           Code = "invalid_request"
	CodeInvalidJSON       Code = "invalid_json"
	CodeEmpty             Code = "empty_body"
	CodeEncoding          Code = "invalid_encoding"
	CodeMediaType         Code = "unsupported_media_type"
	CodeRecordTooLarge    Code = "record_too_large"
	CodeBodyTooLarge      Code = "body_too_large"
	CodeNothingAccepted   Code = "nothing_accepted"
	CodeUnreadable        Code = "unreadable_file"
	CodeConflict          Code = "conflict"
	CodeChanged           Code = "changed"
	CodePrecondition      Code = "precondition_required"
	CodeIdempotencyReused Code = "idempotency_key_reused"
	CodePatternRefused    Code = "pattern_refused"
	CodeBudget            Code = "budget_exhausted"
	CodeNoAnswer          Code = "no_usable_answer"
	CodeNotReady          Code = "not_ready"
	CodeUnavailable       Code = "unavailable"
	CodeOverloaded        Code = "overloaded"
	CodeRateLimited       Code = "rate_limited"
	CodeInternal          Code = "internal"
)

// Entry is one row of the catalogue.
type Entry struct {
	Status int
	Title  string
}

// Catalogue lists every code with its status and title.
func Catalogue() map[Code]Entry {
	return map[Code]Entry{
		CodeUnauthenticated:   {http.StatusUnauthorized, "no valid token"},
		CodeForbidden:         {http.StatusForbidden, "the token's role does not allow this"},
		CodeCredentials:       {http.StatusServiceUnavailable, "credentials cannot be checked"},
		CodeNotFound:          {http.StatusNotFound, "there is no such thing"},
		CodeUnknownSource:     {http.StatusNotFound, "there is no such source"},
		CodeMethod:            {http.StatusMethodNotAllowed, "the method does not exist here"},
		CodeInvalid:           {http.StatusBadRequest, "the request is not valid"},
		CodeInvalidJSON:       {http.StatusBadRequest, "the body is not the JSON that is expected here"},
		CodeEmpty:             {http.StatusBadRequest, "the body holds no record"},
		CodeEncoding:          {http.StatusBadRequest, "the body cannot be unpacked"},
		CodeMediaType:         {http.StatusUnsupportedMediaType, "the content encoding is not supported"},
		CodeRecordTooLarge:    {http.StatusRequestEntityTooLarge, "a record is too large"},
		CodeBodyTooLarge:      {http.StatusRequestEntityTooLarge, "the body is too large"},
		CodeNothingAccepted:   {http.StatusUnprocessableEntity, "no record could be accepted"},
		CodeUnreadable:        {http.StatusUnprocessableEntity, "the file cannot be used"},
		CodeConflict:          {http.StatusConflict, "not possible in this state"},
		CodeChanged:           {http.StatusConflict, "it changed since it was shown"},
		CodePrecondition:      {http.StatusPreconditionRequired, "say which version was looked at"},
		CodeIdempotencyReused: {http.StatusUnprocessableEntity, "the idempotency key was used for another request"},
		CodePatternRefused:    {http.StatusUnprocessableEntity, "this must not become a pattern"},
		CodeBudget:            {http.StatusPaymentRequired, "the budget does not allow it"},
		CodeNoAnswer:          {http.StatusBadGateway, "the model gave no usable answer"},
		CodeNotReady:          {http.StatusServiceUnavailable, "not ready"},
		CodeUnavailable:       {http.StatusServiceUnavailable, "an engine does not answer"},
		CodeOverloaded:        {http.StatusServiceUnavailable, "too much is in work"},
		CodeRateLimited:       {http.StatusTooManyRequests, "the tenant sends too much"},
		CodeInternal:          {http.StatusInternalServerError, "internal error"},
	}
}

// Problem is an error as clients see it (RFC 9457). Detail never holds text of an internal error.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   Code   `json:"code"`
	Detail string `json:"detail,omitempty"`
	// Record is the position of the record that is at fault, from 0.
	Record *int `json:"record,omitempty"`
	// Receipt says what became of the records of an intake request.
	Receipt *Receipt `json:"receipt,omitempty"`
	// Refusals are the reasons why a pattern must not be used, Backtest what it would have hidden.
	Refusals []fp.Refusal `json:"refusals,omitempty"`
	Backtest *fp.Report   `json:"backtest,omitempty"`
	// RetryAfter is how many seconds to wait before the same request is worth repeating.
	RetryAfter int `json:"retry_after,omitempty"`

	// cause is for the log alone.
	cause error
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

// Unwrap gives the log what really happened.
func (p *Problem) Unwrap() error { return p.cause }

// problem makes a Problem of the catalogue.
func problem(code Code, format string, args ...any) *Problem {
	e := Catalogue()[code]
	return &Problem{Type: "about:blank", Title: e.Title, Status: e.Status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// retryable is a problem that goes away by itself.
func retryable(code Code, seconds int, cause error, format string, args ...any) *Problem {
	p := problem(code, format, args...)
	p.RetryAfter, p.cause = seconds, cause
	return p
}

var (
	// ErrTooLarge is what Config.Offer returns, wrapped, for an alert that no bus message can hold.
	ErrTooLarge = errors.New("api: an alert is too large for the bus")
	// ErrUnusable is what Config.Reload returns, wrapped, for a file that cannot be used; its text
	// names place and reason for people.
	ErrUnusable = errors.New("api: a file cannot be used")
	// ErrUnavailable is what the functions of Config return, wrapped, when an engine does not
	// answer and the same call may succeed later.
	ErrUnavailable = errors.New("api: an engine does not answer")
)

// problemOf turns any error into what a client may see. What is not known to be harmless is
// "internal error"; its text goes to the log only.
func problemOf(err error) *Problem {
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case fpProblem(err) != nil:
		return fpProblem(err)
	case errors.Is(err, orchestrate.ErrNotFound):
		return problem(CodeNotFound, "no investigation has this id")
	case errors.Is(err, orchestrate.ErrConflict):
		p := problem(CodeConflict, "%s", publicText(err, orchestrate.ErrConflict))
		p.cause = err
		return p
	case errors.Is(err, orchestrate.ErrInvalid):
		return problem(CodeInvalid, "%s", publicText(err, orchestrate.ErrInvalid))
	case errors.Is(err, token.ErrUnknown):
		return problem(CodeUnauthenticated, "send Authorization: Bearer with a token that exists")
	case errors.Is(err, token.ErrFile):
		return retryable(CodeCredentials, 5, err, "the file of tokens cannot be read; nobody is let in")
	case errors.Is(err, ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return retryable(CodeUnavailable, 2, err, "try again")
	default:
		p := problem(CodeInternal, "")
		p.cause = err
		return p
	}
}

// fpProblem is what a client may see of an error of package fp, whose texts are for people;
// nil for other errors.
func fpProblem(err error) *Problem {
	var refused *fp.RefusedError
	switch {
	case errors.As(err, &refused):
		p := problem(CodePatternRefused, "%s", refused)
		p.Refusals = refused.Refusals
		return p
	case errors.Is(err, fp.ErrNotFound):
		return problem(CodeNotFound, "%s", publicText(err, fp.ErrNotFound))
	case errors.Is(err, fp.ErrForbidden):
		return problem(CodeForbidden, "%s", publicText(err, fp.ErrForbidden))
	case errors.Is(err, fp.ErrConflict):
		return problem(CodeConflict, "%s", publicText(err, fp.ErrConflict))
	case errors.Is(err, fp.ErrInvalid):
		return problem(CodeInvalid, "%s", publicText(err, fp.ErrInvalid))
	}
	return nil
}

// publicText is the text of an error of the orchestrator, which it writes for people, without
// the sentinel in front.
func publicText(err, sentinel error) string {
	text, prefix := err.Error(), sentinel.Error()+": "
	if len(text) > len(prefix) && text[:len(prefix)] == prefix {
		return text[len(prefix):]
	}
	return text
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Del("ETag")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the caller went away
}

func writeJSON(w http.ResponseWriter, status int, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the caller went away
	return nil
}
