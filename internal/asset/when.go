package asset

import (
	"strings"
	"time"
)

// window is a time in which work on hosts is expected.
type window struct {
	what       string
	everything bool
	hosts      *members
	from, to   time.Time // zero: open
	weekly     *weekly
}

// weekly is a time of day on days of the week, UTC. It may run past midnight.
type weekly struct {
	days          [7]bool
	start, length time.Duration
}

// exercise is an announced test: who attacks, from where, on what.
type exercise struct {
	what             string
	accounts         map[int]bool
	hosts            *members
	addresses        *members
	senders, domains map[string]bool
	from, to         time.Time
}

// within reports whether at lies from the first, inclusive, to the second, exclusive.
func within(at, from, to time.Time) bool {
	return !at.IsZero() && !at.Before(from) && (to.IsZero() || at.Before(to))
}

func (w *window) active(at time.Time) bool {
	return within(at, w.from, w.to) && (w.weekly == nil || w.weekly.active(at))
}

const day = 24 * time.Hour

func (w *weekly) active(at time.Time) bool {
	at = at.UTC()
	midnight := at.Truncate(day) // of UTC, which has no leap days in time.Time
	for _, begin := range [...]time.Time{midnight, midnight.Add(-day)} {
		from := begin.Add(w.start)
		if w.days[begin.Weekday()] && within(at, from, from.Add(w.length)) {
			return true
		}
	}
	return false
}

var timeLayouts = [...]string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly}

// time reads a time; one without a zone is UTC. Nothing written is the zero time.
func (b *builder) time(what string, e entry) (time.Time, bool) {
	if e.text == "" {
		return time.Time{}, true
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, e.text); err == nil {
			return t.UTC(), true
		}
	}
	b.fail(e.line, "%s: %q is not a time; write 2026-03-14T22:00Z (UTC)", what, clip(e.text))
	return time.Time{}, false
}

// span reads from and to. Both are needed unless open says otherwise.
func (b *builder) span(what string, line int, rawFrom, rawTo entry, open bool) (from, to time.Time, ok bool) {
	from, okFrom := b.time("from", rawFrom)
	to, okTo := b.time("to", rawTo)
	switch {
	case !okFrom || !okTo:
		return from, to, false
	case !open && (from.IsZero() || to.IsZero()):
		b.fail(line, "%s: has no %s; write from and to", what, missing(from.IsZero()))
		return from, to, false
	case !from.IsZero() && !to.IsZero() && !from.Before(to):
		b.fail(line, "%s: ends before it begins", what)
		return from, to, false
	}
	return from, to, true
}

func missing(from bool) string {
	if from {
		return "from"
	}
	return "to"
}

// Longer than these, what is expected for a while is expected for good.
const (
	longWindow   = 31 * day
	longExercise = 92 * day
)

func (b *builder) window(raw *rawWindow) {
	w := window{what: raw.what.text, hosts: b.members("maintenance window hosts", raw.hosts)}
	ok := true
	if raw.weekly != nil {
		w.weekly, ok = b.weekly(raw.weekly)
	}
	from, to, okSpan := b.span("maintenance window", raw.line, raw.from, raw.to, raw.weekly != nil)
	w.from, w.to = from, to
	w.everything = b.yes("everything", raw.everything)
	switch {
	case w.everything == (len(raw.hosts) > 0):
		b.fail(raw.line, "maintenance window: name hosts, or write everything: true, one of the two")
		return
	case !ok || !okSpan:
		return
	}
	if w.weekly == nil && to.Sub(from) > longWindow {
		b.warn(raw.line, "maintenance window: is open for %d days; alerts in it are explained away", int(to.Sub(from)/day))
	}
	b.site.windows = append(b.site.windows, w)
	b.site.counts.MaintenanceWindows++
}

func (b *builder) yes(what string, e entry) bool {
	switch fold(e.text) {
	case "", "false", "no":
		return false
	case "true", "yes":
		return true
	}
	b.fail(e.line, "%s: %q; write true or false", what, clip(e.text))
	return false
}

func (b *builder) weekly(raw *rawWeekly) (*weekly, bool) {
	var w weekly
	ok := true
	for _, e := range raw.days {
		d := dayOf(e.text)
		if d < 0 {
			b.fail(e.line, "weekly: %q is not a day; write mon, tue, wed, thu, fri, sat or sun", clip(e.text))
			ok = false
			continue
		}
		w.days[d] = true
	}
	if len(raw.days) == 0 {
		b.fail(raw.line, "weekly: has no days; write days: [sat]")
		ok = false
	}
	start, okStart := b.clock("start", raw.start, raw.line)
	end, okEnd := b.clock("end", raw.end, raw.line)
	if !ok || !okStart || !okEnd {
		return nil, false
	}
	if start == end || start == day {
		b.fail(raw.line, "weekly: start and end leave no time between them; for a whole day write 00:00 and 24:00")
		return nil, false
	}
	if end < start {
		end += day
	}
	w.start, w.length = start, end-start
	return &w, true
}

func dayOf(s string) int {
	s = fold(s)
	for d := time.Sunday; d <= time.Saturday; d++ {
		if full := fold(d.String()); s == full || s == full[:3] {
			return int(d)
		}
	}
	return -1
}

// clock reads a time of day from 00:00 to 24:00.
func (b *builder) clock(what string, e entry, line int) (time.Duration, bool) {
	if e.text == "" {
		b.fail(line, "weekly: has no %s; write %s: \"22:00\"", what, what)
		return 0, false
	}
	if e.text == "24:00" {
		return day, true
	}
	t, err := time.Parse("15:04", e.text)
	if err != nil {
		b.fail(e.line, "%s: %q is not a time of day; write \"22:00\" (UTC, in quotes)", what, clip(e.text))
		return 0, false
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, true
}

func (b *builder) exercise(raw *rawExercise) {
	x := exercise{
		what: raw.what.text, hosts: b.members("exercise hosts", raw.hosts), addresses: b.members("exercise addresses", raw.addressList),
		accounts: map[int]bool{}, senders: map[string]bool{}, domains: map[string]bool{},
	}
	for _, e := range raw.accounts {
		if id, ok := b.refAccount("exercise account", e); ok {
			x.accounts[id] = true
		}
	}
	for _, e := range raw.senders {
		if i := strings.IndexByte(e.text, '@'); i < 1 || i == len(e.text)-1 {
			b.fail(e.line, "senders: %q is not a mail address", clip(e.text))
			continue
		}
		x.senders[fold(e.text)] = true
	}
	for _, e := range raw.senderDomains {
		name, ok := hostName(e.text)
		switch _, own := b.site.domains[name]; {
		case !ok || !strings.Contains(name, "."):
			b.fail(e.line, "sender_domains: %q is not a domain", clip(e.text))
		case own:
			b.fail(e.line, "sender_domains: %q is your own domain, so every colleague would be an exercise; list the senders", clip(e.text))
		default:
			x.domains[name] = true
		}
	}
	var ok bool
	if x.from, x.to, ok = b.span("exercise", raw.line, raw.from, raw.to, false); !ok {
		return
	}
	if len(raw.accounts)+len(raw.hosts)+len(raw.senders)+len(raw.senderDomains)+len(raw.addressList) == 0 {
		b.fail(raw.line, "exercise: names nothing; add accounts, hosts, senders, sender_domains or addresses")
		return
	}
	if x.to.Sub(x.from) > longExercise {
		b.warn(raw.line, "exercise: runs for %d days; what an intruder does meanwhile looks expected", int(x.to.Sub(x.from)/day))
	}
	b.site.exercises = append(b.site.exercises, x)
	b.site.counts.Exercises++
}
