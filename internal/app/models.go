package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/consult"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/gateway"
	"github.com/aluskort/aluskort/internal/gateway/detect"
	"github.com/aluskort/aluskort/internal/gateway/models"
	"github.com/aluskort/aluskort/internal/gateway/redact"
	"github.com/aluskort/aluskort/internal/gateway/redact/vault"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
	"github.com/aluskort/aluskort/internal/parse"
	"github.com/aluskort/aluskort/internal/pipeline"
	"github.com/aluskort/aluskort/internal/reason/opinion"
	"github.com/aluskort/aluskort/internal/respond"
)

// openModels opens what asks models, where the configuration names a provider. It runs after the
// engine's parts and before the engine, which is told the policy and the level.
func (n *Node) openModels(ctx context.Context, planner *respond.Planner) error {
	c := &n.opts.Config.Models
	if c.Provider == "" {
		return nil
	}
	endpoints, err := n.endpoints(ctx)
	if err != nil {
		return err
	}
	n.models, err = models.Open(ctx, models.Config{
		DB: n.State, Clock: n.opts.Clock, IDs: n.ids, Log: n.opts.Log, Endpoints: endpoints, Profile: c.Profile, Table: c.Table,
		Budget: models.Budget{Soft: c.Budget.Soft, Hard: c.Budget.Hard, Hour: c.Budget.Hour, Investigation: c.Budget.Investigation},
		Plan:   c.Tier, Hot: n.hotSpend(), Slots: c.Slots, Unhurried: n.opts.Unhurried || c.Provider == simulatedProvider,
		Emit:   func(tx store.Tx, e models.Event) error { return n.emitModels(tx, e) },
		Notify: n.modelsChanged,
	})
	if err != nil {
		return err
	}
	n.closers = append(n.closers, func() error { n.models.Close(); return nil })
	sensor, err := detect.New()
	if err != nil {
		return err
	}
	keys := redact.NewKeys(cmp.Or(n.opts.Config.Keys, n.dir.Path("keys")), rand.Reader)
	n.Gateway, err = gateway.New(gateway.Config{
		Models: n.models, Screen: gateway.ScreenWith(sensor), Objects: n.blobs, Clock: n.opts.Clock, Log: n.opts.Log, Held: holds, Judge: judgeOf(c),
		Redactor:   gateway.RedactWith(redact.New(redact.DefaultPolicy()), keys, keptMaps{n, vault.New(n.State, keys, rand.Reader), store.NewGroup(n.State)}),
		Techniques: func(id string) bool { known, _ := orchestrateTaxonomy{n}.Resolve([]string{id}); return len(known) == 1 },
	})
	if err != nil {
		return err
	}
	n.consult, err = consult.New(consult.Config{
		Gateway: n.Gateway, Planner: planner, Fields: n.Registry.Fields, Tools: n.tools, Places: n.places, Clock: n.opts.Clock, Log: n.opts.Log,
	})
	return err
}

// judgeOf is the judge of injections that a configuration wants; nil for none.
func judgeOf(c *config.Models) *gateway.Judge {
	if c.Judge != "suspicious" {
		return nil
	}
	return gateway.NewJudge(c.JudgeShare)
}

// keptMaps keeps the maps of redaction in the state database.
type keptMaps struct {
	n *Node
	*vault.Vault
	saves *store.Group // every question saves, and waits until that is durable
}

// Load implements gateway.Vault.
func (m keptMaps) Load(ctx context.Context, tenant, investigation string) (*redact.Map, error) {
	kept, err := m.Vault.Load(ctx, tenant, investigation)
	if errors.Is(err, vault.ErrNotFound) {
		return nil, nil //nolint:nilnil // none is kept: the contract of gateway.Vault
	}
	return kept, err
}

// Save implements gateway.Vault.
func (m keptMaps) Save(ctx context.Context, tenant, investigation string, kept *redact.Map) error {
	return m.saves.Update(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		return m.Vault.Save(tx, tenant, investigation, kept, m.n.opts.Clock.Now())
	})
}

const simulatedProvider = "simulated"

// changes are changes of what decides that are not recorded yet: of the models, of the asset graph.
// They are noticed by whoever asks, also inside a transaction, and recorded in one of their own.
type changes struct {
	mu   sync.Mutex
	list []func(context.Context) error
	wake chan struct{}
}

func (c *changes) note(record func(context.Context) error) {
	c.mu.Lock()
	c.list = append(c.list, record)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *changes) take() []func(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.list
	c.list = nil
	return list
}

// record writes changes into the audit trail until ctx ends.
func (n *Node) record(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.changes.wake:
		}
		for _, record := range n.changes.take() {
			if err := record(ctx); err != nil {
				n.opts.Log.Error("a change of what decides is not recorded", "error", err)
			}
		}
	}
}

// modelsChanged records a change of the models later.
func (n *Node) modelsChanged(e models.Event) {
	n.changes.note(func(ctx context.Context) error {
		return n.State.Update(ctx, func(tx store.Tx) error { return n.emitModels(tx, e) })
	})
}

// endpoints are the providers of the configuration, the preferred one first.
func (n *Node) endpoints(ctx context.Context) ([]models.Endpoint, error) {
	c := &n.opts.Config.Models
	if c.Provider == "openai" && c.BaseURL != "" && c.Model == "" && c.Table == "" {
		var err error
		if c.Model, err = models.First(ctx, c.BaseURL, c.Key.Reveal()); err != nil {
			return nil, err
		}
	}
	out := []models.Endpoint{endpoint(c.Provider, c.BaseURL, c.KeyFile, c.Key, c.Model)}
	out[0].Latency = n.opts.ModelLatency
	if f := &c.Fallback; f.Provider != "" {
		out = append(out, endpoint(f.Provider, f.BaseURL, f.KeyFile, f.Key, f.Model))
	}
	for i := range out {
		out[i].Transport = n.opts.ModelTransport
	}
	return out, nil
}

func endpoint(kind, base, file string, key config.Secret, model string) models.Endpoint {
	e := models.Endpoint{Kind: kind, BaseURL: base, Model: model, Free: own(base)}
	switch {
	case file != "":
		// Read for every call, so that a key that was changed is used at once.
		e.Key = func(context.Context) (string, error) {
			b, err := os.ReadFile(file)
			return strings.TrimSpace(string(b)), err
		}
	case key != "":
		e.Key = func(context.Context) (string, error) { return key.Reveal(), nil }
	}
	return e
}

// own reports whether an address is in the operator's own house, where calls have no price.
func own(base string) bool {
	u, err := url.Parse(base)
	if err != nil || base == "" {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(u.Hostname())
	return err == nil && (a.IsLoopback() || a.IsPrivate())
}

// emitModels records a change of the models or of what they cost.
func (n *Node) emitModels(tx store.Tx, e models.Event) error {
	var o audit.Object
	o.Str("from", e.From).Int("limit_micro_usd", e.Limit).Str("provider", e.Provider).Str("reason", strings.ToValidUTF8(e.Reason, "?")).
		Str("to", e.To).Int("used_micro_usd", e.MicroUSD)
	outcome, err := o.Finish()
	if err != nil {
		return err
	}
	ev := audit.Event{
		Type: audit.Type(e.Kind), Timestamp: e.At.UnixMicro(), Severity: audit.SeverityWarning, ActorType: audit.ActorSystem,
		ActorID: "llm-router", SourceService: "llm-router", Outcome: outcome,
	}
	if _, known := audit.CategoryOf(ev.Type); !known {
		n.opts.Log.Warn("models", "event", e.Kind, "provider", e.Provider, "reason", e.Reason)
		return nil
	}
	return n.emit(tx, n.opts.Config.Tenant, []audit.Event{ev})
}

// askable is the model path as the API sees it; nil when no model is configured.
func (n *Node) askable() api.Models {
	if n.models == nil {
		return nil
	}
	return asked{n.models, n.Gateway}
}

type asked struct {
	*models.Models
	gateway *gateway.Gateway
}

// Ask implements api.Models.
func (a asked) Ask(ctx context.Context, q *gateway.Question) (gateway.Answer, error) {
	return a.gateway.Ask(ctx, q)
}

// ProbeModels asks every model in use a few harmless questions; false when none is configured.
func (n *Node) ProbeModels(ctx context.Context, each func(*models.Fitness)) bool {
	if n.models == nil {
		return false
	}
	n.models.Probe(ctx, each)
	return true
}

// ModelStatus is where providers and spending stand; false when no model is configured.
func (n *Node) ModelStatus(ctx context.Context) (models.Report, bool, error) {
	if n.models == nil {
		return models.Report{}, false, nil
	}
	r, err := n.models.Status(ctx)
	return r, true, err
}

// ModelSpending lists what models took; nothing without models.
func (n *Node) ModelSpending(ctx context.Context) ([]models.Spending, error) {
	if n.models == nil {
		return nil, nil
	}
	return n.models.Spending(ctx)
}

// level is how able the product is: fully, when no model is configured.
func (n *Node) level() investigate.Degradation {
	switch {
	case n.opts.Config.Models.Provider == "":
		return investigate.FullCapability
	case n.models == nil:
		return n.standing.level()
	}
	return investigate.Degradation(n.models.Level())
}

// wanted is the policy of asking; nil when there is no model to ask.
func (n *Node) wanted() func(*investigate.Investigation) bool {
	if n.opts.Config.Models.Provider == "" {
		return nil
	}
	policy := n.policyOf()
	return func(inv *investigate.Investigation) bool {
		return policy.Wants(inv.TenantID, &inv.Verdict, inv.Evidence)
	}
}

// consultants are the stages that ask models.
func (n *Node) consultants() []stage {
	if n.models == nil {
		return nil
	}
	c := &pipeline.Consultant{Engine: n.Engine, Ask: n.consult.Ask, Owner: n.worker, Slots: n.opts.Config.Models.Slots}
	c.Bus, c.Clock, c.Log = n.Bus, n.opts.Clock, n.opts.Log
	n.resting = c.Resting
	out := []stage{{"models", n.models.Run, always}, {"consultant", c.Run, c.Ready}}
	if !n.whole() {
		out = append(out, stage{"level of the models", n.shareLevel, always})
	}
	return out
}

// holds finds an indicator in a text, in whichever form it is written there.
func holds(text string, t alert.IndicatorType, value string) bool {
	return slices.ContainsFunc(parse.NewScanner().Append(nil, text), func(m parse.Match) bool {
		return m.Type == t && strings.EqualFold(m.Value, value)
	}) || strings.Contains(strings.ToLower(text), strings.ToLower(value))
}

// policyOf turns the configuration into a policy.
func (n *Node) policyOf() opinion.Policy {
	a := n.opts.Config.Models.Ask
	return opinion.Policy{
		Critical: opinion.When(a.Critical), High: opinion.When(a.High), Medium: opinion.When(a.Medium),
		Low: opinion.When(a.Low), Informational: opinion.When(a.Informational),
	}
}

// maxRelated bounds what one look-up lists.
const maxRelated = 8

// tools are the look-ups that a model may use about an investigation. All are read-only, answer
// about things that the investigation holds, and say what is not known.
func (n *Node) tools(inv *investigate.Investigation) []gateway.Tool {
	return []gateway.Tool{
		{Name: "indicator", Description: "What threat intelligence says about an address, domain, web address, mail address or file hash of the data.",
			Call: func(s string) (string, error) { return n.lookupIndicator(inv.TenantID, s) }},
		{Name: "asset_context", Description: "What the organisation says about a machine or account of the data: role, worth, what is expected of it.",
			Call: func(s string) (string, error) { return n.lookupAsset(inv, s) }},
		{Name: "entity_history", Description: "Which other investigations of the last days name a machine, account or address of the data, and how they ended.",
			Call: func(s string) (string, error) { return n.lookupHistory(inv, s) }},
		consult.SimilarIncidents(n.memory, inv, n.opts.Clock.Now()),
	}
}

// lookupWithin is how long a model waits for the database about an indicator.
const lookupWithin = 10 * time.Second

func (n *Node) lookupIndicator(tenant, value string) (string, error) {
	index, blind := n.liveIntel.Index()
	if blind != "" {
		return "", fmt.Errorf("threat intelligence: %s", blind)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupWithin)
	defer cancel()
	if !index.Imported(tenant) {
		return "No threat intelligence was imported: nothing is known, neither good nor bad.", nil
	}
	for _, t := range []alert.IndicatorType{
		alert.IndicatorIPv4, alert.IndicatorIPv6, alert.IndicatorDomain, alert.IndicatorURL, alert.IndicatorEmail,
		alert.IndicatorMD5, alert.IndicatorSHA1, alert.IndicatorSHA256,
	} {
		hit, ok, err := n.indicators.Lookup(ctx, tenant, t, value, n.opts.Clock.Now())
		if err != nil {
			return "", fmt.Errorf("threat intelligence: %w", err)
		}
		if ok {
			return describeHit(hit), nil
		}
	}
	return "No feed lists it. That is no proof of harmlessness.", nil
}

func describeHit(h intel.Hit) string {
	return fmt.Sprintf("Listed, confidence %d of 100.", h.Confidence)
}

func (n *Node) lookupAsset(inv *investigate.Investigation, value string) (string, error) {
	var subject []alert.Entity
	for _, e := range inv.Entities {
		if strings.EqualFold(e.Value, value) {
			subject = append(subject, e)
		}
	}
	severity, why := organisation{n}.Adjust(inv.TenantID, alert.Medium, subject, inv.FirstSeen)
	if why == "" {
		return "The organisation says nothing about it.", nil
	}
	return fmt.Sprintf("An alert of medium severity about it counts as %s: %s.", severity, why), nil
}

func (n *Node) lookupHistory(inv *investigate.Investigation, value string) (string, error) {
	related, err := n.Engine.Related(context.Background(), inv, value, maxRelated)
	if err != nil {
		return "", err
	}
	if len(related) == 0 {
		return "No linked investigation names it.", nil
	}
	var b strings.Builder
	for _, r := range related {
		fmt.Fprintf(&b, "%s, %s: %s, %.0f %% malicious, %s.\n", r.FirstSeen.Format("2006-01-02 15:04"), r.Title, r.Verdict.Classification, 100*r.Verdict.Probability, r.State)
	}
	return b.String(), nil
}
