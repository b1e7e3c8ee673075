package orchestrate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/investigate"
)

var selectSharing = fmt.Sprintf(`SELECT i.id FROM (SELECT investigation FROM link WHERE key = $1 LIMIT %d) l
	JOIN investigation i ON i.first_alert = l.investigation WHERE i.tenant = $2 AND i.id <> $3`, investigate.MaxNeighbours)

// Related returns the investigations, newest first and at most limit, that share a link key with
// inv and name the given entity. It reads what is stored now.
func (e *Engine) Related(ctx context.Context, inv *investigate.Investigation, entity string, limit int) (out []*investigate.Investigation, err error) {
	ids := map[string]bool{}
	err = e.db.View(ctx, func(tx store.Tx) error { // keys are hashes, which do not say whose they are
		for i := range inv.Links {
			h := linkHash(inv.TenantID, &inv.Links[i])
			err := query1(tx, selectSharing, []any{h[:], inv.TenantID, inv.ID}, func(rows store.Rows) error {
				var id string
				err := rows.Scan(&id)
				ids[id] = true
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("related investigations: %w", err)
	}
	err = e.db.View(store.ForTenant(ctx, inv.TenantID), func(tx store.Tx) error {
		list := make([]string, 0, len(ids))
		for id := range ids {
			list = append(list, id)
		}
		rows, _, err := e.loadRows(tx, list) // what cannot be read tells nothing
		if err != nil {
			return err
		}
		for _, r := range rows {
			if slices.ContainsFunc(r.inv.Entities, func(x alert.Entity) bool { return strings.EqualFold(x.Value, entity) }) {
				out = append(out, r.inv)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("related investigations: %w", err)
	}
	slices.SortFunc(out, func(a, b *investigate.Investigation) int {
		return cmp.Or(b.FirstSeen.Compare(a.FirstSeen), cmp.Compare(a.ID, b.ID))
	})
	return out[:min(len(out), limit)], nil
}
