package auditlog

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// chain returns the chain of tenant, with its genesis sealed when it is new.
func (a *appending) chain(tenant string) (*chainState, error) {
	if c := a.chains[tenant]; c != nil {
		return c, nil
	}
	c := &chainState{refs: map[int64]*span{}}
	if err := a.number(c, tenant); err != nil {
		return nil, err
	}
	if err := a.head(c, tenant); err != nil {
		return nil, err
	}
	var err error
	if c.chain, err = audit.NewChain(tenant, c.old); err != nil {
		return nil, err
	}
	if c.fresh && c.broken == nil {
		var r audit.Record
		if a.arena, r, err = c.chain.SealGenesis(a.arena, a.now); err != nil {
			return nil, err
		}
		c.add(r)
	}
	a.chains[tenant] = c
	a.order = append(a.order, c)
	return c, nil
}

// number finds or gives the number of tenant.
func (a *appending) number(c *chainState, tenant string) error {
	err := a.tx.QueryRow(`SELECT no FROM audit_tenant WHERE tenant = $1`, tenant).Scan(&c.no)
	if !errors.Is(err, store.ErrNoRows) {
		return err
	}
	const add = `INSERT INTO audit_tenant (no, tenant) SELECT COALESCE(MAX(no), 0) + 1, $1 FROM audit_tenant RETURNING no`
	if err := a.tx.QueryRow(add, tenant).Scan(&c.no); err != nil {
		if errors.Is(err, store.ErrConstraint) {
			return errHeadMoved // another writer gave the number
		}
		return err
	}
	if c.no >= maxTenants {
		return fmt.Errorf("%d tenants: at most %d have room in the keys", c.no, maxTenants-1)
	}
	return nil
}

// head reads the head and, the first time, compares it with the records.
func (a *appending) head(c *chainState, tenant string) error {
	var hash, tree []byte
	err := a.tx.QueryRow(`SELECT sequence, hash, tree FROM audit_head WHERE tenant_no = $1`, c.no).Scan(&c.old.Sequence, &hash, &tree)
	switch {
	case errors.Is(err, store.ErrNoRows):
		c.fresh, c.old = true, audit.NoHead
	case err != nil:
		return err
	case len(hash) != len(c.old.Hash):
		c.broken = &ChainBrokenError{tenant, "the head has no hash"}
		return nil
	default:
		c.old.Hash = audit.Hash(hash)
		if err := c.tree.UnmarshalBinary(tree); err != nil || c.tree.Size() != c.old.Sequence+1 {
			c.broken = &ChainBrokenError{tenant, "the head has no tree of its size"}
			return nil
		}
	}
	if a.s.isVerified(tenant) {
		return nil
	}
	return a.checkTail(c, tenant)
}

// checkTail compares the head with the last record: a head that does not belong to it would
// continue another chain.
func (a *appending) checkTail(c *chainState, tenant string) error {
	var id int64
	var content, hash []byte
	err := a.tx.QueryRow(`SELECT id, bytes, hash FROM audit_record WHERE id BETWEEN $1 AND $2 ORDER BY id DESC LIMIT 1`,
		rowID(c.no, 0), rowID(c.no, audit.MaxSequence)).Scan(&id, &content, &hash)
	if errors.Is(err, store.ErrNoRows) {
		if !c.fresh {
			c.broken = &ChainBrokenError{tenant, fmt.Sprintf("the head is %d and there are no records", c.old.Sequence)}
		}
		return nil
	}
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	switch last := id & audit.MaxSequence; {
	case c.fresh || last != c.old.Sequence:
		c.broken = &ChainBrokenError{tenant, fmt.Sprintf("the head is %d and the last record %d", c.old.Sequence, last)}
	case !bytes.Equal(sum[:], hash) || audit.Hash(sum) != c.old.Hash:
		c.broken = &ChainBrokenError{tenant, fmt.Sprintf("record %d does not have the hash of the head", last)}
	}
	return nil
}
