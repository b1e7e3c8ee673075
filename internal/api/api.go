package api

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/ops"
)

// API answers the public API. It is an http.Handler and safe for concurrent use.
type API struct {
	cfg     Config
	mux     *http.ServeMux
	produce *coalescer
	budget  budget
	keys    *answers
	refused *refusals
	// admission is what each tenant may send.
	admission *admission
	// description is the OpenAPI document.
	description []byte

	requests *ops.Vec
	seconds  *ops.Distribution
	records  *ops.Vec
	limited  *ops.Vec
}

// endpoint is one method on one path.
type endpoint struct {
	who    access
	handle func(http.ResponseWriter, *http.Request) error
	// decision names what a person decides here; a refusal of it is recorded.
	decision string
}

// New checks the configuration and returns the API. It registers its metrics.
func New(cfg Config) (*API, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Limits = cfg.Limits.withDefaults()
	a := &API{cfg: cfg, mux: http.NewServeMux(), keys: newAnswers(cfg.Clock), budget: budget{limit: cfg.Limits.InFlight}}
	if cfg.Offer != nil {
		a.produce = newCoalescer(cfg.Offer, cfg.Limits.Produce)
	}
	a.admission = newAdmission(cfg.Clock, cfg.Limits)
	a.refused = newRefusals(cfg.Record, cfg.Clock, cfg.Limits.Produce)
	a.requests = cfg.Metrics.NewCounter("aluskort_http_requests_total", "Requests answered.", "path", "method", "code")
	a.seconds = cfg.Metrics.NewHistogram("aluskort_http_request_seconds", "Time to answer.",
		[]float64{0.005, 0.025, 0.1, 0.5, 2.5, 10}, "path")
	a.records = cfg.Metrics.NewCounter("aluskort_intake_records_total", "Records that the HTTP intake took, by what became of them.", "source", "outcome")
	a.limited = cfg.Metrics.NewCounter("aluskort_intake_limited_total", "Intake requests refused because their tenant sent more than its rate.", "tenant")
	var err error
	if a.description, err = a.OpenAPI(false); err != nil {
		return nil, err
	}
	for path, methods := range a.routes() {
		a.mux.Handle(path, a.dispatch(path, methods))
	}
	return a, nil
}

func plain(h http.HandlerFunc) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		h(w, r)
		return nil
	}
}

// The frequent forms of an entry in the table of routes.
type routes map[string]map[string]endpoint

func (t routes) get(path string, who access, h func(http.ResponseWriter, *http.Request) error) {
	t[path] = map[string]endpoint{http.MethodGet: {who: who, handle: h}}
}

func (t routes) post(path string, who access, h func(http.ResponseWriter, *http.Request) error) {
	t[path] = map[string]endpoint{http.MethodPost: {who: who, handle: h}}
}

// routes is the whole surface of the API, as far as this process has what is behind it.
func (a *API) routes() routes {
	t := routes{
		"/": {"": {handle: func(http.ResponseWriter, *http.Request) error {
			return problem(CodeNotFound, "the API is under /api/v1, the intake under /v1/ingest/{source}")
		}}},
	}
	t.get("/health", anyone, plain(a.cfg.Health.Live))
	t.get("/ready", anyone, plain(a.cfg.Health.Ready))
	t.get("/api/openapi.json", anyone, a.openAPI)
	t.get("/metrics", monitors, plain(a.cfg.Metrics.Handler().ServeHTTP))
	t.get("/api/v1/whoami", access{"analyst", "audit_reader", "ingest"}, a.whoami)
	if a.cfg.Offer != nil {
		a.intakeRoutes(t)
	}
	if a.cfg.Investigations != nil {
		a.investigationRoutes(t)
	}
	a.knowledgeRoutes(t)
	if a.cfg.Patterns != nil {
		a.patternRoutes(t)
	}
	if a.cfg.Models != nil {
		a.modelRoutes(t)
	}
	return t
}

func (a *API) intakeRoutes(t routes) {
	t.post("/v1/ingest/{source}", intakers, a.ingest)
	for _, path := range []string{"/services/collector", "/services/collector/event", "/services/collector/1.0", "/services/collector/event/1.0"} {
		t.post(path, intakers, a.collector)
	}
	for _, path := range []string{"/services/collector/raw", "/services/collector/raw/1.0"} {
		t.post(path, intakers, a.collectorRaw)
	}
	t.post("/services/collector/ack", intakers, a.collectorAck)
	t.get("/services/collector/health", anyone, a.collectorHealth)
	t.get("/services/collector/health/1.0", anyone, a.collectorHealth)
	t["/_bulk"], t["/{index}/_bulk"] = a.bulkRoute(), a.bulkRoute()
}

func (a *API) investigationRoutes(t routes) {
	t.get("/api/v1/investigations", readers, a.list)
	t.get("/api/v1/investigations/{id}", readers, a.get)
	t.get("/api/v1/groups", readers, a.groups)
	t.get("/api/v1/plans", readers, a.plans)
	a.decide(t, "/api/v1/investigations/{id}/approve", seniors, "investigation.approve", a.approve)
	a.decide(t, "/api/v1/investigations/{id}/reject", seniors, "investigation.reject", a.reject)
	a.decide(t, "/api/v1/investigations/{id}/feedback", analysts, "investigation.feedback", a.feedback)
	a.decide(t, "/api/v1/groups/{key}/confirm", seniors, "group.confirm", a.confirm)
	a.decide(t, "/api/v1/plans/{key}/approve", seniors, "plan.approve", a.approvePlan)
}

func (a *API) knowledgeRoutes(t routes) {
	if a.cfg.Intel != nil {
		t.get("/api/v1/intel", readers, a.intelStatus)
		t.post("/api/v1/intel/import", admins, a.intelImport)
	}
	if a.cfg.Techniques != nil {
		t.get("/api/v1/taxonomy", readers, a.taxonomyStatus)
		t.post("/api/v1/taxonomy/import", admins, a.taxonomyImport)
	}
	if a.cfg.Priors != nil {
		t.get("/api/v1/priors", readers, a.priors)
		a.decide(t, "/api/v1/priors/refit", admins, "priors.refit", a.refit)
	}
	if a.cfg.Reload != nil {
		a.decide(t, "/api/v1/reload", admins, "config.reload", a.reload)
	}
}

func (a *API) decide(t routes, path string, who access, what string, h func(*http.Request) (any, error)) {
	t[path] = map[string]endpoint{http.MethodPost: a.deciding(who, what, h)}
}

func (a *API) bulkRoute() map[string]endpoint {
	e := endpoint{who: intakers, handle: a.bulk}
	return map[string]endpoint{http.MethodPost: e, http.MethodPut: e}
}

// deciding is an endpoint where a person decides: repeatable, with a record of each refusal.
func (a *API) deciding(who access, what string, h func(*http.Request) (any, error)) endpoint {
	return endpoint{who: who, decision: what, handle: a.once(func(r *http.Request) (any, error) {
		body, err := h(r)
		if err != nil {
			a.noteRefusal(r, what, err)
		}
		return body, err
	})}
}

// dispatch picks the method, checks the caller, and turns errors and panics into problems.
func (a *API) dispatch(path string, methods map[string]endpoint) http.Handler {
	allowed := make([]string, 0, len(methods)+1)
	for m := range methods {
		allowed = append(allowed, m)
	}
	slices.Sort(allowed)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := a.cfg.Clock.Now()
		rec := &recorder{ResponseWriter: w}
		rec.Header().Set("X-Content-Type-Options", "nosniff")
		rec.Header().Set("Cache-Control", "no-store")
		defer func() {
			if p := recover(); p != nil {
				if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
					panic(p)
				}
				a.cfg.Log.Error("request panicked", "path", path, "panic", p, "stack", string(debug.Stack()))
				a.fail(rec, r, problem(CodeInternal, ""))
			}
			a.requests.Add(1, path, method(r.Method), strconv.Itoa(rec.status()))
			a.seconds.Observe(a.cfg.Clock.Now().Sub(began).Seconds(), path)
		}()
		m := r.Method
		if m == http.MethodHead {
			m = http.MethodGet
		}
		e, ok := methods[m]
		if !ok {
			e, ok = methods[""]
		}
		if !ok {
			rec.Header().Set("Allow", strings.Join(allowed, ", "))
			a.fail(rec, r, problem(CodeMethod, "use %s", strings.Join(allowed, ", ")))
			return
		}
		r, err := a.authenticate(r, e.who)
		if err == nil {
			err = e.handle(rec, r)
		} else if e.decision != "" {
			a.noteRefusal(r, e.decision, err)
		}
		if err != nil {
			a.fail(rec, r, err)
		}
	})
}

// method keeps made-up methods out of the metrics.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

func (a *API) fail(w *recorder, r *http.Request, err error) {
	p := problemOf(err)
	level := slog.LevelDebug
	if p.Status >= 500 {
		level = slog.LevelError
	}
	a.cfg.Log.Log(r.Context(), level, "request refused", "method", r.Method, "path", r.URL.Path, "code", string(p.Code), "detail", p.Detail, "cause", p.cause)
	if w.code != 0 {
		return // the answer has begun; nothing can be said any more
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="aluskort"`)
	}
	switch {
	case strings.HasPrefix(r.URL.Path, collectorPath):
		writeCollector(w, r, p)
	case isBulk(r.URL.Path):
		writeBulk(w, p)
	default:
		writeProblem(w, p)
	}
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// recorder remembers the status for the metrics.
type recorder struct {
	http.ResponseWriter
	code int
}

func (r *recorder) status() int {
	if r.code == 0 {
		return http.StatusOK
	}
	return r.code
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(code int) {
	if r.code == 0 {
		r.code = code
	}
	r.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.code == 0 {
		r.code = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap serves http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// ReadTimeout and the others bound what a connection may take; see Server.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = time.Minute
	writeTimeout      = 2 * time.Minute
	idleTimeout       = 2 * time.Minute
	maxHeader         = 32 << 10
	// MaxConnections is how many clients may be connected at once.
	MaxConnections = 1024
)

// Server returns an HTTP server for the API with its limits.
func (a *API) Server() *http.Server {
	return &http.Server{
		Handler: a, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(a.cfg.Log.Handler(), slog.LevelDebug),
	}
}
