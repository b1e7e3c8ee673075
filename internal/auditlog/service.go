package auditlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/crash"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// appendAttempts bounds how often an append is tried again because another writer moved a head.
const appendAttempts = 32

// defaultTenant gets the records of rejected messages whose tenant cannot be read.
const defaultTenant = "default"

// Config says what a Service works on.
type Config struct {
	// DB is the audit database, migrated with Migrations. Required.
	DB store.DB
	// Clock gives the time of ingestion. Required.
	Clock clock.Clock
	// StoreRejected, if set, stores the bytes of what could not be decoded and returns the id of
	// the object, which the record audit.rejected names. The bytes are also kept in the audit
	// database, so an error of it loses nothing and stops nothing.
	StoreRejected func(ctx context.Context, tenant, sha256 string, content []byte) (object string, err error)
	// OnAlarm, if set, is called, once per Append and message, with each *OriginGapError and
	// *ChainBrokenError. It must not block.
	OnAlarm func(err error)
	// RejectedTenant gets the records of messages whose tenant cannot be read; empty means "default".
	RejectedTenant string
}

// Appended says that all events of an origin up to a number are durable in a tenant's chain.
type Appended struct {
	Tenant string
	Origin string
	Seq    int64      // last number of the origin that is in the chain
	Head   audit.Head // of the tenant's chain, at or after the record of that event
}

// Service is the audit-service. It is safe for concurrent use, also by several Services on one
// database: the head of a chain moves by compare-and-swap in the transaction that appends.
type Service struct {
	cfg Config

	mu      sync.Mutex
	hooks   map[int]func(Appended)
	hookSeq int
	checked map[string]bool // tenants whose head was compared with the records by this Service
}

// New returns a Service. It does not touch the database, so that a read-only one can be read.
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Clock == nil {
		return nil, errors.New("auditlog: Config needs DB and Clock")
	}
	if cfg.RejectedTenant == "" {
		cfg.RejectedTenant = defaultTenant
	}
	if err := audit.CheckTenant(cfg.RejectedTenant); err != nil {
		return nil, fmt.Errorf("auditlog: RejectedTenant: %w", err)
	}
	return &Service{cfg: cfg, hooks: map[int]func(Appended){}, checked: map[string]bool{}}, nil
}

// OnAppended registers fn to be called after each commit, for every origin and tenant of the
// Append, redelivered messages included. fn runs on the committing goroutine and must not block
// nor call the Service. The returned function ends the registration.
func (s *Service) OnAppended(fn func(Appended)) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.hookSeq
	s.hookSeq++
	s.hooks[id] = fn
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.hooks, id)
	}
}

func (s *Service) announce(notes []Appended) {
	s.mu.Lock()
	ids := make([]int, 0, len(s.hooks))
	for id := range s.hooks {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	hooks := make([]func(Appended), len(ids))
	for i, id := range ids {
		hooks[i] = s.hooks[id]
	}
	s.mu.Unlock()
	for _, hook := range hooks {
		for _, n := range notes {
			hook(n)
		}
	}
}

// Append appends the events of messages, in order, in one transaction, and returns when they are
// durable. Messages that are in the chain already are dropped, and of one that overlaps only the
// rest is appended. What cannot be decoded is appended as audit.rejected.
//
// With an *AppendError the messages that it names were refused and must not be acknowledged,
// and all others are durable. With any other error nothing was appended; errors of the engine
// wrap store.ErrUnavailable and are to be tried again.
func (s *Service) Append(ctx context.Context, messages [][]byte) error {
	if len(messages) == 0 {
		return nil
	}
	work := s.decode(ctx, messages)
	a, err := s.commit(ctx, func(a *appending) error {
		for i := range work {
			if err := a.message(i, &work[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(a.refused) == 0 {
		return nil
	}
	if s.cfg.OnAlarm != nil {
		for _, r := range a.refused {
			s.cfg.OnAlarm(r.Err)
		}
	}
	return &AppendError{Refused: a.refused}
}

// commit runs fill in a transaction, writes what it sealed and tells the hooks. When another
// writer moved a head meanwhile, everything is done again from the new head.
func (s *Service) commit(ctx context.Context, fill func(a *appending) error) (*appending, error) {
	for range appendAttempts {
		var a *appending
		err := s.cfg.DB.Update(ctx, func(tx store.Tx) error {
			a = newAppending(s, tx)
			if err := fill(a); err != nil {
				return err
			}
			if err := a.write(); err != nil {
				return err
			}
			crash.Point(crash.InAppend)
			notes := a.notes()
			tx.OnCommit(func() {
				s.verified(a)
				s.announce(notes)
			})
			return nil
		})
		switch {
		case err == nil:
			crash.Point(crash.AfterAppend)
			return a, nil
		case !errors.Is(err, errHeadMoved):
			return nil, fmt.Errorf("auditlog: append: %w", err)
		}
	}
	return nil, ErrContended
}

func (s *Service) verified(a *appending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for tenant, c := range a.chains {
		if c.broken == nil {
			s.checked[tenant] = true
		}
	}
}

func (s *Service) isVerified(tenant string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.checked[tenant]
}

// ReanchorOrigin lets an origin that stands still after a gap go on: the events up to resumeAfter
// are given up as lost, and a record audit.reanchored says so, with operator and reason. It fails
// when resumeAfter is not beyond the last number in the chain.
func (s *Service) ReanchorOrigin(ctx context.Context, tenant, origin string, resumeAfter int64, operator, reason string) error {
	if operator == "" || reason == "" {
		return errors.New("auditlog: reanchor: operator and reason are required")
	}
	_, err := s.commit(ctx, func(a *appending) error {
		last, err := a.origin(origin, tenant)
		if err != nil {
			return err
		}
		if resumeAfter <= last {
			return fmt.Errorf("reanchor origin %s of %s: it is at %d, beyond %d already", origin, tenant, last, resumeAfter)
		}
		c, err := a.chain(tenant)
		if err != nil {
			return err
		}
		if c.broken != nil {
			return c.broken
		}
		view, err := reanchorView(s.cfg.Clock.Now().UnixMicro(), origin, last, resumeAfter, operator, reason)
		if err != nil {
			return err
		}
		if err := a.seal(c, &view); err != nil {
			return err
		}
		a.move(origin, tenant, resumeAfter)
		return nil
	})
	return err
}

func reanchorView(now int64, origin string, last, resumeAfter int64, operator, reason string) (audit.View, error) {
	context, err := new(audit.Object).Int("last_sequence", last).Str("origin", origin).
		Str("reason", reason).Int("resume_after", resumeAfter).Finish()
	if err != nil {
		return audit.View{}, err
	}
	return viewOf(&audit.Event{
		Type: audit.AuditReanchored, Timestamp: now, Severity: audit.SeverityCritical,
		ActorType: audit.ActorHuman, ActorID: operator, SourceService: service, Context: context,
	})
}

// viewOf brings an event of the service itself into the form in which events are sealed.
func viewOf(e *audit.Event) (audit.View, error) {
	wire, err := e.AppendWire(nil)
	if err != nil {
		return audit.View{}, err
	}
	return audit.DecodeEvent(string(wire))
}
