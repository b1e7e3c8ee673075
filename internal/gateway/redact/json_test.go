package redact

import (
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/aluskort/aluskort/internal/alert"
)

func TestRedactJSON(t *testing.T) {
	known := []Known{{Type: alert.Account, Value: "jörg"}, {Type: alert.Host, Value: "ws-07"}}
	for _, c := range []struct{ in, want string }{
		{`{"a": "ws-07", "n": 1.50, "t": true, "x": null}`, `{"a": "<HOST>", "n": 1.50, "t": true, "x": null}`},
		{`["j\u00f6rg", "J\u00d6RG"]`, `["<USER>", "<USER>"]`},
		{`{"ws-07": 1}`, `{"<HOST>": 1}`},
		{`{"inner": "{\"user\":\"j\\u00f6rg\"}"}`, `{"inner": "{\"user\":\"<USER>\"}"}`},
		{`{"card": 4111111111111111}`, `{"card": "<CARD>"}`},
		{`{"password": "x y", "user": "mallory", "computer": "pc9"}`, `{"password": "SECRET_PASSWORD", "user": "<USER>", "computer": "<HOST>"}`},
		{`{"deviceId": "9b1f0c7d5e3a48621f7d0b9c8e6a4f2d1c3b5a79", "sha1": "9b1f0c7d5e3a48621f7d0b9c8e6a4f2d1c3b5a78"}`,
			`{"deviceId": "<GUID>", "sha1": "9b1f0c7d5e3a48621f7d0b9c8e6a4f2d1c3b5a78"}`},
		{`{"event": {"provider": "Microsoft-Windows-Sysmon"}}`, `{"event": {"provider": "Microsoft-Windows-Sysmon"}}`},
		{`"ws-07"`, `"<HOST>"`},
		{` [] `, ` [] `},
	} {
		s := plain(t, known...)
		got, err := s.RedactJSON([]byte(c.in))
		if err != nil || !json.Valid(got) || shown(string(got)) != c.want {
			t.Errorf("%s\n got %s, %v\nwant %s", c.in, shown(string(got)), err, c.want)
		}
	}
	for _, bad := range []string{"", "{", `{"a":}`, `"\ud800`, "[1,]"} {
		if got, err := plain(t).RedactJSON([]byte(bad)); !errors.Is(err, ErrJSON) {
			t.Errorf("%q gives %q, %v", bad, got, err)
		}
	}
}

func TestRestoreJSONEscapesWhatItPutsThere(t *testing.T) {
	s := New(DefaultPolicy()).Session(testKey, []Known{{Type: alert.Host, Value: "a\"b\nd"}})
	token := s.Redact("a\"b\nd")
	for _, c := range []struct{ in, want string }{
		{`{"who":"` + token + `","n":1.50}`, `{"who":"a\"b\nd","n":1.50}`},
		{`{"` + token + `":["x ` + token + token + `"]}`, `{"a\"b\nd":["x a\"b\nda\"b\nd"]}`},
		{`["\u0048` + token[1:] + `"]`, `["a\"b\nd"]`},
		{`["nothing-here", "é\u00e9"]`, `["nothing-here", "é\u00e9"]`},
	} {
		got, unknown, err := s.RestoreJSON([]byte(c.in))
		if err != nil || unknown != nil || string(got) != c.want {
			t.Errorf("%s\n got %s, %q, %v\nwant %s", c.in, got, unknown, err, c.want)
		}
	}
	got, unknown, err := s.RestoreJSON([]byte(`{"a":"USER-7KQXMTAB","b":"USER-7KQXMTAB"}`))
	if err != nil || len(unknown) != 1 || string(got) != `{"a":"USER-7KQXMTAB","b":"USER-7KQXMTAB"}` {
		t.Errorf("%s, %q, %v", got, unknown, err)
	}
	if _, _, err := s.RestoreJSON([]byte(`{"a":`)); !errors.Is(err, ErrJSON) {
		t.Errorf("got %v", err)
	}
}

// What a model was given as JSON comes back as the same strings, whatever they hold.
func FuzzRestoreJSON(f *testing.F) {
	f.Add("ada@example.com \"quoted\" \\ /home/ada", "user")
	f.Add("\u2028 CONTOSO\\ada\n", "a.b")
	f.Fuzz(func(t *testing.T, text, name string) {
		if !utf8.ValidString(text) || !utf8.ValidString(name) {
			return
		}
		raw, err := json.Marshal(map[string]string{name: text})
		if err != nil {
			return
		}
		s := New(DefaultPolicy()).Session(testKey, propertyKnown)
		out, err := s.RedactJSON(raw)
		if err != nil || !json.Valid(out) {
			t.Fatalf("%q became %q, %v", raw, out, err)
		}
		back, unknown, err := s.RestoreJSON(out)
		if err != nil || unknown != nil {
			t.Fatalf("%q: %q, %v", out, unknown, err)
		}
		if hides(s) || looksLikeJSON(text) {
			return
		}
		var got map[string]string
		if err := json.Unmarshal(back, &got); err != nil || got[name] != text {
			t.Fatalf("%q became %q and came back as %q, %v", raw, out, back, err)
		}
	})
}
