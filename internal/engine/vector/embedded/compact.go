package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aluskort/aluskort/internal/engine/vector"
)

// compactFrom is how many dead points are not worth rewriting a log for.
const compactFrom = 1024

// compactIfWorth rewrites the log when most of it is dead, or nothing of it lives. It is called by
// the writer. A failure costs only space: the old log stays, and the next write tries again.
func (s *shard) compactIfWorth() {
	v := &s.now.view
	dead := v.n - v.live
	if dead == 0 || v.live > 0 && (dead < compactFrom || dead < v.live) {
		return
	}
	if err := s.compact(); err != nil {
		s.log.Warn("a log could not be compacted", "log", s.dir, "error", err)
	}
}

func (s *shard) compact() error {
	old := s.now
	number := old.number + 1
	tmp := filepath.Join(s.dir, logName(number)+tmpSuffix)
	f, err := openFile(tmp)
	if err != nil {
		return err
	}
	next, err := s.rewrite(f, number)
	if err == nil {
		err = os.Rename(tmp, filepath.Join(s.dir, logName(number)))
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(tmp))
	}
	// From here the new log counts, also after a crash.
	s.mu.Lock()
	s.now = next
	s.mu.Unlock()
	if err := syncDir(s.dir); err != nil {
		s.broken = unavailable("sync "+s.dir, err)
	}
	old.release()
	return os.Remove(filepath.Join(s.dir, logName(old.number)))
}

// rewrite writes the live points into f, syncs it, and reads it back.
func (s *shard) rewrite(f file, number int) (*data, error) {
	d, v := s.acquire()
	defer d.release()
	if err := f.Truncate(0); err != nil {
		return nil, err
	}
	if _, err := f.WriteAt(header(s.meta.Size), 0); err != nil {
		return nil, err
	}
	end := int64(fileHeader)
	var ops []op
	flush := func() error {
		if len(ops) == 0 {
			return nil
		}
		frame := appendFrame(nil, ops, end)
		_, err := f.WriteAt(frame, end)
		end, ops = end+int64(len(frame)), ops[:0]
		return err
	}
	var failed error
	v.each(&filter{}, func(c *chunk, slot int) bool {
		var o op
		if o, failed = s.copyOf(d, c, slot); failed == nil {
			if ops = append(ops, o); len(ops) == chunkSlots {
				failed = flush()
			}
		}
		return failed == nil
	})
	if failed == nil {
		failed = flush()
	}
	if failed == nil {
		failed = f.Sync()
	}
	if failed != nil {
		return nil, failed
	}
	return s.load(f, number)
}

func (s *shard) copyOf(d *data, c *chunk, slot int) (op, error) {
	n := int(c.payload[slot])
	buf := make([]byte, n+4*s.meta.Size)
	if _, err := d.f.ReadAt(buf, c.at[slot]); err != nil {
		return op{}, err
	}
	o := op{kind: opPut, id: c.ids[slot], payload: buf[:n], raw: buf[n:]}
	if d.seeds.of(o.raw) != c.digest[slot] {
		return op{}, fmt.Errorf("%w: vector of point %s", ErrDamaged, o.id)
	}
	return o, nil
}

// Occupied tells what the engine keeps in memory of the tenant's points in a collection, in
// bytes, without what the fields and the index take.
func (e *Engine) Occupied(tenant, collection string) (int, error) {
	s, err := e.shard(tenant, collection, false)
	if err != nil || s == nil {
		return 0, err
	}
	d, v := s.acquire()
	defer d.release()
	return len(v.chunks) * chunkSlots * bytesPerPoint(s.meta.Size), nil
}

var _ vector.Engine = (*Engine)(nil)
