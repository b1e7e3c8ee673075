package consequence_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/asset"
	"github.com/aluskort/aluskort/internal/asset/consequence"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/graph"
	"github.com/aluskort/aluskort/internal/engine/graph/sqlgraph"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
	"github.com/aluskort/aluskort/internal/engine/store/sqlite"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/id"
)

const plantFile = `
zones:
  - {name: cell, within: plant}
  - {name: plant, consequence: safety_life, owner: Grace}
hosts:
  - {name: ws-07.example.com, connects_to: [hmi-01.example.com]}
  - {name: hmi-01.example.com, zone: cell}
models:
  - {name: Vision, hosts: [ws-07.example.com, hmi-01.example.com]}
`

func load(t *testing.T, text string) *asset.Org {
	t.Helper()
	o, err := asset.Load(strings.NewReader(text), "org.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// From the file to the evidence, over the embedded graph.
func TestFileToEvidence(t *testing.T) {
	db, err := sqlite.Open(t.Context(), sqlite.Config{
		Path: filepath.Join(t.TempDir(), "state.db"), Migrations: schema.FS, MigrationsDir: schema.SQLiteDir, Clock: clock.System{}, IDs: id.NewSource(nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	g, org := sqlgraph.New(db), load(t, plantFile)
	at := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	for i := range 2 {
		got, err := consequence.Fill(t.Context(), g, org, "default", at.Add(time.Duration(i)*time.Minute))
		if want := (consequence.Filled{Assets: 2, Zones: 2, Models: 1, Edges: 4}); err != nil || got != want {
			t.Fatalf("%+v %v, want %+v", got, err, want)
		}
	}
	s, err := consequence.New(consequence.Config{Graph: g, Names: org.Resolver, Clock: clock.Fixed(at)})
	if err != nil {
		t.Fatal(err)
	}
	ask := func() evidence.Finding {
		f, err := s.Gather(t.Context(), []evidence.Subject{{
			Alert:    &alert.Alert{TenantID: "default", EventStart: at},
			Entities: &alert.Entities{List: []alert.Entity{{Type: alert.Host, Value: "WS-07", Confidence: 1}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		return f[0]
	}
	want := "ws-07.example.com leads to zone plant, where lives are at stake (ws-07.example.com → Vision → hmi-01.example.com → cell → plant); Grace answers for it"
	if f := ask(); f.Blind != "" || len(f.Items) != 1 || f.Items[0].Statement != want {
		t.Errorf("%+v", f)
	}
	smaller := load(t, "hosts: [ws-07.example.com]")
	got, err := consequence.Fill(t.Context(), g, smaller, "default", at.Add(time.Hour))
	if err != nil || got.Forgotten != 8 {
		t.Errorf("%+v %v, want 8 forgotten", got, err)
	}
	s.Forget()
	if f := ask(); len(f.Items) != 0 || f.Blind != "" {
		t.Errorf("after the model is gone: %+v", f)
	}
	if _, err := g.BlastRadius(t.Context(), "default", "host:ws-07.example.com", graph.Bounds{}); err != nil {
		t.Error(err)
	}
}
