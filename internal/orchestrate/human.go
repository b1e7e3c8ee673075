package orchestrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/reason/prior"
	"github.com/aluskort/aluskort/internal/respond"
)

var (
	// ErrConflict says that the investigation is not in a state in which this can be decided.
	ErrConflict = errors.New("orchestrate: not possible in this state")
	// ErrInvalid says that a decision lacks something: an actor, a reason.
	ErrInvalid = errors.New("orchestrate: invalid decision")
)

// HumanDecision is what a person says about an investigation. Actor and Reason are required.
type HumanDecision struct {
	Actor  string
	Role   string
	Reason string
	// PlanHash binds an approval to the plan that was shown; empty means "the current plan".
	PlanHash string
	// Version is that of the investigation when the person looked at it; 0 means any.
	Version int64
}

func (d HumanDecision) check() error {
	if strings.TrimSpace(d.Actor) == "" || strings.TrimSpace(d.Reason) == "" {
		return fmt.Errorf("%w: name who decides and why", ErrInvalid)
	}
	return nil
}

// planHash identifies the exact actions of a plan.
func planHash(inv *investigate.Investigation) string {
	h := sha256.New()
	for _, a := range inv.Actions {
		fmt.Fprintf(h, "%q %q %d\n", a.Action, a.Target, a.Tier)
		if a.Instead != "" {
			fmt.Fprintf(h, "%q\n", a.Instead)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// PlanHash identifies the exact actions that an approval of this investigation is for.
func PlanHash(inv *investigate.Investigation) string { return planHash(inv) }

// assign turns the planned actions into tasks for people.
func assign(inv *investigate.Investigation, by string, now time.Time) {
	for _, a := range inv.Actions {
		inv.Tasks = append(inv.Tasks, investigate.Task{Action: a, ApprovedBy: by, ApprovedAt: now})
	}
}

// Approve accepts the plan of an investigation that waits for approval. Its actions become
// tasks; the investigation responds until they are completed.
func (e *Engine) Approve(ctx context.Context, tenant, id string, d HumanDecision) (*investigate.Investigation, error) {
	return e.human(ctx, tenant, id, d, func(w *writer, inv *investigate.Investigation) error {
		if inv.State != investigate.AwaitingHuman || inv.WaitReason != investigate.WaitApproval {
			return fmt.Errorf("%w: %s waits for %q, not for an approval", ErrConflict, id, inv.WaitReason)
		}
		if d.PlanHash != "" && d.PlanHash != planHash(inv) {
			return fmt.Errorf("%w: the plan of %s changed since it was shown; look at it again", ErrConflict, id)
		}
		inv.Decisions = append(inv.Decisions, investigate.Decision{Actor: d.Actor, Action: "approve", Reason: d.Reason, At: w.now})
		assign(inv, d.Actor, w.now)
		w.journal.human(w.now, inv, audit.ApprovalGranted, d, planHash(inv))
		for _, a := range inv.Actions {
			w.journal.prepared(w.now, inv, a, d)
		}
		w.move(inv, investigate.Responding, "approved by "+d.Actor)
		return nil
	})
}

// Reject refuses the plan and closes the investigation. The verdict stays as it is.
func (e *Engine) Reject(ctx context.Context, tenant, id string, d HumanDecision) (*investigate.Investigation, error) {
	return e.human(ctx, tenant, id, d, func(w *writer, inv *investigate.Investigation) error {
		if inv.State != investigate.AwaitingHuman || inv.WaitReason != investigate.WaitApproval {
			return fmt.Errorf("%w: %s waits for %q, not for an approval", ErrConflict, id, inv.WaitReason)
		}
		inv.Decisions = append(inv.Decisions, investigate.Decision{Actor: d.Actor, Action: "reject", Reason: d.Reason, At: w.now})
		w.journal.human(w.now, inv, audit.ApprovalDenied, d, planHash(inv))
		inv.Actions = nil
		w.move(inv, investigate.Closed, "plan rejected by "+d.Actor)
		return nil
	})
}

// Conclude records a person's verdict on an investigation that waits or responds, and closes it.
func (e *Engine) Conclude(ctx context.Context, tenant, id string, c evidence.Classification, d HumanDecision) (*investigate.Investigation, error) {
	return e.human(ctx, tenant, id, d, func(w *writer, inv *investigate.Investigation) error {
		if c.Deferred() || c == "" {
			return fmt.Errorf("%w: a person decides true_positive, benign_true_positive or false_positive, not %q", ErrInvalid, c)
		}
		if inv.State != investigate.AwaitingHuman && inv.State != investigate.Responding {
			return fmt.Errorf("%w: %s is %s", ErrConflict, id, inv.State)
		}
		inv.Decisions = append(inv.Decisions, investigate.Decision{Actor: d.Actor, Action: "conclude", Classification: c, Reason: d.Reason, At: w.now})
		if w.e.cfg.Judgements != nil {
			err := w.e.cfg.Judgements.Record(w.tx, prior.Judgement{
				Tenant: inv.TenantID, Source: inv.Source, Analytic: inv.Analytic, Severity: inv.SourceSeverity,
				Actor: d.Actor, Malicious: c == evidence.TruePositive, At: w.now,
			})
			if err != nil {
				return err
			}
		}
		before := inv.Verdict
		inv.Verdict.Classification, inv.Verdict.By, inv.Verdict.Confidence = c, d.Actor, 1
		inv.Verdict.Revision++
		w.journal.feedback(w.now, inv, &before, d)
		w.move(inv, investigate.Closed, "concluded by "+d.Actor)
		return nil
	})
}

func (w *writer) move(inv *investigate.Investigation, to investigate.State, why string) {
	inv.WaitReason, inv.WaitWhy = investigate.WaitNone, nil
	if w.advance(inv, []string{why}, to) {
		inv.StopClock()
	}
}

// human runs a person's decision in one transaction with its audit events. It is a transaction of
// the tenant; what weighs on the hosts and accounts is looked up before.
func (e *Engine) human(ctx context.Context, tenant, id string, d HumanDecision, decide func(*writer, *investigate.Investigation) error) (*investigate.Investigation, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	seen, err := e.Get(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	var inv *investigate.Investigation
	err = e.update(store.ForTenant(ctx, tenant), func(w *writer) error {
		r, err := e.loadOne(w.tx, tenant, id)
		if err != nil {
			return err
		}
		if d.Version != 0 && d.Version != r.inv.Version {
			return fmt.Errorf("%w: %s has version %d, it was looked at in version %d; look at it again", ErrConflict, id, r.inv.Version, d.Version)
		}
		w.rows[id] = r
		w.touch(id)
		if err := decide(w, r.inv); err != nil {
			return err
		}
		inv = r.inv
		if err := w.save(); err != nil {
			return err
		}
		inv.RiskState = seen.RiskState
		return w.send()
	})
	if err != nil {
		return nil, err
	}
	return inv, nil
}

func (j *journal) human(now time.Time, inv *investigate.Investigation, t audit.Type, d HumanDecision, plan string) {
	j.add(now, inv, t, func(ev *audit.Event) {
		ev.ActorType, ev.ActorID = audit.ActorHuman, text(d.Actor)
		if d.Role != "" {
			ev.ActorPermissions = []string{text(d.Role)}
		}
		ev.Decision = j.fragment(func(o *audit.Object) { o.Str("plan_hash", plan) })
		ev.Outcome = j.fragment(func(o *audit.Object) { o.Str("comment", text(d.Reason)) })
	})
}

func (j *journal) prepared(now time.Time, inv *investigate.Investigation, a respond.Action, d HumanDecision) {
	j.add(now, inv, audit.ResponsePrepared, func(ev *audit.Event) {
		ev.ActorType, ev.ActorID = audit.ActorHuman, text(d.Actor)
		ev.Outcome = j.fragment(func(o *audit.Object) {
			o.Str("action_target", text(a.Target))
			o.Str("action_taken", text(a.Action))
			o.Str("outcome_status", "manual task")
		})
	})
}

func (j *journal) feedback(now time.Time, inv *investigate.Investigation, before *evidence.Verdict, d HumanDecision) {
	j.human(now, inv, audit.FeedbackSubmitted, d, planHash(inv))
	j.revised(now, inv, before)
	events := j.events[inv.TenantID]
	last := &events[len(events)-1]
	last.ActorType, last.ActorID = audit.ActorHuman, text(d.Actor)
}
