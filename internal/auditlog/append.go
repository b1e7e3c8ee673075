package auditlog

import (
	"errors"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// service is the source of the records that the audit-service writes of its own.
const service = "audit-service"

// errHeadMoved says that another writer appended to the chain since its head was read.
var errHeadMoved = errors.New("auditlog: head moved")

const (
	sequenceBits = 40
	slotBits     = 16
	slotShift    = sequenceBits - slotBits // bits of the sequence that a slot keeps
	maxTenants   = 1 << (63 - sequenceBits)

	arenaSize  = 256 << 10
	arenaSpare = 4 << 10 // enough for an ordinary record; a larger one only costs a copy
)

// rowID is the key of a record.
func rowID(tenantNo, sequence int64) int64 { return tenantNo<<sequenceBits | sequence }

// slotOf is the part of audit_ref that a record's reference lies in.
func slotOf(tenantNo, sequence int64) int64 { return tenantNo<<slotShift | sequence>>slotBits }

// investigationKey is the number under which audit_ref knows an investigation: FNV-1a, 64 bits.
// Two investigations may share one; readers compare the id inside the record.
func investigationKey(id string) int64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(id); i++ {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return int64(h)
}

// appending is one transaction that appends.
type appending struct {
	s       *Service
	tx      store.Tx
	now     int64
	arena   []byte // the bytes of the records that are sealed
	chains  map[string]*chainState
	order   []*chainState
	origins map[originKey]*originState
	touched []originKey // in order of appearance
	rejects []stored
	refused []Refusal
}

type originKey struct{ origin, tenant string }

type originState struct {
	last  int64
	moved bool
}

type chainState struct {
	no      int64
	fresh   bool // has no row in audit_head yet
	old     audit.Head
	chain   *audit.Chain
	tree    audit.Tree
	records []audit.Record
	refs    map[int64]*span
	broken  error
}

// span is where the records of an investigation lie in this append.
type span struct{ inv, first, last int64 }

func newAppending(s *Service, tx store.Tx) *appending {
	return &appending{
		s: s, tx: tx, now: s.cfg.Clock.Now().UnixMicro(),
		chains: map[string]*chainState{}, origins: map[originKey]*originState{},
	}
}

// message seals what is new in a message.
func (a *appending) message(index int, w *work) error {
	if w.msg.Origin == "" {
		return a.orphan(index, w.whole)
	}
	m := &w.msg
	last, err := a.origin(m.Origin, m.Tenant)
	if err != nil {
		return err
	}
	if m.To <= last {
		return nil
	}
	if m.From > last+1 {
		a.refused = append(a.refused, Refusal{index, &OriginGapError{Origin: m.Origin, Tenant: m.Tenant, Last: last, From: m.From}})
		return nil
	}
	c, err := a.chain(m.Tenant)
	if err != nil {
		return err
	}
	if c.broken != nil {
		a.refused = append(a.refused, Refusal{index, c.broken})
		return nil
	}
	if w.whole != nil {
		if err := a.sealRejection(c, *w.whole); err != nil {
			return err
		}
		a.move(m.Origin, m.Tenant, m.To)
		return nil
	}
	for i := last + 1 - m.From; i < int64(len(m.Events)); i++ {
		if r, bad := w.rejects[int(i)]; bad {
			err = a.sealRejection(c, r)
		} else {
			err = a.seal(c, &m.Events[i].View)
		}
		if err != nil {
			return err
		}
	}
	a.move(m.Origin, m.Tenant, m.To)
	return nil
}

func (a *appending) seal(c *chainState, v *audit.View) (err error) {
	if cap(a.arena)-len(a.arena) < arenaSpare {
		a.arena = make([]byte, 0, arenaSize) // the full one lives on in its records
	}
	var r audit.Record
	if a.arena, r, err = c.chain.Seal(a.arena, v, a.now); err != nil {
		return err
	}
	c.add(r)
	if v.InvestigationID == "" {
		return nil
	}
	inv := investigationKey(v.InvestigationID)
	if s := c.refs[inv]; s != nil {
		s.last = r.Sequence
		return nil
	}
	c.refs[inv] = &span{inv, r.Sequence, r.Sequence}
	return nil
}

func (c *chainState) add(r audit.Record) {
	c.records = append(c.records, r)
	c.tree.Append(audit.LeafHash(r.Bytes))
}

// origin returns the last number of an origin that is in the chain of tenant.
func (a *appending) origin(origin, tenant string) (int64, error) {
	key := originKey{origin, tenant}
	if o := a.origins[key]; o != nil {
		return o.last, nil
	}
	o := &originState{}
	err := a.tx.QueryRow(`SELECT last_seq FROM audit_origin WHERE origin = $1 AND tenant = $2`, origin, tenant).Scan(&o.last)
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return 0, err
	}
	a.origins[key] = o
	a.touched = append(a.touched, key)
	return o.last, nil
}

func (a *appending) move(origin, tenant string, last int64) {
	o := a.origins[originKey{origin, tenant}]
	o.last, o.moved = last, true
}

// notes says what is durable once the transaction is.
func (a *appending) notes() []Appended {
	var out []Appended
	for _, key := range a.touched {
		n := Appended{Tenant: key.tenant, Origin: key.origin, Seq: a.origins[key].last, Head: audit.NoHead}
		if c := a.chains[key.tenant]; c != nil {
			n.Head = c.chain.Head()
		}
		if n.Seq > 0 {
			out = append(out, n)
		}
	}
	return out
}
