package fp

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
)

const selectSwitches = `SELECT dimension, value, activated_by, reason, activated_at FROM fp_kill_switch ORDER BY dimension, value`

func scanSwitch(rows store.Rows) (sw Switch, err error) {
	var at int64
	err = rows.Scan(&sw.Dimension, &sw.Value, &sw.ActivatedBy, &sw.Reason, &at)
	sw.ActivatedAt = time.UnixMicro(at).UTC()
	return sw, err
}

func checkSwitch(d Dimension, value string) error {
	if !slices.Contains(Dimensions(), d) {
		return fmt.Errorf("%w: dimension %q is none of %v", ErrInvalid, d, Dimensions())
	}
	if strings.TrimSpace(value) != value || value == "" {
		return fmt.Errorf("%w: say which %s is meant, without spaces around", ErrInvalid, d)
	}
	if err := plain(value); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrInvalid, d, err)
	}
	return nil
}

// KillOn sets a switch. Setting one that is on replaces its reason: stopping always succeeds.
func (s *Store) KillOn(ctx context.Context, d Dimension, value string, act Act) (Switch, error) {
	sw := Switch{Dimension: d, Value: value, ActivatedBy: act.Actor, Reason: act.Reason}
	if err := act.check(); err != nil {
		return sw, err
	}
	if err := checkSwitch(d, value); err != nil {
		return sw, err
	}
	sw.ActivatedAt = s.cfg.Clock.Now()
	return sw, s.turn(ctx, audit.KillSwitchActivated, &sw, act, func(tx store.Tx) error {
		_, err := tx.Exec(`INSERT INTO fp_kill_switch (dimension, value, activated_by, reason, activated_at) VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (dimension, value) DO UPDATE SET activated_by = excluded.activated_by, reason = excluded.reason, activated_at = excluded.activated_at`,
			string(d), strings.ToLower(value), sw.ActivatedBy, sw.Reason, sw.ActivatedAt.UnixMicro())
		return err
	})
}

// KillOff clears a switch; ErrNotFound when it is not on.
func (s *Store) KillOff(ctx context.Context, d Dimension, value string, act Act) error {
	sw := Switch{Dimension: d, Value: value}
	if err := act.check(); err != nil {
		return err
	}
	if err := checkSwitch(d, value); err != nil {
		return err
	}
	return s.turn(ctx, audit.KillSwitchDeactivated, &sw, act, func(tx store.Tx) error {
		n, err := tx.Exec(`DELETE FROM fp_kill_switch WHERE dimension = $1 AND value = $2`, string(d), strings.ToLower(value))
		if err == nil && n == 0 {
			err = fmt.Errorf("%w: no kill switch is on for %s %s", ErrNotFound, d, value)
		}
		return err
	})
}

func (s *Store) turn(ctx context.Context, t audit.Type, sw *Switch, act Act, change func(store.Tx) error) error {
	err := s.cfg.DB.Update(ctx, func(tx store.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		if err := touch(tx); err != nil {
			return err
		}
		tenant, err := s.ownerOf(tx, sw)
		if err != nil {
			return err
		}
		l := &ledger{now: s.cfg.Clock.Now()}
		l.killSwitch(t, sw, act.Actor, act.Reason)
		return s.finish(tx, tenant, l)
	})
	if err == nil {
		s.show(ctx)
	}
	return err
}

// ownerOf is the tenant in whose trail a switch is recorded: its own, its pattern's, else the
// system's. A tenant that the chain does not take is recorded with the system's.
func (s *Store) ownerOf(tx store.Tx, sw *Switch) (string, error) {
	if sw.Dimension != DimensionPattern {
		if sw.Dimension == DimensionTenant && audit.CheckTenant(sw.Value) == nil && sw.Value != "*" {
			return sw.Value, nil
		}
		return s.cfg.SystemTenant, nil
	}
	list, err := queryAll(tx, scanText, `SELECT scope_tenant_id FROM fp_patterns WHERE pattern_id = $1`, strings.ToLower(sw.Value))
	if err != nil {
		return "", fmt.Errorf("find the tenant of pattern %s: %w", sw.Value, err)
	}
	if len(list) == 1 {
		return list[0], nil
	}
	return s.cfg.SystemTenant, nil
}

// KillSwitches lists the switches that are on.
func (s *Store) KillSwitches(ctx context.Context) (out []Switch, err error) {
	err = s.cfg.DB.View(ctx, func(tx store.Tx) error {
		out, err = queryAll(tx, scanSwitch, selectSwitches)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list kill switches: %w", err)
	}
	return out, nil
}
