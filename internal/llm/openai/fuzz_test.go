package openai

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/wire"
)

// FuzzResult reads lines of batch results: a line is an answer, an error of its request, or it
// breaks the protocol; it never is two of them, and never panics.
func FuzzResult(f *testing.F) {
	f.Add([]byte(`{"custom_id":"a","response":{"status_code":200,"body":{"id":"x","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}},"error":null}`))
	f.Add([]byte(`{"custom_id":"a","response":{"status_code":400,"body":{"error":{"message":"bad"}}},"error":null}`))
	f.Add([]byte(`{"custom_id":"a","response":null,"error":{"code":"batch_expired"}}`))
	f.Add([]byte(`{"custom_id":"","response":null}`))
	f.Add([]byte(`{"custom_id":"a","response":{"status_code":200,"body":{"choices":[{"message":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{\"a\""}}]},"finish_reason":"tool_calls"}]}}}`))
	f.Add([]byte("[]"))
	link := &wire.Link{Provider: "p", Clock: clock.System{}, Transport: http.DefaultTransport}
	f.Fuzz(func(t *testing.T, line []byte) {
		call := link.Start(t.Context(), "m", wire.Lines)
		defer call.Close()
		err := lines(call, bytes.NewReader(line), func(b []byte) error {
			r, err := result(call, b)
			if err != nil {
				return err
			}
			if r.Key == "" || (r.Response == nil) == (r.Err == nil) {
				t.Fatalf("%q became %+v", b, r)
			}
			if r.Response != nil && r.Response.Stop == llm.StopTools {
				for _, c := range r.Response.Calls {
					if !wire.Object(c.Input) {
						t.Fatalf("%q has a call with the input %q", b, c.Input)
					}
				}
			}
			return nil
		})
		if err != nil && llm.KindOf(err) == "" {
			t.Fatalf("an error without a kind: %v", err)
		}
	})
}
