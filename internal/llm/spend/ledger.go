package spend

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/id"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/registry"
)

// Config is what a Ledger is made of. DB and Table are required.
type Config struct {
	DB     store.DB // with the tables of migration 0011
	Table  *registry.Table
	Limits Limits
	Clock  clock.Clock
	IDs    *id.Source
	Emit   Emit // nil for none
	// Lease is how long a reservation waits to be booked; 0 means 15 minutes.
	Lease time.Duration
	// Shared says that other processes reserve in the same database. Without it, reservations of
	// others are of processes that died, and lapse at Open.
	Shared bool
}

// Ledger is the Meter over the state database. Claims that come at the same time share one
// commit. It is safe for concurrent use and has nothing to close.
type Ledger struct {
	cfg   Config
	owner string

	mu      sync.Mutex
	waiting []*work
	busy    bool
}

const defaultLease = 15 * time.Minute

// Open books what processes that died have left behind, and returns the ledger.
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	if cfg.DB == nil || cfg.Table == nil {
		return nil, errors.New("spend: database and table are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.IDs == nil {
		cfg.IDs = id.NewSource(nil)
	}
	if cfg.Lease <= 0 {
		cfg.Lease = defaultLease
	}
	cfg.Limits = cfg.Limits.withDefaults()
	owner, err := cfg.IDs.New()
	if err != nil {
		return nil, fmt.Errorf("spend: %w", err)
	}
	l := &Ledger{cfg: cfg, owner: owner}
	if _, err := l.sweep(ctx, !cfg.Shared); err != nil {
		return nil, fmt.Errorf("spend: book what was left open: %w", err)
	}
	return l, nil
}

// Sweep books reservations whose lease has ended at their full amount, marked as estimated, and
// returns how many. Reserve does it too; call it where claims are rare.
func (l *Ledger) Sweep(ctx context.Context) (int, error) { return l.sweep(ctx, false) }

func (l *Ledger) sweep(ctx context.Context, others bool) (n int, err error) {
	err = l.commit(ctx, func(b *books) error {
		n, err = l.lapse(b, others)
		return err
	})
	return n, err
}

// work is one change on its way to the database; err is its outcome.
type work struct {
	run  func(b *books) error
	err  error
	done chan struct{}
}

// refused carries the refusal of one claim out of a transaction that others share.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// maxShared bounds how many changes share one commit.
const maxShared = 256

// commit runs fn in a transaction that it may share with others, and returns when that is
// durable or has failed. fn may run more than once. An error of fn undoes the whole transaction
// unless it is refused, and then has added nothing to the books. It does not wait for ctx: what was reserved must be known to somebody.
func (l *Ledger) commit(ctx context.Context, fn func(b *books) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &work{run: fn, done: make(chan struct{})}
	l.mu.Lock()
	l.waiting = append(l.waiting, w)
	start := !l.busy
	l.busy = true
	l.mu.Unlock()
	if start {
		go l.drain(context.WithoutCancel(ctx))
	}
	<-w.done
	return w.err
}

// drain commits what waits, as much as fits at once, until nothing does.
func (l *Ledger) drain(ctx context.Context) {
	for {
		l.mu.Lock()
		n := min(len(l.waiting), maxShared)
		group := l.waiting[:n:n]
		l.waiting = l.waiting[n:]
		if n == 0 {
			l.waiting, l.busy = nil, false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		l.together(ctx, group)
	}
}

// together runs changes that came at the same time over one set of books.
func (l *Ledger) together(ctx context.Context, group []*work) {
	err := l.cfg.DB.Update(ctx, func(tx store.Tx) error {
		b := openBooks(tx)
		for _, w := range group {
			w.err = w.run(b)
			if no, ok := errors.AsType[refused](w.err); ok {
				w.err = no.error
			} else if w.err != nil {
				return w.err
			}
		}
		return b.write()
	})
	for _, w := range group {
		if err != nil {
			w.err = err
		}
		close(w.done)
	}
}

// Reserve implements Meter.
func (l *Ledger) Reserve(ctx context.Context, c Claim) (Booking, error) {
	if err := check(&c); err != nil {
		return nil, err
	}
	var r row
	err := l.commit(ctx, func(b *books) error {
		now := l.cfg.Clock.Now()
		if err := l.sweepOnce(b); err != nil {
			return err
		}
		amount, err := l.cfg.Table.Estimate(c.Model, c.Prompt, c.Output, now, c.Terms)
		if err != nil {
			return refused{err}
		}
		r = l.open(&c, amount, now)
		no, err := l.exceeded(b, &c, &r)
		if err != nil {
			return err
		}
		if no != nil {
			if err := l.hard(b.tx, no, &r); err != nil {
				return err
			}
			return refused{no}
		}
		return b.insert(&c, &r)
	})
	if err != nil {
		return nil, fmt.Errorf("reserve %s for %s: %w", c.Model, c.Task, err)
	}
	return &booking{l, r}, nil
}

// sweepOnce books what lapsed, once for all that share the transaction.
func (l *Ledger) sweepOnce(b *books) error {
	if b.swept {
		return nil
	}
	_, err := l.lapse(b, false)
	b.swept = err == nil
	return err
}

func check(c *Claim) error {
	switch {
	case c.Tenant == "" || len(c.Tenant) > 256:
		return fmt.Errorf("%w: a tenant is needed", ErrClaim)
	case len(c.Investigation) > 256:
		return fmt.Errorf("%w: the investigation's id is too long", ErrClaim)
	case c.Task == "" || c.Tier == "" || c.Model.Provider == "" || c.Model.Model == "":
		return fmt.Errorf("%w: task, tier and model are needed", ErrClaim)
	case c.Prompt < 1 || c.Output < 1 || c.Prompt > registry.MaxTokens || c.Output > registry.MaxTokens:
		return fmt.Errorf("%w: bounds of %d and %d tokens", ErrClaim, c.Prompt, c.Output)
	}
	return nil
}

func (l *Ledger) open(c *Claim, amount registry.Micro, now time.Time) row {
	lease := c.Lease
	if lease <= 0 {
		lease = l.cfg.Lease
	}
	return row{
		owner: l.owner, state: stateOpen, tenant: c.Tenant, investigation: c.Investigation,
		task: string(c.Task), tier: string(c.Tier), model: c.Model, month: month(now), hour: hour(now),
		reservedAt: now, leaseUntil: now.Add(lease), reserved: amount, reservedTokens: c.Prompt + c.Output, terms: c.Terms,
	}
}

// exceeded returns the first cap that the claim does not fit under, nil when it fits.
func (l *Ledger) exceeded(b *books, c *Claim, r *row) (*Refusal, error) {
	lim := &l.cfg.Limits
	nextHour, nextMonth := hourStart(r.hour+1), monthStart(r.month+1)
	for _, s := range r.scopes() {
		sum, err := b.sum(s)
		if err != nil {
			return nil, err
		}
		money := Refusal{Used: int64(sum.booked), InFlight: int64(sum.reserved), Wanted: int64(r.reserved)}
		var no *Refusal
		switch s.name {
		case scopeInvestigation:
			no = over(no, InvestigationCalls, lim.InvestigationCalls, Refusal{Used: sum.calls, Wanted: 1})
			no = over(no, InvestigationTokens, lim.InvestigationTokens,
				Refusal{Used: sum.bookedTokens, InFlight: sum.reservedTokens, Wanted: r.reservedTokens})
			no = over(no, InvestigationMoney, int64(lim.InvestigationMoney), money)
		case scopeTenantHour:
			if !c.Again {
				no = over(no, TenantHourCalls, lim.quota(c.Plan), Refusal{Used: sum.calls, Wanted: 1, FreeAt: nextHour})
			}
			money.FreeAt = nextHour
			no = over(no, TenantHourMoney, int64(lim.TenantHour), money)
		case scopeTenantMonth:
			money.FreeAt = nextMonth
			no = over(no, TenantMonthMoney, int64(lim.TenantMonth), money)
		case scopeMonth:
			money.FreeAt = nextMonth
			no = over(no, MonthMoney, int64(lim.MonthHard), money)
		}
		if no != nil {
			return no, nil
		}
	}
	return nil, nil
}

// over returns no, or the refusal by the cap when what is wanted does not fit. What costs
// nothing always fits under a cap of money.
func over(no *Refusal, c Cap, limit int64, r Refusal) *Refusal {
	if no != nil || limit < 0 || r.Wanted == 0 || r.Used+r.InFlight <= limit-r.Wanted {
		return no
	}
	r.Cap, r.Limit = c, limit
	return &r
}

// hard tells once a month that claims are refused for the month's hard limit.
func (l *Ledger) hard(tx store.Tx, no *Refusal, r *row) error {
	if no.Cap != MonthMoney {
		return nil
	}
	return l.mark(tx, Event{Kind: HardLimit, Limit: l.cfg.Limits.MonthHard, Used: registry.Micro(no.Used + no.InFlight)}, r.month)
}

// soft tells once a month that the soft limit is reached.
func (l *Ledger) soft(b *books, monthly int64) error {
	limit := l.cfg.Limits.MonthSoft
	if limit < 0 {
		return nil
	}
	sum, err := b.sum(scope{name: scopeMonth, period: monthly})
	if err != nil || sum.booked < limit {
		return err
	}
	return l.mark(b.tx, Event{Kind: SoftLimit, Limit: limit, Used: sum.booked + sum.reserved}, monthly)
}

func (l *Ledger) mark(tx store.Tx, e Event, monthly int64) error {
	e.Month, e.At = monthName(monthly), l.cfg.Clock.Now()
	n, err := tx.Exec(`INSERT INTO spend_mark (month, kind, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, monthly, e.Kind, e.At.UnixMicro())
	if err != nil {
		return fmt.Errorf("mark the %s limit of %s: %w", e.Kind, e.Month, err)
	}
	if n == 0 || l.cfg.Emit == nil {
		return nil
	}
	return l.cfg.Emit(tx, e)
}

// booking implements Booking.
type booking struct {
	l *Ledger
	r row
}

// Resume returns a reservation that another process made, such as that of a batch which a
// restart left running: what lapsed meanwhile is corrected by what was consumed. It fails with
// ErrNoBooking when there is none.
func (l *Ledger) Resume(ctx context.Context, id int64) (Booking, error) {
	var r *row
	err := l.cfg.DB.View(ctx, func(tx store.Tx) (err error) {
		r, err = load(tx, id)
		return err
	})
	if errors.Is(err, store.ErrNoRows) {
		return nil, fmt.Errorf("%w: %d", ErrNoBooking, id)
	}
	if err != nil {
		return nil, err
	}
	return &booking{l, *r}, nil
}

// ID implements Booking.
func (b *booking) ID() int64 { return b.r.seq }

// Book implements Booking.
func (b *booking) Book(ctx context.Context, u llm.Usage, answered string) (Entry, error) {
	return b.settle(ctx, b.l.answered(&b.r, u, answered))
}

// Fail implements Booking.
func (b *booking) Fail(ctx context.Context, err error) (Entry, error) {
	return b.settle(ctx, b.l.failed(&b.r, err))
}

func (b *booking) settle(ctx context.Context, s settlement) (e Entry, err error) {
	err = b.l.commit(context.WithoutCancel(ctx), func(in *books) error {
		r, err := load(in.tx, b.r.seq)
		if err != nil {
			return err
		}
		if r.state == stateBooked {
			e = r.entry()
			return nil
		}
		if err := b.l.settle(in, r, s, stateBooked); err != nil {
			return err
		}
		e = s.entry(r)
		return nil
	})
	if err != nil {
		return Entry{}, fmt.Errorf("book the call of %s: %w", b.r.model, err)
	}
	return e, nil
}

// settlement is how an attempt ended.
type settlement struct {
	cost     registry.Micro
	basis    Basis
	answered string
	outcome  string
	usage    llm.Usage // zero when not known
	tokens   int64
}

func (s *settlement) entry(r *row) Entry {
	return Entry{Cost: s.cost, Reserved: r.reserved, Basis: s.basis, Model: s.answered, Usage: s.usage, Tokens: s.tokens}
}

// outcomeOK is the outcome of an attempt that was answered; others are kinds of errors.
const (
	outcomeOK     = "ok"
	outcomeLapsed = "lapsed"
	outcomeUnmade = "not_made"
	outcomeOther  = "error"
)

func (l *Ledger) answered(r *row, u llm.Usage, answered string) settlement {
	if answered == "" {
		answered = r.model.Model
	}
	s := settlement{answered: clip(answered), outcome: outcomeOK}
	l.price(r, u, &s)
	return s
}

// price fills in what the usage cost. Where usage or price is not known that is all that was
// reserved, or what the same tokens cost at the model that was asked, if that is more.
func (l *Ledger) price(r *row, u llm.Usage, s *settlement) {
	s.cost, s.basis, s.tokens = r.reserved, Estimated, r.reservedTokens
	if !u.Known || u.Prompt() == 0 {
		return
	}
	asked, err := l.cfg.Table.Cost(u, r.model, r.reservedAt, r.terms)
	if err != nil {
		return // impossible numbers
	}
	s.usage, s.tokens = u, u.Prompt()+u.Output
	cost, err := l.cfg.Table.Cost(u, registry.Ref{Provider: r.model.Provider, Model: s.answered}, r.reservedAt, r.terms)
	if err != nil {
		s.cost = max(r.reserved, asked)
		return
	}
	s.cost, s.basis = cost, Measured
}

// failed says what an attempt without an answer cost. Errors that arise before a model has
// worked are free; after that the provider may bill although nothing arrived.
func (l *Ledger) failed(r *row, err error) settlement {
	s := settlement{answered: r.model.Model, outcome: outcomeOther}
	if errors.Is(err, ErrNotMade) {
		s.basis, s.outcome = Measured, outcomeUnmade
		return s
	}
	var u llm.Usage
	if e, ok := errors.AsType[*llm.Error](err); ok {
		s.outcome, u = string(e.Kind), e.Usage
	}
	if u.Known && u.Prompt() > 0 {
		l.price(r, u, &s)
		return s
	}
	switch llm.Kind(s.outcome) {
	case llm.KindRate, llm.KindSpend, llm.KindOverloaded, llm.KindServer, llm.KindNetwork, llm.KindAuth, llm.KindRequest, llm.KindTooLong:
		s.basis = Measured
	default:
		s.cost, s.basis, s.tokens = r.reserved, Unknown, r.reservedTokens
	}
	return s
}

func clip(s string) string {
	if len(s) > 128 {
		return s[:128]
	}
	return s
}
