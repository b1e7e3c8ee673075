package priorstore

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
	"github.com/aluskort/aluskort/internal/reason"
	"github.com/aluskort/aluskort/internal/reason/prior"
)

var now = time.Date(2026, 3, 2, 7, 30, 0, 0, time.UTC)

func open(t *testing.T) (*Store, store.DB) {
	t.Helper()
	db := dbtest.MustOpen(t, dbtest.Config{Migrations: schema.FS, SQLiteDir: schema.SQLiteDir, PostgresDir: schema.PostgresDir})
	return New(db), db
}

func judged(actor string, at time.Time) prior.Judgement {
	return prior.Judgement{Tenant: "default", Source: "wazuh", Analytic: "suricata:2010935", Severity: alert.High, Actor: actor, Malicious: true, At: at}
}

func record(t *testing.T, s *Store, db store.DB, list ...prior.Judgement) {
	t.Helper()
	err := db.Update(t.Context(), func(tx store.Tx) error {
		for _, j := range list {
			if err := s.Record(tx, j); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func refit(t *testing.T, s *Store, at time.Time) *prior.Snapshot {
	t.Helper()
	snapshot, err := s.Refit(t.Context(), at, nil)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

func TestWhatWasRecordedIsLearnedAndLoaded(t *testing.T) {
	s, db := open(t)
	empty, err := s.Load(t.Context())
	if err != nil || empty.Len() != 0 {
		t.Fatal(empty, err)
	}
	list := make([]prior.Judgement, 5)
	for i := range list {
		list[i] = judged(fmt.Sprint("analyst-", i), now.Add(-time.Duration(i)*time.Hour))
	}
	record(t, s, db, list...)
	if got, err := s.Load(t.Context()); err != nil || got.Len() != 0 {
		t.Errorf("learned before the fit: %v, %v", got, err)
	}
	want := prior.Fit(list, now)
	if got := refit(t, s, now); got.Version() != want.Version() {
		t.Errorf("fitted %s, want %s", got.Version(), want.Version())
	}
	got, err := s.Load(t.Context())
	if err != nil || got.Version() != want.Version() {
		t.Fatal(got, err)
	}
	p := got.Prior("default", "wazuh", "suricata:2010935", alert.High)
	if p != want.Prior("default", "wazuh", "suricata:2010935", alert.High) || p.Bits <= reason.SeverityPrior(alert.High).Bits {
		t.Errorf("%+v", p)
	}
}

func snapshots(t *testing.T, db store.DB) (n int) {
	t.Helper()
	if err := db.View(t.Context(), func(tx store.Tx) error { return tx.QueryRow(`SELECT count(*) FROM prior_snapshot`).Scan(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEveryVersionStays(t *testing.T) {
	s, db := open(t)
	record(t, s, db, judged("ada", now))
	first := refit(t, s, now)
	refit(t, s, now.Add(time.Minute)) // says the same
	if n := snapshots(t, db); n != 1 {
		t.Errorf("%d snapshots, want 1", n)
	}
	record(t, s, db, judged("bo", now))
	second := refit(t, s, now)
	if got, err := s.Load(t.Context()); err != nil || got.Version() != second.Version() || second.Version() == first.Version() {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := s.Version(t.Context(), first.Version()); err != nil || got.Version() != first.Version() {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := s.Version(t.Context(), "p1:none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// Whoever stores a snapshot learns what it takes the place of, in the transaction that stores it;
// whoever holds one sees by its version that another process fitted.
func TestAFitIsToldOnce(t *testing.T) {
	s, db := open(t)
	latest := func() string {
		t.Helper()
		version, err := s.Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return version
	}
	none := latest()
	if none != (*prior.Snapshot)(nil).Version() {
		t.Errorf("before the first fit: %q", none)
	}
	record(t, s, db, judged("ada", now))
	failed := errors.New("the record cannot be written")
	if _, err := s.Refit(t.Context(), now, func(store.Tx, string, *prior.Snapshot) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
	if latest() != none || snapshots(t, db) != 0 {
		t.Error("a snapshot is stored without its record")
	}
	var told []string
	tell := func(_ store.Tx, before string, next *prior.Snapshot) error {
		told = []string{before, next.Version()} // it may run twice
		return nil
	}
	for range 2 {
		got, err := s.Refit(t.Context(), now, tell)
		if err != nil || latest() != got.Version() {
			t.Fatalf("the newest is %s: %v", latest(), err)
		}
		if told != nil && (told[0] != none || told[1] != got.Version()) {
			t.Errorf("told %v", told)
		}
		tell = func(store.Tx, string, *prior.Snapshot) error {
			t.Error("told of what is known")
			return nil
		}
	}
	if told == nil {
		t.Error("not told")
	}
}

func TestJudgementsPastTheHorizonAreLeftOut(t *testing.T) {
	s, db := open(t)
	record(t, s, db, judged("ada", now.Add(-prior.Horizon-time.Hour)))
	if got := refit(t, s, now); got.Len() != 0 {
		t.Errorf("learned from %d analytics", got.Len())
	}
}

func TestWhatCannotTeach(t *testing.T) {
	s, db := open(t)
	bad := judged("", now)
	if err := db.Update(t.Context(), func(tx store.Tx) error { return s.Record(tx, bad) }); !errors.Is(err, prior.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	bare := judged("ada", now)
	bare.Analytic = ""
	record(t, s, db, bare)
	if got := refit(t, s, now); got.Len() != 0 {
		t.Errorf("learned from %d analytics", got.Len())
	}
}

func TestAJudgementDiesWithItsTransaction(t *testing.T) {
	s, db := open(t)
	failed := errors.New("the verdict was not saved")
	err := db.Update(t.Context(), func(tx store.Tx) error {
		if err := s.Record(tx, judged("ada", now)); err != nil {
			return err
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if got := refit(t, s, now); got.Len() != 0 {
		t.Error("learned from a verdict that does not exist")
	}
}

func TestADamagedSnapshotIsReported(t *testing.T) {
	s, db := open(t)
	record(t, s, db, judged("ada", now))
	refit(t, s, now)
	err := db.Update(t.Context(), func(tx store.Tx) error {
		_, err := tx.Exec(`UPDATE prior_snapshot SET body = $1`, []byte(`{"version":"p1:x","entries":[]}`))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context()); !errors.Is(err, prior.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}
