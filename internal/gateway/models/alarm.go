package models

import (
	"fmt"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/llm/route"
)

// priceAlarm notices that the same tokens cost much more than before: the prompt cache misses
// after a change of instructions, a provider answers with a dearer model, a longer prompt falls
// into another band. It compares what a thousand tokens of prompt cost in the last five minutes
// with the hour before, and says so once an hour (FAULTS C13).
type priceAlarm struct {
	mu    sync.Mutex
	calls []priced
	told  time.Time
	// border is the first call in calls that is inside the window; before and after are the sums
	// of both sides.
	border        int
	before, after priceSum
}

type priceSum struct{ calls, micro, input int64 }

type priced struct {
	at           time.Time
	micro, input int64
}

const (
	alarmWindow   = 5 * time.Minute
	alarmBaseline = time.Hour
	alarmFactor   = 2
	alarmCalls    = 10 // on both sides: fewer say nothing
	alarmKept     = 20_000
)

// note adds attempts and returns an event when the price has jumped.
func (p *priceAlarm) note(now time.Time, attempts []route.Attempt) *Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range attempts {
		if a := &attempts[i]; a.Made && a.Kind == "" && a.Spent.Usage.Prompt() > 0 {
			c := priced{now, int64(a.Spent.Cost), a.Spent.Usage.Prompt()}
			p.calls = append(p.calls, c)
			p.after.count(&c, 1)
		}
	}
	p.age(now)
	before, after := &p.before, &p.after
	if before.calls < alarmCalls || after.calls < alarmCalls || now.Sub(p.told) < alarmBaseline && !p.told.IsZero() {
		return nil
	}
	was, is := 1000*float64(before.micro)/float64(before.input), 1000*float64(after.micro)/float64(after.input)
	if is <= alarmFactor*was {
		return nil
	}
	p.told = now
	return &Event{
		Kind: "spend.soft_limit", At: now, MicroUSD: after.micro,
		Reason: fmt.Sprintf("a thousand tokens of prompt cost %.1f micro-USD in the last five minutes, %.1f in the hour before: look at prompt cache, model and prompt length", is, was),
	}
}

// age moves calls out of the window and out of the memory. Each call is moved once, since this is
// asked for at every call.
func (p *priceAlarm) age(now time.Time) {
	for ; p.border < len(p.calls) && now.Sub(p.calls[p.border].at) > alarmWindow; p.border++ {
		p.after.count(&p.calls[p.border], -1)
		p.before.count(&p.calls[p.border], 1)
	}
	old := 0
	for old < len(p.calls) && (now.Sub(p.calls[old].at) > alarmBaseline || len(p.calls)-old > alarmKept) {
		from := &p.before
		if old >= p.border {
			from = &p.after
		}
		from.count(&p.calls[old], -1)
		old++
	}
	p.calls, p.border = p.calls[old:], max(0, p.border-old)
}

// count adds a call to a sum, or takes it away with sign -1.
func (s *priceSum) count(c *priced, sign int64) {
	s.calls += sign
	s.micro += sign * c.micro
	s.input += sign * c.input
}
