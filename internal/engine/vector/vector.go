// Package vector is the contract of the vector engine, in the vocabulary of Qdrant: collections
// of points, each with an id, a vector and a payload, searched by similarity under a filter.
//
// Every call names a tenant. A tenant's points are invisible to every other tenant, in search,
// by id, in counts and in deletes; the same id in two tenants is two points. Engines live in
// vector/embedded and vector/qdrant and pass the suite in vector/vectortest.
package vector

import (
	"context"
	"errors"
	"math"
)

var (
	// ErrUnavailable wraps every error of the engine itself: disk, network, time-out, closed. It is
	// transient; a write that failed with it may have happened, and may be repeated.
	ErrUnavailable = errors.New("vector: engine unavailable")
	// ErrNotFound says that there is no collection of that name. A point that is not there is no
	// error.
	ErrNotFound = errors.New("vector: no such collection")
	// ErrDimension says that a vector, or a collection that exists, is of another size.
	ErrDimension = errors.New("vector: wrong number of dimensions")
	// ErrMisuse wraps what no engine takes: a bad name, a vector that is zero or not finite, a
	// payload or filter that does not fit the collection, too much at once.
	ErrMisuse = errors.New("vector: misuse")
)

// Bounds of what one call may hold.
const (
	MaxSize         = 4096
	MaxBatch        = 1000
	MaxBatchBytes   = 32 << 20
	MaxLimit        = 1000
	MaxPayloadBytes = 64 << 10
	MaxConditions   = 64
	MaxAny          = 1024
	MaxName         = 64
	MaxTenant       = 128
	MaxFields       = 32
)

// Reserved are the payload keys that engines use themselves.
const (
	// KeyTenant holds the tenant of a point where tenants share a collection.
	KeyTenant = "tenant"
	// KeyID holds the id of a point within its tenant.
	KeyID = "point_id"
)

// Distance says how two vectors are compared.
type Distance string

// The distances. Cosine and Dot are similarities, higher is nearer; Euclid is a length, lower is
// nearer. Under Cosine vectors are stored, and come back, with length 1.
const (
	Cosine Distance = "cosine"
	Dot    Distance = "dot"
	Euclid Distance = "euclid"
)

// FieldType says what values of a payload field can be filtered by.
type FieldType string

// The types of fields.
const (
	// Keyword is a string or a list of strings.
	Keyword FieldType = "keyword"
	Integer FieldType = "integer"
	Float   FieldType = "float"
	Bool    FieldType = "bool"
)

// Collection is a named set of points whose vectors have one size and are compared one way.
type Collection struct {
	// Name is 1 to MaxName of a-z, 0-9, "_" and "-", beginning with a letter.
	Name string `json:"name"`
	// Size is the number of dimensions, at most MaxSize.
	Size     int      `json:"size"`
	Distance Distance `json:"distance"`
	// Fields are the payload keys that filters may name. Payloads may hold others.
	Fields map[string]FieldType `json:"fields,omitempty"`
}

// Payload is what is stored beside a vector. Values are string, bool, int64, float64 (finite) and
// []string.
type Payload map[string]any

// Point is one vector with its id and payload.
type Point struct {
	ID      ID
	Vector  []float32
	Payload Payload
}

// Query asks for the points nearest to a vector.
type Query struct {
	Vector []float32
	Filter Filter
	// Limit is 1 to MaxLimit.
	Limit int
	// Threshold leaves out what is worse: scores below it, under Euclid above it. Nil for none.
	Threshold *float64
	// WithPayload returns the payloads too.
	WithPayload bool
}

// Hit is a found point.
type Hit struct {
	ID      ID
	Score   float64
	Payload Payload
}

// Scroll asks for points in the engine's own order, which does not change while nothing is written.
type Scroll struct {
	Filter Filter
	// Limit is 1 to MaxLimit.
	Limit int
	// After is Page.Next of the page before, empty for the first.
	After string
	// WithVectors returns the vectors too.
	WithVectors bool
}

// Page is a part of a scroll. Next is empty on the last.
type Page struct {
	Points []Point
	Next   string
}

// Engine keeps collections. It is safe for concurrent use. It does not keep or change its
// arguments, and what it returns is the caller's. Writes are durable, and seen by every later
// read, when they return nil; a batch is written whole or not at all by the embedded engine.
type Engine interface {
	// EnsureCollection creates the collection, or adds the fields that an existing one lacks.
	// ErrDimension when one of that name has another size, ErrMisuse when it has another distance
	// or a field of another type.
	EnsureCollection(ctx context.Context, c Collection) error
	// DropCollection removes a collection with the points of all tenants; none of that name is no
	// error.
	DropCollection(ctx context.Context, collection string) error
	// Upsert stores points; one with the id of an existing point replaces it. The last of two
	// points with one id wins.
	Upsert(ctx context.Context, tenant, collection string, points []Point) error
	// Get returns the points of these ids that exist, in the order of ids.
	Get(ctx context.Context, tenant, collection string, ids []ID) ([]Point, error)
	// Delete removes points by id.
	Delete(ctx context.Context, tenant, collection string, ids []ID) error
	// DeleteMatching removes the points that fit the filter; the empty filter fits all of the tenant.
	DeleteMatching(ctx context.Context, tenant, collection string, f Filter) error
	// Search returns the nearest points, best first, those of equal score by id.
	Search(ctx context.Context, tenant, collection string, q Query) ([]Hit, error)
	// Count counts the points that fit the filter.
	Count(ctx context.Context, tenant, collection string, f Filter) (int, error)
	// Scroll returns a page of the points that fit the filter.
	Scroll(ctx context.Context, tenant, collection string, s Scroll) (Page, error)
	// Ready returns nil when the engine can be used now.
	Ready(ctx context.Context) error
	// Close releases the engine. Safe to call twice; calls after it give ErrUnavailable.
	Close() error
}

// Nearer compares two scores: negative when a is the better one.
func (d Distance) Nearer(a, b float64) int {
	switch {
	case a == b:
		return 0
	case (a > b) != (d == Euclid):
		return -1
	}
	return 1
}

// Bounds of the length of a vector: beyond them single-precision sums of squares overflow.
const (
	minLength = 1e-15
	maxLength = 1e15
)

// Length returns the Euclidean length of v.
func Length(v []float32) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

// Prepared returns v as the collection stores it: a copy, of length 1 under Cosine.
func (c *Collection) Prepared(v []float32) []float32 {
	out := make([]float32, len(v))
	if c.Distance != Cosine {
		copy(out, v)
		return out
	}
	by := 1 / Length(v)
	for i, x := range v {
		out[i] = float32(float64(x) * by)
	}
	return out
}
