package simulated

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
)

// batch is a submission of either protocol.
type batch struct {
	id       string
	key      string // OpenAI keeps metadata
	input    string // id of the uploaded file, OpenAI
	items    []batchLine
	polls    int
	canceled bool
}

// batchLine is one request and, in time, its result.
type batchLine struct {
	CustomID string          `json:"custom_id"`
	Params   json.RawMessage `json:"params"` // Anthropic
	Body     json.RawMessage `json:"body"`   // OpenAI
	Method   string          `json:"method"`
	URL      string          `json:"url"`
}

// poll counts a look at the batch and reports whether it has ended.
func (s *Server) poll(id string, look bool) (b *batch, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b = s.batches[id]; b == nil {
		return nil, false
	}
	if look {
		b.polls++
	}
	return b, b.canceled || b.polls > s.cfg.BatchPolls
}

func (s *Server) keep(b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches[b.id] = b
}

// unique reports whether every item has an id of its own.
func unique(items []batchLine) bool {
	seen := map[string]bool{}
	for _, i := range items {
		if i.CustomID == "" || seen[i.CustomID] {
			return false
		}
		seen[i.CustomID] = true
	}
	return len(items) > 0
}

func (s *Server) anthropicSubmit(w http.ResponseWriter, r *http.Request) {
	body := bodyOf(r)
	step := s.batchStep()
	if !s.begin(w, r, step) {
		return
	}
	var in struct {
		Requests []batchLine `json:"requests"`
	}
	if json.Unmarshal(body, &in) != nil || !unique(in.Requests) {
		s.refuse(w, r, badRequest("requests: needs items with custom_ids of their own"))
		return
	}
	b := &batch{id: s.newID("msgbatch"), items: in.Requests}
	s.keep(b)
	s.writeAnthropic(w, b, false)
}

// batchStep lets scripts hold for submissions as well: they count as requests without content.
func (s *Server) batchStep() Step { return s.next(nil) }

const someDay = "2026-01-01T00:00:00Z" // the server has no calendar

func (s *Server) writeAnthropic(w http.ResponseWriter, b *batch, ended bool) {
	n := len(b.items)
	counts := map[string]any{"processing": n, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
	out := map[string]any{
		"id": b.id, "type": "message_batch", "processing_status": "in_progress", "created_at": someDay, "expires_at": someDay,
		"ended_at": nil, "archived_at": nil, "cancel_initiated_at": nil, "results_url": nil,
	}
	if ended {
		ok, bad := 0, 0
		for _, i := range b.items {
			if _, err := readAnthropic(i.Params); err != nil {
				bad++
			} else {
				ok++
			}
		}
		counts = map[string]any{"processing": 0, "succeeded": ok, "errored": bad, "canceled": 0, "expired": 0}
		if b.canceled {
			counts = map[string]any{"processing": 0, "succeeded": 0, "errored": 0, "canceled": n, "expired": 0}
		}
		out["processing_status"], out["ended_at"], out["results_url"] = "ended", someDay, BaseURL+"/v1/messages/batches/"+b.id+"/results"
	}
	out["request_counts"] = counts
	writeJSON(w, http.StatusOK, out)
}

func (s *Server) anthropicPoll(w http.ResponseWriter, r *http.Request) {
	b, ended := s.poll(r.PathValue("id"), true)
	if b == nil {
		s.refuse(w, r, notFound())
		return
	}
	s.writeAnthropic(w, b, ended)
}

func notFound() Step {
	return Step{Status: http.StatusNotFound, Type: "not_found_error", Message: "no such batch"}
}

func (s *Server) anthropicCancel(w http.ResponseWriter, r *http.Request) {
	b := s.cancelBatch(r.PathValue("id"))
	if b == nil {
		s.refuse(w, r, notFound())
		return
	}
	s.writeAnthropic(w, b, true)
}

func (s *Server) cancelBatch(id string) *batch {
	b, ended := s.poll(id, false)
	if b == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b.canceled = b.canceled || !ended
	return b
}

func (s *Server) anthropicList(w http.ResponseWriter, _ *http.Request) {
	var rec recorder
	var list []json.RawMessage
	for _, b := range s.allBatches() {
		_, ended := s.poll(b.id, false)
		rec = recorder{}
		s.writeAnthropic(&rec, b, ended)
		list = append(list, rec.Bytes())
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": list, "has_more": false, "first_id": nil, "last_id": nil})
}

// allBatches returns the batches, newest first.
func (s *Server) allBatches() []*batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*batch
	for _, b := range s.batches {
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b *batch) int { return strings.Compare(b.id, a.id) })
	return list
}

// recorder takes what would be written.
type recorder struct{ bytes.Buffer }

func (r *recorder) Header() http.Header { return http.Header{} }
func (r *recorder) WriteHeader(int)     {}

func (s *Server) anthropicResults(w http.ResponseWriter, r *http.Request) {
	b, ended := s.poll(r.PathValue("id"), false)
	if b == nil || !ended {
		s.refuse(w, r, notFound())
		return
	}
	var out bytes.Buffer
	lines := json.NewEncoder(&out)
	for n := range b.items {
		i := b.items[len(b.items)-1-n] // not the order of submission
		var result map[string]any
		asked, err := readAnthropic(i.Params)
		switch {
		case b.canceled:
			result = map[string]any{"type": "canceled"}
		case err != nil:
			result = map[string]any{"type": "errored", "error": map[string]any{"type": "error", "error": map[string]any{"type": "invalid_request_error", "message": err.Error()}}}
		default:
			s.understood(i.Params, asked.request)
			result = map[string]any{"type": "succeeded", "message": s.anthropicAnswer(asked, s.next(asked.request)).whole()}
		}
		_ = lines.Encode(map[string]any{"custom_id": i.CustomID, "result": result}) // to memory
	}
	s.send(w, r, "application/x-jsonl", out.Bytes(), Step{})
}

func (s *Server) openaiUpload(w http.ResponseWriter, r *http.Request) {
	f, _, err := r.FormFile("file")
	if err != nil || r.FormValue("purpose") != "batch" {
		s.refuse(w, r, badRequest("a file with the purpose batch is required"))
		return
	}
	b, err := io.ReadAll(f)
	if err != nil {
		s.refuse(w, r, badRequest("the file cannot be read"))
		return
	}
	id := s.newID("file")
	s.store(id, b)
	writeJSON(w, http.StatusOK, map[string]any{"id": id, "object": "file", "bytes": len(b), "created_at": 0, "filename": "batch.jsonl", "purpose": "batch", "status": "processed"})
}

func (s *Server) store(id string, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[id] = b
}

func (s *Server) file(id string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[id]
}

func (s *Server) openaiFile(w http.ResponseWriter, r *http.Request) {
	b := s.file(r.PathValue("id"))
	if b == nil {
		s.refuse(w, r, notFound())
		return
	}
	s.send(w, r, "application/octet-stream", b, Step{})
}

func (s *Server) openaiSubmit(w http.ResponseWriter, r *http.Request) {
	body := bodyOf(r)
	step := s.batchStep()
	if !s.begin(w, r, step) {
		return
	}
	var in struct {
		Input    string            `json:"input_file_id"`
		Endpoint string            `json:"endpoint"`
		Window   string            `json:"completion_window"`
		Metadata map[string]string `json:"metadata"`
	}
	if json.Unmarshal(body, &in) != nil || in.Endpoint != "/v1/chat/completions" || in.Window != "24h" {
		s.refuse(w, r, badRequest("endpoint and completion_window are required"))
		return
	}
	b := &batch{id: s.newID("batch"), key: in.Metadata["key"], input: in.Input}
	for line := range strings.Lines(string(s.file(in.Input))) {
		var i batchLine
		if json.Unmarshal([]byte(line), &i) != nil || i.Method != http.MethodPost || i.URL != in.Endpoint {
			s.refuse(w, r, badRequest("the input file is not valid"))
			return
		}
		b.items = append(b.items, i)
	}
	if !unique(b.items) {
		s.refuse(w, r, badRequest("the input file needs lines with custom_ids of their own"))
		return
	}
	s.keep(b)
	writeJSON(w, http.StatusOK, s.openaiBatch(b, false))
}

func (s *Server) openaiBatch(b *batch, ended bool) map[string]any {
	n := len(b.items)
	out := map[string]any{
		"id": b.id, "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": b.input, "completion_window": "24h",
		"created_at": 0, "status": "in_progress", "metadata": map[string]string{"key": b.key},
		"request_counts": map[string]any{"total": n, "completed": 0, "failed": 0},
	}
	if !ended {
		return out
	}
	good, bad, failed := s.openaiResults(b)
	out["status"] = "completed"
	if b.canceled {
		out["status"] = "cancelled"
	}
	out["request_counts"] = map[string]any{"total": n, "completed": n - failed, "failed": failed}
	if len(good) > 0 {
		s.store(b.id+"_output", good)
		out["output_file_id"] = b.id + "_output"
	}
	if len(bad) > 0 {
		s.store(b.id+"_errors", bad)
		out["error_file_id"] = b.id + "_errors"
	}
	return out
}

// openaiResults answers the lines of a batch.
func (s *Server) openaiResults(b *batch) (good, bad []byte, failed int) {
	var ok, no bytes.Buffer
	line := func(to *bytes.Buffer, id string, response, failure any) {
		_ = json.NewEncoder(to).Encode(map[string]any{"id": s.newID("batch_req"), "custom_id": id, "response": response, "error": failure}) // to memory
	}
	for _, i := range b.items {
		asked, err := readOpenAI(i.Body, s.cfg.NoSchema)
		switch {
		case b.canceled:
			failed++
			line(&no, i.CustomID, nil, map[string]any{"code": "batch_cancelled", "message": "This request was cancelled."})
		case err != nil:
			failed++
			line(&no, i.CustomID, map[string]any{"status_code": 400, "body": map[string]any{"error": map[string]any{"type": "invalid_request_error", "message": err.Error()}}}, nil)
		default:
			line(&ok, i.CustomID, map[string]any{"status_code": 200, "body": s.openaiAnswer(asked, s.next(asked.request)).whole()}, nil)
		}
	}
	return ok.Bytes(), no.Bytes(), failed
}

func (s *Server) openaiPoll(w http.ResponseWriter, r *http.Request) {
	b, ended := s.poll(r.PathValue("id"), true)
	if b == nil {
		s.refuse(w, r, notFound())
		return
	}
	writeJSON(w, http.StatusOK, s.openaiBatch(b, ended))
}

func (s *Server) openaiCancel(w http.ResponseWriter, r *http.Request) {
	b := s.cancelBatch(r.PathValue("id"))
	if b == nil {
		s.refuse(w, r, notFound())
		return
	}
	writeJSON(w, http.StatusOK, s.openaiBatch(b, true))
}

func (s *Server) openaiList(w http.ResponseWriter, _ *http.Request) {
	list := []any{}
	for _, b := range s.allBatches() {
		_, ended := s.poll(b.id, false)
		list = append(list, s.openaiBatch(b, ended))
	}
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": list, "has_more": false})
}
