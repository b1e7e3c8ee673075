// Package clock is where time comes in: every part that reads the time or waits for it
// takes a Clock, so that a test decides what time it is.
package clock

import "time"

// Clock tells the time and makes timers. Implementations are safe for concurrent use.
type Clock interface {
	// Now returns the current time in UTC, truncated to microseconds: the resolution in which
	// times are stored, so that a stored time equals the one in memory.
	Now() time.Time
	// NewTimer returns a timer that fires once after d.
	NewTimer(d time.Duration) *time.Timer
}

// System is the clock of the machine. Under testing/synctest it is the bubble's clock.
type System struct{}

// Now implements Clock.
func (System) Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// NewTimer implements Clock.
func (System) NewTimer(d time.Duration) *time.Timer { return time.NewTimer(d) }

// Fixed is a clock that stands still; its timers are those of the machine.
type Fixed time.Time

// Now implements Clock.
func (f Fixed) Now() time.Time { return time.Time(f).UTC().Truncate(time.Microsecond) }

// NewTimer implements Clock.
func (Fixed) NewTimer(d time.Duration) *time.Timer { return time.NewTimer(d) }
