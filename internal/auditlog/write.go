package auditlog

import (
	"slices"

	"github.com/aluskort/aluskort/internal/engine/store"
)

// write stores what was sealed. The head is moved first: when another writer was faster, the
// rest is not tried.
func (a *appending) write() error {
	for _, c := range a.order {
		if len(c.records) == 0 {
			continue
		}
		if err := a.moveHead(c); err != nil {
			return err
		}
		if err := a.insertRecords(c); err != nil {
			return err
		}
		if err := a.insertRefs(c); err != nil {
			return err
		}
	}
	for _, key := range a.touched {
		if o := a.origins[key]; o.moved {
			const upsert = `INSERT INTO audit_origin (origin, tenant, last_seq) VALUES ($1, $2, $3)
ON CONFLICT (origin, tenant) DO UPDATE SET last_seq = excluded.last_seq`
			if _, err := a.tx.Exec(upsert, key.origin, key.tenant, o.last); err != nil {
				return err
			}
		}
	}
	for _, r := range a.rejects {
		const keep = `INSERT INTO audit_rejected (id, sha256, bytes) VALUES ($1, $2, $3) ON CONFLICT (sha256) DO NOTHING`
		if _, err := a.tx.Exec(keep, r.id, r.sha, nonNil(r.content)); err != nil {
			return err
		}
	}
	return nil
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// moveHead is the compare-and-swap that keeps two writers from forking a chain.
func (a *appending) moveHead(c *chainState) error {
	head := c.chain.Head()
	tree, err := c.tree.AppendBinary(nil)
	if err != nil {
		return err
	}
	if c.fresh {
		const create = `INSERT INTO audit_head (tenant_no, sequence, hash, tree, updated_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_no) DO NOTHING`
		n, err := a.tx.Exec(create, c.no, head.Sequence, head.Hash[:], tree, a.now)
		return swapped(n, err)
	}
	const swap = `UPDATE audit_head SET sequence = $1, hash = $2, tree = $3, updated_at = $4
WHERE tenant_no = $5 AND sequence = $6 AND hash = $7`
	n, err := a.tx.Exec(swap, head.Sequence, head.Hash[:], tree, a.now, c.no, c.old.Sequence, c.old.Hash[:])
	return swapped(n, err)
}

func swapped(rows int64, err error) error {
	if err == nil && rows != 1 {
		return errHeadMoved
	}
	return err
}

func (a *appending) insertRecords(c *chainState) error {
	return store.BulkInsert(a.tx, `INSERT INTO audit_record (id, recorded_at, bytes, hash)`, 4, len(c.records), func(row, col int) any {
		r := &c.records[row]
		switch col {
		case 0:
			return rowID(c.no, r.Sequence)
		case 1:
			return a.now
		case 2:
			return r.Bytes
		}
		return r.Hash[:]
	}, "")
}

// insertRefs writes the references in the order of their key.
func (a *appending) insertRefs(c *chainState) error {
	refs := make([]*span, 0, len(c.refs))
	for _, s := range c.refs {
		refs = append(refs, s)
	}
	slices.SortFunc(refs, func(x, y *span) int {
		if sx, sy := x.first>>slotBits, y.first>>slotBits; sx != sy {
			return int(sx - sy)
		}
		if x.inv < y.inv {
			return -1
		}
		return 1
	})
	return store.BulkInsert(a.tx, `INSERT INTO audit_ref (slot, inv, first_seq, last_seq)`, 4, len(refs), func(row, col int) any {
		s := refs[row]
		switch col {
		case 0:
			return slotOf(c.no, s.first)
		case 1:
			return s.inv
		case 2:
			return s.first
		}
		return s.last
	}, "")
}
