package pipeline

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

// Consultant works off the jobs for a model (MECHANICS 10). The topics jobs.llm.priority.* only
// wake it; the rows are the work, so a lost or repeated message changes nothing. Up to Slots
// questions are under way at once, each in a goroutine that holds no transaction; what became of
// them is collected and committed together.
type Consultant struct {
	Stage
	Engine *orchestrate.Engine
	// Ask asks a model about one job. It must return when ctx ends.
	Ask func(ctx context.Context, job *orchestrate.Job) orchestrate.Consulted
	// Owner names this process in the leases: no other running process may have the name. Leases of
	// that name at the start are those of an earlier life of it.
	Owner string
	// Slots bounds the questions under way; 0 means 8.
	Slots int

	mu     sync.Mutex
	active map[string]orchestrate.Job
	// rest is until when no model can be asked; one job at a time then tries whether one can.
	rest time.Time
	wake chan struct{}
}

const (
	// claimEvery is how often rows are looked for without a message: leases that ended, jobs whose
	// time has come.
	claimEvery = 2 * time.Second
	renewEvery = 20 * time.Second
	// finishAtOnce bounds what one transaction applies.
	finishAtOnce = 64
)

// Run works until ctx ends. What is under way then keeps its lease and is taken up by the next
// worker when that has ended.
func (c *Consultant) Run(ctx context.Context) error {
	if c.Slots <= 0 {
		c.Slots = 8
	}
	c.active, c.wake = map[string]orchestrate.Job{}, make(chan struct{}, 1)
	err := c.retry(ctx, "state database", nil, func() error {
		freed, err := c.Engine.FreeJobs(ctx, c.Owner)
		if freed > 0 {
			c.Log.Info("questions to models that were cut off are asked again", "questions", freed)
		}
		return err
	})
	if err != nil {
		return ended(ctx, err)
	}
	done := make(chan orchestrate.Consulted, c.Slots)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return ended(ctx, c.listen(ctx)) })
	g.Go(func() error { return ended(ctx, c.collect(ctx, done)) })
	g.Go(func() error { return ended(ctx, c.renew(ctx)) })
	g.Go(func() error { return ended(ctx, c.dispatch(ctx, done)) })
	return g.Wait()
}

// listen turns messages into wake-ups and acknowledges them at once.
func (c *Consultant) listen(ctx context.Context) error {
	consumer, err := c.consume(ctx, bus.ConsumerConfig{Group: bus.GroupPriorityRouter, Topics: orchestrate.TopicsOfJobs[:]})
	if err != nil {
		return err
	}
	for {
		batch, err := c.poll(ctx, consumer)
		if err != nil {
			_ = consumer.Close() // its error says nothing that the end of ctx does not
			return err
		}
		c.rouse()
		if err := consumer.Commit(ctx, batch); err != nil {
			c.Log.Warn("offsets of job messages not committed; they only wake", "error", err)
		}
	}
}

func (c *Consultant) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// dispatch claims jobs for free slots.
func (c *Consultant) dispatch(ctx context.Context, done chan<- orchestrate.Consulted) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	for {
		jobs, err := c.claim(ctx)
		if err != nil {
			return err
		}
		for i := range jobs {
			job := jobs[i]
			asking.Go(func() {
				out := c.Ask(ctx, &job)
				if ctx.Err() != nil {
					return // the lease ends by itself; nothing half-done is applied
				}
				select {
				case done <- out:
				case <-ctx.Done():
				}
			})
		}
		if len(jobs) > 0 && c.free() > 0 {
			continue
		}
		t := c.Clock.NewTimer(claimEvery)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-c.wake:
			t.Stop()
		case <-t.C:
		}
	}
}

func (c *Consultant) claim(ctx context.Context) (jobs []orchestrate.Job, err error) {
	n := c.free()
	if n == 0 {
		return nil, nil
	}
	err = c.retry(ctx, "state database", nil, func() error {
		jobs, err = c.Engine.ClaimJobs(ctx, c.Owner, n)
		return err
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, j := range jobs {
		c.active[j.Investigation.ID] = j
	}
	return jobs, err
}

// Resting reports whether no model can be asked now and nothing is under way.
func (c *Consultant) Resting() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.rest.IsZero() && len(c.active) == 0
}

// free tells how many questions may begin: none while no model answers and one is trying.
func (c *Consultant) free() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.rest.IsZero():
		return c.Slots - len(c.active)
	case c.Clock.Now().Before(c.rest) || len(c.active) > 0:
		return 0
	default:
		return 1
	}
}

// collect applies what became of jobs, as many together as are there.
func (c *Consultant) collect(ctx context.Context, done <-chan orchestrate.Consulted) error {
	for {
		var list []orchestrate.Consulted
		select {
		case <-ctx.Done():
			return ctx.Err()
		case one := <-done:
			list = append(list, one)
		}
		for more := true; more && len(list) < finishAtOnce; {
			select {
			case one := <-done:
				list = append(list, one)
			default:
				more = false
			}
		}
		err := c.retry(ctx, "state database", nil, func() error { return c.Engine.FinishJobs(ctx, list) })
		if err != nil {
			return err
		}
		c.finished(list)
		c.rouse()
	}
}

func (c *Consultant) finished(list []orchestrate.Consulted) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range list {
		// It may have been claimed again since it was let go. Each claim has read the investigation for
		// itself, which tells them apart; the number of attempts begins anew with a new job.
		if done := list[i].Job.Investigation; c.active[done.ID].Investigation == done {
			delete(c.active, done.ID)
		}
		switch {
		case list[i].Unavailable:
			c.rest = list[i].Later
		case list[i].Later.IsZero():
			c.rest = time.Time{}
		}
	}
}

// renew prolongs the leases of what is under way.
func (c *Consultant) renew(ctx context.Context) error {
	for {
		t := c.Clock.NewTimer(renewEvery)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
		c.mu.Lock()
		jobs := make([]orchestrate.Job, 0, len(c.active))
		for _, j := range c.active {
			jobs = append(jobs, j)
		}
		c.mu.Unlock()
		if err := c.retry(ctx, "state database", nil, func() error { return c.Engine.RenewJobs(ctx, jobs) }); err != nil {
			return err
		}
	}
}
