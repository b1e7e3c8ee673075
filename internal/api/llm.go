package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/gateway"
	"github.com/aluskort/aluskort/internal/gateway/models"
	"github.com/aluskort/aluskort/internal/reason/opinion"
)

// Models is what the API needs of the model path. Everything goes through the gateway.
type Models interface {
	Ask(ctx context.Context, q *gateway.Question) (gateway.Answer, error)
	Route(a models.RouteAsk) models.Decision
	Status(ctx context.Context) (models.Report, error)
}

// ModelRequest is a question to a model. Every text in it is treated as an attacker's.
type ModelRequest struct {
	Task          string         `json:"task"`
	Investigation string         `json:"investigation_id"`
	Severity      alert.Severity `json:"severity"`
	Previous      *float64       `json:"previous_confidence,omitempty"`
	Facts         []ModelFact    `json:"facts,omitempty"`
	Evidence      []ModelItem    `json:"evidence,omitempty"`
	Fields        []ModelField   `json:"fields,omitempty"`
	Entities      []ModelEntity  `json:"entities,omitempty"`
	// Actions are those that the answer may name.
	Actions []opinion.Action `json:"actions,omitempty"`
}

// ModelFact is a named value.
type ModelFact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ModelItem is an item of evidence that the answer may cite.
type ModelItem struct {
	ID        string  `json:"id"`
	Kind      string  `json:"kind"`
	Bits      float64 `json:"bits"`
	Statement string  `json:"statement"`
}

// ModelField is a leaf of a native record; ref is its JSON pointer.
type ModelField struct {
	Ref  string `json:"ref"`
	Text string `json:"text"`
}

// ModelEntity is a person, machine or thing of the alert; it is redacted wherever it stands.
type ModelEntity struct {
	Type  alert.EntityType `json:"type"`
	Value string           `json:"value"`
}

// ModelAnswer is a checked answer; one of opinion, indicators and summary is set, by the task.
type ModelAnswer struct {
	Opinion    *opinion.Opinion  `json:"opinion,omitempty"`
	Indicators []alert.Indicator `json:"indicators,omitempty"`
	Summary    string            `json:"summary,omitempty"`
	Provider   string            `json:"provider"`
	Model      string            `json:"model"`
	Tier       string            `json:"tier"`
	Calls      int               `json:"calls"`
	CostUSD    float64           `json:"cost_usd"`
	Estimated  bool              `json:"cost_estimated,omitempty"`
	Injected   bool              `json:"injection_detected,omitempty"`
}

// modelRoutes are there when a model is configured.
func (a *API) modelRoutes(t routes) {
	t.post("/v1/llm/complete", askers, a.complete)
	t.post("/v1/llm/stream", askers, a.stream)
	t.post("/v1/route", askers, a.route)
	t.get("/api/v1/models", readers, a.modelStatus)
}

func modelOperations() map[string]operation {
	return map[string]operation{
		"POST /v1/llm/complete": {id: "askModel", summary: "Ask a model through the gateway; the answer is checked and whole.", in: ModelRequest{}, out: ModelAnswer{}},
		"POST /v1/llm/stream":   {id: "askModelStream", summary: "The same as server-sent events: \"waiting\" while the model works, then one \"answer\" or \"problem\".", in: ModelRequest{}, stream: true},
		"POST /v1/route":        {id: "routeModel", summary: "Which model would be asked, and why. Nothing is asked or spent.", in: models.RouteAsk{}, out: models.Decision{}},
		"GET /api/v1/models":    {id: "modelStatus", summary: "Degradation level, providers, spending of the month.", out: models.Report{}},
	}
}

func (a *API) question(r *http.Request) (*gateway.Question, error) {
	var req ModelRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	if req.Investigation == "" || len(req.Investigation) > 128 {
		return nil, problem(CodeInvalid, "investigation_id: give one of at most 128 characters; budget and stand-ins go by it")
	}
	q := &gateway.Question{
		Tenant: caller(r.Context()).Tenant, Investigation: req.Investigation, Task: gateway.Task(req.Task), Severity: req.Severity,
		Previous: req.Previous, Choices: req.Actions,
	}
	for _, f := range req.Facts {
		q.Facts = append(q.Facts, gateway.Fact(f))
	}
	for _, e := range req.Evidence {
		if math.IsNaN(e.Bits) || math.Abs(e.Bits) > 100 {
			return nil, problem(CodeInvalid, "evidence %.40q: bits is not a number from -100 to 100", e.ID)
		}
		q.Evidence = append(q.Evidence, evidence.Evidence{ID: e.ID, Kind: e.Kind, Counted: e.Bits, Statement: e.Statement})
	}
	for _, f := range req.Fields {
		q.Fields = append(q.Fields, gateway.Field{Ref: f.Ref, Text: f.Text})
	}
	for _, e := range req.Entities {
		if !e.Type.Valid() || e.Value == "" {
			return nil, problem(CodeInvalid, "entities: type %.40q is unknown, or the value is empty", string(e.Type))
		}
		q.Entities = append(q.Entities, alert.Entity{Type: e.Type, Value: e.Value, Confidence: 1})
	}
	return q, nil
}

// ask has a question answered and recorded: an answer that is not in the trail is not given.
func (a *API) ask(r *http.Request, q *gateway.Question) (*ModelAnswer, error) {
	ans, err := a.cfg.Models.Ask(r.Context(), q)
	if len(ans.Events) > 0 {
		if rec := a.cfg.Record(context.WithoutCancel(r.Context()), q.Tenant, ans.Events); rec != nil {
			return nil, retryable(CodeUnavailable, 2, errors.Join(err, rec), "the audit trail does not take the record of this call")
		}
	}
	if err != nil {
		return nil, a.modelProblem(err)
	}
	return &ModelAnswer{
		Opinion: ans.Opinion, Indicators: ans.Indicators, Summary: ans.Summary, Provider: ans.Provider, Model: ans.Model, Tier: ans.Tier,
		Calls: ans.Calls, CostUSD: float64(ans.MicroUSD) / 1e6, Estimated: ans.Estimated, Injected: ans.Injected,
	}, nil
}

// evidenceRetry is after how many seconds a question is worth asking again whose evidence nobody took.
const evidenceRetry = 30

func (a *API) modelProblem(err error) error {
	seconds := func(until time.Time) int {
		return max(1, int(until.Sub(a.cfg.Clock.Now()).Seconds()))
	}
	unavailable, isUnavailable := errors.AsType[*gateway.Unavailable](err)
	budget, isBudget := errors.AsType[*gateway.OverBudget](err)
	refusal, isRefusal := errors.AsType[*gateway.Refusal](err)
	switch {
	case isUnavailable:
		return retryable(CodeUnavailable, seconds(unavailable.Until), err, "no model can be asked now")
	case isBudget:
		p := problem(CodeBudget, "the cap %q does not allow it", budget.Cap)
		p.cause = err
		if !budget.Until.IsZero() {
			p.RetryAfter = seconds(budget.Until)
		}
		return p
	case isRefusal:
		p := problem(CodeNoAnswer, "%s", refusal.Error())
		p.cause = err
		return p
	case errors.Is(err, gateway.ErrEvidence):
		return retryable(CodeUnavailable, evidenceRetry, err, "prompts and answers cannot be kept as evidence now")
	case errors.Is(err, gateway.ErrQuestion):
		p := problem(CodeInvalid, "task: the gateway has no form for it; use investigation, ioc_extraction or log_summarisation")
		p.cause = err
		return p
	}
	return err
}

func (a *API) complete(w http.ResponseWriter, r *http.Request) error {
	q, err := a.question(r)
	if err != nil {
		return err
	}
	ans, err := a.ask(r, q)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, ans)
}

// waitingEvery is how often a stream says that the model still works.
const waitingEvery = 5 * time.Second

// stream answers as server-sent events. Text of a model is passed on only when the whole answer
// was checked; until then the stream only says that it is alive.
func (a *API) stream(w http.ResponseWriter, r *http.Request) error {
	q, err := a.question(r)
	if err != nil {
		return err
	}
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	send := func(event string, v any) error {
		b, err := json.Marshal(v)
		if err == nil {
			_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, b)
		}
		return errors.Join(err, out.Flush())
	}
	type outcome struct {
		answer *ModelAnswer
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		ans, err := a.ask(r, q)
		done <- outcome{ans, err}
	}()
	began := a.cfg.Clock.Now()
	for {
		t := a.cfg.Clock.NewTimer(waitingEvery)
		select {
		case o := <-done:
			t.Stop()
			if o.err != nil {
				return send("problem", problemOf(o.err))
			}
			return send("answer", o.answer)
		case <-t.C:
			if err := send("waiting", map[string]int64{"milliseconds": a.cfg.Clock.Now().Sub(began).Milliseconds()}); err != nil {
				<-done // what was paid is recorded before the request ends
				return err
			}
		}
	}
}

func (a *API) route(w http.ResponseWriter, r *http.Request) error {
	var ask models.RouteAsk
	if err := decode(r, &ask); err != nil {
		return err
	}
	ask.Tenant = caller(r.Context()).Tenant
	if err := ask.Check(); err != nil {
		return problem(CodeInvalid, "%v", err)
	}
	return writeJSON(w, http.StatusOK, a.cfg.Models.Route(ask))
}

func (a *API) modelStatus(w http.ResponseWriter, r *http.Request) error {
	s, err := a.cfg.Models.Status(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, s)
}
