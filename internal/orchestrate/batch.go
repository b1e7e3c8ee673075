package orchestrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/crash"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/fp"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/parallel"
)

// Offset is the place up to which a partition has been worked off. The transaction of the work
// moves what is stored from From to Next, and fails with ErrOffsetMoved when another offset is
// stored: then another consumer has worked on this partition. Where nothing is stored, or the
// offset of a topic of that name that was deleted since, From does not matter.
type Offset struct {
	Consumer, Topic string
	TopicID         [16]byte
	Partition       int32
	From, Next      int64
}

// ErrOffsetMoved says that a batch does not begin where its partition has been worked off to.
// Nothing of it was written; its consumer goes on from the stored offset.
var ErrOffsetMoved = errors.New("the stored offset is not the one that the batch begins at")

// Batch is what is processed in one transaction.
type Batch struct {
	Messages []*alert.Message
	Offsets  []Offset
}

// Outcome is what became of one message.
type Outcome struct {
	Message *alert.Message
	Location
	// Redelivered says that the alert was known already and only counted.
	Redelivered bool
	Verdict     evidence.Classification
}

// Evaluated is a batch with everything that depends on its alerts alone: evidence, entities,
// packed documents. It has no effect and may be thrown away.
type Evaluated struct {
	// Refused are messages that could not be evaluated; they are not part of the batch.
	Refused []Refusal
	offsets []Offset
	items   []*item
}

type item struct {
	msg    *alert.Message
	key    identity
	invID  string
	window time.Time
	folded investigate.Folded
	doc    document
	// failing names sources that should have looked and could not.
	failing []string

	seq         int64 // set in the transaction
	redelivered bool
	known       string // investigation of a redelivered alert
	previous    int64
}

// Evaluate gathers the evidence of a batch. It returns an error only when ctx ended.
func (e *Engine) Evaluate(ctx context.Context, b Batch) (*Evaluated, error) {
	ev := &Evaluated{offsets: slices.Clone(b.Offsets)}
	// Two owners of the same partitions lock their rows in the same order.
	slices.SortFunc(ev.offsets, func(a, b Offset) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	findings, unread, err := e.gather(ctx, b.Messages)
	if err != nil {
		return nil, err
	}
	items, failures := make([]*item, len(b.Messages)), make([]error, len(b.Messages))
	err = parallel.Within(ctx, len(b.Messages), func(i int) error {
		failures[i] = e.guard("", func() (err error) {
			if items[i], err = e.evaluate(b.Messages[i], findings, i); err == nil && unread[i] {
				items[i].folded.Blind = append(items[i].folded.Blind, unreadNote)
				items[i].failing = append(items[i].failing, unreadNote)
			}
			return err
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, err := range failures {
		if err != nil {
			ev.Refused = append(ev.Refused, Refusal{b.Messages[i], err})
		} else {
			ev.items = append(ev.items, items[i])
		}
	}
	crash.Point(crash.AfterEvaluation)
	return ev, nil
}

func (e *Engine) evaluate(m *alert.Message, findings [][]evidence.Finding, i int) (*item, error) {
	a := &m.Alert
	at, note := investigate.FoldTime(a)
	window := investigate.WindowStart(at, e.cfg.Window)
	frame, err := alert.AppendFrame(nil, m)
	if err != nil {
		return nil, err
	}
	quality, missing := alert.Quality(a, len(m.Entities.List))
	if note != "" {
		missing = append(missing, note)
	}
	techniques, quarantined := e.cfg.Taxonomy.Resolve(a.Techniques)
	it := &item{
		msg: m, key: identityOf(a.TenantID, a.Source, a.ID), window: window,
		invID: investigate.ID(a.TenantID, m.Fingerprint, window), doc: e.codec.pack(frame),
		folded: investigate.Folded{
			Severity: a.Severity, Title: a.Title, At: at, Entities: m.Entities.List, Indicators: m.Entities.Indicators,
			Techniques: techniques, Quarantined: quarantined, Links: e.links(a), Missing: missing, Quality: quality,
		},
	}
	for s := range findings {
		f := &findings[s][i]
		if f.Blind != "" {
			it.folded.Blind = append(it.folded.Blind, e.cfg.Sources[s].Name()+": "+f.Blind)
			if !f.Unused {
				it.failing = append(it.failing, e.cfg.Sources[s].Name())
			}
		}
		it.folded.Evidence = append(it.folded.Evidence, f.Items...)
		it.folded.Tallies = append(it.folded.Tallies, e.identified(a, f.Tallies)...)
	}
	e.addTechniques(&it.folded)
	return it, nil
}

// links are the keys of an alert that say something: not those that everybody shares.
func (e *Engine) links(a *alert.Alert) []alert.Link {
	if e.cfg.Org == nil {
		return a.Links
	}
	list := slices.DeleteFunc(slices.Clone(a.Links), func(l alert.Link) bool { return e.cfg.Org.CommonLink(a.TenantID, l.Kind, l.Value) })
	for i := range list {
		list[i].Value = e.cfg.Org.LinkValue(a.TenantID, &list[i], a)
	}
	return list
}

// identified returns tallies with the hosts and accounts in their keys and values named by their
// identities.
func (e *Engine) identified(a *alert.Alert, list []evidence.Tally) []evidence.Tally {
	if e.cfg.Org == nil || len(list) == 0 {
		return list
	}
	list = slices.Clone(list)
	for i := range list {
		t := &list[i]
		parts := strings.Split(t.Key, "\x00")
		for p := range parts {
			parts[p] = e.cfg.Org.Canonical(a.TenantID, parts[p], a)
		}
		t.Key = strings.Join(parts, "\x00")
		if t.Distinct {
			t.Value = e.cfg.Org.Canonical(a.TenantID, t.Value, a)
		}
	}
	return list
}

// addTechniques adds the techniques that evidence speaks of.
func (e *Engine) addTechniques(f *investigate.Folded) {
	for i := range f.Evidence {
		if len(f.Evidence[i].Techniques) == 0 || f.Evidence[i].Weight < 0 {
			continue
		}
		known, unknown := e.cfg.Taxonomy.Resolve(f.Evidence[i].Techniques)
		for _, t := range known {
			t.Confidence = 0.9
			if !slices.ContainsFunc(f.Techniques, func(x investigate.Technique) bool { return x.ID == t.ID }) {
				f.Techniques = append(f.Techniques, t)
			}
		}
		f.Quarantined = append(f.Quarantined, unknown...)
	}
}

// unreadNote says that the sources had no native fields to look into, so that nothing they did
// not find means anything.
const unreadNote = "native record: cannot be read again"

// gather asks every source about the whole batch, all at once. A source that fails or panics
// is blind for this batch; the others are not held up. unread marks alerts whose native record
// the sources could not see.
func (e *Engine) gather(ctx context.Context, msgs []*alert.Message) (findings [][]evidence.Finding, unread []bool, err error) {
	subjects := make([]evidence.Subject, len(msgs))
	unread = make([]bool, len(msgs))
	err = parallel.Within(ctx, len(msgs), func(i int) error {
		a := &msgs[i].Alert
		if a.Fields == nil {
			var fields alert.Fields
			err := e.guard("", func() (err error) {
				fields, err = e.cfg.Fields(a.Source, a.RawPayload)
				return err
			})
			if err != nil {
				e.cfg.Log.Warn("native record cannot be read again", "alert", a.ID, "error", err)
				unread[i] = true
			}
			a.Fields = fields
		}
		subjects[i] = evidence.Subject{Alert: a, Entities: &msgs[i].Entities}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	out := make([][]evidence.Finding, len(e.cfg.Sources))
	var asked sync.WaitGroup
	for s, src := range e.cfg.Sources {
		asked.Go(func() {
			findings, err := safeGather(ctx, src, subjects)
			if err == nil && len(findings) != len(subjects) {
				err = fmt.Errorf("answered %d of %d", len(findings), len(subjects))
			}
			if err != nil {
				findings = blind(len(subjects), err)
			}
			out[s] = findings
		})
	}
	asked.Wait()
	return out, unread, ctx.Err()
}

func safeGather(ctx context.Context, src evidence.Source, subjects []evidence.Subject) (f []evidence.Finding, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("failed inside: %v", p)
		}
	}()
	return src.Gather(ctx, subjects)
}

func blind(n int, err error) []evidence.Finding {
	out := make([]evidence.Finding, n)
	for i := range out {
		out[i].Blind = err.Error()
	}
	return out
}

// Commit writes an evaluated batch in one transaction and returns what became of each message.
// An error means that nothing was written; the same batch may be committed again, but for
// ErrOffsetMoved, which stays. A *RefusedError names the messages that cannot be processed and are not part of it any more.
func (e *Engine) Commit(ctx context.Context, ev *Evaluated) ([]Outcome, error) {
	var outcomes []Outcome
	err := e.update(ctx, func(w *writer) error {
		if err := w.run(ev); err != nil {
			return err
		}
		outcomes = w.outcomes(ev)
		crash.Point(crash.InTransaction)
		return nil
	})
	var content *ContentError
	if errors.As(err, &content) {
		refused, err := e.isolate(ctx, ev, content)
		if err != nil {
			return nil, fmt.Errorf("find what a batch of %d alerts fails by: %w", len(ev.items), err)
		}
		return nil, &RefusedError{refused}
	}
	if err != nil {
		return nil, fmt.Errorf("commit batch of %d alerts: %w", len(ev.items), err)
	}
	crash.Point(crash.AfterCommit)
	if e.cfg.OnCommit != nil {
		e.cfg.OnCommit(outcomes)
	}
	return outcomes, nil
}

// Process evaluates and commits a batch. Messages that cannot be processed are left out and
// named by a *RefusedError beside the outcomes of the others.
func (e *Engine) Process(ctx context.Context, b Batch) ([]Outcome, error) {
	ev, err := e.Evaluate(ctx, b)
	if err != nil {
		return nil, err
	}
	refused := ev.Refused
	for {
		out, err := e.Commit(ctx, ev)
		var more *RefusedError
		switch {
		case errors.As(err, &more):
			refused = append(refused, more.Refused...)
		case err == nil && len(refused) > 0:
			return out, &RefusedError{refused}
		default:
			return out, err
		}
	}
}

// writer is one transaction of the batch path.
type writer struct {
	e    *Engine
	tx   store.Tx
	now  time.Time
	rows map[string]*row
	// touched lists investigations in order of their first alert in the batch.
	touched []string
	dirty   map[string]bool // the same as a set
	journal journal
	// refreshed says that the last relinked investigation has other link evidence now, whatever
	// became of its verdict.
	refreshed bool
	// stale says that the gate of the patterns may not close anything in this transaction.
	stale    bool
	closures []fp.Closure
	shadowed []string // patterns in shadow, once per match
	jobs     []*row   // investigations about which a model is to be asked
}

func (w *writer) run(ev *Evaluated) error {
	// First of all: an owner that was overtaken has to be turned away before its rows meet those
	// of the new one, which would look like a fault of their content.
	if err := w.e.storeOffsets(w.tx, ev.offsets); err != nil {
		return err
	}
	fresh, err := w.identify(ev.items)
	if err != nil {
		return err
	}
	if err := w.load(ev.items, fresh); err != nil {
		return err
	}
	groups := w.group(fresh)
	w.recount(ev.items)
	if err := w.insertAlerts(fresh); err != nil {
		return err
	}
	if err := w.checkPatterns(); err != nil {
		return err
	}
	if err := w.decideAll(groups); err != nil {
		return err
	}
	if err := w.recordPatterns(); err != nil {
		return err
	}
	if err := w.save(); err != nil {
		return err
	}
	return w.send()
}

// identify finds which alerts are new, in the database and within the batch.
func (w *writer) identify(items []*item) (fresh []*item, err error) {
	type known struct {
		seq int64
		inv string
	}
	seen := make(map[identity]known, len(items))
	keys := make([]identity, 0, len(items))
	for _, it := range items {
		keys = append(keys, it.key)
	}
	err = eachIn(w.tx, selectKnown, keys, func(k identity) any { return k[:] }, func(rows store.Rows) error {
		var key []byte
		var k known
		if err := rows.Scan(&key, &k.seq, &k.inv); err != nil {
			return err
		}
		seen[identity(key)] = k
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look up alert identities: %w", err)
	}
	for _, it := range items {
		k, ok := seen[it.key]
		if ok {
			it.redelivered, it.seq, it.known = true, k.seq, k.inv
			continue
		}
		it.redelivered, it.known = false, ""
		seen[it.key] = known{inv: it.invID}
		fresh = append(fresh, it)
	}
	first, err := reserve(w.tx, "alert", len(fresh))
	if err != nil {
		return nil, err
	}
	at := map[identity]int64{}
	for i, it := range fresh {
		it.seq = first + int64(i)
		at[it.key] = it.seq
	}
	for _, it := range items {
		if it.redelivered && it.seq == 0 {
			it.seq = at[it.key]
		}
	}
	return fresh, nil
}

func (w *writer) load(items, fresh []*item) error {
	ids := make([]string, 0, len(items))
	for _, it := range items {
		id := it.invID
		if it.redelivered {
			id = it.known
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	rows, damaged, err := w.e.loadRows(w.tx, ids)
	if err != nil {
		return err
	}
	for _, it := range fresh {
		if why := damaged[it.invID]; why != nil {
			return &ContentError{Investigation: it.invID, Err: why}
		}
	}
	w.rows = rows
	return nil
}

// recount counts alerts that came again, also those whose first is in this very batch.
func (w *writer) recount(items []*item) {
	for _, it := range items {
		if !it.redelivered {
			continue
		}
		if r := w.rows[it.known]; r != nil {
			r.inv.Redelivered++
			w.touch(it.known)
		}
	}
}

func (w *writer) touch(id string) {
	if !w.dirty[id] {
		w.dirty[id] = true
		w.touched = append(w.touched, id)
	}
}

// group assigns the new alerts to their investigations, opening those that do not exist.
func (w *writer) group(fresh []*item) map[string][]*item {
	groups := make(map[string][]*item, len(fresh))
	for _, it := range fresh {
		r := w.rows[it.invID]
		if r == nil {
			r = &row{inv: investigate.Open(&it.msg.Alert, it.msg.Fingerprint, it.window, w.now), first: it.seq}
			r.inv.Degradation = w.e.level()
			w.rows[it.invID] = r
		}
		it.previous, r.last = r.last, it.seq
		groups[it.invID] = append(groups[it.invID], it)
		w.touch(it.invID)
	}
	return groups
}

const (
	insertAlert    = `INSERT INTO alert (seq, investigation, previous, event_time, doc)`
	insertIdentity = `INSERT INTO alert_identity (key, alert)`
)

func (w *writer) insertAlerts(fresh []*item) error {
	docs := make([]document, len(fresh))
	for i, it := range fresh {
		docs[i] = it.doc
	}
	first, err := writeDocs(w.tx, docs)
	if err != nil {
		return fmt.Errorf("store alerts: %w", err)
	}
	err = store.BulkInsert(w.tx, insertAlert, 5, len(fresh), func(i, c int) any {
		it := fresh[i]
		switch c {
		case 0:
			return it.seq
		case 1:
			return it.invID
		case 2:
			if it.previous == 0 {
				return nil
			}
			return it.previous
		case 3:
			return it.folded.At.UnixMicro()
		default:
			return first + int64(i)
		}
	}, "")
	if err != nil {
		return fmt.Errorf("store alerts: %w", err)
	}
	byKey := slices.Clone(fresh)
	slices.SortFunc(byKey, func(a, b *item) int { return slices.Compare(a.key[:], b.key[:]) })
	err = store.BulkInsert(w.tx, insertIdentity, 2, len(byKey), func(i, c int) any {
		if c == 0 {
			return byKey[i].key[:]
		}
		return byKey[i].seq
	}, "")
	if err != nil {
		return fmt.Errorf("store alert identities: %w", err)
	}
	return nil
}

// save writes the touched investigations, in order of their ids: neighbours in the tree are
// then written together.
func (w *writer) save() error {
	rows := make([]*row, 0, len(w.touched))
	for _, id := range w.touched {
		w.rows[id].inv.Version++
		w.rows[id].inv.UpdatedAt = w.now
		rows = append(rows, w.rows[id])
	}
	slices.SortFunc(rows, func(a, b *row) int {
		if a.inv.ID < b.inv.ID {
			return -1
		}
		return 1
	})
	if err := w.e.writeRows(w.tx, rows); err != nil {
		return fmt.Errorf("store investigations: %w", err)
	}
	return w.remember(rows)
}

// send hands the audit events and the results to the outbox.
func (w *writer) send() error {
	var msgs []store.Message
	for _, tenant := range w.journal.tenants() {
		events, err := w.e.cfg.Audit.Emit(w.tx, tenant, w.journal.events[tenant])
		if err != nil {
			return asContent(fmt.Errorf("audit events of %s: %w", tenant, err))
		}
		msgs = append(msgs, events...)
	}
	results, err := w.enriched()
	if err != nil {
		return err
	}
	hints, err := w.queueJobs()
	if err != nil {
		return err
	}
	return w.e.cfg.Outbox.Append(w.tx, slices.Concat(msgs, results, hints)...)
}

func (w *writer) outcomes(ev *Evaluated) []Outcome {
	out := make([]Outcome, len(ev.items))
	for i, it := range ev.items {
		o := &out[i]
		o.Message, o.Redelivered, o.Sequence, o.Investigation = it.msg, it.redelivered, it.seq, it.invID
		if it.redelivered {
			o.Investigation = it.known
		}
		if r := w.rows[o.Investigation]; r != nil {
			o.First = r.first == it.seq
			o.Verdict = r.inv.Verdict.Classification
		}
	}
	return out
}

// moveOffset is a compare-and-swap. It is what keeps a partition from being worked off by two
// consumers: the bus gives a partition to another member of the group when its owner stands
// still, and an owner that wakes up again in the middle of a batch cannot know. Both end in this
// statement; the database lets one of them move the row, and the other rolls back. It has to be
// in the transaction of the work.
const moveOffset = `INSERT INTO consumer_offset (consumer, topic, topic_id, partition, next) VALUES ($1, $2, $3, $4, $5)
	ON CONFLICT (consumer, topic, partition) DO UPDATE SET topic_id = excluded.topic_id, next = excluded.next
	WHERE consumer_offset.next = $6 OR consumer_offset.topic_id <> excluded.topic_id`

func (e *Engine) storeOffsets(tx store.Tx, offsets []Offset) error {
	for _, o := range offsets {
		moved, err := tx.Exec(moveOffset, o.Consumer, o.Topic, o.TopicID[:], o.Partition, o.Next, o.From)
		if err != nil {
			return fmt.Errorf("store offset of %s: %w", o.Topic, err)
		}
		if moved == 0 {
			return fmt.Errorf("%s/%d from %d to %d: %w", o.Topic, o.Partition, o.From, o.Next, ErrOffsetMoved)
		}
	}
	return nil
}

// SetOffset moves one offset outside a batch: where consumption goes on after a reset. Its errors
// are those of a batch.
func (e *Engine) SetOffset(ctx context.Context, o Offset) error {
	return e.db.Update(ctx, func(tx store.Tx) error { return e.storeOffsets(tx, []Offset{o}) })
}

// Offsets returns the stored offsets of a consumer.
func (e *Engine) Offsets(ctx context.Context, consumer string) (out []Offset, err error) {
	err = e.db.View(ctx, func(tx store.Tx) error {
		return query1(tx, `SELECT topic, topic_id, partition, next FROM consumer_offset WHERE consumer = $1`, []any{consumer},
			func(rows store.Rows) error {
				o := Offset{Consumer: consumer}
				var id []byte
				var partition int64
				if err := rows.Scan(&o.Topic, &id, &partition, &o.Next); err != nil {
					return err
				}
				copy(o.TopicID[:], id)
				o.Partition = int32(partition)
				out = append(out, o)
				return nil
			})
	})
	if err != nil {
		return nil, fmt.Errorf("offsets of %s: %w", consumer, err)
	}
	return out, nil
}
