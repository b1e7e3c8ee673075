package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
)

// How long and how many answers are kept for repeated requests. They live in memory: after a
// restart a repeated decision meets the state that the first one left and is refused with
// 409, so it is never carried out twice; only its first answer is gone.
const (
	keepAnswers = 10_000
	keepFor     = 24 * time.Hour
	maxKey      = 200
	// decideWithin bounds a decision that outlives the request it came with.
	decideWithin = time.Minute
)

// answers remembers what requests with an Idempotency-Key were answered. It is safe for
// concurrent use.
type answers struct {
	clock clock.Clock
	mu    sync.Mutex
	known map[[32]byte]*answered
	order [][32]byte // oldest first
}

type answered struct {
	request [32]byte
	at      time.Time
	done    chan struct{} // closed when the fields below are set
	status  int
	body    []byte
	etag    string
	err     error
}

func newAnswers(clk clock.Clock) *answers {
	return &answers{clock: clk, known: map[[32]byte]*answered{}}
}

// begin returns the entry of a key, and whether the caller is the one to fill it.
func (k *answers) begin(key, request [32]byte) (e *answered, first bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.clock.Now()
	for len(k.order) > 0 {
		old := k.known[k.order[0]]
		if old != nil && len(k.order) < keepAnswers && now.Sub(old.at) < keepFor {
			break
		}
		delete(k.known, k.order[0])
		k.order = k.order[1:]
	}
	if e := k.known[key]; e != nil {
		return e, false
	}
	e = &answered{request: request, at: now, done: make(chan struct{})}
	k.known[key] = e
	k.order = append(k.order, key)
	return e, true
}

// forget lets the same key be tried again: nothing was decided.
func (k *answers) forget(key [32]byte, e *answered) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known[key] == e {
		delete(k.known, key)
	}
}

// once makes a decision repeatable: requests with the same Idempotency-Key, token, path and
// body get the answer of the first. What failed for a reason that may go away is not kept.
func (a *API) once(decide func(*http.Request) (any, error)) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		key := r.Header.Get("Idempotency-Key")
		if key == "" {
			body, err := decide(r)
			if err != nil {
				return err
			}
			return writeDecision(w, body)
		}
		if len(key) > maxKey {
			return problem(CodeInvalid, "Idempotency-Key has at most %d bytes", maxKey)
		}
		content, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, 1<<20))
		if err != nil {
			return problem(CodeBodyTooLarge, "a decision has at most %d bytes", 1<<20)
		}
		r.Body = io.NopCloser(bytes.NewReader(content))
		c := caller(r.Context())
		id := digest(c.Hash, c.Name, c.Tenant, key)
		request := digest(r.URL.Path, r.Header.Get("If-Match"), string(content))
		e, first := a.keys.begin(id, request)
		if e.request != request {
			return problem(CodeIdempotencyReused, "choose a new key for a new request")
		}
		if first {
			a.answer(r, id, e, decide)
		}
		select {
		case <-e.done:
		case <-r.Context().Done():
			return r.Context().Err()
		}
		if e.err != nil {
			return e.err
		}
		if !first {
			w.Header().Set("Idempotency-Replayed", "true")
		}
		if e.etag != "" {
			w.Header().Set("ETag", e.etag)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(e.status)
		_, _ = w.Write(e.body) // the caller went away
		return nil
	}
}

// answer runs the decision and fills the entry, whatever happens. It goes on when the caller goes away:
// that is when the same request comes again and waits for this one.
func (a *API) answer(r *http.Request, id [32]byte, e *answered, decide func(*http.Request) (any, error)) {
	defer close(e.done)
	e.err = problem(CodeInternal, "") // stays when decide panics
	defer func() {
		if e.err != nil && problemOf(e.err).Status >= http.StatusInternalServerError {
			a.keys.forget(id, e)
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), decideWithin)
	defer cancel()
	body, err := decide(r.WithContext(ctx))
	if err != nil {
		e.err = err
		return
	}
	b, err := json.Marshal(body)
	if err != nil {
		e.err = err
		return
	}
	b = append(b, '\n')
	e.err, e.status, e.body, e.etag = nil, http.StatusOK, b, tagOf(body)
}

func tagOf(body any) string {
	switch b := body.(type) {
	case *Detail:
		return etag(b.Version)
	case *PatternResult:
		return etag(b.Pattern.Version)
	}
	return ""
}

func writeDecision(w http.ResponseWriter, body any) error {
	if body == nil {
		return errors.New("api: a decision without an answer")
	}
	if tag := tagOf(body); tag != "" {
		w.Header().Set("ETag", tag)
	}
	return writeJSON(w, http.StatusOK, body)
}

// digest hashes parts so that no two lists of parts give the same.
func digest(parts ...string) [32]byte {
	h := sha256.New()
	for _, p := range parts {
		sum := sha256.Sum256([]byte(p))
		h.Write(sum[:])
	}
	return [32]byte(h.Sum(nil))
}
