package spend

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/registry"
)

// unitTable has a model of which every token costs one micro-USD.
const unitTable = `
models:
  - {provider: local, name: unit, context: 1000000, max_output: 100000, json: high, prices: [{input: 1, output: 1, cache_read_factor: 0.5}]}
  - {provider: local, name: free, context: 1000000, max_output: 100000, json: high, prices: [{input: 0, output: 0}]}
  - {provider: local, name: dated, context: 1000000, max_output: 100000, json: high, prices: [{from: 2026-01-01, input: 1, output: 1}]}
  - {provider: local, name: unpriced, context: 1000000, max_output: 100000, json: high}
`

// hand is a clock that a test moves.
type hand struct {
	mu sync.Mutex
	t  time.Time
}

func (h *hand) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.t
}

func (*hand) NewTimer(d time.Duration) *time.Timer { return time.NewTimer(d) }

func (h *hand) set(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.t = t
}

func (h *hand) add(d time.Duration) { h.set(h.Now().Add(d)) }

func openDB(t testing.TB) store.DB {
	t.Helper()
	return dbtest.MustOpen(t, dbtest.Config{Migrations: schema.FS, SQLiteDir: schema.SQLiteDir, PostgresDir: schema.PostgresDir})
}

type bench struct {
	*Ledger
	db     store.DB
	clock  *hand
	events []Event
	fail   error // of Emit
}

func newBench(t *testing.T, limits Limits) *bench {
	t.Helper()
	b := &bench{db: openDB(t), clock: &hand{t: time.Date(2026, 11, 28, 12, 30, 0, 0, time.UTC)}}
	b.reopen(t, limits)
	return b
}

// reopen is what a restart does.
func (b *bench) reopen(t *testing.T, limits Limits) {
	t.Helper()
	table, err := registry.Load("local", []byte(unitTable))
	if err != nil {
		t.Fatal(err)
	}
	b.Ledger, err = Open(t.Context(), Config{DB: b.db, Table: table, Limits: limits, Clock: b.clock, Emit: func(tx store.Tx, e Event) error {
		if b.fail == nil {
			tx.OnCommit(func() { b.events = append(b.events, e) })
		}
		return b.fail
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func claim(prompt, output int64) Claim {
	return Claim{
		Tenant: "acme", Plan: Premium, Investigation: "inv-1", Task: llm.Investigation, Tier: registry.T1,
		Model: registry.Ref{Provider: "local", Model: "unit"}, Prompt: prompt, Output: output,
	}
}

func (b *bench) must(t *testing.T, c Claim) Booking {
	t.Helper()
	k, err := b.Reserve(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// refuse expects the claim to be refused by the cap.
func (b *bench) refuse(t *testing.T, c Claim, by Cap) Refusal {
	t.Helper()
	k, err := b.Reserve(t.Context(), c)
	no, ok := errors.AsType[*Refusal](err)
	if k != nil || !ok || no.Cap != by {
		t.Fatalf("%v, %v; want a refusal by %s", k, err, by)
	}
	return *no
}

func book(t *testing.T, k Booking, input, output int64) Entry {
	t.Helper()
	e, err := k.Book(t.Context(), llm.Usage{Input: input, Output: output, Known: true}, "unit")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (b *bench) status(t *testing.T) Status {
	t.Helper()
	s, err := b.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}
