package fp

import (
	"errors"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/audit"
)

// service is the name under which this package signs audit events.
const service = "fp"

// ledger collects the audit events of one change.
type ledger struct {
	now    time.Time
	events []audit.Event
	object audit.Object
	err    error
}

func utf8Text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func (l *ledger) fragment(build func(*audit.Object)) audit.Fragment {
	l.object.Reset()
	build(&l.object)
	f, err := l.object.Finish()
	l.err = errors.Join(l.err, err)
	return f
}

// by is who acts: a person, or the schedule when empty.
func (l *ledger) add(t audit.Type, by string, change func(*audit.Event)) {
	ev := audit.Event{
		Type: t, Timestamp: l.now.UnixMicro(), ActorType: audit.ActorHuman, ActorID: utf8Text(by), SourceService: service,
	}
	if by == "" {
		ev.ActorType, ev.ActorID = audit.ActorScheduler, service
	}
	change(&ev)
	l.events = append(l.events, ev)
}

// pattern records what happened to a pattern. more adds to the outcome.
func (l *ledger) pattern(t audit.Type, p *Pattern, by, reason string, more func(*audit.Object)) {
	l.add(t, by, func(ev *audit.Event) {
		ev.Context = l.fragment(func(o *audit.Object) {
			o.Str("definition", p.Digest())
			o.Str("pattern_id", p.ID)
			o.Str("pattern_name", utf8Text(p.Name))
			o.Str("proposer", utf8Text(p.Proposer))
			o.Int("threshold", int64(micro(p.Threshold)))
		})
		ev.Decision = l.fragment(func(o *audit.Object) { o.Str("reason", utf8Text(reason)) })
		ev.Outcome = l.fragment(func(o *audit.Object) {
			o.Str("status", string(p.Status))
			if !p.Expiry.IsZero() {
				o.Int("expiry", p.Expiry.UnixMicro())
			}
			if more != nil {
				more(o)
			}
		})
	})
}

func backtestInto(r *Report) func(*audit.Object) {
	return func(o *audit.Object) {
		o.Int("backtest_alerts", int64(r.Alerts))
		o.Int("backtest_hidden", int64(r.Hidden))
		o.Int("backtest_hidden_investigations", int64(r.Investigations))
	}
}

func (l *ledger) killSwitch(t audit.Type, sw *Switch, by, reason string) {
	l.add(t, by, func(ev *audit.Event) {
		ev.Severity = audit.SeverityWarning
		ev.Context = l.fragment(func(o *audit.Object) {
			o.Str("dimension", string(sw.Dimension))
			o.Str("value", utf8Text(sw.Value))
		})
		ev.Decision = l.fragment(func(o *audit.Object) { o.Str("reason", utf8Text(reason)) })
	})
}
