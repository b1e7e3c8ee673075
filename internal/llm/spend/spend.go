// Package spend keeps what calls to language models cost. Every attempt is reserved at the most
// that it can cost before it is made, and booked afterwards, in the state database: the caps of
// an investigation, a tenant's hour and the month hold for calls in flight, across processes and
// across crashes. What nobody booked stays counted in full.
package spend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/registry"
)

var (
	// ErrCap says that a cap of money, tokens or calls is reached (HTTP 402); see Refusal.
	ErrCap = errors.New("spend: cap reached")
	// ErrQuota says that the tenant's calls of this hour are used up (HTTP 429); see Refusal.
	ErrQuota = errors.New("spend: quota of calls used up")
	// ErrNotMade is given to Booking.Fail when the provider was not asked after all.
	ErrNotMade = errors.New("spend: attempt was not made")
	// ErrNoBooking says that there is no such reservation.
	ErrNoBooking = errors.New("spend: no such reservation")
	// ErrClaim says that a claim lacks what it is counted by.
	ErrClaim = errors.New("spend: incomplete claim")
)

// Meter is asked before every attempt of a call and told how it ended. Implementations are safe
// for concurrent use.
type Meter interface {
	// Reserve returns a *Refusal when a cap or quota is reached, an error that wraps
	// registry.ErrNoPrice or registry.ErrNoModel when the price is unknown, and one that wraps
	// store.ErrUnavailable when nothing can be written. In each case the attempt must not be made.
	Reserve(ctx context.Context, c Claim) (Booking, error)
}

// Booking is one reservation. Book or Fail is called once; a later call changes nothing and
// returns what was booked. They book even when ctx has ended. When they fail, the
// reservation stays counted in full, and lapses with its lease.
type Booking interface {
	// ID names the reservation, so that Ledger.Resume finds it in another process.
	ID() int64
	// Book says what the attempt consumed and which model answered. Usage that is not known is
	// booked at the full reservation, marked as estimated.
	Book(ctx context.Context, u llm.Usage, answered string) (Entry, error)
	// Fail says that there was no answer. What the provider certainly did not bill is free; what
	// it may have billed is booked in full, marked as unknown.
	// ErrNotMade says that the attempt was given up before it was made: it is free.
	Fail(ctx context.Context, err error) (Entry, error)
}

// Claim is an attempt that is about to be made.
type Claim struct {
	Tenant string
	// Plan is the tenant's tier, which decides its quota; an unknown one counts as trial.
	Plan Plan
	// Investigation is whose caps count; empty only for calls that belong to none.
	Investigation string
	Task          llm.Task
	Tier          registry.Tier
	Model         registry.Ref
	// Prompt and Output bound the tokens from above.
	Prompt, Output int64
	Terms          registry.Terms
	// Again is a further attempt of a call that was counted: it does not count for the quota.
	Again bool
	// Lease is how long the attempt can take; 0 means Config.Lease.
	Lease time.Duration
}

// Plan is a tenant's tier.
type Plan string

// The plans (REFERENCE section 19A).
const (
	Premium  Plan = "premium"
	Standard Plan = "standard"
	Trial    Plan = "trial"
)

// Basis says how a figure was come by.
type Basis string

// The bases. Caps count them all; reports keep them apart.
const (
	Measured  Basis = "measured"  // the provider said what was consumed
	Estimated Basis = "estimated" // it answered and did not say, or the process died: the full reservation
	Unknown   Basis = "unknown"   // there was no answer, and it may have been billed: the full reservation
)

// Entry is what was booked.
type Entry struct {
	Cost     registry.Micro `json:"cost_micro_usd"`
	Reserved registry.Micro `json:"reserved_micro_usd"`
	Basis    Basis          `json:"basis"`
	Model    string         `json:"model"` // that answered, else as asked
	Usage    llm.Usage      `json:"-"`
	// Tokens is prompt and answer together, or what was reserved where that is not known.
	Tokens int64 `json:"tokens"`
}

// Cap names a limit.
type Cap string

// The caps.
const (
	InvestigationCalls  Cap = "investigation_calls"
	InvestigationTokens Cap = "investigation_tokens"
	InvestigationMoney  Cap = "investigation_usd"
	TenantHourCalls     Cap = "tenant_hour_calls"
	TenantHourMoney     Cap = "tenant_hour_usd"
	TenantMonthMoney    Cap = "tenant_month_usd"
	MonthMoney          Cap = "month_usd"
)

// Refusal is a claim that does not fit under a cap. It is ErrQuota for TenantHourCalls and
// ErrCap for the others. Amounts are calls, tokens or micro-USD.
type Refusal struct {
	Cap      Cap   `json:"cap"`
	Limit    int64 `json:"limit"`
	Used     int64 `json:"used"`      // booked
	InFlight int64 `json:"in_flight"` // reserved: part of it may come back
	Wanted   int64 `json:"wanted"`
	// FreeAt is when the cap begins anew; zero when it never does.
	FreeAt time.Time `json:"free_at,omitzero"`
}

// Error implements error.
func (r *Refusal) Error() string {
	s := fmt.Sprintf("spend: %s: %d used and %d in flight of %d, %d wanted", r.Cap, r.Used, r.InFlight, r.Limit, r.Wanted)
	if !r.FreeAt.IsZero() {
		s += ", free again at " + r.FreeAt.Format(time.RFC3339)
	}
	return s
}

// Is implements errors.Is for ErrCap and ErrQuota.
func (r *Refusal) Is(target error) bool {
	if r.Cap == TenantHourCalls {
		return target == ErrQuota
	}
	return target == ErrCap
}

// Unlimited switches a limit off.
const Unlimited = -1

// Limits are the caps. Zero means the default, Unlimited none.
type Limits struct {
	MonthSoft registry.Micro // told once a month; default $500
	MonthHard registry.Micro // default $1,000
	// TenantMonth bounds each tenant; default none.
	TenantMonth registry.Micro
	TenantHour  registry.Micro // default $25
	// Quota is how many calls a tenant makes in an hour; default 500, 100 and 20.
	Quota map[Plan]int64

	InvestigationCalls  int64          // attempts; default 60
	InvestigationTokens int64          // default 2,000,000
	InvestigationMoney  registry.Micro // default $5
}

func (l Limits) withDefaults() Limits {
	def(&l.MonthSoft, 500*registry.Dollar)
	def(&l.MonthHard, 1000*registry.Dollar)
	def(&l.TenantMonth, Unlimited)
	def(&l.TenantHour, 25*registry.Dollar)
	def(&l.InvestigationCalls, 60)
	def(&l.InvestigationTokens, 2_000_000)
	def(&l.InvestigationMoney, 5*registry.Dollar)
	quota := map[Plan]int64{Premium: 500, Standard: 100, Trial: 20}
	for plan, n := range l.Quota {
		if n != 0 {
			quota[plan] = n
		}
	}
	l.Quota = quota
	return l
}

func def[T ~int64](to *T, value T) {
	if *to == 0 {
		*to = value
	}
}

func (l *Limits) quota(p Plan) int64 {
	if n, ok := l.Quota[p]; ok {
		return n
	}
	return l.Quota[Trial]
}

// Limit of the month that was reached.
const (
	SoftLimit = "soft"
	HardLimit = "hard"
)

// Event is a limit of the month that was reached: soft when as much was booked, hard when a
// claim was refused for it.
type Event struct {
	Kind  string         `json:"kind"` // SoftLimit or HardLimit
	Month string         `json:"month"`
	Limit registry.Micro `json:"limit_micro_usd"`
	Used  registry.Micro `json:"used_micro_usd"` // booked and in flight
	At    time.Time      `json:"at"`
}

// Emit records an event in the transaction that makes it true: exactly once a month and kind.
// It may run again when the transaction is repeated, and an error of it undoes everything.
type Emit func(tx store.Tx, e Event) error

// month and hour number the periods of the caps.
func month(at time.Time) int64 {
	at = at.UTC()
	return int64(at.Year())*12 + int64(at.Month()) - 1
}

func monthStart(n int64) time.Time {
	return time.Date(int(n/12), time.Month(n%12+1), 1, 0, 0, 0, 0, time.UTC)
}

func monthName(n int64) string { return monthStart(n).Format("2006-01") }

func hour(at time.Time) int64 { return at.Unix() / 3600 }

func hourStart(n int64) time.Time { return time.Unix(n*3600, 0).UTC() }
