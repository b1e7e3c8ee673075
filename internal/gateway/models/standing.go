package models

import (
	"context"
	"fmt"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/llm/route"
)

const (
	// ReportEvery is how often a process that asks models says how able it is.
	ReportEvery = 5 * time.Second
	// reportStands is how long a report counts: three may be missed.
	reportStands = 4 * ReportEvery
	// forgetAfter is when the row of a process that has gone is removed.
	forgetAfter = time.Hour
)

// Standing is the degradation level that processes share through the state database: those that
// ask models report theirs, those that decide read the best. It is safe for concurrent use.
type Standing struct {
	DB    store.DB
	Clock clock.Clock
}

// Report says how able the process called gateway is.
func (s *Standing) Report(ctx context.Context, gateway, level string) error {
	now := s.Clock.Now()
	err := s.DB.Update(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO model_level (gateway, level, reported_at) VALUES ($1, $2, $3)
			ON CONFLICT (gateway) DO UPDATE SET level = excluded.level, reported_at = excluded.reported_at`, gateway, level, now.UnixMicro())
		if err == nil {
			_, err = tx.Exec(`DELETE FROM model_level WHERE reported_at < $1`, now.Add(-forgetAfter).UnixMicro())
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("report the level of models: %w", err)
	}
	return nil
}

// Level is the best level that a process reported lately. Without one it is deterministic_only:
// models are configured, and nobody can ask them.
func (s *Standing) Level(ctx context.Context) (string, error) {
	best, found := route.Deterministic, false
	err := s.DB.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT level FROM model_level WHERE reported_at >= $1`, s.Clock.Now().Add(-reportStands).UnixMicro())
		if err != nil {
			return err
		}
		for rows.Next() {
			var l string
			if err := rows.Scan(&l); err != nil {
				return fmt.Errorf("%w (%w)", err, rows.Close())
			}
			if !found || best.Worse(route.Level(l)) {
				best, found = route.Level(l), true
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return rows.Close()
	})
	if err != nil {
		return "", fmt.Errorf("read the level of models: %w", err)
	}
	return string(best), nil
}
