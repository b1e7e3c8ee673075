package orchestrate

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/fp"
	"github.com/aluskort/aluskort/internal/investigate"
)

// shelf is a store of patterns that a test fills by hand.
type shelf struct {
	stale   bool
	err     error
	closed  []fp.Closure
	pending []fp.Pending
}

func (s *shelf) Current(store.Tx, *fp.Gate) error {
	if s.stale {
		return fp.ErrStale
	}
	return s.err
}
func (s *shelf) RecordClosures(tx store.Tx, list []fp.Closure) error {
	tx.OnCommit(func() { s.closed = append(s.closed, list...) })
	return nil
}
func (s *shelf) RecordShadow(store.Tx, string, int, int) error { return nil }
func (s *shelf) PendingReopen(context.Context, int) ([]fp.Pending, error) {
	return s.pending, nil
}
func (s *shelf) MarkReopened(tx store.Tx, _, _ string, _ time.Time) error {
	tx.OnCommit(func() { s.pending = nil })
	return nil
}

// withPattern gives an engine one approved pattern for the alerts titled "title known" on ws-1.
func withPattern(b *bench, s *shelf, change ...func(*fp.Pattern)) *bench {
	b.t.Helper()
	p := &fp.Pattern{
		ID: "p1", Status: fp.Active, Expiry: start.Add(time.Hour), Version: 1,
		Definition: fp.Definition{
			Name: "inventory job", Tenant: "a", Threshold: 0.9, AlertNames: []fp.Text{{Op: fp.Equals, Value: "title known"}},
			Entities: []fp.EntityCondition{{Type: alert.Host, Text: fp.Text{Op: fp.Equals, Value: "ws-1"}}},
		},
	}
	for _, f := range change {
		f(p)
	}
	gate := &fp.Gate{Patterns: &fp.Matcher{}, Switches: &fp.Switches{}}
	if err := gate.Patterns.Replace([]*fp.Pattern{p}, 1); err != nil {
		b.t.Fatal(err)
	}
	gate.Switches.Replace(nil, 1, start)
	b.cfg.ShortCircuit = ShortCircuit{Gate: gate, Store: s}
	return b
}

func TestAnApprovedPatternCloses(t *testing.T) {
	s := &shelf{}
	b := withPattern(open(t), s)
	out := b.process(message("1", "known", "1 k"), message("2", "known", "1 k"), message("3", "other", "1 k"))
	inv := b.get(out[0].Investigation)
	if inv.State != investigate.Closed || inv.Verdict.Classification != evidence.FalsePositive || inv.Verdict.By != "pattern p1" || inv.Alerts != 2 {
		t.Errorf("%+v", inv)
	}
	if len(s.closed) != 1 || s.closed[0].Investigation != inv.ID || b.events(audit.AlertAutoClosed) != 1 || b.events(audit.AlertShortCircuited) != 1 {
		t.Errorf("closures %v, events %v", s.closed, b.audit.types)
	}
	if c := b.get(out[2].Investigation).State; c != investigate.AwaitingHuman {
		t.Errorf("an alert that no pattern fits is %s", c)
	}
}

// classed is an organisation in which every alert is about assets of these classes.
type classed []string

func (classed) LinkValue(_ string, l *alert.Link, _ *alert.Alert) string { return l.Value }
func (classed) Canonical(_, value string, _ *alert.Alert) string         { return value }
func (classed) Owner(string, *alert.Entity, time.Time) (string, bool)    { return "", false }
func (classed) Adjust(_ string, s alert.Severity, _ []alert.Entity, _ time.Time) (alert.Severity, string) {
	return s, ""
}
func (classed) CommonLink(string, alert.LinkKind, string) bool { return false }
func (c classed) Classes(string, []alert.Entity, time.Time) []string {
	return c
}

func TestAPatternScopedByAssetClass(t *testing.T) {
	scoped := func(p *fp.Pattern) { p.Scope.AssetClass = "backup_server" }
	for _, c := range []struct {
		name   string
		org    Organisation
		closed bool
	}{
		{"of the class", classed{"backup_server", "normal"}, true},
		{"in other letters", classed{"Backup_Server"}, true},
		{"of another", classed{"normal"}, false},
		{"of none", classed{}, false},
		{"unknown", classed(nil), false},
		{"no organisation", nil, false},
	} {
		b := open(t)
		b.cfg.Org = c.org
		withPattern(b, &shelf{}, scoped)
		inv := b.get(b.process(message("1", "known", "1 k"))[0].Investigation)
		if (inv.State == investigate.Closed) != c.closed {
			t.Errorf("%s: %s", c.name, inv.State)
		}
	}
}

// I6: an automatic closing never happens without all its gates.
func TestI6WhatAPatternMustNotClose(t *testing.T) {
	tests := []struct {
		name    string
		msg     *alert.Message
		shelf   shelf
		change  func(*fp.Pattern)
		sources []evidence.Source
		event   audit.Type
	}{
		{name: "evidence of three bits", msg: message("1", "known", "3 k"), event: audit.PatternSafetyBlock},
		{name: "severity critical", msg: message("1", "known", "1 k", severity(alert.Critical)), event: audit.PatternSafetyBlock},
		{name: "snapshots out of date", msg: message("1", "known", "1 k"), shelf: shelf{stale: true}},
		{name: "expired", msg: message("1", "known", "1 k"), change: func(p *fp.Pattern) { p.Expiry = start }},
		{name: "not active", msg: message("1", "known", "1 k"), change: func(p *fp.Pattern) { p.Status = fp.Approved }},
		{name: "in shadow", msg: message("1", "known", "1 k"), change: func(p *fp.Pattern) { p.Status = fp.Shadow }, event: audit.ShadowDecisionLogged},
		{name: "a source that failed", msg: message("1", "known", "1 k"), sources: []evidence.Source{broken{}}},
		{name: "another host", msg: message("1", "known", "1 k", func(m *alert.Message) { m.Entities.List[0].Value = "ws-2" })},
		{name: "host only found in text", msg: message("1", "known", "1 k", func(m *alert.Message) { m.Entities.List[0].Confidence = 0.6 })},
		{name: "another tenant", msg: message("1", "known", "1 k", func(m *alert.Message) { m.Alert.TenantID = "b" })},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := open(t, tt.sources...)
			var change []func(*fp.Pattern)
			if tt.change != nil {
				change = append(change, tt.change)
			}
			withPattern(b, &tt.shelf, change...)
			out := b.process(tt.msg)
			inv, err := b.Get(context.Background(), tt.msg.Alert.TenantID, out[0].Investigation)
			if err != nil || inv.State != investigate.AwaitingHuman || len(tt.shelf.closed) != 0 || b.events(audit.AlertAutoClosed) != 0 {
				t.Errorf("%v: %s, closures %v", err, inv.State, tt.shelf.closed)
			}
			if tt.event != "" && b.events(tt.event) != 1 {
				t.Errorf("%s was not recorded: %v", tt.event, b.audit.types)
			}
		})
	}
}

func TestAnUnreadablePatternStoreCommitsNothing(t *testing.T) {
	b := withPattern(open(t), &shelf{err: store.ErrUnavailable})
	if _, err := b.Process(context.Background(), Batch{Messages: []*alert.Message{message("1", "known", "1 k")}}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestRevocationReopensWhatThePatternClosed(t *testing.T) {
	ctx := context.Background()
	s := &shelf{}
	b := withPattern(open(t), s)
	id := b.process(message("1", "known", "1 k"))[0].Investigation
	s.pending = []fp.Pending{{Tenant: "a", Pattern: "p1", Investigation: id}}
	if n, err := b.Rollback(ctx); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	inv := b.get(id)
	if inv.State != investigate.AwaitingHuman || inv.Reopened != 1 || inv.Verdict.By != "deterministic" {
		t.Errorf("%+v", inv)
	}
	if n, err := b.Rollback(ctx); err != nil || n != 0 {
		t.Error(n, err)
	}
}
