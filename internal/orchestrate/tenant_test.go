package orchestrate

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/orchestrate/priorstore"
)

func of(tenant string) func(*alert.Message) {
	return func(m *alert.Message) { m.Alert.TenantID = tenant }
}

// TestWorkForOneTenantIsBound holds every path that concerns one tenant against the transactions
// that it begins. Views for everybody are of tables whose keys are hashes.
func TestWorkForOneTenantIsBound(t *testing.T) {
	b := consulting(t)
	watched := dbtest.Watch(b.db)
	b.db = watched
	b.cfg.Judgements = priorstore.New(watched)
	ctx := context.Background()
	own := b.process(
		message("1", "x", "2.5 odd"), message("2", "y", "6 k"), message("3", "z", "6 k"),
		message("4", "v", "2.5 odd", of("b")), message("5", "w", "2.5 odd"))
	decided, approved, rejected, foreign, another := own[0].Investigation, own[1].Investigation, own[2].Investigation, own[3].Investigation, own[4].Investigation
	jobs := b.claim("w", 10)
	job := func(id string) Consulted {
		t.Helper()
		i := slices.IndexFunc(jobs, func(j Job) bool { return j.Investigation.ID == id })
		if i < 0 {
			t.Fatalf("no job for %s among %d", id, len(jobs))
		}
		return Consulted{Job: jobs[i], Failure: "no answer", Calls: 1}
	}
	inv := b.get(decided)
	d := HumanDecision{Actor: "ada", Reason: "seen before"}
	watched.Take()
	a, mixed := []string{"a"}, []string{"a", dbtest.Everybody}
	for _, c := range []struct {
		name           string
		do             func() error
		views, updates []string
	}{
		{"get", func() error { _, err := b.Get(ctx, "a", decided); return err }, mixed, nil},
		{"alerts", func() error { return b.Alerts(ctx, "a", decided, func(*alert.Message) bool { return true }) }, a, nil},
		{"alert", func() error { _, err := b.Alert(ctx, "a", own[0].Sequence); return err }, a, nil},
		{"list", func() error { _, _, err := b.List(ctx, "a", Filter{}); return err }, a, nil},
		{"queue", func() error { _, _, err := b.List(ctx, "a", Filter{Urgent: true}); return err }, mixed, nil},
		{"counts", func() error { _, err := b.Counts(ctx, "a"); return err }, a, nil},
		{"locate", func() error { _, err := b.Locate(ctx, "a", "test", "1"); return err }, []string{dbtest.Everybody, "a"}, nil},
		{"related", func() error { _, err := b.Related(ctx, inv, "ws-1", 5); return err }, []string{dbtest.Everybody, "a"}, nil},
		{"one job", func() error { return b.FinishJobs(ctx, []Consulted{job(decided)}) }, nil, a},
		{"jobs of two tenants", func() error { return b.FinishJobs(ctx, []Consulted{job(another), job(foreign)}) }, nil, []string{dbtest.Everybody}},
		{"conclude", func() error { _, err := b.Conclude(ctx, "a", decided, evidence.FalsePositive, d); return err }, mixed, a},
		{"approve", func() error { _, err := b.Approve(ctx, "a", approved, d); return err }, mixed, a},
		{"reject", func() error { _, err := b.Reject(ctx, "a", rejected, d); return err }, mixed, a},
	} {
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if views, updates := watched.Take(); !slices.Equal(views, c.views) || !slices.Equal(updates, c.updates) {
			t.Errorf("%s: views for %v, want %v; updates for %v, want %v", c.name, views, c.views, updates, c.updates)
		}
	}
}

// TestAnotherTenantIsNotFound asks about the work of one tenant in the name of another, and writes
// it where only the database stands in the way.
func TestAnotherTenantIsNotFound(t *testing.T) {
	b := consulting(t)
	ctx := context.Background()
	out := b.process(message("1", "x", "2.5 odd"), message("2", "y", "6 k"))
	id, waiting := out[0].Investigation, out[1].Investigation
	d := HumanDecision{Actor: "eve", Reason: "mine"}
	for name, do := range map[string]func() error{
		"get": func() error { _, err := b.Get(ctx, "b", id); return err },
		"alerts": func() error {
			return b.Alerts(ctx, "b", id, func(*alert.Message) bool { t.Error("an alert is shown"); return false })
		},
		"alert":    func() error { _, err := b.Alert(ctx, "b", out[0].Sequence); return err },
		"locate":   func() error { _, err := b.Locate(ctx, "b", "test", "1"); return err },
		"conclude": func() error { _, err := b.Conclude(ctx, "b", id, evidence.FalsePositive, d); return err },
		"approve":  func() error { _, err := b.Approve(ctx, "b", waiting, d); return err },
		"reject":   func() error { _, err := b.Reject(ctx, "b", waiting, d); return err },
	} {
		if err := do(); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list, _, err := b.List(ctx, "b", Filter{Urgent: true}); err != nil || len(list) != 0 {
		t.Errorf("the queue of another tenant has %d, %v", len(list), err)
	}
	if dbtest.Dialect() != store.Postgres {
		return // no row security: only the SQL above it stands in the way
	}
	before := b.get(id)
	forged := b.claim("w", 10)
	for i := range forged {
		inv := *forged[i].Investigation
		inv.TenantID = "b"
		forged[i].Investigation = &inv
		b.finish(Consulted{Job: forged[i], Opinion: attack(1, "odd", "tool"), Calls: 9})
	}
	if after := b.get(id); after.Version != before.Version || after.Consultation.Calls != before.Consultation.Calls {
		t.Errorf("a job in the name of another tenant changed the investigation: %+v", after.Consultation)
	}
	err := b.update(store.ForTenant(ctx, "b"), func(w *writer) error {
		w.rows[id] = &row{inv: before, first: out[0].Sequence, last: out[0].Sequence}
		w.touch(id)
		return w.save()
	})
	if !errors.Is(err, store.ErrConstraint) {
		t.Errorf("an investigation of another tenant is written: %v", err)
	}
}
