package auditlog

import (
	"encoding/binary"
	"fmt"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// Batch collects the audit events of one transaction before it begins, so that encoding does
// not lengthen it. Events of a tenant keep their order. The zero value is not usable; take
// Emitter.NewBatch. A Batch is not safe for concurrent use.
type Batch struct {
	origin  string
	tenants []*pendingTenant // in order of appearance
	events  int
}

type pendingTenant struct {
	tenant string
	chunks []chunk
}

// chunk is one message without its numbers and checksum.
type chunk struct {
	bytes  []byte
	events int64
}

// Add encodes e as the next event of tenant. It fails with audit.ErrTenant or audit.ErrEvent
// and then adds nothing.
func (b *Batch) Add(tenant string, e *audit.Event) error {
	p, err := b.of(tenant)
	if err != nil {
		return err
	}
	c := &p.chunks[len(p.chunks)-1]
	begin := len(c.bytes)
	out, err := e.AppendWire(append(c.bytes, 0, 0, 0, 0))
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint32(out[begin:], uint32(len(out)-begin-4))
	b.events++
	if len(out)+sumSize <= maxMessage {
		c.bytes, c.events = out, c.events+1
		return nil
	}
	// An event has at most audit.MaxEvent bytes, half a message, so it fits an empty one.
	next := appendHead(nil, b.origin, tenant)
	p.chunks = append(p.chunks, chunk{append(next, out[begin:]...), 1})
	return nil
}

func (b *Batch) of(tenant string) (*pendingTenant, error) {
	for _, p := range b.tenants {
		if p.tenant == tenant {
			return p, nil
		}
	}
	if err := audit.CheckTenant(tenant); err != nil {
		return nil, err
	}
	p := &pendingTenant{tenant: tenant, chunks: []chunk{{bytes: appendHead(nil, b.origin, tenant)}}}
	b.tenants = append(b.tenants, p)
	return p, nil
}

// Len returns the number of events.
func (b *Batch) Len() int { return b.events }

// Ticket names the last event of a batch for one tenant. Its events are durable in the chain
// once Service.OnAppended has reported this number, or a higher one, of the emitter's origin.
type Ticket struct {
	Tenant string
	Seq    int64
}

// Emitter turns batches into numbered messages. It is safe for concurrent use.
type Emitter struct{ origin string }

// NewEmitter returns the emitter of a producer; origin is the id of its database
// (store.DB.Origin) and has 1 to 128 bytes.
func NewEmitter(origin string) (*Emitter, error) {
	if origin == "" || len(origin) > maxOrigin {
		return nil, fmt.Errorf("auditlog: origin of %d bytes; 1 to %d are allowed", len(origin), maxOrigin)
	}
	return &Emitter{origin: origin}, nil
}

// Origin returns the name under which the service counts this emitter's events.
func (e *Emitter) Origin() string { return e.origin }

// NewBatch returns an empty batch for this emitter.
func (e *Emitter) NewBatch() *Batch { return &Batch{origin: e.origin} }

const nextSequence = `INSERT INTO audit_sequence (tenant, last_seq) VALUES ($1, $2)
ON CONFLICT (tenant) DO UPDATE SET last_seq = audit_sequence.last_seq + excluded.last_seq RETURNING last_seq`

// Emit numbers the events of b in tx and returns the messages for the outbox, each of at most
// store.MaxPayload bytes, in order. The numbers are free of gaps because they commit or vanish
// with tx. Emit may be called again with the same batch when the transaction is run again;
// after the commit the batch is used up, since its memory belongs to the messages.
func (e *Emitter) Emit(tx store.Tx, b *Batch) ([]store.Message, []Ticket, error) {
	if b.origin != e.origin {
		return nil, nil, fmt.Errorf("auditlog: the batch was made for origin %q, not %q", b.origin, e.origin)
	}
	var msgs []store.Message
	var tickets []Ticket
	for _, p := range b.tenants {
		count := int64(0)
		for _, c := range p.chunks {
			count += c.events
		}
		if count == 0 {
			continue
		}
		var last int64
		if err := tx.QueryRow(nextSequence, p.tenant, count).Scan(&last); err != nil {
			return nil, nil, fmt.Errorf("auditlog: number %d events of %s: %w", count, p.tenant, err)
		}
		next := last - count + 1
		for _, c := range p.chunks {
			if c.events == 0 {
				continue
			}
			payload := finish(c.bytes, next, next+c.events-1)
			next += c.events
			msgs = append(msgs, store.Message{Topic: Topic, Key: []byte(p.tenant), Tenant: p.tenant, Payload: payload})
		}
		tickets = append(tickets, Ticket{p.tenant, last})
	}
	return msgs, tickets, nil
}
