package api

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/aluskort/aluskort/internal/clock"
)

// admission holds every tenant to its rate of records, so that one that floods does not stand in
// the way of the others. A request is let in while the tenant has any credit, and is charged for
// what was in it; one with more records than a burst costs a burst. It is safe for concurrent use
// and counts for this process alone.
type admission struct {
	clock clock.Clock
	rate  rate.Limit // records a second; 0 means no limit
	burst int

	mu      sync.Mutex
	tenants map[string]*rate.Limiter // those of valid tokens
}

func newAdmission(clk clock.Clock, l Limits) *admission {
	return &admission{clock: clk, rate: rate.Limit(l.TenantRate), burst: l.TenantBurst, tenants: map[string]*rate.Limiter{}}
}

func (a *admission) of(tenant string) *rate.Limiter {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.tenants[tenant]
	if l == nil {
		l = rate.NewLimiter(a.rate, a.burst)
		a.tenants[tenant] = l
	}
	return l
}

// wait is how long the tenant has to wait before a request of it is let in, in whole seconds.
func (a *admission) wait(tenant string) time.Duration {
	if a.rate <= 0 {
		return 0
	}
	missing := 1 - a.of(tenant).TokensAt(a.clock.Now())
	if missing <= 0 {
		return 0
	}
	return time.Duration(math.Ceil(missing/float64(a.rate))) * time.Second
}

// charge books the records of a request that was let in.
func (a *admission) charge(tenant string, records int) {
	if a.rate <= 0 || records <= 0 {
		return
	}
	a.of(tenant).ReserveN(a.clock.Now(), min(records, a.burst))
}
