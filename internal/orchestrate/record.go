package orchestrate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/parallel"
)

// ErrNotFound says that there is no such investigation or alert for this tenant.
var ErrNotFound = errors.New("orchestrate: not found")

// ErrDamaged says that stored bytes cannot be read back.
var ErrDamaged = errors.New("orchestrate: stored document is damaged")

// identity is the key under which an alert is known for ever.
type identity [16]byte

func identityOf(tenant, source, alertID string) identity {
	h := sha256.New()
	var n [4]byte
	for _, s := range [...]string{tenant, source, alertID} {
		binary.BigEndian.PutUint32(n[:], uint32(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	return identity(h.Sum(nil)[:16])
}

// codec packs documents; it is safe for concurrent use.
type codec struct {
	enc     *zstd.Encoder
	dec     *zstd.Decoder
	scratch sync.Pool // of *bytes.Buffer
}

// Codecs of a document.
const (
	codecPlain = 0
	codecZstd  = 1
)

// packFrom is the size from which packing pays.
const packFrom = 1 << 10

func newCodec() (*codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, fmt.Errorf("orchestrate: zstd encoder: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, fmt.Errorf("orchestrate: zstd decoder: %w", err)
	}
	return &codec{enc: enc, dec: dec}, nil
}

// document is packed bytes ready to be stored.
type document struct {
	codec int
	bytes []byte
}

func (c *codec) pack(b []byte) document {
	if len(b) < packFrom {
		return document{codecPlain, b}
	}
	return document{codecZstd, c.enc.EncodeAll(b, make([]byte, 0, len(b)/2))}
}

// encode packs the JSON of v, which is built in memory that the next document uses again.
func (c *codec) encode(v any) (document, error) {
	b, _ := c.scratch.Get().(*bytes.Buffer)
	if b == nil {
		b = new(bytes.Buffer)
	}
	defer c.scratch.Put(b)
	b.Reset()
	if err := json.MarshalWrite(b, v); err != nil {
		return document{}, err
	}
	d := c.pack(b.Bytes())
	if d.codec == codecPlain {
		d.bytes = bytes.Clone(d.bytes)
	}
	return d, nil
}

func (c *codec) unpack(kind int, b []byte) ([]byte, error) {
	switch kind {
	case codecPlain:
		return b, nil
	case codecZstd:
		out, err := c.dec.DecodeAll(b, nil)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return out, nil
	}
	return nil, fmt.Errorf("%w: codec %d", ErrDamaged, kind)
}

// row is the narrow part of an investigation with what only the store knows.
type row struct {
	inv         *investigate.Investigation
	first, last int64  // alerts
	title       string // as it was stored; empty for one that is not stored yet
}

const (
	reserveSQL = `UPDATE counter SET value = value + $1 WHERE name = $2 RETURNING value`
	insertDoc  = `INSERT INTO doc (id, codec, bytes)`
	insertRow  = `INSERT INTO investigation (id, tenant, state, wait_reason, classification, severity, probability,
	alerts, redelivered, version, first_alert, last_alert, doc, created_at, updated_at, own_bits, wake_at, overdue)`
	upsertRow = `ON CONFLICT (id) DO UPDATE SET state = excluded.state, wait_reason = excluded.wait_reason,
	classification = excluded.classification, severity = excluded.severity, probability = excluded.probability,
	alerts = excluded.alerts, redelivered = excluded.redelivered, version = excluded.version, last_alert = excluded.last_alert,
	doc = excluded.doc, updated_at = excluded.updated_at, own_bits = excluded.own_bits, wake_at = excluded.wake_at, overdue = excluded.overdue, set_aside = NULL`
)

// reserve returns the first of n fresh numbers.
func reserve(tx store.Tx, name string, n int) (int64, error) {
	var last int64
	if err := tx.QueryRow(reserveSQL, n, name).Scan(&last); err != nil {
		return 0, fmt.Errorf("reserve %s numbers: %w", name, err)
	}
	return last - int64(n) + 1, nil
}

// writeDocs stores documents and returns the number of the first; they are consecutive.
func writeDocs(tx store.Tx, docs []document) (int64, error) {
	if len(docs) == 0 {
		return 0, nil
	}
	first, err := reserve(tx, "doc", len(docs))
	if err != nil {
		return 0, err
	}
	err = store.BulkInsert(tx, insertDoc, 3, len(docs), func(r, c int) any {
		switch c {
		case 0:
			return first + int64(r)
		case 1:
			return docs[r].codec
		default:
			return docs[r].bytes
		}
	}, "")
	return first, err
}

// writeRows stores investigations with their documents.
func (e *Engine) writeRows(tx store.Tx, rows []*row) error {
	docs := make([]document, len(rows))
	err := parallel.For(len(rows), func(i int) error {
		var err error
		if docs[i], err = e.codec.encode(rows[i].inv); err != nil {
			return &ContentError{rows[i].inv.ID, fmt.Errorf("encode: %w", err)}
		}
		return nil
	})
	if err != nil {
		return err
	}
	first, err := writeDocs(tx, docs)
	if err != nil {
		return err
	}
	return store.BulkInsert(tx, insertRow, 18, len(rows), func(i, c int) any {
		r := rows[i]
		switch c {
		case 0:
			return r.inv.ID
		case 1:
			return r.inv.TenantID
		case 2:
			return string(r.inv.State)
		case 3:
			return string(r.inv.WaitReason)
		case 4:
			return string(r.inv.Verdict.Classification)
		case 5:
			return int64(r.inv.Verdict.Severity)
		case 6:
			return int64(math.Round(r.inv.Verdict.Probability * 1e6))
		case 7:
			return int64(r.inv.Alerts)
		case 8:
			return int64(r.inv.Redelivered)
		case 9:
			return r.inv.Version
		case 10:
			return r.first
		case 11:
			return r.last
		case 12:
			return first + int64(i)
		case 13:
			return r.inv.CreatedAt.UnixMicro()
		case 14:
			return r.inv.UpdatedAt.UnixMicro()
		case 15:
			return bitsOf(r.inv.OwnBits)
		case 16:
			if r.inv.WakeAt.IsZero() {
				return nil
			}
			return r.inv.WakeAt.UnixMicro()
		default:
			return r.inv.Overdue
		}
	}, upsertRow)
}

// inSize is how many keys one IN list takes; shorter lists repeat their last key, so that few
// statement texts exist.
const inSize = 50

// inList completes a query that ends in "IN (" for inSize keys numbered from from.
func inList(query string, from int) string {
	var b strings.Builder
	b.WriteString(query)
	for i := range inSize {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "$%d", from+i)
	}
	b.WriteByte(')')
	return b.String()
}

// eachIn runs the query once per inSize keys.
func eachIn[K any](tx store.Tx, query string, keys []K, arg func(K) any, scan func(store.Rows) error) error {
	args := make([]any, inSize)
	for len(keys) > 0 {
		n := min(inSize, len(keys))
		for i := range args {
			args[i] = arg(keys[min(i, n-1)])
		}
		keys = keys[n:]
		if err := query1(tx, query, args, scan); err != nil {
			return err
		}
	}
	return nil
}

func query1(tx store.Tx, query string, args []any, scan func(store.Rows) error) (err error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

var (
	selectRows  = inList(`SELECT i.id, i.first_alert, i.last_alert, i.set_aside IS NOT NULL, COALESCE(d.codec, -1), d.bytes FROM investigation i LEFT JOIN doc d ON d.id = i.doc WHERE i.id IN (`, 1)
	selectKnown = inList(`SELECT k.key, k.alert, a.investigation FROM alert_identity k JOIN alert a ON a.seq = k.alert WHERE k.key IN (`, 1)
)

// loadRows reads the investigations that exist among the ids; damaged says why some of them
// cannot be read.
func (e *Engine) loadRows(tx store.Tx, ids []string) (out map[string]*row, damaged map[string]error, err error) {
	out = make(map[string]*row, len(ids))
	err = eachIn(tx, selectRows, ids, func(s string) any { return s }, func(rows store.Rows) error {
		var (
			r     row
			id    string
			aside bool
			kind  int
			b     []byte
		)
		if err := rows.Scan(&id, &r.first, &r.last, &aside, &kind, &b); err != nil {
			return err
		}
		inv, err := e.decode(kind, b)
		if err == nil && inv.ID != id {
			err = fmt.Errorf("%w: it is that of %q", ErrDamaged, inv.ID)
		}
		if err != nil {
			if damaged == nil {
				damaged = map[string]error{}
			}
			damaged[id] = err
			return nil
		}
		if aside {
			inv.State, inv.WaitReason, inv.WaitWhy = investigate.Failed, investigate.WaitNone, nil
			inv.StopClock()
		}
		r.inv, r.title = inv, inv.Title
		out[id] = &r
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("load investigations: %w", err)
	}
	return out, damaged, nil
}

func (e *Engine) decode(kind int, b []byte) (*investigate.Investigation, error) {
	b, err := e.codec.unpack(kind, b)
	if err != nil {
		return nil, err
	}
	inv := new(investigate.Investigation)
	if err := json.Unmarshal(b, inv); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return inv, nil
}

// Location says where an alert went.
type Location struct {
	Investigation string
	Sequence      int64
	// First says that the alert opened the investigation.
	First bool
}

// Locate finds an alert by its identity; ErrNotFound when it was never accepted.
func (e *Engine) Locate(ctx context.Context, tenant, source, alertID string) (loc Location, err error) {
	key := identityOf(tenant, source, alertID)
	err = e.db.View(ctx, func(tx store.Tx) error { // a key does not say whose it is
		return tx.QueryRow(`SELECT alert FROM alert_identity WHERE key = $1`, key[:]).Scan(&loc.Sequence)
	})
	if err == nil {
		err = e.db.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
			return tx.QueryRow(`SELECT investigation, previous IS NULL FROM alert WHERE seq = $1`, loc.Sequence).Scan(&loc.Investigation, &loc.First)
		})
	}
	if errors.Is(err, store.ErrNoRows) {
		return Location{}, fmt.Errorf("%w: alert %q of %s", ErrNotFound, alertID, source)
	}
	return loc, err
}

// Get loads one investigation of the tenant.
func (e *Engine) Get(ctx context.Context, tenant, id string) (inv *investigate.Investigation, err error) {
	err = e.db.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		r, err := e.loadOne(tx, tenant, id)
		if err != nil {
			return err
		}
		inv = r.inv
		return nil
	})
	if err == nil {
		err = e.addRisk(ctx, inv)
	}
	if err != nil {
		return nil, err
	}
	return inv, nil
}

// addRisk looks up what weighs on the hosts and accounts of an investigation. Risk is kept under
// hashes, which do not say whose they are, so no transaction of a tenant sees it.
func (e *Engine) addRisk(ctx context.Context, inv *investigate.Investigation) error {
	return e.db.View(ctx, func(tx store.Tx) error {
		_, err := e.lookUpRisk(tx, inv)
		return err
	})
}

func (e *Engine) loadOne(tx store.Tx, tenant, id string) (*row, error) {
	rows, damaged, err := e.loadRows(tx, []string{id})
	if err != nil {
		return nil, err
	}
	if why := damaged[id]; why != nil {
		var owner string
		if err := tx.QueryRow(`SELECT tenant FROM investigation WHERE id = $1`, id).Scan(&owner); err != nil || owner == tenant {
			return nil, errors.Join(fmt.Errorf("investigation %s: %w", id, why), err)
		}
	}
	r := rows[id]
	if r == nil || r.inv.TenantID != tenant {
		return nil, fmt.Errorf("%w: investigation %q", ErrNotFound, id)
	}
	return r, nil
}

// Alerts calls fn for the alerts of an investigation, newest first, until fn returns false.
func (e *Engine) Alerts(ctx context.Context, tenant, id string, fn func(*alert.Message) bool) error {
	return e.db.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		r, err := e.loadOne(tx, tenant, id)
		if err != nil {
			return err
		}
		for next := r.last; next != 0; {
			m, previous, err := e.alertAt(tx, next)
			if err != nil {
				return err
			}
			if !fn(m) {
				return nil
			}
			next = previous
		}
		return nil
	})
}

func (e *Engine) alertAt(tx store.Tx, seq int64) (m *alert.Message, previous int64, err error) {
	var (
		prev *int64
		kind int
		b    []byte
	)
	err = tx.QueryRow(`SELECT a.previous, d.codec, d.bytes FROM alert a JOIN doc d ON d.id = a.doc WHERE a.seq = $1`, seq).Scan(&prev, &kind, &b)
	if errors.Is(err, store.ErrNoRows) {
		return nil, 0, fmt.Errorf("%w: alert %d", ErrNotFound, seq)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("alert %d: %w", seq, err)
	}
	if b, err = e.codec.unpack(kind, b); err != nil {
		return nil, 0, fmt.Errorf("alert %d: %w", seq, err)
	}
	if m, err = alert.DecodeFrame(b); err != nil {
		return nil, 0, fmt.Errorf("alert %d: %w", seq, err)
	}
	if prev != nil {
		previous = *prev
	}
	return m, previous, nil
}

// Summary is a line of the queue.
type Summary struct {
	ID             string    `json:"id"`
	State          string    `json:"state"`
	WaitReason     string    `json:"wait_reason,omitempty"`
	Classification string    `json:"classification"`
	Severity       string    `json:"severity"`
	Probability    float64   `json:"malicious_probability"`
	Alerts         int       `json:"alerts"`
	Version        int64     `json:"version"`
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
	// Overdue says that a person was waited for longer than allowed.
	Overdue bool `json:"overdue,omitempty"`
	// RiskState and RiskBits are those of its hosts and accounts; only the queue has them.
	RiskState string  `json:"risk_state,omitempty"`
	RiskBits  float64 `json:"risk_bits,omitempty"`
	sequence  int64
	severity  alert.Severity
}

// Filter selects investigations of a tenant. Empty fields select everything.
type Filter struct {
	State          investigate.State
	WaitReason     investigate.WaitReason
	Classification string
	// Urgent lists the queue of people instead of everything, newest first: see queue.
	Urgent bool
	// Before continues a listing: the cursor that the page before returned.
	Before int64
	// Limit is at most 500; 0 means 50.
	Limit int
}

// List returns investigations, newest first, and the cursor for the next page, 0 at the end.
func (e *Engine) List(ctx context.Context, tenant string, f Filter) (out []Summary, next int64, err error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	f.Limit = min(f.Limit, 500)
	if f.Urgent {
		return e.queue(ctx, tenant, f)
	}
	if f.Before <= 0 {
		f.Before = math.MaxInt64
	}
	states := []investigate.State{f.State}
	if f.State == "" {
		states = investigate.States()
	}
	err = e.db.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		for _, s := range states {
			err := query1(tx, selectSummary+`WHERE tenant = $1 AND state = $2 AND first_alert < $3
				AND ($4 = '' OR wait_reason = $4) AND ($5 = '' OR classification = $5) ORDER BY first_alert DESC LIMIT $6`,
				[]any{tenant, string(s), f.Before, string(f.WaitReason), f.Classification, f.Limit + 1},
				func(rows store.Rows) error { return scanSummary(rows, &out) })
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list investigations: %w", err)
	}
	sortSummaries(out)
	if len(out) > f.Limit {
		out = out[:f.Limit]
		next = out[f.Limit-1].sequence
	}
	return out, next, nil
}

// Alert loads one accepted alert by its sequence number.
func (e *Engine) Alert(ctx context.Context, tenant string, sequence int64) (m *alert.Message, err error) {
	err = e.db.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		m, _, err = e.alertAt(tx, sequence)
		return err
	})
	if err == nil && m.Alert.TenantID != tenant {
		return nil, fmt.Errorf("%w: alert %d", ErrNotFound, sequence)
	}
	return m, err
}
