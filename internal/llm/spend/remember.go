package spend

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/cache"
)

// Hot is what Remembering needs of a cache.
type Hot interface {
	Get(ctx context.Context, s cache.Space, name string) ([]byte, error)
	Set(ctx context.Context, s cache.Space, entries ...cache.Entry) error
}

// Remembering is a Meter in front of another that remembers whose calls of this hour are used up,
// so that a tenant that keeps asking costs a look into the cache and no transaction. The count
// itself is the database's alone: calls of an hour only grow, so that a quota that is used up stays
// so until the hour ends, and nothing but a refusal is remembered. A cache that fails, forgets or
// lies cannot let a call through.
type Remembering struct {
	meter  Meter
	hot    Hot
	limits Limits
	clock  clock.Clock
}

var _ Meter = (*Remembering)(nil)

// Remember returns a Meter in front of meter, whose limits and clock it shares.
func Remember(meter Meter, hot Hot, limits Limits, c clock.Clock) *Remembering {
	return &Remembering{meter: meter, hot: hot, limits: limits.withDefaults(), clock: c}
}

// Reserve implements Meter.
func (r *Remembering) Reserve(ctx context.Context, c Claim) (Booking, error) {
	if no := r.recall(ctx, &c); no != nil {
		return nil, no
	}
	b, err := r.meter.Reserve(ctx, c)
	if no, refused := errors.AsType[*Refusal](err); refused && no.Cap == TenantHourCalls {
		r.note(ctx, &c, no)
	}
	return b, err
}

func quotaSpace(tenant string) cache.Space { return cache.Space{Tenant: tenant, Name: "quota"} }

// quotaName changes with the limit, so that a higher one is asked about anew.
func quotaName(limit, hour int64) string { return fmt.Sprintf("calls:%d:%d", limit, hour) }

func (r *Remembering) recall(ctx context.Context, c *Claim) *Refusal {
	limit := r.limits.quota(c.Plan)
	if c.Again || limit < 0 {
		return nil
	}
	h := hour(r.clock.Now())
	b, err := r.hot.Get(ctx, quotaSpace(c.Tenant), quotaName(limit, h))
	if err != nil {
		return nil
	}
	used, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || used < limit {
		return nil
	}
	return &Refusal{Cap: TenantHourCalls, Limit: limit, Used: used, Wanted: 1, FreeAt: hourStart(h + 1)}
}

func (r *Remembering) note(ctx context.Context, c *Claim, no *Refusal) {
	now := r.clock.Now()
	life := no.FreeAt.Sub(now)
	if no.Limit != r.limits.quota(c.Plan) || life < time.Millisecond {
		return
	}
	_ = r.hot.Set(ctx, quotaSpace(c.Tenant), cache.Entry{ // costs a transaction, no more
		Name: quotaName(no.Limit, hour(no.FreeAt)-1), Value: strconv.AppendInt(nil, no.Used, 10), Life: life,
	})
}
