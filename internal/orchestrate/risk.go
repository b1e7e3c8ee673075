package orchestrate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/investigate"
)

const (
	insertRisk = `INSERT INTO risk (key, seen, investigation, bits)`
	upsertRisk = `ON CONFLICT (key, seen, investigation) DO UPDATE SET bits = excluded.bits`
	deleteRisk = `DELETE FROM risk WHERE key = $1 AND seen = $2 AND investigation = $3`
	// The latest 200 are enough: three anchors of an hour make a host's risk high already, and the
	// look-up stays short on a host under ten thousand alerts.
	selectRisk = `SELECT seen, bits FROM risk WHERE key = $1 AND seen BETWEEN $2 AND $3 ORDER BY seen DESC LIMIT 200`
	anyRisk    = `SELECT 1 FROM risk WHERE key = $1 LIMIT 1`
)

// standing is what an investigation weighed on its hosts and accounts before a transaction.
type standing struct {
	bits float64
	seen time.Time
}

func standingOf(inv *investigate.Investigation) standing { return standing{inv.OwnBits, inv.LastSeen} }

func (s standing) anchor() bool { return s.bits >= investigate.AnchorBits }

// owners are the keys of the hosts and accounts of an investigation, under their identities as of
// the start of its window, which never changes.
func (e *Engine) owners(inv *investigate.Investigation) (keys []identity) {
	for _, entity := range inv.Owners() {
		name, ok := entity.Key(), true
		if e.cfg.Org != nil {
			name, ok = e.cfg.Org.Owner(inv.TenantID, entity, inv.WindowStart)
		}
		if k := identityOf(inv.TenantID, "risk", name); ok && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// writeRisk stores what the anchors among the rows weigh on their hosts and accounts. It rests on
// their own evidence alone, so nobody else has to be marked.
func (w *writer) writeRisk(rows []*row, before map[string]standing) error {
	type entry struct {
		key identity
		r   *row
	}
	var list []entry
	for _, r := range rows {
		was, is := before[r.inv.ID], standingOf(r.inv)
		if !was.anchor() && !is.anchor() || was == is {
			continue
		}
		for _, k := range w.e.owners(r.inv) {
			if was.anchor() && (!is.anchor() || !was.seen.Equal(is.seen)) {
				if _, err := w.tx.Exec(deleteRisk, k[:], was.seen.UnixMicro(), r.first); err != nil {
					return fmt.Errorf("store risk: %w", err)
				}
			}
			if is.anchor() {
				list = append(list, entry{k, r})
			}
		}
	}
	err := store.BulkInsert(w.tx, insertRisk, 4, len(list), func(i, c int) any {
		switch e := &list[i]; c {
		case 0:
			return e.key[:]
		case 1:
			return e.r.inv.LastSeen.UnixMicro()
		case 2:
			return e.r.first
		default:
			return bitsOf(e.r.inv.OwnBits)
		}
	}, upsertRisk)
	if err != nil {
		return fmt.Errorf("store risk: %w", err)
	}
	return nil
}

// lookUpRisk sets the risk state of an investigation, that of the host or account on which most
// weighs, and returns its bits. It never touches the verdict.
func (e *Engine) lookUpRisk(tx store.Tx, inv *investigate.Investigation) (bits float64, err error) {
	inv.RiskState = investigate.RiskNoBaseline
	for _, k := range e.owners(inv) {
		b, state, err := riskOf(tx, k, inv.LastSeen)
		if err != nil {
			return 0, fmt.Errorf("risk of the hosts and accounts of %s: %w", inv.ID, err)
		}
		if rank(state) > rank(inv.RiskState) {
			inv.RiskState = state
		}
		bits = max(bits, b)
	}
	return bits, nil
}

func riskOf(tx store.Tx, key identity, at time.Time) (bits float64, state string, err error) {
	var weights []investigate.Weight
	args := []any{key[:], at.Add(-investigate.RiskReach).UnixMicro(), at.Add(investigate.RiskReach).UnixMicro()}
	err = query1(tx, selectRisk, args, func(rows store.Rows) error {
		var seen int64
		var w investigate.Weight
		err := rows.Scan(&seen, &w.Bits)
		w.At = time.UnixMicro(seen).UTC()
		weights = append(weights, w)
		return err
	})
	if err != nil {
		return 0, "", err
	}
	if len(weights) > 0 {
		bits = investigate.Risk(weights, at)
		return bits, investigate.RiskState(bits), nil
	}
	var one int
	err = tx.QueryRow(anyRisk, key[:]).Scan(&one)
	if errors.Is(err, store.ErrNoRows) {
		return 0, investigate.RiskNoBaseline, nil
	}
	return 0, investigate.RiskUnknown, err
}

// rank orders the states by how much they say.
func rank(state string) int {
	return slices.Index([]string{investigate.RiskNoBaseline, investigate.RiskUnknown, investigate.RiskLow, investigate.RiskMedium, investigate.RiskHigh}, state)
}
