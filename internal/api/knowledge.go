package api

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/knowledge/intel"
	"github.com/aluskort/aluskort/internal/knowledge/taxonomy"
)

// IntelStatus says what is known of indicators.
type IntelStatus struct {
	Indicators int              `json:"indicators"`
	Imports    []intel.Imported `json:"imports"`
}

// importTimeout is how long a file may take to arrive.
const importTimeout = 10 * time.Minute

// file returns the body of an import, bounded, with the time that a large one takes.
func (a *API) file(w http.ResponseWriter, r *http.Request) io.Reader {
	rc := http.NewResponseController(w)
	until := a.cfg.Clock.Now().Add(importTimeout)
	_, _ = rc.SetReadDeadline(until), rc.SetWriteDeadline(until) // in-process calls have no connection
	return http.MaxBytesReader(nil, r.Body, a.cfg.Limits.File)
}

// intelImport serves POST /api/v1/intel/import?feed=&confidence=&format=&tenant=.
func (a *API) intelImport(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	tenant := q.Get("tenant")
	own := caller(r.Context()).Tenant
	if tenant == "" {
		tenant = own
	}
	if tenant != own && tenant != intel.SharedTenant {
		return problem(CodeForbidden, "the token belongs to tenant %q; it may import for that one, or for all with %q", own, intel.SharedTenant)
	}
	o := intel.Options{Feed: q.Get("feed"), Format: intel.Format(q.Get("format")), Now: a.cfg.Clock.Now(), MaxBytes: a.cfg.Limits.File}
	if s := q.Get("confidence"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 100 {
			return problem(CodeInvalid, "confidence %.40q; use 1 to 100", s)
		}
		o.Confidence = n
	}
	rep, err := a.cfg.Intel.Import(r.Context(), tenant, a.file(w, r), o)
	if err != nil {
		return fileProblem(err)
	}
	return writeJSON(w, http.StatusOK, rep)
}

// fileProblem tells faults of the file, which the readers describe for people, from our own.
func fileProblem(err error) error {
	var syntax *intel.SyntaxError
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig), errors.Is(err, intel.ErrTooLarge), errors.Is(err, taxonomy.ErrTooLarge):
		return problem(CodeBodyTooLarge, "split the file")
	case errors.As(err, &syntax):
		return problem(CodeUnreadable, "%s", syntax)
	case errors.Is(err, intel.ErrUnknownFormat), errors.Is(err, intel.ErrWarningList), errors.Is(err, taxonomy.ErrUnknownFormat), errors.Is(err, taxonomy.ErrNoTechniques):
		return problem(CodeUnreadable, "%s", strings.TrimSpace(err.Error()))
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.Is(err, io.ErrUnexpectedEOF):
		return problem(CodeUnreadable, "the file ends early or is damaged")
	}
	return err
}

// intelStatus serves GET /api/v1/intel.
func (a *API) intelStatus(w http.ResponseWriter, r *http.Request) error {
	imports, err := a.cfg.Intel.Imports(r.Context(), caller(r.Context()).Tenant, 100)
	if err != nil {
		return err
	}
	if imports == nil {
		imports = []intel.Imported{}
	}
	return writeJSON(w, http.StatusOK, IntelStatus{Indicators: a.cfg.Intel.Len(), Imports: imports})
}

// taxonomyImport serves POST /api/v1/taxonomy/import?version=.
func (a *API) taxonomyImport(w http.ResponseWriter, r *http.Request) error {
	part, err := a.cfg.Techniques.Import(r.Context(), a.file(w, r), r.URL.Query().Get("version"), actorOf(r))
	if err != nil {
		return fileProblem(err)
	}
	return writeJSON(w, http.StatusOK, part)
}

// taxonomyStatus serves GET /api/v1/taxonomy.
func (a *API) taxonomyStatus(w http.ResponseWriter, r *http.Request) error {
	s, err := a.cfg.Techniques.Status(r.Context())
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, s)
}

// Reloaded says what is in force after a reload.
type Reloaded struct {
	// Changed names the parts that are other than before: rules, organisation, taxonomy.
	Changed []string `json:"changed"`
	Rules   int      `json:"rules"`
	// Unusable are rules that are left out, as they were before.
	Unusable   []string          `json:"unusable_rules"`
	Techniques int               `json:"techniques"`
	Versions   map[string]string `json:"versions"`
}

// reload serves POST /api/v1/reload.
func (a *API) reload(r *http.Request) (any, error) {
	if own := caller(r.Context()).Tenant; own != a.cfg.Owner {
		return nil, problem(CodeForbidden, "this concerns every tenant; only tenant %q reloads", a.cfg.Owner)
	}
	out, err := a.cfg.Reload(r.Context(), actorOf(r))
	if errors.Is(err, ErrUnusable) {
		return nil, problem(CodeUnreadable, "nothing was changed: %s", publicText(err, ErrUnusable))
	}
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// priors serves GET /api/v1/priors.
func (a *API) priors(w http.ResponseWriter, r *http.Request) error {
	return writeJSON(w, http.StatusOK, a.cfg.Priors.Priors(caller(r.Context()).Tenant))
}

// refit serves POST /api/v1/priors/refit.
func (a *API) refit(r *http.Request) (any, error) {
	out, err := a.cfg.Priors.Refit(r.Context(), caller(r.Context()).Tenant, actorOf(r))
	if err != nil {
		return nil, err
	}
	return &out, nil
}
