package fp

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
)

var testTime = time.Date(2026, 3, 2, 7, 30, 0, 0, time.UTC)

// hand is a clock that a test moves.
type hand struct {
	clock.System
	mu  sync.Mutex
	now time.Time
}

func (h *hand) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hand) move(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// trail is an Emitter that keeps what it is given; with err it refuses.
type trail struct {
	events  []audit.Event
	tenants []string
	err     error
}

func (t *trail) Emit(tx store.Tx, tenant string, events []audit.Event) ([]store.Message, error) {
	if t.err != nil {
		return nil, t.err
	}
	msgs := make([]store.Message, 0, len(events))
	for i := range events {
		wire, err := events[i].AppendWire(nil)
		if err != nil {
			return nil, err
		}
		event := events[i]
		tx.OnCommit(func() {
			t.events = append(t.events, event)
			t.tenants = append(t.tenants, tenant)
		})
		msgs = append(msgs, store.Message{Topic: "audit.events", Key: []byte(tenant), Tenant: tenant, Payload: wire})
	}
	return msgs, nil
}

func (t *trail) types() []audit.Type {
	out := make([]audit.Type, len(t.events))
	for i := range t.events {
		out[i] = t.events[i].Type
	}
	return out
}

type fixture struct {
	*Store
	db    store.DB
	clock *hand
	trail *trail
	gate  *Gate
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{clock: &hand{now: testTime}, trail: &trail{}, gate: &Gate{Patterns: &Matcher{}, Switches: &Switches{}}}
	db := dbtest.MustOpen(t, dbtest.Config{Migrations: schema.FS, SQLiteDir: schema.SQLiteDir, PostgresDir: schema.PostgresDir})
	f.db = db
	var err error
	f.Store, err = NewStore(Config{DB: db, Outbox: store.NewOutbox(f.clock, 0), Audit: f.trail, Clock: f.clock, Gate: f.gate})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// scan is a definition that may be proposed.
func scan() Definition {
	return Definition{
		Name: "Weekly scan", Tenant: "default", Analytics: []string{"suricata:2010935"},
		Entities:  []EntityCondition{{Type: alert.IP, Role: alert.RoleSource, Text: Text{CIDR, "198.51.100.16/28"}}},
		Threshold: 0.9, Justification: "Authenticated scan of the vulnerability team.",
	}
}

// scanAlert fits scan.
func scanAlert() (*alert.Alert, *alert.Entities) {
	a := &alert.Alert{
		ID: "1", Source: "wazuh", TenantID: "default", Title: "ET SCAN Suspicious inbound to MSSQL port 1433",
		Analytic: "suricata:2010935", Severity: alert.Medium, Timestamp: testTime,
	}
	return a, &alert.Entities{List: []alert.Entity{
		{Type: alert.IP, Value: "198.51.100.20", Role: alert.RoleSource, Confidence: 1},
		{Type: alert.Host, Value: "DB-01", Role: alert.RoleDevice, Confidence: 1},
	}}
}

func active(id string, d Definition) *Pattern {
	return &Pattern{ID: id, Definition: d, Status: Active, Expiry: testTime.Add(Term), Version: 1}
}

// nothing is a history without alerts.
func nothing(context.Context, string, func(*Sample) bool) error { return nil }

func clean(t testing.TB, d *Definition) *Report {
	t.Helper()
	r, err := Backtest(t.Context(), d, nothing, Limits{}, testTime)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (f *fixture) propose(t testing.TB, d Definition, by string) *Pattern {
	t.Helper()
	p, err := f.Propose(t.Context(), d, Act{Actor: by, Reason: "noise every Sunday"}, clean(t, &d))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (f *fixture) approve(t testing.TB, p *Pattern, by string) *Pattern {
	t.Helper()
	p, err := f.Approve(t.Context(), p.Tenant, p.ID, Act{Actor: by, Reason: "checked with the team"}, clean(t, &p.Definition))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// activate takes a definition through both approvals.
func (f *fixture) activate(t testing.TB, d Definition) *Pattern {
	t.Helper()
	return f.approve(t, f.approve(t, f.propose(t, d, "ann"), "bob"), "cleo")
}

func (f *fixture) update(t testing.TB, fn func(tx store.Tx) error) {
	t.Helper()
	if err := f.db.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}
