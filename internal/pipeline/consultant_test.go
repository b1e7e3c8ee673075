package pipeline

import (
	"testing"

	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

// A job that was let go may be claimed again before its end is noted: the claim that is under way
// keeps its place, and with it the renewal of its lease.
func TestAnOlderClaimDoesNotEndANewerOne(t *testing.T) {
	claim := func(attempt int) orchestrate.Job {
		return orchestrate.Job{Investigation: &investigate.Investigation{ID: "i"}, Attempts: attempt}
	}
	c := &Consultant{active: map[string]orchestrate.Job{"i": claim(2)}}
	c.finished([]orchestrate.Consulted{{Job: claim(1)}})
	if c.active["i"].Attempts != 2 {
		t.Error("the second claim was forgotten when the first ended")
	}
	c.finished([]orchestrate.Consulted{{Job: claim(2)}})
	if len(c.active) != 0 {
		t.Error("a claim that ended is still under way")
	}
}
