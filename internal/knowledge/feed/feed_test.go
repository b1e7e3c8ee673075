package feed

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

func TestOpen(t *testing.T) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write([]byte("\xef\xbb\xbfhello"))
	_ = w.Close()
	for _, c := range []struct {
		name, in string
		limit    int64
		want     string
		err      error
	}{
		{"plain", "hello", 5, "hello", nil},
		{"byte order mark", "\xef\xbb\xbfhello", 100, "hello", nil},
		{"gzip", zipped.String(), 100, "hello", nil},
		{"over the limit", "hello!", 5, "hello", ErrTooLarge},
		{"gzip over the limit", zipped.String(), 5, "he", ErrTooLarge},
		{"empty", "", 5, "", nil},
	} {
		r, err := Open(strings.NewReader(c.in), c.limit)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if string(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q %v, want %q %v", c.name, got, err, c.want, c.err)
		}
	}
	if _, err := Open(strings.NewReader("\x1f\x8bbroken"), 5); err == nil {
		t.Error("broken gzip passed")
	}
}

func TestWalk(t *testing.T) {
	var got []string
	walk := func(text string) error {
		got = nil
		dec := jsontext.NewDecoder(strings.NewReader(text), Lenient()...)
		return EachMember(dec, func(name string) error {
			if name == "skip" {
				return Skip(dec)
			}
			return EachElement(dec, func(_ int, raw jsontext.Value) error {
				got = append(got, name+"="+string(raw))
				return nil
			})
		})
	}
	if err := walk(`{"a":[1,{"b":2}],"skip":[[3]],"c":"one"}`); err != nil || strings.Join(got, " ") != `a=1 a={"b":2} c="one"` {
		t.Errorf("%q %v", got, err)
	}
	for _, bad := range []string{``, `[]`, `{"a":[1,`, `{"a":`, `{"skip":[}`, `{"a":[1]`} {
		var syntax *SyntaxError
		if err := walk(bad); !errors.As(err, &syntax) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	stop := errors.New("stop")
	dec := jsontext.NewDecoder(strings.NewReader(`{"a":[1]}`))
	err := EachMember(dec, func(string) error {
		return EachElement(dec, func(int, jsontext.Value) error { return stop })
	})
	if !errors.Is(err, stop) {
		t.Errorf("the caller's error is lost: %v", err)
	}
}

func TestText(t *testing.T) {
	var got struct{ A, B, C, D, E Text }
	if err := json.Unmarshal([]byte(`{"A":"x","B":12,"C":true,"D":null,"E":{"y":1}}`), &got); err != nil {
		t.Fatal(err)
	}
	if got.A != "x" || got.B != "12" || !got.C.True() || got.D != "" || got.E != "" || got.A.True() {
		t.Errorf("%+v", got)
	}
}
