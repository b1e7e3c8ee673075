package neo4jgraph_test

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aluskort/aluskort/internal/engine/enginetest"
	"github.com/aluskort/aluskort/internal/engine/graph"
	"github.com/aluskort/aluskort/internal/engine/graph/graphtest"
	"github.com/aluskort/aluskort/internal/engine/graph/neo4jgraph"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server reads where the real server listens; its password goes into a file.
func server(t testing.TB) neo4jgraph.Config {
	t.Helper()
	u, err := url.Parse(enginetest.Address(t, "neo4j"))
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return neo4jgraph.Config{
		URI: u.Scheme + "://" + u.Host, Username: u.User.Username(), PasswordFile: file, Timeout: time.Minute,
	}
}

func open(t testing.TB, cfg neo4jgraph.Config) *neo4jgraph.Graph {
	t.Helper()
	g, err := neo4jgraph.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func TestSuiteOnNeo4j(t *testing.T) {
	g := open(t, server(t))
	graphtest.Run(t, func(testing.TB) graph.Graph { return g })
}

func BenchmarkNeo4j(b *testing.B) { graphtest.Benchmark(b, open(b, server(b))) }
