package simulated

import (
	"slices"
	"testing"

	"github.com/aluskort/aluskort/internal/llm"
)

func TestObjectsOfAPrompt(t *testing.T) {
	for _, c := range []struct {
		what, text string
		ids        []string
		bits       []float64
	}{
		{"none", "no JSON here", nil, nil},
		{"text around it, members by name and not by place", `see {"z":[{"id":"Z1"}],"a":{"id":"A1","inner":{"ref":"A2"}},"id":"R"} and {"id":"S"}`, []string{"R", "A1", "A2", "Z1", "S"}, nil},
		{"one that does not end, and one inside it", `{"id":"X", "b": {"id":"E1","bits":2}`, []string{"E1"}, []float64{2}},
		{"the better name wins, whatever comes first", `{"cite":"C","id":"E1","score":9,"weight":-1.5}`, []string{"E1"}, []float64{-1.5}},
		{"a stance without a sign", `[{"id":"E1","kind":"Benign.scanner","bits":1},{"id":"E2","kind":"benign.scanner","bits":-1}]`, []string{"E1", "E2"}, []float64{-1, -1}},
		{"numbers and texts in each other's place", `{"id":7,"ref":"E1","weight":"3","bits":0}`, []string{"E1"}, []float64{0}},
		{"nothing to name it by", `{"bits":3}`, nil, nil},
	} {
		r := &llm.Request{Messages: []llm.Message{{Role: llm.User, Text: c.text}}}
		found := objects(r)
		var bits []float64
		for _, i := range evidence(found) {
			bits = append(bits, i.weight)
		}
		if ids := offered(r, found, maxOffered); !slices.Equal(ids, c.ids) || !slices.Equal(bits, c.bits) {
			t.Errorf("%s: %q with %v, want %q with %v", c.what, ids, bits, c.ids, c.bits)
		}
		if first := offered(r, found, 1); len(first) != min(1, len(c.ids)) {
			t.Errorf("%s: %q, asked for one", c.what, first)
		}
	}
}
