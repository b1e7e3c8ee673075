package orchestrate

import (
	"errors"
	"fmt"
	"slices"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/knowledge/memory"
)

// Incidents remembers how investigations ended.
type Incidents interface {
	Record(tx store.Tx, i memory.Incident) error
	Forget(tx store.Tx, tenant, investigation string) error
}

// IncidentOf is what of an investigation is worth remembering. A person decided when a person gave
// the verdict: an approved plan is no verdict. Names in the title
// and the reason are replaced by what they are.
func IncidentOf(inv *investigate.Investigation) memory.Incident {
	out := memory.Incident{
		Tenant: inv.TenantID, Investigation: inv.ID, Source: inv.Source, Analytic: inv.Analytic, Severity: inv.Verdict.Severity,
		Classes: memory.Classes(inv.Entities), Techniques: inv.TechniqueIDs(), Classification: inv.Verdict.Classification,
		By: inv.Verdict.By, At: inv.LastSeen, Title: memory.Generic(inv.Title, inv.Entities),
	}
	for i := range inv.Evidence {
		if e := &inv.Evidence[i]; e.Stance != evidence.Context && !slices.Contains(out.Evidence, e.Kind) {
			out.Evidence = append(out.Evidence, e.Kind)
		}
	}
	for _, d := range inv.Decisions {
		if d.Action == "conclude" && d.Actor == inv.Verdict.By {
			out.Person, out.Reason, out.At = true, memory.Generic(d.Reason, inv.Entities), d.At
		}
	}
	out.Rare = out.Person && out.Classification == evidence.TruePositive && out.Severity == alert.Critical
	return out
}

// remember records what is closed and forgets what was opened again, in the transaction that
// writes it.
func (w *writer) remember(rows []*row) error {
	if w.e.cfg.Incidents == nil {
		return nil
	}
	for _, r := range rows {
		var err error
		switch {
		case r.inv.State == investigate.Closed:
			i := IncidentOf(r.inv)
			err = w.e.cfg.Incidents.Record(w.tx, i)
		case r.inv.Reopened > 0:
			err = w.e.cfg.Incidents.Forget(w.tx, r.inv.TenantID, r.inv.ID)
		}
		if errors.Is(err, memory.ErrInvalid) {
			w.e.cfg.Log.Warn("an investigation cannot be remembered", "investigation", r.inv.ID, "error", err)
			err = nil
		}
		if err != nil {
			return fmt.Errorf("remember %s: %w", r.inv.ID, err)
		}
	}
	return nil
}
