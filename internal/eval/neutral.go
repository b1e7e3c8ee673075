package eval

import (
	"regexp"
	"strings"
)

// Words of test kits and laboratories, and words of like length that say nothing. Those that
// are no words of the language are replaced wherever they stand, the others as whole words
// only: "test" stands in "latest" and "lab" in "available".
var (
	kitWords = []struct{ word, neutral string }{
		{"invoke-atomicredteam", "invoke-marbletanpond"}, {"invoke-atomictest", "invoke-marblework"}, {"atomicredteam", "marbletanpond"},
		{"atomic-red-team", "marble-tan-pond"}, {"atomic_red_team", "marble_tan_pond"}, {"redcanaryco", "bluesparrow"},
		{"red-canary", "blue-heron"}, {"redcanary", "blueheron"}, {"red canary", "blue heron"}, {"red team", "tan pond"}, {"red-team", "tan-pond"},
		{"redteam", "tanpond"}, {"atomics", "marbles"}, {"atomic", "marble"},
	}
	plainWords = map[string]string{
		"test": "item", "tests": "items", "testing": "walking", "tester": "walker", "lab": "bay", "labs": "bays",
		"laboratory": "department", "sandbox": "meadows", "exercise": "schedule", "simulation": "collection", "simulated": "collected",
		"pentest": "holiday", "purple": "silver",
	}
	techniqueMark = regexp.MustCompile(`\bT\d{4}(?:\.\d{3})?\b`)
)

// Neutralise replaces the words of test kits, and ATT&CK ids in names and commands, by words of
// like length. What the source itself states as the technique (rule.mitre and its like) stays:
// it is the source's opinion and not the mark of a kit. So do names that systems fix: the verb
// of Test-Path and its like, the file with which PowerShell probes the policy for scripts.
func Neutralise(raw []byte) ([]byte, error) {
	return rewrite(raw, func(l leaf) string {
		if l.number || stated(l.path) {
			return l.text
		}
		return neutralText(l.text)
	})
}

// stated reports whether a field is where sources state techniques.
func stated(path string) bool {
	for part := range strings.SplitSeq(path, ".") {
		switch part {
		case "mitre", "threat", "technique", "techniques", "tactic", "tactics", "mitretechniques", "mitre_technique_id", "subtechniques", "annotations":
			return true
		}
	}
	return false
}

func neutralText(s string) string {
	for _, k := range kitWords {
		s = replaceFold(s, k.word, k.neutral)
	}
	if strings.Contains(s, "T1") || strings.Contains(s, "T0") {
		s = techniqueMark.ReplaceAllStringFunc(s, func(m string) string {
			return "Q" + strings.Map(func(r rune) rune {
				if r == '.' {
					return r
				}
				return '0' + (r-'0'+3)%10
			}, m[1:])
		})
	}
	return neutralWords(s)
}

// replaceFold replaces a word in any case; capitals stay where they are in the first letters of
// words and in words of capitals.
func replaceFold(s, word, neutral string) string {
	low := asciiLower(s)
	if !strings.Contains(low, word) {
		return s
	}
	var b strings.Builder
	for {
		at := strings.Index(low, word)
		if at < 0 {
			return b.String() + s
		}
		b.WriteString(s[:at])
		b.WriteString(recase(neutral, s[at:at+len(word)]))
		s, low = s[at+len(word):], low[at+len(word):]
	}
}

func recase(to, like string) string {
	switch {
	case like == strings.ToUpper(like):
		return strings.ToUpper(to)
	case len(to) == len(like):
		return likeCase(to, like)
	case like != strings.ToLower(like):
		return strings.ToUpper(to[:1]) + to[1:]
	}
	return to
}

// neutralWords replaces whole words; a capital inside a word begins one ("MyTestRun").
func neutralWords(s string) string {
	var b strings.Builder
	done := 0
	for i := 0; i < len(s); {
		if !letter(s[i]) {
			i++
			continue
		}
		end := i + 1
		upper := isUpper(s[i]) && end < len(s) && isUpper(s[end])
		for end < len(s) && letter(s[end]) && (upper || !isUpper(s[end])) {
			if upper && end+1 < len(s) && letter(s[end+1]) && !isUpper(s[end+1]) {
				break
			}
			end++
		}
		word := s[i:end]
		if to, ok := plainWords[strings.ToLower(word)]; ok && !fixedName(s, i, end) {
			b.WriteString(s[done:i])
			b.WriteString(recase(to, word))
			done = end
		}
		i = end
	}
	if done == 0 {
		return s
	}
	return b.String() + s[done:]
}

// fixedName reports whether the word at s[i:end] is part of a name that a system fixes.
func fixedName(s string, i, end int) bool {
	if strings.EqualFold(s[i:end], "test") {
		verb := end+1 < len(s) && s[end] == '-' && isUpper(s[end+1]) && isUpper(s[i])
		return verb || strings.HasSuffix(s[:i], "PSScriptPolicy")
	}
	return false
}

func letter(c byte) bool  { return c >= 'a' && c <= 'z' || isUpper(c) }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
