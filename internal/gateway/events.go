package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/audit"
)

const service = "context-gateway"

// add appends an event; texts were made valid before, so that building cannot fail.
func (e *events) add(c *conversation, t audit.Type, s audit.Severity, context, outcome func(*audit.Object)) {
	ev := audit.Event{
		Type: t, Severity: s, Timestamp: c.g.cfg.Clock.Now().UnixMicro(), ActorType: audit.ActorAgent, ActorID: "gateway",
		SourceService: service, InvestigationID: c.q.Investigation,
	}
	build := func(fill func(*audit.Object)) audit.Fragment {
		if fill == nil {
			return audit.Fragment{}
		}
		e.object.Reset()
		fill(&e.object)
		f, err := e.object.Finish()
		if err != nil {
			c.g.cfg.Log.Error("audit event of the gateway not built", "type", t, "error", err)
		}
		return f
	}
	ev.Context, ev.Outcome = build(context), build(outcome)
	e.list = append(e.list, ev)
}

func safe(s string) string { return strings.ToValidUTF8(cutText(s, 200), "\uFFFD") }

// routed records a call: which model, why, from which words, at what price. refs are the objects
// that hold them.
func (e *events) routed(c *conversation, r *Reply, content string, refs []string) {
	e.add(c, audit.RoutingTierSelected, audit.SeverityInfo, func(o *audit.Object) {
		o.Int("cache_read_tokens", r.Usage.CacheRead)
		o.Int("cache_write_tokens", r.Usage.CacheWrite)
		o.Bool("cost_estimated", r.Estimated)
		o.Int("cost_micro_usd", r.MicroUSD)
		o.Strs("evidence_refs", refs)
		o.Int("input_tokens", r.Usage.Input)
		o.Int("latency_ms", r.Latency.Milliseconds())
		o.Str("model_id", safe(r.Model))
		o.Str("model_tier", safe(r.Tier))
		o.Int("omitted", int64(c.p.omitted))
		o.Int("output_tokens", r.Usage.Output)
		o.Str("prompt_template_id", c.f.template)
		o.Str("prompt_template_version", c.f.version)
		o.Str("provider", safe(r.Provider))
		o.Str("raw_response_hash", digest(r.Text))
		o.Int("redacted", int64(redacted(c.p.session)))
		o.Str("request_id", c.p.id)
		o.Strs("route", each(r.Why))
		o.Str("system_prompt_hash", c.f.hash())
		o.Str("user_content_hash", digest(content))
	}, func(o *audit.Object) { o.Str("stop", string(r.Stop)) })
}

func redacted(s Redaction) (n int) {
	for _, k := range s.Counts() {
		n += k
	}
	return n
}

func each(list []string) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = safe(list[i])
	}
	return out
}

// keep stores texts by content. What leaves is kept before it leaves, so that nothing is paid for
// that cannot be proved.
func (c *conversation) keep(ctx context.Context, texts ...string) ([]string, error) {
	if c.g.cfg.Objects == nil {
		return nil, nil
	}
	contents := make([][]byte, len(texts))
	for i, s := range texts {
		contents[i] = []byte(s)
	}
	refs, err := c.g.cfg.Objects.PutMany(ctx, c.q.Tenant, contents)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvidence, err)
	}
	return refs, nil
}

func (e *events) injected(c *conversation) {
	t := audit.InjectionDetected
	if c.p.hidden > 0 {
		t = audit.InjectionQuarantined
	}
	kinds := slices.Sorted(slices.Values(c.p.injected))
	e.add(c, t, audit.SeverityWarning, func(o *audit.Object) {
		o.Int("fields_hidden", int64(c.p.hidden))
		if t := c.trial; t.texts > 0 {
			o.Int("judged_attacks", int64(t.attacks))
			o.Int("judged_texts", int64(t.texts))
			o.Int("judged_without_answer", int64(t.loose))
		}
		o.Strs("kinds", each(kinds))
	}, nil)
}

// refused records an answer that was not let through.
func (e *events) refused(c *conversation, r *Reply, reason string) {
	t, s := audit.ResponseGenerated, audit.SeverityWarning
	if c.p.leak(r.Text) != "" {
		t = audit.InjectionDetected
	}
	e.add(c, t, s, func(o *audit.Object) {
		o.Str("model_id", safe(r.Model))
		o.Str("raw_response_hash", digest(r.Text))
		o.Str("request_id", c.p.id)
	}, func(o *audit.Object) {
		o.Str("error_details", safe(reason))
		o.Str("outcome_status", "refused")
		o.Str("stop", string(r.Stop))
	})
}

func (e *events) quarantined(c *conversation, ids []string) {
	e.add(c, audit.TechniqueQuarantined, audit.SeverityWarning, func(o *audit.Object) {
		o.Strs("techniques_quarantined", each(ids))
		o.Str("stated_by", safe(c.answer.Model))
	}, nil)
}

func (e *events) accumulated(c *conversation, why string) {
	e.add(c, audit.AccumulationBreached, audit.SeverityWarning, func(o *audit.Object) { o.Str("limit", safe(why)) }, nil)
}
