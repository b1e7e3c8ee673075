package simulated

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/llm"
)

// Script says what happens to the n-th completion, from 0.
type Script func(n int, r *llm.Request) Step

// Steps is a script of its steps in order, and nothing special behind them.
func Steps(steps ...Step) Script {
	return func(n int, _ *llm.Request) Step {
		if n < len(steps) {
			return steps[n]
		}
		return Step{}
	}
}

// Always is a script of one step for every request.
func Always(s Step) Script { return func(int, *llm.Request) Step { return s } }

// Step is what happens to one request. The zero Step is a good answer.
type Step struct {
	// Latency passes before the first byte.
	Latency time.Duration
	// Status other than 0 and 200 answers with an error of this Type, Code and Message.
	Status              int
	Type, Code, Message string
	Header              map[string]string
	// Drop ends the connection without an answer.
	Drop bool

	// Edit changes the text of the answer; Response changes it as a whole before it is written.
	Edit     func(string) string
	Response func(*llm.Response)
	// RawStop is sent as the stop reason, whatever the protocol knows; NoStop sends none and ends
	// the stream as if all were well.
	RawStop string
	NoStop  bool
	// NoUsage leaves the usage out.
	NoUsage bool
	// ErrorAt, in a stream, sends the error of Type, Code and Message instead of the end.
	ErrorInside bool

	// ContentType and Body replace the answer on the wire.
	ContentType string
	Body        []byte
	// Mangle changes the bytes on the wire.
	Mangle func([]byte) []byte

	Stall *Stall
	Drip  *Drip
	Cut   *Cut
}

// Stall is silence before the byte at offset At; For 0 lasts until the client leaves.
type Stall struct {
	At  int
	For time.Duration
}

// Drip sends Bytes bytes, then waits Every, and so on.
type Drip struct {
	Bytes int
	Every time.Duration
}

// Cut ends the body before the byte at offset At: torn down, or Clean as if all were sent.
type Cut struct {
	At    int
	Clean bool
}

// RateLimited is a 429 that asks to wait; 0 sends no header.
func RateLimited(wait time.Duration) Step {
	s := Step{Status: http.StatusTooManyRequests, Type: "rate_limit_error", Code: "rate_limit_exceeded", Message: "Number of requests has exceeded your rate limit. Visit the billing page to raise it."}
	if wait > 0 {
		s.Header = map[string]string{"Retry-After": seconds(wait)}
	}
	return s
}

// SpendLimit is a 429 for the account's own limit.
func SpendLimit() Step {
	return Step{Status: http.StatusTooManyRequests, Type: "insufficient_quota", Code: "insufficient_quota", Message: "You exceeded your current quota, please check your plan and billing details."}
}

// Overloaded is Anthropic's 529.
func Overloaded() Step {
	return Step{Status: 529, Type: "overloaded_error", Message: "Overloaded"}
}

// Failing is an error of the server with the status.
func Failing(status int) Step {
	return Step{Status: status, Type: "api_error", Message: "Internal server error"}
}

// Revoked is a 401.
func Revoked() Step {
	return Step{Status: http.StatusUnauthorized, Type: "authentication_error", Code: "invalid_api_key", Message: "invalid x-api-key"}
}

// TooLong is the refusal of a prompt that does not fit the window.
func TooLong() Step {
	return Step{Status: http.StatusBadRequest, Type: "invalid_request_error", Code: "context_length_exceeded", Message: "prompt is too long: 210000 tokens > 200000 maximum"}
}

// Stopped stops for the reason, in the words of the protocol: length, refusal, pause, context.
func Stopped(why llm.Stop) Step {
	return Step{Response: func(r *llm.Response) {
		r.Stop = why
		if why == llm.StopLength || why == llm.StopContext {
			r.Text = r.Text[:len(r.Text)/2]
		}
	}}
}

// Saying answers with the text.
func Saying(text string) Step { return Step{Edit: func(string) string { return text }} }

// Fenced wraps the answer in a code fence, TwoObjects gives it twice, Trailing adds a sentence.
func Fenced() Step {
	return Step{Edit: func(s string) string { return "```json\n" + s + "\n```" }}
}

// TwoObjects gives the answer twice.
func TwoObjects() Step { return Step{Edit: func(s string) string { return s + "\n" + s }} }

// Trailing adds a sentence to the answer.
func Trailing() Step {
	return Step{Edit: func(s string) string { return s + "\nI hope that this helps." }}
}

// Truncated leaves out the second half of the answer and claims that it ended.
func Truncated() Step { return Step{Edit: func(s string) string { return s[:len(s)/2] }} }

// Oversized pads the answer to n bytes.
func Oversized(n int) Step {
	return Step{Edit: func(s string) string { return s + strings.Repeat(" ", max(0, n-len(s))) }}
}

// OtherModel answers in the name of another model.
func OtherModel(name string) Step {
	return Step{Response: func(r *llm.Response) { r.Model = name }}
}

// Replacing puts new for every old in the answer, such as one alert's id for another's, a
// technique that does not exist, or a confidence of 1.7.
func Replacing(old, new string) Step {
	return Step{Edit: func(s string) string { return strings.ReplaceAll(s, old, new) }}
}

// wait lets d pass unless the request or the server ends first; 0 waits for that end.
func (s *Server) wait(ctx context.Context, d time.Duration) bool {
	var fire <-chan time.Time
	if d > 0 {
		t := s.cfg.Clock.NewTimer(d)
		defer t.Stop()
		fire = t.C
	}
	select {
	case <-fire:
		return true
	case <-ctx.Done():
		return false
	case <-s.ctx.Done():
		return false
	}
}

// begin does what comes before an answer and reports whether there will be one.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, step Step) bool {
	if step.Latency > 0 && !s.wait(r.Context(), step.Latency) {
		return false
	}
	if step.Drop {
		panic(http.ErrAbortHandler)
	}
	if step.Status != 0 && step.Status != http.StatusOK {
		s.refuse(w, r, step)
		return false
	}
	return true
}

// refuse answers with an error in the form of the protocol.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, step Step) {
	for k, v := range step.Header {
		w.Header().Set(k, v)
	}
	if step.Body != nil {
		w.WriteHeader(step.Status)
		_, _ = w.Write(step.Body) // the reader may have left
		return
	}
	writeJSON(w, step.Status, errorBody(r, step))
}

func errorBody(r *http.Request, step Step) any {
	e := map[string]any{"type": step.Type, "message": step.Message}
	if strings.HasPrefix(r.URL.Path, "/v1/messages") {
		return map[string]any{"type": "error", "error": e}
	}
	e["code"], e["param"] = step.Code, nil
	return map[string]any{"error": e}
}

// send writes the body in the way that the step says.
func (s *Server) send(w http.ResponseWriter, r *http.Request, contentType string, body []byte, step Step) {
	if step.Body != nil {
		body = step.Body
	}
	if step.Mangle != nil {
		body = step.Mangle(body)
	}
	if step.ContentType != "" {
		contentType = step.ContentType
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Request-Id", s.newID("req"))
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w)
	for at := 0; ; {
		if step.Stall != nil && at == step.Stall.At {
			_ = flush.Flush()
			if !s.wait(r.Context(), step.Stall.For) {
				panic(http.ErrAbortHandler)
			}
		}
		if step.Cut != nil && at == min(step.Cut.At, len(body)) {
			_ = flush.Flush()
			if !step.Cut.Clean {
				panic(http.ErrAbortHandler)
			}
			return
		}
		if at == len(body) {
			return
		}
		to := step.until(at, len(body))
		if _, err := w.Write(body[at:to]); err != nil {
			return // the reader has left
		}
		if at = to; step.Drip != nil {
			_ = flush.Flush()
			if !s.wait(r.Context(), step.Drip.Every) {
				return
			}
		}
	}
}

// until returns how far the next write goes.
func (s Step) until(at, end int) int {
	to := end
	if s.Drip != nil {
		to = min(to, at+max(1, s.Drip.Bytes))
	}
	if s.Stall != nil && s.Stall.At > at {
		to = min(to, s.Stall.At)
	}
	if s.Cut != nil && s.Cut.At > at {
		to = min(to, s.Cut.At)
	}
	return to
}
