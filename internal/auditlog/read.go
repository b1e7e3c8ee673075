package auditlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// pageRecords is how many records one read takes: each page is a snapshot of its own, so that a
// long verification holds up neither writers nor the checkpoint of the write-ahead log.
const pageRecords = 1000

// Tenants returns the tenants that have a chain, sorted.
func (s *Service) Tenants(ctx context.Context) ([]string, error) {
	var out []string
	err := s.cfg.DB.View(ctx, func(tx store.Tx) error {
		out = out[:0]
		rows, err := tx.Query(`SELECT t.tenant FROM audit_tenant t JOIN audit_head h ON h.tenant_no = t.no ORDER BY t.tenant`)
		if err != nil {
			return err
		}
		return each(rows, func() error {
			var tenant string
			if err := rows.Scan(&tenant); err != nil {
				return err
			}
			out = append(out, tenant)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("auditlog: tenants: %w", err)
	}
	return out, nil
}

// each runs fn for every row and closes rows.
func each(rows store.Rows, fn func() error) (err error) {
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := fn(); err != nil {
			return err
		}
	}
	return rows.Err()
}

// stand is a head as it is stored.
type stand struct {
	no   int64
	head audit.Head
	tree audit.Tree
}

func (s *Service) stand(ctx context.Context, tenant string) (stand, error) {
	var out stand
	err := s.cfg.DB.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		var hash, tree []byte
		err := tx.QueryRow(`SELECT h.tenant_no, h.sequence, h.hash, h.tree FROM audit_head h
JOIN audit_tenant t ON t.no = h.tenant_no WHERE t.tenant = $1`, tenant).Scan(&out.no, &out.head.Sequence, &hash, &tree)
		if err != nil {
			return err
		}
		if len(hash) != len(out.head.Hash) {
			return &ChainBrokenError{tenant, "the head has no hash"}
		}
		out.head.Hash = audit.Hash(hash)
		return out.tree.UnmarshalBinary(tree)
	})
	if errors.Is(err, store.ErrNoRows) {
		return out, fmt.Errorf("%w: %q", ErrNoTenant, tenant)
	}
	if err != nil {
		return out, fmt.Errorf("auditlog: head of %s: %w", tenant, err)
	}
	return out, nil
}

// Head returns the end of a tenant's chain, or ErrNoTenant.
func (s *Service) Head(ctx context.Context, tenant string) (audit.Head, error) {
	st, err := s.stand(ctx, tenant)
	return st.head, err
}

// Tree returns the Merkle tree over a tenant's records together with the head that it ends with:
// what a checkpoint signs. It fails with ErrNoTenant.
func (s *Service) Tree(ctx context.Context, tenant string) (audit.Tree, audit.Head, error) {
	st, err := s.stand(ctx, tenant)
	return st.tree, st.head, err
}

// OriginSequence returns the last event of origin that is in the chain of tenant, 0 for none.
func (s *Service) OriginSequence(ctx context.Context, tenant, origin string) (int64, error) {
	var last int64
	err := s.cfg.DB.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		return tx.QueryRow(`SELECT last_seq FROM audit_origin WHERE origin = $1 AND tenant = $2`, origin, tenant).Scan(&last)
	})
	if err != nil && !errors.Is(err, store.ErrNoRows) {
		return 0, fmt.Errorf("auditlog: origin %s of %s: %w", origin, tenant, err)
	}
	return last, nil
}

// Record returns one record. It fails with ErrNoTenant or ErrNoRecord.
func (s *Service) Record(ctx context.Context, tenant string, sequence int64) (audit.Record, error) {
	out := audit.Record{Sequence: -1}
	err := s.Records(ctx, tenant, sequence, sequence, func(r audit.Record) error {
		out = r
		return nil
	})
	if err == nil && out.Sequence < 0 {
		err = fmt.Errorf("%w: %s %d", ErrNoRecord, tenant, sequence)
	}
	return out, err
}

// RecordByID returns the record with an audit id. It fails with ErrNoTenant or ErrNoRecord.
func (s *Service) RecordByID(ctx context.Context, tenant, auditID string) (audit.Record, error) {
	sequence, ok := audit.SequenceOf(auditID)
	if !ok {
		return audit.Record{}, fmt.Errorf("%w: %q is not an audit id", ErrNoRecord, auditID)
	}
	r, err := s.Record(ctx, tenant, sequence)
	if err != nil {
		return audit.Record{}, err
	}
	if f, err := audit.ParseRecord(r.Bytes); err != nil || f.AuditID != auditID {
		return audit.Record{}, fmt.Errorf("%w: %s %s", ErrNoRecord, tenant, auditID)
	}
	return r, nil
}

// Records calls fn with the records from to to, both included, in order; to below 0 means the
// head at the beginning. An error of fn ends the reading and is returned. The bytes belong to fn.
func (s *Service) Records(ctx context.Context, tenant string, from, to int64, fn func(audit.Record) error) error {
	ctx = store.ForTenant(ctx, tenant)
	st, err := s.stand(ctx, tenant)
	if err != nil {
		return err
	}
	if to < 0 || to > st.head.Sequence {
		to = st.head.Sequence
	}
	return s.scan(ctx, st.no, max(from, 0), to, func(sequence int64, content, hash []byte) error {
		if len(hash) != len(audit.Hash{}) {
			return &ChainBrokenError{tenant, fmt.Sprintf("record %d has no hash", sequence)}
		}
		return fn(audit.Record{Sequence: sequence, Bytes: content, Hash: audit.Hash(hash)})
	})
}

// line is a stored record.
type line struct {
	id            int64
	content, hash []byte
}

// page is one read: its lines, or why there are none.
type page struct {
	lines []line
	err   error
}

// scan reads the rows of a range page by page; fn runs outside of the snapshot. While fn works
// on one page the next is read by a second goroutine, which ends before scan does.
func (s *Service) scan(ctx context.Context, no, from, to int64, fn func(sequence int64, content, hash []byte) error) error {
	if from > to {
		return nil
	}
	to = min(to, audit.MaxSequence)
	p := s.page(ctx, no, from, to)
	for {
		if p.err != nil {
			return fmt.Errorf("auditlog: read records from %d: %w", from, p.err)
		}
		var next chan page
		if len(p.lines) == pageRecords {
			from = p.lines[pageRecords-1].id&audit.MaxSequence + 1
			next = make(chan page, 1)
			go func() { next <- s.page(ctx, no, from, to) }()
		}
		for _, l := range p.lines {
			if err := fn(l.id&audit.MaxSequence, l.content, l.hash); err != nil {
				if next != nil {
					<-next
				}
				return err
			}
		}
		if next == nil {
			return nil
		}
		p = <-next
	}
}

// page reads up to pageRecords rows of a range.
func (s *Service) page(ctx context.Context, no, from, to int64) page {
	p := page{lines: make([]line, 0, min(pageRecords, to-from+1))}
	p.err = s.cfg.DB.View(ctx, func(tx store.Tx) error {
		p.lines = p.lines[:0]
		rows, err := tx.Query(`SELECT id, bytes, hash FROM audit_record WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT $3`,
			rowID(no, from), rowID(no, to), pageRecords)
		if err != nil {
			return err
		}
		return each(rows, func() error {
			p.lines = append(p.lines, line{})
			l := &p.lines[len(p.lines)-1]
			return rows.Scan(&l.id, &l.content, &l.hash)
		})
	})
	return p
}

// Investigation calls fn with the records of one investigation, in order. It finds them by
// reference, without reading the chain. It fails with ErrNoTenant; an investigation without
// records is no error.
func (s *Service) Investigation(ctx context.Context, tenant, investigation string, fn func(audit.Record) error) error {
	ctx = store.ForTenant(ctx, tenant)
	st, err := s.stand(ctx, tenant)
	if err != nil {
		return err
	}
	spans, err := s.spans(ctx, st, investigation)
	if err != nil {
		return err
	}
	for _, sp := range spans {
		err := s.scan(ctx, st.no, sp.first, sp.last, func(sequence int64, content, hash []byte) error {
			f, err := audit.ParseRecord(content)
			if err != nil || len(hash) != len(audit.Hash{}) {
				return &ChainBrokenError{tenant, fmt.Sprintf("record %d cannot be read", sequence)}
			}
			if f.InvestigationID != investigation {
				return nil
			}
			return fn(audit.Record{Sequence: sequence, Bytes: content, Hash: audit.Hash(hash)})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// spans returns where the records of an investigation may lie, in order and without overlap.
func (s *Service) spans(ctx context.Context, st stand, investigation string) ([]span, error) {
	const find = `WITH RECURSIVE s (slot) AS (SELECT CAST($1 AS BIGINT) UNION ALL SELECT slot + 1 FROM s WHERE slot < $2)
SELECT r.first_seq, r.last_seq FROM s CROSS JOIN audit_ref r WHERE r.slot = s.slot AND r.inv = $3`
	inv := investigationKey(investigation)
	var out []span
	err := s.cfg.DB.View(ctx, func(tx store.Tx) error {
		out = out[:0]
		rows, err := tx.Query(find, slotOf(st.no, 0), slotOf(st.no, st.head.Sequence), inv)
		if err != nil {
			return err
		}
		return each(rows, func() error {
			sp := span{inv: inv}
			if err := rows.Scan(&sp.first, &sp.last); err != nil {
				return err
			}
			out = append(out, sp)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("auditlog: find investigation %s: %w", investigation, err)
	}
	slices.SortFunc(out, func(x, y span) int { return cmp.Compare(x.first, y.first) })
	return out, nil
}

// Verify checks a tenant's whole chain, as it was at the beginning of the call, against its
// stored head and, if given, against heads that the caller trusts more. It fails with ErrNoTenant
// or when the database cannot be read; what is wrong with the chain stands in the report.
func (s *Service) Verify(ctx context.Context, tenant string, trusted ...audit.Head) (audit.Report, error) {
	ctx = store.ForTenant(ctx, tenant)
	st, err := s.stand(ctx, tenant)
	if err != nil {
		return audit.Report{}, err
	}
	return s.verify(ctx, tenant, st, audit.VerifyOptions{Tenant: tenant, Heads: append(trusted[:len(trusted):len(trusted)], st.head)})
}

// VerifyTail checks the last n records of a tenant's chain and their link to the record before.
func (s *Service) VerifyTail(ctx context.Context, tenant string, n int64) (audit.Report, error) {
	ctx = store.ForTenant(ctx, tenant)
	st, err := s.stand(ctx, tenant)
	if err != nil {
		return audit.Report{}, err
	}
	opt := audit.VerifyOptions{Tenant: tenant, From: max(0, st.head.Sequence+1-n), Heads: []audit.Head{st.head}}
	if opt.From > 0 {
		before, err := s.Record(ctx, tenant, opt.From-1)
		switch {
		case err == nil:
			opt.Previous = &before.Hash
		case !errors.Is(err, ErrNoRecord):
			return audit.Report{}, err
		}
	}
	return s.verify(ctx, tenant, st, opt)
}

func (s *Service) verify(ctx context.Context, tenant string, st stand, opt audit.VerifyOptions) (audit.Report, error) {
	to := st.head.Sequence
	for _, h := range opt.Heads {
		to = max(to, h.Sequence)
	}
	v := audit.NewVerifier(opt)
	err := s.scan(ctx, st.no, opt.From, to, func(sequence int64, content, hash []byte) error {
		v.Add(sequence, content, hash)
		return nil
	})
	if err != nil {
		return audit.Report{}, fmt.Errorf("auditlog: verify %s: %w", tenant, err)
	}
	return v.Finish(), nil
}

// Export writes the records from to to, both included, as an export file; to below 0 means the
// head. It fails with ErrNoTenant, or with ErrNoRecord when the range is empty.
func (s *Service) Export(ctx context.Context, tenant string, w io.Writer, from, to int64) error {
	ctx = store.ForTenant(ctx, tenant)
	st, err := s.stand(ctx, tenant)
	if err != nil {
		return err
	}
	if to < 0 || to > st.head.Sequence {
		to = st.head.Sequence
	}
	if from = max(from, 0); from > to {
		return fmt.Errorf("%w: %s %d to %d; the chain ends at %d", ErrNoRecord, tenant, from, to, st.head.Sequence)
	}
	e, err := audit.WriteExport(w, audit.ExportHeader{Tenant: tenant, From: from, To: to, Head: st.head, Origin: s.cfg.DB.Origin()})
	if err != nil {
		return err
	}
	err = s.scan(ctx, st.no, from, to, func(_ int64, content, hash []byte) error {
		var h audit.Hash
		copy(h[:], hash)
		return e.Add(content, h)
	})
	if err != nil {
		return fmt.Errorf("auditlog: export %s: %w", tenant, err)
	}
	return e.Flush()
}
