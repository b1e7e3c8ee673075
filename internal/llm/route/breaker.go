package route

import (
	"time"
)

// BreakerState is the state of a circuit breaker.
type BreakerState string

// The states. A half-open breaker lets one call through, whose end decides.
const (
	Closed   BreakerState = "closed"
	Open     BreakerState = "open"
	HalfOpen BreakerState = "half_open"
)

// When a breaker opens, and for how long.
const (
	breakConsecutive = 5
	breakWindow      = 20
	breakFailures    = breakWindow / 2
	breakOpen        = 30 * time.Second
	// breakAgain is when the next probe is due after one that showed nothing.
	breakAgain = 5 * time.Second
)

// outcome is what an attempt says about its provider.
type outcome int8

const (
	says   outcome = iota // nothing: canceled, rate limited, never made
	worked                // it answers, be it with a refusal
	failed                // it does not
)

// breaker is the circuit breaker of one provider, with the window of its health. The router's
// mutex guards it.
type breaker struct {
	state       BreakerState
	generation  int // moves with the state: an attempt only counts for the state that allowed it
	consecutive int
	window      [breakWindow]bool // true: failed
	n, failures int
	due         time.Time // of the next probe, while open
	health      health
}

func newBreaker() breaker { return breaker{state: Closed} }

// allow reports whether an attempt may be made, and as of which generation. In an open breaker
// whose time has come it is the probe.
func (b *breaker) allow(now time.Time) (generation int, ok bool) {
	switch {
	case b.state == Closed:
		return b.generation, true
	case b.state == Open && b.isDue(now):
		b.move(HalfOpen)
		return b.generation, true
	}
	return 0, false
}

// isDue holds when the next probe is due. A clock that went back makes it wait no longer than
// a breaker ever waits.
func (b *breaker) isDue(now time.Time) bool {
	if b.due.Sub(now) > breakOpen {
		b.due = now.Add(breakOpen)
	}
	return !now.Before(b.due)
}

func (b *breaker) move(to BreakerState) {
	b.state = to
	b.generation++
}

// record counts how an attempt ended and returns the state before and after.
func (b *breaker) record(now time.Time, generation int, o outcome) (from, to BreakerState) {
	if o != says {
		b.health.add(now, o == worked)
	}
	from = b.state
	if generation != b.generation {
		return from, from
	}
	if from == HalfOpen {
		b.probed(now, o)
	} else {
		b.count(now, o)
	}
	return from, b.state
}

func (b *breaker) probed(now time.Time, o outcome) {
	switch o {
	case worked:
		b.move(Closed)
		b.consecutive, b.n, b.failures, b.window = 0, 0, 0, [breakWindow]bool{}
		b.health = health{} // what was before says nothing about a provider that is back
	case failed:
		b.open(now, breakOpen)
	case says:
		b.open(now, breakAgain)
	}
}

func (b *breaker) open(now time.Time, wait time.Duration) {
	b.move(Open)
	b.due = now.Add(wait)
}

func (b *breaker) count(now time.Time, o outcome) {
	if o == says || b.state != Closed {
		return
	}
	at := b.n % breakWindow
	if b.n >= breakWindow && b.window[at] {
		b.failures--
	}
	b.window[at] = o == failed
	b.n++
	if o == worked {
		b.consecutive = 0
		return
	}
	b.consecutive++
	b.failures++
	if b.consecutive >= breakConsecutive || b.n >= breakWindow && b.failures >= breakFailures {
		b.open(now, breakOpen)
	}
}

// health is the share of attempts of the last five minutes that worked, in slots of ten seconds.
type health struct {
	slots [healthSlots]healthSlot
}

const (
	healthStep  = 10 * time.Second
	healthSlots = int(5 * time.Minute / healthStep)
)

type healthSlot struct {
	number     int64
	worked, of int
}

func slotNumber(now time.Time) int64 { return now.Unix() / int64(healthStep/time.Second) }

func (h *health) add(now time.Time, ok bool) {
	n := slotNumber(now)
	s := &h.slots[int(n%int64(healthSlots)+int64(healthSlots))%healthSlots]
	if s.number != n {
		*s = healthSlot{number: n}
	}
	s.of++
	if ok {
		s.worked++
	}
}

// count returns how many attempts of the window worked, and of how many.
func (h *health) count(now time.Time) (ok, of int) {
	n := slotNumber(now)
	for _, s := range h.slots {
		if s.number > n-int64(healthSlots) && s.number <= n {
			ok, of = ok+s.worked, of+s.of
		}
	}
	return ok, of
}
