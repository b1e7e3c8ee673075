package llmtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/simulated"
	"github.com/aluskort/aluskort/internal/llm/wire"
)

func (s Subject) status(t *testing.T) {
	for _, c := range []struct {
		name string
		step simulated.Step
		want llm.Kind
	}{
		{"429", simulated.RateLimited(0), llm.KindRate},
		{"429 for money", simulated.SpendLimit(), llm.KindSpend},
		{"429 for a workspace's money", simulated.Step{Status: 429, Type: "rate_limit_error", Message: "You have reached your workspace's monthly spend limit."}, llm.KindSpend},
		{"400 for money", simulated.Step{Status: 400, Type: "invalid_request_error", Message: "Your credit balance is too low to access the API."}, llm.KindSpend},
		{"402", simulated.Step{Status: 402, Type: "billing_error", Message: "Payment required"}, llm.KindSpend},
		{"529", simulated.Overloaded(), llm.KindOverloaded},
		{"503", simulated.Failing(503), llm.KindOverloaded},
		{"500", simulated.Failing(500), llm.KindServer},
		{"502 of a gateway", simulated.Step{Status: 502, Body: []byte("<html>Bad Gateway</html>")}, llm.KindServer},
		{"504", simulated.Failing(504), llm.KindServer},
		{"401", simulated.Revoked(), llm.KindAuth},
		{"403", simulated.Step{Status: 403, Type: "permission_error", Message: "no"}, llm.KindAuth},
		{"400", simulated.Step{Status: 400, Type: "invalid_request_error", Message: "unknown field"}, llm.KindRequest},
		{"404", simulated.Step{Status: 404, Type: "not_found_error", Message: "model: no-such"}, llm.KindRequest},
		{"413", simulated.Step{Status: 413, Type: "request_too_large", Message: "too large"}, llm.KindTooLong},
		{"window", simulated.TooLong(), llm.KindTooLong},
		{"window of vLLM", simulated.Step{Status: 400, Type: "BadRequestError", Message: "This model's maximum context length is 4096 tokens."}, llm.KindTooLong},
		{"redirect", simulated.Step{Status: 307, Header: map[string]string{"Location": "http://elsewhere.example/v1"}}, llm.KindUnreadable},
	} {
		server, p := s.start(t, simulated.Config{Script: simulated.Always(c.step)}, Options{})
		for _, w := range ways(t) {
			res, err := w.call(t.Context(), p, s.verdict())
			if e := wrong(t, c.name+" "+w.name, res, err, c.want); e.Status != c.step.Status {
				t.Errorf("%s: status %d", c.name, e.Status)
			}
		}
		if n := len(server.Received()); n != 2 {
			t.Errorf("%s: %d requests for two calls: one attempt means one", c.name, n)
		}
	}
}

func (s Subject) retryAfter(t *testing.T) {
	for _, c := range []struct {
		header, value string
		want          time.Duration
	}{
		{"Retry-After", "1", second},
		{"Retry-After", "30", 30 * second},
		{"Retry-After", "3600", time.Hour},
		{"Retry-After-Ms", "250", 250 * time.Millisecond},
		{"Retry-After", "", 0},
		{"Retry-After", "soon", 0},
		{"Retry-After", "-5", 0},
		{"Retry-After", "1e300", 31 * 24 * time.Hour},
	} {
		step := simulated.RateLimited(0)
		step.Header = map[string]string{c.header: c.value}
		_, p := s.start(t, simulated.Config{Script: simulated.Always(step)}, Options{})
		res, err := p.Complete(t.Context(), s.request())
		if e := wrong(t, c.value, res, err, llm.KindRate); e.RetryAfter != c.want {
			t.Errorf("%s %q: wait %v, want %v", c.header, c.value, e.RetryAfter, c.want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		step := simulated.RateLimited(0)
		step.Header = map[string]string{"Retry-After": time.Now().Add(90 * second).UTC().Format(http.TimeFormat)}
		_, p := s.start(t, simulated.Config{Script: simulated.Always(step)}, Options{})
		res, err := p.Complete(t.Context(), s.request())
		if e := wrong(t, "a date", res, err, llm.KindRate); e.RetryAfter != 90*second {
			t.Errorf("a date: wait %v", e.RetryAfter)
		}
	})
}

func (s Subject) inside(t *testing.T) {
	for _, c := range []struct {
		kind string
		want llm.Kind
	}{
		{"overloaded_error", llm.KindOverloaded}, {"rate_limit_error", llm.KindRate}, {"insufficient_quota", llm.KindSpend},
		{"api_error", llm.KindServer}, {"invalid_request_error", llm.KindRequest}, {"authentication_error", llm.KindAuth},
	} {
		step := simulated.Step{ErrorInside: true, Type: c.kind, Message: "no more"}
		_, p := s.start(t, simulated.Config{Script: simulated.Always(step)}, Options{})
		res, err := p.Stream(t.Context(), s.verdict(), func(string) {})
		_ = wrong(t, c.kind, res, err, c.want)
	}
}

// times holds every limit of time to five percent, by the clock of the bubble.
func (s Subject) times(t *testing.T) {
	limits := wire.Limits{Total: 60 * second, FirstByte: 10 * second, Between: 5 * second}
	for _, c := range []struct {
		name   string
		step   simulated.Step
		stream bool
		want   time.Duration // 0 for an answer
	}{
		{"no answer", simulated.Step{Latency: time.Hour}, false, 60 * second},
		{"no answer to a stream", simulated.Step{Latency: time.Hour}, true, 10 * second},
		{"headers and no first byte", simulated.Step{Stall: &simulated.Stall{}}, true, 10 * second},
		{"headers and no first byte in one piece", simulated.Step{Stall: &simulated.Stall{}}, false, 60 * second},
		{"stall in the middle", simulated.Step{Stall: &simulated.Stall{At: 400, For: 60 * second}}, true, 5 * second},
		{"stall in the middle in one piece", simulated.Step{Stall: &simulated.Stall{At: 60, For: time.Hour}}, false, 5 * second},
		{"slow drip", simulated.Step{Drip: &simulated.Drip{Bytes: 1, Every: second}}, true, 60 * second},
		{"slow drip in one piece", simulated.Step{Drip: &simulated.Drip{Bytes: 1, Every: second}}, false, 60 * second},
		{"slow and in time", simulated.Step{Latency: 9 * second, Drip: &simulated.Drip{Bytes: 400, Every: 4 * second}}, true, 0},
		{"slow and in time in one piece", simulated.Step{Latency: 50 * second}, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, p := s.start(t, simulated.Config{Script: simulated.Always(c.step)}, Options{Limits: limits})
				begin := time.Now()
				call := ways(t)[0]
				if c.stream {
					call = ways(t)[1]
				}
				res, err := call.call(t.Context(), p, s.verdict())
				took := time.Since(begin)
				if c.want == 0 {
					if err != nil || res.Stop != llm.StopEnd {
						t.Fatalf("got %+v, %v after %v", res, err, took)
					}
					return
				}
				_ = wrong(t, c.name, res, err, llm.KindTimeout)
				if took < c.want || took > c.want+c.want/20 {
					t.Errorf("took %v, want %v", took, c.want)
				}
			})
		})
	}
	t.Run("the caller leaves", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, p := s.start(t, simulated.Config{Script: simulated.Always(simulated.Step{Stall: &simulated.Stall{At: 300}})}, Options{})
			for _, w := range ways(t) {
				ctx, cancel := context.WithTimeout(t.Context(), second)
				res, err := w.call(ctx, p, s.verdict())
				cancel()
				e := wrong(t, w.name, res, err, llm.KindCanceled)
				if !errors.Is(e, context.DeadlineExceeded) {
					t.Errorf("%s: %v does not say why the caller left", w.name, e)
				}
			}
		})
	})
}

func (s Subject) network(t *testing.T) {
	_, p := s.start(t, simulated.Config{Script: simulated.Always(simulated.Step{Drop: true})}, Options{})
	for _, w := range ways(t) {
		res, err := w.call(t.Context(), p, s.request())
		_ = wrong(t, "dropped "+w.name, res, err, llm.KindNetwork)
	}
	server, p := s.start(t, simulated.Config{}, Options{})
	server.Close()
	res, err := p.Complete(t.Context(), s.request())
	_ = wrong(t, "no server", res, err, llm.KindNetwork)
}

// connecting fails before a request is sent: a name that is not known, a server that does not take
// the connection in time, certificates that nobody vouches for, a server that speaks no TLS.
func (s Subject) connecting(t *testing.T) {
	foreign := httptest.NewUnstartedServer(http.NotFoundHandler())
	foreign.Config.ErrorLog = log.New(io.Discard, "", 0)
	foreign.StartTLS()
	defer foreign.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	dial := func(err error) http.RoundTripper {
		tr := wire.Transport()
		tr.DialContext = func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
		}
		return tr
	}
	for _, c := range []struct {
		name, base string
		transport  http.RoundTripper
		kind       llm.Kind
	}{
		{"unknown name", "https://api.invalid", dial(&net.DNSError{Err: "no such host", Name: "api.invalid", IsNotFound: true}), llm.KindNetwork},
		{"name server away", "https://api.invalid", dial(&net.DNSError{Err: "i/o timeout", Name: "api.invalid", IsTimeout: true, IsTemporary: true}), llm.KindTimeout},
		{"connect timeout", "https://api.invalid", dial(os.ErrDeadlineExceeded), llm.KindTimeout},
		{"certificate of a stranger", foreign.URL, wire.Transport(), llm.KindNetwork},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), wire.Transport(), llm.KindNetwork},
	} {
		if tr, ok := c.transport.(*http.Transport); ok {
			defer tr.CloseIdleConnections()
		}
		_, p := s.start(t, simulated.Config{}, Options{BaseURL: c.base, Transport: c.transport})
		for _, w := range ways(t) {
			res, err := w.call(t.Context(), p, s.request())
			if e := wrong(t, c.name+" "+w.name, res, err, c.kind); !e.Retryable() {
				t.Errorf("%s %s: %v is not tried elsewhere", c.name, w.name, e)
			}
		}
	}
}

// cut ends an answer before each of its bytes, torn and clean. Neither may pass for complete,
// and what was billed is known as far as the provider had said it.
func (s Subject) cut(t *testing.T) {
	for _, r := range []*llm.Request{s.verdict(), s.withTools(0), s.withTools(2000)} {
		for _, w := range ways(t) {
			for _, clean := range []bool{false, true} {
				s.cutAll(t, w, r, clean)
			}
		}
	}
}

func (s Subject) cutAll(t *testing.T, w way, r *llm.Request, clean bool) {
	length := s.length(t, w, r)
	at := 0
	script := func(int, *llm.Request) simulated.Step {
		if at == length {
			return simulated.Step{}
		}
		return simulated.Step{Cut: &simulated.Cut{At: at, Clean: clean}}
	}
	_, p := s.start(t, simulated.Config{Script: script}, Options{})
	billed, tried := 0, 0
	for ; at < length; at += s.stride(at, length) {
		n := at
		tried++
		res, err := w.call(t.Context(), p, r)
		if err == nil {
			t.Fatalf("%s, clean %v: cut before byte %d of %d was taken for %+v", w.name, clean, n, length, res)
		}
		e, ok := errors.AsType[*llm.Error](err)
		if !ok || e.Kind != llm.KindCut && e.Kind != llm.KindUnreadable || !e.Retryable() {
			t.Fatalf("%s, clean %v: cut before byte %d: %v", w.name, clean, n, err)
		}
		if e.Usage.Known {
			billed++
		}
	}
	if s.Thinks && w.name == "stream" && billed < tried/2 {
		t.Errorf("usage known for %d of %d cuts", billed, tried)
	}
	at = length
	if res, err := w.call(t.Context(), p, r); err != nil || !res.Stop.Complete() {
		t.Errorf("%s: the whole answer was refused: %+v, %v", w.name, res, err)
	}
}

// stride is the way to the next cut: the end, where answers nearly pass, goes byte by byte. In a
// short run most others are left out.
func (s Subject) stride(at, length int) int {
	end, step := 200, 1
	if s.Sample {
		step = 11
	}
	if testing.Short() {
		end, step = 40, 61
	}
	if at >= length-end {
		return 1
	}
	return min(step, length-end-at+1)
}

// length returns how long the answer is on the wire.
func (s Subject) length(t *testing.T, w way, r *llm.Request) int {
	length := 0
	step := simulated.Step{Mangle: func(b []byte) []byte { length = len(b); return b }}
	_, p := s.start(t, simulated.Config{Script: simulated.Always(step)}, Options{})
	if _, err := w.call(t.Context(), p, r); err != nil {
		t.Fatal(err)
	}
	return length
}

func (s Subject) stops(t *testing.T) {
	for _, c := range []struct {
		name string
		step simulated.Step
		want llm.Stop
	}{
		{"length", simulated.Stopped(llm.StopLength), llm.StopLength},
		{"refusal", simulated.Stopped(llm.StopRefusal), llm.StopRefusal},
		{"unknown", simulated.Step{RawStop: "banana"}, llm.StopUnknown},
		{"tools without a call", simulated.Step{RawStop: map[bool]string{true: "tool_use", false: "tool_calls"}[s.Thinks]}, llm.StopUnknown},
		{"empty", simulated.Saying(""), llm.StopUnknown},
		{"blank", simulated.Saying(" \n"), llm.StopUnknown},
	} {
		_, p := s.start(t, simulated.Config{Script: simulated.Always(c.step)}, Options{})
		for _, w := range ways(t) {
			res, err := w.call(t.Context(), p, s.verdict())
			if err != nil || res.Stop != c.want || res.Stop.Complete() {
				t.Errorf("%s %s: got %+v, %v", c.name, w.name, res, err)
			}
			if err == nil && !res.Usage.Known {
				t.Errorf("%s %s: usage is not known", c.name, w.name)
			}
		}
	}
	// Missing: in one piece it is unknown, a stream was cut.
	_, p := s.start(t, simulated.Config{Script: simulated.Always(simulated.Step{NoStop: true})}, Options{})
	if res, err := p.Complete(t.Context(), s.verdict()); err != nil || res.Stop != llm.StopUnknown {
		t.Errorf("missing: got %+v, %v", res, err)
	}
	res, err := p.Stream(t.Context(), s.verdict(), func(string) {})
	_ = wrong(t, "missing in a stream", res, err, llm.KindCut)
	// A call that the limit cut is none, whatever it holds.
	_, p = s.start(t, simulated.Config{Script: simulated.Always(simulated.Stopped(llm.StopLength))}, Options{})
	for _, w := range ways(t) {
		res, err := w.call(t.Context(), p, s.withTools(0))
		if err != nil || res.Stop != llm.StopLength || len(res.Calls) != 0 {
			t.Errorf("cut call %s: got %+v, %v", w.name, res, err)
		}
	}
}

func (s Subject) envelopes(t *testing.T) {
	body := func(b string) simulated.Step { return simulated.Step{Body: []byte(b)} }
	for name, step := range map[string]simulated.Step{
		"no JSON":                body("Service temporarily unavailable"),
		"a list":                 body("[]"),
		"null":                   body("null"),
		"an empty object":        body("{}"),
		"nothing":                body(""),
		"HTML":                   {ContentType: "text/html", Body: []byte("<html></html>")},
		"no type":                {ContentType: " "},
		"two objects":            {Mangle: func(b []byte) []byte { return slices.Concat(b, b) }},
		"trailing text":          {Mangle: func(b []byte) []byte { return append(b, " ok"...) }},
		"bad UTF-8":              {Mangle: func(b []byte) []byte { return []byte(strings.Replace(string(b), "malicious", "mal\xffcious", 1)) }},
		"a name twice":           {Mangle: func(b []byte) []byte { return append([]byte(`{"id":"other",`), b[1:]...) }},
		"an id of another type":  {Mangle: func(b []byte) []byte { return []byte(strings.Replace(string(b), `"id":"`, `"id":{},"x":"`, 1)) }},
		"a text of another type": {Mangle: retype},
		"larger than allowed":    simulated.Oversized(11 << 20),
	} {
		t.Run(name, func(t *testing.T) {
			_, p := s.start(t, simulated.Config{Script: simulated.Always(step)}, Options{})
			res, err := p.Complete(t.Context(), s.verdict())
			_ = wrong(t, name, res, err, llm.KindUnreadable)
		})
	}
	_, p := s.start(t, simulated.Config{Script: simulated.Always(simulated.Oversized(11 << 20))}, Options{})
	res, err := p.Stream(t.Context(), s.verdict(), func(string) {})
	_ = wrong(t, "a stream larger than allowed", res, err, llm.KindUnreadable)
	_, p = s.start(t, simulated.Config{Script: simulated.Always(simulated.Oversized(9 << 20))}, Options{})
	if res, err := p.Complete(t.Context(), s.verdict()); err != nil || len(res.Text) != 9<<20 {
		t.Errorf("an answer of 9 MB: %v", err)
	}
	s.badCalls(t)
}

// retype makes an object of the text of an answer in either protocol.
func retype(b []byte) []byte {
	for _, field := range []string{`"text":"`, `"content":"`} {
		if before, after, ok := strings.Cut(string(b), field); ok {
			return []byte(before + strings.TrimSuffix(field, `"`) + `{"a":1},"x":"` + after)
		}
	}
	return b
}

// badCalls are tool calls that must not be carried out.
func (s Subject) badCalls(t *testing.T) {
	for name, change := range map[string]func(*llm.Response){
		"half an input": func(r *llm.Response) { r.Calls[0].Input = []byte(`{"indicator":"ev`) },
		"no object":     func(r *llm.Response) { r.Calls[0].Input = []byte(`"ev-1"`) },
		"no name":       func(r *llm.Response) { r.Calls[0].Name = "" },
		"an id twice":   func(r *llm.Response) { r.Calls = append(r.Calls, r.Calls[0]) },
	} {
		_, p := s.start(t, simulated.Config{Script: simulated.Always(simulated.Step{Response: change})}, Options{})
		res, err := p.Stream(t.Context(), s.withTools(0), func(string) {})
		_ = wrong(t, name, res, err, llm.KindUnreadable)
	}
}

// verbatim checks that answers are neither repaired nor trimmed: judging them is the caller's.
func (s Subject) verbatim(t *testing.T) {
	for name, step := range map[string]simulated.Step{
		"fenced": simulated.Fenced(), "two": simulated.TwoObjects(), "trailing": simulated.Trailing(), "half": simulated.Truncated(),
		"NaN": simulated.Saying(`{"confidence": NaN}`), "wrong type": simulated.Replacing("0.956", `"high"`), "other alert": simulated.Replacing("ev-1", "ev-9"),
		"spaces": simulated.Saying("  {}  \n"), "zero width": simulated.Saying("a\u200bb\u202e"),
	} {
		var sent string
		inner := step.Edit
		step.Edit = func(text string) string { sent = inner(text); return sent }
		_, p := s.start(t, simulated.Config{Script: simulated.Always(step)}, Options{})
		for _, w := range ways(t) {
			res, err := w.call(t.Context(), p, s.verdict())
			if err != nil || res.Text != sent {
				t.Errorf("%s %s: got %+v, %v, sent %q", name, w.name, res, err, sent)
			}
		}
	}
}

// mixed feeds a stream with parts of another answer.
func (s Subject) mixed(t *testing.T) {
	var other []byte
	record := simulated.Step{Mangle: func(b []byte) []byte { other = slices.Clone(b); return b }}
	splice := simulated.Step{Mangle: func(b []byte) []byte {
		half := strings.Index(string(b[len(b)/2:]), "\n\n") + len(b)/2 + 2
		return slices.Concat(b[:half], other)
	}}
	_, p := s.start(t, simulated.Config{Script: simulated.Steps(record, splice)}, Options{})
	if _, err := p.Stream(t.Context(), s.verdict(), func(string) {}); err != nil {
		t.Fatal(err)
	}
	res, err := p.Stream(t.Context(), s.verdict(), func(string) {})
	_ = wrong(t, "spliced", res, err, llm.KindUnreadable)
}

func (s Subject) model(t *testing.T) {
	_, p := s.start(t, simulated.Config{Script: simulated.Always(simulated.OtherModel("other-model-2"))}, Options{})
	for _, w := range ways(t) {
		if res, err := w.call(t.Context(), p, s.verdict()); err != nil || res.Model != "other-model-2" {
			t.Errorf("%s: got %+v, %v", w.name, res, err)
		}
	}
	_, p = s.start(t, simulated.Config{Script: simulated.Always(simulated.Step{NoUsage: true})}, Options{})
	for _, w := range ways(t) {
		res, err := w.call(t.Context(), p, s.verdict())
		if err != nil || res.Usage != (llm.Usage{}) {
			t.Errorf("%s without usage: got %+v, %v", w.name, res, err)
		}
	}
}

func (s Subject) keys(t *testing.T) {
	current := "old-key"
	server, p := s.start(t, simulated.Config{Keys: []string{"old-key"}}, Options{Key: func(context.Context) (string, error) { return current, nil }})
	ok := func() (*llm.Response, error) { return p.Complete(t.Context(), s.request()) }
	if _, err := ok(); err != nil {
		t.Fatal(err)
	}
	server.Accept("new-key")
	res, err := ok()
	if e := wrong(t, "revoked", res, err, llm.KindAuth); e.Retryable() {
		t.Error("a revoked key is worth no second attempt")
	}
	current = "new-key"
	if _, err := ok(); err != nil {
		t.Errorf("the new key was not picked up: %v", err)
	}
	_, p = s.start(t, simulated.Config{}, Options{Key: func(context.Context) (string, error) { return "", errors.New("vault says sesame") }})
	res, err = p.Complete(t.Context(), s.request())
	if e := wrong(t, "no key", res, err, llm.KindAuth); strings.Contains(e.Error(), "sesame") {
		t.Errorf("%v tells too much", e)
	}
}

func (s Subject) batches(t *testing.T) {
	server, p := s.start(t, simulated.Config{BatchPolls: 1}, Options{})
	b, ok := p.(llm.Batcher)
	if !ok {
		t.Skip("the provider has no batches")
	}
	var list []*llm.Request
	for n := range 3 {
		r := s.verdict()
		r.Key = fmt.Sprintf("task-%d", n)
		list = append(list, r)
	}
	list[2].Messages[0].Role = llm.Assistant // refused alone
	sent, err := b.SubmitBatch(t.Context(), "batch-key", list)
	if err != nil || sent.State != llm.BatchRunning || sent.Pending != 3 {
		t.Fatalf("got %+v, %v", sent, err)
	}
	if found, err := b.FindBatches(t.Context(), "batch-key", 3); err != nil || len(found) != 1 || found[0].ID != sent.ID {
		t.Errorf("found %+v, %v", found, err)
	}
	var now *llm.Batch
	for range 2 {
		if now, err = b.PollBatch(t.Context(), sent.ID); err != nil {
			t.Fatal(err)
		}
	}
	if now.State != llm.BatchEnded || now.Succeeded != 2 || now.Failed != 1 || now.Pending != 0 {
		t.Errorf("after two polls: %+v", now)
	}
	got := map[string]llm.BatchResult{}
	if err := b.BatchResults(t.Context(), sent.ID, func(r llm.BatchResult) error { got[r.Key] = r; return nil }); err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"task-0", "task-1"} {
		if r := got[k]; r.Err != nil || r.Response == nil || r.Response.Stop != llm.StopEnd || !r.Response.Usage.Known {
			t.Errorf("%s: %+v", k, r)
		}
	}
	if r := got["task-2"]; r.Err == nil || r.Err.Kind != llm.KindRequest {
		t.Errorf("task-2: %+v", r)
	}
	stop := errors.New("enough")
	if err := b.BatchResults(t.Context(), sent.ID, func(llm.BatchResult) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the error of the reader became %v", err)
	}
	s.canceledBatch(t, b)
	if res, err := b.PollBatch(t.Context(), "batch_none"); llm.KindOf(err) != llm.KindRequest {
		t.Errorf("a batch that is not there: %+v, %v", res, err)
	}
	list[0].Key = ""
	before := len(server.Received())
	if _, err := b.SubmitBatch(t.Context(), "k", list); llm.KindOf(err) != llm.KindRequest || len(server.Received()) != before {
		t.Errorf("a request without a key: %v", err)
	}
}

func (s Subject) canceledBatch(t *testing.T, b llm.Batcher) {
	r := s.verdict()
	r.Key = "lonely"
	sent, err := b.SubmitBatch(t.Context(), "second", []*llm.Request{r})
	if err != nil {
		t.Fatal(err)
	}
	if now, err := b.CancelBatch(t.Context(), sent.ID); err != nil || now.State != llm.BatchEnded || now.Succeeded != 0 {
		t.Errorf("canceled: %+v, %v", now, err)
	}
	err = b.BatchResults(t.Context(), sent.ID, func(r llm.BatchResult) error {
		if r.Key != "lonely" || r.Err == nil || r.Err.Kind != llm.KindCanceled {
			t.Errorf("result of a canceled batch: %+v", r)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// discreet checks that neither key nor prompt appears in an error, whatever the provider says.
func (s Subject) discreet(t *testing.T) {
	for _, status := range []int{400, 401, 404, 429, 500} {
		step := simulated.Step{Status: status, Type: "invalid_request_error", Message: "Incorrect API key provided: " + key + ". messages.0: cannot read LSASS memory was read by rundll32.exe on PC-7"}
		if status != http.StatusUnauthorized {
			_, step.Message, _ = strings.Cut(step.Message, ". ")
		}
		_, p := s.start(t, simulated.Config{Script: simulated.Always(step)}, Options{})
		_, err := p.Complete(t.Context(), s.request())
		if err == nil || strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "LSASS") {
			t.Errorf("%d: %v", status, err)
		}
	}
	step := simulated.Step{Status: 400, Type: "invalid_request_error", Message: "temperature: not supported by this model"}
	_, p := s.start(t, simulated.Config{Script: simulated.Always(step)}, Options{})
	if _, err := p.Complete(t.Context(), s.request()); err == nil || !strings.Contains(err.Error(), "temperature: not supported") {
		t.Errorf("a harmless reason is not told: %v", err)
	}
}
