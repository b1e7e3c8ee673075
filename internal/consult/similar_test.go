package consult

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/knowledge/memory"
)

type precedents struct {
	asked  memory.Question
	answer memory.Answer
	err    error
}

func (p *precedents) Similar(_ context.Context, q memory.Question) (memory.Answer, error) {
	p.asked = q
	return p.answer, p.err
}

func TestSimilarIncidents(t *testing.T) {
	inv := &investigate.Investigation{
		ID: "id-1", TenantID: "a", Source: "wazuh", Analytic: "92052", Title: "Interpreter under an office program",
		Entities:   []alert.Entity{{Type: alert.Host, Value: "FIN-7"}, {Type: alert.Account, Value: "ada"}},
		Techniques: []investigate.Technique{{ID: "T1059.001"}},
	}
	p := &precedents{}
	tool := SimilarIncidents(p, inv, now)
	text, err := tool.Call("nothing of the data")
	if err != nil || text != "No incident that people decided looks like this one." {
		t.Errorf("%q, %v", text, err)
	}
	q := p.asked
	if q.Tenant != "a" || q.Except != "id-1" || !q.At.Equal(now) || q.Like.Analytic != "92052" || !slices.Equal(q.Like.Techniques, []string{"T1059.001"}) || len(q.Like.Classes) != 2 {
		t.Errorf("asked %+v", q)
	}
	p.answer = memory.Answer{Degraded: "words were searched", Precedents: []memory.Precedent{{
		Investigation: "id-0", Title: "Interpreter \"again\"", Analytic: "92052", Techniques: []string{"T1059.001"}, Classification: evidence.BenignTruePositive,
		Reason: "nightly inventory", At: now.AddDate(0, 0, -3), Similarity: 0.8765,
	}}}
	text, err = tool.Call("fin-7")
	want := "Note: words were searched.\n2026-05-03: \"Interpreter \\\"again\\\"\" (analytic \"92052\", techniques T1059.001), " +
		"decided by a person as benign_true_positive, because \"nightly inventory\"; similarity 0.88.\n"
	if err != nil || text != want {
		t.Errorf("%q, %v\nwant %q", text, err, want)
	}
	if !slices.Equal(p.asked.Like.Classes, []string{string(alert.Host)}) {
		t.Errorf("asked about %v", p.asked.Like.Classes)
	}
	if strings.Contains(text, "id-0") {
		t.Error("the model is told ids of other investigations")
	}
	p.err = errors.New("away")
	if _, err := tool.Call("FIN-7"); err == nil {
		t.Error("a look-up that failed answers")
	}
}
