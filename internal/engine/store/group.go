package store

import (
	"context"
	"errors"
	"sync"
)

// Group lets callers that come at the same time share transactions, so that they share one sync of
// the disk. A change that comes while a transaction runs waits for the next one, with all others
// that came meanwhile; one that comes alone is not held up.
//
// The zero value is not ready: use NewGroup. It is safe for concurrent use and has nothing to
// close.
type Group struct {
	db DB

	mu      sync.Mutex
	waiting []*change
	busy    bool
}

// NewGroup returns a group over db.
func NewGroup(db DB) *Group { return &Group{db: db} }

// change is one caller's part; err is its outcome.
type change struct {
	owner owner
	run   func(tx Tx) error
	err   error
	done  chan struct{}
}

// owner is the tenant that a change is for; transactions are shared among changes of one owner.
type owner struct {
	tenant string
	bound  bool
}

func (o owner) context() context.Context {
	if !o.bound {
		return context.Background()
	}
	return ForTenant(context.Background(), o.tenant)
}

// maxShared bounds how many changes share one commit.
const maxShared = 256

// Update runs fn in a transaction that it may share with others, and returns when that is durable
// or has failed. When one of those who share it fails, all is undone and each is tried alone, so an
// error of fn is nobody else's; that the engine is unavailable all are told at once. Hence fn may
// run more than once. It runs for the tenant of ctx (ForTenant) or over all, together with changes
// for the same, and to its end even when ctx ends meanwhile.
func (g *Group) Update(ctx context.Context, fn func(tx Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &change{run: fn, done: make(chan struct{})}
	c.owner.tenant, c.owner.bound = TenantOf(ctx)
	g.mu.Lock()
	g.waiting = append(g.waiting, c)
	start := !g.busy
	g.busy = true
	g.mu.Unlock()
	if start {
		go g.drain()
	}
	<-c.done
	return c.err
}

// drain commits what waits, as much as fits at once, until nothing does. Only one runs at a time:
// busy says so and is changed with waiting, under the same lock.
func (g *Group) drain() {
	for {
		g.mu.Lock()
		if len(g.waiting) == 0 {
			g.waiting, g.busy = nil, false
			g.mu.Unlock()
			return
		}
		shared := g.take()
		g.mu.Unlock()
		g.commit(shared)
	}
}

// take removes those from the queue who share the next transaction: the first and whoever else is
// of its owner. The others keep their places. mu is held, and somebody waits.
func (g *Group) take() (shared []*change) {
	of := g.waiting[0].owner
	var left []*change
	for _, c := range g.waiting {
		if c.owner == of && len(shared) < maxShared {
			shared = append(shared, c)
		} else {
			left = append(left, c)
		}
	}
	g.waiting = left
	return shared
}

func (g *Group) commit(shared []*change) {
	ctx := shared[0].owner.context()
	err := g.db.Update(ctx, func(tx Tx) error {
		for _, c := range shared {
			if err := c.run(tx); err != nil {
				return err
			}
		}
		return nil
	})
	alone := err != nil && len(shared) > 1 && !errors.Is(err, ErrUnavailable)
	for _, c := range shared {
		c.err = err
		if alone {
			c.err = g.db.Update(ctx, c.run)
		}
		close(c.done)
	}
}
