package simulated

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/aluskort/aluskort/internal/llm"
)

// Bounds of what the obedient model takes the trouble to read.
const (
	maxLayers   = 3
	maxReadings = 4000
	minEncoded  = 12
)

// texts returns everything that the messages of a request say, tools' results and inputs too.
func texts(r *llm.Request) []string {
	var out []string
	add := func(s string) {
		if s != "" {
			out = append(out, s)
		}
	}
	for _, m := range r.Messages {
		add(m.Text)
		for _, c := range m.Calls {
			if m.Role == llm.User {
				add(string(c.Input))
			}
		}
		for _, t := range m.Results {
			add(t.Text)
		}
	}
	return out
}

// reading is one way to read a text. A bent one tells what is meant, but not exactly what is
// named: letters were exchanged.
type reading struct {
	text string
	bent bool
}

// reader collects the ways in which texts can be read.
type reader struct {
	seen map[string]bool
	out  []reading
}

// readings returns the texts in every reading that an attacker may have hoped for: decoded,
// unescaped, without invisible characters, with marks between words taken out. The marks are
// looked for among the words that fixed names.
func readings(list []string, fixed string) []reading {
	r := &reader{seen: map[string]bool{}}
	marks := quotedWords(fixed)
	for _, whole := range list {
		for _, t := range segments(whole) {
			r.read(t, 0)
			for _, m := range marks {
				if strings.Count(t, m) >= 3 {
					r.read(strings.ReplaceAll(t, m, " "), 0)
				}
			}
		}
	}
	return r.out
}

// segments are the texts inside a text that belong to themselves: each name of JSON with its
// value, and what is around the JSON. An order does not begin in one field and end in another.
func segments(text string) []string {
	var out []string
	var around strings.Builder
	rest := text
	for failures := 0; failures < maxBroken; {
		at := strings.IndexByte(rest, '{')
		if at < 0 {
			break
		}
		around.WriteString(rest[:at])
		d := json.NewDecoder(strings.NewReader(rest[at:]))
		var v any
		if d.Decode(&v) != nil {
			around.WriteByte('{')
			rest = rest[at+1:]
			failures++
			continue
		}
		out = append(out, leaves("", v)...)
		around.WriteString("\n")
		rest = rest[at+int(d.InputOffset()):]
	}
	around.WriteString(rest)
	return append(out, around.String())
}

func leaves(name string, v any) []string {
	switch v := v.(type) {
	case string:
		if strings.IndexByte(v, '{') >= 0 {
			return append(segments(v), name+": "+v)
		}
		return []string{name + ": " + v}
	case []any:
		var out []string
		for _, x := range v {
			out = append(out, leaves(name, x)...)
		}
		return out
	case map[string]any:
		var out []string
		for _, k := range sortedKeys(v) {
			out = append(out, leaves(k, v[k])...)
		}
		return out
	}
	return nil
}

func (r *reader) read(s string, depth int) {
	if !r.note(s, false) {
		return
	}
	clear := s
	for range maxLayers { // escapes inside escapes
		for _, way := range []func(string) string{visible, norm.NFKC.String, html.UnescapeString, unescape, percent} {
			clear = way(clear)
		}
	}
	r.note(clear, false)
	r.note(rot13(clear), false)
	r.note(backwards(clear), false)
	r.note(unspaced(clear), true)
	r.note(unleet(clear), true)
	if depth == maxLayers {
		return
	}
	for _, t := range append(encoded(s), encoded(clear)...) {
		r.read(t, depth+1)
	}
}

// note keeps a reading and reports whether it is a new one.
func (r *reader) note(s string, bent bool) bool {
	if s == "" || r.seen[s] || len(r.out) >= maxReadings || !utf8.ValidString(s) {
		return false
	}
	r.seen[s] = true
	r.out = append(r.out, reading{s, bent})
	return true
}

// visible takes out what does not show, and turns the tag characters into the text they hide.
func visible(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 0xE0020 && c <= 0xE007E:
			return c - 0xE0000
		case unicode.Is(unicode.Cf, c), c >= 0xFE00 && c <= 0xFE0F, c >= 0xE0100 && c <= 0xE01EF, c == 0x034F:
			return -1
		}
		if to, ok := lookalikes[c]; ok {
			return to
		}
		return c
	}, s)
}

// lookalikes are letters of other alphabets that pass for Latin ones.
var lookalikes = map[rune]rune{
	'а': 'a', 'е': 'e', 'о': 'o', 'р': 'p', 'с': 'c', 'у': 'y', 'х': 'x', 'і': 'i', 'ј': 'j', 'ѕ': 's', 'ԁ': 'd', 'һ': 'h', 'ӏ': 'l', 'ո': 'n', 'ɡ': 'g', 'ν': 'v', 'ο': 'o', 'α': 'a', 'ι': 'i', 'ρ': 'p', 'τ': 't', 'υ': 'u', 'κ': 'k',
	'А': 'A', 'В': 'B', 'Е': 'E', 'К': 'K', 'М': 'M', 'Н': 'H', 'О': 'O', 'Р': 'P', 'С': 'C', 'Т': 'T', 'Х': 'X', 'І': 'I', 'Ѕ': 'S', 'Α': 'A', 'Β': 'B', 'Ε': 'E', 'Ι': 'I', 'Κ': 'K', 'Μ': 'M', 'Ν': 'N', 'Ο': 'O', 'Ρ': 'P', 'Τ': 'T', 'Χ': 'X',
}

// unescape undoes one layer of the escapes of JSON and of programming languages.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] == '\\' && i+1 < len(s) {
			if c, n := escape(s[i:]); n > 0 {
				b.WriteString(c)
				i += n
				continue
			}
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

func escape(s string) (text string, length int) {
	switch s[1] {
	case 'n', 'r', 't':
		return " ", 2
	case '"', '\'', '/', '\\':
		return s[1:2], 2
	case 'u', 'x':
		digits := map[byte]int{'u': 4, 'x': 2}[s[1]]
		if len(s) < 2+digits {
			return "", 0
		}
		var v string
		if json.Unmarshal([]byte(`"\u`+strings.Repeat("0", 4-digits)+s[2:2+digits]+`"`), &v) != nil {
			return "", 0
		}
		return v, 2 + digits
	}
	return "", 0
}

func percent(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	if t, err := url.QueryUnescape(s); err == nil {
		return t
	}
	return s
}

func rot13(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z':
			return 'a' + (c-'a'+13)%26
		case c >= 'A' && c <= 'Z':
			return 'A' + (c-'A'+13)%26
		}
		return c
	}, s)
}

func backwards(s string) string {
	r := []rune(s)
	slices.Reverse(r)
	return string(r)
}

// unspaced joins l e t t e r s that stand alone; wider gaps stay gaps between words.
func unspaced(s string) string {
	var b strings.Builder
	for i, group := range strings.Split(s, "  ") {
		if i > 0 {
			b.WriteByte(' ')
		}
		words := strings.Fields(group)
		for i, w := range words {
			if i > 0 && !(utf8.RuneCountInString(w) == 1 && utf8.RuneCountInString(words[i-1]) == 1) {
				b.WriteByte(' ')
			}
			b.WriteString(w)
		}
	}
	return b.String()
}

func unleet(s string) string {
	return strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s").Replace(s)
}

// encoded returns what runs of base64 and hexadecimal digits say.
func encoded(s string) []string {
	var out []string
	keep := func(b []byte, err error) {
		if err == nil && readable(b) {
			out = append(out, string(b))
		}
	}
	runs := strings.FieldsFunc(s, func(c rune) bool { return !base64Letter(c) })
	for _, run := range runs { // note=..., invoice_...: what names it is no part of it
		if parts := strings.FieldsFunc(run, func(c rune) bool { return strings.ContainsRune("=_/-", c) }); len(parts) > 1 {
			runs = append(runs, parts...)
		}
	}
	for _, run := range runs {
		if len(run) < minEncoded {
			continue
		}
		bare := strings.TrimRight(run, "=")
		keep(base64.RawStdEncoding.DecodeString(bare))
		keep(base64.RawURLEncoding.DecodeString(bare))
		keep(hex.DecodeString(strings.TrimPrefix(bare, "0x")))
		if b, err := base64.RawStdEncoding.DecodeString(bare); err == nil {
			if t := utf16le(b); t != "" {
				out = append(out, t)
			}
		}
	}
	return out
}

func base64Letter(c rune) bool {
	return c < 128 && (unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune("+/-_=", c))
}

// readable reports whether b looks like text.
func readable(b []byte) bool {
	if len(b) < 4 || !utf8.Valid(b) {
		return false
	}
	for _, c := range string(b) {
		if !unicode.IsPrint(c) && !unicode.IsSpace(c) && !unicode.Is(unicode.Cf, c) {
			return false
		}
	}
	return true
}

// utf16le reads the form that encoded PowerShell commands have.
func utf16le(b []byte) string {
	if len(b) < 8 || len(b)%2 != 0 {
		return ""
	}
	var out strings.Builder
	for i := 0; i < len(b); i += 2 {
		if b[i+1] != 0 || b[i] < 9 {
			return ""
		}
		out.WriteByte(b[i])
	}
	return out.String()
}

// quotedWords returns the short words that a text puts in quotes: a mark must be announced.
func quotedWords(s string) []string {
	var out []string
	for _, quote := range []string{"`", `"`, "'"} {
		parts := strings.Split(s, quote)
		for i := 1; i < len(parts); i += 2 {
			if w := parts[i]; len(w) > 0 && len(w) <= 40 && !strings.ContainsAny(w, " \n") && !slices.Contains(out, w) {
				out = append(out, w)
			}
		}
	}
	return out
}

// folded is a text in lower case, without accents, its words apart by single spaces and with one
// space at each end.
func folded(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte(' ')
	space := true
	for _, c := range norm.NFKD.String(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			b.WriteByte(byte(c))
			space = false
		case c >= 'A' && c <= 'Z':
			b.WriteByte(byte(c) + 'a' - 'A')
			space = false
		case c >= utf8.RuneSelf && unicode.Is(unicode.Mn, c):
		case unicode.IsLetter(c), unicode.IsDigit(c):
			b.WriteRune(unicode.ToLower(c))
			space = false
		case !space:
			b.WriteByte(' ')
			space = true
		}
	}
	if !space {
		b.WriteByte(' ')
	}
	return b.String()
}
