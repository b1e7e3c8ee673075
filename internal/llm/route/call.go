package route

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/registry"
	"github.com/aluskort/aluskort/internal/llm/spend"
)

var (
	// ErrNoModel says that no model gave an answer: all failed, or none may be asked.
	ErrNoModel = errors.New("route: no model answered")
	// ErrNotNow says that the answer would come too late: providers or queues want the caller to
	// wait longer than it can. Asking again later can succeed.
	ErrNotNow = errors.New("route: not now")
)

// Attempt is one call of a provider, or why there was none.
type Attempt struct {
	registry.Ref
	Tier registry.Tier `json:"tier"`
	At   time.Time     `json:"at"`
	// TookMS is how long the provider took.
	TookMS int64 `json:"took_ms"`
	// Kind is empty when the provider answered, else what went wrong.
	Kind  llm.Kind `json:"kind,omitempty"`
	Error string   `json:"error,omitempty"`
	// Made is false when the provider was not asked: Error says why.
	Made  bool        `json:"made"`
	Spent spend.Entry `json:"spent"`
	// Unbooked says that the books could not be written: the reservation counts in full.
	Unbooked bool `json:"unbooked,omitempty"`
}

// Result is an answer and how it was come by. Whether it is complete is for the caller to see:
// look at Response.Stop.
type Result struct {
	Response *llm.Response
	Decision Decision
	// Used is the candidate that answered.
	Used     Candidate
	Attempts []Attempt
	// Cost is that of all attempts.
	Cost registry.Micro
}

// CallError is a call without an answer. errors.Is finds ErrNoModel or ErrNotNow, ErrAsk, the
// error of the context, and through Err that of the last provider or of the meter
// (spend.ErrCap, spend.ErrQuota, store.ErrUnavailable); errors.As finds *llm.Error and
// *spend.Refusal.
type CallError struct {
	Decision Decision
	Attempts []Attempt
	// After is when asking again may help, as far as is known; 0 when it is not.
	After time.Duration
	// Reason is the class of the failure, nil when Err says it all.
	Reason error
	Err    error
}

// Error implements error.
func (e *CallError) Error() string {
	s := fmt.Sprintf("route: %s: %d attempts", e.Decision.Task, len(e.Attempts))
	if e.Decision.Refused != "" {
		s += ": " + e.Decision.Refused
	}
	if e.Reason != nil {
		s += ": " + e.Reason.Error()
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap implements errors.Unwrap.
func (e *CallError) Unwrap() []error {
	out := make([]error, 0, 2)
	for _, err := range [...]error{e.Reason, e.Err} {
		if err != nil {
			out = append(out, err)
		}
	}
	return out
}

// Retries at one provider.
const (
	maxRetries   = 3
	firstBackoff = time.Second
	// longestHold bounds what a provider can ask for: an absurd number must not lock it out for good.
	longestHold = 24 * time.Hour
)

// Call asks the models of the decision one after the other until one answers. Of the request it
// sets Model, and MaxTokens and ThinkingTokens where the decision allows less or they are not
// set. Errors are *CallError.
func (r *Router) Call(ctx context.Context, a Ask, req llm.Request) (*Result, error) {
	return r.call(ctx, a, req, nil)
}

// Stream does the same and hands over the text as it arrives, with the number of the attempt,
// from 0: text of an earlier attempt belongs to no answer.
func (r *Router) Stream(ctx context.Context, a Ask, req llm.Request, text func(attempt int, delta string)) (*Result, error) {
	return r.call(ctx, a, req, text)
}

// call is one Call on its way.
type call struct {
	r      *Router
	ask    Ask
	req    llm.Request
	text   func(attempt int, delta string)
	outer  context.Context // the caller's, without the time budget
	result Result
	after  time.Duration
	hard   error // the last that waiting would not have mended
	counts int   // attempts that the meter has counted
}

func (r *Router) call(ctx context.Context, a Ask, req llm.Request, text func(int, string)) (*Result, error) {
	if a.PromptTokens == 0 {
		a.PromptTokens = registry.PromptGuess(&req)
	}
	c := &call{r: r, ask: a, req: req, text: text, outer: ctx}
	c.result.Decision = r.decide(a)
	if err := a.Check(); err != nil {
		return nil, c.fail(nil, err)
	}
	if a.BudgetMS > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(a.BudgetMS)*time.Millisecond)
		defer cancel()
	}
	var last error
	list := c.result.Decision.Candidates
	for i, cand := range list {
		err := c.provider(ctx, cand, i < len(list)-1)
		if err == nil {
			c.result.Used = cand
			return &c.result, nil
		}
		last = err
		if !errors.Is(err, ErrNotNow) {
			c.hard = err
		}
		if c.ends(ctx, err) {
			break
		}
	}
	return nil, c.ended(ctx, last)
}

// ends reports whether no other provider should be asked after err: the caller is gone, its
// time is up, or the money is.
func (c *call) ends(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return true
	}
	var s *stop
	return errors.As(err, &s)
}

// stop wraps an error of the meter that no fallback can mend.
type stop struct{ error }

func (s *stop) Unwrap() error { return s.error }

// ended makes the error of a call without an answer.
func (c *call) ended(ctx context.Context, last error) error {
	var s *stop
	switch {
	case errors.As(last, &s):
		return c.fail(nil, s.error)
	case c.outer.Err() != nil:
		return c.fail(c.outer.Err(), last)
	case ctx.Err() != nil || c.hard == nil && last != nil:
		return c.fail(ErrNotNow, last)
	}
	return c.fail(ErrNoModel, c.hard)
}

func (c *call) fail(reason, err error) error {
	return &CallError{Decision: c.result.Decision, Attempts: c.result.Attempts, After: c.after, Reason: reason, Err: err}
}

// provider asks one candidate, again where that may help. A timeout has taken its time already:
// after it the next one is asked, if there are others.
func (c *call) provider(ctx context.Context, cand Candidate, others bool) error {
	p := c.r.providers[cand.Provider]
	var last error
	var until time.Time
	for try := 0; try <= maxRetries; try++ {
		if !c.r.lets(p) {
			if last == nil {
				c.skip(cand, errOpen)
				last = errOpen
			}
			return last
		}
		if err := c.wait(ctx, p, until); err != nil {
			c.skip(cand, err)
			return errors.Join(err, last)
		}
		made, err := c.attempt(ctx, p, cand)
		if err == nil {
			return nil
		}
		if errors.Is(err, errHeld) {
			try--
			until = time.Time{}
			continue
		}
		if !made {
			c.skip(cand, err)
			return errors.Join(err, last)
		}
		last = err
		e, ok := errors.AsType[*llm.Error](err)
		if !ok || !e.Retryable() || ctx.Err() != nil || e.Kind == llm.KindTimeout && others {
			return err
		}
		until = c.r.cfg.Clock.Now().Add(c.r.backoff(try))
	}
	return last
}

// skip notes that a candidate was not asked, or not again, and why.
func (c *call) skip(cand Candidate, err error) {
	c.result.Attempts = append(c.result.Attempts, Attempt{Ref: cand.Ref, Tier: cand.Tier, At: c.r.cfg.Clock.Now(), Error: err.Error()})
}

// backoff is how long to wait after the try-th failure: 1, 2, 4 seconds and up to a quarter more.
func (r *Router) backoff(try int) time.Duration {
	d := firstBackoff << try
	return d + time.Duration(r.cfg.Random()*float64(d)/4)
}

// wait waits for the back-off of this call and for what the provider asked all callers to wait.
// It fails with ErrNotNow when that is longer than the caller has, or than Config.MaxWait.
func (c *call) wait(ctx context.Context, p *provider, until time.Time) error {
	for {
		now := c.r.cfg.Clock.Now()
		c.r.mu.Lock()
		held := p.hold(now)
		c.r.mu.Unlock()
		d := max(held, min(until.Sub(now), c.r.cfg.MaxWait))
		if held > 0 { // callers that were held together do not come back together
			d += time.Duration(c.r.cfg.Random() * float64(min(held/4, time.Second)))
		}
		if d <= 0 {
			return ctx.Err()
		}
		if held > c.r.cfg.MaxWait || tooLong(ctx, now, d) {
			c.later(d)
			return fmt.Errorf("%w: %s wants to be left alone for %s", ErrNotNow, p.Name(), d.Round(time.Millisecond))
		}
		if err := pause(ctx, c.r.cfg.Clock, d); err != nil {
			return err
		}
		until = time.Time{}
	}
}

// later notes when asking again may help: the soonest of all candidates.
func (c *call) later(d time.Duration) {
	if c.after == 0 || d < c.after {
		c.after = d
	}
}

var (
	// errOpen says that the breaker lets nothing through.
	errOpen = errors.New("route: circuit breaker is open")
	// errHeld says that the provider asked all callers to wait while this one waited for its turn.
	errHeld = errors.New("route: provider wants to be left alone")
)

// attempt takes a turn, reserves, asks once, books and counts. made is false when the provider
// was not asked.
func (c *call) attempt(ctx context.Context, p *provider, cand Candidate) (made bool, err error) {
	q := c.r.queues[c.result.Decision.Queue]
	if err := q.enter(ctx); err != nil {
		return false, err
	}
	defer q.leave()
	generation, err := c.r.allow(p)
	if err != nil {
		return false, err
	}
	booking, err := c.reserve(ctx, cand)
	if err != nil {
		c.r.record(p, generation, says, nil)
		return false, err
	}
	resp, err := c.send(ctx, p, cand)
	c.r.record(p, generation, outcomeOf(err), err)
	c.book(ctx, booking, resp, err)
	return true, err
}

func (c *call) reserve(ctx context.Context, cand Candidate) (spend.Booking, error) {
	claim := spend.Claim{
		Tenant: c.ask.Tenant, Plan: c.ask.Plan, Investigation: c.ask.Investigation, Task: c.ask.Task, Tier: cand.Tier, Model: cand.Ref,
		Prompt: registry.PromptBound(&c.req), Output: int64(c.bounded(cand).MaxTokens), Again: c.counts > 0,
		Terms: registry.Terms{Hour: c.r.cfg.HourCache},
	}
	b, err := c.r.cfg.Meter.Reserve(ctx, claim)
	if err == nil {
		c.counts++
		return b, nil
	}
	if errors.Is(err, registry.ErrNoPrice) || errors.Is(err, registry.ErrNoModel) {
		return nil, err // another candidate may have one
	}
	if no, ok := errors.AsType[*spend.Refusal](err); ok && !no.FreeAt.IsZero() {
		c.later(max(0, no.FreeAt.Sub(c.r.cfg.Clock.Now())))
	}
	return nil, &stop{err}
}

// bounded returns the request as the candidate gets it.
func (c *call) bounded(cand Candidate) *llm.Request {
	req := c.req
	req.Model = cand.Model
	if req.MaxTokens <= 0 || req.MaxTokens > cand.MaxTokens {
		req.MaxTokens = cand.MaxTokens
	}
	if req.ThinkingTokens <= 0 || req.ThinkingTokens > cand.ThinkingTokens {
		req.ThinkingTokens = cand.ThinkingTokens
	}
	if req.ThinkingTokens >= req.MaxTokens {
		req.ThinkingTokens = 0
	}
	return &req
}

// send makes the attempt and notes how it went. The error is always *llm.Error.
func (c *call) send(ctx context.Context, p *provider, cand Candidate) (*llm.Response, error) {
	number := len(c.result.Attempts)
	started := c.r.cfg.Clock.Now()
	var text func(string)
	if c.text != nil {
		text = func(delta string) { c.text(number, delta) }
	}
	resp, err := once(ctx, p, c.bounded(cand), time.Duration(cand.TimeoutMS)*time.Millisecond, text)
	at := Attempt{Ref: cand.Ref, Tier: cand.Tier, At: started, TookMS: c.r.cfg.Clock.Now().Sub(started).Milliseconds(), Made: true}
	if err != nil {
		at.Kind, at.Error = llm.KindOf(err), err.Error()
	}
	c.result.Attempts = append(c.result.Attempts, at)
	return resp, err
}

// once calls the provider with a time limit of its own. What ended by that limit is a timeout
// of the provider; what ended with the caller's context is canceled.
func once(ctx context.Context, p llm.Provider, req *llm.Request, limit time.Duration, text func(string)) (resp *llm.Response, err error) {
	limited := ctx
	if limit > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	wrong := func(kind llm.Kind, err error) *llm.Error {
		return &llm.Error{Kind: kind, Provider: p.Name(), Model: req.Model, Err: err}
	}
	defer func() {
		if v := recover(); v != nil { // one answer that upsets a decoder must not end the program
			resp, err = nil, wrong(llm.KindUnreadable, fmt.Errorf("the provider's client panicked: %v", v))
		}
	}()
	if text != nil {
		resp, err = p.Stream(limited, req, text)
	} else {
		resp, err = p.Complete(limited, req)
	}
	if err == nil && resp == nil {
		return nil, wrong(llm.KindUnreadable, errors.New("neither answer nor error"))
	}
	if err == nil {
		return resp, nil
	}
	e, ok := errors.AsType[*llm.Error](err)
	if !ok {
		e = wrong(llm.KindUnreadable, err)
	}
	switch {
	case ctx.Err() != nil && e.Kind == llm.KindTimeout: // the caller's limit, not the provider's fault
		e = withKind(e, llm.KindCanceled)
	case ctx.Err() == nil && e.Kind == llm.KindCanceled:
		e = withKind(e, llm.KindTimeout)
	}
	return nil, e
}

func withKind(e *llm.Error, kind llm.Kind) *llm.Error {
	out := *e
	out.Kind = kind
	return &out
}

func (c *call) book(ctx context.Context, b spend.Booking, resp *llm.Response, failure error) {
	at := &c.result.Attempts[len(c.result.Attempts)-1]
	var err error
	if failure == nil {
		c.result.Response = resp
		at.Spent, err = b.Book(ctx, resp.Usage, resp.Model)
	} else {
		at.Spent, err = b.Fail(ctx, failure)
	}
	at.Unbooked = err != nil
	c.result.Cost += at.Spent.Cost
}

// outcomeOf says what the end of an attempt tells about the provider.
func outcomeOf(err error) outcome {
	e, ok := errors.AsType[*llm.Error](err)
	switch {
	case err == nil:
		return worked
	case !ok || e.Kind == llm.KindCanceled || e.Kind == llm.KindRate:
		return says
	case e.Unavailable():
		return failed
	}
	return worked // it refuses this request, so it is there
}

// lets reports whether the breaker would let an attempt through.
func (r *Router) lets(p *provider) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := &p.breaker
	return b.state == Closed || b.state == Open && b.isDue(r.cfg.Clock.Now())
}

func (r *Router) allow(p *provider) (generation int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Clock.Now()
	if p.hold(now) > 0 {
		return 0, errHeld
	}
	generation, ok := p.breaker.allow(now)
	if !ok {
		return 0, errOpen
	}
	return generation, nil
}

// record counts the end of an attempt and tells what it changed.
func (r *Router) record(p *provider, generation int, o outcome, err error) {
	r.mu.Lock()
	defer r.deliver()
	defer r.mu.Unlock()
	now := r.cfg.Clock.Now()
	if e, ok := errors.AsType[*llm.Error](err); ok {
		r.heed(p, e, now)
	}
	if o == worked {
		clear(p.alarmed)
	}
	from, to := p.breaker.record(now, generation, o)
	switch {
	case from == Closed && to == Open:
		r.tell(Event{Kind: BreakerOpened, Provider: p.Name(), From: string(from), To: string(to), Reason: reasonOf(err), At: now})
	case to == Closed && from != Closed:
		r.tell(Event{Kind: BreakerClosed, Provider: p.Name(), From: string(from), To: string(to), Reason: "a probe was answered", At: now})
	}
	if from != to {
		r.nudge()
	}
	r.relevel(now)
}

// heed does what an error asks of all callers; mu is held.
func (r *Router) heed(p *provider, e *llm.Error, now time.Time) {
	if after := min(e.RetryAfter, longestHold); after > p.hold(now) {
		p.holdAt, p.until = now, now.Add(after)
		r.nudge()
	}
	kind, ok := map[llm.Kind]EventKind{llm.KindAuth: ProviderAuthFailed, llm.KindSpend: ProviderSpendLimit}[e.Kind]
	if ok && !p.alarmed[kind] {
		p.alarmed[kind] = true
		r.tell(Event{Kind: kind, Provider: p.Name(), Reason: e.Error(), At: now})
	}
}

func reasonOf(err error) string {
	if err == nil {
		return "too many of the last attempts failed"
	}
	return err.Error()
}
