package embedded

import (
	"testing"

	"github.com/aluskort/aluskort/internal/engine/vector"
	"github.com/aluskort/aluskort/internal/engine/vector/vectortest"
)

func open(t testing.TB, dir string) *Engine {
	t.Helper()
	e, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func TestSuite(t *testing.T) {
	dirs := map[*testing.T]string{}
	vectortest.Run(t, vectortest.Subject{Open: func(t *testing.T) vector.Engine {
		if dirs[t] == "" {
			dirs[t] = t.TempDir()
		}
		return open(t, dirs[t])
	}})
}
