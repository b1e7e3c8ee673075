package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/aluskort/aluskort/internal/engine/vector"
)

func benchLike() vector.Collection {
	return vector.Collection{Name: "c", Size: 1536, Distance: vector.Cosine}
}

func newRandom(seed uint64) func(n int) []float32 {
	r := rand.New(rand.NewPCG(seed, seed))
	return func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return v
	}
}

const tenant, name = "acme", "c"

var small = vector.Collection{Name: name, Size: 4, Distance: vector.Cosine, Fields: map[string]vector.FieldType{"k": vector.Keyword}}

func ensure(t testing.TB, e *Engine) {
	t.Helper()
	if err := e.EnsureCollection(t.Context(), small); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, e *Engine, ids ...uint64) error {
	t.Helper()
	var points []vector.Point
	for _, n := range ids {
		points = append(points, vector.Point{ID: vector.Number(n), Vector: []float32{0, 0, 1, float32(n)}, Payload: vector.Payload{"k": fmt.Sprint(n)}})
	}
	return e.Upsert(t.Context(), tenant, name, points)
}

func mustPut(t testing.TB, e *Engine, ids ...uint64) {
	t.Helper()
	if err := put(t, e, ids...); err != nil {
		t.Fatal(err)
	}
}

// holds checks that exactly these ids are there, each with its own vector and payload.
func holds(t *testing.T, e *Engine, ids ...uint64) {
	t.Helper()
	n, err := e.Count(t.Context(), tenant, name, vector.Filter{})
	if err != nil || n != len(ids) {
		t.Fatalf("%d points, want %d: %v", n, len(ids), err)
	}
	for _, id := range ids {
		hits, err := e.Search(t.Context(), tenant, name, vector.Query{
			Vector: []float32{0, 0, 1, float32(id)}, Limit: 1, WithPayload: true,
			Filter: vector.Filter{Must: []vector.Condition{vector.Match("k", fmt.Sprint(id))}},
		})
		if err != nil || len(hits) != 1 || hits[0].ID != vector.Number(id) || hits[0].Score < 0.99999 || hits[0].Payload["k"] != fmt.Sprint(id) {
			t.Fatalf("point %d: %v, %v", id, hits, err)
		}
	}
}

// logOf is the path of the only log below dir.
func logOf(t *testing.T, dir string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, name, "*", "*.log"))
	if err != nil || len(found) != 1 {
		t.Fatalf("logs: %v, %v", found, err)
	}
	return found[0]
}

func closeEngine(t *testing.T, e *Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTornTail cuts a log at every length a crash can leave, and fills the cut with zeros as file
// systems do: all batches before the cut are there, of the last all or nothing.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir)
	ensure(t, e)
	mustPut(t, e, 1)
	closeEngine(t, e)
	path := logOf(t, dir)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	e = open(t, dir)
	mustPut(t, e, 2, 3)
	closeEngine(t, e)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := len(before); cut <= len(whole); cut++ {
		for _, zeros := range []int{0, 100} {
			content := append(bytes.Clone(whole[:cut]), make([]byte, zeros)...)
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			e := open(t, dir)
			if cut == len(whole) {
				holds(t, e, 1, 2, 3)
			} else {
				holds(t, e, 1)
			}
			if cut%8 != 0 {
				closeEngine(t, e)
				continue
			}
			mustPut(t, e, 4) // goes on behind what counts
			closeEngine(t, e)
			e = open(t, dir)
			if n, err := e.Count(t.Context(), tenant, name, vector.Filter{}); err != nil || n != 2 && n != 4 {
				t.Fatalf("cut at %d: %d points, %v", cut, n, err)
			}
			closeEngine(t, e)
		}
	}
}

// TestDamageIsNoTornTail flips every byte of an acknowledged batch that others follow: the engine
// says so, and never forgets it silently.
func TestDamageIsNoTornTail(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir)
	ensure(t, e)
	mustPut(t, e, 1)
	mustPut(t, e, 2)
	closeEngine(t, e)
	path := logOf(t, dir)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := fileHeader + (len(whole)-fileHeader)/2
	for at := range first {
		content := bytes.Clone(whole)
		content[at] ^= 0x20
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		e := open(t, dir)
		_, err := e.Count(t.Context(), tenant, name, vector.Filter{})
		if !errors.Is(err, ErrDamaged) || !errors.Is(err, vector.ErrUnavailable) {
			t.Fatalf("byte %d flipped: %v", at, err)
		}
		closeEngine(t, e)
		if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, content) {
			t.Fatalf("a damaged log was changed: %v", err)
		}
	}
}

func TestDamageUnderAnOpenEngine(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir)
	ensure(t, e)
	mustPut(t, e, 1)
	path := logOf(t, dir)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole[len(whole)-1] ^= 1
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Search(t.Context(), tenant, name, vector.Query{Vector: []float32{1, 1, 0, 0}, Limit: 1}); !errors.Is(err, ErrDamaged) {
		t.Errorf("search: %v", err)
	}
	if _, err := e.Get(t.Context(), tenant, name, []vector.ID{vector.Number(1)}); !errors.Is(err, ErrDamaged) {
		t.Errorf("get: %v", err)
	}
}

// faulty is a file that fails on demand.
type faulty struct {
	*os.File
	mu                           *sync.Mutex
	failWrite, failSync, failCut bool
	part                         int
}

var errDisk = errors.New("the disk says no")

func (f *faulty) is(flag *bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *flag
}

func (f *faulty) set(flag *bool, to bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*flag = to
}

func (f *faulty) WriteAt(b []byte, at int64) (int, error) {
	if f.is(&f.failWrite) {
		n, _ := f.File.WriteAt(b[:min(len(b), f.part)], at)
		return n, errDisk
	}
	return f.File.WriteAt(b, at)
}

func (f *faulty) Sync() error {
	if f.is(&f.failSync) {
		return errDisk
	}
	return f.File.Sync()
}

func (f *faulty) Truncate(n int64) error {
	if f.is(&f.failCut) {
		return errDisk
	}
	return f.File.Truncate(n)
}

func openFaulty(t *testing.T, dir string) (*Engine, **faulty) {
	t.Helper()
	last := new(*faulty)
	e, err := openWith(dir, Options{}, func(path string) (file, error) {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		*last = &faulty{File: f, mu: new(sync.Mutex), part: 30}
		return *last, err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	ensure(t, e)
	return e, last
}

// TestFullDisk fails a write half-way: it is reported, nothing of it is seen, and when there is
// room again the engine goes on.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	e, f := openFaulty(t, dir)
	mustPut(t, e, 1)
	(*f).set(&(*f).failWrite, true)
	if err := put(t, e, 2); !errors.Is(err, vector.ErrUnavailable) || !errors.Is(err, errDisk) {
		t.Fatalf("got %v", err)
	}
	holds(t, e, 1)
	(*f).set(&(*f).failWrite, false)
	mustPut(t, e, 3)
	closeEngine(t, e)
	holds(t, open(t, dir), 1, 3)
}

// TestFailedSync leaves nobody knowing what is on the disk: no write is acknowledged any more,
// reads go on, and readiness says why.
func TestFailedSync(t *testing.T) {
	dir := t.TempDir()
	e, f := openFaulty(t, dir)
	mustPut(t, e, 1)
	(*f).set(&(*f).failSync, true)
	if err := put(t, e, 2); !errors.Is(err, vector.ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	(*f).set(&(*f).failSync, false)
	if err := put(t, e, 3); !errors.Is(err, vector.ErrUnavailable) {
		t.Fatalf("after a failed sync a write gave %v", err)
	}
	if err := e.Ready(t.Context()); !errors.Is(err, errDisk) {
		t.Errorf("ready: %v", err)
	}
	holds(t, e, 1)
	closeEngine(t, e)
	e = open(t, dir)
	holds(t, e, 1)
	mustPut(t, e, 3)
	holds(t, e, 1, 3)
}

func TestCompaction(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir)
	ensure(t, e)
	var ids []uint64
	for n := range uint64(200) {
		ids = append(ids, n)
	}
	for range 12 {
		mustPut(t, e, ids...)
	}
	holds(t, e, ids...)
	info, err := os.Stat(logOf(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(logOf(t, dir)) == logName(1) || info.Size() > 8*200*60 {
		t.Errorf("log %s has %d bytes", logOf(t, dir), info.Size())
	}
	closeEngine(t, e)
	e = open(t, dir)
	holds(t, e, ids...)
	if err := e.DeleteMatching(t.Context(), tenant, name, vector.Filter{}); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadFile(logOf(t, dir)); err != nil || len(left) != fileHeader {
		t.Errorf("after everything of a tenant was deleted, its log has %d bytes: %v", len(left), err)
	}
	mustPut(t, e, 5)
	holds(t, e, 5)
}

// TestCompactionUnderReaders keeps readers of the old log working.
func TestCompactionUnderReaders(t *testing.T) {
	e := open(t, t.TempDir())
	ensure(t, e)
	mustPut(t, e, 1, 2, 3)
	stop := make(chan struct{})
	failed := make(chan error, 2)
	for range 2 {
		go func() {
			for {
				select {
				case <-stop:
					failed <- nil
					return
				default:
				}
				hits, err := e.Search(t.Context(), tenant, name, vector.Query{Vector: []float32{1, 2, 0, 0}, Limit: 3, WithPayload: true})
				if err == nil && len(hits) != 3 {
					err = fmt.Errorf("%d hits", len(hits))
				}
				if err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	for range 1300 {
		mustPut(t, e, 1)
	}
	close(stop)
	for range 2 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	holds(t, e, 1, 2, 3)
}

// TestLeftoversOfACompaction are what a crash leaves around the rename.
func TestLeftoversOfACompaction(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir)
	ensure(t, e)
	mustPut(t, e, 1, 2)
	closeEngine(t, e)
	path := logOf(t, dir)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	shard := filepath.Dir(path)
	for _, leftover := range []string{logName(2) + tmpSuffix, logName(0)} {
		if err := os.WriteFile(filepath.Join(shard, leftover), b[:40], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e = open(t, dir)
	holds(t, e, 1, 2)
	closeEngine(t, e)
	if err := os.WriteFile(filepath.Join(shard, logName(2)), b, 0o600); err != nil {
		t.Fatal(err)
	}
	e = open(t, dir)
	holds(t, e, 1, 2)
	if _, err := os.Stat(filepath.Join(shard, logName(1))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old log is still there: %v", err)
	}
}

// TestManyOfOneVector is what a noisy detection makes: it is read from the disk once.
func TestManyOfOneVector(t *testing.T) {
	e := open(t, t.TempDir())
	ensure(t, e)
	for from := range uint64(6) {
		var points []vector.Point
		for n := range uint64(1000) {
			points = append(points, vector.Point{ID: vector.Number(6000 - (from*1000 + n)), Vector: []float32{1, 2, 3, 4}})
		}
		if err := e.Upsert(t.Context(), tenant, name, points); err != nil {
			t.Fatal(err)
		}
	}
	hits, err := e.Search(t.Context(), tenant, name, vector.Query{Vector: []float32{1, 2, 3, 4}, Limit: 3})
	if err != nil || len(hits) != 3 || hits[0].ID != vector.Number(1) || hits[1].ID != vector.Number(2) || hits[2].ID != vector.Number(3) {
		t.Errorf("found %v, %v", hits, err)
	}
}

// TestLoad reads what nobody asked for yet; a damaged log is reported and holds up no other tenant.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir)
	ensure(t, e)
	mustPut(t, e, 1, 2)
	if err := e.Upsert(t.Context(), "Other tenant/../x", name, []vector.Point{{ID: vector.Number(1), Vector: []float32{1, 1, 1, 1}}}); err != nil {
		t.Fatal(err)
	}
	closeEngine(t, e)
	e = open(t, dir)
	if err := e.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := e.Occupied(tenant, name); err != nil || n == 0 {
		t.Errorf("occupies %d: %v", n, err)
	}
	closeEngine(t, e)
	path := filepath.Join(dir, name, folder.EncodeToString([]byte(tenant)), logName(1))
	if err := os.WriteFile(path, []byte("what is this file, and how did it come here?"), 0o600); err != nil {
		t.Fatal(err)
	}
	e = open(t, dir)
	if err := e.Load(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("a damaged log was loaded: %v", err)
	}
	if n, err := e.Count(t.Context(), "Other tenant/../x", name, vector.Filter{}); err != nil || n != 1 {
		t.Errorf("the other tenant has %d points: %v", n, err)
	}
}

// TestFieldsAddedUnderLoad adds fields while points are written and read: nothing is lost, and
// nobody is told of anything worse than to try again.
func TestFieldsAddedUnderLoad(t *testing.T) {
	e := open(t, t.TempDir())
	ensure(t, e)
	done := make(chan error, 2)
	const points = 60
	go func() {
		for n := uint64(1); n <= points; n++ {
			for {
				err := put(t, e, n)
				if err == nil {
					break
				}
				if !errors.Is(err, vector.ErrUnavailable) {
					done <- err
					return
				}
			}
		}
		done <- nil
	}()
	go func() {
		for range 200 {
			_, err := e.Search(t.Context(), tenant, name, vector.Query{Vector: []float32{0, 0, 1, 1}, Limit: 5, WithPayload: true})
			if err != nil && !errors.Is(err, vector.ErrUnavailable) {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for n := range 10 {
		c := small
		c.Fields = map[string]vector.FieldType{fmt.Sprint("f", n): vector.Integer}
		if err := e.EnsureCollection(t.Context(), c); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	var ids []uint64
	for n := uint64(1); n <= points; n++ {
		ids = append(ids, n)
	}
	holds(t, e, ids...)
}

func FuzzReadLog(f *testing.F) {
	meta := small
	good := header(meta.Size)
	good = appendFrame(good, []op{
		{kind: opPut, id: vector.Number(1), payload: appendPayload(nil, vector.Payload{"k": "v", "l": []string{"a"}, "n": int64(3), "x": 1.5, "b": true}), vector: []float32{1, 2, 3, 4}},
		{kind: opDelete, id: vector.Number(2)},
	}, int64(len(good)))
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add(append(bytes.Clone(good), good[fileHeader:]...))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		end, err := readLog(r, int64(len(b)), meta.Size, func(ops []op) error {
			for _, o := range ops {
				if o.kind == opPut && len(o.raw) != 4*meta.Size {
					t.Fatalf("a vector of %d bytes", len(o.raw))
				}
				if p, err := decodePayload(o.payload); err == nil {
					if again, err := decodePayload(appendPayload(nil, p)); err != nil || len(again) != len(p) {
						t.Fatalf("payload %v comes back as %v, %v", p, again, err)
					}
				}
			}
			return nil
		})
		if end < 0 || end > int64(len(b)) {
			t.Fatalf("the end is %d of %d", end, len(b))
		}
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, io.EOF) {
			t.Fatalf("error %v", err)
		}
	})
}
