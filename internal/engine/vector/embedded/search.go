package embedded

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/aluskort/aluskort/internal/engine/vector"
	"github.com/aluskort/aluskort/internal/parallel"
)

// A search is exact and narrows down in steps, on all processors. The query is held against the
// first half of the quantised vectors, then against the other half of those that it leaves among
// the nearest whatever stands there. What may be among the nearest by the bounds that quantising
// gives is kept: everything whose upper bound reaches the limit-th best lower bound. Those few
// vectors are read from the log, best upper bound first, until no upper bound reaches the limit-th
// best exact score.

// candidate may be among the nearest.
type candidate struct {
	c    *chunk
	slot int
	high float64
}

// sieve is the state of a first pass.
type sieve struct {
	q     *question
	limit int
	// fronts has a place for each chunk, written by who looks at it first.
	fronts []*front
	// least is the limit-th best lower bound so far, as bits; what is below it is out.
	least atomic.Uint64

	mu   sync.Mutex
	best smallest
	kept []candidate
}

// smallest keeps the highest n numbers; the first is the lowest of them.
type smallest struct {
	n    int
	heap []float64
}

func (h *smallest) full() bool { return len(h.heap) == h.n }

// add takes a number when it is among the highest n.
func (h *smallest) add(x float64) {
	if !h.full() {
		h.heap = append(h.heap, x)
		for i := len(h.heap) - 1; i > 0; {
			up := (i - 1) / 2
			if h.heap[up] <= h.heap[i] {
				break
			}
			h.heap[up], h.heap[i] = h.heap[i], h.heap[up]
			i = up
		}
		return
	}
	if x <= h.heap[0] {
		return
	}
	h.heap[0] = x
	for i := 0; ; {
		low := 2*i + 1
		if low+1 < len(h.heap) && h.heap[low+1] < h.heap[low] {
			low++
		}
		if low >= len(h.heap) || h.heap[i] <= h.heap[low] {
			break
		}
		h.heap[low], h.heap[i] = h.heap[i], h.heap[low]
		i = low
	}
}

func (s *sieve) floor() float64 { return math.Float64frombits(s.least.Load()) }

// seedsOfChunk is how many points of each chunk are held against the query in full at once, those whose
// front fits best: some of them are among the nearest and raise the floor for all others.
const seedsOfChunk = 4

// front is what the first look at a chunk found: the products of the front of the slots that count.
type front struct {
	product [chunkSlots]int32
	open    [chunkSlots]bool
}

// first looks at the front of the points of a chunk.
func (s *sieve) first(v *view, f *filter, n int) {
	c := v.chunks[n]
	look := &front{}
	var (
		best  [seedsOfChunk]int
		worth [seedsOfChunk]float64
		found int
	)
	ask := s.q.codes[:s.q.front]
	for slot := range v.slots(n) {
		if !v.sees(c, slot) || !f.fits(c, slot) {
			continue
		}
		look.product[slot], look.open[slot] = dot(c.frontCode(slot, s.q.front), ask), true
		w := s.q.ceiling(look.product[slot], c.scale[slot], c.lost[slot], 0, c.length[slot])
		if found == seedsOfChunk && w <= worth[seedsOfChunk-1] {
			continue
		}
		at := min(found, seedsOfChunk-1)
		for ; at > 0 && worth[at-1] < w; at-- {
			best[at], worth[at] = best[at-1], worth[at-1]
		}
		best[at], worth[at] = slot, w
		found = min(found+1, seedsOfChunk)
	}
	if found == 0 {
		return
	}
	s.fronts[n] = look
	var t taken
	for _, slot := range best[:found] {
		look.open[slot] = false
		t.add(s, c, slot, look.product[slot])
	}
	s.take(&t)
}

// second looks at the rest of those that may still be among the nearest.
func (s *sieve) second(v *view, n int) {
	look := s.fronts[n]
	if look == nil {
		return
	}
	c, floor := v.chunks[n], s.floor()
	var t taken
	for slot := range v.slots(n) {
		if look.open[slot] && s.q.ceiling(look.product[slot], c.scale[slot], c.lost[slot], c.tail[slot], c.length[slot]) >= floor {
			t.add(s, c, slot, look.product[slot])
		}
	}
	s.take(&t)
}

// taken are candidates of one chunk with their lower bounds.
type taken struct {
	list [chunkSlots]candidate
	lows [chunkSlots]float64
	n    int
}

// add holds the rest of a point against the query.
func (t *taken) add(s *sieve, c *chunk, slot int, product int32) {
	if rest := s.q.codes[s.q.front:]; len(rest) > 0 {
		product += dot(c.rearCode(slot, len(rest)), rest)
	}
	low, high := s.q.bounds(product, c.scale[slot], c.lost[slot], c.length[slot])
	t.list[t.n], t.lows[t.n] = candidate{c, slot, high}, low
	t.n++
}

// maxKept is how many candidates are kept before those that fell below the floor are let go.
const maxKept = 4096

func (s *sieve) take(t *taken) {
	if t.n == 0 {
		return
	}
	found, lows := t.list[:t.n], t.lows[:t.n]
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, low := range lows {
		s.best.add(low)
	}
	floor := s.floor()
	if s.best.full() && s.best.heap[0] > floor {
		floor = s.best.heap[0]
		s.least.Store(math.Float64bits(floor))
	}
	below := func(c candidate) bool { return c.high < floor }
	for _, c := range found {
		if !below(c) {
			s.kept = append(s.kept, c)
		}
	}
	if len(s.kept) > maxKept && len(s.kept) > 2*s.limit {
		s.kept = slices.DeleteFunc(s.kept, below)
	}
}

func (s *shard) search(ctx context.Context, q *vector.Query) ([]vector.Hit, error) {
	d, v := s.acquire()
	defer d.release()
	ask := newQuestion(s.meta, q.Vector)
	pass := &sieve{q: ask, limit: q.Limit, best: smallest{n: q.Limit}, fronts: make([]*front, len(v.chunks))}
	least := ask.least(q.Threshold)
	pass.least.Store(math.Float64bits(least - rounding*math.Abs(least)))
	test := compile(&q.Filter, d.fields)
	err := parallel.For(len(v.chunks), func(n int) error {
		pass.first(&v, &test, n)
		return ctx.Err()
	})
	if err == nil {
		err = parallel.For(len(v.chunks), func(n int) error {
			pass.second(&v, n)
			return ctx.Err()
		})
	}
	if err != nil {
		return nil, ctx.Err()
	}
	return s.settle(ctx, d, pass, q)
}

// settle reads the exact vectors of the candidates and returns the nearest.
func (s *shard) settle(ctx context.Context, d *data, pass *sieve, q *vector.Query) ([]vector.Hit, error) {
	slices.SortFunc(pass.kept, func(a, b candidate) int { return cmp.Compare(b.high, a.high) })
	type place struct {
		candidate
		rank, score float64
	}
	better := func(a, b place) int {
		return cmp.Or(s.meta.Distance.Nearer(a.score, b.score), a.c.ids[a.slot].Compare(b.c.ids[b.slot]))
	}
	var (
		list  []place
		ranks = smallest{n: q.Limit}
		known = map[digest]float64{} // many incidents have the same vector
		buf   = make([]byte, 4*s.meta.Size)
		exact = make([]float32, s.meta.Size)
	)
	for _, c := range pass.kept {
		if ranks.full() && c.high < ranks.heap[0] {
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		sum := c.c.digest[c.slot]
		rank, ok := known[sum]
		if !ok {
			if err := s.readVector(d, c, buf, exact); err != nil {
				return nil, err
			}
			rank = pass.q.rank(exact)
			known[sum] = rank
		}
		p := place{c, rank, pass.q.score(rank)}
		if q.Threshold != nil && s.meta.Distance.Nearer(*q.Threshold, p.score) < 0 {
			continue
		}
		ranks.add(rank)
		list = append(list, p)
	}
	slices.SortFunc(list, better)
	out := make([]vector.Hit, 0, min(len(list), q.Limit))
	for _, p := range list[:min(len(list), q.Limit)] {
		point, err := s.read(d, p.c, p.slot, false, q.WithPayload)
		if err != nil {
			return nil, err
		}
		out = append(out, vector.Hit{ID: point.ID, Score: p.score, Payload: point.Payload})
	}
	return out, nil
}

func (s *shard) readVector(d *data, c candidate, buf []byte, into []float32) error {
	if _, err := d.f.ReadAt(buf, c.c.at[c.slot]+int64(c.c.payload[c.slot])); err != nil {
		return unavailable("read "+s.dir, err)
	}
	if d.seeds.of(buf) != c.c.digest[c.slot] {
		return unavailable("read "+s.dir, ErrDamaged)
	}
	readVector(buf, into)
	return nil
}
