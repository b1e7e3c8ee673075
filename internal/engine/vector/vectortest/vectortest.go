// Package vectortest is the behaviour suite of vector engines. Every engine passes it.
package vectortest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/aluskort/aluskort/internal/engine/vector"
)

// Subject is an engine under test.
type Subject struct {
	// Open returns the engine; with the same t it returns the same contents again.
	Open func(t *testing.T) vector.Engine
	// Approximate says that a search in many points may miss some of the nearest.
	Approximate bool
}

// Run runs the suite.
func Run(t *testing.T, s Subject) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(*testing.T, *harness)
	}{
		{"collections", testCollections},
		{"points", testPoints},
		{"last of a batch wins", testBatch},
		{"tenants are strangers", testTenants},
		{"filters", testFilters},
		{"new words of a batch", testNewWords},
		{"distances", testDistances},
		{"ties by id", testTies},
		{"refusals", testRefusals},
		{"deletes", testDeletes},
		{"scroll", testScroll},
		{"nearest of many", testRecall},
		{"readers beside a writer", testConcurrency},
		{"reopen", testReopen},
		{"closed", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := &harness{T: t, subject: s, ctx: t.Context()}
			h.Engine = s.Open(t)
			t.Cleanup(func() { _ = h.Close() })
			c.test(t, h)
		})
	}
}

type harness struct {
	*testing.T
	vector.Engine
	subject Subject
	ctx     context.Context
}

const tenant = "acme"

var collections atomic.Int64

// collection creates a collection of a name that no other test has, also not on a server that
// served other runs.
func (h *harness) collection(size int, d vector.Distance, fields map[string]vector.FieldType) string {
	h.Helper()
	name := fmt.Sprintf("t%d-%s", collections.Add(1), uuid.NewString())
	h.must(h.EnsureCollection(h.ctx, vector.Collection{Name: name, Size: size, Distance: d, Fields: fields}))
	h.Cleanup(func() { _ = h.DropCollection(context.WithoutCancel(h.ctx), name) })
	return name
}

func (h *harness) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *harness) is(err, want error) {
	h.Helper()
	if !errors.Is(err, want) {
		h.Errorf("got error %v, want %v", err, want)
	}
}

func (h *harness) count(tenant, name string, f vector.Filter) int {
	h.Helper()
	n, err := h.Count(h.ctx, tenant, name, f)
	h.must(err)
	return n
}

// found is the ids of a search, best first.
func (h *harness) found(tenant, name string, q vector.Query) []vector.ID {
	h.Helper()
	hits, err := h.Search(h.ctx, tenant, name, q)
	h.must(err)
	return idsOf(hits)
}

func idsOf(hits []vector.Hit) []vector.ID {
	var out []vector.ID
	for _, x := range hits {
		out = append(out, x.ID)
	}
	return out
}

func numbers(list ...uint64) (out []vector.ID) {
	for _, n := range list {
		out = append(out, vector.Number(n))
	}
	return out
}

func point(n uint64, v ...float32) vector.Point { return vector.Point{ID: vector.Number(n), Vector: v} }

func testCollections(t *testing.T, h *harness) {
	name := h.collection(3, vector.Cosine, map[string]vector.FieldType{"host": vector.Keyword})
	same := vector.Collection{Name: name, Size: 3, Distance: vector.Cosine, Fields: map[string]vector.FieldType{"host": vector.Keyword}}
	h.must(h.EnsureCollection(h.ctx, same))
	h.must(h.Upsert(h.ctx, tenant, name, []vector.Point{{ID: vector.Number(1), Vector: []float32{1, 0, 0}, Payload: vector.Payload{"host": "a", "n": int64(7)}}}))

	other := same
	other.Size = 4
	h.is(h.EnsureCollection(h.ctx, other), vector.ErrDimension)
	other = same
	other.Distance = vector.Dot
	h.is(h.EnsureCollection(h.ctx, other), vector.ErrMisuse)
	other = same
	other.Fields = map[string]vector.FieldType{"host": vector.Integer}
	h.is(h.EnsureCollection(h.ctx, other), vector.ErrMisuse)

	other.Fields = map[string]vector.FieldType{"n": vector.Integer}
	h.must(h.EnsureCollection(h.ctx, other))
	if n := h.count(tenant, name, vector.Filter{Must: []vector.Condition{vector.Match("n", int64(7)), vector.Match("host", "a")}}); n != 1 {
		t.Errorf("after a field was added %d points fit, want 1", n)
	}
	for _, bad := range []vector.Collection{
		{Name: "../x", Size: 3, Distance: vector.Cosine}, {Name: "", Size: 3, Distance: vector.Cosine}, {Name: "x", Size: 0, Distance: vector.Cosine},
		{Name: "x", Size: vector.MaxSize + 1, Distance: vector.Cosine}, {Name: "x", Size: 3, Distance: "manhattan"},
		{Name: "x", Size: 3, Distance: vector.Cosine, Fields: map[string]vector.FieldType{"tenant": vector.Keyword}},
	} {
		h.is(h.EnsureCollection(h.ctx, bad), vector.ErrMisuse)
	}
	h.must(h.DropCollection(h.ctx, name))
	h.must(h.DropCollection(h.ctx, name))
	absent(h, name)
	h.must(h.EnsureCollection(h.ctx, same))
	if n := h.count(tenant, name, vector.Filter{}); n != 0 {
		t.Errorf("a collection created again has %d points", n)
	}
}

func absent(h *harness, name string) {
	h.Helper()
	one := point(1, 1, 0, 0)
	h.is(h.Upsert(h.ctx, tenant, name, []vector.Point{one}), vector.ErrNotFound)
	_, err := h.Get(h.ctx, tenant, name, numbers(1))
	h.is(err, vector.ErrNotFound)
	h.is(h.Delete(h.ctx, tenant, name, numbers(1)), vector.ErrNotFound)
	h.is(h.DeleteMatching(h.ctx, tenant, name, vector.Filter{}), vector.ErrNotFound)
	_, err = h.Search(h.ctx, tenant, name, vector.Query{Vector: one.Vector, Limit: 1})
	h.is(err, vector.ErrNotFound)
	_, err = h.Count(h.ctx, tenant, name, vector.Filter{})
	h.is(err, vector.ErrNotFound)
	_, err = h.Scroll(h.ctx, tenant, name, vector.Scroll{Limit: 1})
	h.is(err, vector.ErrNotFound)
}

var everything = vector.Payload{
	"text": "Ünïcode\x00\n", "list": []string{"b", "a", "b"}, "none": []string{}, "n": int64(-1 << 53), "zero": int64(0),
	"x": 2.0, "y": -0.25, "yes": true, "no": false, "empty": "",
}

func samePayload(a, b vector.Payload) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if list, ok := v.([]string); ok {
			other, ok := b[k].([]string)
			if !ok || !slices.Equal(list, other) {
				return false
			}
		} else if b[k] != v {
			return false
		}
	}
	return true
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-5*max(1, math.Abs(a), math.Abs(b)) }

func sameVector(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return near(float64(x), float64(y)) })
}

func testPoints(t *testing.T, h *harness) {
	name := h.collection(2, vector.Cosine, map[string]vector.FieldType{"text": vector.Keyword})
	u := vector.UUID(uuid.MustParse("0192f0c1-2d3e-7a4b-8c5d-6e7f80910213"))
	batch := []vector.Point{
		{ID: u, Vector: []float32{3, 4}, Payload: everything},
		{ID: vector.Number(math.MaxUint64), Vector: []float32{0, 1e-6}},
		{ID: vector.Number(5), Vector: []float32{0, -1e6}, Payload: vector.Payload{"text": "five"}},
	}
	h.must(h.Upsert(h.ctx, tenant, name, batch))
	batch[0].Vector[0] = 99 // the caller's to change

	got, err := h.Get(h.ctx, tenant, name, []vector.ID{vector.Number(5), vector.Number(6), u, vector.Number(math.MaxUint64)})
	h.must(err)
	if len(got) != 3 || got[0].ID != vector.Number(5) || got[1].ID != u || got[2].ID != vector.Number(math.MaxUint64) {
		t.Fatalf("got %v", got)
	}
	if !sameVector(got[1].Vector, []float32{0.6, 0.8}) || !sameVector(got[2].Vector, []float32{0, 1}) || !sameVector(got[0].Vector, []float32{0, -1}) {
		t.Errorf("vectors are not of length 1: %v", got)
	}
	if !samePayload(got[1].Payload, everything) {
		t.Errorf("got payload %#v, want %#v", got[1].Payload, everything)
	}
	if len(got[2].Payload) != 0 {
		t.Errorf("a point without payload came back with %v", got[2].Payload)
	}

	h.must(h.Upsert(h.ctx, tenant, name, []vector.Point{{ID: u, Vector: []float32{1, 0}, Payload: vector.Payload{"text": "new"}}}))
	got, err = h.Get(h.ctx, tenant, name, []vector.ID{u})
	h.must(err)
	if len(got) != 1 || !sameVector(got[0].Vector, []float32{1, 0}) || !samePayload(got[0].Payload, vector.Payload{"text": "new"}) {
		t.Errorf("after an update: %v", got)
	}
	if n := h.count(tenant, name, vector.Filter{}); n != 3 {
		t.Errorf("an update made %d points of 3", n)
	}
	hits, err := h.Search(h.ctx, tenant, name, vector.Query{Vector: []float32{1, 0}, Limit: 1, WithPayload: true})
	h.must(err)
	if len(hits) != 1 || hits[0].ID != u || !near(hits[0].Score, 1) || !samePayload(hits[0].Payload, vector.Payload{"text": "new"}) {
		t.Errorf("found %v", hits)
	}
	hits, err = h.Search(h.ctx, tenant, name, vector.Query{Vector: []float32{1, 0}, Limit: 10})
	h.must(err)
	if len(hits) != 3 || hits[0].Payload != nil {
		t.Errorf("found %v, want 3 without payloads", hits)
	}
	h.must(h.Upsert(h.ctx, tenant, name, nil))
	h.must(h.Ready(h.ctx))
}

func testBatch(t *testing.T, h *harness) {
	name := h.collection(2, vector.Dot, nil)
	h.must(h.Upsert(h.ctx, tenant, name, []vector.Point{point(1, 1, 0), point(2, 2, 2), point(1, 0, 5)}))
	got, err := h.Get(h.ctx, tenant, name, numbers(1))
	h.must(err)
	if len(got) != 1 || !sameVector(got[0].Vector, []float32{0, 5}) || h.count(tenant, name, vector.Filter{}) != 2 {
		t.Errorf("got %v", got)
	}
}

func testTenants(t *testing.T, h *harness) {
	name := h.collection(2, vector.Cosine, map[string]vector.FieldType{"k": vector.Keyword})
	const other = "Acme" // differs in case only
	mark := func(who string) vector.Payload { return vector.Payload{"k": "x", "who": who} }
	h.must(h.Upsert(h.ctx, tenant, name, []vector.Point{{ID: vector.Number(1), Vector: []float32{1, 0}, Payload: mark(tenant)}}))
	h.must(h.Upsert(h.ctx, other, name, []vector.Point{
		{ID: vector.Number(1), Vector: []float32{1, 0}, Payload: mark(other)}, {ID: vector.Number(2), Vector: []float32{1, 0.1}, Payload: mark(other)},
	}))
	fits := vector.Filter{Must: []vector.Condition{vector.Match("k", "x")}}
	anyOf := vector.Filter{Should: []vector.Condition{vector.Match("k", "x"), vector.Match("k", "y")}}
	check := func(who string, want int) {
		t.Helper()
		hits, err := h.Search(h.ctx, who, name, vector.Query{Vector: []float32{1, 0}, Limit: 10, Filter: anyOf, WithPayload: true})
		h.must(err)
		for _, x := range hits {
			if x.Payload["who"] != who {
				t.Errorf("%s found %v", who, x)
			}
		}
		got, err := h.Get(h.ctx, who, name, numbers(1, 2))
		h.must(err)
		for _, p := range got {
			if p.Payload["who"] != who {
				t.Errorf("%s got %v", who, p)
			}
		}
		page, err := h.Scroll(h.ctx, who, name, vector.Scroll{Limit: 10})
		h.must(err)
		if n := h.count(who, name, fits); len(hits) != want || len(got) != want || len(page.Points) != want || n != want {
			t.Errorf("%s found %d, got %d, scrolled %d, counted %d, want %d", who, len(hits), len(got), len(page.Points), n, want)
		}
	}
	check(tenant, 1)
	check(other, 2)
	check("acm", 0)
	check("acme2", 0)
	h.must(h.Delete(h.ctx, tenant, name, numbers(2)))
	h.must(h.DeleteMatching(h.ctx, "nobody", name, vector.Filter{}))
	check(other, 2)
	h.must(h.DeleteMatching(h.ctx, other, name, vector.Filter{}))
	check(other, 0)
	check(tenant, 1)
	for _, bad := range []string{"", strings.Repeat("x", vector.MaxTenant+1), "a\xff"} {
		h.is(h.Upsert(h.ctx, bad, name, []vector.Point{point(1, 1, 0)}), vector.ErrMisuse)
		_, err := h.Search(h.ctx, bad, name, vector.Query{Vector: []float32{1, 0}, Limit: 1})
		h.is(err, vector.ErrMisuse)
		_, err = h.Count(h.ctx, bad, name, vector.Filter{})
		h.is(err, vector.ErrMisuse)
		_, err = h.Get(h.ctx, bad, name, numbers(1))
		h.is(err, vector.ErrMisuse)
		h.is(h.DeleteMatching(h.ctx, bad, name, vector.Filter{}), vector.ErrMisuse)
	}
}

func pointer(x float64) *float64 { return &x }

func testFilters(t *testing.T, h *harness) {
	name := h.collection(2, vector.Euclid, map[string]vector.FieldType{
		"host": vector.Keyword, "tags": vector.Keyword, "n": vector.Integer, "x": vector.Float, "yes": vector.Bool,
	})
	at := func(n uint64, p vector.Payload) vector.Point {
		return vector.Point{ID: vector.Number(n), Vector: []float32{float32(n), 1}, Payload: p}
	}
	h.must(h.Upsert(h.ctx, tenant, name, []vector.Point{
		at(1, vector.Payload{"host": "a", "tags": []string{"red", "blue"}, "n": int64(1), "x": 0.5, "yes": true}),
		at(2, vector.Payload{"host": "b", "tags": []string{"blue"}, "n": int64(2), "x": 1.5, "yes": false}),
		at(3, vector.Payload{"host": "a", "tags": "green", "n": int64(3), "x": 2.5}),
		at(4, vector.Payload{"host": "A", "tags": []string{}, "n": int64(1_700_000_000_000_000), "yes": true}),
		at(5, nil),
	}))
	type conditions = []vector.Condition
	for _, c := range []struct {
		name string
		f    vector.Filter
		want []uint64
	}{
		{"none", vector.Filter{}, []uint64{1, 2, 3, 4, 5}},
		{"match", vector.Filter{Must: conditions{vector.Match("host", "a")}}, []uint64{1, 3}},
		{"match nothing", vector.Filter{Must: conditions{vector.Match("host", "never")}}, nil},
		{"match in a list", vector.Filter{Must: conditions{vector.Match("tags", "blue")}}, []uint64{1, 2}},
		{"match one of a single", vector.Filter{Must: conditions{vector.Match("tags", "green")}}, []uint64{3}},
		{"match number", vector.Filter{Must: conditions{vector.Match("n", int64(2))}}, []uint64{2}},
		{"match true", vector.Filter{Must: conditions{vector.Match("yes", true)}}, []uint64{1, 4}},
		{"match false is not absent", vector.Filter{Must: conditions{vector.Match("yes", false)}}, []uint64{2}},
		{"both", vector.Filter{Must: conditions{vector.Match("host", "a"), vector.Match("tags", "red")}}, []uint64{1}},
		{"any", vector.Filter{Must: conditions{vector.AnyOf("host", []string{"b", "A", "never"})}}, []uint64{2, 4}},
		{"any number", vector.Filter{Must: conditions{vector.AnyOf("n", []int64{1, 3})}}, []uint64{1, 3}},
		{"at least", vector.Filter{Must: conditions{vector.AtLeast("n", 2)}}, []uint64{2, 3, 4}},
		{"below", vector.Filter{Must: conditions{vector.Below("n", 2)}}, []uint64{1}},
		{"between", vector.Filter{Must: conditions{{Key: "x", Range: &vector.Range{GT: pointer(0.5), LTE: pointer(2.5)}}}}, []uint64{2, 3}},
		{"edges", vector.Filter{Must: conditions{{Key: "x", Range: &vector.Range{GTE: pointer(0.5), LT: pointer(2.5)}}}}, []uint64{1, 2}},
		{"microseconds", vector.Filter{Must: conditions{vector.AtLeast("n", 1_700_000_000_000_000)}}, []uint64{4}},
		{"past microseconds", vector.Filter{Must: conditions{{Key: "n", Range: &vector.Range{GT: pointer(1_700_000_000_000_000)}}}}, nil},
		{"should", vector.Filter{Should: conditions{vector.Match("host", "b"), vector.Match("tags", "red")}}, []uint64{1, 2}},
		{"must and should", vector.Filter{Must: conditions{vector.Match("host", "a")}, Should: conditions{vector.Match("n", int64(3)), vector.Match("n", int64(2))}}, []uint64{3}},
		{"must not", vector.Filter{MustNot: conditions{vector.Match("host", "a")}}, []uint64{2, 4, 5}},
		{"neither", vector.Filter{MustNot: conditions{vector.Match("host", "a"), vector.Match("yes", true)}}, []uint64{2, 5}},
		{"all three", vector.Filter{
			Must: conditions{vector.AtLeast("n", 1)}, Should: conditions{vector.Match("tags", "blue"), vector.Match("host", "A")},
			MustNot: conditions{vector.Match("yes", false)},
		}, []uint64{1, 4}},
	} {
		want := numbers(c.want...)
		if got := h.found(tenant, name, vector.Query{Vector: []float32{0, 1}, Limit: 10, Filter: c.f}); !slices.Equal(got, want) {
			t.Errorf("%s: found %v, want %v", c.name, got, want)
		}
		if n := h.count(tenant, name, c.f); n != len(want) {
			t.Errorf("%s: counted %d, want %d", c.name, n, len(want))
		}
		page, err := h.Scroll(h.ctx, tenant, name, vector.Scroll{Filter: c.f, Limit: 10})
		h.must(err)
		if len(page.Points) != len(want) || page.Next != "" {
			t.Errorf("%s: scrolled %d and %q, want %d", c.name, len(page.Points), page.Next, len(want))
		}
	}
}

// testNewWords has batches bring words that no point had: an engine may take in the points of a batch
// side by side, and each word must still find its own points and no others.
func testNewWords(t *testing.T, h *harness) {
	const words, each = 8, 32
	for range 20 {
		name := h.collection(2, vector.Dot, map[string]vector.FieldType{"host": vector.Keyword})
		var batch []vector.Point
		for n := range uint64(words * each) {
			batch = append(batch, vector.Point{ID: vector.Number(n), Vector: []float32{1, 2}, Payload: vector.Payload{"host": fmt.Sprint("host-", n/each)}})
		}
		h.must(h.Upsert(h.ctx, tenant, name, batch))
		for n := range words {
			f := vector.Filter{Must: []vector.Condition{vector.Match("host", fmt.Sprint("host-", n))}}
			if got := h.count(tenant, name, f); got != each {
				t.Fatalf("%d points have the word of %d", got, each)
			}
		}
	}
}

func testDistances(t *testing.T, h *harness) {
	points := []vector.Point{point(1, 1, 0), point(2, 2, 2), point(3, -4, 0), point(4, 0, 0.5)}
	root := math.Sqrt2 / 2
	for _, c := range []struct {
		distance  vector.Distance
		want      []uint64
		scores    []float64
		threshold float64
		above     int
	}{
		{vector.Cosine, []uint64{1, 2, 4, 3}, []float64{1, root, 0, -1}, 0.5, 2},
		{vector.Dot, []uint64{2, 1, 4, 3}, []float64{4, 2, 0, -8}, -0.5, 3},
		{vector.Euclid, []uint64{1, 2, 4, 3}, []float64{1, 2, math.Sqrt(4.25), 6}, 2.01, 2},
	} {
		t.Run(string(c.distance), func(t *testing.T) {
			name := h.collection(2, c.distance, nil)
			h.must(h.Upsert(h.ctx, tenant, name, points))
			hits, err := h.Search(h.ctx, tenant, name, vector.Query{Vector: []float32{2, 0}, Limit: 10})
			h.must(err)
			if !slices.Equal(idsOf(hits), numbers(c.want...)) {
				t.Fatalf("found %v", hits)
			}
			for i := range hits {
				if !near(hits[i].Score, c.scores[i]) {
					t.Errorf("score of %v is %v, want %v", hits[i].ID, hits[i].Score, c.scores[i])
				}
			}
			if got := h.found(tenant, name, vector.Query{Vector: []float32{2, 0}, Limit: 2}); !slices.Equal(got, numbers(c.want[:2]...)) {
				t.Errorf("the best two are %v", got)
			}
			got := h.found(tenant, name, vector.Query{Vector: []float32{2, 0}, Limit: 10, Threshold: &c.threshold})
			if !slices.Equal(got, numbers(c.want[:c.above]...)) {
				t.Errorf("within the threshold are %v, want %v", got, c.want[:c.above])
			}
			if got := h.found(tenant, name, vector.Query{Vector: []float32{2, 0}, Limit: 1, Threshold: &c.threshold}); len(got) != 1 {
				t.Errorf("the best within the threshold is %v", got)
			}
		})
	}
}

func testTies(t *testing.T, h *harness) {
	name := h.collection(3, vector.Cosine, nil)
	low, high := uuid.MustParse("00000000-0000-4000-8000-000000000001"), uuid.MustParse("f0000000-0000-4000-8000-000000000001")
	same := []float32{1, 2, 3}
	ids := []vector.ID{vector.UUID(high), vector.Number(1 << 40), vector.UUID(low), vector.Number(3), vector.Number(20)}
	var batch []vector.Point
	for _, id := range ids {
		batch = append(batch, vector.Point{ID: id, Vector: same})
	}
	batch = append(batch, point(1, 1, 2, 2.9))
	h.must(h.Upsert(h.ctx, tenant, name, batch))
	want := []vector.ID{vector.Number(3), vector.Number(20), vector.Number(1 << 40), vector.UUID(low), vector.UUID(high), vector.Number(1)}
	if got := h.found(tenant, name, vector.Query{Vector: same, Limit: 10}); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

func testRefusals(t *testing.T, h *harness) {
	name := h.collection(2, vector.Euclid, map[string]vector.FieldType{"host": vector.Keyword, "n": vector.Integer})
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	good := point(9, 1, 1)
	for what, v := range map[string][]float32{"NaN": {nan, 1}, "infinity": {1, inf}, "minus infinity": {-inf, 0}, "zero": {0, 0}, "overflow": {3e38, 3e38}} {
		if err := h.Upsert(h.ctx, tenant, name, []vector.Point{good, point(1, v...)}); !errors.Is(err, vector.ErrMisuse) {
			t.Errorf("upsert of %s: %v", what, err)
		}
		if _, err := h.Search(h.ctx, tenant, name, vector.Query{Vector: v, Limit: 1}); !errors.Is(err, vector.ErrMisuse) {
			t.Errorf("search of %s: %v", what, err)
		}
	}
	for _, v := range [][]float32{nil, {1}, {1, 2, 3}} {
		h.is(h.Upsert(h.ctx, tenant, name, []vector.Point{good, point(1, v...)}), vector.ErrDimension)
		_, err := h.Search(h.ctx, tenant, name, vector.Query{Vector: v, Limit: 1})
		h.is(err, vector.ErrDimension)
	}
	for what, p := range map[string]vector.Payload{
		"tenant": {vector.KeyTenant: "other"}, "point id": {vector.KeyID: "1"}, "type": {"v": struct{}{}}, "int": {"v": 1}, "wrong type": {"host": int64(1)},
		"key": {"a.b": "c"}, "NaN": {"v": math.NaN()}, "UTF-8": {"v": "\xff"}, "long": {"v": strings.Repeat("x", vector.MaxPayloadBytes)},
	} {
		err := h.Upsert(h.ctx, tenant, name, []vector.Point{good, {ID: vector.Number(1), Vector: []float32{1, 0}, Payload: p}})
		if !errors.Is(err, vector.ErrMisuse) {
			t.Errorf("payload with a bad %s: %v", what, err)
		}
	}
	h.is(h.Upsert(h.ctx, tenant, name, []vector.Point{{Vector: []float32{1, 0}}}), vector.ErrMisuse)
	h.is(h.Upsert(h.ctx, tenant, name, slices.Repeat([]vector.Point{good}, vector.MaxBatch+1)), vector.ErrMisuse)
	for what, k := range map[string]vector.Condition{
		"unknown field": vector.Match("nope", "x"), "type": vector.Match("host", int64(1)), "range of a word": vector.AtLeast("host", 1),
		"nothing": {Key: "host"}, "two": {Key: "host", Match: "a", Any: []string{"b"}}, "empty any": vector.AnyOf("host", []string{}),
		"tenant": vector.Match(vector.KeyTenant, "other"), "NaN": vector.AtLeast("n", math.NaN()),
	} {
		f := vector.Filter{Should: []vector.Condition{k}}
		if _, err := h.Search(h.ctx, tenant, name, vector.Query{Vector: good.Vector, Limit: 1, Filter: f}); !errors.Is(err, vector.ErrMisuse) {
			t.Errorf("search with a bad condition, %s: %v", what, err)
		}
		if err := h.DeleteMatching(h.ctx, tenant, name, f); !errors.Is(err, vector.ErrMisuse) {
			t.Errorf("delete with a bad condition, %s: %v", what, err)
		}
	}
	for _, limit := range []int{0, -1, vector.MaxLimit + 1} {
		_, err := h.Search(h.ctx, tenant, name, vector.Query{Vector: good.Vector, Limit: limit})
		h.is(err, vector.ErrMisuse)
		_, err = h.Scroll(h.ctx, tenant, name, vector.Scroll{Limit: limit})
		h.is(err, vector.ErrMisuse)
	}
	_, err := h.Scroll(h.ctx, tenant, name, vector.Scroll{Limit: 1, After: "nonsense"})
	h.is(err, vector.ErrMisuse)
	if n := h.count(tenant, name, vector.Filter{}); n != 0 {
		t.Errorf("%d points of refused batches were stored", n)
	}
}

func testDeletes(t *testing.T, h *harness) {
	name := h.collection(2, vector.Dot, map[string]vector.FieldType{"host": vector.Keyword})
	var batch []vector.Point
	for n := range uint64(9) {
		batch = append(batch, vector.Point{ID: vector.Number(n), Vector: []float32{1, float32(n)}, Payload: vector.Payload{"host": string(rune('a' + n%3))}})
	}
	h.must(h.Upsert(h.ctx, tenant, name, batch))
	h.must(h.Delete(h.ctx, tenant, name, numbers(8, 8, 77)))
	h.must(h.Delete(h.ctx, tenant, name, numbers(8)))
	h.must(h.DeleteMatching(h.ctx, tenant, name, vector.Filter{Must: []vector.Condition{vector.Match("host", "a")}}))
	want := numbers(7, 5, 4, 2, 1)
	if got := h.found(tenant, name, vector.Query{Vector: []float32{0, 1}, Limit: 10}); !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v", got, want)
	}
	got, err := h.Get(h.ctx, tenant, name, numbers(8, 0))
	h.must(err)
	if len(got) != 0 || h.count(tenant, name, vector.Filter{}) != 5 {
		t.Errorf("deleted points came back: %v", got)
	}
	h.must(h.Upsert(h.ctx, tenant, name, []vector.Point{point(8, 1, 8)}))
	if got := h.found(tenant, name, vector.Query{Vector: []float32{0, 1}, Limit: 1}); !slices.Equal(got, numbers(8)) {
		t.Errorf("a point stored again is not found: %v", got)
	}
	h.must(h.DeleteMatching(h.ctx, tenant, name, vector.Filter{}))
	if n := h.count(tenant, name, vector.Filter{}); n != 0 {
		t.Errorf("%d points are left", n)
	}
}

func testScroll(t *testing.T, h *harness) {
	name := h.collection(2, vector.Cosine, map[string]vector.FieldType{"n": vector.Integer})
	var batch []vector.Point
	for n := range uint64(57) {
		batch = append(batch, vector.Point{ID: vector.Number(n), Vector: []float32{1, float32(n)}, Payload: vector.Payload{"n": int64(n)}})
	}
	h.must(h.Upsert(h.ctx, tenant, name, batch))
	h.must(h.Upsert(h.ctx, "other", name, batch))
	for _, limit := range []int{1, 10, 50, 100} {
		seen := map[vector.ID]bool{}
		s := vector.Scroll{Limit: limit, Filter: vector.Filter{Must: []vector.Condition{vector.AtLeast("n", 7)}}, WithVectors: limit == 10}
		for {
			page, err := h.Scroll(h.ctx, tenant, name, s)
			h.must(err)
			for _, p := range page.Points {
				if seen[p.ID] || (len(p.Vector) > 0) != s.WithVectors || p.Payload["n"] == nil {
					t.Fatalf("point %v seen %v", p, seen[p.ID])
				}
				seen[p.ID] = true
			}
			if page.Next == "" {
				break
			}
			if len(page.Points) != limit {
				t.Fatalf("a page has %d points of %d", len(page.Points), limit)
			}
			s.After = page.Next
		}
		if len(seen) != 50 {
			t.Errorf("pages of %d showed %d points, want 50", limit, len(seen))
		}
	}
}

// clustered returns n vectors around some centres, as embeddings of incidents lie.
func clustered(r *rand.Rand, n, size, centres int) [][]float32 {
	random := func(scale float64) []float32 {
		v := make([]float32, size)
		for i := range v {
			v[i] = float32(scale * r.NormFloat64())
		}
		return v
	}
	middle := make([][]float32, centres)
	for i := range middle {
		middle[i] = random(1)
	}
	out := make([][]float32, n)
	for i := range out {
		v := random(0.7)
		for j, x := range middle[r.IntN(centres)] {
			v[j] += x
		}
		out[i] = v
	}
	return out
}

func testRecall(t *testing.T, h *harness) {
	const (
		n, limit = 10_000, 10
		asked    = 30
	)
	for _, c := range []vector.Collection{{Distance: vector.Cosine, Size: 640}, {Distance: vector.Euclid, Size: 96}, {Distance: vector.Dot, Size: 33}} {
		t.Run(string(c.Distance), func(t *testing.T) {
			distance, size := c.Distance, c.Size
			r := rand.New(rand.NewPCG(1, 2))
			name := h.collection(size, distance, map[string]vector.FieldType{"half": vector.Bool})
			all := clustered(r, n+asked, size, 60)
			for from := 0; from < n; from += vector.MaxBatch {
				var batch []vector.Point
				for i := from; i < min(n, from+vector.MaxBatch); i++ {
					batch = append(batch, vector.Point{ID: vector.Number(uint64(i)), Vector: all[i], Payload: vector.Payload{"half": i%2 == 0}})
				}
				h.must(h.Upsert(h.ctx, tenant, name, batch))
			}
			missed := 0
			for i := range asked {
				q := vector.Query{Vector: all[n+i], Limit: limit}
				only := i%3 == 0
				if only {
					q.Filter.Must = []vector.Condition{vector.Match("half", true)}
				}
				hits, err := h.Search(h.ctx, tenant, name, q)
				h.must(err)
				best := oracle(&c, all[:n], q.Vector, limit, func(i int) bool { return !only || i%2 == 0 })
				if len(hits) != limit {
					t.Fatalf("found %d", len(hits))
				}
				for k := range hits {
					if !near(hits[k].Score, best[k]) {
						missed++
					}
				}
			}
			allowed := 0
			if h.subject.Approximate {
				allowed = asked * limit / 20
			}
			if missed > allowed {
				t.Errorf("%d of %d results are not the nearest, %d allowed", missed, asked*limit, allowed)
			}
		})
	}
}

// oracle is the scores of the nearest, best first, by comparing with every vector.
func oracle(c *vector.Collection, all [][]float32, q []float32, limit int, fits func(int) bool) []float64 {
	q = c.Prepared(q)
	var scores []float64
	for i := range all {
		if !fits(i) {
			continue
		}
		x := c.Prepared(all[i])
		var dot, squares float64
		for j := range x {
			dot += float64(x[j]) * float64(q[j])
			d := float64(x[j]) - float64(q[j])
			squares += d * d
		}
		if c.Distance == vector.Euclid {
			dot = math.Sqrt(squares)
		}
		scores = append(scores, dot)
	}
	slices.SortFunc(scores, c.Distance.Nearer)
	return scores[:limit]
}

// testConcurrency updates points of which vector and payload must always agree while they are read.
func testConcurrency(t *testing.T, h *harness) {
	const points, rounds, readers = 40, 25, 3
	name := h.collection(2, vector.Dot, map[string]vector.FieldType{"round": vector.Integer})
	write := func(round int) error {
		var batch []vector.Point
		for n := range uint64(points) {
			batch = append(batch, vector.Point{ID: vector.Number(n), Vector: []float32{float32(round + 1), 1}, Payload: vector.Payload{"round": int64(round)}})
		}
		return h.Upsert(h.ctx, tenant, name, batch)
	}
	h.must(write(0))
	ctx, done := context.WithCancel(h.ctx)
	errs := make(chan error, readers+1)
	go func() {
		defer done()
		for round := 1; round <= rounds; round++ {
			if err := write(round); err != nil {
				errs <- err
				return
			}
		}
		errs <- nil
	}()
	for range readers {
		go func() {
			for ctx.Err() == nil {
				hits, err := h.Search(h.ctx, tenant, name, vector.Query{Vector: []float32{1, 0}, Limit: points, WithPayload: true})
				if err != nil {
					errs <- err
					return
				}
				for _, x := range hits {
					if round, _ := x.Payload["round"].(int64); x.Score != float64(round+1) {
						errs <- fmt.Errorf("score %v with the payload of round %d", x.Score, round)
						return
					}
				}
				if len(hits) != points {
					errs <- fmt.Errorf("%d points of %d are seen", len(hits), points)
					return
				}
			}
			errs <- nil
		}()
	}
	for range readers + 1 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := h.count(tenant, name, vector.Filter{Must: []vector.Condition{vector.Match("round", int64(rounds))}}); n != points {
		t.Errorf("%d points are of the last round, want %d", n, points)
	}
}

func testReopen(t *testing.T, h *harness) {
	name := h.collection(2, vector.Cosine, map[string]vector.FieldType{"host": vector.Keyword})
	for n := range uint64(5) {
		h.must(h.Upsert(h.ctx, tenant, name, []vector.Point{{ID: vector.Number(n), Vector: []float32{1, float32(n)}, Payload: vector.Payload{"host": fmt.Sprint("h", n)}}}))
	}
	h.must(h.Delete(h.ctx, tenant, name, numbers(3)))
	h.must(h.Upsert(h.ctx, tenant, name, []vector.Point{{ID: vector.Number(1), Vector: []float32{0, 1}, Payload: vector.Payload{"host": "new"}}}))
	h.must(h.Close())
	h.Engine = h.subject.Open(t)
	if got, want := h.found(tenant, name, vector.Query{Vector: []float32{0, 1}, Limit: 9}), numbers(1, 4, 2, 0); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	if n := h.count(tenant, name, vector.Filter{Must: []vector.Condition{vector.Match("host", "new")}}); n != 1 {
		t.Errorf("%d points have the new payload", n)
	}
	h.is(h.EnsureCollection(h.ctx, vector.Collection{Name: name, Size: 3, Distance: vector.Cosine}), vector.ErrDimension)
	h.is(h.Upsert(h.ctx, tenant, name, []vector.Point{{ID: vector.Number(1), Vector: []float32{1, 0}, Payload: vector.Payload{"host": true}}}), vector.ErrMisuse)
}

func testClosed(t *testing.T, h *harness) {
	name := h.collection(2, vector.Cosine, nil)
	h.must(h.Upsert(h.ctx, tenant, name, []vector.Point{point(1, 1, 0)}))
	h.must(h.Close())
	h.must(h.Close())
	h.is(h.Upsert(h.ctx, tenant, name, []vector.Point{point(1, 1, 0)}), vector.ErrUnavailable)
	_, err := h.Search(h.ctx, tenant, name, vector.Query{Vector: []float32{1, 0}, Limit: 1})
	h.is(err, vector.ErrUnavailable)
	h.is(h.Ready(h.ctx), vector.ErrUnavailable)
	h.is(h.EnsureCollection(h.ctx, vector.Collection{Name: name, Size: 2, Distance: vector.Cosine}), vector.ErrUnavailable)
	h.Engine = h.subject.Open(t) // what was created is dropped
}
