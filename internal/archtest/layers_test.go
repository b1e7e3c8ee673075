package archtest

import (
	"fmt"
	"strings"
	"testing"
)

// layers are the rooms of the house from the ground up. A room may import rooms of lower
// layers and itself. Two rooms of one layer do not know each other.
var layers = [][]string{
	// Usable from everywhere. rules and demo are shipped data.
	{"internal/alert", "internal/audit", "internal/clock", "internal/id", "internal/crash", "internal/parallel",
		"internal/config", "internal/statedir", "internal/ops", "rules", "playbooks", "demo"},
	{"internal/evidence", "internal/tenant"},
	{"internal/engine"},
	// Parts that do one thing each.
	{"internal/ingest", "internal/sigma", "internal/respond", "internal/llm", "internal/auth"},
	{"internal/parse", "internal/knowledge", "internal/asset", "internal/ctem", "internal/atlas",
		"internal/fp", "internal/correlate", "internal/auditlog"},
	// The arithmetic of evidence, and the rules of an investigation that use it.
	{"internal/reason"},
	{"internal/investigate"},
	// Services that join parts.
	{"internal/orchestrate", "internal/batch", "internal/gateway"},
	{"internal/pipeline", "internal/result", "internal/consult"},
	{"internal/api", "internal/console", "internal/bench", "internal/eval", "internal/demo", "internal/doctor"},
	{"internal/app"},
	{"cmd"},
}

const (
	layerRule   = "arrows point down: cmd, app, services, parts, engines, domain, foundation"
	layerReason = "a package can be read, tested and replaced knowing only what is below it; an arrow upwards is the first half of a circle"
)

// roomOf returns the room of a package and its layer from the ground; false when it has none.
func roomOf(p string) (room string, layer int, ok bool) {
	for n, rooms := range layers {
		for _, r := range rooms {
			if below(p, r) {
				return r, n, true
			}
		}
	}
	return "", 0, false
}

func checkLayers(p *pkg) []string {
	if below(p.path, "internal/archtest") || !p.hasCode || suite(p.path) {
		return nil
	}
	room, layer, ok := roomOf(p.path)
	if !ok {
		return []string{fmt.Sprintf("%s has no room: add it to a layer in internal/archtest, as low as its imports allow\n\treason: %s", p.path, layerReason)}
	}
	var out []string
	for _, i := range p.imports {
		if !i.ours {
			continue
		}
		to, toLayer, ok := roomOf(i.path)
		if ok && (to == room || toLayer < layer) {
			continue
		}
		out = append(out, breach(layerRule, layerReason, i.at, fmt.Sprintf("%s (layer %d) imports %s (layer %d)", p.path, layer, i.path, toLayer)))
	}
	return out
}

func TestLayers(t *testing.T) {
	for _, p := range load(t) {
		for _, b := range checkLayers(p) {
			t.Error(b)
		}
	}
}

func TestLayersCanFail(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"internal/evidence", "internal/alert", true},
		{"internal/ingest/wazuh", "internal/ingest", true},
		{"cmd/aluskort", "internal/app", true},
		{"internal/app", "rules", true},
		{"internal/alert", "internal/evidence", false},
		{"internal/engine/store", "internal/auditlog", false},
		{"internal/parse", "internal/knowledge/intel", false},
		{"internal/orchestrate", "internal/app", false},
		{"internal/investigate", "internal/reason", true},
		{"internal/reason", "internal/investigate", false},
		{"internal/app", "internal/attic", false},
		{"internal/attic", "internal/alert", false},
	} {
		p := &pkg{path: c.from, hasCode: true, imports: []imported{{path: c.to, ours: true}}}
		if got := checkLayers(p); (len(got) == 0) != c.ok {
			t.Errorf("%s imports %s: allowed %v, want %v", c.from, c.to, len(got) == 0, c.ok)
		}
	}
}

// TestRoomsAreDistinct keeps the table free of rooms that hide others.
func TestRoomsAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, rooms := range layers {
		for _, r := range rooms {
			for s := range seen {
				if below(r, s) || below(s, r) {
					t.Errorf("%s and %s overlap", r, s)
				}
			}
			seen[r] = true
			if strings.HasSuffix(r, "/") {
				t.Errorf("%q ends in a slash", r)
			}
		}
	}
}
