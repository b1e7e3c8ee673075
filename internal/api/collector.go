package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/aluskort/aluskort/internal/ingest"
)

// collector serves the path and the answers of Splunk's HTTP Event Collector, so that products
// that can send there can send here: concatenated objects with the alert under "event".
func (a *API) collector(w http.ResponseWriter, r *http.Request) error {
	receipt, err := a.take(r, func(body io.Reader, in *intake) error {
		return ReadRecords(a.cfg.Registry.Reader(), body, "body", func(rec Native) error {
			if rec.Err == nil {
				rec.Raw, rec.Err = a.event(rec.Raw)
			}
			return in.add(rec, ingest.Auto)
		})
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"text": "Success", "code": 0, "receipt": receipt})
}

// event returns the alert inside a collector's wrapper, or the record itself where an adapter
// knows it in that form.
func (a *API) event(raw []byte) ([]byte, error) {
	event := ingest.RawAt(raw, "event")
	if event == nil {
		return raw, nil
	}
	if f, err := a.cfg.Registry.Fields("", raw); err == nil {
		if _, sure := a.cfg.Registry.Detect(f); sure > 0 {
			return raw, nil
		}
	}
	switch v := jsontext.Value(event); v.Kind() {
	case '{':
		return event, nil
	case '"':
		var text string
		if err := json.Unmarshal(event, &text); err == nil && jsontext.Value(text).IsValid() {
			return []byte(text), nil
		}
		return raw, &ingest.RejectError{Place: "/event", Reason: "text that is no JSON; send the alert as an object"}
	default:
		return raw, &ingest.RejectError{Place: "/event", Reason: fmt.Sprintf("%s is no alert; send the alert as an object", v.Kind())}
	}
}

// writeCollector writes a problem the way senders to a collector understand: text and one of
// Splunk's codes, beside our own.
func writeCollector(w http.ResponseWriter, p *Problem) {
	code := map[Code]int{
		CodeUnauthenticated: 4, CodeForbidden: 4, CodeEmpty: 5, CodeNothingAccepted: 6, CodeEncoding: 6, CodeInvalid: 6, CodeMediaType: 6,
		CodeNotReady: 9, CodeOverloaded: 9, CodeUnavailable: 9, CodeCredentials: 9, CodeRecordTooLarge: 27, CodeBodyTooLarge: 27,
	}[p.Code]
	if code == 0 {
		code = 8 // internal server error
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if err := writeJSON(w, p.Status, map[string]any{"text": p.Error(), "code": code, "problem": p}); err != nil {
		http.Error(w, errors.New("internal error").Error(), http.StatusInternalServerError)
	}
}
