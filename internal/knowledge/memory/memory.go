// Package memory remembers how past investigations ended, and finds those that a present one
// resembles.
//
// The database holds what is remembered, written in the transaction that closes an investigation;
// the vector engine holds an index that an Indexer keeps up, and that can be made again. Without the
// vector engine, or an embedder that needs a network, words are searched in the database, and the
// result says so.
//
// What an attacker may have written is remembered only when a person decided: of what a machine
// decided, identifiers of detections, techniques and classes of entities are kept, and no text.
// Only what a person decided is ever shown as a precedent. Nothing here weighs in a verdict.
package memory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/absence"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/vector"
	"github.com/aluskort/aluskort/internal/knowledge/embed"
)

// ErrInvalid wraps an incident or a question that lacks something.
var ErrInvalid = errors.New("memory: invalid")

// Config is what a Memory is made of. DB and Embedder are required.
type Config struct {
	DB store.DB
	// Vectors may be nil: then words are searched in the database.
	Vectors  vector.Engine
	Embedder embed.Embedder
	// Nearest is the similarity below which nothing resembles; 0 means 0.45.
	Nearest float64
	Clock   clock.Clock
	Log     *slog.Logger
}

// Memory is the incident memory of a node. It is safe for concurrent use. Errors of the database
// wrap store.ErrUnavailable.
type Memory struct {
	cfg        Config
	collection vector.Collection
	wake       chan struct{}
	ensured    atomic.Bool
	away       absence.Absence // of the vector engine
	// generation counts changes that this process knows of.
	generation atomic.Uint64

	mu    sync.Mutex
	cache cache
}

// CollectionName is the collection of incidents. Embedders whose vectors have another size than
// text-embedding-3-small use one of their own.
const CollectionName = "incident_embeddings"

// The payload of a point.
const (
	keyModel      = "embedder"
	keyAnalytic   = "analytic"
	keyTechniques = "techniques"
	keyClasses    = "classes"
	keyVerdict    = "verdict"
	keyPerson     = "person"
	keyAt         = "decided_at"
)

// New checks the configuration and returns a memory. It asks neither database nor engine.
func New(cfg Config) (*Memory, error) {
	if cfg.DB == nil || cfg.Embedder == nil {
		return nil, errors.New("memory: database and embedder are required")
	}
	if cfg.Nearest == 0 {
		cfg.Nearest = 0.45
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	m := &Memory{cfg: cfg, wake: make(chan struct{}, 1)}
	size := cfg.Embedder.Model().Size
	m.collection = vector.Collection{
		Name: CollectionName, Size: size, Distance: vector.Cosine,
		Fields: map[string]vector.FieldType{
			keyModel: vector.Keyword, keyAnalytic: vector.Keyword, keyTechniques: vector.Keyword, keyClasses: vector.Keyword,
			keyVerdict: vector.Keyword, keyPerson: vector.Bool, keyAt: vector.Integer,
		},
	}
	if size != embed.LexicalSize {
		m.collection.Name = fmt.Sprintf("%s_%d", CollectionName, size)
	}
	return m, m.collection.Check()
}

// changed tells the indexer and the cache that something is new.
func (m *Memory) changed() {
	m.generation.Add(1)
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// retryAfter is how long the indexer waits after the engine failed, and how often it looks for
// what other processes remembered.
const retryAfter = 5 * time.Second

// Run keeps the index up until ctx ends. It returns nil then.
func (m *Memory) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		n, err := m.Index(ctx)
		if err != nil && ctx.Err() == nil {
			m.cfg.Log.Warn("incidents are not indexed now", "error", err)
		}
		if n > 0 && err == nil {
			continue
		}
		timer := m.cfg.Clock.NewTimer(retryAfter)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-m.wake:
		}
		timer.Stop()
	}
	return nil
}
