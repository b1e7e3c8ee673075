package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/aluskort/aluskort/internal/engine/vector"
	"github.com/aluskort/aluskort/internal/parallel"
)

// shard is one tenant of one collection: a log and what is kept in memory of it.
type shard struct {
	dir    string
	meta   *vector.Collection
	log    *slog.Logger
	stride int

	write sync.Mutex // one writer
	// broken is why nothing can be written any more; guarded by write.
	broken error

	mu  sync.RWMutex // guards what follows
	now *data
}

// data is an open log with its points. Readers hold it while they read; the last one closes the
// file of one that was replaced.
type data struct {
	f      file
	number int
	end    int64
	fields []field
	seeds  seeds
	refs   atomic.Int64

	// index and view change together under shard.mu, by the writer only.
	index map[vector.ID]int
	view  view
}

func (d *data) release() {
	if d.refs.Add(-1) == 0 {
		_ = d.f.Close() // nothing is written through it any more
	}
}

// acquire returns the present data with its view. The caller releases it.
func (s *shard) acquire() (*data, view) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.now.refs.Add(1)
	return s.now, s.now.view
}

// commit makes operations durable and visible, all at once.
func (s *shard) commit(ops []op) error {
	if len(ops) == 0 {
		return nil
	}
	if s.broken != nil {
		return s.broken
	}
	d := s.now // only the writer replaces it
	frame := appendFrame(nil, ops, d.end)
	if err := s.append(d, frame); err != nil {
		return err
	}
	d.end += int64(len(frame))
	s.apply(d, ops)
	return nil
}

// append writes and syncs. After a failure the log ends where it did; when even that cannot be
// had, or the sync failed and nobody knows what is on the disk, the shard takes no more writes.
func (s *shard) append(d *data, frame []byte) error {
	_, err := d.f.WriteAt(frame, d.end)
	if err != nil {
		if again := d.f.Truncate(d.end); again != nil {
			s.broken = unavailable("truncate "+s.dir+" after a failed write", again)
		}
		return unavailable("write "+s.dir, err)
	}
	if err := d.f.Sync(); err != nil {
		s.broken = unavailable("an earlier sync of "+s.dir+" failed", err)
		_ = d.f.Truncate(d.end) // what was not acknowledged should not come back, if it can be helped
		return unavailable("sync "+s.dir, err)
	}
	return nil
}

// apply puts operations into memory and shows them.
func (s *shard) apply(d *data, ops []op) {
	next := d.view
	next.seq++
	first := next.n
	var puts []*op
	for i := range ops {
		if ops[i].kind == opPut {
			puts = append(puts, &ops[i])
		}
	}
	for len(next.chunks)*chunkSlots < first+len(puts) {
		next.chunks = append(slices.Clip(next.chunks), newChunk(s.stride, d.fields))
	}
	_ = parallel.For(len(puts), func(i int) error {
		s.fill(d, next.chunks[(first+i)/chunkSlots], (first+i)%chunkSlots, puts[i])
		return nil
	})
	next.n += len(puts)
	s.mu.Lock()
	defer s.mu.Unlock()
	put := first
	for i := range ops {
		id := ops[i].id
		if old, ok := d.index[id]; ok {
			next.chunks[old/chunkSlots].died[old%chunkSlots].Store(next.seq)
			next.live--
			delete(d.index, id)
		}
		if ops[i].kind == opPut {
			d.index[id] = put
			next.live++
			put++
		}
	}
	d.view = next
}

func (s *shard) fill(d *data, c *chunk, slot int, o *op) {
	v := make([]float32, s.meta.Size)
	readVector(o.raw, v)
	codes, front := make([]int8, s.stride), frontOf(s.stride)
	c.scale[slot], c.lost[slot] = quantise(v, codes)
	copy(c.frontCode(slot, front), codes)
	copy(c.rearCode(slot, s.stride-front), codes[front:])
	c.tail[slot] = up(lengthOf(codes[front:], float64(c.scale[slot])))
	c.length[slot] = vector.Length(v)
	c.ids[slot], c.at[slot], c.payload[slot] = o.id, o.at, uint32(len(o.payload))
	c.digest[slot] = d.seeds.of(o.raw)
	if p, err := decodePayload(o.payload); err == nil { // reading the point reports it
		c.setFields(slot, d.fields, p)
	}
}

func (s *shard) upsert(points []vector.Point) error {
	last := make(map[vector.ID]int, len(points))
	for i := range points {
		last[points[i].ID] = i
	}
	ops := make([]op, 0, len(points))
	for i := range points {
		p := &points[i]
		if last[p.ID] == i {
			ops = append(ops, op{kind: opPut, id: p.ID, payload: appendPayload(nil, p.Payload), vector: s.meta.Prepared(p.Vector)})
		}
	}
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.commit(ops); err != nil {
		return err
	}
	s.compactIfWorth()
	return nil
}

func (s *shard) remove(ids []vector.ID) error {
	s.write.Lock()
	defer s.write.Unlock()
	return s.removeHeld(slices.Values(ids))
}

func (s *shard) removeMatching(f *vector.Filter) error {
	s.write.Lock()
	defer s.write.Unlock()
	d, v := s.acquire()
	defer d.release()
	test := compile(f, d.fields)
	return s.removeHeld(func(yield func(vector.ID) bool) {
		v.each(&test, func(c *chunk, slot int) bool { return yield(c.ids[slot]) })
	})
}

func (s *shard) removeHeld(ids func(func(vector.ID) bool)) error {
	var ops []op
	seen := map[vector.ID]bool{}
	for id := range ids {
		if _, ok := s.now.index[id]; ok && !seen[id] {
			seen[id] = true
			ops = append(ops, op{kind: opDelete, id: id})
		}
	}
	if err := s.commit(ops); err != nil {
		return err
	}
	s.compactIfWorth()
	return nil
}

// read returns a point from the log. With raw, its vector comes too.
func (s *shard) read(d *data, c *chunk, slot int, withVector, withPayload bool) (p vector.Point, err error) {
	p.ID = c.ids[slot]
	n := int(c.payload[slot])
	from, to := 0, n
	if withVector {
		to = n + 4*s.meta.Size
		if !withPayload {
			from = n
		}
	}
	buf := make([]byte, to-from)
	if len(buf) == 0 {
		return p, nil
	}
	if _, err := d.f.ReadAt(buf, c.at[slot]+int64(from)); err != nil {
		return p, unavailable("read "+s.dir, err)
	}
	if withVector {
		raw := buf[n-from:]
		if d.seeds.of(raw) != c.digest[slot] {
			return p, unavailable("read "+s.dir, fmt.Errorf("%w: vector of point %s", ErrDamaged, p.ID))
		}
		p.Vector = make([]float32, s.meta.Size)
		readVector(raw, p.Vector)
	}
	if withPayload {
		if p.Payload, err = decodePayload(buf[:n]); err != nil {
			return p, unavailable("read "+s.dir, fmt.Errorf("%w: %w of point %s", ErrDamaged, err, p.ID))
		}
	}
	return p, nil
}

func (s *shard) get(ctx context.Context, ids []vector.ID) ([]vector.Point, error) {
	s.mu.RLock()
	d, v := s.now, s.now.view
	d.refs.Add(1)
	var slots []int
	for _, id := range ids {
		if at, ok := d.index[id]; ok {
			slots = append(slots, at)
		}
	}
	s.mu.RUnlock()
	defer d.release()
	var out []vector.Point
	for _, at := range slots {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p, err := s.read(d, v.chunks[at/chunkSlots], at%chunkSlots, true, true)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (s *shard) count(f *vector.Filter) int {
	d, v := s.acquire()
	defer d.release()
	if f.Conditions() == 0 {
		return v.live
	}
	test := compile(f, d.fields)
	n := 0
	v.each(&test, func(*chunk, int) bool { n++; return true })
	return n
}

// scroll returns the next points by id.
func (s *shard) scroll(ctx context.Context, q *vector.Scroll, after vector.ID) (page vector.Page, err error) {
	d, v := s.acquire()
	defer d.release()
	test := compile(&q.Filter, d.fields)
	type place struct {
		c    *chunk
		slot int
	}
	id := func(p place) vector.ID { return p.c.ids[p.slot] }
	var list []place
	// Twice what is needed is gathered before it is cut back, so that a place is sorted O(log n) times.
	cut := func() {
		slices.SortFunc(list, func(a, b place) int { return id(a).Compare(id(b)) })
		list = list[:min(len(list), q.Limit+1)]
	}
	v.each(&test, func(c *chunk, slot int) bool {
		if c.ids[slot].Compare(after) > 0 {
			if list = append(list, place{c, slot}); len(list) > 2*q.Limit+64 {
				cut()
			}
		}
		return true
	})
	cut()
	for i, p := range list {
		if err := ctx.Err(); err != nil {
			return page, err
		}
		if i == q.Limit {
			page.Next = page.Points[i-1].ID.String()
			break
		}
		point, err := s.read(d, p.c, p.slot, q.WithVectors, true)
		if err != nil {
			return page, err
		}
		page.Points = append(page.Points, point)
	}
	return page, nil
}

func (s *shard) close() error {
	s.write.Lock()
	defer s.write.Unlock()
	s.broken = closed()
	s.now.release()
	return nil
}

// logName is the name of the log of a number; the highest number counts.
func logName(n int) string { return fmt.Sprintf("%08d.log", n) }

const tmpSuffix = ".tmp"

// openShard reads the log of a tenant, or creates it.
func openShard(dir string, meta *vector.Collection, tenant string, log *slog.Logger, open opener) (*shard, error) {
	s := &shard{dir: dir, meta: meta, log: log, stride: padded(meta.Size)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unavailable("create "+dir, err)
	}
	number, err := s.tidy()
	if err != nil {
		return nil, err
	}
	if number == 0 {
		number = 1
	}
	f, err := open(filepath.Join(dir, logName(number)))
	if err != nil {
		return nil, unavailable("open a log of "+dir, err)
	}
	d, err := s.load(f, number)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("tenant %s: %w", tenant, err)
	}
	if err := syncDir(dir); err != nil {
		_ = f.Close()
		return nil, unavailable("sync "+dir, err)
	}
	s.now = d
	return s, nil
}

// tidy removes what an interrupted compaction left and returns the number of the log that counts.
func (s *shard) tidy() (number int, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return 0, unavailable("read "+s.dir, err)
	}
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscanf(e.Name(), "%08d.log", &n); err == nil && e.Name() == logName(n) {
			number = max(number, n)
		}
	}
	for _, e := range entries {
		if e.Name() != logName(number) {
			if err := os.Remove(filepath.Join(s.dir, e.Name())); err != nil {
				return 0, unavailable("remove "+e.Name(), err)
			}
		}
	}
	return number, nil
}

// loadBatch is how many operations are put into memory at once while a log is read.
const loadBatch = 4 * chunkSlots

func (s *shard) load(f file, number int) (*data, error) {
	d := newData(f, number, s.meta)
	length, err := size(f)
	if err != nil {
		return nil, unavailable("read "+s.dir, err)
	}
	var (
		pending []op
		kept    []byte
	)
	flush := func() {
		if len(pending) > 0 {
			s.apply(d, pending)
			pending, kept = pending[:0], kept[:0]
		}
	}
	end, err := readLog(f, length, s.meta.Size, func(ops []op) error {
		for i := range ops {
			// The bytes of the operation are gone with the next frame.
			o := ops[i]
			from := len(kept)
			if cap(kept)-from < len(o.payload)+len(o.raw) {
				kept, from = make([]byte, 0, max(4<<20, len(o.payload)+len(o.raw))), 0
			}
			kept = append(append(kept, o.payload...), o.raw...)
			o.payload, o.raw = kept[from:][:len(o.payload)], kept[from+len(o.payload):]
			pending = append(pending, o)
		}
		if len(pending) >= loadBatch {
			flush()
		}
		return nil
	})
	if err != nil {
		return nil, unavailable("read "+s.dir, err)
	}
	flush()
	if end == 0 {
		if _, err := f.WriteAt(header(s.meta.Size), 0); err != nil {
			return nil, unavailable("write "+s.dir, err)
		}
		end = int64(fileHeader)
	}
	if length > end {
		s.log.Warn("a batch that was never acknowledged is cut off", "log", s.dir, "bytes", length-end)
	}
	if length != end {
		if err := f.Truncate(end); err != nil {
			return nil, unavailable("truncate "+s.dir, err)
		}
		if err := f.Sync(); err != nil {
			return nil, unavailable("sync "+s.dir, err)
		}
	}
	d.end = end
	return d, nil
}

func newData(f file, number int, meta *vector.Collection) *data {
	d := &data{f: f, number: number, index: map[vector.ID]int{}, seeds: newSeeds()}
	d.refs.Store(1)
	for _, key := range sortedKeys(meta.Fields) {
		d.fields = append(d.fields, field{key: key, kind: meta.Fields[key], words: &dictionary{ids: map[string]uint32{}}})
	}
	return d
}
