package orchestrate

import (
	"context"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/knowledge/embed"
	"github.com/aluskort/aluskort/internal/knowledge/memory"
)

// remembering gives the engine of a bench an incident memory without a vector engine.
func remembering(t *testing.T, b *bench) *memory.Memory {
	t.Helper()
	m, err := memory.New(memory.Config{DB: b.db, Embedder: embed.Lexical{}, Clock: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	b.cfg.Incidents = m
	return m
}

func precedents(t *testing.T, m *memory.Memory, inv *investigate.Investigation) []memory.Precedent {
	t.Helper()
	a, err := m.Similar(t.Context(), memory.Question{Tenant: inv.TenantID, Like: IncidentOf(inv), At: start})
	if err != nil {
		t.Fatal(err)
	}
	return a.Precedents
}

func TestWhatAPersonConcludesIsRemembered(t *testing.T) {
	b := open(t)
	m := remembering(t, b)
	id := b.process(message("1", "x", "1 weak"))[0].Investigation
	if got := precedents(t, m, b.get(id)); len(got) != 0 {
		t.Fatalf("remembered before anybody decided: %+v", got)
	}
	if _, err := b.Conclude(context.Background(), "a", id, evidence.FalsePositive, HumanDecision{Actor: "ada", Reason: "known job"}); err != nil {
		t.Fatal(err)
	}
	got := precedents(t, m, b.get(id))
	if len(got) != 1 || got[0].Investigation != id || got[0].Classification != evidence.FalsePositive || got[0].Reason != "known job" || got[0].Title != "title x" {
		t.Fatalf("remembered: %+v", got)
	}
	b.process(message("2", "x", "1 weak")) // folds, and stays closed
	if got := precedents(t, m, b.get(id)); len(got) != 1 {
		t.Errorf("a fold changed what is remembered: %+v", got)
	}
	b.process(message("3", "x", "3 other")) // opens it again
	if inv := b.get(id); inv.State == investigate.Closed {
		t.Fatal("not opened again")
	}
	if got := precedents(t, m, b.get(id)); len(got) != 0 {
		t.Errorf("a verdict that no longer stands is a precedent: %+v", got)
	}
}

func TestAnApprovedPlanIsNoVerdictOfAPerson(t *testing.T) {
	inv := &investigate.Investigation{
		ID: "i", TenantID: "a", Title: "t", LastSeen: start, Verdict: evidence.Verdict{Classification: evidence.TruePositive, By: "deterministic", Severity: alert.Critical},
		Decisions: []investigate.Decision{{Actor: "ada", Action: "approve", At: start}},
	}
	if i := IncidentOf(inv); i.Person || i.Rare {
		t.Errorf("got %+v", i)
	}
	inv.Verdict.By = "ada" // an account, and not because it decided
	if i := IncidentOf(inv); i.Person {
		t.Errorf("got %+v", i)
	}
	inv.Decisions = append(inv.Decisions, investigate.Decision{Actor: "ada", Action: "conclude", Reason: "seen", At: start})
	if i := IncidentOf(inv); !i.Person || !i.Rare || i.Reason != "seen" {
		t.Errorf("got %+v", i)
	}
}

func TestIncidentsNameNoEntities(t *testing.T) {
	b := open(t)
	id := b.process(message("1", "x", "1 weak", func(m *alert.Message) { m.Alert.Title = "Logon to WS-1" }))[0].Investigation
	i := IncidentOf(b.get(id))
	if i.Title != "Logon to <host>" {
		t.Errorf("title %q", i.Title)
	}
	if strings.Contains(strings.Join(append(i.Classes, i.Title, i.Analytic), " "), "ws-1") || len(i.Classes) != 1 || i.Classes[0] != "host" {
		t.Errorf("got %+v", i)
	}
}
