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

// A search is exact and has two passes. The first holds the query against the quantised vectors,
// on all processors, and keeps what may be among the nearest by the bounds that quantising gives:
// everything whose upper bound reaches the limit-th best lower bound. The second reads those few
// vectors from the log, best upper bound first, and ends when no upper bound reaches the limit-th
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

// scan holds the query against one chunk.
func (s *sieve) scan(v *view, f *filter, n, stride int) {
	c := v.chunks[n]
	floor := s.floor()
	var (
		found [chunkSlots]candidate
		lows  [chunkSlots]float64
		count int
	)
	for slot := range v.slots(n) {
		if !v.sees(c, slot) || !f.fits(c, slot) {
			continue
		}
		low, high := s.q.bounds(c.code(slot, stride), c.scale[slot], c.lost[slot], c.length[slot])
		if high >= floor {
			found[count], lows[count] = candidate{c, slot, high}, low
			count++
		}
	}
	if count > 0 {
		s.take(found[:count], lows[:count])
	}
}

// maxKept is how many candidates are kept before those that fell below the floor are let go.
const maxKept = 4096

func (s *sieve) take(found []candidate, lows []float64) {
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
	pass := &sieve{q: ask, limit: q.Limit, best: smallest{n: q.Limit}}
	least := ask.least(q.Threshold)
	pass.least.Store(math.Float64bits(least - rounding*math.Abs(least)))
	test := compile(&q.Filter, d.fields)
	err := parallel.For(len(v.chunks), func(n int) error {
		pass.scan(&v, &test, n, s.stride)
		return ctx.Err()
	})
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
