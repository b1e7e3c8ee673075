package memory

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/aluskort/aluskort/internal/engine/store"
)

const upsertIncident = `INSERT INTO incident_memory (tenant, investigation, person, decided_by, decided_at, body, model, revision, gone)
	VALUES ($1, $2, $3, $4, $5, $6, '', 1, 0)
	ON CONFLICT (tenant, investigation) DO UPDATE SET person = excluded.person, decided_by = excluded.decided_by, decided_at = excluded.decided_at,
		body = excluded.body, model = '', revision = incident_memory.revision + 1, gone = 0
	WHERE incident_memory.body <> excluded.body OR incident_memory.person <> excluded.person OR incident_memory.decided_by <> excluded.decided_by OR incident_memory.gone = 1
	RETURNING seq`

const (
	deleteWords = `DELETE FROM incident_word WHERE incident = $1`
	insertWords = `INSERT INTO incident_word (tenant, word, incident)`
)

// Record remembers an incident in the transaction that ends its investigation, in place of what
// was remembered of it before. It fails with ErrInvalid before anything is written.
func (m *Memory) Record(tx store.Tx, i Incident) error {
	kept, err := i.kept()
	if err != nil {
		return err
	}
	body, err := json.Marshal(&kept, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("%w: incident %s: %w", ErrInvalid, kept.Investigation, err)
	}
	var seq int64
	rows, err := tx.Query(upsertIncident, kept.Tenant, kept.Investigation, flag(kept.Person), kept.By, kept.At.UnixMicro(), string(body))
	if err != nil {
		return fmt.Errorf("remember %s: %w", kept.Investigation, err)
	}
	found := rows.Next()
	if found {
		err = rows.Scan(&seq)
	}
	if err = firstOf(err, rows.Err(), rows.Close()); err != nil || !found {
		return err // what is remembered already says the same
	}
	if _, err := tx.Exec(deleteWords, seq); err != nil {
		return fmt.Errorf("remember the words of %s: %w", kept.Investigation, err)
	}
	if kept.Person {
		words := rarest(kept.text(), wordsKept)
		err = store.BulkInsert(tx, insertWords, 3, len(words), func(r, c int) any {
			return [...]any{kept.Tenant, words[r], seq}[c]
		}, "")
		if err != nil {
			return fmt.Errorf("remember the words of %s: %w", kept.Investigation, err)
		}
	}
	tx.OnCommit(m.changed)
	return nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

const forgetIncident = `UPDATE incident_memory SET gone = 1, body = '', model = '', revision = revision + 1
	WHERE tenant = $1 AND investigation = $2 AND gone = 0 RETURNING seq`

// Forget drops what is remembered of an investigation, in the transaction that opens it again or
// takes its verdict back.
func (m *Memory) Forget(tx store.Tx, tenant, investigation string) error {
	_, err := m.forget(tx, forgetIncident, tenant, investigation)
	return err
}

const forgetSince = `UPDATE incident_memory SET gone = 1, body = '', model = '', revision = revision + 1
	WHERE tenant = $1 AND decided_at >= $2 AND ($3 = '' OR decided_by = $3) AND gone = 0 RETURNING seq`

// RollBack drops what was decided at or after a time, by one account or, when by is empty, by
// anybody, and returns how much that was: for an account that turned out not to be its owner's.
func (m *Memory) RollBack(tx store.Tx, tenant string, since time.Time, by string) (int, error) {
	return m.forget(tx, forgetSince, tenant, since.UnixMicro(), by)
}

func (m *Memory) forget(tx store.Tx, query string, args ...any) (int, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return 0, fmt.Errorf("forget incidents: %w", err)
	}
	var seqs []int64
	for rows.Next() {
		var seq int64
		if err = rows.Scan(&seq); err != nil {
			break
		}
		seqs = append(seqs, seq)
	}
	if err = firstOf(err, rows.Err(), rows.Close()); err != nil {
		return 0, fmt.Errorf("forget incidents: %w", err)
	}
	for _, seq := range seqs {
		if _, err := tx.Exec(deleteWords, seq); err != nil {
			return 0, fmt.Errorf("forget incidents: %w", err)
		}
	}
	if len(seqs) > 0 {
		tx.OnCommit(m.changed)
	}
	return len(seqs), nil
}

// row is what is stored of an incident.
type row struct {
	seq, revision int64
	gone          bool
	Incident
}

const columns = `seq, tenant, investigation, person, decided_by, decided_at, body, revision, gone`

// readRows runs a query for columns.
func readRows(tx store.Tx, query string, args ...any) (out []row, err error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var (
			r                row
			person, gone, at int64
			body             string
		)
		if err = rows.Scan(&r.seq, &r.Tenant, &r.Investigation, &person, &r.By, &at, &body, &r.revision, &gone); err != nil {
			break
		}
		r.Person, r.gone, r.At = person != 0, gone != 0, time.UnixMicro(at).UTC()
		if !r.gone {
			if err = json.Unmarshal([]byte(body), &r.Incident); err != nil {
				err = fmt.Errorf("incident %s: %w", r.Investigation, err)
				break
			}
		}
		out = append(out, r)
	}
	return out, firstOf(err, rows.Err(), rows.Close())
}
