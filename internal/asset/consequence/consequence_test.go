package consequence

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/asset"
	"github.com/aluskort/aluskort/internal/engine/absence"
	"github.com/aluskort/aluskort/internal/engine/graph"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/respond"
)

const orgFile = `
domains: [{dns: [example.com]}]
zones:
  - {name: plant, consequence: equipment, owner: Grace}
  - {name: sis, consequence: safety_life}
  - {name: office, consequence: data_loss}
  - {name: field}
hosts:
  - {name: hmi-01.example.com, zone: plant, addresses: [192.0.2.10]}
  - {name: sis-01.example.com, zone: sis}
  - {name: ws-07.example.com, zone: office}
  - {name: meter-01.example.com, zone: field}
  - {name: lab-01.example.com, criticality: test}
`

var start = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// moving is a clock that a test sets.
type moving struct{ now time.Time }

func (m *moving) Now() time.Time                     { return m.now }
func (*moving) NewTimer(d time.Duration) *time.Timer { return time.NewTimer(d) }
func (m *moving) advance(d time.Duration)            { m.now = m.now.Add(d) }
func named(name string, confidence float64) alert.Entity {
	return alert.Entity{Type: alert.Host, Value: name, Confidence: confidence, Ref: "/host"}
}

// fake is a graph of which a test says what it answers.
type fake struct {
	of    map[string]graph.Consequence
	err   error
	asked []string
}

func (f *fake) Consequences(_ context.Context, tenant string, of []graph.Ref) (map[graph.Ref]graph.Consequence, error) {
	for _, r := range of {
		f.asked = append(f.asked, tenant+" "+r.ID)
	}
	if f.err != nil {
		return nil, f.err
	}
	out := map[graph.Ref]graph.Consequence{}
	for _, r := range of {
		if c, ok := f.of[r.ID]; ok {
			out[r] = c
		}
	}
	return out, nil
}

type bench struct {
	*Source
	t     *testing.T
	graph *fake
	clock *moving
	told  []error
}

func newBench(t *testing.T) *bench {
	t.Helper()
	org, err := asset.Load(strings.NewReader(orgFile), "org.yaml")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, graph: &fake{of: map[string]graph.Consequence{
		"host:hmi-01.example.com":   {Class: graph.Equipment, Asset: "host:hmi-01.example.com", Zone: "plant", Owner: "Grace"},
		"host:ws-07.example.com":    trained(),
		"host:meter-01.example.com": {Asset: "host:meter-01.example.com", Zone: "field"},
	}}, clock: &moving{start}}
	b.Source, err = New(Config{
		Graph: b.graph, Names: func(string) *asset.Resolver { return org.Resolver("default") }, Clock: b.clock,
		Changed: func(err error) { b.told = append(b.told, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// trained is an office computer that holds the training set of a model of the safety system.
func trained() graph.Consequence {
	return graph.Consequence{Class: graph.SafetyLife, Asset: "host:sis-01.example.com", Zone: "sis", Path: []graph.Step{
		{Node: graph.Ref{Kind: graph.KindAsset, ID: "host:ws-07.example.com"}, Name: "ws-07.example.com"},
		{Node: graph.Ref{Kind: graph.KindModel, ID: "vision"}, Name: "Vision"},
		{Node: graph.Ref{Kind: graph.KindAsset, ID: "host:sis-01.example.com"}, Name: "sis-01.example.com"},
		{Node: graph.Ref{Kind: graph.KindZone, ID: "sis"}, Name: "sis"},
	}}
}

func subject(product string, entities ...alert.Entity) evidence.Subject {
	return evidence.Subject{
		Alert:    &alert.Alert{TenantID: "default", Source: "generic", Product: product, EventStart: start},
		Entities: &alert.Entities{List: entities},
	}
}

func (b *bench) one(s evidence.Subject) evidence.Finding {
	b.t.Helper()
	f, err := b.Gather(b.t.Context(), []evidence.Subject{s})
	if err != nil {
		b.t.Fatal(err)
	}
	return f[0]
}

func TestEvidenceFromTheGraph(t *testing.T) {
	b := newBench(t)
	f := b.one(subject("", named("ws-07", 1), named("HMI-01", 0.6), named("stranger", 1), named("stranger.example.org", 0.5)))
	if f.Blind != "" || len(f.Items) != 2 {
		t.Fatalf("%+v", f)
	}
	hmi, ws := f.Items[0], f.Items[1]
	if hmi.Kind != "consequence_equipment" || hmi.Statement != "hmi-01.example.com stands in zone plant, where equipment is at stake; Grace answers for it" ||
		hmi.Trust != evidence.TrustAttacker || hmi.Safety {
		t.Errorf("%+v", hmi)
	}
	if ws.Kind != "consequence_safety_life" || !ws.Safety || ws.Trust != evidence.TrustSystem || ws.Refs[0] != "/host" ||
		ws.Statement != "ws-07.example.com leads to zone sis, where lives are at stake (ws-07.example.com → Vision → sis-01.example.com → sis)" {
		t.Errorf("%+v", ws)
	}
	for _, e := range f.Items {
		if e.Stance != evidence.Context || e.Weight != 0 {
			t.Errorf("consequence says that something is malicious or harmless: %+v", e)
		}
	}
	if d := cmp.Diff(f, b.one(subject("", named("HMI-01", 0.6), named("ws-07.example.com", 1)))); d != "" {
		t.Errorf("another order gives another answer:\n%s", d)
	}
	// By an address that org.yaml gives it; others stand for no one.
	f = b.one(subject("", alert.Entity{Type: alert.IP, Value: "192.0.2.10", Confidence: 1}, alert.Entity{Type: alert.IP, Value: "192.0.2.99", Confidence: 1}))
	if len(f.Items) != 1 || f.Items[0].ID != hmi.ID {
		t.Errorf("%+v", f)
	}
	if f := b.one(subject("", named("sis-01", 1))); len(f.Items) != 1 || f.Items[0].Source != "zones of org.yaml" || f.Blind != "" {
		t.Errorf("what org.yaml says and the graph has not yet: %+v", f)
	}
}

func TestBatchesAskOnceAndRemember(t *testing.T) {
	b := newBench(t)
	batch := []evidence.Subject{subject("", named("ws-07", 1)), subject("", named("ws-07.example.com", 1), named("hmi-01", 1)), {}, subject("")}
	for range 2 {
		f, err := b.Gather(t.Context(), batch)
		if err != nil || len(f) != 4 || len(f[0].Items) != 1 || len(f[1].Items) != 2 || len(f[2].Items)+len(f[3].Items) != 0 {
			t.Fatalf("%+v %v", f, err)
		}
	}
	want := []string{"default host:hmi-01.example.com", "default host:ws-07.example.com"}
	if d := cmp.Diff(want, b.graph.asked); d != "" {
		t.Errorf("asked (-want +got):\n%s", d)
	}
	b.Forget()
	b.one(batch[0])
	b.clock.advance(fresh)
	b.one(batch[0])
	if len(b.graph.asked) != 4 {
		t.Errorf("after Forget and when the answer is old: %v", b.graph.asked)
	}
}

func TestOperationalTechnology(t *testing.T) {
	b := newBench(t)
	for name, s := range map[string]evidence.Subject{
		"zone without class": subject("Nozomi Networks Guardian", named("meter-01", 1)),
		"no zone":            subject("Dragos Platform", named("plc-99", 1)),
	} {
		f := b.one(s)
		if len(f.Items) != 1 || f.Items[0].Kind != "consequence_equipment" || !strings.Contains(f.Items[0].Statement, "assumed") {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if f := b.one(subject("an EDR", named("meter-01", 1), named("plc-99", 1))); len(f.Items) != 0 {
		t.Errorf("another product: %+v", f)
	}
	// What an attacker writes does not make a source one of operational technology.
	s := subject("an EDR", named("meter-01", 1))
	s.Alert.Title, s.Alert.Description = "Dragos Platform", "Nozomi"
	if f := b.one(s); len(f.Items) != 0 {
		t.Errorf("by its text: %+v", f)
	}
}

// B9: while the graph is away the zones of org.yaml answer, marked; it is tried again after a pause
// by one caller, and its return is told.
func TestGraphAway(t *testing.T) {
	b := newBench(t)
	b.graph.err = fmt.Errorf("%w: no route", graph.ErrUnavailable)
	s := subject("", named("hmi-01", 1), named("ws-07", 1), named("stranger", 1))
	f := b.one(s)
	if !strings.HasPrefix(f.Blind, "GRAPH_UNAVAILABLE: ") || f.Unused || strings.Contains(f.Blind, "route") {
		t.Errorf("the finding is not marked: %+v", f)
	}
	if len(f.Items) != 1 || f.Items[0].Kind != "consequence_equipment" || f.Items[0].Source != "zones of org.yaml" {
		t.Errorf("%+v", f.Items)
	}
	if f := b.one(subject("Claroty CTD", named("meter-01", 1))); len(f.Items) != 1 || f.Items[0].Kind != "consequence_equipment" {
		t.Errorf("OT in an unknown zone: %+v", f)
	}
	if f := b.one(subject("", named("meter-01", 1))); len(f.Items) != 0 || f.Blind == "" {
		t.Errorf("an unknown zone: %+v", f)
	}
	asked := len(b.graph.asked)
	b.clock.advance(absence.Pause - time.Second)
	b.one(s)
	if len(b.graph.asked) != asked {
		t.Error("the graph is asked again at once")
	}
	b.clock.advance(time.Second)
	b.one(s)
	if len(b.graph.asked) == asked {
		t.Error("the graph is not tried again")
	}
	b.graph.err = nil
	b.clock.advance(absence.Pause)
	if f := b.one(s); f.Blind != "" || len(f.Items) != 2 {
		t.Errorf("after it came back: %+v", f)
	}
	if len(b.told) != 2 || !errors.Is(b.told[0], graph.ErrUnavailable) || b.told[1] != nil {
		t.Errorf("told %v", b.told)
	}
	// An alert without hosts does not need the graph and is not marked.
	b.graph.err = graph.ErrUnavailable
	if f := b.one(subject("", alert.Entity{Type: alert.Account, Value: "ada", Confidence: 1})); f.Blind != "" {
		t.Errorf("%+v", f)
	}
}

// hanging never answers, as a half-open connection.
type hanging struct{}

func (hanging) Consequences(ctx context.Context, _ string, _ []graph.Ref) (map[graph.Ref]graph.Consequence, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestGraphThatNeverAnswers(t *testing.T) {
	b := newBench(t)
	b.cfg.Graph, b.cfg.Timeout = hanging{}, time.Millisecond
	if f := b.one(subject("", named("hmi-01", 1))); f.Blind == "" || len(f.Items) != 1 {
		t.Errorf("%+v", f)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.clock.advance(absence.Pause)
	if _, err := b.Gather(ctx, []evidence.Subject{subject("", named("hmi-01", 1))}); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	b.cfg.Graph = b.graph
	if f := b.one(subject("", named("hmi-01", 1))); f.Blind != "" {
		t.Errorf("a call that was called off keeps others from trying: %+v", f)
	}
}

func TestRaise(t *testing.T) {
	life, machine := evidence.Evidence{ID: "2", Kind: "consequence_safety_life", Statement: "lives"}, evidence.Evidence{ID: "1", Kind: "consequence_equipment", Statement: "machines"}
	stop := evidence.Evidence{ID: "0", Kind: "consequence_downtime"}
	for name, c := range map[string]struct {
		source, adjusted alert.Severity
		items            []evidence.Evidence
		want             alert.Severity
		why              string
	}{
		"nothing known":          {alert.Medium, alert.Medium, nil, alert.Medium, "before"},
		"equipment":              {alert.Medium, alert.Medium, []evidence.Evidence{stop, machine}, alert.High, "raised from medium to high: machines"},
		"the worst is named":     {alert.Low, alert.Low, []evidence.Evidence{machine, life}, alert.Medium, "raised from low to medium: lives"},
		"in any order":           {alert.Low, alert.Low, []evidence.Evidence{life, machine}, alert.Medium, "raised from low to medium: lives"},
		"one step in all":        {alert.Medium, alert.High, []evidence.Evidence{life}, alert.High, "before"},
		"not above critical":     {alert.Critical, alert.Critical, []evidence.Evidence{life}, alert.Critical, "before"},
		"a lab leads to a plant": {alert.Medium, alert.Low, []evidence.Evidence{machine}, alert.High, "raised from medium to high: machines"},
		"lowered and critical":   {alert.Critical, alert.High, []evidence.Evidence{machine}, alert.Critical, ""},
		"downtime":               {alert.Medium, alert.Low, []evidence.Evidence{stop}, alert.Low, "before"},
	} {
		got, why := Raise(c.source, c.adjusted, "before", c.items)
		if got != c.want || why != c.why {
			t.Errorf("%s: %s %q, want %s %q", name, got, why, c.want, c.why)
		}
		if got < c.adjusted {
			t.Errorf("%s: lowered", name)
		}
	}
}

// What the planner is told: by org.yaml, and by the evidence about hosts that it does not know.
func TestPlacesConfineActions(t *testing.T) {
	b := newBench(t)
	r := b.cfg.Names("default")
	items := b.one(subject("Dragos Platform", named("plc-99", 1), named("ws-07", 1))).Items
	places := Places(r, start, items)
	for target, want := range map[string]graph.Class{
		"hmi-01": graph.Equipment, "sis-01.example.com": graph.SafetyLife, "plc-99": graph.Equipment,
		// It leads to the safety system over a model; it stands in the office.
		"ws-07": graph.DataLoss,
	} {
		if p, ok := places(alert.Host, target); !ok || p.Class != want {
			t.Errorf("%s: %+v %v, want %s", target, p, ok, want)
		}
	}
	if p, ok := places(alert.Host, "stranger"); ok {
		t.Errorf("a stranger: %+v", p)
	}
	planner, err := respond.NewPlanner()
	if err != nil {
		t.Fatal(err)
	}
	v := &evidence.Verdict{Classification: evidence.TruePositive}
	var got []string
	for _, a := range planner.PlanIn(places, "inv", v, []alert.Entity{named("hmi-01", 1), named("ws-07", 1)}, []string{"T1059"}) {
		got = append(got, a.Action+" "+a.Target)
	}
	want := []string{"create_ticket inv", "manual_task hmi-01", "collect_forensics ws-07", "isolate_host ws-07"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
