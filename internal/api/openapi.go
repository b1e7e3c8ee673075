package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/aluskort/aluskort/internal/fp"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
)

// operation describes one method on one path for OpenAPI.
type operation struct {
	id, summary string
	query       []parameter
	// in is a value of the JSON body's type. media are the types of a body that is taken as it
	// comes, such as the native formats of products.
	in    any
	media []string
	// out is a value of the answer's type, text says that the answer is text; status is 200
	// unless it is given.
	out    any
	text   bool
	stream bool // the answer is a stream of server-sent events
	status int
	// failed is a value of the type of every other answer; nil is a Problem.
	failed any
	// more are further answers without a body.
	more map[int]string
}

type parameter struct{ name, about string }

// HealthAnswer says whether the process answers, or takes work.
type HealthAnswer struct {
	Status  string         `json:"status"`
	Reasons []HealthReason `json:"reasons,omitempty"`
}

// HealthReason is a part that is not ready.
type HealthReason struct {
	Part string `json:"part"`
	Why  string `json:"why"`
}

const (
	mediaJSON    = "application/json"
	mediaProblem = "application/problem+json"
	mediaAny     = "application/octet-stream"
	mediaLines   = "application/x-ndjson"
)

// OpenAPI is the description of the API that it serves at /api/openapi.json. closed gives
// schemas that forbid members which are not described; those that are served are open, since
// answers may grow.
func (a *API) OpenAPI(closed bool) ([]byte, error) {
	s := newSchemas(closed)
	paths := map[string]any{}
	known := operations()
	for route, methods := range a.routes() {
		if route == "/" {
			continue // what answers that there is nothing
		}
		item := map[string]any{}
		for method, e := range methods {
			op, ok := known[method+" "+route]
			if !ok {
				return nil, fmt.Errorf("api: %s %s has no description", method, route)
			}
			item[strings.ToLower(method)] = s.operation(route, method, &op, e.who)
		}
		paths[route] = item
	}
	return json.Marshal(map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{
			"title": "ALUSKORT", "version": "v1",
			"description": "Intake of native alerts, investigations and decisions about them. New members may appear in answers; rely on status and code of errors.",
			"license":     map[string]any{"name": "Apache-2.0", "identifier": "Apache-2.0"},
		},
		"paths": paths,
		"components": map[string]any{
			"schemas":         s.components,
			"securitySchemes": map[string]any{"token": map[string]any{"type": "http", "scheme": "bearer"}},
		},
	})
}

func (s *schemas) operation(route, method string, op *operation, who access) map[string]any {
	out := map[string]any{"operationId": operationID(op.id, route, method), "summary": op.summary, "responses": s.responses(op)}
	var parameters []any
	for name := range pathNames(route) {
		parameters = append(parameters, map[string]any{"name": name, "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
	}
	for _, p := range op.query {
		parameters = append(parameters, map[string]any{"name": p.name, "in": "query", "description": p.about, "schema": map[string]any{"type": "string"}})
	}
	if len(parameters) > 0 {
		out["parameters"] = parameters
	}
	content := map[string]any{}
	if op.in != nil {
		content[mediaJSON] = map[string]any{"schema": s.of(reflect.TypeOf(op.in))}
	}
	for _, media := range op.media {
		content[media] = map[string]any{}
	}
	if len(content) > 0 {
		out["requestBody"] = map[string]any{"required": true, "content": content}
	}
	if len(who) > 0 {
		roles := make([]string, len(who))
		for i, role := range who {
			roles[i] = string(role)
		}
		slices.Sort(roles)
		out["security"] = []any{map[string]any{"token": []string{}}}
		out["x-roles"] = roles
	}
	return out
}

// operationID makes the id of an operation that has several paths or methods distinct.
func operationID(id, route, method string) string {
	if !strings.HasSuffix(id, "*") {
		return id
	}
	clean := strings.NewReplacer("/", "_", "{", "", "}", "", ".", "_").Replace(strings.Trim(route, "/"))
	return strings.TrimSuffix(id, "*") + "_" + strings.ToLower(method) + "_" + clean
}

// pathNames gives the names of the parameters of a route.
func pathNames(route string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for part := range strings.SplitSeq(route, "/") {
			if name, ok := strings.CutPrefix(part, "{"); ok && !yield(strings.TrimSuffix(name, "}")) {
				return
			}
		}
	}
}

func (s *schemas) responses(op *operation) map[string]any {
	status := op.status
	if status == 0 {
		status = http.StatusOK
	}
	body := map[string]any{"description": http.StatusText(status)}
	switch {
	case op.stream:
		body["content"] = map[string]any{"text/event-stream": map[string]any{"schema": map[string]any{"type": "string"}}}
	case op.text:
		body["content"] = map[string]any{"text/plain": map[string]any{"schema": map[string]any{"type": "string"}}}
	case op.out != nil:
		body["content"] = map[string]any{mediaJSON: map[string]any{"schema": s.of(reflect.TypeOf(op.out))}}
	}
	out := map[string]any{strconv.Itoa(status): body}
	for code, about := range op.more {
		out[strconv.Itoa(code)] = map[string]any{"description": about}
	}
	failed, media := op.failed, mediaJSON
	if failed == nil {
		failed, media = Problem{}, mediaProblem
	}
	out["default"] = map[string]any{
		"description": "what is wrong, and whether to send it again",
		"content":     map[string]any{media: map[string]any{"schema": s.of(reflect.TypeOf(failed))}},
	}
	return out
}

// openAPI serves GET /api/openapi.json.
func (a *API) openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", mediaJSON)
	_, _ = w.Write(a.description) // the caller went away
	return nil
}

// operations describes every method of every route.
func operations() map[string]operation {
	out := map[string]operation{}
	for _, part := range []map[string]operation{systemOperations(), intakeOperations(), decisionOperations(), patternOperations(), knowledgeOperations(), modelOperations()} {
		maps.Copy(out, part)
	}
	return out
}

func systemOperations() map[string]operation {
	return map[string]operation{
		"GET /health":           {id: "health", summary: "Whether the process answers.", out: HealthAnswer{}},
		"GET /ready":            {id: "ready", summary: "Whether the process takes work; 503 with the reasons.", out: HealthAnswer{}, failed: HealthAnswer{}},
		"GET /metrics":          {id: "metrics", summary: "Metrics in the text format of Prometheus.", text: true},
		"GET /api/openapi.json": {id: "openapi", summary: "This description.", out: map[string]any{}},
		"GET /api/v1/whoami":    {id: "whoami", summary: "Whose token this is.", out: Caller{}},
		"POST /api/v1/reload":   {id: "reload", summary: "Read org.yaml, rules and taxonomy again; all or nothing.", out: Reloaded{}},
	}
}

func intakeOperations() map[string]operation {
	native := []string{mediaJSON, mediaLines, "text/csv", mediaAny}
	hec := operation{id: "collector*", summary: "Take alerts in the form of Splunk's HTTP Event Collector.", media: []string{mediaJSON}, out: CollectorAnswer{}, failed: CollectorAnswer{}}
	raw := hec
	raw.id, raw.summary = "collectorRaw*", "Take alerts as products write them, on the collector's path for raw data."
	healthy := operation{id: "collectorHealth*", summary: "Whether the collector takes events.", out: CollectorAnswer{}, failed: CollectorAnswer{}}
	bulk := operation{id: "bulk*", summary: "Take alerts in the form of a bulk request of Elasticsearch.", media: []string{mediaLines, mediaJSON}, out: BulkAnswer{}, failed: BulkFailure{}}
	return map[string]operation{
		"POST /v1/ingest/{source}":           {id: "ingest", summary: "Take native alerts of a source, or auto.", media: native, out: Receipt{}, status: http.StatusAccepted},
		"POST /services/collector":           hec,
		"POST /services/collector/1.0":       hec,
		"POST /services/collector/event":     hec,
		"POST /services/collector/event/1.0": hec,
		"POST /services/collector/raw":       raw,
		"POST /services/collector/raw/1.0":   raw,
		"POST /services/collector/ack":       {id: "collectorAck", summary: "Refused: what is answered with Success is durable already.", media: []string{mediaJSON}, status: http.StatusBadRequest, out: CollectorAnswer{}, failed: CollectorAnswer{}},
		"GET /services/collector/health":     healthy,
		"GET /services/collector/health/1.0": healthy,
		"POST /_bulk":                        bulk,
		"PUT /_bulk":                         bulk,
		"POST /{index}/_bulk":                bulk,
		"PUT /{index}/_bulk":                 bulk,
	}
}

func decisionOperations() map[string]operation {
	return map[string]operation{
		"GET /api/v1/investigations": {id: "listInvestigations", summary: "Investigations, newest first.", out: Page{}, query: []parameter{
			{"state", "only in this state"}, {"wait_reason", "only waiting for this"}, {"classification", "only with this classification"},
			{"limit", "1 to 500, 50 by default"}, {"cursor", "next of the page before"}}},
		"GET /api/v1/investigations/{id}":           {id: "getInvestigation", summary: "One investigation; ETag is its version.", out: Detail{}, more: map[int]string{http.StatusNotModified: "the version of If-None-Match"}},
		"POST /api/v1/investigations/{id}/approve":  {id: "approve", summary: "Approve the plan that was looked at.", in: DecisionRequest{}, out: Detail{}},
		"POST /api/v1/investigations/{id}/reject":   {id: "reject", summary: "Refuse the plan and close.", in: DecisionRequest{}, out: Detail{}},
		"POST /api/v1/investigations/{id}/feedback": {id: "feedback", summary: "Give a person's verdict and close.", in: DecisionRequest{}, out: Detail{}},
		"GET /api/v1/groups":                        {id: "listGroups", summary: "What is proposed as benign, in groups.", out: GroupList{}},
		"POST /api/v1/groups/{key}/confirm":         {id: "confirmGroup", summary: "Confirm the members that were looked at.", in: ConfirmRequest{}, out: Confirmed{}},
		"GET /api/v1/plans":                         {id: "listPlans", summary: "What waits for approval, put together by what it asks for.", out: PlanList{}},
		"POST /api/v1/plans/{key}/approve":          {id: "approvePlan", summary: "Approve the members of a plan that were seen.", in: PlanRequest{}, out: Approved{}},
	}
}

func patternOperations() map[string]operation {
	decision := func(id, summary string) operation {
		return operation{id: id, summary: summary, in: PatternDecision{}, out: PatternResult{}}
	}
	return map[string]operation{
		"GET /api/v1/patterns":                {id: "listPatterns", summary: "False-positive patterns in order of proposal.", out: PatternList{}, query: []parameter{{"status", "only in this status"}}},
		"POST /api/v1/patterns":               {id: "proposePattern", summary: "Propose a pattern; two other people approve it.", in: PatternProposal{}, out: PatternResult{}},
		"GET /api/v1/patterns/{id}":           {id: "getPattern", summary: "One pattern; ETag is its version.", out: fp.Pattern{}},
		"POST /api/v1/patterns/backtest":      {id: "backtestPattern", summary: "What a pattern would have hidden; records nothing.", in: PatternProposal{}, out: fp.Report{}},
		"POST /api/v1/patterns/{id}/approve":  decision("approvePattern", "Approve; the second approval puts it into force."),
		"POST /api/v1/patterns/{id}/promote":  decision("promotePattern", "Take out of shadow."),
		"POST /api/v1/patterns/{id}/reaffirm": decision("reaffirmPattern", "Let run for another term."),
		"POST /api/v1/patterns/{id}/reject":   decision("rejectPattern", "Reject before it is in force."),
		"POST /api/v1/patterns/{id}/revoke":   decision("revokePattern", "Withdraw; what it closed is re-opened."),
		"GET /api/v1/kill-switches":           {id: "listKillSwitches", summary: "Kill switches that are on.", out: SwitchList{}},
		"POST /api/v1/kill-switches/on":       {id: "killOn", summary: "Stop automatic closing, at once.", in: SwitchRequest{}, out: SwitchResult{}},
		"POST /api/v1/kill-switches/off":      {id: "killOff", summary: "Allow automatic closing again.", in: SwitchRequest{}, out: SwitchResult{}},
	}
}

func knowledgeOperations() map[string]operation {
	file := []string{mediaAny}
	return map[string]operation{
		"GET /api/v1/intel": {id: "intelStatus", summary: "What is known of indicators.", out: IntelStatus{}},
		"POST /api/v1/intel/import": {id: "importIntel", summary: "Import indicators; they are in use at once.", media: file, out: intel.Report{}, query: []parameter{
			{"feed", "name of the feed"}, {"confidence", "1 to 100, of rows that state none"}, {"format", "recognised by content when absent"}, {"tenant", "the own one, or * for all"}}},
		"GET /api/v1/taxonomy":         {id: "taxonomyStatus", summary: "Which techniques are known.", out: TaxonomyStatus{}},
		"POST /api/v1/taxonomy/import": {id: "importTaxonomy", summary: "Import techniques of MITRE; they are in use at once.", media: file, out: TaxonomyPart{}, query: []parameter{{"version", "for files that do not state theirs"}}},
		"GET /api/v1/priors":           {id: "listPriors", summary: "Priors learned from people's verdicts.", out: PriorList{}},
		"POST /api/v1/priors/refit":    {id: "refitPriors", summary: "Learn the priors again.", out: PriorList{}},
	}
}
