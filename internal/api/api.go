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
	// description is the OpenAPI document.
	description []byte

	requests *ops.Vec
	seconds  *ops.Distribution
	records  *ops.Vec
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
	a.produce = newCoalescer(cfg.Offer, cfg.Limits.Produce)
	a.refused = newRefusals(cfg.Record, cfg.Clock, cfg.Limits.Produce)
	a.requests = cfg.Metrics.NewCounter("aluskort_http_requests_total", "Requests answered.", "path", "method", "code")
	a.seconds = cfg.Metrics.NewHistogram("aluskort_http_request_seconds", "Time to answer.",
		[]float64{0.005, 0.025, 0.1, 0.5, 2.5, 10}, "path")
	a.records = cfg.Metrics.NewCounter("aluskort_intake_records_total", "Records that the HTTP intake took, by what became of them.", "source", "outcome")
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

// routes is the whole surface of the API.
func (a *API) routes() map[string]map[string]endpoint {
	get := func(who access, h func(http.ResponseWriter, *http.Request) error) map[string]endpoint {
		return map[string]endpoint{http.MethodGet: {who: who, handle: h}}
	}
	post := func(who access, h func(http.ResponseWriter, *http.Request) error) map[string]endpoint {
		return map[string]endpoint{http.MethodPost: {who: who, handle: h}}
	}
	decide := func(who access, what string, h func(*http.Request) (any, error)) map[string]endpoint {
		return map[string]endpoint{http.MethodPost: a.deciding(who, what, h)}
	}
	routes := map[string]map[string]endpoint{
		"/": {"": {handle: func(http.ResponseWriter, *http.Request) error {
			return problem(CodeNotFound, "the API is under /api/v1, the intake under /v1/ingest/{source}")
		}}},
		"/health":           get(anyone, plain(a.cfg.Health.Live)),
		"/ready":            get(anyone, plain(a.cfg.Health.Ready)),
		"/api/openapi.json": get(anyone, a.openAPI),
		"/metrics":          get(readers, plain(a.cfg.Metrics.Handler().ServeHTTP)),

		"/v1/ingest/{source}":                  post(intakers, a.ingest),
		"/services/collector":                  post(intakers, a.collector),
		"/services/collector/event":            post(intakers, a.collector),
		"/services/collector/1.0":              post(intakers, a.collector),
		"/services/collector/event/1.0":        post(intakers, a.collector),
		"/services/collector/ack":              post(intakers, a.collectorAck),
		"/services/collector/health":           get(anyone, a.collectorHealth),
		"/services/collector/health/1.0":       get(anyone, a.collectorHealth),
		"/_bulk":                               a.bulkRoute(),
		"/{index}/_bulk":                       a.bulkRoute(),
		"/api/v1/investigations":               get(readers, a.list),
		"/api/v1/investigations/{id}":          get(readers, a.get),
		"/api/v1/groups":                       get(readers, a.groups),
		"/api/v1/whoami":                       get(access{"analyst", "audit_reader", "ingest"}, a.whoami),
		"/api/v1/investigations/{id}/approve":  decide(seniors, "investigation.approve", a.approve),
		"/api/v1/investigations/{id}/reject":   decide(seniors, "investigation.reject", a.reject),
		"/api/v1/investigations/{id}/feedback": decide(analysts, "investigation.feedback", a.feedback),
		"/api/v1/groups/{key}/confirm":         decide(seniors, "group.confirm", a.confirm),
		"/api/v1/plans":                        get(readers, a.plans),
		"/api/v1/plans/{key}/approve":          decide(seniors, "plan.approve", a.approvePlan),
	}
	if a.cfg.Intel != nil {
		routes["/api/v1/intel"] = get(readers, a.intelStatus)
		routes["/api/v1/intel/import"] = post(admins, a.intelImport)
	}
	if a.cfg.Techniques != nil {
		routes["/api/v1/taxonomy"] = get(readers, a.taxonomyStatus)
		routes["/api/v1/taxonomy/import"] = post(admins, a.taxonomyImport)
	}
	if a.cfg.Priors != nil {
		routes["/api/v1/priors"] = get(readers, a.priors)
		routes["/api/v1/priors/refit"] = decide(admins, "priors.refit", a.refit)
	}
	if a.cfg.Reload != nil {
		routes["/api/v1/reload"] = decide(admins, "config.reload", a.reload)
	}
	if a.cfg.Patterns != nil {
		a.patternRoutes(routes)
	}
	if a.cfg.Models != nil {
		a.modelRoutes(routes)
	}
	return routes
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
