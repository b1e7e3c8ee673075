package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/fp"
)

// Patterns is the store of false-positive patterns and kill switches: *fp.Store in production.
// Errors are those of package fp, or of an engine.
type Patterns interface {
	Get(ctx context.Context, tenant, pattern string) (*fp.Pattern, error)
	List(ctx context.Context, tenant string, status fp.Status) ([]*fp.Pattern, error)
	Propose(ctx context.Context, d fp.Definition, act fp.Act, r *fp.Report) (*fp.Pattern, error)
	Approve(ctx context.Context, tenant, pattern string, act fp.Act, r *fp.Report) (*fp.Pattern, error)
	Promote(ctx context.Context, tenant, pattern string, act fp.Act, r *fp.Report) (*fp.Pattern, error)
	Reaffirm(ctx context.Context, tenant, pattern string, act fp.Act, r *fp.Report) (*fp.Pattern, error)
	Reject(ctx context.Context, tenant, pattern string, act fp.Act) (*fp.Pattern, error)
	Revoke(ctx context.Context, tenant, pattern string, act fp.Act) (fp.Revocation, error)
	KillSwitches(ctx context.Context) ([]fp.Switch, error)
	KillOn(ctx context.Context, d fp.Dimension, value string, act fp.Act) (fp.Switch, error)
	KillOff(ctx context.Context, d fp.Dimension, value string, act fp.Act) error
}

var _ Patterns = (*fp.Store)(nil)

// PatternList is the patterns of a tenant in order of proposal.
type PatternList struct {
	Patterns []*fp.Pattern `json:"patterns"`
}

// PatternProposal is the body of a proposal and of a backtest.
type PatternProposal struct {
	// Definition has the members of a pattern file; its tenant is the token's.
	Definition fp.Definition `json:"definition"`
	// Reason is the definition's justification when it is empty.
	Reason string `json:"reason,omitempty"`
}

// PatternDecision is the body of every decision about one pattern.
type PatternDecision struct {
	Reason string `json:"reason"`
	// Version is that of the pattern which was looked at. What widens needs it, or If-Match.
	Version int64 `json:"version,omitempty"`
}

// PatternResult is a pattern after a decision.
type PatternResult struct {
	Pattern *fp.Pattern `json:"pattern"`
	// Backtest is what the decision rests on, where it needs one.
	Backtest *fp.Report `json:"backtest,omitempty"`
	// Reopening are the investigations that a revoked pattern had closed.
	Reopening []string `json:"reopening,omitempty"`
}

// SwitchList is the kill switches that concern a tenant.
type SwitchList struct {
	Switches []fp.Switch `json:"kill_switches"`
}

// SwitchRequest is the body that turns a kill switch on or off.
type SwitchRequest struct {
	Dimension fp.Dimension `json:"dimension"`
	Value     string       `json:"value"`
	Reason    string       `json:"reason"`
}

// SwitchResult says how a switch stands now.
type SwitchResult struct {
	Dimension fp.Dimension `json:"dimension"`
	Value     string       `json:"value"`
	On        bool         `json:"on"`
}

func (a *API) patternRoutes(t routes) {
	// These look through the stored alerts, which takes longer than other requests may.
	long := func(path string, who access, what string, h func(*http.Request) (any, error)) {
		e := a.deciding(who, what, h)
		handle := e.handle
		e.handle = func(w http.ResponseWriter, r *http.Request) error {
			a.patience(w)
			return handle(w, r)
		}
		t[path] = map[string]endpoint{http.MethodPost: e}
	}
	long("/api/v1/patterns", seniors, "pattern.propose", a.propose)
	t["/api/v1/patterns"][http.MethodGet] = endpoint{who: readers, handle: a.patterns}
	t.get("/api/v1/patterns/{id}", readers, a.pattern)
	t.post("/api/v1/patterns/backtest", analysts, a.backtest)
	long("/api/v1/patterns/{id}/approve", seniors, "pattern.approve", a.tested(Patterns.Approve))
	long("/api/v1/patterns/{id}/promote", seniors, "pattern.promote", a.tested(Patterns.Promote))
	long("/api/v1/patterns/{id}/reaffirm", seniors, "pattern.reaffirm", a.tested(Patterns.Reaffirm))
	long("/api/v1/patterns/{id}/reject", seniors, "pattern.reject", a.rejectPattern)
	long("/api/v1/patterns/{id}/revoke", seniors, "pattern.revoke", a.revokePattern)
	t.get("/api/v1/kill-switches", readers, a.killSwitches)
	long("/api/v1/kill-switches/on", admins, "kill_switch.on", a.killOn)
	long("/api/v1/kill-switches/off", admins, "kill_switch.off", a.killOff)
}

func statuses() []fp.Status {
	return []fp.Status{fp.PendingReview, fp.Approved, fp.Active, fp.Shadow, fp.Deprecated, fp.Expired, fp.Revoked}
}

// patterns serves GET /api/v1/patterns?status=.
func (a *API) patterns(w http.ResponseWriter, r *http.Request) error {
	status := fp.Status(r.URL.Query().Get("status"))
	if status != "" && !slices.Contains(statuses(), status) {
		return problem(CodeInvalid, "status %.40q; use one of %v", status, statuses())
	}
	list, err := a.cfg.Patterns.List(r.Context(), caller(r.Context()).Tenant, status)
	if err != nil {
		return err
	}
	if list == nil {
		list = []*fp.Pattern{}
	}
	return writeJSON(w, http.StatusOK, PatternList{list})
}

// pattern serves GET /api/v1/patterns/{id}.
func (a *API) pattern(w http.ResponseWriter, r *http.Request) error {
	p, err := a.cfg.Patterns.Get(r.Context(), caller(r.Context()).Tenant, r.PathValue("id"))
	if err != nil {
		return err
	}
	w.Header().Set("ETag", etag(p.Version))
	return writeJSON(w, http.StatusOK, p)
}

// proposal reads a definition. Its tenant is the caller's.
func (a *API) proposal(r *http.Request) (req PatternProposal, err error) {
	if err := decode(r, &req); err != nil {
		return req, err
	}
	d, own := &req.Definition, caller(r.Context()).Tenant
	if d.Tenant != "" && d.Tenant != own {
		return req, problem(CodeForbidden, "the token belongs to tenant %q, the pattern to %.60q", own, d.Tenant)
	}
	d.Tenant = own
	if d.Threshold == 0 {
		d.Threshold = fp.DefaultThreshold
	}
	if req.Reason == "" {
		req.Reason = d.Justification
	}
	return req, d.Check()
}

// patience lets a call that reads every stored alert take its time.
func (a *API) patience(w http.ResponseWriter) {
	until := a.cfg.Clock.Now().Add(importTimeout)
	_ = http.NewResponseController(w).SetWriteDeadline(until) // in-process calls have no connection
}

// backtest serves POST /api/v1/patterns/backtest; it records nothing.
func (a *API) backtest(w http.ResponseWriter, r *http.Request) error {
	a.patience(w)
	req, err := a.proposal(r)
	if err != nil {
		return err
	}
	report, err := a.cfg.Backtest(r.Context(), &req.Definition)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, report)
}

func (a *API) propose(r *http.Request) (any, error) {
	req, err := a.proposal(r)
	if err != nil {
		return nil, err
	}
	report, err := a.cfg.Backtest(r.Context(), &req.Definition)
	if err != nil {
		return nil, err
	}
	p, err := a.cfg.Patterns.Propose(r.Context(), req.Definition, fp.Act{Actor: actorOf(r), Reason: req.Reason}, report)
	if err != nil {
		return nil, withReport(err, report)
	}
	return &PatternResult{Pattern: p, Backtest: report}, nil
}

// withReport gives a refusal the backtest that it rests on.
func withReport(err error, report *fp.Report) error {
	p := problemOf(err)
	if p.Code == CodePatternRefused {
		p.Backtest = report
	}
	return p
}

// actorOf is the name under which the caller was authenticated.
func actorOf(r *http.Request) string {
	c := caller(r.Context())
	return c.Who()
}

// act reads a decision about a pattern and compares what was looked at with what is there.
func (a *API) act(r *http.Request) (*fp.Pattern, fp.Act, error) {
	var req PatternDecision
	if err := decode(r, &req); err != nil {
		return nil, fp.Act{}, err
	}
	if err := checkReason(req.Reason); err != nil {
		return nil, fp.Act{}, err
	}
	p, err := a.cfg.Patterns.Get(r.Context(), caller(r.Context()).Tenant, r.PathValue("id"))
	if err != nil {
		return nil, fp.Act{}, err
	}
	act := fp.Act{Actor: actorOf(r), Reason: req.Reason, Version: req.Version}
	if match := r.Header.Get("If-Match"); match != "" {
		if !matches(match, etag(p.Version)) {
			return nil, act, problem(CodeChanged, "the pattern has version %d now, you looked at %.40s; look at it again", p.Version, match)
		}
		act.Version = p.Version
	}
	if act.Version != 0 && act.Version != p.Version {
		return nil, act, problem(CodeChanged, "the pattern has version %d now, you looked at %d; look at it again", p.Version, act.Version)
	}
	return p, act, nil
}

// tested is a decision that needs a backtest of now.
func (a *API) tested(do func(Patterns, context.Context, string, string, fp.Act, *fp.Report) (*fp.Pattern, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		p, act, err := a.act(r)
		if err != nil {
			return nil, err
		}
		if act.Version == 0 {
			return nil, problem(CodePrecondition, "say which version was looked at: send version, or If-Match with the ETag of the pattern")
		}
		report, err := a.cfg.Backtest(r.Context(), &p.Definition)
		if err != nil {
			return nil, err
		}
		p, err = do(a.cfg.Patterns, r.Context(), p.Tenant, p.ID, act, report)
		if err != nil {
			return nil, withReport(err, report)
		}
		return &PatternResult{Pattern: p, Backtest: report}, nil
	}
}

func (a *API) rejectPattern(r *http.Request) (any, error) {
	p, act, err := a.act(r)
	if err != nil {
		return nil, err
	}
	if p, err = a.cfg.Patterns.Reject(r.Context(), p.Tenant, p.ID, act); err != nil {
		return nil, err
	}
	return &PatternResult{Pattern: p}, nil
}

func (a *API) revokePattern(r *http.Request) (any, error) {
	p, act, err := a.act(r)
	if err != nil {
		return nil, err
	}
	rev, err := a.cfg.Patterns.Revoke(r.Context(), p.Tenant, p.ID, act)
	if err != nil {
		return nil, err
	}
	return &PatternResult{Pattern: rev.Pattern, Reopening: rev.Investigations}, nil
}

// killSwitches serves GET /api/v1/kill-switches: those of the caller's tenant and of its
// patterns, and those that concern every tenant.
func (a *API) killSwitches(w http.ResponseWriter, r *http.Request) error {
	all, err := a.cfg.Patterns.KillSwitches(r.Context())
	if err != nil {
		return err
	}
	out := SwitchList{Switches: []fp.Switch{}}
	for _, sw := range all {
		if a.switchable(r, sw.Dimension, sw.Value, true) == nil {
			out.Switches = append(out.Switches, sw)
		}
	}
	return writeJSON(w, http.StatusOK, out)
}

// everyTenant is the value of a tenant switch that stops all of them.
const everyTenant = "*"

// switchable reports whether a switch is one that the caller may see, or set. What concerns
// every tenant is seen by all and set by the owner of the installation.
func (a *API) switchable(r *http.Request, d fp.Dimension, value string, see bool) error {
	own := caller(r.Context()).Tenant
	switch {
	case d == fp.DimensionPattern:
		_, err := a.cfg.Patterns.Get(r.Context(), own, value)
		return err
	case d == fp.DimensionTenant && value != everyTenant:
		if !strings.EqualFold(value, own) {
			return problem(CodeForbidden, "the token belongs to tenant %q", own)
		}
	case !see && own != a.cfg.Owner:
		return problem(CodeForbidden, "this switch concerns every tenant; only tenant %q sets it", a.cfg.Owner)
	}
	return nil
}

func (a *API) switchOf(r *http.Request) (req SwitchRequest, act fp.Act, err error) {
	if err := decode(r, &req); err != nil {
		return req, act, err
	}
	if err := checkReason(req.Reason); err != nil {
		return req, act, err
	}
	if !slices.Contains(fp.Dimensions(), req.Dimension) {
		return req, act, problem(CodeInvalid, "dimension %.40q; use one of %v", req.Dimension, fp.Dimensions())
	}
	return req, fp.Act{Actor: actorOf(r), Reason: req.Reason}, a.switchable(r, req.Dimension, req.Value, false)
}

func (a *API) killOn(r *http.Request) (any, error) {
	req, act, err := a.switchOf(r)
	if err != nil {
		return nil, err
	}
	if _, err := a.cfg.Patterns.KillOn(r.Context(), req.Dimension, req.Value, act); err != nil {
		return nil, err
	}
	return &SwitchResult{req.Dimension, req.Value, true}, nil
}

func (a *API) killOff(r *http.Request) (any, error) {
	req, act, err := a.switchOf(r)
	if err != nil {
		return nil, err
	}
	if err := a.cfg.Patterns.KillOff(r.Context(), req.Dimension, req.Value, act); err != nil {
		return nil, err
	}
	return &SwitchResult{req.Dimension, req.Value, false}, nil
}
