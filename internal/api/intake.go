package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/ingest"
)

// Receipt says what became of the records of a request. Accepted alerts are acknowledged by
// the bus, rejected records lie in the dead letters; both are durable.
type Receipt struct {
	Accepted int `json:"accepted"`
	// Dropped are heartbeats.
	Dropped  int        `json:"dropped"`
	Rejected []Rejected `json:"rejected"`
}

// Rejected is one record that did not become an alert.
type Rejected struct {
	Index  int    `json:"index"` // from 0
	Source string `json:"source,omitempty"`
	Reason string `json:"reason"`
}

// ingest serves POST /v1/ingest/{source}.
func (a *API) ingest(w http.ResponseWriter, r *http.Request) error {
	source := r.PathValue("source")
	if source != ingest.Auto {
		if _, ok := a.cfg.Registry.Adapter(source); !ok {
			return problem(CodeUnknownSource, "use one of %s, or %s", strings.Join(a.cfg.Registry.Names(), ", "), ingest.Auto)
		}
	}
	receipt, err := a.take(r, func(body io.Reader, in *intake) error {
		return ReadRecords(a.cfg.Registry.Reader(), body, "body", func(rec Native) error { return in.add(rec, source) })
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, receipt)
}

// intake is one request on its way in.
type intake struct {
	api     *API
	tenant  string
	alerts  []alert.Alert
	letters []Letter
	receipt Receipt
	records int
	refused audit.Rejections
}

// take reads a body, and returns once everything in it is durable.
func (a *API) take(r *http.Request, read func(io.Reader, *intake) error) (*Receipt, error) {
	var receipt *Receipt
	err := a.receive(r, func(body []byte, in *intake) error { return read(bytes.NewReader(body), in) }, func(in *intake) error {
		if in.records == 0 {
			return problem(CodeEmpty, "send a JSON object, an array of objects, JSON lines or an export of the product")
		}
		if err := in.settle(r.Context()); err != nil {
			return err
		}
		if in.receipt.Accepted+in.receipt.Dropped == 0 {
			p := problem(CodeNothingAccepted, "all %d records were refused and are kept in the dead letters; the first: %s", in.records, in.receipt.Rejected[0].Reason)
			p.Receipt = &in.receipt
			return p
		}
		receipt = &in.receipt
		return nil
	})
	return receipt, err
}

// receive reads a body into records and lets finish make them durable. The body's memory is
// booked until then.
func (a *API) receive(r *http.Request, read func([]byte, *intake) error, finish func(*intake) error) error {
	tenant := caller(r.Context()).Tenant
	if err := a.mayTake(); err != nil {
		return err
	}
	if err := a.mayTakeFrom(tenant); err != nil {
		return err
	}
	body, release, err := a.body(r)
	defer release()
	if err != nil {
		return err
	}
	in := &intake{api: a, tenant: tenant, receipt: Receipt{Rejected: []Rejected{}}}
	err = read(body, in)
	a.admission.charge(tenant, in.records)
	if err != nil {
		var p *Problem
		if errors.As(err, &p) {
			return err
		}
		return problem(CodeEncoding, "%s", err)
	}
	return finish(in)
}

// mayTake refuses work that could not be finished.
func (a *API) mayTake() error {
	if why := a.cfg.Health.NotReady(); len(why) > 0 {
		return retryable(CodeNotReady, 2, nil, "%s: %s", why[0].Part, why[0].Why)
	}
	if rows, age := a.cfg.OutboxLag(); rows > a.cfg.Limits.LagRows || age > a.cfg.Limits.LagAge {
		return retryable(CodeOverloaded, 5, nil, "%d messages wait to be published, the oldest for %s", rows, age.Round(1e9))
	}
	return nil
}

// mayTakeFrom refuses a tenant that sends more than its rate.
func (a *API) mayTakeFrom(tenant string) error {
	wait := a.admission.wait(tenant)
	if wait == 0 {
		return nil
	}
	a.limited.Add(1, tenant)
	return retryable(CodeRateLimited, int(wait/time.Second), nil, "%s sends more than %d records a second; nothing of the request was taken", tenant, a.cfg.Limits.TenantRate)
}

// add takes one record; an error ends the request and nothing of it is taken.
func (in *intake) add(rec Native, source string) error {
	in.records++
	if rec.Size > alert.MaxRecord {
		p := problem(CodeRecordTooLarge, "record %d has %d bytes, at most %d are taken; nothing of the request was taken: send the others without it, and shorten it at its source",
			rec.Index, rec.Size, alert.MaxRecord)
		p.Record = &rec.Index
		return p
	}
	a, err := in.api.cfg.Registry.Normalise(rec.Record, source, in.tenant, in.api.cfg.Clock.Now())
	switch {
	case err == nil:
		in.alerts = append(in.alerts, a)
		in.receipt.Accepted++
	case errors.Is(err, ingest.ErrHeartbeat):
		in.receipt.Dropped++
		in.api.records.Add(1, source, "dropped")
	default:
		in.reject(rec.Record, source, err)
	}
	return nil
}

func (in *intake) reject(rec ingest.Record, source string, err error) {
	out := Rejected{Index: rec.Index, Reason: err.Error()}
	var re *ingest.RejectError
	if errors.As(err, &re) && re.Source != "" {
		out.Source, source = re.Source, re.Source
	}
	in.receipt.Rejected = append(in.receipt.Rejected, out)
	in.refused.Add(source, err.Error(), rec.Raw)
	in.letters = append(in.letters, Letter{Tenant: in.tenant, Source: source, Raw: rec.Raw, Reason: "intake", Text: err.Error()})
}

// settle makes the request durable: first what was refused and its audit record, so that an
// answer that speaks of it is true, then the alerts. When it fails the client sends everything again, and what
// arrived twice only counts.
func (in *intake) settle(ctx context.Context) error {
	if len(in.letters) > 0 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), in.api.cfg.Limits.Produce)
		defer cancel()
		if err := in.api.cfg.DeadLetter(ctx, in.letters); err != nil {
			return retryable(CodeUnavailable, 2, err, "the refused records could not be stored; nothing was acknowledged, send the request again")
		}
		if err := in.api.refused.add(ctx, in.tenant, &in.refused); err != nil {
			return retryable(CodeUnavailable, 2, err, "the refused records could not be recorded; nothing was acknowledged, send the request again")
		}
		for _, l := range in.letters {
			in.api.records.Add(1, l.Source, "rejected")
		}
	}
	err := in.api.produce.Offer(ctx, in.alerts)
	if errors.Is(err, ErrTooLarge) {
		return in.tooLarge()
	}
	if err != nil {
		return retryable(CodeUnavailable, 2, err, "the bus did not acknowledge; nothing was acknowledged, send the request again")
	}
	for i := range in.alerts {
		in.api.records.Add(1, in.alerts[i].Source, "accepted")
	}
	return nil
}

// tooLarge answers for an alert whose message no bus takes although its record is within the
// limit: what was made of it is larger.
func (in *intake) tooLarge() error {
	return problem(CodeRecordTooLarge, "a record is too large once it is understood; nothing of the request was taken: send large records one by one")
}

// body reads the whole body, unpacked, within the limits. release gives its memory back to
// the budget; it must be called once the body is no longer used.
func (a *API) body(r *http.Request) (body []byte, release func(), err error) {
	m := &metered{budget: &a.budget, limit: a.cfg.Limits.Body}
	release = m.release
	packed := false
	switch enc := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); enc {
	case "", "identity":
	case "gzip", "x-gzip":
		packed = true
	default:
		return nil, release, problem(CodeMediaType, "content encoding %.40q; send gzip or none", enc)
	}
	if r.ContentLength > a.cfg.Limits.Body {
		return nil, release, a.tooBig()
	}
	in := http.MaxBytesReader(nil, r.Body, a.cfg.Limits.Body)
	head := make([]byte, 2)
	n, err := io.ReadFull(in, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, release, a.bodyError(err)
	}
	whole := io.MultiReader(bytes.NewReader(head[:n]), in)
	if packed || n == 2 && head[0] == 0x1f && head[1] == 0x8b {
		zr, err := gzip.NewReader(whole)
		if err != nil {
			return nil, release, problem(CodeEncoding, "not gzip: %s", err)
		}
		whole = zr
	}
	if _, err := io.Copy(m, whole); err != nil {
		return nil, release, a.bodyError(err)
	}
	if len(bytes.TrimSpace(m.buf)) == 0 {
		return nil, release, problem(CodeEmpty, "send a JSON object, an array of objects, JSON lines or an export of the product")
	}
	return m.buf, release, nil
}

func (a *API) tooBig() *Problem {
	return problem(CodeBodyTooLarge, "a body has at most %d bytes, unpacked; send it in parts", a.cfg.Limits.Body)
}

func (a *API) bodyError(err error) error {
	var tooBig *http.MaxBytesError
	var p *Problem
	switch {
	case errors.As(err, &p):
		return err
	case errors.As(err, &tooBig), errors.Is(err, errBodyLimit):
		return a.tooBig()
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return problem(CodeEncoding, "damaged gzip: %s", err)
	default:
		p := problem(CodeInvalid, "the body ended early or cannot be read")
		p.cause = err
		return p
	}
}

var errBodyLimit = errors.New("body limit")

// budget bounds the memory of all bodies that are being taken at the same time.
type budget struct {
	limit int64
	used  atomic.Int64
}

// metered collects a body and books its memory.
type metered struct {
	budget *budget
	limit  int64
	buf    []byte
	booked int64
}

// Write implements io.Writer.
func (m *metered) Write(p []byte) (int, error) {
	need := int64(len(m.buf) + len(p))
	if need > m.limit {
		return 0, errBodyLimit
	}
	if need > int64(cap(m.buf)) {
		grown := min(max(2*int64(cap(m.buf)), need, 4<<10), m.limit)
		if m.budget.used.Add(grown-m.booked) > m.budget.limit {
			m.budget.used.Add(m.booked - grown)
			return 0, retryable(CodeOverloaded, 1, nil, "too many large requests at once")
		}
		m.booked = grown
		buf := make([]byte, len(m.buf), grown)
		copy(buf, m.buf)
		m.buf = buf
	}
	m.buf = append(m.buf, p...)
	return len(p), nil
}

func (m *metered) release() {
	m.budget.used.Add(-m.booked)
	m.booked = 0
}
