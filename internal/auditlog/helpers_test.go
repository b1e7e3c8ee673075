package auditlog

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
)

var testClock = clock.Fixed(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))

// openAudit opens the audit database at path, or a new one when path is empty.
func openAudit(t testing.TB, path string) store.DB {
	t.Helper()
	return dbtest.MustOpen(t, dbtest.Config{
		Path: path, Migrations: Migrations, SQLiteDir: MigrationsSQLite, PostgresDir: MigrationsPostgres, CacheKiB: 16 << 10, Clock: testClock,
	})
}

func newService(t testing.TB, db store.DB) *Service {
	t.Helper()
	s, err := New(Config{DB: db, Clock: testClock})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// event returns event number n of an origin; its alert id names it.
func event(t testing.TB, origin string, n int64) audit.Event {
	t.Helper()
	context, err := new(audit.Object).Str("degradation_level", "full_capability").Int("fp_patterns_checked", 214).
		Strs("stores_queried", []string{"ioc", "asset"}).Finish()
	if err != nil {
		t.Fatal(err)
	}
	decision, err := new(audit.Object).Str("classification", "suspicious").Int("confidence", audit.Micros(0.71)).Finish()
	if err != nil {
		t.Fatal(err)
	}
	return audit.Event{
		Type: audit.AlertClassified, Timestamp: testClock.Now().UnixMicro(), ActorType: audit.ActorAgent, ActorID: "reasoner",
		SourceService: "orchestrator", InvestigationID: fmt.Sprintf("inv-%d", n%5), AlertID: fmt.Sprintf("%s/%d", origin, n),
		EntityIDs: []string{"host:ws-014.example.com"}, Context: context, Decision: decision,
	}
}

// messageOf returns the audit message with events from to to of an origin.
func messageOf(t testing.TB, origin, tenant string, from, to int64) []byte {
	t.Helper()
	wires := make([][]byte, 0, to-from+1)
	for n := from; n <= to; n++ {
		e := event(t, origin, n)
		wire, err := e.AppendWire(nil)
		if err != nil {
			t.Fatal(err)
		}
		wires = append(wires, wire)
	}
	return messageWith(origin, tenant, from, to, wires...)
}

func messageWith(origin, tenant string, from, to int64, wires ...[]byte) []byte {
	msg := appendHead(nil, origin, tenant)
	for _, w := range wires {
		msg = binary.BigEndian.AppendUint32(msg, uint32(len(w)))
		msg = append(msg, w...)
	}
	return finish(msg, from, to)
}

// contents returns the type of each record of a chain, and the alert id where there is one.
func contents(t testing.TB, s *Service, tenant string) []string {
	t.Helper()
	var out []string
	err := s.Records(context.Background(), tenant, 0, -1, func(r audit.Record) error {
		f, err := audit.ParseRecord(r.Bytes)
		if err != nil {
			return err
		}
		if f.AlertID != "" {
			out = append(out, f.AlertID)
		} else {
			out = append(out, string(f.Type))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// mustVerify fails the test unless the chain, its head and its tree agree.
func mustVerify(t testing.TB, s *Service, tenant string) audit.Report {
	t.Helper()
	ctx := context.Background()
	report, err := s.Verify(ctx, tenant)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Findings) > 0 {
		t.Fatalf("%s: %v", tenant, report.Findings)
	}
	tree, head, err := s.Tree(ctx, tenant)
	if err != nil {
		t.Fatal(err)
	}
	var again audit.Tree
	err = s.Records(ctx, tenant, 0, -1, func(r audit.Record) error {
		again.Append(audit.LeafHash(r.Bytes))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if tree.Size() != head.Sequence+1 || tree.Root() != again.Root() || report.Head != head {
		t.Fatalf("%s: stored tree of %d leaves, head %d, chain ends at %d", tenant, tree.Size(), head.Sequence, report.Head.Sequence)
	}
	return report
}

// recorder collects what OnAppended says.
type recorder struct {
	mu  sync.Mutex
	got []Appended
}

func (r *recorder) note(a Appended) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, a)
}

func (r *recorder) last(origin, tenant string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.got) - 1; i >= 0; i-- {
		if r.got[i].Origin == origin && r.got[i].Tenant == tenant {
			return r.got[i].Seq
		}
	}
	return 0
}
