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
}

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
			p.calls = append(p.calls, priced{now, int64(a.Spent.Cost), a.Spent.Usage.Prompt()})
		}
	}
	old := 0
	for old < len(p.calls) && (now.Sub(p.calls[old].at) > alarmBaseline || len(p.calls)-old > alarmKept) {
		old++
	}
	p.calls = p.calls[old:]
	var before, after priced
	var nBefore, nAfter int
	for _, c := range p.calls {
		if now.Sub(c.at) > alarmWindow {
			before.micro, before.input, nBefore = before.micro+c.micro, before.input+c.input, nBefore+1
		} else {
			after.micro, after.input, nAfter = after.micro+c.micro, after.input+c.input, nAfter+1
		}
	}
	if nBefore < alarmCalls || nAfter < alarmCalls || now.Sub(p.told) < alarmBaseline && !p.told.IsZero() {
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
