package orchestrate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/investigate"
)

const selectSummary = `SELECT id, state, wait_reason, classification, severity, probability, alerts, version, created_at, updated_at,
	overdue, first_alert FROM investigation `

func scanSummary(rows store.Rows, out *[]Summary) error {
	var (
		s                        Summary
		severity                 int
		probability              int64
		created, updated, alerts int64
	)
	err := rows.Scan(&s.ID, &s.State, &s.WaitReason, &s.Classification, &severity, &probability, &alerts, &s.Version, &created, &updated, &s.Overdue, &s.sequence)
	if err != nil {
		return err
	}
	s.severity = alert.Severity(severity)
	s.Severity = s.severity.String()
	s.Probability = float64(probability) / 1e6
	s.Alerts = int(alerts)
	s.CreatedAt, s.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	*out = append(*out, s)
	return nil
}

func sortSummaries(list []Summary) {
	slices.SortFunc(list, func(a, b Summary) int { return cmp.Compare(b.sequence, a.sequence) })
}

// maxQueue is how long the queue is that people are shown: the most urgent ones. When they are
// worked off, others follow.
const maxQueue = 500

// queue lists what waits for a person, the most urgent first: what is overdue, then by severity,
// then by what weighs on hosts and accounts, then the oldest. The cursor counts.
func (e *Engine) queue(ctx context.Context, tenant string, f Filter) (out []Summary, next int64, err error) {
	if f.State != "" && f.State != investigate.AwaitingHuman {
		return nil, 0, nil
	}
	var rows map[string]*row
	err = e.db.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		out = nil
		err := query1(tx, selectSummary+`WHERE tenant = $1 AND state = $2 AND ($3 = '' OR wait_reason = $3) AND ($4 = '' OR classification = $4)
			ORDER BY overdue DESC, severity DESC, created_at, first_alert LIMIT $5`,
			[]any{tenant, string(investigate.AwaitingHuman), string(f.WaitReason), f.Classification, maxQueue},
			func(rows store.Rows) error { return scanSummary(rows, &out) })
		if err != nil {
			return err
		}
		ids := make([]string, len(out))
		for i := range out {
			ids[i] = out[i].ID
		}
		rows, _, err = e.loadRows(tx, ids)
		return err
	})
	if err == nil {
		err = e.db.View(ctx, func(tx store.Tx) error { return e.listRisk(tx, out, rows) })
	}
	if err != nil {
		return nil, 0, fmt.Errorf("queue: %w", err)
	}
	slices.SortStableFunc(out, func(a, b Summary) int {
		return cmp.Or(compareBool(b.Overdue, a.Overdue), cmp.Compare(b.severity, a.severity), cmp.Compare(b.RiskBits, a.RiskBits))
	})
	from := min(max(f.Before, 0), int64(len(out)))
	to := min(from+int64(f.Limit), int64(len(out)))
	if to < int64(len(out)) {
		next = to
	}
	return out[from:to], next, nil
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// listRisk looks up what weighs on the hosts and accounts of the listed.
func (e *Engine) listRisk(tx store.Tx, list []Summary, rows map[string]*row) (err error) {
	for i := range list {
		s := &list[i]
		s.RiskState = investigate.RiskUnknown
		if r := rows[s.ID]; r != nil {
			if s.RiskBits, err = e.lookUpRisk(tx, r.inv); err != nil {
				return err
			}
			s.RiskState = r.inv.RiskState
		}
	}
	return nil
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
	err = e.db.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
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
