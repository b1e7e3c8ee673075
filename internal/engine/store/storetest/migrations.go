package storetest

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/aluskort/aluskort/internal/engine/store"
)

func testMigrations(t *testing.T, open Open) {
	dialect := dialectOf(t, open)
	second := "ALTER TABLE item ADD COLUMN extra TEXT;"
	with := func(files map[string]string) fstest.MapFS {
		m := maps.Clone(Migrations(dialect))
		for name, text := range files {
			m[name] = &fstest.MapFile{Data: []byte(text)}
		}
		return m
	}
	two := with(map[string]string{"0002_extra.sql": second})

	// The database is opened with first, then with then.
	tests := []struct {
		name        string
		first, then fstest.MapFS
		want        error
		names       string // must occur in the message
	}{
		{"the same again", two, two, nil, ""},
		{"one more", Migrations(dialect), two, nil, ""},
		{"newer database", two, Migrations(dialect), store.ErrNewer, "version 2"},
		{"changed file", two, with(map[string]string{"0002_extra.sql": second + " -- edited"}), store.ErrMigrations, "0002_extra.sql"},
		{"gap", two, with(map[string]string{"0003_gap.sql": second}), store.ErrMigrations, "0003_gap.sql"},
		{"two files with one number", two, with(map[string]string{"0001_twice.sql": second}), store.ErrMigrations, "0001_twice.sql"},
		{"stray file", two, with(map[string]string{"notes.txt": ""}), store.ErrMigrations, "notes.txt"},
		{"broken SQL", two, with(map[string]string{"0002_extra.sql": second, "0003_bad.sql": "CREATE TABEL x"}), store.ErrUnavailable, "0003_bad.sql"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			db, err := open(t, tt.first)
			if err != nil {
				t.Fatal(err)
			}
			exec(t, db, insertItem, 1, "kept")
			mustClose(t, db)
			again, err := open(t, tt.then)
			if tt.want != nil {
				if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.names) {
					t.Fatalf("got %v, want %v naming %q", err, tt.want, tt.names)
				}
				if again, err = open(t, tt.first); err != nil {
					t.Fatalf("the refusal damaged the database: %v", err)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			defer mustClose(t, again)
			if n := number(t, again, `SELECT COUNT(*) FROM item WHERE name = 'kept'`); n != 1 {
				t.Error("the row written before is gone")
			}
			exec(t, again, insertItem, 2, "new")
		})
	}
	t.Run("a failed migration leaves nothing behind", func(t *testing.T) {
		bad := with(map[string]string{"0002_half.sql": "CREATE TABLE half (id BIGINT); CREATE TABEL x"})
		if db, err := open(t, bad); err == nil {
			mustClose(t, db)
			t.Fatal("opened")
		}
		good := with(map[string]string{"0002_half.sql": "CREATE TABLE half (id BIGINT)"})
		db, err := open(t, good)
		if err != nil {
			t.Fatalf("after repair of the file: %v", err)
		}
		mustClose(t, db)
	})
}
