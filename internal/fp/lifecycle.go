package fp

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// Act is what a person decides about a pattern. Actor and Reason are required; the actor is
// the name under which the person was authenticated.
type Act struct {
	Actor  string
	Reason string
	// Version is that of the pattern which the person saw; another one is a conflict. 0 takes
	// whatever is stored.
	Version int64
}

const maxActor = 128

func (a *Act) check() error {
	if strings.TrimSpace(a.Reason) == "" || len(a.Reason) > MaxJustification {
		return fmt.Errorf("%w: give a reason of at most %d bytes", ErrInvalid, MaxJustification)
	}
	return checkActor(a.Actor)
}

// checkActor refuses names that could pass for another person's.
func checkActor(name string) error {
	if name == "" || len(name) > maxActor || strings.TrimSpace(name) != name {
		return fmt.Errorf("%w: name who decides, in 1 to %d bytes without spaces around", ErrInvalid, maxActor)
	}
	if strings.EqualFold(name, expiryActor) {
		return fmt.Errorf("%w: %q is not a person", ErrInvalid, name)
	}
	for _, r := range name {
		if hidden(r) || !unicode.IsPrint(r) {
			return fmt.Errorf("%w: the name %q has characters that do not show", ErrInvalid, name)
		}
	}
	return nil
}

// samePerson compares names the way directories do.
func samePerson(a, b string) bool { return folded(a) == folded(b) }

// expiryActor stands where nobody ended a pattern but time.
const expiryActor = "expiry"

// backtested refuses a decision without a backtest of this very definition that allows it.
func backtested(d *Definition, r *Report) error {
	if r == nil || r.Digest != d.Digest() || r.Tenant != d.Tenant {
		return refuse(d.Name, []Refusal{{RefusedOtherDefinition, "it was not held against the stored alerts: run a backtest of exactly this definition"}})
	}
	return r.Err(d.Name)
}

// Propose stores a definition for review. It fails with ErrInvalid or a *RefusedError when the
// definition or its backtest forbids it.
func (s *Store) Propose(ctx context.Context, d Definition, act Act, r *Report) (*Pattern, error) {
	if err := act.check(); err != nil {
		return nil, err
	}
	if err := d.Check(); err != nil {
		return nil, err
	}
	if err := backtested(&d, r); err != nil {
		return nil, err
	}
	id, err := s.cfg.IDs.New()
	if err != nil {
		return nil, fmt.Errorf("propose %q: %w", d.Name, err)
	}
	p := &Pattern{ID: id, Definition: d, Status: PendingReview, Proposer: act.Actor, CreatedAt: s.cfg.Clock.Now(), Version: 1}
	err = s.cfg.DB.Update(store.ForTenant(ctx, p.Tenant), func(tx store.Tx) error {
		l := &ledger{now: p.CreatedAt}
		l.pattern(audit.PatternCreated, p, act.Actor, act.Reason, backtestInto(r))
		if err := insert(tx, p); err != nil {
			return err
		}
		return s.finish(tx, p.Tenant, l)
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (s *Store) finish(tx store.Tx, tenant string, l *ledger) error {
	if l.err != nil {
		return fmt.Errorf("build audit events: %w", l.err)
	}
	return s.emit(tx, tenant, l.events)
}

// change loads a pattern, lets decide alter it and saves it, in one transaction.
func (s *Store) change(ctx context.Context, tenant, pattern string, act Act, decide func(tx store.Tx, p *Pattern, l *ledger) error) (*Pattern, error) {
	if err := act.check(); err != nil {
		return nil, err
	}
	var out *Pattern
	err := s.cfg.DB.Update(store.ForTenant(ctx, tenant), func(tx store.Tx) error {
		p, err := load(tx, tenant, pattern)
		if err != nil {
			return err
		}
		if act.Version != 0 && act.Version != p.Version {
			return fmt.Errorf("%w: pattern %s is at version %d, decided was on version %d: look at it again", ErrConflict, pattern, p.Version, act.Version)
		}
		l := &ledger{now: s.cfg.Clock.Now()}
		if err := decide(tx, p, l); err != nil {
			return err
		}
		if err := save(tx, p); err != nil {
			return err
		}
		if err := touch(tx); err != nil {
			return err
		}
		out = p
		return s.finish(tx, p.Tenant, l)
	})
	if err != nil {
		return nil, err
	}
	s.show(ctx)
	return out, nil
}

func (p *Pattern) in(allowed ...Status) error {
	if !slices.Contains(allowed, p.Status) {
		return fmt.Errorf("%w: pattern %s is %s", ErrConflict, p.ID, p.Status)
	}
	return nil
}

// Approve records an approval. The first makes the pattern approved; the second, by somebody
// else, puts it into force (or into shadow) for Term. Neither may be the proposer. r is a
// backtest of now: what has happened since the proposal may forbid what was harmless then.
func (s *Store) Approve(ctx context.Context, tenant, pattern string, act Act, r *Report) (*Pattern, error) {
	return s.change(ctx, tenant, pattern, act, func(_ store.Tx, p *Pattern, l *ledger) error {
		if err := p.in(PendingReview, Approved); err != nil {
			return err
		}
		if samePerson(act.Actor, p.Proposer) {
			return fmt.Errorf("%w: %s proposed this pattern", ErrForbidden, act.Actor)
		}
		if err := p.Check(); err != nil {
			return err
		}
		if err := backtested(&p.Definition, r); err != nil {
			return err
		}
		if p.Status == PendingReview {
			p.ApprovedBy1, p.ApprovalReason1, p.Status = act.Actor, act.Reason, Approved
			l.pattern(audit.PatternApproved, p, act.Actor, act.Reason, backtestInto(r))
			return nil
		}
		if samePerson(act.Actor, p.ApprovedBy1) {
			return fmt.Errorf("%w: %s gave the first approval; the second is another person's", ErrForbidden, act.Actor)
		}
		p.ApprovedBy2, p.ApprovalReason2 = act.Actor, act.Reason
		p.ApprovedAt, p.Expiry, p.Status = l.now, l.now.Add(Term), Active
		if p.Definition.Shadow {
			p.Status = Shadow
		}
		l.pattern(audit.PatternApproved, p, act.Actor, act.Reason, backtestInto(r))
		if p.Status == Active {
			l.pattern(audit.PatternActivated, p, act.Actor, act.Reason, nil)
		}
		return nil
	})
}

// Reject ends a pattern that is not in force yet.
func (s *Store) Reject(ctx context.Context, tenant, pattern string, act Act) (*Pattern, error) {
	return s.change(ctx, tenant, pattern, act, func(_ store.Tx, p *Pattern, l *ledger) error {
		if err := p.in(PendingReview, Approved); err != nil {
			return err
		}
		p.end(Deprecated, act.Actor, act.Reason, l.now)
		l.pattern(audit.ApprovalDenied, p, act.Actor, act.Reason, nil)
		return nil
	})
}

func (p *Pattern) end(status Status, by, reason string, now time.Time) {
	p.Status, p.EndedBy, p.EndedReason, p.EndedAt = status, by, reason, now
}

// Promote takes a pattern out of shadow once it has shown what it does.
func (s *Store) Promote(ctx context.Context, tenant, pattern string, act Act, r *Report) (*Pattern, error) {
	return s.change(ctx, tenant, pattern, act, func(_ store.Tx, p *Pattern, l *ledger) error {
		if err := p.in(Shadow); err != nil {
			return err
		}
		switch {
		case samePerson(act.Actor, p.Proposer):
			return fmt.Errorf("%w: %s proposed this pattern", ErrForbidden, act.Actor)
		case !l.now.Before(p.Expiry):
			return fmt.Errorf("%w: pattern %s has expired", ErrConflict, p.ID)
		case p.ShadowDecisions < MinShadowDecisions:
			return fmt.Errorf("%w: pattern %s has %d decisions in shadow; %d are needed", ErrConflict, p.ID, p.ShadowDecisions, MinShadowDecisions)
		case float64(p.ShadowDisagreements) > MaxShadowDisagreement*float64(p.ShadowDecisions):
			return fmt.Errorf("%w: people disagreed with %d of %d decisions in shadow; at most %.0f %% are allowed",
				ErrConflict, p.ShadowDisagreements, p.ShadowDecisions, MaxShadowDisagreement*100)
		}
		if err := backtested(&p.Definition, r); err != nil {
			return err
		}
		p.Status = Active
		l.pattern(audit.PatternActivated, p, act.Actor, act.Reason, func(o *audit.Object) {
			o.Int("shadow_decisions", p.ShadowDecisions)
			o.Int("shadow_disagreements", p.ShadowDisagreements)
		})
		return nil
	})
}

// Reaffirm lets a pattern run for another Term from now; it can revive an expired one. The
// proposer may not do it alone.
func (s *Store) Reaffirm(ctx context.Context, tenant, pattern string, act Act, r *Report) (*Pattern, error) {
	return s.change(ctx, tenant, pattern, act, func(_ store.Tx, p *Pattern, l *ledger) error {
		if err := p.in(Active, Shadow, Expired); err != nil {
			return err
		}
		if samePerson(act.Actor, p.Proposer) {
			return fmt.Errorf("%w: %s proposed this pattern", ErrForbidden, act.Actor)
		}
		if p.ApprovedBy1 == "" || p.ApprovedBy2 == "" {
			return fmt.Errorf("%w: pattern %s expired before it had two approvals", ErrConflict, p.ID)
		}
		if err := backtested(&p.Definition, r); err != nil {
			return err
		}
		if p.Status == Expired {
			p.Status = Active
			if p.Definition.Shadow {
				p.Status = Shadow
			}
			p.EndedBy, p.EndedReason, p.EndedAt = "", "", time.Time{}
		}
		p.ReaffirmedBy, p.ReaffirmedAt, p.Expiry = act.Actor, l.now, l.now.Add(Term)
		l.pattern(audit.PatternActivated, p, act.Actor, act.Reason, func(o *audit.Object) { o.Bool("reaffirmed", true) })
		return nil
	})
}

// Revocation is a revoked pattern with what it closed.
type Revocation struct {
	Pattern *Pattern
	// Investigations were closed by the pattern and are to be re-opened.
	Investigations []string
}

// Revoke withdraws a pattern. Anybody may: it only takes away. What it closed stays listed by
// PendingReopen until each is marked as re-opened.
func (s *Store) Revoke(ctx context.Context, tenant, pattern string, act Act) (Revocation, error) {
	var out Revocation
	p, err := s.change(ctx, tenant, pattern, act, func(tx store.Tx, p *Pattern, l *ledger) (err error) {
		if err := p.in(PendingReview, Approved, Active, Shadow, Expired); err != nil {
			return err
		}
		out.Investigations, err = queryAll(tx, scanText, `SELECT investigation FROM fp_closure WHERE pattern = $1 AND reopened_at IS NULL ORDER BY investigation`, p.ID)
		if err != nil {
			return fmt.Errorf("list what %s closed: %w", p.ID, err)
		}
		p.end(Revoked, act.Actor, act.Reason, l.now)
		l.pattern(audit.PatternRevoked, p, act.Actor, act.Reason, func(o *audit.Object) {
			o.Int("investigations_to_reopen", int64(len(out.Investigations)))
		})
		return nil
	})
	out.Pattern = p
	return out, err
}

func scanText(rows store.Rows) (s string, err error) {
	err = rows.Scan(&s)
	return s, err
}

// ExpireDue ends every pattern whose term is over and returns them. The matcher leaves them out
// at that moment by itself; this makes it so in the records.
func (s *Store) ExpireDue(ctx context.Context) (out []*Pattern, err error) {
	now := s.cfg.Clock.Now()
	const due = `FROM fp_patterns WHERE status IN ('active', 'shadow') AND expiry_date <= $1`
	var n int64
	err = s.cfg.DB.View(ctx, func(tx store.Tx) error { return tx.QueryRow(`SELECT COUNT(*) `+due, now.UnixMicro()).Scan(&n) })
	if err != nil || n == 0 {
		return nil, err
	}
	err = s.cfg.DB.Update(ctx, func(tx store.Tx) error {
		if out, err = queryAll(tx, scanRows, `SELECT `+columns+` `+due+` ORDER BY scope_tenant_id, seq`, now.UnixMicro()); err != nil {
			return err
		}
		for i := 0; i < len(out); {
			l := &ledger{now: now}
			tenant := out[i].Tenant
			for ; i < len(out) && out[i].Tenant == tenant; i++ {
				p := out[i]
				p.end(Expired, expiryActor, "the term of the approval is over", now)
				if err := save(tx, p); err != nil {
					return err
				}
				l.pattern(audit.PatternExpired, p, "", p.EndedReason, nil)
			}
			if err := s.finish(tx, tenant, l); err != nil {
				return err
			}
		}
		return touch(tx)
	})
	if err != nil {
		return nil, fmt.Errorf("expire patterns: %w", err)
	}
	s.show(ctx)
	return out, nil
}
