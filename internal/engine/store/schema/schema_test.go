package schema

import (
	"slices"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/migrate"
)

func TestMigrationsAreNumberedWithoutGap(t *testing.T) {
	names := map[string][]string{}
	for _, dir := range []string{SQLiteDir, PostgresDir} {
		files, err := migrate.Load(FS, dir)
		if err != nil || len(files) == 0 {
			t.Fatal(len(files), err)
		}
		for _, f := range files {
			names[dir] = append(names[dir], f.Name)
			if !strings.HasPrefix(strings.TrimSpace(f.SQL), "--") {
				t.Errorf("%s/%s: begin with a comment that says what the tables are for", dir, f.Name)
			}
		}
	}
	if !slices.Equal(names[SQLiteDir], names[PostgresDir]) {
		t.Errorf("the engines have different migrations: %v and %v", names[SQLiteDir], names[PostgresDir])
	}
}

// The outbox is written by package store; the migration must create what it expects.
func TestOutboxIsTheOneThatStoreWrites(t *testing.T) {
	for _, d := range []store.Dialect{store.SQLite, store.Postgres} {
		text, err := FS.ReadFile(string(d) + "/0002_outbox.sql")
		if err != nil {
			t.Fatal(err)
		}
		words := func(s string) string {
			return strings.Join(strings.Fields(strings.ReplaceAll(s, ` COLLATE "C"`, "")), " ")
		}
		if !strings.Contains(words(string(text)), words(store.OutboxDDL(d))) {
			t.Errorf("%s/0002_outbox.sql differs from what store writes", d)
		}
	}
}
