package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/demo"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/result"
)

// told is what became of a story, held against its truth.
type told struct {
	out       string
	alerts    int
	missed    []string // attack alerts called benign
	wrong     []string // noise called malicious
	deferred  int
	revised   int
	approvals int
	by        map[string]map[evidence.Classification]int
}

func tellStory(t *testing.T, seed uint64, asJSON bool) *told {
	t.Helper()
	truth := map[string]demo.Truth{}
	for _, e := range demo.Story(seed) {
		truth[e.Source+"/"+e.ID] = e.Truth
	}
	r := &told{by: map[string]map[evidence.Classification]int{}}
	var out bytes.Buffer
	e := &env{ctx: t.Context(), stdin: strings.NewReader(""), stdout: &out, stderr: io.Discard, config: config.Default(), log: slog.New(slog.DiscardHandler)}
	seen := map[string]bool{}
	cmd := &demoCmd{Seed: seed, JSON: asJSON}
	err := cmd.tell(e, &cli{State: t.TempDir()}, func(l *result.Line) {
		if l.Rejection != nil {
			t.Errorf("seed %d: record %d was rejected: %s", seed, l.Rejected.Index, l.Rejected.Reason)
			return
		}
		key := l.Alert.Source + "/" + l.Alert.ID
		if seen[key] {
			return // the alert that is delivered twice
		}
		seen[key] = true
		r.take(t, truth[key], l)
	})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	r.out = out.String()
	return r
}

func (r *told) take(t *testing.T, truth demo.Truth, l *result.Line) {
	t.Helper()
	if truth.Step == "" {
		t.Errorf("%s %s is no alert of the story", l.Alert.Source, l.Alert.ID)
	}
	r.alerts++
	c := l.Investigation.Classification
	group := "noise: " + truth.Step
	if truth.Attack {
		group = "attack: " + truth.Step
	}
	if r.by[group] == nil {
		r.by[group] = map[evidence.Classification]int{}
	}
	r.by[group][c]++
	why := ""
	for _, x := range strongest(&l.Investigation) {
		why += fmt.Sprintf("\n      %+.2f %s (%s)", x.Weight, inert(x.Statement, 170), x.Kind)
	}
	what := fmt.Sprintf("%s, %s: %s%s", group, l.Alert.Source, inert(l.Alert.Title, 90), why)
	switch {
	case c.Benign() && truth.Attack:
		r.missed = append(r.missed, what)
	case c == evidence.TruePositive && !truth.Attack:
		r.wrong = append(r.wrong, what)
	case c == evidence.Suspicious || c == evidence.InvestigationRequired:
		r.deferred++
		if testing.Verbose() {
			t.Logf("%s: %s", c, what)
		}
	}
	if l.Investigation.Revision > 0 {
		r.revised++
	}
	if l.Investigation.WaitReason == investigate.WaitApproval {
		r.approvals++
	}
}

func (r *told) table() string {
	var b strings.Builder
	for _, g := range slices.Sorted(maps.Keys(r.by)) {
		fmt.Fprintf(&b, "  %-50s %s\n", g, counted(r.by[g]))
	}
	return b.String()
}

// TestDemo tells the published story and, where there is time, nine others, and holds the end
// against the truth, which the product does not see.
func TestDemo(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	if testing.Short() {
		seeds = seeds[:1]
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := tellStory(t, seed, false)
			t.Logf("%d of %d alerts deferred (%.0f %%), %d with a revised verdict, %d wait for approval\n%s",
				r.deferred, r.alerts, 100*float64(r.deferred)/float64(r.alerts), r.revised, r.approvals, r.table())
			if len(r.missed) > 0 {
				t.Errorf("%d attack alerts are called benign:\n  %s", len(r.missed), strings.Join(r.missed, "\n  "))
			}
			if len(r.wrong) > 5 {
				t.Errorf("%d noise alerts are called malicious, at most 5 may be:\n  %s", len(r.wrong), strings.Join(r.wrong, "\n  "))
			}
			if r.approvals == 0 || r.revised == 0 {
				t.Errorf("%d alerts wait for approval and %d verdicts were revised, want some of each", r.approvals, r.revised)
			}
			for _, want := range []string{"chain verified", "human decisions", "per 1,000 alerts", "An approval waits", "Next\n"} {
				if !strings.Contains(r.out, want) {
					t.Errorf("the output does not say %q:\n%s", want, r.out)
				}
			}
		})
	}
}

func TestDemoJSON(t *testing.T) {
	r := tellStory(t, 2, true)
	var rep demoReport
	if err := json.Unmarshal([]byte(r.out), &rep); err != nil {
		t.Fatalf("%v in %s", err, r.out)
	}
	classes := 0
	for _, n := range rep.Classes {
		classes += n
	}
	// One decision per alert would be 1,000; what people are asked once stays asked once.
	if rep.HumanDecisions == 0 || rep.HumanDecisionsPer1k > 350 {
		t.Errorf("%.0f human decisions per 1,000 alerts", rep.HumanDecisionsPer1k)
	}
	if rep.Seed != 2 || rep.Alerts != len(demo.Story(2)) || rep.Investigations != classes || rep.Investigations+rep.Folded != rep.Alerts || !rep.ChainVerified || rep.AuditRecords == 0 || len(rep.Top) != shownFindings {
		t.Errorf("the numbers do not agree: %s", r.out)
	}
}

func TestDemoCommand(t *testing.T) {
	dir := t.TempDir()
	if code, _, errs := aluskort(t, "", "demo", "--write", dir, "--seed", "4"); code != exitDone {
		t.Fatalf("exit %d: %s", code, errs)
	}
	files, err := demo.Files(4)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got := read(t, dir+"/"+name); got != string(want) {
			t.Errorf("%s is not what the generator makes", name)
		}
	}
	if code, out, errs := aluskort(t, "", "demo", "--once"); code != exitDone || !strings.Contains(out, "chain verified") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	theirs := t.TempDir()
	if err := os.WriteFile(filepath.Join(theirs, "org.yaml"), []byte("scanners: [scan-1.example.com]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := aluskort(t, "", "--state", theirs, "demo"); code != exitUsage || !strings.Contains(errs, "another organisation") {
		t.Errorf("a state directory in use: exit %d: %s", code, errs)
	}
	if code, _, _ := aluskort(t, "", "demo", "--seed", "x"); code != exitUsage {
		t.Errorf("a seed that is no number: exit %d", code)
	}
}
