package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/orchestrate"
	"github.com/aluskort/aluskort/internal/result"
)

// Page is one page of investigations, in the order that was asked for. Next continues it; empty at the end.
type Page struct {
	Investigations []orchestrate.Summary `json:"investigations"`
	Next           string                `json:"next,omitempty"`
}

// Detail is one investigation with what was folded into it and what people decided.
type Detail struct {
	result.Investigation
	Title    string    `json:"title"`
	Source   string    `json:"source"`
	Analytic string    `json:"analytic"`
	Version  int64     `json:"version"`
	Overdue  bool      `json:"overdue,omitempty"`
	Reopened int       `json:"reopened,omitempty"`
	WakeAt   time.Time `json:"wake_at,omitzero"`
	// DueAt is when the wait is overdue or its approval expires; RemindedAt is when a second
	// reviewer was told that half of it is over.
	DueAt      time.Time              `json:"due_at,omitzero"`
	RemindedAt time.Time              `json:"reminded_at,omitzero"`
	Entities   []result.Entity        `json:"entities"`
	Decisions  []investigate.Decision `json:"decisions"`
	Tasks      []investigate.Task     `json:"tasks"`
	// Members are the newest folded alerts; MoreMembers says that there are older ones.
	Members     []result.Alert `json:"members"`
	MoreMembers bool           `json:"more_members,omitempty"`
}

// maxMembers bounds the alerts of one answer.
const maxMembers = 100

// list serves GET /api/v1/investigations.
func (a *API) list(w http.ResponseWriter, r *http.Request) error {
	f, err := filterOf(r)
	if err != nil {
		return err
	}
	list, next, err := a.cfg.Investigations.List(r.Context(), caller(r.Context()).Tenant, f)
	if err != nil {
		return err
	}
	page := Page{Investigations: list}
	if list == nil {
		page.Investigations = []orchestrate.Summary{}
	}
	if next > 0 {
		page.Next = strconv.FormatInt(next, 10)
	}
	return writeJSON(w, http.StatusOK, page)
}

func filterOf(r *http.Request) (f orchestrate.Filter, err error) {
	q := r.URL.Query()
	for name := range q {
		if !slices.Contains([]string{"state", "wait_reason", "classification", "order", "limit", "cursor"}, name) {
			return f, problem(CodeInvalid, "there is no filter %.40q; use state, wait_reason, classification, order, limit, cursor", name)
		}
	}
	f.State = investigate.State(q.Get("state"))
	f.WaitReason = investigate.WaitReason(q.Get("wait_reason"))
	f.Classification = q.Get("classification")
	if f.State != "" && !slices.Contains(investigate.States(), f.State) {
		return f, problem(CodeInvalid, "state %.40q; use one of %v", f.State, investigate.States())
	}
	waits := []investigate.WaitReason{"", investigate.WaitVerdict, investigate.WaitApproval, investigate.WaitShadow, investigate.WaitDegraded}
	if !slices.Contains(waits, f.WaitReason) {
		return f, problem(CodeInvalid, "wait_reason %.40q; use one of %v", f.WaitReason, waits[1:])
	}
	if f.Classification != "" && !slices.Contains(classes(), evidence.Classification(f.Classification)) {
		return f, problem(CodeInvalid, "classification %.40q; use one of %v", f.Classification, classes())
	}
	switch order := q.Get("order"); order {
	case "", "newest":
	case "urgency":
		f.Urgent = true
	default:
		return f, problem(CodeInvalid, "order %.40q; use newest or urgency", order)
	}
	if s := q.Get("limit"); s != "" {
		if f.Limit, err = strconv.Atoi(s); err != nil || f.Limit < 1 || f.Limit > 500 {
			return f, problem(CodeInvalid, "limit %.40q; use 1 to 500", s)
		}
	}
	if s := q.Get("cursor"); s != "" {
		if f.Before, err = strconv.ParseInt(s, 10, 64); err != nil || f.Before < 1 {
			return f, problem(CodeInvalid, "cursor %.40q; use the one of the page before", s)
		}
	}
	return f, nil
}

func classes() []evidence.Classification {
	return []evidence.Classification{
		evidence.TruePositive, evidence.BenignTruePositive, evidence.FalsePositive, evidence.Suspicious, evidence.InvestigationRequired,
	}
}

// get serves GET /api/v1/investigations/{id}.
func (a *API) get(w http.ResponseWriter, r *http.Request) error {
	tenant, id := caller(r.Context()).Tenant, r.PathValue("id")
	inv, err := a.cfg.Investigations.Get(r.Context(), tenant, id)
	if err != nil {
		return err
	}
	d := detailOf(inv)
	if a.cfg.Questions != nil {
		d.NextQuestions = a.cfg.Questions(inv)
	}
	err = a.cfg.Investigations.Alerts(r.Context(), tenant, id, func(m *alert.Message) bool {
		if len(d.Members) == maxMembers {
			d.MoreMembers = true
			return false
		}
		d.Members = append(d.Members, result.OfAlert(m))
		return true
	})
	if err != nil {
		return err
	}
	tag := etag(inv.Version)
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "private, no-cache")
	if matches(r.Header.Get("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return writeJSON(w, http.StatusOK, d)
}

func detailOf(inv *investigate.Investigation) *Detail {
	d := &Detail{
		Investigation: result.OfInvestigation(inv), Title: inv.Title, Source: inv.Source, Analytic: inv.Analytic, Version: inv.Version,
		Overdue: inv.Overdue, Reopened: inv.Reopened, WakeAt: inv.WakeAt, DueAt: inv.DueAt, RemindedAt: inv.RemindedAt, Entities: []result.Entity{}, Decisions: inv.Decisions, Tasks: inv.Tasks, Members: []result.Alert{},
	}
	if d.NeedsApproval {
		d.PlanHash = orchestrate.PlanHash(inv)
	}
	for i := range inv.Entities {
		e := &inv.Entities[i]
		d.Entities = append(d.Entities, result.Entity{Type: e.Type, Value: e.Value, Role: e.Role, Confidence: e.Confidence, Properties: e.Properties})
	}
	if d.Decisions == nil {
		d.Decisions = []investigate.Decision{}
	}
	if d.Tasks == nil {
		d.Tasks = []investigate.Task{}
	}
	return d
}

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// matches reports whether an If-Match or If-None-Match header names the tag.
func matches(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		if part = strings.TrimSpace(part); part == "*" || strings.TrimPrefix(part, "W/") == tag {
			return true
		}
	}
	return false
}

// DecisionRequest is the body of approve, reject and feedback.
type DecisionRequest struct {
	// Reason is required: it stands in the audit trail.
	Reason string `json:"reason"`
	// PlanHash is that of the plan that was looked at; approve needs it or If-Match.
	PlanHash string `json:"plan_hash,omitempty"`
	// Classification is for feedback: true_positive, benign_true_positive or false_positive.
	Classification evidence.Classification `json:"classification,omitempty"`
}

// maxReason bounds a person's words, which every record of the decision carries.
const maxReason = 4 << 10

func checkReason(reason string) error {
	if strings.TrimSpace(reason) == "" || len(reason) > maxReason {
		return problem(CodeInvalid, "reason: say why, in 1 to %d bytes", maxReason)
	}
	return nil
}

// decode reads a small JSON body strictly: a misspelt key must not become a decision without it.
func decode(r *http.Request, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, extra := dec.Token(); !errors.Is(extra, io.EOF) {
			err = errors.New("more follows the first value")
		}
	}
	var tooBig *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &tooBig):
		return problem(CodeBodyTooLarge, "a decision has at most %d bytes", tooBig.Limit)
	case errors.Is(err, io.EOF):
		return problem(CodeEmpty, `send {"reason": "…"}`)
	default:
		return problem(CodeInvalidJSON, "%s", strings.TrimPrefix(err.Error(), "json: "))
	}
}

// decision reads a request of a person and compares what was looked at with what is there.
func (a *API) decision(r *http.Request) (req DecisionRequest, inv *investigate.Investigation, d orchestrate.HumanDecision, err error) {
	if err := decode(r, &req); err != nil {
		return req, nil, d, err
	}
	if err := checkReason(req.Reason); err != nil {
		return req, nil, d, err
	}
	who := caller(r.Context())
	inv, err = a.cfg.Investigations.Get(r.Context(), who.Tenant, r.PathValue("id"))
	if err != nil {
		return req, nil, d, err
	}
	if match := r.Header.Get("If-Match"); match != "" && !matches(match, etag(inv.Version)) {
		return req, nil, d, problem(CodeChanged, "the investigation has version %d now, you looked at %.40s; look at it again", inv.Version, match)
	}
	d = orchestrate.HumanDecision{Actor: who.Who(), Role: string(who.Highest()), Reason: req.Reason, PlanHash: req.PlanHash}
	if r.Header.Get("If-Match") != "" {
		d.Version = inv.Version // checked again where the decision is committed
	}
	return req, inv, d, nil
}

func (a *API) approve(r *http.Request) (any, error) {
	req, inv, d, err := a.decision(r)
	if err != nil {
		return nil, err
	}
	if req.PlanHash == "" && r.Header.Get("If-Match") == "" && inv.WaitReason == investigate.WaitApproval {
		return nil, problem(CodePrecondition, "an approval is for one plan: send its plan_hash, or If-Match with the ETag of the investigation")
	}
	if req.PlanHash == "" {
		d.PlanHash = orchestrate.PlanHash(inv) // that of the version that If-Match named
	}
	if inv.WaitReason == investigate.WaitApproval && d.PlanHash != orchestrate.PlanHash(inv) {
		return nil, problem(CodeChanged, "the plan changed since it was shown; look at it again")
	}
	return a.decided(a.cfg.Investigations.Approve(r.Context(), inv.TenantID, inv.ID, d))
}

func (a *API) reject(r *http.Request) (any, error) {
	_, inv, d, err := a.decision(r)
	if err != nil {
		return nil, err
	}
	return a.decided(a.cfg.Investigations.Reject(r.Context(), inv.TenantID, inv.ID, d))
}

func (a *API) feedback(r *http.Request) (any, error) {
	req, inv, d, err := a.decision(r)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(classes(), req.Classification) || req.Classification.Deferred() {
		return nil, problem(CodeInvalid, "classification %.40q; a person decides true_positive, benign_true_positive or false_positive", req.Classification)
	}
	return a.decided(a.cfg.Investigations.Conclude(r.Context(), inv.TenantID, inv.ID, req.Classification, d))
}

func (a *API) decided(inv *investigate.Investigation, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return detailOf(inv), nil
}

// Caller says who a token belongs to.
type Caller struct {
	Name   string       `json:"name"`
	Actor  string       `json:"actor"`
	Roles  []token.Role `json:"roles"`
	Tenant string       `json:"tenant"`
}

func (a *API) whoami(w http.ResponseWriter, r *http.Request) error {
	c := caller(r.Context())
	return writeJSON(w, http.StatusOK, Caller{Name: c.Name, Actor: c.Who(), Roles: c.Roles, Tenant: c.Tenant})
}

var _ Investigations = (*orchestrate.Engine)(nil)
