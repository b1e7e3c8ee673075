package consult

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/gateway"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/knowledge/memory"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

// Precedents finds incidents of the past: the incident memory.
type Precedents interface {
	Similar(ctx context.Context, q memory.Question) (memory.Answer, error)
}

// precedentsShown is how many incidents the look-up names.
const precedentsShown = 5

// SimilarIncidents is the look-up of incidents that people decided and that inv resembles. A
// subject that is an entity narrows the comparison to entities of its kind.
func SimilarIncidents(p Precedents, inv *investigate.Investigation, now time.Time) gateway.Tool {
	return gateway.Tool{
		Name:        "similar_incidents",
		Description: "Incidents of the past that look like this one and that people decided: how they decided and why. That something looks alike proves nothing.",
		Call: func(subject string) (string, error) {
			like := orchestrate.IncidentOf(inv)
			for i := range inv.Entities {
				if strings.EqualFold(inv.Entities[i].Value, subject) {
					like.Classes = memory.Classes(inv.Entities[i : i+1])
				}
			}
			a, err := p.Similar(context.Background(), memory.Question{Tenant: inv.TenantID, Like: like, Except: inv.ID, At: now, Limit: precedentsShown})
			if err != nil {
				return "", err
			}
			return describePrecedents(&a), nil
		},
	}
}

func describePrecedents(a *memory.Answer) string {
	var b strings.Builder
	if a.Degraded != "" {
		fmt.Fprintf(&b, "Note: %s.\n", a.Degraded)
	}
	if len(a.Precedents) == 0 {
		b.WriteString("No incident that people decided looks like this one.")
		return b.String()
	}
	for i := range a.Precedents {
		p := &a.Precedents[i]
		fmt.Fprintf(&b, "%s: %q (analytic %q, techniques %s), decided by a person as %s", p.At.Format(time.DateOnly), p.Title, p.Analytic, strings.Join(p.Techniques, " "), p.Classification)
		if p.Reason != "" {
			fmt.Fprintf(&b, ", because %q", p.Reason)
		}
		fmt.Fprintf(&b, "; similarity %.2f.\n", p.Similarity)
	}
	return b.String()
}
