// Package absence spares the callers of an engine the wait while it is away: after a failure one of
// them tries it, and not before a pause is over; the others go on without.
package absence

import (
	"sync"
	"time"
)

// Pause is how long an engine is left alone after it failed.
const Pause = 5 * time.Second

// Absence is what is known of one engine. Its zero value is an engine that was not heard to be away.
// It is safe for concurrent use.
type Absence struct {
	mu     sync.Mutex
	away   bool
	next   time.Time // when it is tried again
	trying bool
}

// May reports whether a caller may ask the engine now. One that may says how that went, with Told
// or Release.
func (a *Absence) May(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.away {
		return true
	}
	if a.trying || now.Before(a.next) {
		return false
	}
	a.trying = true
	return true
}

// Told notes how asking went: nil says that the engine answered. It reports whether the engine went
// away or came back by that.
func (a *Absence) Told(err error, now time.Time) (changed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	changed = a.away != (err != nil)
	a.away, a.next, a.trying = err != nil, now.Add(Pause), false
	return changed
}

// Release lets another caller try, after a question that was called off.
func (a *Absence) Release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.trying = false
}
