package schema

import (
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/migrate"
)

func TestMigrationsAreNumberedWithoutGap(t *testing.T) {
	files, err := migrate.Load(FS, SQLiteDir)
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	for _, f := range files {
		if !strings.HasPrefix(strings.TrimSpace(f.SQL), "--") {
			t.Errorf("%s: begin with a comment that says what the tables are for", f.Name)
		}
	}
}

// The outbox is written by package store; the migration must create what it expects.
func TestOutboxIsTheOneThatStoreWrites(t *testing.T) {
	text, err := FS.ReadFile("sqlite/0002_outbox.sql")
	if err != nil {
		t.Fatal(err)
	}
	words := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	if !strings.Contains(words(string(text)), words(store.OutboxSQLite)) {
		t.Error("0002_outbox.sql differs from store.OutboxSQLite")
	}
}
