package absence

import (
	"errors"
	"testing"
	"time"
)

// After a failure one caller tries after each pause, whether the one before said how it went or was
// called off, and the engine is asked freely again once it answered.
func TestOneCallerTries(t *testing.T) {
	var a Absence
	now := time.Date(2026, 3, 4, 6, 0, 0, 0, time.UTC)
	away := errors.New("away")
	everybody := func() bool {
		first, second := a.May(now), a.May(now)
		return first && second
	}
	if !everybody() {
		t.Fatal("an engine that never failed is not asked by everybody")
	}
	if !a.Told(away, now) || a.Told(away, now) {
		t.Error("going away is told once, the first time")
	}
	if a.May(now.Add(Pause - 1)) {
		t.Error("asked again within the pause")
	}
	now = now.Add(Pause)
	if !a.May(now) || a.May(now) {
		t.Error("after the pause one caller tries, and only one")
	}
	a.Release()
	if !a.May(now) || a.May(now) {
		t.Error("after one that was called off, another one tries")
	}
	if !a.Told(nil, now) || a.Told(nil, now) {
		t.Error("coming back is told once")
	}
	if !everybody() {
		t.Error("an engine that is back is not asked by everybody")
	}
}
