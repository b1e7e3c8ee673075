package spend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/registry"
)

// Status is where the month stands.
type Status struct {
	Month    string         `json:"month"`
	Booked   registry.Micro `json:"booked_micro_usd"`
	InFlight registry.Micro `json:"in_flight_micro_usd"`
	Soft     registry.Micro `json:"soft_limit_micro_usd"` // negative: none
	Hard     registry.Micro `json:"hard_limit_micro_usd"` // negative: none
	Calls    int64          `json:"calls"`
	// SoftReached and HardReached say that the limit was reached at some time of the month.
	SoftReached bool      `json:"soft_reached"`
	HardReached bool      `json:"hard_reached"`
	FreeAt      time.Time `json:"free_at"`
}

// Status returns where the current month (UTC) stands.
func (l *Ledger) Status(ctx context.Context) (s Status, err error) {
	m := month(l.cfg.Clock.Now())
	s = Status{Month: monthName(m), Soft: l.cfg.Limits.MonthSoft, Hard: l.cfg.Limits.MonthHard, FreeAt: monthStart(m + 1)}
	err = l.cfg.DB.View(ctx, func(tx store.Tx) error {
		sum, err := readSum(tx, scope{name: scopeMonth, period: m})
		if err != nil {
			return err
		}
		s.Booked, s.InFlight, s.Calls = sum.booked, sum.reserved, sum.calls
		var soft, hard int64
		err = tx.QueryRow(`SELECT coalesce(sum(CASE kind WHEN 'soft' THEN 1 ELSE 0 END), 0), coalesce(sum(CASE kind WHEN 'hard' THEN 1 ELSE 0 END), 0)
		FROM spend_mark WHERE month = $1`, m).Scan(&soft, &hard)
		s.SoftReached, s.HardReached = soft > 0, hard > 0
		return err
	})
	if err != nil {
		return Status{}, fmt.Errorf("read the spend of %s: %w", s.Month, err)
	}
	return s, nil
}

// Hour is where a tenant's hour stands.
type Hour struct {
	Tenant   string         `json:"tenant"`
	Calls    int64          `json:"calls"`
	Quota    int64          `json:"quota"` // negative: none
	Booked   registry.Micro `json:"booked_micro_usd"`
	InFlight registry.Micro `json:"in_flight_micro_usd"`
	Limit    registry.Micro `json:"limit_micro_usd"` // negative: none
	FreeAt   time.Time      `json:"free_at"`
}

// Hour returns where the current hour of a tenant stands.
func (l *Ledger) Hour(ctx context.Context, tenant string, plan Plan) (h Hour, err error) {
	n := hour(l.cfg.Clock.Now())
	h = Hour{Tenant: tenant, Quota: l.cfg.Limits.quota(plan), Limit: l.cfg.Limits.TenantHour, FreeAt: hourStart(n + 1)}
	err = l.cfg.DB.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		sum, err := readSum(tx, scope{name: scopeTenantHour, tenant: tenant, period: n})
		h.Calls, h.Booked, h.InFlight = sum.calls, sum.booked, sum.reserved
		return err
	})
	if err != nil {
		return Hour{}, fmt.Errorf("read the hour of %s: %w", tenant, err)
	}
	return h, nil
}

// Key is what spend is told apart by. In a grouped report the parts that were not asked for
// are empty.
type Key struct {
	Month    string        `json:"month,omitempty"`
	Tenant   string        `json:"tenant,omitempty"`
	Tier     registry.Tier `json:"tier,omitempty"`
	Provider string        `json:"provider,omitempty"`
	Model    string        `json:"model,omitempty"`
	Task     llm.Task      `json:"task,omitempty"`
}

// Figures keep apart what was measured, estimated and not known.
type Figures struct {
	Calls int64          `json:"calls"`
	Cost  registry.Micro `json:"cost_micro_usd"`
	// Tokens is prompt and answer; an upper bound where they are not measured.
	Tokens     int64 `json:"tokens"`
	Input      int64 `json:"input_tokens"`
	Output     int64 `json:"output_tokens"`
	CacheRead  int64 `json:"cache_read_tokens"`
	CacheWrite int64 `json:"cache_write_tokens"`
}

func (f *Figures) add(g Figures) {
	f.Calls += g.Calls
	f.Cost += g.Cost
	f.Tokens += g.Tokens
	f.Input += g.Input
	f.Output += g.Output
	f.CacheRead += g.CacheRead
	f.CacheWrite += g.CacheWrite
}

// Line is the spend under one key.
type Line struct {
	Key
	Measured  Figures `json:"measured"`
	Estimated Figures `json:"estimated"`
	Unknown   Figures `json:"unknown"`
}

// Total is what the caps count: all bases together.
func (l *Line) Total() registry.Micro { return l.Measured.Cost + l.Estimated.Cost + l.Unknown.Cost }

func (l *Line) of(b Basis) *Figures {
	switch b {
	case Measured:
		return &l.Measured
	case Estimated:
		return &l.Estimated
	}
	return &l.Unknown
}

// Query selects what a report is about. The zero value means everything.
type Query struct {
	From, To time.Time // months that hold these times, inclusive; zero for no bound
	Tenant   string    // empty for all
}

// Dimension is a part of Key.
type Dimension string

// The dimensions.
const (
	ByMonth    Dimension = "month"
	ByTenant   Dimension = "tenant"
	ByTier     Dimension = "tier"
	ByProvider Dimension = "provider"
	ByModel    Dimension = "model"
	ByTask     Dimension = "task"
)

// Dimensions returns all dimensions in the order in which reports are sorted.
func Dimensions() []Dimension {
	return []Dimension{ByMonth, ByTenant, ByTier, ByProvider, ByModel, ByTask}
}

// Report returns what was booked, told apart by the dimensions, sorted by them. What is in
// flight is not in it.
func (l *Ledger) Report(ctx context.Context, q Query, by ...Dimension) ([]Line, error) {
	for _, d := range by {
		if !slices.Contains(Dimensions(), d) {
			return nil, fmt.Errorf("spend: unknown dimension %q", string(d))
		}
	}
	from, to := int64(0), int64(1<<40)
	if !q.From.IsZero() {
		from = month(q.From)
	}
	if !q.To.IsZero() {
		to = month(q.To)
	}
	if q.Tenant != "" {
		ctx = store.ForTenant(ctx, q.Tenant)
	}
	lines := map[Key]*Line{}
	err := l.cfg.DB.View(ctx, func(tx store.Tx) error {
		clear(lines)
		return totals(tx, from, to, q.Tenant, func(k Key, b Basis, f Figures) {
			k = k.only(by)
			if lines[k] == nil {
				lines[k] = &Line{Key: k}
			}
			lines[k].of(b).add(f)
		})
	})
	if err != nil {
		return nil, fmt.Errorf("report spend: %w", err)
	}
	out := make([]Line, 0, len(lines))
	for _, line := range lines {
		out = append(out, *line)
	}
	slices.SortFunc(out, func(a, b Line) int { return a.compare(b.Key) })
	return out, nil
}

func (k Key) only(by []Dimension) (out Key) {
	for _, d := range by {
		switch d {
		case ByMonth:
			out.Month = k.Month
		case ByTenant:
			out.Tenant = k.Tenant
		case ByTier:
			out.Tier = k.Tier
		case ByProvider:
			out.Provider = k.Provider
		case ByModel:
			out.Model = k.Model
		case ByTask:
			out.Task = k.Task
		}
	}
	return out
}

func (k Key) compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Month, o.Month), cmp.Compare(k.Tenant, o.Tenant), cmp.Compare(k.Tier, o.Tier),
		cmp.Compare(k.Provider, o.Provider), cmp.Compare(k.Model, o.Model), cmp.Compare(k.Task, o.Task))
}

func totals(tx store.Tx, from, to int64, tenant string, each func(Key, Basis, Figures)) (err error) {
	cursor, err := tx.Query(`SELECT month, tenant, tier, provider, model, task, basis, calls, cost_micro, tokens, input_tokens, output_tokens,
	cache_read, cache_write FROM spend_total WHERE month BETWEEN $1 AND $2 AND ($3 = '' OR tenant = $3) AND calls <> 0`, from, to, tenant)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cursor.Close()) }()
	for cursor.Next() {
		var (
			m                 int64
			k                 Key
			f                 Figures
			tier, task, basis string
		)
		err := cursor.Scan(&m, &k.Tenant, &tier, &k.Provider, &k.Model, &task, &basis, &f.Calls, (*int64)(&f.Cost), &f.Tokens, &f.Input, &f.Output,
			&f.CacheRead, &f.CacheWrite)
		if err != nil {
			return err
		}
		k.Month, k.Tier, k.Task = monthName(m), registry.Tier(tier), llm.Task(task)
		each(k, Basis(basis), f)
	}
	return cursor.Err()
}

// Call is one attempt, for the record of an investigation.
type Call struct {
	At       time.Time      `json:"at"`
	Task     llm.Task       `json:"task"`
	Tier     registry.Tier  `json:"tier"`
	Asked    registry.Ref   `json:"asked"`
	Answered string         `json:"answered,omitempty"`
	Open     bool           `json:"open"` // in flight: Cost is what is reserved
	Outcome  string         `json:"outcome,omitempty"`
	Basis    Basis          `json:"basis,omitempty"`
	Cost     registry.Micro `json:"cost_micro_usd"`
	Tokens   int64          `json:"tokens"`
}

// Calls returns the attempts that an investigation made, in order.
func (l *Ledger) Calls(ctx context.Context, tenant, investigation string) (out []Call, err error) {
	err = l.cfg.DB.View(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		list, err := rows(tx, selectRow+`WHERE tenant = $1 AND investigation = $2 ORDER BY seq`, tenant, investigation)
		out = make([]Call, 0, len(list))
		for _, r := range list {
			c := Call{At: r.reservedAt, Task: llm.Task(r.task), Tier: registry.Tier(r.tier), Asked: r.model, Answered: r.answered, Outcome: r.outcome,
				Basis: Basis(r.basis), Cost: r.cost, Tokens: r.tokens}
			if r.state == stateOpen {
				c.Open, c.Cost, c.Tokens = true, r.reserved, r.reservedTokens
			}
			out = append(out, c)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the calls of %s: %w", investigation, err)
	}
	return out, nil
}

// Recent returns when attempts of the tier were made since a time, oldest first: what a router
// needs after a restart to go on counting.
func (l *Ledger) Recent(ctx context.Context, tier registry.Tier, since time.Time) (out []time.Time, err error) {
	err = l.cfg.DB.View(ctx, func(tx store.Tx) error {
		list, err := rows(tx, selectRow+`WHERE reserved_at >= $1 AND tier = $2 ORDER BY reserved_at, seq`, since.UnixMicro(), string(tier))
		out = make([]time.Time, 0, len(list))
		for _, r := range list {
			out = append(out, r.reservedAt)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read recent calls: %w", err)
	}
	return out, nil
}

// Prune deletes the single calls, and the sums of hours, that ended before a time. Sums of
// investigations and months, and what reports are made of, stay.
func (l *Ledger) Prune(ctx context.Context, before time.Time) error {
	// In a transaction of its own: what it deletes is no business of the books of others.
	return l.cfg.DB.Update(ctx, func(tx store.Tx) error {
		if _, err := tx.Exec(`DELETE FROM spend_call WHERE state <> 'open' AND reserved_at < $1`, before.UnixMicro()); err != nil {
			return fmt.Errorf("prune calls: %w", err)
		}
		if _, err := tx.Exec(`DELETE FROM spend_sum WHERE scope = 'tenant_hour' AND period < $1 AND reserved_micro = 0`, hour(before)); err != nil {
			return fmt.Errorf("prune hours: %w", err)
		}
		return nil
	})
}
