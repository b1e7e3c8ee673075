package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/aluskort/aluskort/internal/ingest"
)

// collectorPath begins the paths of Splunk's HTTP Event Collector, where senders expect its
// schemes, answers and errors.
const collectorPath = "/services/collector"

// CollectorAnswer is what a collector answers. Receipt and Problem are ours.
type CollectorAnswer struct {
	Text string `json:"text"`
	Code int    `json:"code"`
	// InvalidEvent is the position of the first event that is at fault, from 0.
	InvalidEvent *int     `json:"invalid-event-number,omitempty"`
	Receipt      *Receipt `json:"receipt,omitempty"`
	Problem      *Problem `json:"problem,omitempty"`
}

// hecCode is one of the codes that Splunk documents for the collector.
type hecCode int

const (
	hecSuccess        hecCode = 0
	hecTokenRequired  hecCode = 2
	hecInvalidAuth    hecCode = 3
	hecInvalidToken   hecCode = 4
	hecNoData         hecCode = 5
	hecInvalidFormat  hecCode = 6
	hecInternal       hecCode = 8
	hecBusy           hecCode = 9
	hecEventRequired  hecCode = 12
	hecEventBlank     hecCode = 13
	hecAckDisabled    hecCode = 14
	hecQueryAuth      hecCode = 16
	hecHealthy        hecCode = 17
	hecUnhealthy      hecCode = 18
	hecTooLarge       hecCode = 27
	hecUnknownURL     hecCode = 404
	hecMethodNotThere hecCode = 405
)

// hec gives a code its documented status and text.
func (c hecCode) hec() (status int, text string) {
	switch c {
	case hecSuccess:
		return http.StatusOK, "Success"
	case hecTokenRequired:
		return http.StatusUnauthorized, "Token is required"
	case hecInvalidAuth:
		return http.StatusUnauthorized, "Invalid authorization"
	case hecInvalidToken:
		return http.StatusForbidden, "Invalid token"
	case hecNoData:
		return http.StatusBadRequest, "No data"
	case hecInvalidFormat:
		return http.StatusBadRequest, "Invalid data format"
	case hecBusy:
		return http.StatusServiceUnavailable, "Server is busy"
	case hecEventRequired:
		return http.StatusBadRequest, "Event field is required"
	case hecEventBlank:
		return http.StatusBadRequest, "Event field cannot be blank"
	case hecAckDisabled:
		return http.StatusBadRequest, "ACK is disabled"
	case hecQueryAuth:
		return http.StatusBadRequest, "Query string authorization is not enabled"
	case hecHealthy:
		return http.StatusOK, "HEC is healthy"
	case hecUnhealthy:
		return http.StatusServiceUnavailable, "HEC is unhealthy, queues are full"
	case hecTooLarge:
		return http.StatusRequestEntityTooLarge, "Request entity too large"
	case hecUnknownURL:
		return http.StatusNotFound, "The requested URL was not found on this server."
	case hecMethodNotThere:
		return http.StatusMethodNotAllowed, "Method Not Allowed"
	}
	return http.StatusInternalServerError, "Internal server error"
}

// errEvent is the fault of an event by which the collector has a code of its own.
type errEvent struct {
	*ingest.RejectError
	code hecCode
}

// collector takes events in the collector's form, concatenated objects with the alert under
// "event", so that products that can send there can send here. Events at fault lie in the dead
// letters; the request fails only when no event could be used.
func (a *API) collector(w http.ResponseWriter, r *http.Request) error {
	return a.collect(w, r, a.event)
}

// collectorRaw takes what a product writes, without the collector's form around it: JSON lines,
// arrays, one object. Channels and metadata of the request are not needed.
func (a *API) collectorRaw(w http.ResponseWriter, r *http.Request) error {
	return a.collect(w, r, func(raw []byte) ([]byte, error) { return raw, nil })
}

// collect takes events that unwrap makes alerts of.
func (a *API) collect(w http.ResponseWriter, r *http.Request, unwrap func([]byte) ([]byte, error)) error {
	fault, first := hecInvalidFormat, -1
	receipt, err := a.take(r, func(body io.Reader, in *intake) error {
		return ReadRecords(a.cfg.Registry.Reader(), body, "body", func(rec Native) error {
			if rec.Err == nil {
				rec.Raw, rec.Err = unwrap(rec.Raw)
			}
			before := len(in.receipt.Rejected)
			err := in.add(rec, ingest.Auto)
			if first < 0 && len(in.receipt.Rejected) > before {
				first = rec.Index
				var e *errEvent
				if errors.As(rec.Err, &e) {
					fault = e.code
				}
			}
			return err
		})
	})
	var p *Problem
	if errors.As(err, &p) && p.Code == CodeNothingAccepted {
		return writeHEC(w, fault, CollectorAnswer{InvalidEvent: &first, Problem: p})
	}
	if err != nil {
		return err
	}
	return writeHEC(w, hecSuccess, CollectorAnswer{Receipt: receipt})
}

// collectorAck answers senders that ask for acknowledgements: what is answered with Success is
// durable already.
func (a *API) collectorAck(w http.ResponseWriter, _ *http.Request) error {
	return writeHEC(w, hecAckDisabled, CollectorAnswer{})
}

// collectorHealth serves GET /services/collector/health.
func (a *API) collectorHealth(w http.ResponseWriter, _ *http.Request) error {
	if a.mayTake() != nil {
		return writeHEC(w, hecUnhealthy, CollectorAnswer{})
	}
	return writeHEC(w, hecHealthy, CollectorAnswer{})
}

// event returns the alert inside a collector's wrapper, or the record itself where an adapter
// knows it in that form.
func (a *API) event(raw []byte) ([]byte, error) {
	event := ingest.RawAt(raw, "event")
	if f, err := a.cfg.Registry.Fields("", raw); err == nil {
		if _, sure := a.cfg.Registry.Detect(f); sure > 0 {
			return raw, nil
		}
	}
	refuse := func(code hecCode, format string, args ...any) error {
		return &errEvent{&ingest.RejectError{Place: "/event", Reason: fmt.Sprintf(format, args...)}, code}
	}
	if event == nil {
		return raw, refuse(hecEventRequired, "is missing; send the alert as an object under event")
	}
	switch v := jsontext.Value(event); v.Kind() {
	case '{':
		return event, nil
	case '"':
		var text string
		if err := json.Unmarshal(event, &text); err == nil && jsontext.Value(text).IsValid() {
			return []byte(text), nil
		}
		if strings.TrimSpace(text) == "" {
			return raw, refuse(hecEventBlank, "is blank; send the alert as an object")
		}
		return raw, refuse(hecInvalidFormat, "text that is no JSON; send the alert as an object")
	case 'n':
		return raw, refuse(hecEventBlank, "is null; send the alert as an object")
	default:
		return raw, refuse(hecInvalidFormat, "%s is no alert; send the alert as an object", v.Kind())
	}
}

// hecOf is the documented code for one of ours.
func hecOf(r *http.Request, p *Problem) hecCode {
	switch p.Code {
	case CodeUnauthenticated:
		return hecUnauthenticated(r)
	case CodeForbidden:
		return hecInvalidToken
	case CodeEmpty:
		return hecNoData
	case CodeNothingAccepted, CodeEncoding, CodeInvalid, CodeInvalidJSON, CodeMediaType:
		return hecInvalidFormat
	case CodeNotReady, CodeOverloaded, CodeRateLimited, CodeUnavailable, CodeCredentials:
		return hecBusy
	case CodeRecordTooLarge, CodeBodyTooLarge:
		return hecTooLarge
	case CodeNotFound:
		return hecUnknownURL
	case CodeMethod:
		return hecMethodNotThere
	}
	return hecInternal
}

func hecUnauthenticated(r *http.Request) hecCode {
	_, well := secretOf(r)
	switch {
	case well:
		return hecInvalidToken
	case len(r.Header.Values("Authorization")) > 0:
		return hecInvalidAuth
	case r.URL.Query().Has("token"):
		return hecQueryAuth
	}
	return hecTokenRequired
}

// writeCollector writes a problem the way senders to a collector understand.
func writeCollector(w http.ResponseWriter, r *http.Request, p *Problem) {
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if err := writeHEC(w, hecOf(r, p), CollectorAnswer{InvalidEvent: p.Record, Problem: p}); err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
	}
}

func writeHEC(w http.ResponseWriter, code hecCode, answer CollectorAnswer) error {
	status, text := code.hec()
	answer.Text, answer.Code = text, int(code)
	return writeJSON(w, status, answer)
}
