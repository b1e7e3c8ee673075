// Package llmtest is the behaviour that every provider of models owes its callers, run against
// a server that speaks the provider's protocol. Rows of the fault matrix stand in the names.
package llmtest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/simulated"
	"github.com/aluskort/aluskort/internal/llm/wire"
)

// Options are what the suite varies.
type Options struct {
	Key    func(context.Context) (string, error)
	Limits wire.Limits
	// BaseURL and Transport, when set, take the place of those of the server.
	BaseURL   string
	Transport http.RoundTripper
}

// Reach is where a provider calls, and how: the server, or what the options say.
func (o Options) Reach(s *simulated.Server) (base string, transport http.RoundTripper) {
	if o.Transport != nil {
		return o.BaseURL, o.Transport
	}
	return simulated.BaseURL, s.Transport()
}

// Open returns a provider that calls the server.
type Open func(s *simulated.Server, o Options) llm.Provider

// Subject is a provider under test.
type Subject struct {
	Open Open
	// Model is a name for requests; Thinks tells that thinking comes back and must be handed on.
	Model  string
	Thinks bool
	// WritesCache tells that writing to the prompt cache is counted apart.
	WritesCache bool
	// Sample cuts answers at every eleventh byte and near their end instead of everywhere: for
	// variants of a provider that runs with all of them.
	Sample bool
}

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	t.Run("Text", s.text)
	t.Run("Schema", s.schema)
	t.Run("Tools", s.tools)
	t.Run("Thinking", s.thinking)
	t.Run("LongAnswersStream", s.long)
	t.Run("Cache", s.cache)
	t.Run("Environment", s.environment)
	t.Run("Concurrent", s.concurrent)
	t.Run("C1_C2_Status", s.status)
	t.Run("C1_RetryAfter", s.retryAfter)
	t.Run("C2_ErrorInsideStream", s.inside)
	t.Run("C3_Times", s.times)
	t.Run("C3_Network", s.network)
	t.Run("C3_ConnectTLSAndDNS", s.connecting)
	t.Run("C4_CutAnywhere", s.cut)
	t.Run("C5_Stops", s.stops)
	t.Run("C6_Envelopes", s.envelopes)
	t.Run("C6_AnswersAsTheyCame", s.verbatim)
	t.Run("C9_MixedStreams", s.mixed)
	t.Run("C10_ModelAndUsage", s.model)
	t.Run("C14_Keys", s.keys)
	t.Run("Batches", s.batches)
	t.Run("NothingSecretInErrors", s.discreet)
}

const key = "test-key-1234567890"

func anyKey(context.Context) (string, error) { return key, nil }

// start returns a server and a provider for it.
func (s Subject) start(t *testing.T, c simulated.Config, o Options) (*simulated.Server, llm.Provider) {
	t.Helper()
	server := simulated.NewServer(c)
	t.Cleanup(server.Close)
	if o.Key == nil {
		o.Key = anyKey
	}
	return server, s.Open(server, o)
}

// Verdict is a schema of the kind that reasoning asks for.
const Verdict = `{"type":"object","properties":{"reasoning":{"type":"string"},"classification":{"type":"string","enum":["true_positive","suspicious","investigation_required","benign"]},"confidence":{"type":"number"},"citations":{"type":"array","items":{"type":"string"}},"techniques":{"type":"array","items":{"type":"string"}}},"required":["reasoning","classification","confidence","citations","techniques"],"additionalProperties":false}`

const lookup = `{"type":"object","properties":{"indicator":{"type":"string"}},"required":["indicator"],"additionalProperties":false}`

const prompt = "Evidence:\n{\"id\":\"ev-1\",\"weight\":4.5,\"text\":\"LSASS memory was read by rundll32.exe on PC-7, T1003.001 — père, 東京\"}\n{\"id\":\"ev-2\",\"weight\":-1}"

func (s Subject) request() *llm.Request {
	return &llm.Request{
		Model: s.Model, System: "You assess alerts.", MaxTokens: 900, Key: "inv-1_a",
		Messages: []llm.Message{{Role: llm.User, Text: prompt}},
	}
}

func (s Subject) verdict() *llm.Request {
	r := s.request()
	r.Answer = &llm.Schema{Name: "verdict", JSON: json.RawMessage(Verdict)}
	return r
}

// way is a method of a provider.
type way struct {
	name string
	call func(context.Context, llm.Provider, *llm.Request) (*llm.Response, error)
}

// ways calls both methods alike; the stream must have handed over what it returns.
func ways(t *testing.T) []way {
	return []way{
		{"complete", func(ctx context.Context, p llm.Provider, r *llm.Request) (*llm.Response, error) {
			return p.Complete(ctx, r)
		}},
		{"stream", func(ctx context.Context, p llm.Provider, r *llm.Request) (*llm.Response, error) {
			var got strings.Builder
			res, err := p.Stream(ctx, r, func(d string) { got.WriteString(d) })
			if err == nil && res.Stop != llm.StopRefusal && got.String() != res.Text {
				t.Errorf("the stream handed over %q and returned %q", got.String(), res.Text)
			}
			return res, err
		}},
	}
}

func (s Subject) text(t *testing.T) {
	server, p := s.start(t, simulated.Config{}, Options{})
	for _, w := range ways(t) {
		res, err := w.call(t.Context(), p, s.request())
		if err != nil {
			t.Fatal(err)
		}
		if res.Stop != llm.StopEnd || !strings.HasPrefix(res.Text, "Classification: malicious") || res.ID == "" || res.Model != s.Model {
			t.Errorf("%s: got %+v", w.name, res)
		}
		if u := res.Usage; !u.Known || u.Input == 0 || u.Output == 0 {
			t.Errorf("%s: usage %+v", w.name, u)
		}
	}
	sameRequest(t, server, s.request())
}

// sameRequest checks what arrived at the server: everything that was asked, nothing else.
func sameRequest(t *testing.T, server *simulated.Server, want *llm.Request) {
	t.Helper()
	for _, got := range server.Received() {
		if got.Request == nil {
			t.Errorf("%s %s was not understood: %s", got.Method, got.Path, got.Body)
			continue
		}
		diff := cmp.Diff(want, got.Request, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(llm.Request{}, "Key", "ThinkingTokens"),
			cmpopts.IgnoreFields(llm.Schema{}, "Name"), cmpopts.IgnoreFields(llm.Message{}, "Opaque"), cmp.Transformer("json", canonical))
		if diff != "" {
			t.Errorf("what left differs from what was asked (-asked +left):\n%s", diff)
		}
		if k := got.Header.Get("Idempotency-Key"); k != want.Key {
			t.Errorf("key of the request: %q", k)
		}
		for name := range got.Header {
			if strings.HasPrefix(name, "X-Stainless") {
				t.Errorf("%s left", name)
			}
		}
	}
}

func canonical(raw json.RawMessage) any {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return string(raw)
	}
	return v
}

func (s Subject) schema(t *testing.T) {
	server, p := s.start(t, simulated.Config{}, Options{})
	for _, w := range ways(t) {
		res, err := w.call(t.Context(), p, s.verdict())
		if err != nil {
			t.Fatal(err)
		}
		const want = `{"citations":["ev-1"],"classification":"true_positive","confidence":0.956,"reasoning":"The evidence points to malicious activity.","techniques":["T1003.001"]}`
		if res.Stop != llm.StopEnd || res.Text != want {
			t.Errorf("%s: got %s %s", w.name, res.Stop, res.Text)
		}
	}
	sameRequest(t, server, s.verdict())
	// The order of properties is the order in which models write.
	for _, r := range server.Received() {
		if i, j := strings.Index(string(r.Body), `"reasoning":{`), strings.Index(string(r.Body), `"classification":{`); i < 0 || i > j {
			t.Errorf("the schema was reordered: %s", r.Body)
		}
	}
}

func (s Subject) withTools(thinking int) *llm.Request {
	r := s.request()
	r.ThinkingTokens = thinking
	r.MaxTokens = 3000
	r.Tools = []llm.Tool{{Name: "look_up", Description: "Looks up an indicator.", Input: json.RawMessage(lookup)}}
	return r
}

func (s Subject) tools(t *testing.T) { s.loop(t, 0) }

// loop asks, answers the tool call and asks again.
func (s Subject) loop(t *testing.T, thinking int) {
	server, p := s.start(t, simulated.Config{}, Options{})
	for _, w := range ways(t) {
		r := s.withTools(thinking)
		res, err := w.call(t.Context(), p, r)
		if err != nil {
			t.Fatal(err)
		}
		if res.Stop != llm.StopTools || len(res.Calls) != 1 || res.Calls[0].Name != "look_up" || string(res.Calls[0].Input) != `{"indicator":"ev-1"}` || res.Calls[0].ID == "" {
			t.Fatalf("%s: got %+v", w.name, res)
		}
		r.Messages = append(r.Messages, res.Message(), llm.Message{Role: llm.User, Results: []llm.ToolResult{{CallID: res.Calls[0].ID, Text: "malware known as Examplebot"}}})
		end, err := w.call(t.Context(), p, r)
		if err != nil {
			t.Fatal(err)
		}
		if end.Stop != llm.StopEnd || end.Text == "" || len(end.Calls) != 0 {
			t.Errorf("%s: after the result: %+v", w.name, end)
		}
		all := server.Received()
		last := all[len(all)-1].Request
		if last == nil || len(last.Messages) != 3 || last.Messages[2].Results[0].Text != "malware known as Examplebot" || last.Messages[1].Calls[0].ID != res.Calls[0].ID {
			t.Errorf("%s: the loop left as %+v", w.name, last)
		}
	}
}

// thinking checks that blocks of thinking go back unchanged: the server refuses others.
func (s Subject) thinking(t *testing.T) {
	s.loop(t, 2000)
	server, p := s.start(t, simulated.Config{}, Options{})
	r := s.request()
	r.ThinkingTokens, r.MaxTokens = 2000, 3000
	res, err := p.Complete(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if got := server.Received()[0].Request; got == nil || got.ThinkingTokens == 0 && s.Thinks {
		t.Errorf("thinking was not asked for: %+v", got)
	}
	if (len(res.Opaque) > 0) != s.Thinks || strings.Contains(res.Text, "tools before me") {
		t.Errorf("thinking came as %s in %q", res.Opaque, res.Text)
	}
}

func (s Subject) long(t *testing.T) {
	server, p := s.start(t, simulated.Config{}, Options{})
	r := s.verdict()
	r.MaxTokens = 64_000
	res, err := p.Complete(t.Context(), r)
	if err != nil || res.Stop != llm.StopEnd {
		t.Fatalf("got %+v, %v", res, err)
	}
	if !strings.Contains(string(server.Received()[0].Body), `"stream":true`) {
		t.Error("a long answer was asked for in one piece")
	}
}

func (s Subject) cache(t *testing.T) {
	_, p := s.start(t, simulated.Config{}, Options{})
	r := s.request()
	r.System = strings.Repeat("Weigh each piece of evidence. ", 300)
	var got []llm.Usage
	for _, w := range ways(t) {
		res, err := w.call(t.Context(), p, r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, res.Usage)
	}
	if (got[0].CacheWrite > 1024) != s.WritesCache || got[0].CacheRead != 0 {
		t.Errorf("first use: %+v", got[0])
	}
	if got[1].CacheRead < 1024 || got[1].CacheWrite != 0 || got[0].Prompt() != got[1].Prompt() {
		t.Errorf("second use: %+v after %+v", got[1], got[0])
	}
}

// environment checks that no variable of the SDKs redirects a call or gives it a key.
func (s Subject) environment(t *testing.T) {
	for _, v := range []string{"ANTHROPIC_BASE_URL", "OPENAI_BASE_URL"} {
		t.Setenv(v, "http://127.0.0.1:1/elsewhere")
	}
	for _, v := range []string{"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"} {
		t.Setenv(v, "from-the-environment")
	}
	t.Setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Leak: from-the-environment")
	t.Setenv("OPENAI_CUSTOM_HEADERS", "X-Leak: from-the-environment")
	server, p := s.start(t, simulated.Config{}, Options{})
	if _, err := p.Complete(t.Context(), s.request()); err != nil {
		t.Fatal(err)
	}
	for _, r := range server.Received() {
		for name, v := range r.Header {
			if strings.Contains(strings.Join(v, " "), "from-the-environment") {
				t.Errorf("%s: %s came from the environment", name, v)
			}
		}
	}
}

func (s Subject) concurrent(t *testing.T) {
	_, p := s.start(t, simulated.Config{Model: echo{}}, Options{})
	var group sync.WaitGroup
	for n := range 32 {
		group.Go(func() {
			r := s.request()
			r.Messages[0].Text = strings.Repeat("x", n+1)
			res, err := p.Complete(t.Context(), r)
			if err != nil || res.Text != r.Messages[0].Text {
				t.Errorf("got %+v, %v", res, err)
			}
		})
	}
	group.Wait()
}

// echo answers with the last message.
type echo struct{}

func (echo) Answer(r *llm.Request) *llm.Response {
	return &llm.Response{Text: r.Messages[len(r.Messages)-1].Text}
}

// wrong fails the test unless err is an *llm.Error of the kind.
func wrong(t *testing.T, what string, res *llm.Response, err error, want llm.Kind) *llm.Error {
	t.Helper()
	e, ok := errors.AsType[*llm.Error](err)
	if !ok || res != nil {
		t.Fatalf("%s: got %+v and %v, want an error of the kind %s", what, res, err, want)
	}
	if e.Kind != want {
		t.Errorf("%s: got %v, want the kind %s", what, e, want)
	}
	if e.Provider == "" {
		t.Errorf("%s: the error names no provider: %v", what, e)
	}
	return e
}

const second = time.Second
