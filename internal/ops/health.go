package ops

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
)

// Reason says which part is not ready and why, in words for an operator.
type Reason struct {
	Part string `json:"part"`
	Why  string `json:"why"`
}

// Health collects what decides whether a process takes work. It is not ready until Open was
// called, and never again after Drain. It is safe for concurrent use.
type Health struct {
	mu     sync.Mutex
	checks []check
	open   bool
	drain  bool
}

type check struct {
	part string
	fn   func() []string
}

// NewHealth returns a Health that is not ready yet.
func NewHealth() *Health { return &Health{} }

// Check adds a part. fn says why it is not ready, nothing when it is; it must not block.
func (h *Health) Check(part string, fn func() []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, check{part, fn})
}

// Open ends the start: from now on the checks decide.
func (h *Health) Open() { h.set(func() { h.open = true }) }

// Drain makes the process unready for good; call it before anything is stopped.
func (h *Health) Drain() { h.set(func() { h.drain = true }) }

func (h *Health) set(fn func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fn()
}

// NotReady lists the reasons not to send work here; empty means ready.
func (h *Health) NotReady() []Reason {
	h.mu.Lock()
	checks, open, drain := slices.Clone(h.checks), h.open, h.drain
	h.mu.Unlock()
	switch {
	case drain:
		return []Reason{{"process", "it is shutting down"}}
	case !open:
		return []Reason{{"process", "it is starting"}}
	}
	var out []Reason
	for _, c := range checks {
		for _, why := range c.fn() {
			out = append(out, Reason{c.part, why})
		}
	}
	return out
}

// Live serves /health: the process runs and answers.
func (h *Health) Live(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"status": "ok"})
}

// Ready serves /ready: 200, or 503 with the reasons.
func (h *Health) Ready(w http.ResponseWriter, _ *http.Request) {
	if why := h.NotReady(); len(why) > 0 {
		w.Header().Set("Retry-After", "1")
		answer(w, http.StatusServiceUnavailable, map[string]any{"status": "unhealthy", "reasons": why})
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "healthy"})
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the caller went away
}
