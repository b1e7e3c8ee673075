package sigma

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aluskort/aluskort/internal/alert"
	"pgregory.net/rapid"
)

// The words of random rules and events are few, so that they meet.
var (
	soundFields = []string{"Image", "CommandLine", "User", "EventID", "Extra"}
	soundWords  = []string{"cmd", "exe", "pow", "Ersh", "whoami", "a", "bc", "-enc", "/q", "é", "ſk", "4624", "1", "x y", ".e"}
	soundMods   = []string{"", "|contains", "|startswith", "|endswith", "|contains|all", "|re", "|re|i", "|windash|contains",
		"|cased", "|contains|cased", "|neq", "|base64offset|contains", "|fieldref", "|exists", "|gt"}
)

func drawValue(t *rapid.T, mod string) string {
	words := rapid.SliceOfN(rapid.SampledFrom(soundWords), 1, 3).Draw(t, "words")
	glue := ""
	if mod == "" || mod == "|contains" {
		glue = rapid.SampledFrom([]string{"", "", "*", "?"}).Draw(t, "glue")
	}
	s := strings.Join(words, glue)
	switch mod {
	case "|fieldref":
		return rapid.SampledFrom(soundFields).Draw(t, "ref")
	case "|exists":
		return "true"
	case "|gt":
		return "100"
	}
	return s
}

func drawDetection(t *rapid.T) string {
	var b strings.Builder
	n := rapid.IntRange(1, 3).Draw(t, "selections")
	for i := range n {
		_, _ = fmt.Fprintf(&b, "s%d:\n", i)
		if rapid.IntRange(0, 9).Draw(t, "keyword") == 0 {
			_, _ = fmt.Fprintf(&b, "  - '%s'\n", drawValue(t, "|contains"))
			continue
		}
		seen := map[string]bool{}
		for range rapid.IntRange(1, 3).Draw(t, "entries") {
			mod := rapid.SampledFrom(soundMods).Draw(t, "modifier")
			key := rapid.SampledFrom(soundFields).Draw(t, "field") + mod
			if seen[key] {
				continue
			}
			seen[key] = true
			_, _ = fmt.Fprintf(&b, "  %s:\n", key)
			for range rapid.IntRange(1, 3).Draw(t, "values") {
				_, _ = fmt.Fprintf(&b, "    - '%s'\n", drawValue(t, mod))
			}
		}
	}
	conditions := []string{"s0", "not s0", "1 of s*", "all of s*"}
	if n > 1 {
		conditions = append(conditions, "s0 and not s1", "s0 or s1", "not s0 or s1", "(s0 or s1) and not (s0 and s1)", "2 of s*")
	}
	b.WriteString("condition: " + rapid.SampledFrom(conditions).Draw(t, "condition"))
	return b.String()
}

func drawEvent(t *rapid.T) string {
	m := make(map[string]any)
	for _, f := range soundFields {
		switch rapid.IntRange(0, 6).Draw(t, "kind") {
		case 0:
		case 1:
			m[f] = nil
		case 2:
			m[f] = rapid.SampledFrom([]int{1, 4624, 146241}).Draw(t, "number")
		case 3:
			m[f] = []string{drawText(t), drawText(t)}
		default:
			m[f] = drawText(t)
		}
	}
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func drawText(t *rapid.T) string {
	glue := rapid.SampledFrom([]string{"", "", " ", "^", `"`, `\\`, "&amp;"}).Draw(t, "glue")
	s := strings.Join(rapid.SliceOfN(rapid.SampledFrom(soundWords), 0, 5).Draw(t, "text"), glue)
	switch rapid.IntRange(0, 5).Draw(t, "shape") {
	case 0:
		return strings.ToUpper(s)
	case 1:
		return "powershell -enc " + b64(wide(s+" padding"))
	case 2:
		return b64("x" + s)
	}
	return s
}

func TestIndexNeverHidesAMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rules []*Rule
		for i := range rapid.IntRange(1, 8).Draw(t, "rules") {
			text := strings.Replace(ruleText(drawDetection(t)), "Test rule", fmt.Sprint("rule ", i), 1)
			loaded, problems := Load("r.yml", []byte(text))
			if len(problems) > 0 {
				t.Fatalf("%v\n%s", problems[0], text)
			}
			rules = append(rules, loaded...)
		}
		s := Compile(rules, Options{})
		for range 4 {
			record := drawEvent(t)
			fields, err := new(alert.Flattener).Flatten([]byte(record))
			if err != nil {
				t.Fatal(err)
			}
			f := &Event{Fields: fields}
			var with, without []string
			s.Match(f, func(r *Rule, _ Hits) { with = append(with, r.Title) })
			s.matchAll(f, func(r *Rule, _ Hits) { without = append(without, r.Title) })
			if strings.Join(with, "|") != strings.Join(without, "|") {
				t.Fatalf("with index %q, without %q\n%s", with, without, record)
			}
		}
	})
}

// naiveGlob is the definition of wildcards, without regard to cost.
func naiveGlob(p []elem, s string) bool {
	if len(p) == 0 {
		return s == ""
	}
	switch e := p[0]; e.kind {
	case elemMany:
		for i := 0; i <= len(s); i++ {
			if naiveGlob(p[1:], s[i:]) {
				return true
			}
		}
		return false
	case elemOne:
		if s == "" {
			return false
		}
		_, n := utf8.DecodeRuneInString(s)
		return naiveGlob(p[1:], s[n:])
	default:
		return strings.HasPrefix(s, string(e.lit)) && naiveGlob(p[1:], s[len(e.lit):])
	}
}

func TestGlobMeetsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringOfN(rapid.RuneFrom([]rune("ab*?é")), 0, 8, -1).Draw(t, "pattern")
		s := rapid.StringOfN(rapid.RuneFrom([]rune("abé")), 0, 10, -1).Draw(t, "text")
		elems := parseText(p)
		pat := newPattern(elems, true)
		if got, want := pat.match([]byte(s)), naiveGlob(elems, s); got != want {
			t.Fatalf("%q on %q: got %t, want %t", p, s, got, want)
		}
	})
}

func TestRequiredLiteralIsInEveryMatch(t *testing.T) {
	for re, want := range map[string]string{
		`abc`: "abc", `(?i)ABC`: "abc", `a+bcd`: "bcd", `(foo|bar)baz`: "baz", `foo|bar`: "", `x*yy`: "yy",
		`(abc){2,}`: "abc", `(abc){0,2}`: "", `[a-z]+`: "", `aéb`: "a", `\d+\.exe`: ".exe", `(?i)ſkey`: "skey",
	} {
		if got := string(requiredLiteral(re)); got != want {
			t.Errorf("%s: %q, want %q", re, got, want)
		}
	}
}
