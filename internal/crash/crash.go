// Package crash kills the process at a named place, so that a test can prove what survives.
//
// A process is armed by its environment: ALUSKORT_CRASH_AT=after-commit dies at the first
// passing of that point, ALUSKORT_CRASH_AT=after-commit:3 at the third. The process ends by
// SIGKILL: no deferred function runs and nothing is flushed. Unarmed, a point costs one
// atomic load.
package crash

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Env is the environment variable that arms a point: "name" or "name:n".
const Env = "ALUSKORT_CRASH_AT"

// The points on the way of a batch, in the order in which it passes them.
const (
	BeforePoll      = "before-poll"      // before records are fetched from the bus
	AfterEvaluation = "after-evaluation" // verdicts known, nothing written
	InTransaction   = "in-transaction"   // rows written, not committed
	AfterCommit     = "after-commit"     // committed, offset not yet committed on the bus
	BeforeRelay     = "before-relay"     // offset committed, outbox rows not yet published
	AfterRelay      = "after-relay"      // published, not yet appended to the audit chain
	InAppend        = "in-append"        // inside the transaction of the audit append
	AfterAppend     = "after-append"     // appended, offset not yet committed on the bus
)

// Points is every point that exists, in order.
var Points = [...]string{
	BeforePoll, AfterEvaluation, InTransaction, AfterCommit,
	BeforeRelay, AfterRelay, InAppend, AfterAppend,
}

// trigger is a point and the number of passings that are still survived, plus one.
type trigger struct {
	name string
	left atomic.Int64
}

var armed = sync.OnceValue(func() *trigger {
	t, err := parse(os.Getenv(Env))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return t
})

// Point kills the process when the environment says so, and otherwise does nothing. It is
// safe for concurrent use; passings are counted over all goroutines.
func Point(name string) {
	t := armed()
	if t == nil || t.name != name || t.left.Add(-1) != 0 {
		return
	}
	kill()
}

// kill ends the process with SIGKILL (TerminateProcess on Windows) and never returns.
func kill() {
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		os.Exit(137)
	}
	select {}
}

// parse reads the value of Env. A misspelt point would make a crash test pass without a
// crash, so an unknown name is an error.
func parse(value string) (*trigger, error) {
	if value == "" {
		return nil, nil
	}
	name, count, counted := strings.Cut(value, ":")
	n := int64(1)
	if counted {
		var err error
		if n, err = strconv.ParseInt(count, 10, 64); err != nil || n < 1 {
			return nil, fmt.Errorf("crash: %s=%q: the count after the colon must be a positive integer", Env, value)
		}
	}
	for _, p := range Points {
		if p == name {
			t := &trigger{name: name}
			t.left.Store(n)
			return t, nil
		}
	}
	return nil, fmt.Errorf("crash: %s=%q: unknown point; use one of %s", Env, value, strings.Join(Points[:], ", "))
}
