package pipeline

import (
	"testing"

	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

// A job that was let go may be claimed again before its end is noted, or there is a new one for the same
// investigation: what is under way keeps its place, and with it the renewal of its lease.
func TestAnOlderClaimDoesNotEndANewerOne(t *testing.T) {
	for _, attempts := range []int{1, 2} {
		claim := func(attempt int) orchestrate.Job {
			return orchestrate.Job{Investigation: &investigate.Investigation{ID: "i"}, Attempts: attempt}
		}
		older, newer := claim(1), claim(attempts)
		c := &Consultant{active: map[string]orchestrate.Job{"i": newer}}
		c.finished([]orchestrate.Consulted{{Job: older}})
		if len(c.active) != 1 {
			t.Errorf("attempt %d was forgotten when an older claim ended", attempts)
		}
		c.finished([]orchestrate.Consulted{{Job: newer}})
		if len(c.active) != 0 {
			t.Error("a claim that ended is still under way")
		}
	}
}
