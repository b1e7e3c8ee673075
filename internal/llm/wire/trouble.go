package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aluskort/aluskort/internal/llm"
)

// maxTrouble is how much of an error's body is read.
const maxTrouble = 64 << 10

// trouble is what a provider says about an error.
type trouble struct{ Type, Code, Message string }

// parseTrouble reads the envelopes in use: {"error":{...}}, {"error":"text"}, and the fields at
// the top. What is none of them says nothing.
func parseTrouble(raw []byte) trouble {
	var outer struct {
		Error json.RawMessage `json:"error"`
	}
	if json.Unmarshal(raw, &outer) != nil {
		return trouble{}
	}
	if len(outer.Error) == 0 || bytes.Equal(outer.Error, []byte("null")) {
		outer.Error = raw
	}
	var text string
	if json.Unmarshal(outer.Error, &text) == nil {
		return trouble{Message: text}
	}
	var in struct {
		Type    any    `json:"type"`
		Code    any    `json:"code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(outer.Error, &in) != nil {
		return trouble{}
	}
	return trouble{Type: word(in.Type), Code: word(in.Code), Message: in.Message}
}

// word returns a text that looks like a name; servers also send numbers and null.
func word(v any) string {
	s, _ := v.(string)
	if len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '-' && r != '.'
	}) {
		return ""
	}
	return s
}

// says reports whether type or code is one of the names.
func (t trouble) says(names ...string) bool {
	for _, n := range names {
		if strings.EqualFold(t.Type, n) || strings.EqualFold(t.Code, n) {
			return true
		}
	}
	return false
}

// mentions reports whether the message holds one of the phrases.
func (t trouble) mentions(phrases ...string) bool {
	m := strings.ToLower(t.Message)
	for _, p := range phrases {
		if strings.Contains(m, p) {
			return true
		}
	}
	return false
}

// spent reports whether the account's own limit is reached: waiting a minute does not help.
// Names go before phrases, because texts about rates also speak of plans and billing.
func (t trouble) spent() bool {
	switch {
	case t.says("insufficient_quota", "billing_error", "billing_hard_limit_reached", "billing_not_active", "spend_limit_reached", "credit_balance_too_low"):
		return true
	case t.says("rate_limit_exceeded", "tokens", "requests"):
		return false
	}
	return t.mentions("spend limit", "spending limit", "usage limit", "credit balance", "exceeded your current quota", "insufficient quota")
}

// tooLong reports whether the prompt does not fit the window.
func (t trouble) tooLong() bool {
	return t.says("request_too_large", "context_length_exceeded", "exceed_context_size_error", "string_above_max_length") ||
		t.mentions("prompt is too long", "maximum context length", "exceed context limit", "context length exceeded",
			"exceeds the available context size", "exceeds the context window")
}

// kind classifies the trouble; status 0 means that it came inside an answer.
func (t trouble) kind(status int) llm.Kind {
	switch {
	case status == http.StatusPaymentRequired, status != http.StatusNotFound && status < 500 && t.spent():
		return llm.KindSpend
	case status == http.StatusRequestEntityTooLarge, status < 500 && t.tooLong():
		return llm.KindTooLong
	case status == http.StatusTooManyRequests, status == 0 && t.says("rate_limit_error", "rate_limit_exceeded"):
		return llm.KindRate
	case status == 529, status == http.StatusServiceUnavailable, status == 0 && t.says("overloaded_error", "overloaded", "service_unavailable"):
		return llm.KindOverloaded
	case status >= 500:
		return llm.KindServer
	case status == http.StatusUnauthorized, status == http.StatusForbidden,
		status == 0 && t.says("authentication_error", "permission_error", "invalid_api_key"):
		return llm.KindAuth
	case status == http.StatusRequestTimeout, status == 0 && t.says("timeout_error"):
		return llm.KindTimeout
	case status >= 400, status == 0 && t.says("invalid_request_error", "not_found_error"):
		return llm.KindRequest
	case status >= 300:
		return llm.KindUnreadable
	}
	return llm.KindServer
}

// safe is the error to show: the names, and the message when it repeats nothing of the request.
func (t trouble) safe(request []byte) error {
	var parts []string
	for _, p := range []string{t.Type, t.Code, t.message(request)} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		return errors.New("no reason given")
	}
	return errors.New(strings.Join(parts, ": "))
}

const (
	longestMessage = 300
	longestEcho    = 24 // bytes of the request that a message may share with it by chance
)

// message is the provider's own text, bounded and inert. Validation errors quote prompts, and
// authentication errors quote keys; such a message is withheld as a whole.
func (t trouble) message(request []byte) string {
	m := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, t.Message)
	if len(m) > longestMessage {
		m = strings.ToValidUTF8(m[:longestMessage], "")
	}
	if t.says("authentication_error", "invalid_api_key", "permission_error") {
		return ""
	}
	for i := 0; i+longestEcho <= len(m); i++ {
		if bytes.Contains(request, []byte(m[i:i+longestEcho])) {
			return "message withheld, it repeats the request"
		}
	}
	return m
}

// status turns an answer with an error status into the error of the attempt.
func (c *Call) status(req *http.Request, res *http.Response) error {
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxTrouble))
	closeQuietly(res.Body)
	if err != nil {
		raw = nil // the status says enough
	}
	t := parseTrouble(raw)
	k := t.kind(res.StatusCode)
	why := t.safe(sent(req))
	if k == llm.KindAuth {
		t.Message = ""
		why = t.safe(nil)
	}
	if res.StatusCode < 400 {
		why = fmt.Errorf("redirect to %.100q was not followed", redirectHost(res))
	}
	return c.fail(&llm.Error{
		Kind: k, Provider: c.link.Provider, Model: c.model, Status: res.StatusCode,
		RetryAfter: retryAfter(res.Header, c.link.Clock.Now()), Err: why,
	})
}

func redirectHost(res *http.Response) string {
	u, err := res.Location()
	if err != nil {
		return ""
	}
	return u.Host
}

// sent returns the body of the request, nil when it cannot be read twice.
func sent(req *http.Request) []byte {
	if req.GetBody == nil {
		return nil
	}
	r, err := req.GetBody()
	if err != nil {
		return nil
	}
	defer closeQuietly(r)
	b, err := io.ReadAll(r)
	if err != nil {
		return nil
	}
	return b
}

// longestWait bounds what a provider can make us wait by a header.
const longestWait = 31 * 24 * time.Hour

// retryAfter reads how long the provider asks to wait: milliseconds, seconds or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	for _, f := range []struct {
		name string
		unit time.Duration
	}{{"Retry-After-Ms", time.Millisecond}, {"Retry-After", time.Second}} {
		n, err := strconv.ParseFloat(strings.TrimSpace(h.Get(f.name)), 64)
		if err == nil && n > 0 {
			return time.Duration(min(n*float64(f.unit), float64(longestWait)))
		}
	}
	at, err := http.ParseTime(h.Get("Retry-After"))
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), longestWait)
}

// describe keeps of an SDK's error what cannot hold text of prompts, answers or keys.
func describe(err error) error {
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("the answer breaks the protocol: %s", s.Error())
	}
	return errors.New("the answer breaks the protocol")
}
