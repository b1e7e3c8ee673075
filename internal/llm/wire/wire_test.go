package wire

import (
	"bytes"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/llm"
)

func TestObject(t *testing.T) {
	for s, want := range map[string]bool{
		`{}`: true, " {\"a\":[1,{\"b\":null}]}\n": true, `{"a":1e400}`: true,
		``: false, `[]`: false, `null`: false, `"x"`: false, `{`: false, `{"a":1}{"a":1}`: false, `{"a":1} x`: false,
		`{"a":1,"a":2}`: false, "{\"a\":\"\xff\"}": false, `{a:1}`: false, `{"a":NaN}`: false, `{"a":1,}`: false, "```json\n{}\n```": false,
	} {
		if got := Object([]byte(s)); got != want {
			t.Errorf("%q: got %v", s, got)
		}
	}
}

func TestKindsOfTrouble(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   llm.Kind
	}{
		{429, `{"error":{"type":"requests","code":"rate_limit_exceeded","message":"Rate limit reached. You can increase it by adding a payment method to your account's billing; see your usage limit."}}`, llm.KindRate},
		{429, `{"error":{"type":"insufficient_quota","code":"insufficient_quota","message":"You exceeded your current quota"}}`, llm.KindSpend},
		{429, `{"type":"error","error":{"type":"rate_limit_error","message":"This would exceed your organization's rate limit of 400,000 input tokens per minute"}}`, llm.KindRate},
		{400, `{"error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. You will regain access on 2026-12-01"}}`, llm.KindSpend},
		{400, `{"error":"the request exceeds the available context size"}`, llm.KindTooLong},
		{400, `{"object":"error","message":"maximum context length is 8192","type":"BadRequestError","code":400}`, llm.KindTooLong},
		{400, `{"error":{"code":1,"type":null,"message":7}}`, llm.KindRequest},
		{404, `{"error":{"message":"no usage limit page here"}}`, llm.KindRequest},
		{500, `{"error":{"message":"cannot read usage limit"}}`, llm.KindServer},
		{503, ``, llm.KindOverloaded},
		{418, `short and stout`, llm.KindRequest},
		{302, ``, llm.KindUnreadable},
		{0, `{"error":{"type":"something_new"}}`, llm.KindServer},
	} {
		if got := parseTrouble([]byte(c.body)).kind(c.status); got != c.want {
			t.Errorf("%d %s: got %s, want %s", c.status, c.body, got, c.want)
		}
	}
}

// FuzzTrouble reads what servers say about errors: nothing of the request comes back, and nothing
// that a terminal would obey.
func FuzzTrouble(f *testing.F) {
	f.Add([]byte(`{"error":{"type":"x","message":"y"}}`), 429)
	f.Add([]byte(`{"error":"text \u001b[31m"}`), 400)
	f.Add([]byte(`{"error":null,"type":"a b","message":"the request says: the memory of LSASS was read by rundll32"}`), 0)
	request := []byte(`{"messages":[{"content":"the memory of LSASS was read by rundll32.exe"}]}`)
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		tr := parseTrouble(body)
		if tr.kind(status) == "" {
			t.Error("no kind")
		}
		s := tr.safe(request).Error()
		if s == "" || len(s) > 500 || strings.ContainsAny(s, "\x1b\n\r\x00") {
			t.Errorf("%q becomes %q", body, s)
		}
		for i := 0; i+64 <= len(s); i++ {
			if bytes.Contains(request, []byte(s[i:i+64])) {
				t.Errorf("%q repeats the request", s)
			}
		}
	})
}
