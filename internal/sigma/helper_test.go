package sigma

import (
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
)

// ruleText wraps a detection into a rule. Without a condition of its own it is "sel".
func ruleText(detection string) string {
	if !strings.Contains(detection, "condition:") {
		detection += "\ncondition: sel"
	}
	return "title: Test rule\nlogsource: {category: test}\ndetection:\n  " +
		strings.ReplaceAll(detection, "\n", "\n  ") + "\n"
}

func mustLoad(t testing.TB, text string) []*Rule {
	t.Helper()
	rules, problems := Load("test.yml", []byte(text))
	for _, p := range problems {
		t.Fatalf("load: %v\n%s", p, text)
	}
	return rules
}

func event(t testing.TB, record string) *Event {
	t.Helper()
	var f alert.Flattener
	fields, err := f.Flatten([]byte(record))
	if err != nil {
		t.Fatalf("event %s: %v", record, err)
	}
	return &Event{Fields: fields}
}

// matched returns the titles of the rules that match, checked against evaluation without index.
func matched(t testing.TB, s *Set, ev *Event) []string {
	t.Helper()
	var with, without []string
	s.Match(ev, func(r *Rule, _ Hits) { with = append(with, r.Title) })
	s.matchAll(ev, func(r *Rule, _ Hits) { without = append(without, r.Title) })
	if strings.Join(with, "|") != strings.Join(without, "|") {
		t.Errorf("with index %q, without %q", with, without)
	}
	return with
}

func matches(t testing.TB, detection, record string, o Options) bool {
	t.Helper()
	s := Compile(mustLoad(t, ruleText(detection)), o)
	if p := s.Problems(); len(p) > 0 {
		t.Fatalf("compile: %v", p[0])
	}
	return len(matched(t, s, event(t, record))) == 1
}
