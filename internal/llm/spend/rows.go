package spend

import (
	"errors"
	"fmt"
	"time"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/registry"
)

const (
	stateOpen   = "open"
	stateBooked = "booked"
	stateLapsed = "lapsed"

	scopeInvestigation = "investigation"
	scopeTenantHour    = "tenant_hour"
	scopeTenantMonth   = "tenant_month"
	scopeMonth         = "month"
)

// row is one attempt in table spend_call.
type row struct {
	seq                                      int64
	owner, state, tenant, investigation      string
	task, tier                               string
	model                                    registry.Ref
	answered                                 string
	terms                                    registry.Terms
	month, hour                              int64
	reservedAt, leaseUntil                   time.Time
	reserved                                 registry.Micro
	reservedTokens                           int64
	basis, outcome                           string
	cost                                     registry.Micro
	tokens, input, output, cacheRead, cacheW int64
}

func termBits(t registry.Terms) (n int64) {
	if t.Batch {
		n |= 1
	}
	if t.Hour {
		n |= 2
	}
	return n
}

func (r *row) entry() Entry {
	u := llm.Usage{Input: r.input, Output: r.output, CacheRead: r.cacheRead, CacheWrite: r.cacheW}
	u.Known = u.Prompt() > 0
	return Entry{Cost: r.cost, Reserved: r.reserved, Basis: Basis(r.basis), Model: r.answered, Usage: u, Tokens: r.tokens}
}

// scope names a row of spend_sum.
type scope struct {
	name, tenant, subject string
	period                int64
}

// scopes returns the sums that the attempt counts in, the narrowest first.
func (r *row) scopes() []scope {
	out := make([]scope, 0, 4)
	if r.investigation != "" {
		out = append(out, scope{scopeInvestigation, r.tenant, r.investigation, 0})
	}
	return append(out, scope{scopeTenantHour, r.tenant, "", r.hour}, scope{scopeTenantMonth, r.tenant, "", r.month}, scope{scopeMonth, "", "", r.month})
}

type sum struct {
	calls                        int64
	booked, reserved             registry.Micro
	bookedTokens, reservedTokens int64
}

func readSum(tx store.Tx, s scope) (out sum, err error) {
	err = tx.QueryRow(`SELECT calls, booked_micro, booked_tokens, reserved_micro, reserved_tokens FROM spend_sum
	WHERE scope = $1 AND tenant = $2 AND subject = $3 AND period = $4`, s.name, s.tenant, s.subject, s.period).
		Scan(&out.calls, (*int64)(&out.booked), &out.bookedTokens, (*int64)(&out.reserved), &out.reservedTokens)
	if errors.Is(err, store.ErrNoRows) {
		return sum{}, nil
	}
	if err != nil {
		return sum{}, fmt.Errorf("read the sum of %s: %w", s.name, err)
	}
	return out, nil
}

func addSum(tx store.Tx, s scope, d sum) error {
	_, err := tx.Exec(`INSERT INTO spend_sum (scope, tenant, subject, period, calls, booked_micro, booked_tokens, reserved_micro, reserved_tokens)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (scope, tenant, subject, period) DO UPDATE SET
	calls = spend_sum.calls + excluded.calls, booked_micro = spend_sum.booked_micro + excluded.booked_micro,
	booked_tokens = spend_sum.booked_tokens + excluded.booked_tokens, reserved_micro = spend_sum.reserved_micro + excluded.reserved_micro,
	reserved_tokens = spend_sum.reserved_tokens + excluded.reserved_tokens`,
		s.name, s.tenant, s.subject, s.period, d.calls, int64(d.booked), d.bookedTokens, int64(d.reserved), d.reservedTokens)
	if err != nil {
		return fmt.Errorf("add to the sum of %s: %w", s.name, err)
	}
	return nil
}

// insert writes an open row and counts it.
func (b *books) insert(c *Claim, r *row) error {
	err := b.tx.QueryRow(`INSERT INTO spend_call (owner, state, tenant, investigation, task, tier, provider, model, terms, month, hour,
	reserved_at, lease_until, reserved_micro, reserved_tokens) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING seq`,
		r.owner, r.state, r.tenant, r.investigation, r.task, r.tier, r.model.Provider, r.model.Model, termBits(r.terms), r.month, r.hour,
		r.reservedAt.UnixMicro(), r.leaseUntil.UnixMicro(), int64(r.reserved), r.reservedTokens).Scan(&r.seq)
	if err != nil {
		return fmt.Errorf("write the reservation: %w", err)
	}
	for _, s := range r.scopes() {
		d := sum{calls: 1, reserved: r.reserved, reservedTokens: r.reservedTokens}
		if s.name == scopeTenantHour && c.Again {
			d.calls = 0
		}
		b.add(s, d)
	}
	return nil
}

const selectRow = `SELECT seq, owner, state, tenant, investigation, task, tier, provider, model, answered, terms, month, hour,
	reserved_at, lease_until, reserved_micro, reserved_tokens, basis, outcome, cost_micro, tokens, input_tokens, output_tokens, cache_read, cache_write
	FROM spend_call `

func scanRow(from store.Row) (*row, error) {
	var r row
	var terms, reservedAt, leaseUntil int64
	err := from.Scan(&r.seq, &r.owner, &r.state, &r.tenant, &r.investigation, &r.task, &r.tier, &r.model.Provider, &r.model.Model, &r.answered,
		&terms, &r.month, &r.hour, &reservedAt, &leaseUntil, (*int64)(&r.reserved), &r.reservedTokens, &r.basis, &r.outcome, (*int64)(&r.cost),
		&r.tokens, &r.input, &r.output, &r.cacheRead, &r.cacheW)
	if err != nil {
		return nil, err
	}
	r.terms = registry.Terms{Batch: terms&1 != 0, Hour: terms&2 != 0}
	r.reservedAt, r.leaseUntil = time.UnixMicro(reservedAt).UTC(), time.UnixMicro(leaseUntil).UTC()
	return &r, nil
}

func load(tx store.Tx, seq int64) (*row, error) {
	r, err := scanRow(tx.QueryRow(selectRow+`WHERE seq = $1`, seq))
	if err != nil {
		return nil, fmt.Errorf("read reservation %d: %w", seq, err)
	}
	return r, nil
}

func rows(tx store.Tx, query string, args ...any) (out []*row, err error) {
	cursor, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, cursor.Close()) }()
	for cursor.Next() {
		r, err := scanRow(cursor)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, cursor.Err()
}

// lapse books open rows whose lease has ended, and with others those of other owners.
func (l *Ledger) lapse(b *books, others bool) (int, error) {
	left, err := rows(b.tx, selectRow+`WHERE state = 'open' AND lease_until <= $1`, l.cfg.Clock.Now().UnixMicro())
	if err == nil && others {
		left, err = rows(b.tx, selectRow+`WHERE state = 'open' AND owner <> $1`, l.owner)
	}
	if err != nil {
		return 0, fmt.Errorf("read open reservations: %w", err)
	}
	for _, r := range left {
		s := settlement{cost: r.reserved, basis: Estimated, answered: r.model.Model, outcome: outcomeLapsed, tokens: r.reservedTokens}
		if err := l.settle(b, r, s, stateLapsed); err != nil {
			return 0, err
		}
	}
	return len(left), nil
}

// settle books r, which is open, or lapsed and now better known, and moves the sums.
func (l *Ledger) settle(b *books, r *row, s settlement, state string) error {
	_, err := b.tx.Exec(`UPDATE spend_call SET state = $1, answered = $2, basis = $3, outcome = $4, booked_at = $5, cost_micro = $6, tokens = $7,
	input_tokens = $8, output_tokens = $9, cache_read = $10, cache_write = $11 WHERE seq = $12`,
		state, s.answered, string(s.basis), s.outcome, l.cfg.Clock.Now().UnixMicro(), int64(s.cost), s.tokens,
		s.usage.Input, s.usage.Output, s.usage.CacheRead, s.usage.CacheWrite, r.seq)
	if err != nil {
		return fmt.Errorf("book reservation %d: %w", r.seq, err)
	}
	d := sum{booked: s.cost, bookedTokens: s.tokens}
	if r.state == stateOpen {
		d.reserved, d.reservedTokens = -r.reserved, -r.reservedTokens
	} else {
		d.booked, d.bookedTokens = d.booked-r.cost, d.bookedTokens-r.tokens
		b.count(r, r.entry(), -1)
	}
	for _, scope := range r.scopes() {
		b.add(scope, d)
	}
	b.count(r, s.entry(r), 1)
	return l.soft(b, r.month)
}
