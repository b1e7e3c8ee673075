package store

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
)

// The table of the outbox; the migration that creates an owner's schema contains one of
// these texts. The primary key never reuses a number.
const (
	OutboxSQLite = `CREATE TABLE outbox (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT,
	topic      TEXT    NOT NULL,
	key        BLOB,
	tenant     TEXT    NOT NULL,
	payload    BLOB    NOT NULL,
	created_at INTEGER NOT NULL
);`
	OutboxPostgres = `CREATE TABLE outbox (
	seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	topic      TEXT   NOT NULL,
	key        BYTEA,
	tenant     TEXT   NOT NULL,
	payload    BYTEA  NOT NULL,
	created_at BIGINT NOT NULL
);`
)

// OutboxDDL returns the statement that creates the table of the outbox.
func OutboxDDL(d Dialect) string {
	if d == Postgres {
		return OutboxPostgres
	}
	return OutboxSQLite
}

// MaxPayload is the largest payload of a Message in bytes; larger content is split by the
// caller or goes to the object store first.
const MaxPayload = 512 << 10

// ErrMessage wraps the refusal of a message by Outbox.Append: it has no topic or is too large.
var ErrMessage = errors.New("store: message does not fit the outbox")

// Bounds of what waits in memory between commit and relay. Beyond them the rows are
// forgotten and the relay reads the table.
const (
	defaultQueueRows = 1024
	queueBytes       = 32 << 20
)

// deleteSpans bounds the DELETE statements that one Append adds to its transaction.
const deleteSpans = 32

const (
	insertOutbox = `INSERT INTO outbox (topic, key, tenant, payload, created_at) VALUES ($1, $2, $3, $4, $5) RETURNING seq`
	deleteOutbox = `DELETE FROM outbox WHERE seq BETWEEN $1 AND $2`
)

// Message is what is to be published once its transaction has committed.
type Message struct {
	Topic   string
	Key     []byte // order is kept among messages of equal topic and key
	Tenant  string
	Payload []byte // at most MaxPayload bytes
}

// Outgoing is a committed message on its way to the bus.
type Outgoing struct {
	Seq int64 // number of the row; ascends with the commits of one key's owner
	Message
	created int64 // microseconds UTC
}

// Outbox writes messages into the table "outbox" inside the transaction of their cause and
// hands them to the Relay after the commit. It is safe for concurrent use.
type Outbox struct {
	clock   clock.Clock
	maxRows int
	wake    chan struct{} // holds one token while there is something to look at

	mu       sync.Mutex
	shared   bool       // other processes write the table as well: only a signal is handed over
	queue    []Outgoing // committed, not yet taken by the relay
	bytes    int        // payload bytes in queue
	overflow bool       // rows were forgotten; the relay must read the table
	acked    spans      // published, still in the table
	pending  int        // committed and not published, as far as is known
	counted  int64      // highest number of which pending took stock by reading the table
	counting bool       // a reading of the table is under way
	since    []int64    // numbers handed over while it is
	oldest   int64      // creation of the oldest row in work or forgotten, 0 when there is none
}

// NewOutbox returns an outbox whose hand-over queue holds at most rows rows; 0 means 1,024.
func NewOutbox(clk clock.Clock, rows int) *Outbox {
	if rows <= 0 {
		rows = defaultQueueRows
	}
	return &Outbox{clock: clk, maxRows: rows, wake: make(chan struct{}, 1)}
}

// Append stores msgs in tx, to be published after its commit in the order given, and deletes
// rows that were published meanwhile. Key and Payload belong to the outbox from now on. It
// fails with ErrMessage before anything is written when a message does not fit.
func (o *Outbox) Append(tx Tx, msgs ...Message) error {
	for i, m := range msgs {
		if m.Topic == "" {
			return fmt.Errorf("%w: message %d has no topic", ErrMessage, i)
		}
		if len(m.Payload) > MaxPayload {
			return fmt.Errorf("%w: message %d for %s has %d bytes, at most %d are allowed: split it or store it as an object",
				ErrMessage, i, m.Topic, len(m.Payload), MaxPayload)
		}
	}
	// Where transactions run side by side, two that delete the same rows would abort each other.
	if !o.isShared() {
		if err := o.deleteAcked(tx, deleteSpans); err != nil {
			return err
		}
	}
	if len(msgs) == 0 {
		return nil
	}
	now := o.clock.Now().UnixMicro()
	rows := make([]Outgoing, len(msgs))
	for i, m := range msgs {
		if m.Payload == nil {
			m.Payload = []byte{}
		}
		rows[i] = Outgoing{Message: m, created: now}
		if err := tx.QueryRow(insertOutbox, m.Topic, m.Key, m.Tenant, m.Payload, now).Scan(&rows[i].Seq); err != nil {
			return fmt.Errorf("append to outbox for %s: %w", m.Topic, err)
		}
	}
	tx.OnCommit(func() { o.handOver(rows) })
	return nil
}

// deleteAcked deletes up to limit ranges of published rows; they are forgotten only when tx
// commits, so a rollback leaves them for the next transaction.
func (o *Outbox) deleteAcked(tx Tx, limit int) error {
	o.mu.Lock()
	doomed := append(spans(nil), o.acked[:min(limit, len(o.acked))]...)
	o.mu.Unlock()
	if len(doomed) == 0 {
		return nil
	}
	for _, r := range doomed {
		if _, err := tx.Exec(deleteOutbox, r.lo, r.hi); err != nil {
			return fmt.Errorf("delete published outbox rows %d to %d: %w", r.lo, r.hi, err)
		}
	}
	tx.OnCommit(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, r := range doomed {
			o.acked = o.acked.remove(r)
		}
	})
	return nil
}

// handOver runs after the commit. Rows that a reading of the table has already published
// are left out.
func (o *Outbox) handOver(rows []Outgoing) {
	o.mu.Lock()
	for _, m := range rows {
		if o.acked.contains(m.Seq) {
			continue
		}
		if m.Seq > o.counted {
			o.pending++
		}
		if o.counting {
			o.since = append(o.since, m.Seq)
		}
		if o.shared {
			continue
		}
		if !o.overflow && (len(o.queue) >= o.maxRows || o.bytes+len(m.Payload) > queueBytes) {
			o.forget()
		}
		if o.overflow {
			continue
		}
		o.queue = append(o.queue, m)
		o.bytes += len(m.Payload)
	}
	o.mu.Unlock()
	o.signal()
}

// share says that other processes write the table as well. A row that is handed over here could
// overtake one of its key that another process committed before, so rows come from the table.
func (o *Outbox) share() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shared = true
}

func (o *Outbox) isShared() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.shared
}

// observe notes what the table holds, for a process that does not empty it.
func (o *Outbox) observe(rows int, highest, oldest int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.count(rows, highest)
	o.oldest = oldest
}

// startStock comes before the table is read for takeStock or observe: what is handed over from
// here on may be missing in what the reading finds.
func (o *Outbox) startStock() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.counting, o.since = true, o.since[:0]
}

// count takes over what a reading found and adds what came after it; mu is held.
func (o *Outbox) count(rows int, highest int64) {
	o.pending, o.counted, o.counting = rows, highest, false
	for _, seq := range o.since {
		if seq > highest {
			o.pending++
		}
	}
}

// forget drops the queue; mu is held.
func (o *Outbox) forget() {
	if len(o.queue) > 0 && o.oldest == 0 {
		o.oldest = o.queue[0].created
	}
	o.queue, o.bytes, o.overflow = nil, 0, true
}

func (o *Outbox) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take returns everything that is queued; overflow says that the table must be read instead.
func (o *Outbox) take() (batch []Outgoing, overflow bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.overflow {
		return nil, true
	}
	batch, o.queue, o.bytes = o.queue, nil, 0
	o.begin(batch)
	return batch, false
}

// begin notes that batch is in work; mu is held.
func (o *Outbox) begin(batch []Outgoing) {
	if len(batch) > 0 && (o.oldest == 0 || batch[0].created < o.oldest) {
		o.oldest = batch[0].created
	}
}

// startScan empties the queue: whatever was handed over is committed and hence in the table.
func (o *Outbox) startScan() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) > 0 {
		o.begin(o.queue[:1])
	}
	o.queue, o.bytes, o.overflow = nil, 0, false
}

// takeStock tells how many rows the table held when a scan began and the highest number of
// them. Rows that were committed by then and are handed over later are not counted twice.
func (o *Outbox) takeStock(rows int, highest int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.count(rows, highest)
}

// unpublished removes the rows from page that are published already and marks the rest as
// in work.
func (o *Outbox) unpublished(page []Outgoing) []Outgoing {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := page[:0]
	for _, m := range page {
		if !o.acked.contains(m.Seq) {
			kept = append(kept, m)
		}
	}
	o.begin(kept)
	return kept
}

// endScan notes that the table held nothing that is unpublished.
func (o *Outbox) endScan() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.overflow {
		o.pending = len(o.queue)
		o.oldest = 0
	}
}

// ack notes that batch is published, also for copies of its rows that still wait in the queue.
func (o *Outbox) ack(batch []Outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, m := range batch {
		o.acked = o.acked.add(m.Seq)
	}
	o.pending = max(0, o.pending-len(batch))
	o.oldest = 0
	kept := o.queue[:0]
	for _, m := range o.queue {
		if o.acked.contains(m.Seq) {
			o.bytes -= len(m.Payload)
			continue
		}
		kept = append(kept, m)
	}
	clear(o.queue[len(kept):])
	o.queue = kept
}

// dirty tells whether published rows are still in the table.
func (o *Outbox) dirty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.acked) > 0
}

// lag returns the number of rows that wait and the age of the oldest.
func (o *Outbox) lag() (rows int, age time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	oldest := o.oldest
	if len(o.queue) > 0 && (oldest == 0 || o.queue[0].created < oldest) {
		oldest = o.queue[0].created
	}
	if oldest != 0 {
		age = max(0, o.clock.Now().Sub(time.UnixMicro(oldest)))
	}
	return o.pending, age
}
