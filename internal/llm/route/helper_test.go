package route

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/registry"
	"github.com/aluskort/aluskort/internal/llm/spend"
)

// scripted is a provider that does what a test says; n counts its calls from 0.
type scripted struct {
	name string
	do   func(ctx context.Context, n int, r *llm.Request) (*llm.Response, error)

	mu    sync.Mutex
	asked []llm.Request
}

func (s *scripted) Name() string { return s.name }

func (s *scripted) Complete(ctx context.Context, r *llm.Request) (*llm.Response, error) {
	s.mu.Lock()
	n := len(s.asked)
	s.asked = append(s.asked, *r)
	do := s.do
	s.mu.Unlock()
	if do == nil {
		return answer(r), nil
	}
	return do(ctx, n, r)
}

func (s *scripted) Stream(ctx context.Context, r *llm.Request, text func(string)) (*llm.Response, error) {
	text("half ")
	resp, err := s.Complete(ctx, r)
	if err == nil {
		text("whole")
	}
	return resp, err
}

func (s *scripted) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func (s *scripted) script(do func(ctx context.Context, n int, r *llm.Request) (*llm.Response, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.do = do
}

func answer(r *llm.Request) *llm.Response {
	return &llm.Response{Model: r.Model, Text: "ok", Stop: llm.StopEnd, Usage: llm.Usage{Input: 100, Output: 10, Known: true}}
}

func failing(kind llm.Kind) func(context.Context, int, *llm.Request) (*llm.Response, error) {
	return func(context.Context, int, *llm.Request) (*llm.Response, error) { return nil, &llm.Error{Kind: kind} }
}

// meter is a spend.Meter that keeps the claims and checks that each is ended once.
type meter struct {
	refuse func(spend.Claim) error

	mu                   sync.Mutex
	claims               []spend.Claim
	booked, failed, open int
}

func (m *meter) Reserve(_ context.Context, c spend.Claim) (spend.Booking, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse != nil {
		if err := m.refuse(c); err != nil {
			return nil, err
		}
	}
	m.claims = append(m.claims, c)
	m.open++
	return &entry{m: m}, nil
}

type entry struct {
	m     *meter
	ended bool
}

func (e *entry) end(count *int) (spend.Entry, error) {
	e.m.mu.Lock()
	defer e.m.mu.Unlock()
	if e.ended {
		return spend.Entry{}, errors.New("ended twice")
	}
	e.ended = true
	e.m.open--
	*count++
	return spend.Entry{Cost: 7, Basis: spend.Measured}, nil
}

func (*entry) ID() int64 { return 1 }

func (e *entry) Book(context.Context, llm.Usage, string) (spend.Entry, error) {
	return e.end(&e.m.booked)
}

func (e *entry) Fail(context.Context, error) (spend.Entry, error) { return e.end(&e.m.failed) }

// fixture is a router over two scripted providers and the default table.
type fixture struct {
	*Router
	first, second *scripted // anthropic, openai
	meter         *meter

	mu     sync.Mutex
	events []Event
}

func newFixture(t testing.TB, change func(*Config)) *fixture {
	t.Helper()
	table, err := registry.Load("default", nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{first: &scripted{name: "anthropic"}, second: &scripted{name: "openai"}, meter: &meter{}}
	cfg := Config{
		Table: table, Providers: []llm.Provider{f.first, f.second}, Meter: f.meter, Random: func() float64 { return 0.5 },
		Notify: func(e Event) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.events = append(f.events, e)
		},
	}
	if change != nil {
		change(&cfg)
	}
	if f.Router, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return f
}

// told returns the kinds of events so far, with what they lead to.
func (f *fixture) told(kinds ...EventKind) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, e := range f.events {
		if len(kinds) == 0 || slices.Contains(kinds, e.Kind) {
			out = append(out, string(e.Kind)+" "+e.To)
		}
	}
	return out
}

func (f *fixture) reasons() (out string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.events {
		out += e.Reason + "\n"
	}
	return out
}

func (f *fixture) settled(t testing.TB) {
	t.Helper()
	f.meter.mu.Lock()
	defer f.meter.mu.Unlock()
	if f.meter.open != 0 {
		t.Errorf("%d reservations were left open", f.meter.open)
	}
}

func request() llm.Request {
	return llm.Request{System: "Classify.", Messages: []llm.Message{{Role: llm.User, Text: "an alert"}}, Key: "k"}
}

func asking(task llm.Task, s alert.Severity) Ask {
	return Ask{Task: task, Tenant: "acme", Plan: spend.Premium, Investigation: "inv-1", Severity: s}
}

func wrongly(t testing.TB, err error) *CallError {
	t.Helper()
	e, ok := errors.AsType[*CallError](err)
	if !ok {
		t.Fatalf("%v is no CallError", err)
	}
	return e
}
