package route

import "time"

// Hysteresis: a worse level is entered at once; a better one when it has held for the dwell,
// which doubles each time that a level is entered soon after it was left.
const (
	dwellShortest = 8 * time.Second
	dwellLongest  = 4 * time.Minute
	dwellForgets  = 10 * time.Minute
)

// levels turns what is true at the moment into the level that is in force. The router's mutex
// guards it.
type levels struct {
	current Level
	target  Level
	since   time.Time // when target began
	left    time.Time // when a level was last left for a better one
	dwell   time.Duration
}

func newLevels() levels { return levels{current: Full, target: Full, dwell: dwellShortest} }

// update takes what is true now and returns the level before and after.
func (l *levels) update(now time.Time, target Level) (from, to Level) {
	from = l.current
	if target != l.target || now.Before(l.since) {
		l.target, l.since = target, now
	}
	switch {
	case target.Worse(from):
		l.enter(now, target)
	case from.Worse(target) && now.Sub(l.since) >= l.dwell:
		l.current, l.left = target, now
	}
	return from, l.current
}

func (l *levels) enter(now time.Time, to Level) {
	l.current = to
	if l.left.IsZero() || now.Sub(l.left) >= dwellForgets {
		l.dwell = dwellShortest
		return
	}
	l.dwell = min(2*l.dwell, dwellLongest)
}

// due is when a better level can be entered; ok is false when none is in sight.
func (l *levels) due() (at time.Time, ok bool) {
	return l.since.Add(l.dwell), l.current.Worse(l.target)
}
