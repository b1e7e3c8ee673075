package spend

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/llm/registry"
)

// books are the sums as one transaction sees them. Callers that share the transaction change them
// one after the other in memory; each sum is read and written once, however many calls count in
// it. Nothing is visible to others before write, and a transaction that is tried again begins with
// books of its own, so the caps stay exact.
type books struct {
	tx     store.Tx
	sums   map[scope]*standing
	totals map[totalKey]*total
	swept  bool // what lapsed has been booked in this transaction
}

func openBooks(tx store.Tx) *books {
	return &books{tx: tx, sums: map[scope]*standing{}, totals: map[totalKey]*total{}}
}

// standing is a sum on its way: what the table holds, once it was asked for, and what is added.
type standing struct {
	known        bool
	before, more sum
}

func (b *books) standing(s scope) *standing {
	st := b.sums[s]
	if st == nil {
		st = &standing{}
		b.sums[s] = st
	}
	return st
}

// sum returns where a scope stands, with what this transaction added.
func (b *books) sum(s scope) (out sum, err error) {
	st := b.standing(s)
	if !st.known {
		if st.before, err = readSum(b.tx, s); err != nil {
			return out, err
		}
		st.known = true
	}
	out = st.before
	out.add(st.more)
	return out, nil
}

func (b *books) add(s scope, d sum) { b.standing(s).more.add(d) }

func (s *sum) add(d sum) {
	s.calls += d.calls
	s.booked += d.booked
	s.reserved += d.reserved
	s.bookedTokens += d.bookedTokens
	s.reservedTokens += d.reservedTokens
}

// totalKey names a row of spend_total.
type totalKey struct {
	month                                      int64
	tenant, tier, provider, model, task, basis string
}

type total struct {
	calls                                        int64
	cost                                         registry.Micro
	tokens, input, output, cacheRead, cacheWrite int64
}

// count adds an entry to the reports, or takes it away with sign -1.
func (b *books) count(r *row, e Entry, sign int64) {
	k := totalKey{r.month, r.tenant, r.tier, r.model.Provider, e.Model, r.task, string(e.Basis)}
	t := b.totals[k]
	if t == nil {
		t = &total{}
		b.totals[k] = t
	}
	t.calls += sign
	t.cost += registry.Micro(sign) * e.Cost
	t.tokens += sign * e.Tokens
	t.input += sign * e.Usage.Input
	t.output += sign * e.Usage.Output
	t.cacheRead += sign * e.Usage.CacheRead
	t.cacheWrite += sign * e.Usage.CacheWrite
}

// write puts what was added into the tables, always in the same order, so that processes that
// share a database do not wait for each other in a circle.
func (b *books) write() error {
	scopes := make([]scope, 0, len(b.sums))
	for s, st := range b.sums {
		if st.more != (sum{}) {
			scopes = append(scopes, s)
		}
	}
	slices.SortFunc(scopes, func(x, y scope) int {
		return cmp.Or(cmp.Compare(x.name, y.name), cmp.Compare(x.tenant, y.tenant), cmp.Compare(x.subject, y.subject), cmp.Compare(x.period, y.period))
	})
	for _, s := range scopes {
		if err := addSum(b.tx, s, b.sums[s].more); err != nil {
			return err
		}
	}
	keys := make([]totalKey, 0, len(b.totals))
	for k := range b.totals {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(x, y totalKey) int {
		return cmp.Or(cmp.Compare(x.month, y.month), cmp.Compare(x.tenant, y.tenant), cmp.Compare(x.tier, y.tier), cmp.Compare(x.provider, y.provider),
			cmp.Compare(x.model, y.model), cmp.Compare(x.task, y.task), cmp.Compare(x.basis, y.basis))
	})
	for _, k := range keys {
		if err := addTotal(b.tx, k, b.totals[k]); err != nil {
			return err
		}
	}
	return nil
}

// addTotal adds to a row of the reports.
func addTotal(tx store.Tx, k totalKey, t *total) error {
	_, err := tx.Exec(`INSERT INTO spend_total (month, tenant, tier, provider, model, task, basis, calls, cost_micro, tokens, input_tokens, output_tokens,
	cache_read, cache_write) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
	ON CONFLICT (month, tenant, tier, provider, model, task, basis) DO UPDATE SET calls = spend_total.calls + excluded.calls,
	cost_micro = spend_total.cost_micro + excluded.cost_micro, tokens = spend_total.tokens + excluded.tokens,
	input_tokens = spend_total.input_tokens + excluded.input_tokens, output_tokens = spend_total.output_tokens + excluded.output_tokens,
	cache_read = spend_total.cache_read + excluded.cache_read, cache_write = spend_total.cache_write + excluded.cache_write`,
		k.month, k.tenant, k.tier, k.provider, k.model, k.task, k.basis, t.calls, int64(t.cost), t.tokens, t.input, t.output, t.cacheRead, t.cacheWrite)
	if err != nil {
		return fmt.Errorf("add to the report of %s: %w", monthName(k.month), err)
	}
	return nil
}
