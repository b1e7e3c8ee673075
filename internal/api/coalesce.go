package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// Bounds of one combined call.
const (
	maxCombined      = 2000     // alerts
	maxCombinedBytes = 16 << 20 // of native bytes
)

// coalescer combines the alerts of requests that run at the same time into one call of offer:
// while one call is on its way to the disk, the next gathers. The first to come makes the
// call; whoever waits when it returns makes the next. A request alone waits for nobody.
type coalescer struct {
	offer   func(context.Context, []alert.Alert) error
	timeout time.Duration

	mu      sync.Mutex
	waiting []*offering
	busy    bool
}

type offering struct {
	alerts []alert.Alert
	bytes  int
	done   chan error // nil: acknowledged; errLead: it is your turn to call
}

var errLead = errors.New("lead")

func newCoalescer(offer func(context.Context, []alert.Alert) error, timeout time.Duration) *coalescer {
	return &coalescer{offer: offer, timeout: timeout}
}

// Offer returns when the alerts are acknowledged, or the call that carried them failed. A
// client that goes away does not end it: its alerts may be on their way with those of others.
func (c *coalescer) Offer(ctx context.Context, alerts []alert.Alert) error {
	if len(alerts) == 0 {
		return nil
	}
	o := &offering{alerts: alerts, done: make(chan error, 1)}
	for i := range alerts {
		o.bytes += len(alerts[i].RawPayload)
	}
	c.mu.Lock()
	c.waiting = append(c.waiting, o)
	lead := !c.busy
	c.busy = true
	c.mu.Unlock()
	if lead {
		c.lead(ctx)
	}
	err := <-o.done
	if errors.Is(err, errLead) {
		c.lead(ctx)
		err = <-o.done
	}
	return err
}

// lead makes one call for those that wait, the caller's own among them, and hands over. The
// caller's offering is always the first of the queue.
func (c *coalescer) lead(ctx context.Context) {
	group := c.take()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	defer cancel()
	all := group[0].alerts
	if len(group) > 1 {
		all = nil
		for _, o := range group {
			all = append(all, o.alerts...)
		}
	}
	err := c.safeOffer(ctx, all)
	for _, o := range group {
		if errors.Is(err, ErrTooLarge) && len(group) > 1 {
			o.done <- c.safeOffer(ctx, o.alerts) // one request's fault is not the others'
			continue
		}
		o.done <- err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		c.busy = false
		return
	}
	c.waiting[0].done <- errLead
}

// safeOffer keeps a panic from leaving the others waiting for ever.
func (c *coalescer) safeOffer(ctx context.Context, alerts []alert.Alert) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("offer panicked: %v", p)
		}
	}()
	return c.offer(ctx, alerts)
}

// take removes the next group from the queue: at least one offering.
func (c *coalescer) take() []*offering {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, alerts, size := 0, 0, 0
	for n < len(c.waiting) {
		o := c.waiting[n]
		if n > 0 && (alerts+len(o.alerts) > maxCombined || size+o.bytes > maxCombinedBytes) {
			break
		}
		alerts, size = alerts+len(o.alerts), size+o.bytes
		n++
	}
	group := c.waiting[:n:n]
	c.waiting = append([]*offering(nil), c.waiting[n:]...)
	return group
}
