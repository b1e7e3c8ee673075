package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/aluskort/aluskort/internal/ingest"
)

// Bounds of the action line of a bulk request.
const (
	maxAction     = 16 << 10
	maxDocumentID = 512 // bytes, as Elasticsearch has it
)

// BulkAnswer is what Elasticsearch answers to a bulk request, item by item.
type BulkAnswer struct {
	Took   int64                 `json:"took"` // milliseconds
	Errors bool                  `json:"errors"`
	Items  []map[string]BulkItem `json:"items"` // by the action
}

// BulkItem is what became of one document.
type BulkItem struct {
	Index  string     `json:"_index"`
	ID     string     `json:"_id,omitempty"`
	Status int        `json:"status"`
	Result string     `json:"result,omitempty"`
	Error  *BulkError `json:"error,omitempty"`
}

// BulkError is an error in the form of Elasticsearch.
type BulkError struct {
	Type      string      `json:"type"`
	Reason    string      `json:"reason"`
	RootCause []BulkError `json:"root_cause,omitempty"`
}

// BulkFailure is the answer to a request that failed as a whole.
type BulkFailure struct {
	Error  BulkError `json:"error"`
	Status int       `json:"status"`
}

// bulkAction is the first line of a pair.
type bulkAction struct {
	name  string
	index string
	id    string
}

// bulk serves POST /_bulk: NDJSON with an action and a document in turn. Each document is an
// alert that is recognised by its content. What cannot be used lies in the dead letters and
// fails its item; the others are taken.
func (a *API) bulk(w http.ResponseWriter, r *http.Request) error {
	began := a.cfg.Clock.Now()
	out := BulkAnswer{Items: []map[string]BulkItem{}}
	err := a.receive(r, func(body []byte, in *intake) error {
		return a.bulkItems(body, r.PathValue("index"), in, &out)
	}, func(in *intake) error {
		if len(out.Items) == 0 {
			return problem(CodeEmpty, "send an action line and a document line for each alert")
		}
		return in.settle(r.Context())
	})
	if err != nil {
		return err
	}
	out.Took = a.cfg.Clock.Now().Sub(began).Milliseconds()
	w.Header().Set(elasticHeader, elasticProduct)
	return writeJSON(w, http.StatusOK, out)
}

// elasticHeader is what clients of Elasticsearch want to see before they believe an answer.
const (
	elasticHeader  = "X-Elastic-Product"
	elasticProduct = "Elasticsearch"
)

// bulkItems works off the lines of a body. An action line that cannot be read leaves open what
// follows it, so that it ends the request and nothing is taken.
func (a *API) bulkItems(body []byte, index string, in *intake, out *BulkAnswer) error {
	for line := 1; len(body) > 0; line++ {
		var first []byte
		if first, body = cutLine(body); len(first) == 0 {
			continue
		}
		action, why := readAction(first, index)
		if why != "" {
			return problem(CodeInvalid, "Malformed action/metadata line [%d], %s; nothing of the request was taken", line, why)
		}
		item := BulkItem{Index: action.index, ID: action.id}
		if action.name != "delete" {
			if len(body) == 0 {
				return problem(CodeInvalid, "Malformed action/metadata line [%d], the document is missing; nothing of the request was taken", line)
			}
			var source []byte
			source, body = cutLine(body)
			line++
			if err := a.bulkItem(&action, source, in, &item); err != nil {
				return err
			}
		} else {
			item.fail("illegal_argument_exception", "alerts are taken and never deleted")
		}
		out.Errors = out.Errors || item.Error != nil
		out.Items = append(out.Items, map[string]BulkItem{action.name: item})
	}
	return nil
}

func (i *BulkItem) fail(kind, reason string) {
	i.Status, i.Error = http.StatusBadRequest, &BulkError{Type: kind, Reason: reason}
}

// bulkItem takes one document.
func (a *API) bulkItem(action *bulkAction, source []byte, in *intake, item *BulkItem) error {
	if action.name == "update" {
		item.fail("illegal_argument_exception", "a partial document is no alert; use index or create")
		return nil
	}
	rec := Native{Record: ingest.Record{File: "body", Index: in.records, Raw: source}, Size: int64(len(source))}
	if v := jsontext.Value(source); !v.IsValid() || v.Kind() != '{' {
		rec.Err = &ingest.RejectError{Place: "/", Reason: "the document is no JSON object"}
	} else {
		rec.Raw = a.wrapped(action, source)
	}
	dropped, rejected := in.receipt.Dropped, len(in.receipt.Rejected)
	if err := in.add(rec, ingest.Auto); err != nil {
		return err
	}
	switch {
	case len(in.receipt.Rejected) > rejected:
		item.fail("document_parsing_exception", in.receipt.Rejected[rejected].Reason)
	case in.receipt.Dropped > dropped:
		item.Status, item.Result = http.StatusOK, "noop"
	default:
		item.Status, item.Result = http.StatusCreated, "created"
	}
	return nil
}

// wrapped joins a document and the id of its action in the form in which searches return it,
// where an adapter knows that: the id tells a repeated alert from a new one.
func (a *API) wrapped(action *bulkAction, source []byte) []byte {
	if action.id == "" {
		return source
	}
	index, err := json.Marshal(action.index)
	id, err2 := json.Marshal(action.id)
	if err != nil || err2 != nil {
		return source
	}
	whole := bytes.Join([][]byte{[]byte(`{"_index":`), index, []byte(`,"_id":`), id, []byte(`,"_source":`), source, []byte(`}`)}, nil)
	if f, err := a.cfg.Registry.Fields("", whole); err == nil {
		if _, sure := a.cfg.Registry.Detect(f); sure > 0 {
			return whole
		}
	}
	return source
}

// cutLine takes the first line off b, without its end.
func cutLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte("\n"))
	return bytes.TrimSpace(line), rest
}

// readAction reads {"create":{"_index":"…","_id":"…"}}; why says what is wrong with it.
func readAction(line []byte, index string) (action bulkAction, why string) {
	if len(line) > maxAction {
		return action, "it is too long"
	}
	var body map[string]struct {
		Index string          `json:"_index"`
		ID    json.RawMessage `json:"_id"`
	}
	if json.Unmarshal(line, &body) != nil || len(body) != 1 {
		return action, "expected one of index, create, update, delete with an object"
	}
	for name, meta := range body {
		if name != "index" && name != "create" && name != "update" && name != "delete" {
			return action, "expected one of index, create, update, delete"
		}
		action = bulkAction{name: name, index: meta.Index}
		if action.index == "" {
			action.index = index
		}
		var ok bool
		if action.id, ok = documentID(meta.ID); !ok || len(action.id) > maxDocumentID || len(action.index) > maxDocumentID {
			return action, "_id and _index are texts of at most 512 bytes"
		}
	}
	return action, ""
}

// documentID reads an id, which some senders write as a number.
func documentID(raw json.RawMessage) (string, bool) {
	switch v := jsontext.Value(raw); {
	case len(raw) == 0 || v.Kind() == 'n':
		return "", true
	case v.Kind() == '0':
		return string(raw), true
	case v.Kind() != '"':
		return "", false
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// isBulk reports whether a path belongs to bulk requests.
func isBulk(path string) bool { return strings.HasSuffix(path, "/_bulk") }

// writeBulk writes a problem the way clients of Elasticsearch understand.
func writeBulk(w http.ResponseWriter, p *Problem) {
	kind := "exception"
	switch p.Code {
	case CodeUnauthenticated, CodeForbidden:
		kind = "security_exception"
	case CodeInvalid:
		kind = "illegal_argument_exception"
	case CodeEmpty, CodeEncoding:
		kind = "parse_exception"
	case CodeRecordTooLarge, CodeBodyTooLarge:
		kind = "content_too_long_exception"
	case CodeNotReady, CodeOverloaded, CodeRateLimited, CodeUnavailable, CodeCredentials:
		kind = "es_rejected_execution_exception"
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	w.Header().Set(elasticHeader, elasticProduct)
	cause := BulkError{Type: kind, Reason: p.Error()}
	whole := cause
	whole.RootCause = []BulkError{cause}
	if err := writeJSON(w, p.Status, BulkFailure{Error: whole, Status: p.Status}); err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
	}
}
