package simulated

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/wire"
)

// Model answers requests. Implementations are safe for concurrent use and deterministic: the
// same request gets the same answer. Usage is filled in by the server when Known is false.
type Model interface {
	Answer(r *llm.Request) *llm.Response
}

// Config is what a server needs.
type Config struct {
	Model Model
	// Clock makes the timers of latency and stalls; nil for the machine's.
	Clock clock.Clock
	// Script says what happens to the n-th completion, from 0; nil for nothing special.
	Script Script
	// Keys are accepted; nil accepts any, also none.
	Keys []string
	// BatchPolls is how often a batch is polled before it has ended.
	BatchPolls int
	// NoSchema makes the OpenAI side refuse response formats of the type json_schema, as older
	// compatible servers do.
	NoSchema bool
	// Keep is how many received requests are remembered, 0 for all. A server for a long run
	// keeps few.
	Keep int
}

// BaseURL is where an in-memory server is: the name resolves nowhere.
const BaseURL = "http://simulated.invalid"

// Server is the server. It is safe for concurrent use. The protocol is told by the path:
// /v1/messages for Anthropic, /v1/chat/completions for OpenAI.
type Server struct {
	cfg Config
	mux *http.ServeMux

	ctx    context.Context
	cancel context.CancelFunc
	serve  sync.Once
	http   *http.Server
	pipes  *pipes

	mu       sync.Mutex
	received []Received
	asked    int // completions, batches left out
	ids      int
	cached   map[[sha256.Size]byte]bool // prompts that the cache holds
	batches  map[string]*batch
	files    map[string][]byte
	keys     []string
}

// Received is a request as it arrived.
type Received struct {
	Method, Path string
	Header       http.Header
	Body         []byte
	// Request is what a completion asked for in neutral form, nil for other requests and for
	// those that the protocol refuses.
	Request *llm.Request
}

// NewServer returns a server. It listens nowhere until Transport or Listen is called.
func NewServer(c Config) *Server {
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Model == nil {
		c.Model = Analyst{}
	}
	if c.Script == nil {
		c.Script = func(int, *llm.Request) Step { return Step{} }
	}
	s := &Server{cfg: c, mux: http.NewServeMux(), cached: map[[sha256.Size]byte]bool{}, batches: map[string]*batch{}, files: map[string][]byte{}, keys: c.Keys}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.pipes = &pipes{conns: make(chan net.Conn), done: s.ctx.Done()}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	s.routes()
	return s
}

func (s *Server) routes() {
	s.mux.HandleFunc("POST /v1/messages", s.anthropicMessage)
	s.mux.HandleFunc("POST /v1/messages/count_tokens", s.anthropicCount)
	s.mux.HandleFunc("POST /v1/messages/batches", s.anthropicSubmit)
	s.mux.HandleFunc("GET /v1/messages/batches", s.anthropicList)
	s.mux.HandleFunc("GET /v1/messages/batches/{id}", s.anthropicPoll)
	s.mux.HandleFunc("GET /v1/messages/batches/{id}/results", s.anthropicResults)
	s.mux.HandleFunc("POST /v1/messages/batches/{id}/cancel", s.anthropicCancel)
	s.mux.HandleFunc("POST /v1/chat/completions", s.openaiChat)
	s.mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": []any{map[string]any{"id": "simulated", "object": "model", "owned_by": "simulated"}}})
	})
	s.mux.HandleFunc("POST /v1/files", s.openaiUpload)
	s.mux.HandleFunc("GET /v1/files/{id}/content", s.openaiFile)
	s.mux.HandleFunc("POST /v1/batches", s.openaiSubmit)
	s.mux.HandleFunc("GET /v1/batches", s.openaiList)
	s.mux.HandleFunc("GET /v1/batches/{id}", s.openaiPoll)
	s.mux.HandleFunc("POST /v1/batches/{id}/cancel", s.openaiCancel)
}

// maxRequest bounds what is read of a request.
const maxRequest = 64 << 20

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := readAll(http.MaxBytesReader(w, r.Body, maxRequest), r.ContentLength)
	if err != nil {
		http.Error(w, "request too large", http.StatusRequestEntityTooLarge)
		return
	}
	r.Body = heldBody{bytes.NewReader(b), b}
	s.record(Received{Method: r.Method, Path: r.URL.Path, Header: r.Header.Clone(), Body: b})
	if !s.admits(r) {
		s.refuse(w, r, Step{Status: http.StatusUnauthorized, Type: "authentication_error", Code: "invalid_api_key", Message: "invalid API key"})
		return
	}
	s.mux.ServeHTTP(w, r)
}

// readAll reads a body whose length is stated, if it is, into one piece of that length.
func readAll(r io.Reader, length int64) ([]byte, error) {
	if length < 0 || length > maxRequest {
		return io.ReadAll(r)
	}
	var b bytes.Buffer
	b.Grow(int(length) + bytes.MinRead)
	_, err := b.ReadFrom(r)
	return b.Bytes(), err
}

// heldBody is a body that is in memory already.
type heldBody struct {
	*bytes.Reader
	all []byte
}

// Close implements io.Closer.
func (heldBody) Close() error { return nil }

// bodyOf takes the body out of a request, which then holds it no longer: an answer may take its
// time.
func bodyOf(r *http.Request) []byte {
	held, _ := r.Body.(heldBody) // set by ServeHTTP
	r.Body = http.NoBody
	return held.all
}

func (s *Server) record(r Received) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received = append(s.received, r)
	if k := s.cfg.Keep; k > 0 && len(s.received) > k {
		s.received = slices.Delete(s.received, 0, len(s.received)-k)
	}
}

// understood notes what a recorded request asked for.
func (s *Server) understood(body []byte, req *llm.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.received) - 1; i >= 0; i-- {
		if bytes.Equal(s.received[i].Body, body) && s.received[i].Request == nil {
			s.received[i].Request = req
			return
		}
	}
}

// Received returns the requests that arrived, in order.
func (s *Server) Received() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.received)
}

// Accept replaces the accepted keys, as when a key is rotated or revoked.
func (s *Server) Accept(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = append([]string{}, keys...)
}

func (s *Server) admits(r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		return true
	}
	key := r.Header.Get("X-Api-Key")
	if key == "" {
		key, _ = bytesCut(r.Header.Get("Authorization"), "Bearer ")
	}
	return slices.Contains(s.keys, key)
}

// bytesCut returns s without the prefix.
func bytesCut(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):], true
	}
	return "", false
}

// next counts a completion and returns its step.
func (s *Server) next(req *llm.Request) Step {
	s.mu.Lock()
	n := s.asked
	s.asked++
	s.mu.Unlock()
	return s.cfg.Script(n, req)
}

func (s *Server) newID(prefix string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids++
	return fmt.Sprintf("%s_%08d", prefix, s.ids)
}

// remembers reports whether a prompt was cached before, and caches it.
func (s *Server) remembers(prompt [sha256.Size]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.cached[prompt]
	s.cached[prompt] = true
	return was
}

// Transport returns a way to the server that leaves the process nowhere: no port, no address.
// Under testing/synctest its waiting counts as waiting.
func (s *Server) Transport() http.RoundTripper {
	s.start(s.pipes)
	return &http.Transport{DialContext: s.pipes.dial, MaxIdleConnsPerHost: wire.IdleConnections}
}

// Listen serves on a loopback port and returns the base URL.
func (s *Server) Listen() (string, error) {
	var c net.ListenConfig
	l, err := c.Listen(s.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("simulated: listen: %w", err)
	}
	go func() { _ = s.http.Serve(l) }() // ends with Close
	return "http://" + l.Addr().String(), nil
}

func (s *Server) start(l net.Listener) {
	s.serve.Do(func() {
		go func() { _ = s.http.Serve(l) }() // ends with Close
	})
}

// Close ends the server and whatever it was answering.
func (s *Server) Close() {
	s.cancel()
	_ = s.http.Close() // its listeners are ours
}

// pipes is a listener whose connections are pairs of pipes.
type pipes struct {
	conns chan net.Conn
	done  <-chan struct{}
}

var errClosed = errors.New("simulated: server closed")

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.done:
		return nil, errClosed
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, errClosed
	}
}

func (p *pipes) Close() error   { return nil }
func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "simulated" }

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the reader may have left
}
