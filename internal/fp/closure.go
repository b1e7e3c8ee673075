package fp

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/engine/store"
)

// Closure says that a pattern closed an investigation.
type Closure struct {
	Pattern       string
	Investigation string
	At            time.Time
}

// RecordClosure records one closure in the transaction that closes.
func (s *Store) RecordClosure(tx store.Tx, pattern, investigation string, at time.Time) error {
	return s.RecordClosures(tx, []Closure{{pattern, investigation, at}})
}

// RecordClosures records what a batch closed, in its transaction, and counts it.
func (s *Store) RecordClosures(tx store.Tx, list []Closure) error {
	err := store.BulkInsert(tx, `INSERT INTO fp_closure (pattern, investigation, closed_at)`, 3, len(list), func(row, col int) any {
		switch c := &list[row]; col {
		case 0:
			return c.Pattern
		case 1:
			return c.Investigation
		default:
			return c.At.UnixMicro()
		}
	}, `ON CONFLICT (pattern, investigation) DO UPDATE SET closed_at = excluded.closed_at, reopened_at = NULL`)
	if err != nil {
		return fmt.Errorf("record closures: %w", err)
	}
	count, last := map[string]int64{}, map[string]int64{}
	for _, c := range list {
		count[c.Pattern]++
		last[c.Pattern] = max(last[c.Pattern], c.At.UnixMicro())
	}
	for _, p := range slices.Sorted(maps.Keys(count)) {
		_, err := tx.Exec(`UPDATE fp_patterns SET occurrences = occurrences + $1,
	last_occurrence = CASE WHEN last_occurrence > $2 THEN last_occurrence ELSE $2 END WHERE pattern_id = $3`, count[p], last[p], p)
		if err != nil {
			return fmt.Errorf("count closures of %s: %w", p, err)
		}
	}
	return nil
}

// RecordShadow counts decisions that a pattern in shadow would have taken; disagreed of them a
// person decided otherwise.
func (s *Store) RecordShadow(tx store.Tx, pattern string, decisions, disagreed int) error {
	_, err := tx.Exec(`UPDATE fp_patterns SET shadow_decisions = shadow_decisions + $1, shadow_disagreements = shadow_disagreements + $2
	WHERE pattern_id = $3 AND status = 'shadow'`, decisions, disagreed, pattern)
	if err != nil {
		return fmt.Errorf("count shadow decisions of %s: %w", pattern, err)
	}
	return nil
}

// Pending is an investigation that waits to be re-opened because its pattern was revoked.
type Pending struct {
	Tenant        string
	Pattern       string
	Investigation string
	// Actor and Reason are the revocation's.
	Actor  string
	Reason string
}

// PendingReopen lists up to limit investigations that revoked patterns closed and that were not
// re-opened yet: also those whose closing committed after the revocation.
func (s *Store) PendingReopen(ctx context.Context, limit int) (out []Pending, err error) {
	err = s.cfg.DB.View(ctx, func(tx store.Tx) error {
		out, err = queryAll(tx, func(rows store.Rows) (p Pending, err error) {
			err = rows.Scan(&p.Tenant, &p.Pattern, &p.Investigation, &p.Actor, &p.Reason)
			return p, err
		}, `SELECT p.scope_tenant_id, c.pattern, c.investigation, p.ended_by, p.ended_reason
	FROM fp_patterns p JOIN fp_closure c ON c.pattern = p.pattern_id
	WHERE p.status = 'revoked' AND c.reopened_at IS NULL ORDER BY p.seq, c.investigation LIMIT $1`, limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list investigations to re-open: %w", err)
	}
	return out, nil
}

// MarkReopened notes, in the transaction that does it, that an investigation was re-opened.
func (s *Store) MarkReopened(tx store.Tx, pattern, investigation string, at time.Time) error {
	_, err := tx.Exec(`UPDATE fp_closure SET reopened_at = $1 WHERE pattern = $2 AND investigation = $3`, at.UnixMicro(), pattern, investigation)
	if err != nil {
		return fmt.Errorf("mark %s as re-opened: %w", investigation, err)
	}
	return nil
}
