package orchestrate

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/reason"
)

// linkHash is the key under which a link key is stored.
func linkHash(tenant string, k *investigate.LinkKey) identity {
	h := sha256.New()
	var n [4]byte
	for _, s := range [...]string{tenant, string(k.Kind), k.Value} {
		binary.BigEndian.PutUint32(n[:], uint32(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	return identity(h.Sum(nil)[:16])
}

const (
	insertLink = `INSERT INTO link (key, investigation, first_seen, last_seen)`
	upsertLink = `ON CONFLICT (key, investigation) DO UPDATE SET
	first_seen = CASE WHEN excluded.first_seen < link.first_seen THEN excluded.first_seen ELSE link.first_seen END,
	last_seen = CASE WHEN excluded.last_seen > link.last_seen THEN excluded.last_seen ELSE link.last_seen END`
	markDirty = `UPDATE investigation SET dirty_at = $1 WHERE first_alert IN (`
)

// neighbourQuery asks for the investigations of linksAtOnce keys at once, at most one more of
// each than a key that is not common has.
var neighbourQuery = func() string {
	var b strings.Builder
	for i := range linksAtOnce {
		if i > 0 {
			b.WriteString(" UNION ALL ")
		}
		fmt.Fprintf(&b, "SELECT * FROM (SELECT %d, l.first_seen, l.last_seen, i.id, i.own_bits, l.investigation FROM link l JOIN investigation i ON i.first_alert = l.investigation WHERE l.key = $%d LIMIT %d) AS n%d",
			i, i+1, investigate.MaxNeighbours+1, i)
	}
	return b.String()
}()

const linksAtOnce = 32

// shared is one key of the batch with everyone who has it.
type shared struct {
	tenant string
	key    investigate.LinkKey
	hash   identity
	found  []found
	local  []local
}

// local is an investigation of this transaction that has the key.
type local struct {
	r   *row
	key *investigate.LinkKey
}

type found struct {
	first, last time.Time
	id          string
	ownBits     float64
	seq         int64
}

// linker finds out, within one transaction, who lends what to the touched investigations.
type linker struct {
	w    *writer
	keys map[identity]*shared
	list []*shared
	of   map[string][]*shared // by investigation id
	// titles of anchors that are not part of the transaction
	titles map[string]string
}

func (w *writer) newLinker() *linker {
	return &linker{w: w, keys: map[identity]*shared{}, of: map[string][]*shared{}}
}

// add registers the keys of an investigation.
func (l *linker) add(r *row) {
	for i := range r.inv.Links {
		k := &r.inv.Links[i]
		h := linkHash(r.inv.TenantID, k)
		s := l.keys[h]
		if s == nil {
			s = &shared{tenant: r.inv.TenantID, key: *k, hash: h}
			l.keys[h] = s
			l.list = append(l.list, s)
		}
		s.local = append(s.local, local{r, k})
		l.of[r.inv.ID] = append(l.of[r.inv.ID], s)
	}
}

// write stores the keys of the investigations, in order of the keys, which is that of the tree.
func (l *linker) write(rows []*row) error {
	type entry struct {
		hash identity
		seq  int64
		key  *investigate.LinkKey
	}
	var list []entry
	for _, r := range rows {
		for i := range r.inv.Links {
			list = append(list, entry{linkHash(r.inv.TenantID, &r.inv.Links[i]), r.first, &r.inv.Links[i]})
		}
	}
	slices.SortFunc(list, func(a, b entry) int { return slices.Compare(a.hash[:], b.hash[:]) })
	err := store.BulkInsert(l.w.tx, insertLink, 4, len(list), func(i, c int) any {
		switch c {
		case 0:
			return list[i].hash[:]
		case 1:
			return list[i].seq
		case 2:
			return list[i].key.First.UnixMicro()
		default:
			return list[i].key.Last.UnixMicro()
		}
	}, upsertLink)
	if err != nil {
		return fmt.Errorf("store link keys: %w", err)
	}
	return nil
}

// read looks up who else has the registered keys.
func (l *linker) read() error {
	args := make([]any, linksAtOnce)
	for part := range slices.Chunk(l.list, linksAtOnce) {
		for i := range args {
			args[i] = part[min(i, len(part)-1)].hash[:]
		}
		err := query1(l.w.tx, neighbourQuery, args, func(rows store.Rows) error {
			var (
				i           int
				first, last int64
				bits        int64
				f           found
			)
			if err := rows.Scan(&i, &first, &last, &f.id, &bits, &f.seq); err != nil {
				return err
			}
			if i >= len(part) {
				return nil // a repeat of the last key
			}
			f.first, f.last, f.ownBits = time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC(), float64(bits)/1e6
			part[i].found = append(part[i].found, f)
			return nil
		})
		if err != nil {
			return fmt.Errorf("look up linked investigations: %w", err)
		}
	}
	return l.readTitles()
}

// readTitles loads what the anchors are called, so that a person reads a name and not an id.
func (l *linker) readTitles() error {
	var ids []string
	for _, s := range l.list {
		if len(s.found) > investigate.MaxNeighbours {
			continue
		}
		for _, f := range s.found {
			if f.ownBits >= investigate.AnchorBits && l.w.rows[f.id] == nil {
				ids = append(ids, f.id)
			}
		}
	}
	slices.Sort(ids)
	rows, _, err := l.w.e.loadRows(l.w.tx, slices.Compact(ids)) // one that cannot be read has no name
	if err != nil {
		return err
	}
	l.titles = make(map[string]string, len(rows))
	for id, r := range rows {
		l.titles[id] = r.inv.Title
	}
	return nil
}

func (l *linker) title(id string) string {
	if r := l.w.rows[id]; r != nil {
		return r.inv.Title
	}
	return cmp.Or(l.titles[id], id)
}

// neighbours lists who shares keys with an investigation. Those of this transaction are taken
// from memory: the store does not have them yet.
func (l *linker) neighbours(inv *investigate.Investigation) []investigate.Neighbour {
	var out []investigate.Neighbour
	for _, s := range l.of[inv.ID] {
		members := l.members(s)
		if len(members) > investigate.MaxNeighbours {
			continue
		}
		for _, n := range members {
			if n.ID != inv.ID {
				out = append(out, n)
			}
		}
	}
	return out
}

// members joins what the store has of a key with what this transaction changes.
func (l *linker) members(s *shared) []investigate.Neighbour {
	var out []investigate.Neighbour
	for _, f := range s.found {
		if l.of[f.id] == nil {
			out = append(out, investigate.Neighbour{ID: f.id, Title: l.title(f.id), OwnBits: f.ownBits, Kind: s.key.Kind, Value: s.key.Value, First: f.first, Last: f.last})
		}
	}
	for _, m := range s.local {
		inv := m.r.inv
		out = append(out, investigate.Neighbour{ID: inv.ID, Title: inv.Title, OwnBits: inv.OwnBits, Kind: m.key.Kind, Value: m.key.Value, First: m.key.First, Last: m.key.Last})
	}
	return out
}

// spread marks those outside the transaction to whom something is lent that was not before, or
// no longer: see lends. A key that just became common changes it for everyone who has it.
func (l *linker) spread(before map[string]standing) error {
	marked := map[int64]bool{}
	for _, s := range l.list {
		common := len(l.members(s)) > investigate.MaxNeighbours
		if common && len(s.found) > investigate.MaxNeighbours {
			continue // it was before
		}
		for i := range s.found {
			f := &s.found[i]
			if l.of[f.id] != nil {
				continue
			}
			if common || slices.ContainsFunc(s.local, func(m local) bool { return s.lends(m, before[m.r.inv.ID].bits, f) }) {
				marked[f.seq] = true
			}
		}
	}
	if len(marked) == 0 {
		return nil
	}
	seqs := make([]int64, 0, len(marked))
	for q := range marked {
		seqs = append(seqs, q)
	}
	slices.Sort(seqs)
	return l.w.markDirty(seqs)
}

// lends reports whether an investigation of this transaction, which weighed old before it, lends
// a neighbour along this key something else now: it became or ceased to be an anchor, or is one
// and weighs something else, has another name, gained the key, or its time with the key came
// within reach.
func (s *shared) lends(m local, old float64, f *found) bool {
	inv := m.r.inv
	was, is := old >= investigate.AnchorBits, inv.OwnBits >= investigate.AnchorBits
	if !was || !is {
		return was != is
	}
	i := slices.IndexFunc(s.found, func(x found) bool { return x.id == inv.ID })
	if i < 0 || old != inv.OwnBits || m.r.title != inv.Title {
		return true
	}
	kept := investigate.LinkKey{Kind: s.key.Kind, First: s.found[i].first, Last: s.found[i].last}
	return kept.Reaches(f.first, f.last) != m.key.Reaches(f.first, f.last)
}

var markDirtyQuery = inList(markDirty, 2)

func (w *writer) markDirty(seqs []int64) error {
	if err := w.eachSeq(markDirtyQuery, []any{w.now.UnixMicro()}, seqs); err != nil {
		return fmt.Errorf("mark linked investigations: %w", err)
	}
	return nil
}

// weigh sets the own weight of an investigation; its evidence holds no link items then.
func (e *Engine) weigh(inv *investigate.Investigation) {
	inv.OwnBits = reason.Own(inv.Evidence, e.cfg.Thresholds)
}

// withDerived replaces the evidence that rests on other investigations, and that which a model
// added to it.
func withDerived(inv *investigate.Investigation, lent []evidence.Evidence) {
	inv.Evidence = slices.Concat(inv.OwnEvidence(), lent)
	inv.Evidence = append(inv.Evidence, inv.ModelEvidence(inv.Evidence)...)
}

const (
	selectDirty = `SELECT id FROM investigation WHERE dirty_at IS NOT NULL ORDER BY dirty_at LIMIT $1`
	countDirty  = `SELECT COUNT(*) FROM investigation WHERE dirty_at IS NOT NULL`
	clearDirty  = `UPDATE investigation SET dirty_at = NULL WHERE first_alert IN (`
)

var clearDirtyQuery = inList(clearDirty, 1)

// reviseAtOnce is how many investigations one revising transaction takes.
const reviseAtOnce = 100

// Revise decides again about investigations whose neighbours changed, and returns how many it
// looked at and how many verdicts it changed. It recomputes from stored evidence, so it may be
// repeated; 0 looked at means that nothing is left.
func (e *Engine) Revise(ctx context.Context) (looked, changed int, err error) {
	looked, err = e.each(ctx, pickIDs(selectDirty, reviseAtOnce), func(w *writer, ids []string) error {
		ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return w.rows[id] == nil })
		n, err := w.reviseLinked(ids)
		w.tx.OnCommit(func() { changed += n })
		return err
	})
	if err != nil {
		return 0, changed, fmt.Errorf("revise linked investigations: %w", err)
	}
	return looked, changed, nil
}

func (w *writer) reviseLinked(ids []string) (changed int, err error) {
	l := w.newLinker()
	var seqs []int64
	for _, id := range ids {
		l.add(w.rows[id])
		seqs = append(seqs, w.rows[id].first)
	}
	if err := l.read(); err != nil {
		return 0, err
	}
	c := w.newCounter()
	if err := c.read(w.rowsOf(ids)); err != nil {
		return 0, err
	}
	for _, id := range ids {
		r := w.rows[id]
		err := w.e.guard(id, func() error {
			lent := append(r.inv.LinkEvidence(l.neighbours(r.inv)), c.evidence(r)...)
			if w.relinked(r, lent) {
				changed++
				w.refreshed = true
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		if w.refreshed {
			w.touch(id)
		}
	}
	return changed, w.eachSeq(clearDirtyQuery, nil, seqs)
}

// eachSeq runs a statement that ends in an IN list over investigations, inSize at once.
func (w *writer) eachSeq(query string, first []any, seqs []int64) error {
	for part := range slices.Chunk(seqs, inSize) {
		args := slices.Clone(first)
		for i := range inSize {
			args = append(args, part[min(i, len(part)-1)])
		}
		if _, err := w.tx.Exec(query, args...); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) rowsOf(ids []string) []*row {
	out := make([]*row, len(ids))
	for i, id := range ids {
		out[i] = w.rows[id]
	}
	return out
}

// Dirty tells how many investigations wait to be revised.
func (e *Engine) Dirty(ctx context.Context) (n int64, err error) {
	err = e.db.View(ctx, func(tx store.Tx) error { return tx.QueryRow(countDirty).Scan(&n) })
	return n, err
}

// bitsOf is how a weight stands in the database.
func bitsOf(f float64) int64 { return int64(math.Round(f * 1e6)) }
