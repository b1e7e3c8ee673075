package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/investigate/cohort"
	"github.com/aluskort/aluskort/internal/orchestrate"
	"github.com/aluskort/aluskort/internal/respond"
)

// Plan is a set of investigations of one attack that wait for approval and ask for nothing
// beyond what the first of them asks for.
type Plan struct {
	Key       string    `json:"key"`
	Severity  string    `json:"highest_severity"`
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
	Alerts    int       `json:"alerts"`
	// Actions are all that need approval, as the members write them.
	Actions []respond.Action `json:"actions"`
	Members []PlanMember     `json:"members"`
}

// PlanMember is one investigation of a plan. An approval names Version and PlanHash.
type PlanMember struct {
	Member
	PlanHash  string    `json:"plan_hash"`
	UpdatedAt time.Time `json:"updated_at"`
}

// PlanList is the view of approvals, the plan of highest severity first.
type PlanList struct {
	AsOf  time.Time `json:"as_of"`
	Plans []Plan    `json:"plans"`
	// Truncated says that more wait than are looked at in one answer.
	Truncated bool `json:"truncated,omitempty"`
}

// plans serves GET /api/v1/plans.
func (a *API) plans(w http.ResponseWriter, r *http.Request) error {
	list, err := a.waiting(r.Context(), caller(r.Context()).Tenant)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, list)
}

// waiting puts together what waits for approval.
func (a *API) waiting(ctx context.Context, tenant string) (*PlanList, error) {
	out := &PlanList{AsOf: a.cfg.Clock.Now(), Plans: []Plan{}}
	var list []*investigate.Investigation
	f := orchestrate.Filter{State: investigate.AwaitingHuman, WaitReason: investigate.WaitApproval, Limit: 500}
	for {
		page, next, err := a.cfg.Investigations.List(ctx, tenant, f)
		if err != nil {
			return nil, err
		}
		for i := range page {
			if len(list) == maxProposed {
				out.Truncated = true
				break
			}
			inv, err := a.cfg.Investigations.Get(ctx, tenant, page[i].ID)
			if err != nil && !errors.Is(err, orchestrate.ErrNotFound) {
				return nil, err
			}
			if err == nil {
				list = append(list, inv)
			}
		}
		if next == 0 || out.Truncated {
			break
		}
		f.Before = next
	}
	plans := cohort.Plans(list)
	slices.SortStableFunc(plans, func(a, b cohort.Plan) int {
		return cmp.Or(cmp.Compare(b.Members[0].Verdict.Severity, a.Members[0].Verdict.Severity), cmp.Compare(len(b.Members), len(a.Members)), strings.Compare(a.Key, b.Key))
	})
	for i := range plans {
		out.Plans = append(out.Plans, planOf(&plans[i]))
	}
	return out, nil
}

func planOf(p *cohort.Plan) Plan {
	head := p.Members[0]
	out := Plan{Key: p.Key, FirstSeen: head.FirstSeen, LastSeen: head.LastSeen, Actions: p.Actions}
	highest := head.Verdict.Severity
	for _, inv := range p.Members {
		out.Alerts += inv.Alerts
		highest = max(highest, inv.Verdict.Severity)
		if inv.FirstSeen.Before(out.FirstSeen) {
			out.FirstSeen = inv.FirstSeen
		}
		if inv.LastSeen.After(out.LastSeen) {
			out.LastSeen = inv.LastSeen
		}
		out.Members = append(out.Members, PlanMember{Member: memberOf(inv), PlanHash: orchestrate.PlanHash(inv), UpdatedAt: inv.UpdatedAt})
	}
	out.Severity = highest.String()
	return out
}

// PlanRequest is the body of POST /api/v1/plans/{key}/approve.
type PlanRequest struct {
	Reason string `json:"reason"`
	// Members are those that are approved, each as it was seen. Others of the plan keep waiting.
	Members []SeenPlan `json:"members"`
}

// SeenPlan is one investigation as it was looked at.
type SeenPlan struct {
	ID       string `json:"id"`
	Version  int64  `json:"version"`
	PlanHash string `json:"plan_hash"`
}

// Approved says which members were approved and which keep waiting, and why.
type Approved struct {
	Key      string   `json:"key"`
	Approved []string `json:"approved"`
	Left     []Left   `json:"left"`
}

// approvePlan approves the members that were seen, each in a transaction of its own and bound to
// its own version and plan: what a failure leaves keeps waiting and the same call goes on with it.
func (a *API) approvePlan(r *http.Request) (any, error) {
	var req PlanRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	if err := checkReason(req.Reason); err != nil {
		return nil, err
	}
	if len(req.Members) == 0 || slices.ContainsFunc(req.Members, func(m SeenPlan) bool { return m.Version <= 0 || m.PlanHash == "" }) {
		return nil, problem(CodePrecondition, "an approval is for what was seen: send members, each with id, version and plan_hash as the list of plans has them")
	}
	who := caller(r.Context())
	list, err := a.waiting(r.Context(), who.Tenant)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list.Plans, func(p Plan) bool { return p.Key == r.PathValue("key") })
	if i < 0 {
		return nil, problem(CodeNotFound, "no plan that waits has this key; it may have been decided already")
	}
	out := &Approved{Key: list.Plans[i].Key, Approved: []string{}, Left: []Left{}}
	d := orchestrate.HumanDecision{Actor: who.Who(), Role: string(who.Highest()), Reason: req.Reason}
	for _, m := range req.Members {
		why, err := a.approveMember(r.Context(), who.Tenant, &list.Plans[i], m, d)
		switch {
		case err != nil:
			return nil, err
		case why != "":
			out.Left = append(out.Left, Left{m.ID, why})
			a.noteRefusal(r, "plan.approve", problem(CodeChanged, "%s: %s", m.ID, why))
		default:
			out.Approved = append(out.Approved, m.ID)
		}
	}
	if len(out.Approved) == 0 {
		return nil, problem(CodeChanged, "no member is as it was seen; look at the plan again")
	}
	return out, nil
}

// approveMember approves one member as it was seen, or says why not.
func (a *API) approveMember(ctx context.Context, tenant string, p *Plan, seen SeenPlan, d orchestrate.HumanDecision) (why string, err error) {
	if !slices.ContainsFunc(p.Members, func(m PlanMember) bool { return m.ID == seen.ID }) {
		return "not part of this plan now", nil
	}
	d.Version, d.PlanHash = seen.Version, seen.PlanHash // checked where the decision is committed
	_, err = a.cfg.Investigations.Approve(ctx, tenant, seen.ID, d)
	if errors.Is(err, orchestrate.ErrConflict) {
		return "changed since it was looked at", nil
	}
	return "", err
}

// Plans returns what waits for approval.
func (c *Client) Plans(ctx context.Context) (out PlanList, err error) {
	return out, c.get(ctx, "/api/v1/plans", &out)
}

// ApprovePlan approves members of a plan.
func (c *Client) ApprovePlan(ctx context.Context, key string, req PlanRequest) (out Approved, err error) {
	return out, c.post(ctx, "/api/v1/plans/"+url.PathEscape(key)+"/approve", nil, req, &out)
}
