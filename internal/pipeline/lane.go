package pipeline

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/parallel"
)

// lane is a way that alerts take from the intake to their verdict (ADR 0013, ADR 0014). Each has
// its own topics and its own loops over them, so that a flood in one is no queue in another; they
// meet in the state database, where one commit at a time goes on, whosever it is. No verdict
// depends on the lane.
type lane struct {
	raw, normalized string
	// ahead says that commits of the lane go before those of lanes that are not.
	ahead bool
	rank  int
}

var (
	// urgent has what its source calls critical. High ones are too many in a flood.
	urgent = lane{bus.AlertsRawUrgent, bus.AlertsNormalizedUrgent, true, 0}
	// regular has what is within the share of its sender.
	regular = lane{bus.AlertsRaw, bus.AlertsNormalized, true, 1}
	// bulk has the rest.
	bulk  = lane{bus.AlertsRawBulk, bus.AlertsNormalizedBulk, false, 2}
	lanes = [...]lane{urgent, regular, bulk}
)

// of is the lane of an alert that came on l. It goes by what the source says alone: our own
// severity is known after the parser.
func (l lane) of(a *alert.Alert) lane {
	if a.Severity == alert.Critical {
		return urgent
	}
	return l
}

// again is a record that cannot be worked on as long as the object store is away, for the topic of
// the bulk lane: there it waits, and nobody that goes before waits behind it.
func again(rec *bus.Record, topic string) bus.Record {
	return bus.Record{Topic: topic, Key: rec.Key, Value: rec.Value, Headers: rec.Headers}
}

// readWithin bounds how long a lane ahead waits for one object; the bulk lane waits for as long as
// something comes.
const readWithin = 5 * time.Second

// read fetches native bytes for an alert of the lane.
func (l lane) read(ctx context.Context, s blob.Store, tenant, ref string) ([]byte, error) {
	if !l.ahead {
		return s.Get(ctx, tenant, ref)
	}
	patient, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	b, err := s.Get(patient, tenant, ref)
	if err != nil && patient.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: no answer within %s: %w", blob.ErrUnavailable, readWithin, err)
	}
	return b, err
}

// Precedence lets the bulk lane stand aside for the others within one process. What bulk work
// does to a lane ahead is to keep the processors and the writer of the state database busy, which
// it gives up only between two batches: so while there is work ahead its batches are small, and a
// new one is not begun while an alert ahead is on its way. A nil *Precedence asks for nothing. It
// is safe for concurrent use.
type Precedence struct {
	clock clock.Clock
	seen  atomic.Int64             // when work ahead was last seen, in ns since 1970
	until [len(lanes)]atomic.Int64 // as long as that of a lane is expected to be on its way
}

// NewPrecedence returns a Precedence that has seen no work ahead yet.
func NewPrecedence(clk clock.Clock) *Precedence { return &Precedence{clock: clk} }

const (
	// onTheWay is how long an alert ahead is expected to need from one stage to the next.
	onTheWay = 15 * time.Millisecond
	// asideFor bounds how long a batch of the bulk lane stands aside before each stage, so that a
	// lane ahead that never rests slows it down and does not stop it; look is how often it looks.
	asideFor = 30 * time.Millisecond
	look     = time.Millisecond
	// smallFor is how long after work ahead the batches of the bulk lane stay small, and smallBatch
	// how small that is.
	smallFor   = time.Second
	smallBatch = 32
)

// begin says that work of a lane has come to a stage; end that it has left the last one.
func (p *Precedence) begin(l lane) {
	if p == nil || !l.ahead {
		return
	}
	now := p.clock.Now().UnixNano()
	p.seen.Store(now)
	p.until[l.rank].Store(now + int64(onTheWay))
}

func (p *Precedence) end(l lane) {
	if p != nil && l.ahead {
		p.until[l.rank].Store(0)
	}
}

// limits are those of the batches of a lane.
func (p *Precedence) limits(l lane) (b bus.BatchLimits) {
	if p != nil && !l.ahead {
		b.Fewer = func() int {
			if p.company() {
				return smallBatch
			}
			return maxBatch
		}
	}
	return b
}

// company reports whether there was work ahead a short while ago.
func (p *Precedence) company() bool {
	since := p.clock.Now().UnixNano() - p.seen.Load()
	return since >= 0 && since < int64(smallFor)
}

// sparing is the context in which a batch of the lane is parsed or evaluated: beside work ahead the
// bulk lane leaves it a processor, so that it does not wait for one from hand to hand.
func (p *Precedence) sparing(ctx context.Context, l lane) context.Context {
	if p == nil || l.ahead || !p.company() {
		return ctx
	}
	return parallel.Spare(ctx)
}

// maxBatch leaves the size of a batch to the bus.
const maxBatch = 1 << 20

// aside waits, before a batch of the lane is begun, while an alert ahead is on its way.
func (p *Precedence) aside(ctx context.Context, l lane) {
	if p == nil || l.ahead {
		return
	}
	begun := p.clock.Now().UnixNano()
	for range asideFor / look {
		now := p.clock.Now().UnixNano()
		if !p.onTheWay(now) || now-begun >= int64(asideFor) {
			return
		}
		t := p.clock.NewTimer(look)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// onTheWay reports whether work of a lane ahead is expected to be under way. A time further ahead
// than any that is stored is from before the clock was set back.
func (p *Precedence) onTheWay(now int64) bool {
	for i := range p.until {
		if left := p.until[i].Load() - now; left > 0 && left <= int64(onTheWay) {
			return true
		}
	}
	return false
}

// Shares tells the alerts that go before the rest: of every sender, which is a source of a tenant,
// as many a second as its share. A sender that sends more is a flood until its rate was below its
// share for a while, and nothing of it goes before the rest. It is safe for concurrent use and
// counts for this process alone.
type Shares struct {
	clock clock.Clock
	rate  int

	mu      sync.Mutex
	senders map[sender]*credit
}

type sender struct{ tenant, source string }

type credit struct {
	*rate.Limiter
	spent bool
}

// Bounds of shares: how many seconds of its share a sender may use at once after a rest, how many
// it must have saved after it was a flood, and how many senders are remembered. When there are
// more, all begin anew.
const (
	shareBurst = 10
	shareSaved = 5
	maxSenders = 10_000
)

// NewShares gives every sender a share of perSecond alerts.
func NewShares(clk clock.Clock, perSecond int) *Shares {
	return &Shares{clock: clk, rate: perSecond, senders: map[sender]*credit{}}
}

// within reports whether one more alert of the sender goes before the rest, and books it.
func (s *Shares) within(tenant, source string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	who, now := sender{tenant, source}, s.clock.Now()
	c := s.senders[who]
	if c == nil {
		if len(s.senders) >= maxSenders {
			clear(s.senders)
		}
		c = &credit{Limiter: rate.NewLimiter(rate.Limit(s.rate), shareBurst*s.rate)}
		s.senders[who] = c
	}
	if c.spent {
		c.spent = c.TokensAt(now) < float64(shareSaved*s.rate)
	}
	if !c.AllowN(now, 1) {
		c.spent = true
	}
	return !c.spent
}
