package app

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/engine/enginetest"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/fp"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/ops"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

// TestReloadAskedElsewhere lets another process ask: with the same files as here, with other
// ones, and with files that cannot be used here.
func TestReloadAskedElsewhere(t *testing.T) {
	dir := t.TempDir()
	err := withNode(dir, func(ctx context.Context, n *Node) error {
		rule := filepath.Join(dir, "rules", "mine.yml")
		alerts := 0
		asked := func(digest string) {
			t.Helper()
			err := n.State.Update(ctx, func(tx store.Tx) error {
				_, err := n.requestReload(tx, "kim", digest)
				return err
			})
			if err := errors.Join(err, n.followReload(ctx)); err != nil {
				t.Fatal(err)
			}
		}
		inForce := func(kinds ...string) {
			t.Helper()
			alerts++
			inv := verdict(ctx, t, n, alerts)
			for _, kind := range []string{"first", "second"} {
				if has(inv, kind) != slices.Contains(kinds, kind) {
					t.Errorf("request %d: rule %s is in force: %v", n.reloaded, kind, has(inv, kind))
				}
			}
		}
		write(t, rule, ruleNamed("first", firstID))
		if err := n.followReload(ctx); err != nil {
			return err
		}
		inForce() // nobody asked
		same, err := n.readKnowledge(ctx)
		if err != nil {
			return err
		}
		asked(same.files())
		inForce("first")
		if records := trail(ctx, t, n, audit.ConfigChanged); len(records) != 0 {
			t.Errorf("what the other process recorded is recorded again: %q", records)
		}
		write(t, rule, ruleNamed("second", secondID))
		if err := n.followReload(ctx); err != nil {
			return err
		}
		inForce("first") // the request is an old one
		asked("files of another machine")
		inForce("second")
		if records := trail(ctx, t, n, audit.ConfigChanged); len(records) != 1 || !strings.Contains(records[0], `"applied"`) {
			t.Errorf("other files than those of the process that was asked: %q", records)
		}
		write(t, rule, "\tnot: [yaml")
		asked("files of another machine")
		inForce("second")
		if err := n.followReload(ctx); err != nil {
			return err
		}
		if records := trail(ctx, t, n, audit.ConfigChanged); len(records) != 2 || !strings.Contains(records[1], `"refused"`) || !strings.Contains(records[1], "mine.yml") {
			t.Errorf("files that cannot be used: %q", records)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// bundle is a taxonomy of one technique.
const bundle = `{"type":"bundle","id":"bundle--0a5a9a3e-1111-4a4a-8b8b-000000000001","objects":[
{"type":"x-mitre-collection","id":"x-mitre-collection--0a5a9a3e-1111-4a4a-8b8b-000000000002","name":"Enterprise ATT&CK","x_mitre_version":"99.9"},
{"type":"attack-pattern","id":"attack-pattern--0a5a9a3e-1111-4a4a-8b8b-000000000003","name":"Invented","x_mitre_domains":["enterprise-attack"],
"external_references":[{"source_name":"mitre-attack","external_id":"T9901"}],"kill_chain_phases":[{"kill_chain_name":"mitre-attack","phase_name":"execution"}]}]}`

// pair are two processes on one broker and one PostgreSQL: one answers people, the other decides.
type pair struct {
	t             *testing.T
	asked, decide *Node
	offered       int
}

func newPair(t *testing.T) *pair {
	t.Helper()
	broker := enginetest.Address(t, "kafka")
	url, password := dbtest.Database(t)
	c := config.Default()
	c.Bus.Brokers, c.Store.URL, c.Store.PasswordFile = []string{broker}, url, password
	emptyBroker(t, &c)
	p := &pair{t: t}
	p.asked, p.decide = p.start(c, "api", "audit-service", "entity-parser"), p.start(c, "orchestrator")
	return p
}

// start runs a process until the test ends.
func (p *pair) start(c config.Config, targets ...string) *Node {
	p.t.Helper()
	n, err := Open(context.Background(), Options{Dir: filepath.Join(p.t.TempDir(), "state"), Config: c, Targets: targets})
	if err != nil {
		p.t.Fatal(err)
	}
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(running) }()
	p.t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, n.Close()); err != nil {
			p.t.Error(err)
		}
	})
	return n
}

// write gives both processes a file of this name and text.
func (p *pair) write(name, text string) {
	p.t.Helper()
	for _, n := range []*Node{p.asked, p.decide} {
		if err := os.MkdirAll(filepath.Dir(n.dir.Path(name)), 0o700); err != nil {
			p.t.Fatal(err)
		}
		write(p.t, n.dir.Path(name), text)
	}
}

// until waits for something that has to come within a few periods of following.
func (p *pair) until(what string, done func(ctx context.Context) (bool, error)) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	if err := p.asked.poll(ctx, func() (bool, error) { return done(ctx) }); err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
}

// verdict offers the next alert and returns its investigation.
func (p *pair) verdict() (inv *investigate.Investigation) {
	p.t.Helper()
	p.offered++
	a := failing(p.t, p.asked, p.offered)
	if err := p.asked.Offer(p.t.Context(), []alert.Alert{a}); err != nil {
		p.t.Fatal(err)
	}
	p.until("a verdict", func(ctx context.Context) (bool, error) {
		_, err := p.asked.Engine.Locate(ctx, a.TenantID, a.Source, a.ID)
		if errors.Is(err, orchestrate.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	})
	return investigationOf(p.t.Context(), p.t, p.asked, &a)
}

// changes are the records of changed configuration, once all events are in the chain.
func (p *pair) changes() (out []string) {
	p.t.Helper()
	p.until("the audit trail", func(ctx context.Context) (bool, error) {
		lag, err := p.asked.AuditLag(ctx)
		for _, n := range lag {
			if n > 0 {
				return false, nil
			}
		}
		return err == nil, err
	})
	head, err := p.asked.Audit.Head(p.t.Context(), "default")
	if err != nil {
		p.t.Fatal(err)
	}
	err = p.asked.Audit.Records(p.t.Context(), "default", 0, head.Sequence, func(r audit.Record) error {
		if strings.Contains(string(r.Bytes), `"`+string(audit.ConfigChanged)+`"`) {
			out = append(out, string(r.Bytes))
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// TestServicesFollowEachOther changes everything that verdicts rest on in the process that answers
// people; the one that decides takes it over, and the trail has one record of each change.
func TestServicesFollowEachOther(t *testing.T) {
	p := newPair(t)
	ctx := t.Context()
	before := p.verdict()
	if has(before, "first") || before.Verdict.Severity != before.SourceSeverity {
		t.Fatalf("before: %s, %+v", before.Verdict.Severity, before.Evidence)
	}
	p.write("rules/mine.yml", ruleNamed("first", firstID))
	p.write("org.yaml", crown)
	if _, err := p.asked.Reload(ctx, "kim"); err != nil {
		t.Fatal(err)
	}
	// Nothing is new any more in the process that is asked, and everything in the other one.
	if got, err := p.asked.ReloadAll(ctx, "kim"); err != nil || len(got.Changed) != 0 {
		t.Fatal(got, err)
	}
	if _, err := p.asked.Engine.Conclude(ctx, "default", before.ID, evidence.TruePositive, orchestrate.HumanDecision{Actor: "ana", Reason: "seen before"}); err != nil {
		t.Fatal(err)
	}
	unlearned := p.decide.priors.Snapshot().Version()
	learned, err := p.asked.refit(ctx, "kim")
	if err != nil || learned.Version() == unlearned {
		t.Fatal(learned.Version(), err)
	}
	if _, err := (techniques{p.asked}).Import(ctx, strings.NewReader(bundle), "", "kim"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.asked.Patterns.KillOn(ctx, fp.DimensionTenant, "default", fp.Act{Actor: "ana", Reason: "too wide"}); err != nil {
		t.Fatal(err)
	}
	p.until("files and techniques", func(context.Context) (bool, error) {
		return maps.Equal(p.decide.know.Load().digest, p.asked.know.Load().digest), nil
	})
	p.until("priors", func(context.Context) (bool, error) {
		return p.decide.priors.Snapshot().Version() == learned.Version(), nil
	})
	p.until("kill switches", func(context.Context) (bool, error) {
		allowed, _ := p.decide.gate.Switches.Allowed(clock.System{}.Now(), "default", "", "wazuh", nil)
		return !allowed, nil
	})
	inv := p.verdict()
	if !has(inv, "first") || inv.Verdict.Severity == inv.SourceSeverity || !strings.Contains(inv.Verdict.PriorSource, learned.Version()) {
		t.Errorf("what was changed elsewhere does not count: severity %s, prior %q, %+v", inv.Verdict.Severity, inv.Verdict.PriorSource, inv.Evidence)
	}
	if known, _ := (orchestrateTaxonomy{p.decide}).Resolve([]string{"T9901"}); len(known) != 1 {
		t.Error("an imported technique is not known")
	}
	var shown strings.Builder
	r := ops.NewRegistry()
	p.asked.Observe(ctx, r)
	if err := r.Write(&shown); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`aluskort_postgres_connections_max{database="state"} 20`, `aluskort_postgres_connections_max{database="audit"} 20`,
		`aluskort_postgres_connections{database="state",state="idle"} `, `aluskort_postgres_conflicts_total{database="state"} `,
	} {
		if !strings.Contains(shown.String(), want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if records := p.changes(); len(records) != 3 { // files, priors, techniques
		t.Errorf("%d records: %q", len(records), records)
	}
}
