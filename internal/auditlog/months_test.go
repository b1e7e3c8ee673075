package auditlog

import (
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
)

// Records go to the partition of their month, a chain goes on over the turn of the year, and what
// no month was made for is kept as well.
func TestMonths(t *testing.T) {
	path := t.TempDir() + "/audit.db"
	db := openAudit(t, path)
	ctx := t.Context()
	december := time.Date(2026, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	if err := PrepareMonths(ctx, db, december); err != nil {
		t.Fatal(err)
	}
	if dbtest.Dialect() != store.Postgres {
		return // there are no partitions, and it said so without an error
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := PrepareMonths(ctx, openAudit(t, path), december.AddDate(0, 1, 0)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, now := range []time.Time{december, december.Add(time.Microsecond), december.AddDate(5, 0, 0)} {
		s, err := New(Config{DB: db, Clock: clock.Fixed(now)})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Append(ctx, [][]byte{messageOf(t, "a", "acme", int64(3*i+1), int64(3*i+3))}); err != nil {
			t.Fatal(err)
		}
	}
	if report := mustVerify(t, newService(t, db), "acme"); report.Records != 10 {
		t.Errorf("%d records", report.Records)
	}
	for table, want := range map[string]int{"audit_record_2026_12": 4, "audit_record_2027_01": 3, "audit_record_rest": 3, "audit_record_2028_01": 0} {
		var n int
		err := db.View(ctx, func(tx store.Tx) error { return tx.QueryRow(`SELECT COUNT(*) FROM ` + table).Scan(&n) })
		if err != nil || n != want {
			t.Errorf("%s has %d records, want %d (%v)", table, n, want, err)
		}
	}
	// A month of which records lie in the rest stays there, and nothing fails for that.
	if err := PrepareMonths(ctx, db, december.AddDate(5, 0, 0)); err != nil {
		t.Error(err)
	}
	mustVerify(t, newService(t, db), "acme")
}
