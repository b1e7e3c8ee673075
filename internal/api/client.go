package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/fp"
)

// Client calls the API, over the network or inside this process. It is safe for concurrent
// use. What the API refuses comes back as a *Problem.
type Client struct {
	base   string
	secret string
	http   *http.Client
}

// Dial returns a client of a server at a base URL such as http://127.0.0.1:8088. hc nil takes
// the default one.
func Dial(base, secret string, hc *http.Client) *Client {
	if hc == nil {
		hc = http.DefaultClient
	}
	return &Client{base: strings.TrimSuffix(base, "/"), secret: secret, http: hc}
}

// Direct returns a client that calls an API in this process as a person whom the system has
// identified.
func Direct(h http.Handler, who token.Record) *Client {
	return &Client{base: "http://localhost", http: &http.Client{Transport: direct{h, who}}}
}

// direct carries requests to a handler without a network.
type direct struct {
	handler http.Handler
	who     token.Record
}

// RoundTrip implements http.RoundTripper.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	r = r.Clone(WithCaller(r.Context(), d.who))
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := &memory{header: http.Header{}}
	d.handler.ServeHTTP(w, r)
	if w.code == 0 {
		w.code = http.StatusOK
	}
	resp := &http.Response{
		Status: http.StatusText(w.code), StatusCode: w.code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}
	return resp, r.Body.Close()
}

// memory is a response writer that keeps the answer.
type memory struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (m *memory) Header() http.Header { return m.header }

func (m *memory) WriteHeader(code int) {
	if m.code == 0 {
		m.code = code
	}
}

func (m *memory) Write(b []byte) (int, error) {
	m.WriteHeader(http.StatusOK)
	return m.body.Write(b)
}

// maxAnswer bounds what a client reads.
const maxAnswer = 64 << 20

// call makes one request and decodes the answer into out.
func (c *Client) call(ctx context.Context, method, path string, header http.Header, body io.Reader, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if c.secret != "" {
		req.Header.Set("Authorization", "Bearer "+c.secret)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode >= 400 {
		p := &Problem{}
		if json.Unmarshal(answer, p) != nil || p.Title == "" {
			return fmt.Errorf("%s %s answered %s", method, req.URL.Path, resp.Status)
		}
		return p
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("answer of %s %s: %w", method, req.URL.Path, err)
	}
	return nil
}

func (c *Client) get(ctx context.Context, path string, out any) error {
	return c.call(ctx, http.MethodGet, path, nil, nil, out)
}

func (c *Client) post(ctx context.Context, path string, header http.Header, in, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, path, header, bytes.NewReader(b), out)
}

// Health returns nil when the server answers at all.
func (c *Client) Health(ctx context.Context) error { return c.get(ctx, "/health", nil) }

// Ready returns nil when the server takes work.
func (c *Client) Ready(ctx context.Context) error { return c.get(ctx, "/ready", nil) }

// WhoAmI says who the client's token belongs to.
func (c *Client) WhoAmI(ctx context.Context) (out Caller, err error) {
	return out, c.get(ctx, "/api/v1/whoami", &out)
}

// List returns one page of investigations; q has the filters of the API.
func (c *Client) List(ctx context.Context, q url.Values) (out Page, err error) {
	return out, c.get(ctx, "/api/v1/investigations?"+q.Encode(), &out)
}

// Get returns one investigation.
func (c *Client) Get(ctx context.Context, id string) (out Detail, err error) {
	return out, c.get(ctx, "/api/v1/investigations/"+url.PathEscape(id), &out)
}

// Decide approves, rejects or gives feedback, whichever action names. version is that of the
// investigation that was looked at, 0 for any.
func (c *Client) Decide(ctx context.Context, id, action string, version int64, req DecisionRequest) (out Detail, err error) {
	h := http.Header{}
	if version > 0 {
		h.Set("If-Match", etag(version))
	}
	return out, c.post(ctx, "/api/v1/investigations/"+url.PathEscape(id)+"/"+action, h, req, &out)
}

// Groups returns the view "Proposed benign".
func (c *Client) Groups(ctx context.Context) (out GroupList, err error) {
	return out, c.get(ctx, "/api/v1/groups", &out)
}

// Confirm concludes a group.
func (c *Client) Confirm(ctx context.Context, key string, req ConfirmRequest) (out Confirmed, err error) {
	return out, c.post(ctx, "/api/v1/groups/"+url.PathEscape(key)+"/confirm", nil, req, &out)
}

// ImportIntel imports a file of indicators. Zero values of feed, tenant and confidence take
// the API's defaults.
func (c *Client) ImportIntel(ctx context.Context, file io.Reader, feed, tenant string, confidence int, out any) error {
	q := url.Values{}
	for name, v := range map[string]string{"feed": feed, "tenant": tenant} {
		if v != "" {
			q.Set(name, v)
		}
	}
	if confidence > 0 {
		q.Set("confidence", strconv.Itoa(confidence))
	}
	return c.call(ctx, http.MethodPost, "/api/v1/intel/import?"+q.Encode(), nil, file, out)
}

// Intel says what is known of indicators.
func (c *Client) Intel(ctx context.Context) (out IntelStatus, err error) {
	return out, c.get(ctx, "/api/v1/intel", &out)
}

// ImportTaxonomy imports a file of MITRE.
func (c *Client) ImportTaxonomy(ctx context.Context, file io.Reader, version string) (out TaxonomyPart, err error) {
	q := url.Values{}
	if version != "" {
		q.Set("version", version)
	}
	return out, c.call(ctx, http.MethodPost, "/api/v1/taxonomy/import?"+q.Encode(), nil, file, &out)
}

// Taxonomy says which techniques are known.
func (c *Client) Taxonomy(ctx context.Context) (out TaxonomyStatus, err error) {
	return out, c.get(ctx, "/api/v1/taxonomy", &out)
}

// Patterns lists the patterns of the tenant; an empty status means all.
func (c *Client) Patterns(ctx context.Context, status fp.Status) (out PatternList, err error) {
	q := url.Values{}
	if status != "" {
		q.Set("status", string(status))
	}
	return out, c.get(ctx, "/api/v1/patterns?"+q.Encode(), &out)
}

// Pattern returns one pattern.
func (c *Client) Pattern(ctx context.Context, id string) (*fp.Pattern, error) {
	out := new(fp.Pattern)
	return out, c.get(ctx, "/api/v1/patterns/"+url.PathEscape(id), out)
}

// Backtest holds a definition against the stored alerts.
func (c *Client) Backtest(ctx context.Context, d *fp.Definition) (*fp.Report, error) {
	out := new(fp.Report)
	return out, c.post(ctx, "/api/v1/patterns/backtest", nil, PatternProposal{Definition: *d}, out)
}

// Propose proposes a pattern.
func (c *Client) Propose(ctx context.Context, req PatternProposal) (out PatternResult, err error) {
	return out, c.post(ctx, "/api/v1/patterns", nil, req, &out)
}

// DecidePattern approves, promotes, reaffirms, rejects or revokes, whichever action names.
func (c *Client) DecidePattern(ctx context.Context, id, action string, req PatternDecision) (out PatternResult, err error) {
	return out, c.post(ctx, "/api/v1/patterns/"+url.PathEscape(id)+"/"+action, nil, req, &out)
}

// KillSwitches lists the switches that are on.
func (c *Client) KillSwitches(ctx context.Context) (out SwitchList, err error) {
	return out, c.get(ctx, "/api/v1/kill-switches", &out)
}

// Kill turns a kill switch on or off.
func (c *Client) Kill(ctx context.Context, on bool, req SwitchRequest) (out SwitchResult, err error) {
	path := "/api/v1/kill-switches/off"
	if on {
		path = "/api/v1/kill-switches/on"
	}
	return out, c.post(ctx, path, nil, req, &out)
}

// Reload makes the server read org.yaml, rules and taxonomy again.
func (c *Client) Reload(ctx context.Context) (out Reloaded, err error) {
	return out, c.post(ctx, "/api/v1/reload", nil, struct{}{}, &out)
}

// Priors lists what was learned from people's verdicts.
func (c *Client) Priors(ctx context.Context) (out PriorList, err error) {
	return out, c.get(ctx, "/api/v1/priors", &out)
}

// Refit learns the priors again.
func (c *Client) Refit(ctx context.Context) (out PriorList, err error) {
	return out, c.post(ctx, "/api/v1/priors/refit", nil, struct{}{}, &out)
}
