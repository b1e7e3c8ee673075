package models

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
	"github.com/aluskort/aluskort/internal/engine/store/sqlite"
)

// What processes report counts for a while; the most able one decides, and nobody is no ability.
func TestStandingIsThatOfTheMostAble(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "state.db"), Migrations: schema.FS, MigrationsDir: schema.SQLiteDir})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}()
		s := &Standing{DB: db, Clock: clock.System{}}
		want := func(level string) {
			t.Helper()
			if got, err := s.Level(t.Context()); err != nil || got != level {
				t.Errorf("level is %s, %v; want %s", got, err, level)
			}
		}
		report := func(gateway, level string) {
			t.Helper()
			if err := s.Report(t.Context(), gateway, level); err != nil {
				t.Fatal(err)
			}
		}
		want("deterministic_only")
		report("one", "passthrough")
		want("passthrough")
		report("two", "secondary_active")
		want("secondary_active")
		time.Sleep(reportStands - time.Second)
		report("one", "full_capability")
		want("full_capability")
		report("one", "deterministic_only")
		want("secondary_active")
		time.Sleep(2 * time.Second) // two is silent for too long
		want("deterministic_only")
		time.Sleep(reportStands)
		want("deterministic_only")
	})
}
