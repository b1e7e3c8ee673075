package orchestrate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/store"
)

func scanSummary(rows store.Rows, out *[]Summary) error {
	var (
		s                        Summary
		severity                 int
		probability              int64
		created, updated, alerts int64
	)
	err := rows.Scan(&s.ID, &s.State, &s.WaitReason, &s.Classification, &severity, &probability, &alerts, &s.Version, &created, &updated, &s.sequence)
	if err != nil {
		return err
	}
	s.Severity = alert.Severity(severity).String()
	s.Probability = float64(probability) / 1e6
	s.Alerts = int(alerts)
	s.CreatedAt, s.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	*out = append(*out, s)
	return nil
}

func sortSummaries(list []Summary) {
	slices.SortFunc(list, func(a, b Summary) int { return cmp.Compare(b.sequence, a.sequence) })
}

// Count is how many investigations share a state, reason to wait and classification.
type Count struct {
	State          string `json:"state"`
	WaitReason     string `json:"wait_reason,omitempty"`
	Classification string `json:"classification"`
	Investigations int64  `json:"investigations"`
	Alerts         int64  `json:"alerts"`
	Redelivered    int64  `json:"redelivered"`
}

// Counts tells how the tenant's investigations are spread.
func (e *Engine) Counts(ctx context.Context, tenant string) (out []Count, err error) {
	err = e.db.View(ctx, func(tx store.Tx) error {
		return query1(tx, `SELECT state, wait_reason, classification, COUNT(*), SUM(alerts), SUM(redelivered) FROM investigation
			WHERE tenant = $1 GROUP BY state, wait_reason, classification ORDER BY state, wait_reason, classification`, []any{tenant},
			func(rows store.Rows) error {
				var c Count
				if err := rows.Scan(&c.State, &c.WaitReason, &c.Classification, &c.Investigations, &c.Alerts, &c.Redelivered); err != nil {
					return err
				}
				out = append(out, c)
				return nil
			})
	})
	if err != nil {
		return nil, fmt.Errorf("count investigations: %w", err)
	}
	return out, nil
}
