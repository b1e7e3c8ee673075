package openai

import (
	"net/http"
	"testing"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/wire"
)

// TestResultLines reads lines of batch results, whole and broken off at every byte: a line is an
// answer, an error of its request, or it breaks the protocol; never two of them. It is no fuzz
// target, since instrumenting the SDK for one takes longer than the fuzzing.
func TestResultLines(t *testing.T) {
	link := &wire.Link{Provider: "p", Clock: clock.System{}, Transport: http.DefaultTransport}
	call := link.Start(t.Context(), "m", wire.Lines)
	defer call.Close()
	for seed, want := range map[string]llm.Kind{
		`{"custom_id":"a","response":{"status_code":200,"body":{"id":"x","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}},"error":null}`: "",
		`{"custom_id":"a","response":{"status_code":400,"body":{"error":{"message":"bad"}}},"error":null}`:                                                                                        llm.KindRequest,
		`{"custom_id":"a","response":{"status_code":429,"body":{"error":{"code":"insufficient_quota"}}},"error":null}`:                                                                            llm.KindSpend,
		`{"custom_id":"a","response":null,"error":{"code":"batch_expired"}}`:                                                                                                                      llm.KindTimeout,
		`{"custom_id":"a","response":null,"error":null}`:                                                                                                                                          llm.KindUnreadable,
		`{"custom_id":"a","response":{"status_code":200,"body":{"choices":[{"message":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{\"a\""}}]},"finish_reason":"tool_calls"}]}}}`: llm.KindUnreadable,
	} {
		r, err := result(call, []byte(seed))
		if err != nil || r.Key != "a" || (r.Response == nil) == (r.Err == nil) || r.Err != nil && r.Err.Kind != want || r.Err == nil && want != "" {
			t.Errorf("%s: got %+v, %v", seed, r, err)
		}
		for n := range len(seed) {
			if r, err := result(call, []byte(seed[:n])); llm.KindOf(err) != llm.KindUnreadable {
				t.Fatalf("%q: got %+v, %v", seed[:n], r, err)
			}
		}
	}
	for _, bad := range []string{"[]", `{"custom_id":""}`, `{"custom_id":7}`, `{"custom_id":"a","custom_id":"b"}`} {
		if r, err := result(call, []byte(bad)); llm.KindOf(err) != llm.KindUnreadable {
			t.Errorf("%s: got %+v, %v", bad, r, err)
		}
	}
}
