package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/demo"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
	"github.com/aluskort/aluskort/internal/orchestrate"
	"github.com/aluskort/aluskort/internal/result"
)

type demoCmd struct {
	Once bool   `help:"Run the story to its end, print what became of it and exit. The live console is not there yet, so demo does the same without this flag."`
	Seed uint64 `default:"1" help:"Story to tell: 1 is the published one; others have other people, hosts, addresses and times."`
	JSON bool   `name:"json" help:"Print one JSON object."`
	Keep bool   `help:"Keep the temporary state directory and print where it is."`
	modelFlags
	Write string `type:"path" placeholder:"DIR" help:"Write the story's files (alerts, truth, organisation, intelligence) into a folder and run nothing."`
}

// Run tells the story to a product of its own, in a state directory of its own. It needs
// neither network nor key.
func (c *demoCmd) Run(e *env, flags *cli) error {
	if c.Write != "" {
		return demo.Write(c.Write, c.Seed)
	}
	return c.tell(e, flags, func(*result.Line) {})
}

// tell runs the story; each hears what became of every alert, in order of arrival.
func (c *demoCmd) tell(e *env, flags *cli, each func(*result.Line)) error {
	w, err := openWorkspace(flags.State, c.Keep)
	if err != nil {
		return err
	}
	r := &demoRun{cmd: c, each: each, sum: newSummary(), report: demoReport{Seed: max(c.Seed, demo.Published)}}
	if c.Keep || flags.State != "" {
		r.report.State = w.dir
	}
	if err := c.describe(w.dir); err != nil {
		return errors.Join(err, w.discard())
	}
	w.documentation = true
	if err := c.apply(e, w); err != nil {
		return errors.Join(err, w.discard())
	}
	times := app.NewTimes()
	w.verdicts = func(out []orchestrate.Outcome, _ int64) { times.Observe(out, time.Now()) }
	return w.run(e, func(ctx context.Context, n *app.Node) error { return r.run(ctx, e, n, times) })
}

// organisationFile is where a state directory holds what the organisation says about itself.
const organisationFile = "org.yaml"

// describe puts the company's org.yaml into the state directory. One that stands there and says
// something else belongs to someone.
func (c *demoCmd) describe(dir string) error {
	want, err := demo.Organisation(c.Seed)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, organisationFile)
	have, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		return os.WriteFile(path, want, 0o600)
	case err != nil:
		return err
	case !bytes.Equal(have, want):
		return &usageError{path + " describes another organisation; demo needs a state directory of its own (leave --state out)"}
	}
	return nil
}

// discard removes a temporary state directory in which no node has run to its end.
func (w *workspace) discard() error {
	if !w.temporary {
		return nil
	}
	return os.RemoveAll(w.dir)
}

// demoRun is one telling of the story.
type demoRun struct {
	cmd    *demoCmd
	each   func(*result.Line)
	sum    *summary
	found  []result.Result // the first alert of each investigation
	took   time.Duration
	audit  audit.Report
	report demoReport
}

// demoReport is what --json prints.
type demoReport struct {
	Seed                uint64         `json:"seed"`
	Alerts              int            `json:"alerts"`
	Rejected            int            `json:"rejected"`
	Folded              int            `json:"folded"`
	Investigations      int            `json:"investigations"`
	Classes             map[string]int `json:"classifications"`
	States              map[string]int `json:"states"`
	WaitingApproval     int            `json:"waiting_for_approval"`
	WaitingVerdict      int            `json:"waiting_for_verdict"`
	Revised             int            `json:"revised"`
	Indicators          int            `json:"indicators"`
	Techniques          int            `json:"techniques"`
	Seconds             float64        `json:"seconds"`
	MillisecondsPer     float64        `json:"milliseconds_per_alert"`
	AuditRecords        int64          `json:"audit_records"`
	ChainVerified       bool           `json:"chain_verified"`
	HumanDecisions      int            `json:"human_decisions"`
	HumanDecisionsPer1k float64        `json:"human_decisions_per_1000"`
	State               string         `json:"state_directory,omitempty"`
	Top                 []demoFinding  `json:"top"`
}

type demoFinding struct {
	Investigation  string   `json:"investigation"`
	Title          string   `json:"title"`
	Classification string   `json:"classification"`
	Severity       string   `json:"severity"`
	Probability    float64  `json:"malicious_probability"`
	Waits          string   `json:"wait_reason,omitempty"`
	Evidence       []string `json:"evidence"`
}

func (r *demoRun) importIntel(ctx context.Context, e *env, n *app.Node) error {
	table, err := demo.Intel(r.cmd.Seed)
	if err != nil {
		return err
	}
	if _, err = n.ImportIntel(ctx, e.config.Tenant, bytes.NewReader(table), intel.Options{Feed: "demo", Now: time.Now()}); err != nil {
		return fmt.Errorf("import the demo's indicators: %w", err)
	}
	return nil
}

func (r *demoRun) run(ctx context.Context, e *env, n *app.Node, times *app.Times) error {
	if err := r.importIntel(ctx, e, n); err != nil {
		return err
	}
	events := demo.Story(r.cmd.Seed)
	p := newProgress(e.stderr, "alerts told")
	defer p.done()
	s := app.NewSession(n, "auto", e.config.Tenant, times)
	start := time.Now()
	if err := s.Read(ctx, bytes.NewReader(demo.Alerts(events)), "demo/"+demo.AlertsFile, p.set); err != nil {
		return err
	}
	if err := n.Settled(ctx); err != nil {
		return err
	}
	r.took = time.Since(start)
	err := s.Results(ctx, func(l result.Line) error {
		r.sum.add(&l)
		r.each(&l)
		if l.Rejection == nil && l.Investigation.FoldedInto == "" {
			r.found = append(r.found, *l.Result)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if r.audit, err = n.Audit.Verify(ctx, e.config.Tenant); err != nil {
		return err
	}
	r.rank()
	if r.cmd.JSON {
		return json.NewEncoder(e.stdout).Encode(r.fill())
	}
	if err := r.print(e.stdout, events); err != nil {
		return err
	}
	return writeSpending(ctx, e.stdout, n, r.sum.alerts)
}

// rank brings what a person should see first to the front.
func (r *demoRun) rank() {
	order := map[evidence.Classification]int{evidence.TruePositive: 0, evidence.Suspicious: 1, evidence.InvestigationRequired: 2, evidence.BenignTruePositive: 3, evidence.FalsePositive: 4}
	slices.SortStableFunc(r.found, func(a, b result.Result) int {
		x, y := &a.Investigation, &b.Investigation
		return cmp.Or(cmp.Compare(order[x.Classification], order[y.Classification]), cmp.Compare(y.Severity, x.Severity),
			cmp.Compare(y.Probability, x.Probability), x.FirstSeen.Compare(y.FirstSeen), cmp.Compare(x.ID, y.ID))
	})
}

// shownFindings and shownEvidence bound the list under the summary.
const (
	shownFindings = 5
	shownEvidence = 2
)

func (r *demoRun) fill() *demoReport {
	o := &r.report
	o.Alerts, o.Rejected, o.Folded, o.Revised = r.sum.alerts, r.sum.rejected, r.sum.folded, r.sum.revised
	o.Investigations, o.Indicators, o.Techniques = len(r.found), len(r.sum.indicators), len(r.sum.techniques)
	o.Classes, o.States = texts(r.sum.classes), texts(r.sum.states)
	o.WaitingApproval, o.WaitingVerdict = r.sum.waits[investigate.WaitApproval], r.sum.waits[investigate.WaitVerdict]
	o.AuditRecords, o.ChainVerified, o.HumanDecisions = r.audit.Records, r.audit.OK(), r.sum.humanDecisions()
	o.Seconds = r.took.Seconds()
	if n := float64(r.sum.alerts); n > 0 {
		o.MillisecondsPer, o.HumanDecisionsPer1k = 1000*o.Seconds/n, 1000*float64(o.HumanDecisions)/n
	}
	for i := range r.found[:min(shownFindings, len(r.found))] {
		f := &r.found[i]
		inv := &f.Investigation
		d := demoFinding{Investigation: inv.ID, Title: f.Alert.Title, Classification: string(inv.Classification), Severity: inv.Severity.String(), Probability: inv.Probability, Waits: string(inv.WaitReason)}
		for _, x := range strongest(inv) {
			d.Evidence = append(d.Evidence, x.Statement)
		}
		o.Top = append(o.Top, d)
	}
	return o
}

func texts[K ~string](m map[K]int) map[string]int {
	out := map[string]int{}
	for k, n := range m {
		out[string(k)] = n
	}
	return out
}

// strongest is the evidence that weighs most, for or against.
func strongest(inv *result.Investigation) []result.Evidence {
	list := slices.Clone(inv.Evidence)
	slices.SortStableFunc(list, func(a, b result.Evidence) int { return cmp.Compare(max(b.Weight, -b.Weight), max(a.Weight, -a.Weight)) })
	list = slices.DeleteFunc(list, func(e result.Evidence) bool { return e.Weight == 0 })
	return list[:min(shownEvidence, len(list))]
}

func (r *demoRun) print(w io.Writer, events []demo.Event) error {
	first, last := events[0].At, events[0].At
	for i := range events {
		first, last = minTime(first, events[i].At), maxTime(last, events[i].At)
	}
	fmt.Fprintf(w, "Story %d: %d native alerts of Sentinel, Elastic, Splunk and Wazuh, %s to %s\n\n", r.report.Seed, len(events),
		first.Format("2006-01-02 15:04"), last.Format("15:04Z"))
	if err := r.sum.write(w, r.took, &r.audit); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nFirst to look at (%d of %d)\n", min(shownFindings, len(r.found)), len(r.found))
	for i := range r.found[:min(shownFindings, len(r.found))] {
		finding(w, i+1, &r.found[i])
	}
	return r.next(w)
}

func finding(w io.Writer, n int, f *result.Result) {
	inv := &f.Investigation
	fmt.Fprintf(w, "%3d. %-10s %3.0f %%  %-8s  %s\n", n, classNames[inv.Classification], 100*inv.Probability, inv.Severity, inert(f.Alert.Title, 90))
	fmt.Fprintf(w, "     %s  %s  investigation %s\n", f.Alert.Timestamp.UTC().Format("15:04:05Z"), entityLine(f.Alert.Entities), short(inv.ID))
	for _, e := range strongest(inv) {
		fmt.Fprintf(w, "     %+5.2f bits  %s\n", e.Weight, inert(e.Statement, 140))
	}
	if inv.WaitReason != investigate.WaitNone {
		fmt.Fprintf(w, "     waits for %s\n", waitName(inv.WaitReason))
	}
}

// next says where an approval waits and what can be done now.
func (r *demoRun) next(w io.Writer) error {
	for i := range r.found {
		inv := &r.found[i].Investigation
		if inv.WaitReason == investigate.WaitApproval {
			fmt.Fprintf(w, "\nAn approval waits: %s, investigation %s\n  plan: %s\n", inert(r.found[i].Alert.Title, 90), inv.ID, actionLine(inv))
			break
		}
	}
	var b strings.Builder
	b.WriteString("\nNext\n")
	if dir := r.report.State; dir != "" {
		fmt.Fprintf(&b, "  aluskort --state %s audit verify   the chain of decisions, checked again\n", dir)
	} else {
		b.WriteString("  aluskort demo --keep                 keep the state directory, to look into it afterwards\n")
	}
	b.WriteString("  aluskort demo --seed 2               the same intrusion in another company\n" +
		"  aluskort demo --write DIR            the alerts as files, with the truth about each\n" +
		"  aluskort investigate YOUR-ALERTS     your own alerts, in their native format\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func maxTime(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
