package dir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/engine/blob"
)

var errDisk = errors.New("no space left")

// node is a file or folder: as programs see it, and as it is after a power cut.
type node struct {
	data, durable        []byte
	reaches              []byte           // data, but for what a failed sync lost
	children, durableSet map[string]*node // nil for a file
}

func folderNode() *node {
	return &node{children: map[string]*node{}, durableSet: map[string]*node{}}
}

func (n *node) append(p []byte) {
	n.data, n.reaches = append(n.data, p...), append(n.reaches, p...)
}

// memoryDisk is a disk with a cache in front: what was not synced can be lost. It also fails on
// demand.
type memoryDisk struct {
	mu    sync.Mutex
	tree  *node
	ops   int
	fails func(op int) bool
}

const memoryRoot = "/disk/objects"

func newMemory(fails func(op int) bool) *memoryDisk {
	d := &memoryDisk{tree: folderNode(), fails: fails}
	d.tree.folder(memoryRoot)
	return d
}

// op counts an operation that changes something, and says whether it works.
func (d *memoryDisk) op() error {
	d.ops++
	if d.fails != nil && d.fails(d.ops) {
		return errDisk
	}
	return nil
}

func parts(path string) []string {
	return strings.FieldsFunc(filepath.ToSlash(path), func(r rune) bool { return r == '/' })
}

// folder returns the folder of a path and makes it where it is missing.
func (n *node) folder(path string) *node {
	for _, part := range parts(path) {
		if n.children[part] == nil {
			n.children[part] = folderNode()
		}
		n = n.children[part]
	}
	return n
}

func (d *memoryDisk) find(path string) (parent *node, name string, n *node, err error) {
	n = d.tree
	for _, part := range parts(path) {
		if n == nil {
			return nil, "", nil, &fs.PathError{Op: "find", Path: path, Err: fs.ErrNotExist}
		}
		parent, name = n, part
		n = parent.children[part]
	}
	if n == nil {
		err = &fs.PathError{Op: "find", Path: path, Err: fs.ErrNotExist}
	}
	return parent, name, n, err
}

// change runs fn as an operation that may fail.
func (d *memoryDisk) change(fn func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op(); err != nil {
		return err
	}
	return fn()
}

func (d *memoryDisk) MkdirAll(dir string) error {
	return d.change(func() error {
		d.tree.folder(dir)
		return nil
	})
}

type memoryFile struct {
	disk *memoryDisk
	node *node
	at   int
}

func (d *memoryDisk) Create(path string, _ fs.FileMode) (f file, err error) {
	err = d.change(func() error {
		parent, name, n, err := d.find(path)
		if n != nil {
			return fs.ErrExist
		}
		if parent == nil || parent.children == nil {
			return err
		}
		parent.children[name] = &node{}
		f = &memoryFile{disk: d, node: parent.children[name]}
		return nil
	})
	return f, err
}

func (d *memoryDisk) Open(path string) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _, n, err := d.find(path)
	if err != nil {
		return nil, err
	}
	return &memoryFile{disk: d, node: n}, nil
}

func (f *memoryFile) Read(p []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n := copy(p, f.node.data[f.at:])
	if f.at += n; n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Write takes a part when it fails, as a full disk does.
func (f *memoryFile) Write(p []byte) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	err := f.disk.op()
	if err != nil {
		p = p[:len(p)/2]
	}
	f.node.append(p)
	return len(p), err
}

// Sync that fails loses what it was to make durable; the next one succeeds and does not tell.
func (f *memoryFile) Sync() error {
	err := f.disk.change(func() error {
		f.node.durable = bytes.Clone(f.node.reaches)
		return nil
	})
	if err != nil {
		f.disk.mu.Lock()
		defer f.disk.mu.Unlock()
		clear(f.node.reaches[min(len(f.node.durable), len(f.node.reaches)):])
	}
	return err
}

func (f *memoryFile) Truncate(size int64) error {
	return f.disk.change(func() error {
		f.node.data, f.node.reaches = f.node.data[:size], f.node.reaches[:size]
		return nil
	})
}

func (*memoryFile) Close() error { return nil }

func (d *memoryDisk) Rename(from, to string) error {
	return d.change(func() error {
		oldParent, oldName, n, err := d.find(from)
		if err != nil {
			return err
		}
		parent, name, old, err := d.find(to)
		if parent == nil {
			return err
		}
		if old != nil && old.children != nil {
			return fs.ErrExist
		}
		delete(oldParent.children, oldName)
		parent.children[name] = n
		return nil
	})
}

func (d *memoryDisk) SyncDir(dir string) error {
	return d.change(func() error {
		_, _, n, err := d.find(dir)
		if err == nil {
			n.durableSet = maps.Clone(n.children)
		}
		return err
	})
}

func (d *memoryDisk) Remove(path string) error { return d.RemoveAll(path) }

func (d *memoryDisk) RemoveAll(path string) error {
	return d.change(func() error {
		if parent, name, n, _ := d.find(path); n != nil {
			delete(parent.children, name)
		}
		return nil
	})
}

// entry is a node in its roles of fs.FileInfo and fs.DirEntry.
type entry struct {
	fs.FileInfo // not asked for more than the methods below
	name        string
	size        int64
	dir         bool
}

func (e entry) Name() string               { return e.name }
func (e entry) Size() int64                { return e.size }
func (e entry) IsDir() bool                { return e.dir }
func (e entry) Type() fs.FileMode          { return 0 }
func (e entry) Info() (fs.FileInfo, error) { return e, nil }

func (n *node) entry(name string) entry {
	return entry{name: name, size: int64(len(n.data)), dir: n.children != nil}
}

func (d *memoryDisk) Stat(path string) (fs.FileInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, name, n, err := d.find(path)
	if err != nil {
		return nil, err
	}
	return n.entry(name), nil
}

func (d *memoryDisk) ReadDir(dir string) (out []fs.DirEntry, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _, n, err := d.find(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		out = append(out, n.children[name].entry(name))
	}
	return out, nil
}

// cut is what a power cut leaves of names and bytes that were not synced.
type cut struct{ names, bytes string }

var cuts = []cut{{"lost", "lost"}, {"kept", "lost"}, {"kept", "torn"}, {"kept", "kept"}}

// after returns the disk as a power cut leaves it.
func (d *memoryDisk) after(c cut) *memoryDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := newMemory(nil)
	_, _, objects, err := d.find(memoryRoot)
	if err != nil {
		return left
	}
	left.tree.folder("/disk").children["objects"] = objects.after(c)
	return left
}

func (n *node) after(c cut) *node {
	if n.children == nil {
		b := n.durable
		if len(n.reaches) > len(n.durable) {
			switch c.bytes {
			case "torn":
				b = n.reaches[:(len(n.durable)+len(n.reaches))/2]
			case "kept":
				b = n.reaches
			}
		}
		return &node{data: bytes.Clone(b), reaches: bytes.Clone(b), durable: bytes.Clone(b)}
	}
	set := n.durableSet
	if c.names == "kept" {
		set = n.children
	}
	out := folderNode()
	for name, child := range set {
		out.children[name] = child.after(c)
	}
	out.durableSet = maps.Clone(out.children)
	return out
}

// story is a run of the engine that remembers what it was told.
type story struct {
	content [][]byte          // acknowledged
	named   map[string]string // acknowledged
	maybe   map[string]string // begun
	holds   map[string]bool   // acknowledged
	gone    map[string]bool   // deletion acknowledged, or begun
	refused int
}

func text(i, n int) []byte { return bytes.Repeat([]byte(fmt.Sprintf("%03d|", i)), n/4+1) }

// tell does a bit of everything, once for each step. It keeps on after errors.
func (s *story) tell(t *testing.T, e *Dir, steps int) {
	ctx := t.Context()
	for i := range steps {
		var batch [][]byte
		for k := range 4 {
			batch = append(batch, text(i*10+k, 300+k*1000))
		}
		if i == 1 {
			batch = append(batch, text(i, largeObject))
		}
		if _, err := e.PutMany(ctx, "acme", batch); err == nil {
			s.content = append(s.content, batch...)
		} else {
			s.fault(t, err)
		}
		name, body := fmt.Sprintf("day/%d", i), string(text(i, 5000))
		s.maybe[name] = body
		if _, err := e.PutNamed(ctx, "acme", name, strings.NewReader(body), blob.Protection{}); err == nil {
			s.named[name] = body
		} else {
			s.fault(t, err)
			continue
		}
		if i%2 == 0 {
			if err := e.SetHold(ctx, "acme", name, true); err == nil {
				s.holds[name] = true
			} else {
				s.fault(t, err)
			}
		} else {
			s.gone[name] = true
			if err := e.Delete(ctx, "acme", name); err != nil {
				s.fault(t, err)
			}
		}
	}
}

func (s *story) fault(t *testing.T, err error) {
	t.Helper()
	s.refused++
	if !errors.Is(err, blob.ErrUnavailable) || !errors.Is(err, errDisk) && !strings.Contains(err.Error(), "settled") {
		t.Errorf("the fault of the disk came out as %v", err)
	}
}

func newStory() *story {
	return &story{named: map[string]string{}, maybe: map[string]string{}, holds: map[string]bool{}, gone: map[string]bool{}}
}

// check holds an engine against what was acknowledged.
func (s *story) check(t *testing.T, e *Dir, what string) {
	t.Helper()
	ctx := t.Context()
	for _, b := range s.content {
		if got, err := e.Get(ctx, "acme", blob.Ref(b)); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%s: acknowledged content: %d of %d bytes, %v", what, len(got), len(b), err)
		}
	}
	for name, body := range s.maybe {
		r, info, err := e.Open(ctx, "acme", name)
		if errors.Is(err, blob.ErrNotFound) && (s.named[name] == "" || s.gone[name]) {
			continue
		}
		if err != nil {
			t.Errorf("%s: %s: %v", what, name, err)
			continue
		}
		got, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil || string(got) != body {
			t.Errorf("%s: %s: %d of %d bytes, %v", what, name, len(got), len(body), err)
		}
		if s.holds[name] && !info.Hold {
			t.Errorf("%s: %s lost its hold", what, name)
		}
	}
}

const steps = 6

// TestPowerCut cuts the power at every operation on the disk.
func TestPowerCut(t *testing.T) {
	whole := newMemory(nil)
	e := mustOpen(t, Config{Root: memoryRoot, JournalBytes: 6000}, whole)
	told := newStory()
	told.tell(t, e, steps)
	mustClose(t, e)
	if told.refused != 0 || whole.ops < 200 {
		t.Fatalf("%d faults, %d operations", told.refused, whole.ops)
	}
	for at := 1; at <= whole.ops; at++ {
		d := newMemory(func(op int) bool { return op >= at })
		s := newStory()
		if e, err := open(Config{Root: memoryRoot, JournalBytes: 6000}, d); err == nil {
			s.tell(t, e, steps)
			_ = e.Close() // the power is gone: this ends its goroutines
		} else if !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("open: %v", err)
		}
		for _, c := range cuts {
			e := mustOpen(t, Config{Root: memoryRoot}, d.after(c))
			s.check(t, e, fmt.Sprintf("cut at %d, names %s, bytes %s", at, c.names, c.bytes))
			mustClose(t, e)
		}
		if t.Failed() {
			return
		}
	}
}

// TestDiskFullForAWhile makes one or three operations in a row fail at every place: what was acknowledged
// stays, and the engine goes on without being opened again.
func TestDiskFullForAWhile(t *testing.T) {
	for n := 20; n <= 400; n++ {
		at, width := n/2, 1+n%2*2
		d := newMemory(func(op int) bool { return op >= at && op < at+width })
		e := mustOpen(t, Config{Root: memoryRoot, JournalBytes: 6000}, d)
		s := newStory()
		s.tell(t, e, steps)
		late := []byte("after the fault")
		_, err := e.Put(t.Context(), "acme", late)
		for range width { // the settler may have met the fault later than the story's end
			if err != nil {
				_, err = e.Put(t.Context(), "acme", late)
			}
		}
		if err != nil {
			t.Errorf("fault at %d: %v", at, err)
		}
		s.content = append(s.content, late)
		s.check(t, e, fmt.Sprintf("fault at %d", at))
		again := mustOpen(t, Config{Root: memoryRoot}, d.after(cut{"lost", "lost"}))
		if closed := e.Close(); closed != nil && !errors.Is(closed, errDisk) {
			t.Errorf("close: %v", closed)
		}
		s.check(t, again, fmt.Sprintf("fault at %d, then a power cut", at))
		mustClose(t, again)
		if t.Failed() {
			return
		}
	}
}

// TestJournalsThatCannotBeSettled lets the journal be written and everything else fail for ever: journals
// pile up to their bound, then nothing more is taken.
func TestJournalsThatCannotBeSettled(t *testing.T) {
	d := &deafDisk{}
	e := mustOpen(t, Config{Root: t.TempDir(), JournalBytes: 1000}, d)
	var acknowledged [][]byte
	var err error
	for i := 0; i < 100 && err == nil; i++ {
		b := text(i, 2000)
		if _, err = e.Put(t.Context(), "acme", b); err == nil {
			acknowledged = append(acknowledged, b)
		}
	}
	if !errors.Is(err, blob.ErrUnavailable) || len(acknowledged) < maxSealed {
		t.Errorf("%d acknowledged, then %v", len(acknowledged), err)
	}
	for _, b := range acknowledged {
		if _, err := e.Get(t.Context(), "acme", blob.Ref(b)); err != nil {
			t.Error(err)
		}
	}
	if err := e.Close(); !errors.Is(err, errDisk) {
		t.Errorf("close: %v", err)
	}
}

// deafDisk fails to sync folders of content.
type deafDisk struct{ osDisk }

func (deafDisk) SyncDir(dir string) error {
	if strings.Contains(filepath.ToSlash(dir), "/"+contentFolder) {
		return errDisk
	}
	return osDisk{}.SyncDir(dir)
}

// A large object that is in its place while nobody knows whether its name is durable is not
// acknowledged to the next one either.
func TestTheSecondPutOfALargeObjectIsDurableToo(t *testing.T) {
	e := mustOpen(t, Config{Root: t.TempDir()}, deafDisk{})
	defer func() { _ = e.Close() }()
	b := bytes.Repeat([]byte("x"), largeObject)
	for n := range 2 {
		if _, err := e.Put(t.Context(), "acme", b); !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("put %d: %v", n+1, err)
		}
	}
}

// TestJournalCutAtEveryByte reads journals that end anywhere.
func TestJournalCutAtEveryByte(t *testing.T) {
	var whole []byte
	var ends []int
	for i := range 3 {
		r := &request{}
		for k := range 3 {
			b := text(i*10+k, 20+k)
			digest, err := blob.Digest(blob.Ref(b))
			if err != nil {
				t.Fatal(err)
			}
			r.objects = append(r.objects, object{place("acme", digest), b})
		}
		whole = append(whole, encode([]*request{r})...)
		ends = append(ends, len(whole))
	}
	for n := range len(whole) + 1 {
		frames := 0
		for frames < len(ends) && ends[frames] <= n {
			frames++
		}
		if got := len(decode(whole[:n])); got != 3*frames {
			t.Fatalf("cut at %d: %d objects, want %d", n, got, 3*frames)
		}
	}
	for n := range whole {
		b := bytes.Clone(whole)
		b[n] ^= 4
		objects := decode(b)
		for i := range objects {
			if !ours(&objects[i]) {
				t.Errorf("byte %d changed: object %d is taken", n, i)
			}
		}
	}
	// A frame that names a place elsewhere is not followed.
	for _, at := range []string{"../x", "content/../../x/y", "content/acme/ab/x", "/etc/passwd", ""} {
		if ours(&object{at, []byte("x")}) {
			t.Errorf("%q is taken", at)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode([]*request{{objects: []object{{"content/a/b/c", []byte("x")}}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		objects := decode(b)
		for i := range objects {
			_ = ours(&objects[i])
		}
	})
}

// TestOneSyncForABatch counts what a batch and single puts cost.
func TestOneSyncForABatch(t *testing.T) {
	d := &countingDisk{}
	e := mustOpen(t, Config{Root: t.TempDir()}, d)
	var batch [][]byte
	for i := range 64 {
		batch = append(batch, text(i, 8<<10))
	}
	if _, err := e.Put(t.Context(), "acme", []byte("opens the journal")); err != nil {
		t.Fatal(err)
	}
	d.reset()
	if _, err := e.PutMany(t.Context(), "acme", batch); err != nil {
		t.Fatal(err)
	}
	if n := d.reset(); n != 1 {
		t.Errorf("%d syncs for a batch", n)
	}
	if _, err := e.PutMany(t.Context(), "acme", batch); err != nil {
		t.Fatal(err)
	}
	if n := d.reset(); n != 0 {
		t.Errorf("%d syncs for what was there", n)
	}
	mustClose(t, e)
}

type countingDisk struct {
	osDisk
	mu    sync.Mutex
	syncs int
}

func (d *countingDisk) reset() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.syncs
	d.syncs = 0
	return n
}

func (d *countingDisk) count() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncs++
}

func (d *countingDisk) SyncDir(dir string) error {
	d.count()
	return d.osDisk.SyncDir(dir)
}

type countingFile struct {
	file
	disk *countingDisk
}

func (f countingFile) Sync() error {
	f.disk.count()
	return f.file.Sync()
}

func (d *countingDisk) Create(path string, mode fs.FileMode) (file, error) {
	f, err := d.osDisk.Create(path, mode)
	return countingFile{f, d}, err
}

func TestClosedWhileMany(t *testing.T) {
	e := mustOpen(t, Config{Root: t.TempDir(), JournalBytes: 10_000}, osDisk{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	var kept [][]byte
	started := make(chan struct{}, 8)
	for w := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				b := text(w*1000+i, 500)
				if _, err := e.Put(t.Context(), "acme", b); err != nil {
					if !errors.Is(err, blob.ErrUnavailable) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				kept = append(kept, b)
				mu.Unlock()
				if i == 3 {
					started <- struct{}{}
				}
			}
		})
	}
	<-started
	mustClose(t, e)
	wg.Wait()
	again := mustOpen(t, Config{Root: e.root}, osDisk{})
	defer mustClose(t, again)
	for _, b := range kept {
		if _, err := again.Get(t.Context(), "acme", blob.Ref(b)); err != nil {
			t.Error(err)
		}
	}
	if again.Recovered() != 0 {
		t.Errorf("%d objects had to be recovered after a close", again.Recovered())
	}
}

func benchmark(b *testing.B, put func(e *Dir, batch [][]byte) error) {
	e := mustOpen(b, Config{Root: b.TempDir()}, osDisk{})
	n := 0
	b.SetBytes(64 * 8 << 10)
	for b.Loop() {
		batch := make([][]byte, 64)
		for k := range batch {
			n++
			batch[k] = make([]byte, 8<<10)
			copy(batch[k], fmt.Sprint(n, time.Duration(n)))
		}
		if err := put(e, batch); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	mustClose(b, e)
}

// BenchmarkPutMany64 puts 64 objects of 8 KB in one call.
func BenchmarkPutMany64(b *testing.B) {
	benchmark(b, func(e *Dir, batch [][]byte) error {
		_, err := e.PutMany(b.Context(), "acme", batch)
		return err
	})
}

// BenchmarkPut64 puts the same one after the other.
func BenchmarkPut64(b *testing.B) {
	benchmark(b, func(e *Dir, batch [][]byte) error {
		for _, o := range batch {
			if _, err := e.Put(b.Context(), "acme", o); err != nil {
				return err
			}
		}
		return nil
	})
}

// BenchmarkPut64Concurrent puts the same from 64 goroutines.
func BenchmarkPut64Concurrent(b *testing.B) {
	benchmark(b, func(e *Dir, batch [][]byte) error {
		var wg sync.WaitGroup
		errs := make([]error, len(batch))
		for i, o := range batch {
			wg.Go(func() { _, errs[i] = e.Put(b.Context(), "acme", o) })
		}
		wg.Wait()
		return errors.Join(errs...)
	})
}

// BenchmarkPut64SyncEach puts them as large objects are put: each file and its folders synced.
func BenchmarkPut64SyncEach(b *testing.B) {
	benchmark(b, func(e *Dir, batch [][]byte) error {
		for _, o := range batch {
			digest, err := blob.Digest(blob.Ref(o))
			if err == nil {
				err = store(e.disk, e.root, &object{place("acme", digest), o}, true)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
