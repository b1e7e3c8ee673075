package sqlgraph_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/graph"
	"github.com/aluskort/aluskort/internal/engine/graph/graphtest"
	"github.com/aluskort/aluskort/internal/engine/graph/sqlgraph"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
)

// open returns the graph of a new database, closed with the test.
func open(t testing.TB) graph.Graph {
	t.Helper()
	db := database(t)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return sqlgraph.New(db)
}

func database(t testing.TB) store.DB {
	t.Helper()
	db, err := dbtest.Open(t, dbtest.Config{Migrations: schema.FS, SQLiteDir: schema.SQLiteDir, PostgresDir: schema.PostgresDir, Clock: clock.System{}})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

func TestSuite(t *testing.T) { graphtest.Run(t, open) }

func TestClosedDatabaseIsUnavailable(t *testing.T) {
	db := database(t)
	g := sqlgraph.New(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := g.Consequences(context.WithoutCancel(t.Context()), "default", []graph.Ref{{Kind: graph.KindAsset, ID: "a"}})
	if !errors.Is(err, graph.ErrUnavailable) {
		t.Errorf("ask: %v", err)
	}
	if err := g.Health(t.Context()); !errors.Is(err, graph.ErrUnavailable) {
		t.Errorf("health: %v", err)
	}
}

func BenchmarkSQL(b *testing.B) { graphtest.Benchmark(b, open(b)) }
