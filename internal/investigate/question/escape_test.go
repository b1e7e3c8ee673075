package question

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// hostile are values that try to leave their literal in one of the languages.
var hostile = []string{
	`plain`, `C:\Users\ada\x.exe`, `ends in \`, `\\`, `a"b`, `a\"b`, `'"'`, "a`b`c", "```drop```", "line\nbreak", "car\r\nriage", "tab\tbed", "nul\x00",
	`" or true //`, `" | delete`, `") | outputlookup x`, `*`, `a*b?c`, `[search index=_internal]`, `$token$`, `%22 | x`, `"""`, `/* c */ -- # //`,
	`{"match_all":{}}`, `","x":{"`, "\u2028\u2029\u0085", "\u202Egnp.exe", "\U000E0041\U0001F600", "größe", "日本", "\xff\xfe", "", `%`, `a+b`, `</script>`,
}

// readKQL reads one string literal by the lexical rules of Kusto; rest is what follows it.
func readKQL(s string) (v, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", s, false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			return b.String(), s[i+1:], true
		case '\n', '\r':
			return "", s, false
		case '\\':
			i++
			n := map[byte]int{'u': 4, 'U': 8}[s[i]]
			if n == 0 {
				b.WriteByte(s[i])
				break
			}
			x, err := strconv.ParseUint(s[i+1:i+1+n], 16, 32)
			if err != nil {
				return "", s, false
			}
			b.WriteRune(rune(x))
			i += n
		default:
			b.WriteByte(c)
		}
	}
	return "", s, false
}

func readESQL(s string) (v, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", s, false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; c {
		case '"':
			return b.String(), s[i+1:], true
		case '\n', '\r':
			return "", s, false
		case '\\':
			i++
			at := strings.IndexByte(`tnr"\`, s[i])
			if at < 0 {
				return "", s, false
			}
			b.WriteByte("\t\n\r\"\\"[at])
		default:
			b.WriteByte(c)
		}
	}
	return "", s, false
}

// readSPL reads a string of an expression; nothing but plain characters and percent codes may
// stand in it.
func readSPL(s string) (v string, ok bool) {
	encoded := strings.HasPrefix(s, `urldecode("`) && strings.HasSuffix(s, `")`)
	body, ok := strings.CutPrefix(s, `"`)
	if encoded {
		body, ok = s[len(`urldecode("`):], true
	}
	body = strings.TrimSuffix(strings.TrimSuffix(body, ")"), `"`)
	for i := 0; i < len(body); i++ {
		if !splPlain(body[i:i+1]) && (!encoded || body[i] != '%') {
			return "", false
		}
	}
	if !encoded {
		return body, ok
	}
	v, err := url.PathUnescape(body)
	return v, ok && err == nil
}

func visible(v string) string {
	return strings.Map(func(r rune) rune {
		if awkward(r) && r != '\n' && r != '\r' && r != '\t' {
			return utf8.RuneError
		}
		return r
	}, v)
}

func checkKQL(t *testing.T, v string) {
	t.Helper()
	got, rest, ok := readKQL(kqlString(v))
	if want := strings.ToValidUTF8(v, "\uFFFD"); !ok || rest != "" || got != want && !strings.Contains(want, "\uFFFD") {
		t.Errorf("%q: %s reads as %q with %q left", v, kqlString(v), got, rest)
	}
	for _, r := range kqlString(v) {
		if awkward(r) || r == '`' {
			t.Errorf("%q: %q holds %U", v, kqlString(v), r)
		}
	}
}

func checkESQL(t *testing.T, v string) {
	t.Helper()
	got, rest, ok := readESQL(esqlString(v))
	if want := visible(strings.ToValidUTF8(v, "\uFFFD")); !ok || rest != "" || got != want && utf8.ValidString(v) {
		t.Errorf("%q: %s reads as %q with %q left", v, esqlString(v), got, rest)
	}
}

func checkSPL(t *testing.T, v string) {
	t.Helper()
	got, ok := readSPL(splString(v))
	if want := strings.ToValidUTF8(v, "\uFFFD"); !ok || got != want {
		t.Errorf("%q: %s reads as %q", v, splString(v), got)
	}
}

// checkWazuh puts the value into a whole query: it may be nothing but the text of its terms.
func checkWazuh(t *testing.T, v string) {
	t.Helper()
	shapeOf := func(v string) (skeleton string, texts []string) {
		text, ok := wazuh(&search{data: processes, where: []condition{is(fProcess, v), is(fHash, v), is(fAccount, v)}, by: []field{fHost}})
		var x any
		if err := json.Unmarshal([]byte(text), &x); !ok || err != nil {
			t.Fatalf("%q: %v in %s", v, err, text)
		}
		var walk func(x any) any
		walk = func(x any) any {
			switch x := x.(type) {
			case map[string]any:
				for k := range x {
					if s, ok := x[k].(string); ok && k == "value" {
						texts = append(texts, s)
						x[k] = ""
						continue
					}
					x[k] = walk(x[k])
				}
			case []any:
				for i := range x {
					x[i] = walk(x[i])
				}
			}
			return x
		}
		b, err := json.Marshal(walk(x))
		if err != nil {
			t.Fatal(err)
		}
		return string(b), texts
	}
	plain, _ := shapeOf("x")
	got, texts := shapeOf(v)
	if got != plain {
		t.Errorf("%q changes the query: %s", v, got)
	}
	for _, s := range texts {
		pattern := wildcard(v)
		switch strings.ToValidUTF8(s, "\uFFFD") {
		case fixed(v), fixed("*" + pattern + "*"), fixed(`*\\` + pattern), fixed("*/" + pattern):
		default:
			t.Errorf("%q became %q", v, s)
		}
	}
	for i, open := 0, wildcard(v); i < len(open); i++ {
		switch open[i] {
		case '\\':
			i++
		case '*', '?':
			t.Errorf("%q keeps a wildcard: %q", v, open)
		}
	}
}

// fixed is how JSON writes what is not UTF-8.
func fixed(v string) string { return string([]rune(v)) }

func TestValuesStayInTheirLiterals(t *testing.T) {
	for _, v := range hostile {
		checkKQL(t, v)
		checkESQL(t, v)
		checkSPL(t, v)
		checkWazuh(t, v)
	}
}

func TestEscapedForms(t *testing.T) {
	for _, tt := range []struct{ name, got, want string }{
		{"kql path", kqlString(`C:\a "b"`), `"C:\\a \"b\""`},
		{"kql lines and backticks", kqlString("a\n`b`"), `"a\u000a\u0060b\u0060"`},
		{"kql direction", kqlString("\u202Ex\U000E0041"), `"\u202ex\U000e0041"`},
		{"kql keeps scripts", kqlString("größe 日本 | // x"), `"größe 日本 | // x"`},
		{"spl plain", splString("ada@example.com"), `"ada@example.com"`},
		{"spl macro and pipe", splString("a`m` | x"), `urldecode("a%60m%60%20%7C%20x")`},
		{"spl path", splString(`C:\a"`), `urldecode("C:%5Ca%22")`},
		{"esql path", esqlString(`C:\a "b"`), `"C:\\a \"b\""`},
		{"esql lines", esqlString("a\r\n\tb\x00"), `"a\r\n\tb` + "\uFFFD" + `"`},
		{"wildcard", wildcard(`a*b?\`), `a\*b\?\\`},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, tt.got, tt.want)
		}
	}
}

func seeds(f *testing.F) {
	for _, v := range hostile {
		f.Add(v)
	}
}

func FuzzKQL(f *testing.F)   { seeds(f); f.Fuzz(checkKQL) }
func FuzzSPL(f *testing.F)   { seeds(f); f.Fuzz(checkSPL) }
func FuzzESQL(f *testing.F)  { seeds(f); f.Fuzz(checkESQL) }
func FuzzWazuh(f *testing.F) { seeds(f); f.Fuzz(checkWazuh) }
