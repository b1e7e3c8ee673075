package orchestrate

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
)

const (
	insertTally = `INSERT INTO tally (key, event_time, alert, investigation, value)`
	selectTally = `SELECT event_time, alert, investigation, value FROM tally
	WHERE key = $1 AND event_time BETWEEN $2 AND $3 ORDER BY event_time, alert LIMIT $4`
	selectTallyBack = `SELECT event_time, alert, investigation, value FROM tally
	WHERE key = $1 AND event_time BETWEEN $2 AND $3 ORDER BY event_time DESC, alert DESC LIMIT $4`
	// maxOccurrences bounds what is looked at of one key at first. Of a longer burst only what
	// lies nearest to each investigation is looked at: see around.
	maxOccurrences = 2000
	// maxAround bounds what is looked at on each side of a point in time.
	maxAround = 500
)

// counter finds out, within one transaction, which tallies are reached. What a rule with a
// count looks at is written first and read back, so those of the batch count like all others.
type counter struct {
	w     *writer
	list  []*counted
	byKey map[identity]*counted
	fresh map[int64]bool // alerts of this transaction
}

// counted is one key with the occurrences around the investigations that have it.
type counted struct {
	tally       *evidence.Tally
	hash        identity
	from, to    time.Time
	points      []time.Time // first and last match of each investigation that has the key
	occurrences []investigate.Occurrence
	reached     map[int64]bool
}

func (w *writer) newCounter() *counter {
	return &counter{w: w, byKey: map[identity]*counted{}, fresh: map[int64]bool{}}
}

func tallyHash(tenant string, t *evidence.Tally) identity {
	return identityOf(tenant, t.Item.ID, t.Key)
}

func valueHash(s string) int64 {
	sum := sha256.Sum256([]byte(s))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 1)
}

// write stores the occurrences of the new alerts.
func (c *counter) write(foldings []*folding) error {
	type entry struct {
		hash identity
		it   *item
		r    *row
		t    *evidence.Tally
	}
	var list []entry
	for _, f := range foldings {
		for _, it := range f.items {
			c.fresh[it.seq] = true
			for i := range it.folded.Tallies {
				t := &it.folded.Tallies[i]
				list = append(list, entry{tallyHash(f.r.inv.TenantID, t), it, f.r, t})
			}
		}
	}
	slices.SortFunc(list, func(a, b entry) int { return slices.Compare(a.hash[:], b.hash[:]) })
	err := store.BulkInsert(c.w.tx, insertTally, 5, len(list), func(i, col int) any {
		e := &list[i]
		switch col {
		case 0:
			return e.hash[:]
		case 1:
			return e.it.folded.At.UnixMicro()
		case 2:
			return e.it.seq
		case 3:
			return e.r.first
		default:
			return valueHash(e.t.Value)
		}
	}, "ON CONFLICT DO NOTHING")
	if err != nil {
		return fmt.Errorf("store occurrences: %w", err)
	}
	return nil
}

// read looks up the occurrences around every tally of the investigations.
func (c *counter) read(rows []*row) error {
	for _, r := range rows {
		for i := range r.inv.Tallies {
			t := &r.inv.Tallies[i]
			h := tallyHash(r.inv.TenantID, &t.Tally)
			from, to := t.First.Add(-t.Window()), t.Last.Add(t.Window())
			have := c.byKey[h]
			if have == nil {
				have = &counted{tally: &t.Tally, hash: h, from: from, to: to}
				c.byKey[h] = have
				c.list = append(c.list, have)
			}
			have.points = append(have.points, t.First, t.Last)
			if from.Before(have.from) {
				have.from = from
			}
			if to.After(have.to) {
				have.to = to
			}
		}
	}
	for _, k := range c.list {
		if err := c.occurrences(k); err != nil {
			return fmt.Errorf("look up occurrences: %w", err)
		}
		k.reached = investigate.Reached(k.tally, k.occurrences)
	}
	return nil
}

func (c *counter) occurrences(k *counted) error {
	if err := c.between(k, selectTally, k.from, k.to, maxOccurrences); err != nil {
		return err
	}
	if len(k.occurrences) < maxOccurrences {
		return nil
	}
	return c.around(k)
}

// around looks at what lies nearest to the first and the last match of each investigation, on
// both sides. A window that holds enough matches and one of these holds enough of the nearest
// too, so that a count is exact there however long the burst; of different values, with many
// repeats among them, it may miss some.
func (c *counter) around(k *counted) error {
	n := k.tally.AtLeast
	if k.tally.Distinct {
		n *= 16
	}
	n = min(n, maxAround)
	slices.SortFunc(k.points, time.Time.Compare)
	for _, p := range slices.CompactFunc(k.points, time.Time.Equal) {
		err := c.between(k, selectTallyBack, p.Add(-k.tally.Window()), p, n)
		if err == nil {
			err = c.between(k, selectTally, p, p.Add(k.tally.Window()), n)
		}
		if err != nil {
			return err
		}
	}
	slices.SortFunc(k.occurrences, func(a, b investigate.Occurrence) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Alert, b.Alert))
	})
	k.occurrences = slices.Compact(k.occurrences)
	return nil
}

func (c *counter) between(k *counted, query string, from, to time.Time, limit int) error {
	args := []any{k.hash[:], from.UnixMicro(), to.UnixMicro(), limit}
	return query1(c.w.tx, query, args, func(rows store.Rows) error {
		var at int64
		var o investigate.Occurrence
		if err := rows.Scan(&at, &o.Alert, &o.Investigation, &o.Value); err != nil {
			return err
		}
		o.At = time.UnixMicro(at).UTC()
		k.occurrences = append(k.occurrences, o)
		return nil
	})
}

// evidence lists what the reached tallies of an investigation are worth.
func (c *counter) evidence(r *row) []evidence.Evidence {
	var out []evidence.Evidence
	seen := map[string]bool{}
	for i := range r.inv.Tallies {
		t := &r.inv.Tallies[i]
		k := c.byKey[tallyHash(r.inv.TenantID, &t.Tally)]
		if k == nil || !k.reached[r.first] || seen[t.Item.ID] {
			continue
		}
		seen[t.Item.ID] = true
		out = append(out, t.Evidence())
	}
	return out
}

// spread marks investigations outside the transaction whose tally the new alerts made reached.
func (c *counter) spread() error {
	var seqs []int64
	touched := make(map[int64]bool, len(c.w.touched))
	for _, id := range c.w.touched {
		touched[c.w.rows[id].first] = true
	}
	for _, k := range c.list {
		old := slices.DeleteFunc(slices.Clone(k.occurrences), func(o investigate.Occurrence) bool { return c.fresh[o.Alert] })
		before := investigate.Reached(k.tally, old)
		for seq := range k.reached {
			if !before[seq] && !touched[seq] {
				seqs = append(seqs, seq)
			}
		}
	}
	if len(seqs) == 0 {
		return nil
	}
	slices.Sort(seqs)
	return c.w.markDirty(slices.Compact(seqs))
}
