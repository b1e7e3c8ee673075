package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/demo"
)

// A plan is shown with every action and every investigation, and approved as it was shown.
func TestReviewPlans(t *testing.T) {
	dir := t.TempDir()
	state, files := filepath.Join(dir, "state"), filepath.Join(dir, "demo")
	if err := demo.Write(files, 1); err != nil {
		t.Fatal(err)
	}
	s := &served{state: state}
	s.want(t, exitDone, "ingest", filepath.Join(files, demo.AlertsFile))
	var list api.PlanList
	if err := json.Unmarshal([]byte(s.want(t, exitDone, "review", "plans", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list.Plans, func(p api.Plan) bool { return len(p.Members) > 2 })
	if i < 0 {
		t.Fatalf("no plan covers others: %+v", list)
	}
	p := list.Plans[i]
	text := s.want(t, exitDone, "review", "plans")
	for _, m := range p.Members {
		if !strings.Contains(text, m.ID) {
			t.Errorf("%s is not shown", m.ID)
		}
	}
	for _, a := range p.Actions {
		if !strings.Contains(text, a.Target) {
			t.Errorf("%s %s is not shown", a.Action, a.Target)
		}
	}
	asOf := list.AsOf.Format(time.RFC3339Nano)
	for name, c := range map[string]struct {
		says string
		args []string
	}{
		"no time":       {"as-of", []string{p.Key, "--reason", "r"}},
		"no such time":  {"is no time", []string{p.Key, "--reason", "r", "--as-of", "now"}},
		"unknown":       {"no plan that waits", []string{"00", "--reason", "r", "--as-of", asOf}},
		"before all":    {"look at it again", []string{p.Key, "--reason", "r", "--as-of", "2026-01-01T00:00:00Z"}},
		"a strange one": {"nothing was approved", []string{p.Key, "--reason", "r", "--as-of", asOf, "--except", "none"}},
	} {
		if out := s.want(t, exitUsage, append([]string{"review", "accept"}, c.args...)...); !strings.Contains(out, c.says) {
			t.Errorf("%s: %q", name, out)
		}
	}
	out := s.want(t, exitDone, "review", "accept", p.Key, "--reason", "contained", "--as-of", asOf, "--except", p.Members[1].ID, "--actor", "kim")
	if !strings.Contains(out, "left out on request") || !strings.Contains(out, " approved, 1 left") {
		t.Errorf("accept says %q", out)
	}
	for k, want := range map[int]string{0: "approve by kim: contained", 1: "waits for approval"} {
		if out := s.want(t, exitDone, "review", "show", p.Members[k].ID); !strings.Contains(out, want) {
			t.Errorf("member %d: %q is not in %q", k, want, out)
		}
	}
}
