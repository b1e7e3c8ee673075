package pii

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/gateway/redact"
)

// found is a finder with fixed answers.
type found map[string][]redact.Finding

func (f found) Find(text string) []redact.Finding { return f[text] }

func read(t *testing.T, text string) []Line {
	t.Helper()
	lines, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestOffsetsCountCharacters(t *testing.T) {
	lines := read(t, `{"text":"Šárka: a@b.example","spans":[{"type":"PERSON","start":0,"end":5,"value":"Šárka"},{"type":"EMAIL_ADDRESS","start":7,"end":18,"value":"a@b.example"}]}`+"\n\n")
	if len(lines) != 1 || lines[0].Spans[1].Start != 9 || lines[0].Spans[1].End != 20 {
		t.Errorf("%+v", lines)
	}
}

func TestReadNamesTheLineThatItCannotUse(t *testing.T) {
	for _, c := range []struct{ in, says string }{
		{"", "no texts"},
		{"{}\n{", "line 2"},
		{`{"text":"ab","spans":[{"type":"X","start":0,"end":3}]}`, "line 1: span 1"},
		{`{"text":"ab","spans":[{"type":"X","start":1,"end":1}]}`, "does not lie"},
		{`{"text":"ab","spans":[{"type":"","start":0,"end":1}]}`, "does not lie"},
		{`{"text":"ab","spans":[{"type":"X","start":-1,"end":1}]}`, "does not lie"},
		{`{"text":"éab","spans":[{"type":"X","start":0,"end":1,"value":"a"}]}`, "offsets count characters"},
	} {
		if _, err := Read(strings.NewReader(c.in)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: got %v, want %q", c.in, err, c.says)
		}
	}
}

func TestScore(t *testing.T) {
	//                  0123456789012345678901234567890
	const text = "Ada Byron, a@b.example, x 12345"
	lines := read(t, `{"text":"`+text+`","spans":[{"type":"PERSON","start":0,"end":9},{"type":"EMAIL_ADDRESS","start":11,"end":22},{"type":"ZIP_CODE","start":26,"end":31}]}`)
	rep := Score(found{text: {
		{Class: redact.Person, Start: 0, End: 3}, {Class: redact.Person, Start: 4, End: 9}, // together they cover it
		{Class: redact.Mail, Start: 11, End: 21},  // a character short
		{Class: redact.Host, Start: 24, End: 25},  // nothing there
		{Class: redact.Phone, Start: 26, End: 31}, // of another class
	}}, lines, nil, clock.Fixed(time.Time{}))
	if rep.N != 1 || rep.Positives != 3 || rep.ByGroup["PERSON"] != (Group{1, 1}) || rep.ByGroup["EMAIL_ADDRESS"] != (Group{1, 0}) || rep.ByGroup["ZIP_CODE"] != (Group{1, 0}) {
		t.Errorf("%+v", rep)
	}
	if rep.Recall != 1.0/3 || rep.Precision != 3.0/5 || rep.FalsePositiveRate != 1.0/24 {
		t.Errorf("recall %v, precision %v, false positives %v", rep.Recall, rep.Precision, rep.FalsePositiveRate)
	}
	only := Score(found{text: {{Class: redact.Mail, Start: 11, End: 22}, {Class: redact.Person, Start: 24, End: 25}}}, lines, []string{"EMAIL_ADDRESS"}, clock.Fixed(time.Time{}))
	if only.Positives != 1 || only.Recall != 1 || only.Precision != 1 {
		t.Errorf("%+v", only)
	}
	var out bytes.Buffer
	if err := rep.WriteText(&out, true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1 texts with 3 labelled spans", "recall 33.3 %", "missed: ZIP_CODE \"12345\"", "wrong: HOST \"x\""} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

// sentences of our own, with the spans in square brackets after their type: none of the
// development set.
var sentences = []string{
	"Reach me under PHONE_NUMBER[+49 30 901820] or EMAIL_ADDRESS[lena.vogt@example.org], thanks",
	"Fax: PHONE_NUMBER[030 1234 567]\nOffice: PHONE_NUMBER[(555) 010-4477]",
	"Our gateway PHONE_NUMBER[+1 555-010-8844 x12] moved; the new host is DOMAIN_NAME[https://portal.example.com/] at IP_ADDRESS[198.51.100.77].",
	"The refund goes to IBAN_CODE[DE89 3704 0044 0532 0130 00], the charge to CREDIT_CARD[5555 5555 5555 4444]",
	"card CREDIT_CARD[378282246310005] expires in May",
	"tax file US_SSN[219-09-9999] of last year",
	"visit DOMAIN_NAME[http://www.example.net/] or write to EMAIL_ADDRESS[o'neil+x@mail.example.com]",
	"blocked IP_ADDRESS[2001:db8:85a3::8a2e:370:7334] and IP_ADDRESS[203.0.113.200]",
	"order 4411 of 2026-03-04 10:15:00 took 12 ms, build 10.2.19041.1 of version 4.18",
	"invoice 20260304-000123 over 1.234,56 EUR, part 5555-5555, ratio 3/4",
}

func TestClassesWithAForm(t *testing.T) {
	types := []string{"PHONE_NUMBER", "EMAIL_ADDRESS", "DOMAIN_NAME", "IP_ADDRESS", "IBAN_CODE", "CREDIT_CARD", "US_SSN"}
	var lines []Line
	for _, s := range sentences {
		var l Line
		for s != "" {
			typ, at := "", -1
			for _, x := range types {
				if n := strings.Index(s, x+"["); n >= 0 && (at < 0 || n < at) {
					typ, at = x, n
				}
			}
			if at < 0 {
				l.Text += s
				break
			}
			l.Text += s[:at]
			value, rest, _ := strings.Cut(s[at+len(typ)+1:], "]")
			l.Spans = append(l.Spans, Span{typ, len(l.Text), len(l.Text) + len(value), value})
			l.Text += value
			s = rest
		}
		lines = append(lines, l)
	}
	rep := Score(redact.New(redact.EverythingPolicy()), lines, types, clock.System{})
	if rep.Recall != 1 || rep.Precision != 1 {
		var out bytes.Buffer
		_ = rep.WriteText(&out, true)
		t.Error(out.String())
	}
}

// The development set is not ours and not in the repository.
func TestDevelopmentSet(t *testing.T) {
	f, err := os.Open(filepath.Join("..", "..", "..", "..", "shared", "data", "pii", "dev.jsonl"))
	if err != nil {
		t.Skip("the labelled sentences are not here")
	}
	defer func() { _ = f.Close() }()
	lines, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	formed := []string{"EMAIL_ADDRESS", "IP_ADDRESS", "CREDIT_CARD", "IBAN_CODE", "US_SSN", "PHONE_NUMBER", "DOMAIN_NAME"}
	finder := redact.New(redact.EverythingPolicy())
	if rep := Score(finder, lines, formed, clock.System{}); rep.Recall < 0.98 || rep.Precision < 0.97 {
		t.Errorf("classes with a form: recall %.3f, precision %.3f", rep.Recall, rep.Precision)
	}
	all := Score(finder, lines, nil, clock.System{})
	if all.Recall < 0.8 || all.Precision < 0.85 {
		t.Errorf("all classes: recall %.3f, precision %.3f", all.Recall, all.Precision)
	}
	if !slices.ContainsFunc(lines, func(l Line) bool { return len(l.Spans) == 0 }) {
		t.Error("there is no sentence without personal data")
	}
}
