package ingest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aluskort/aluskort/internal/alert"
	"golang.org/x/text/encoding/unicode"
)

func testReader() *Reader {
	return &Reader{
		Envelopes:  []string{"value", "hits.hits", "results", "responses", "tables"},
		Recognised: func(f alert.Fields) bool { return f.Get("kind") == "alert" },
	}
}

// readAll gives one line per record: its text, or "!" and its error.
func readAll(t *testing.T, in io.Reader) []string {
	t.Helper()
	var out []string
	err := testReader().Read(in, "input", func(rec Record) error {
		if rec.Index != len(out) || rec.File != "input" {
			t.Errorf("record %d of %q, want %d of input", rec.Index, rec.File, len(out))
		}
		if rec.Err != nil {
			out = append(out, "!"+rec.Err.Error())
		} else {
			out = append(out, string(rec.Raw))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestReaderForms(t *testing.T) {
	tests := map[string]struct {
		in   string
		want []string
	}{
		"empty":               {"", nil},
		"blank":               {" \n\r\n", nil},
		"object":              {`{"a":1}`, []string{`{"a":1}`}},
		"pretty":              {"{\n  \"a\": {\n    \"b\": [1]\n  }\n}\n", []string{"{\n  \"a\": {\n    \"b\": [1]\n  }\n}"}},
		"byte order mark":     {"\xef\xbb\xbf{\"a\":1}", []string{`{"a":1}`}},
		"lines":               {"{\"a\":1}\n\n{\"a\":2}\r\n{\"a\":3}", []string{`{"a":1}`, `{"a":2}`, `{"a":3}`}},
		"concatenated":        {`{"a":1}{"a":2} {"a":3}`, []string{`{"a":1}`, `{"a":2}`, `{"a":3}`}},
		"array":               {`[{"a":1}, {"a":2}]`, []string{`{"a":1}`, `{"a":2}`}},
		"array of lines":      {"[\n{\"a\":1},\n{\"a\":2}\n]", []string{`{"a":1}`, `{"a":2}`}},
		"array in array":      {`[[{"a":1}],[{"a":2}]]`, []string{`{"a":1}`, `{"a":2}`}},
		"brackets in strings": {`{"a":"}{\"]"}`, []string{`{"a":"}{\"]"}`}},
		"envelope":            {`{"value":[{"a":1},{"a":2}]}`, []string{`{"a":1}`, `{"a":2}`}},
		"envelope over lines": {"{\"value\":[\n{\"a\":1},\n{\"a\":2}\n]}", []string{`{"a":1}`, `{"a":2}`}},
		"deep envelope":       {`{"took":1,"hits":{"total":2,"hits":[{"a":1},{"a":2}]}}`, []string{`{"a":1}`, `{"a":2}`}},
		"envelopes inside":    {`{"responses":[{"hits":{"hits":[{"a":1}]}},{"hits":{"hits":[]}}]}`, []string{`{"a":1}`}},
		"empty envelope":      {`{"value":[]}`, nil},
		"alert with an array": {`{"kind":"alert","value":[{"a":1}]}`, []string{`{"kind":"alert","value":[{"a":1}]}`}},
		"log analytics table": {
			`{"tables":[{"name":"T","columns":[{"name":"a","type":"int"},{"name":"b","type":"string"}],"rows":[[1,"x"],[2,null]]}]}`,
			[]string{`{"a":1,"b":"x"}`, `{"a":2,"b":null}`},
		},
		"columns":   {`{"columns":["a"],"values":[["x"]]}`, []string{`{"a":"x"}`}},
		"csv":       {"id,text\n1,\"two\nlines, and \"\"quotes\"\"\"\r\n\n2,x\n", []string{`{"id":"1","text":"two\nlines, and \"quotes\""}`, `{"id":"2","text":"x"}`}},
		"csv ;":     {"id;b\n1;2", []string{`{"id":"1","b":"2"}`}},
		"csv tab":   {"id\t\n1\t2", []string{`{"id":"1","column2":"2"}`}},
		"csv row":   {"a,b\n1\n2,3\n", []string{"!line 2, byte 4: the row has 1 fields, the header 2; quote fields that hold the separator", `{"a":"2","b":"3"}`}},
		"csv quote": {"a,b\n1,\"x\n", []string{"!line 2, byte 4: a quoted field does not end; close the quote"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, in := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
				got := readAll(t, in)
				if fmt.Sprint(got) != fmt.Sprint(tt.want) {
					t.Errorf("got  %q\nwant %q", got, tt.want)
				}
			}
		})
	}
}

func TestReaderBrokenRecords(t *testing.T) {
	const end = "the record does not end before the next one begins; the line seems cut off"
	tests := map[string]struct {
		in   string
		want []string
	}{
		"cut off":           {"{\"a\":1}\n{\"a\":\n{\"a\":3}\n", []string{`{"a":1}`, "!line 2, byte 8: " + end, `{"a":3}`}},
		"cut in a string":   {"{\"a\":\"x\n{\"a\":2}\n", []string{"!line 1, byte 0: a string does not end on its line; close the quote or escape the line break", `{"a":2}`}},
		"cut in an array":   {"{\"a\":[\n{\"a\":2}\n{\"a\":3}\n", []string{"!line 1, byte 0: " + end, `{"a":2}`, `{"a":3}`}},
		"cut at the end":    {"{\"a\":1}\n{\"a\":", []string{`{"a":1}`, "!line 2, byte 8: the record does not end; the input seems cut off"}},
		"no JSON":           {"{\"a\":1}\nnonsense\n{\"a\":2}", []string{`{"a":1}`, "!line 2, byte 8: not a JSON object; each record must be an object in braces", `{"a":2}`}},
		"first no JSON":     {"nonsense, all of it\n{\"a\":2}", []string{"!line 1, byte 0: not a JSON object; each record must be an object in braces", `{"a":2}`}},
		"bad literal":       {"{\"a\":tru}\n{\"a\":2}", []string{"!line 1, byte 8: not valid JSON: invalid character '}' in literal true (expecting 'e')", `{"a":2}`}},
		"scalar in array":   {"[1,{\"a\":2}]", []string{"!line 1, byte 1: not a JSON object; each record must be an object in braces", `{"a":2}`}},
		"wrong bracket":     {"{\"a\":[1}\n{\"a\":2}", []string{"!line 1, byte 0: a closing bracket does not match the one that was opened; mend the record", `{"a":2}`}},
		"pretty, broken":    {"[\n  {\n    \"a\": \"x\n  },\n  {\n    \"a\": 2\n  }\n]", []string{"!line 2, byte 4: a string does not end on its line; close the quote or escape the line break", "{\n    \"a\": 2\n  }"}},
		"scalar in wrapper": {`{"value":[7,{"a":1}]}`, []string{"!line 1, byte 10: not a JSON object; each record must be an object in braces", `{"a":1}`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := readAll(t, strings.NewReader(tt.in))
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestReaderEncodings(t *testing.T) {
	const in = "{\"a\":\"é\"}\n{\"a\":2}\n"
	want := []string{`{"a":"é"}`, `{"a":2}`}
	zip := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(s))
		_ = w.Close()
		return b.String()
	}
	wide := func(e unicode.Endianness, bom unicode.BOMPolicy) string {
		s, err := unicode.UTF16(e, bom).NewEncoder().String(in)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for name, text := range map[string]string{
		"UTF-16LE":         wide(unicode.LittleEndian, unicode.UseBOM),
		"UTF-16BE":         wide(unicode.BigEndian, unicode.UseBOM),
		"UTF-16LE, no BOM": wide(unicode.LittleEndian, unicode.IgnoreBOM),
		"UTF-16BE, no BOM": wide(unicode.BigEndian, unicode.IgnoreBOM),
		"gzip":             zip(in),
		"gzip of UTF-16":   zip(wide(unicode.LittleEndian, unicode.UseBOM)),
	} {
		t.Run(name, func(t *testing.T) {
			if got := readAll(t, strings.NewReader(text)); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestReaderRefusesBombs(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	blank := bytes.Repeat([]byte{' '}, 1<<20)
	for range 40 {
		_, _ = w.Write(blank)
	}
	_ = w.Close()
	err := testReader().Read(&b, "bomb.gz", func(Record) error { return nil })
	if !errors.Is(err, ErrInflate) {
		t.Errorf("got %v, want ErrInflate", err)
	}
}

func TestReaderLargeRecords(t *testing.T) {
	big := `{"a":"` + strings.Repeat("x", alert.MaxRecord) + `"}`
	got := readAll(t, strings.NewReader(big+"\n{\"a\":2}\n"))
	if len(got) != 2 || !strings.Contains(got[0], "larger than 8 MiB") || got[1] != `{"a":2}` {
		t.Errorf("got %d records, first %.80q", len(got), got[0])
	}
	wrapper := `{"value":[` + strings.Repeat(`{"a":"`+strings.Repeat("x", 1<<20)+`"},`, 9) + `{"a":2}]}`
	if got := readAll(t, strings.NewReader(wrapper)); len(got) != 10 || got[9] != `{"a":2}` {
		t.Errorf("an envelope larger than a record may be: got %d records", len(got))
	}
}

func TestReaderStopsWithTheCallersError(t *testing.T) {
	stop := errors.New("enough")
	n := 0
	err := testReader().Read(strings.NewReader(`{"value":[{},{}]}{}`), "x", func(Record) error { n++; return stop })
	if err != stop || n != 1 {
		t.Errorf("got %v after %d records, want the caller's error after 1", err, n)
	}
	broken := errors.New("disk")
	err = testReader().Read(iotest.ErrReader(broken), "x", func(Record) error { return nil })
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want the reader's error", err)
	}
}

func FuzzReader(f *testing.F) {
	for _, s := range []string{
		`{"a":1}`, "[{},\n{}]", "{\"a\":\n{\"b\":[\n{}", `{"value":[{"value":[1]}]}`, "a,b\n\"1\n,2", "\xff\xfe{\x00}\x00",
		"\x1f\x8b\x08", `{"columns":[{"name":"a"}],"rows":[[1],[]]}`, "]]{\"}", "{\"a\":[{\n{\n{",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		n := 0
		_ = testReader().Read(bytes.NewReader(in), "fuzz", func(rec Record) error {
			n++
			if n > len(in)*4+16 {
				t.Fatalf("more records than bytes")
			}
			if rec.Err == nil && check(rec.Raw) != nil {
				t.Fatalf("record %q is no JSON", rec.Raw)
			}
			return nil
		})
	})
}

func BenchmarkReader(b *testing.B) {
	line := `{"rule":{"id":"1","description":"` + strings.Repeat("some words ", 180) + `"}}` + "\n"
	in := strings.Repeat(line, 500)
	r := testReader()
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Read(strings.NewReader(in), "x", func(Record) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
