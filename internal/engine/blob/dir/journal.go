package dir

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/blob"
)

const (
	defaultJournal = 16 << 20
	// frameBytes bounds what one sync makes durable, so that the first of a crowd need not wait
	// for all.
	frameBytes = 8 << 20
	// maxSealed is how many journals may wait to be settled. Then writers wait as well, and no
	// longer than patience: a disk that takes writes and cannot keep them is no place for more.
	maxSealed = 8
	patience  = 10 * time.Second
	// settleWidth is how many files are synced at the same time.
	settleWidth = 16
	// settleAgain is the pause before a journal that could not be settled is tried again.
	settleAgain = 5 * time.Second
)

var errClosed = errors.New("the directory is closed")

// journal makes objects durable in batches. One goroutine writes, one settles.
type journal struct {
	disk  disk
	clock clock.Clock
	root  string
	limit int64

	requests  chan *request // unbuffered: whoever waits shares the next sync
	closing   chan struct{}
	written   chan struct{} // closed when the writer has ended
	settled   chan struct{} // closed when the settler has ended
	wake      chan struct{}
	progress  chan struct{} // holds a token after the settler has tried a journal
	recovered int

	// Owned by the writer.
	open   file // nil before the first write and after a failure
	last   uint64
	size   int64
	active sealed

	mu     sync.Mutex
	sealed []*sealed // oldest first
	failed error     // why the oldest could not be settled
}

// sealed is a journal that nobody writes to any more.
type sealed struct {
	file    string
	places  []string // of the objects in it that were acknowledged
	suspect bool     // a sync failed: only writing the objects again makes them durable
}

type request struct {
	objects []object
	done    chan error
}

func openJournal(d disk, cfg Config, root string) (*journal, error) {
	j := &journal{
		disk: d, clock: cfg.Clock, root: root, limit: cfg.JournalBytes,
		requests: make(chan *request), closing: make(chan struct{}), written: make(chan struct{}),
		settled: make(chan struct{}), wake: make(chan struct{}, 1),
		progress: make(chan struct{}, 1),
	}
	if err := j.recover(); err != nil {
		return nil, err
	}
	go j.write()
	go j.settle()
	return j, nil
}

// commit returns nil when all objects are durable and in their places.
func (j *journal) commit(ctx context.Context, objects []object) error {
	r := &request{objects: objects, done: make(chan error, 1)}
	select {
	case j.requests <- r:
		return <-r.done
	case <-j.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (j *journal) close() error {
	close(j.closing)
	<-j.written
	<-j.settled
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

func (j *journal) write() {
	defer close(j.written)
	for {
		select {
		case r := <-j.requests:
			j.serve(j.collect(r))
		case <-j.closing:
			j.seal()
			return
		}
	}
}

// collect takes everybody who waits, up to the size of a frame.
func (j *journal) collect(first *request) []*request {
	batch := []*request{first}
	size := first.size()
	for size < frameBytes {
		select {
		case r := <-j.requests:
			batch = append(batch, r)
			size += r.size()
		default:
			return batch
		}
	}
	return batch
}

func (r *request) size() (n int) {
	for i := range r.objects {
		n += len(r.objects[i].bytes)
	}
	return n
}

func (j *journal) serve(batch []*request) {
	err := j.append(encode(batch))
	for _, r := range batch {
		outcome := err
		for i := range r.objects {
			if outcome != nil {
				break
			}
			if outcome = store(j.disk, j.root, &r.objects[i], false); outcome == nil {
				j.active.places = append(j.active.places, r.objects[i].place)
			}
		}
		r.done <- outcome
	}
	if j.size >= j.limit {
		j.seal()
	}
}

// append makes one frame durable.
func (j *journal) append(frame []byte) error {
	if err := j.ready(); err != nil {
		return err
	}
	if _, err := j.open.Write(frame); err != nil {
		if cut := j.open.Truncate(j.size); cut != nil {
			err = errors.Join(err, cut)
			j.seal() // its end is torn, which readers expect of an end only
		}
		return err
	}
	if err := j.open.Sync(); err != nil {
		// What the disk holds now is unknown, and a second sync would not tell.
		j.active.suspect = true
		j.seal()
		return err
	}
	j.size += int64(len(frame))
	return nil
}

// ready opens a new journal when there is none.
func (j *journal) ready() error {
	if err := j.room(); err != nil {
		return err
	}
	if j.open != nil {
		return nil
	}
	name := filepath.Join(j.root, journalFolder, fmt.Sprintf("%012d.log", j.last+1))
	f, err := j.disk.Create(name, 0o600)
	if err != nil {
		return err
	}
	j.last++
	if err := j.disk.SyncDir(filepath.Dir(name)); err != nil {
		return errors.Join(err, f.Close(), j.disk.Remove(name))
	}
	j.open, j.size, j.active = f, 0, sealed{file: name}
	return nil
}

// room waits until there are not too many journals to settle, unless they cannot be.
func (j *journal) room() error {
	var timer *time.Timer
	for {
		j.mu.Lock()
		waiting, failed := len(j.sealed), j.failed
		j.mu.Unlock()
		switch {
		case waiting <= maxSealed:
			return nil
		case failed != nil:
			return fmt.Errorf("%d journals wait to be settled: %w", waiting, failed)
		case timer == nil:
			timer = j.clock.NewTimer(patience)
			defer timer.Stop()
		}
		select {
		case <-j.progress:
		case <-timer.C:
			return fmt.Errorf("%d journals wait to be settled: the disk is too slow", waiting)
		case <-j.closing:
			return errClosed
		}
	}
}

// seal hands the journal to the settler.
func (j *journal) seal() {
	if j.open == nil {
		return
	}
	if err := j.open.Close(); err != nil {
		j.active.suspect = true
	}
	done := j.active
	j.open, j.size, j.active = nil, 0, sealed{}
	j.mu.Lock()
	j.sealed = append(j.sealed, &done)
	j.mu.Unlock()
	j.poke()
}

func (j *journal) poke() { signal(j.wake) }

func signal(token chan<- struct{}) {
	select {
	case token <- struct{}{}:
	default:
	}
}

func (j *journal) settle() {
	defer close(j.settled)
	j.poke() // for the journals of a crash
	for {
		over := j.await()
		j.settleAll()
		if over {
			return
		}
	}
}

// await returns when there may be something to settle, and whether it is the last time.
func (j *journal) await() (over bool) {
	var again <-chan time.Time
	if j.trouble() != nil {
		t := j.clock.NewTimer(settleAgain)
		defer t.Stop()
		again = t.C
	}
	select {
	case <-j.wake:
	case <-again:
	case <-j.written:
		return true
	}
	return false
}

func (j *journal) trouble() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

func (j *journal) settleAll() {
	for {
		j.mu.Lock()
		var oldest *sealed
		if len(j.sealed) > 0 {
			oldest = j.sealed[0]
		}
		j.mu.Unlock()
		if oldest == nil {
			return
		}
		err := j.settleOne(oldest)
		j.mu.Lock()
		if j.failed = err; err == nil {
			j.sealed = j.sealed[1:]
		}
		j.mu.Unlock()
		signal(j.progress)
		if err != nil {
			oldest.suspect = true
			return
		}
	}
}

// settleOne removes a journal when all its objects are durable in their places. That a file can be
// synced does not say that it is whole: the kernel may have failed to write it earlier and
// forgotten; so it is read as well.
func (j *journal) settleOne(s *sealed) error {
	if missing := j.missing(s); len(missing) > 0 {
		if err := j.rewrite(s.file, missing); err != nil {
			return fmt.Errorf("settle %s: %w", s.file, err)
		}
	}
	folders := map[string]bool{}
	for _, place := range s.places {
		for _, dir := range chain(j.root, filepath.Join(j.root, filepath.FromSlash(place))) {
			folders[dir] = true
		}
	}
	for dir := range folders {
		if err := j.disk.SyncDir(dir); err != nil {
			return fmt.Errorf("settle %s: %w", s.file, err)
		}
	}
	if err := j.disk.Remove(s.file); err != nil && !absent(err) {
		return fmt.Errorf("settle %s: %w", s.file, err)
	}
	return nil
}

// missing returns the places whose files are not known to be durable after a sync. Syncs at the same
// time share what the file system commits.
func (j *journal) missing(s *sealed) map[string]bool {
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(settleWidth)
	missing := map[string]bool{}
	for _, place := range s.places {
		g.Go(func() error {
			name := filepath.Join(j.root, filepath.FromSlash(place))
			if s.suspect || syncFile(j.disk, name) != nil || !intact(j.disk, name) {
				mu.Lock()
				defer mu.Unlock()
				missing[place] = true
			}
			return nil
		})
	}
	_ = g.Wait() // what fails is missing
	return missing
}

// rewrite writes objects of a journal anew, durably.
func (j *journal) rewrite(name string, missing map[string]bool) error {
	b, err := readFile(j.disk, name)
	if err != nil {
		return err
	}
	objects := decode(b)
	for i := range objects {
		if o := &objects[i]; missing[o.place] {
			if err := store(j.disk, j.root, o, true); err != nil {
				return err
			}
			delete(missing, o.place)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %d objects are in no frame", blob.ErrDamaged, len(missing))
	}
	return nil
}

// intact reports whether a file holds what its name says.
func intact(d disk, name string) bool {
	b, err := readFile(d, name)
	if err != nil {
		return false
	}
	digest, err := blob.Digest(blob.Ref(b))
	return err == nil && digest == filepath.Base(name)
}

// recover puts back what journals hold and places do not. The journals stay until they are settled.
func (j *journal) recover() error {
	folder := filepath.Join(j.root, journalFolder)
	entries, err := j.disk.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		number, err := strconv.ParseUint(strings.TrimSuffix(entry.Name(), ".log"), 10, 64)
		if err != nil {
			continue // none of ours
		}
		j.last = max(j.last, number)
		if err := j.replay(filepath.Join(folder, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) replay(name string) error {
	b, err := readFile(j.disk, name)
	if err != nil {
		return err
	}
	s := &sealed{file: name}
	objects := decode(b)
	for i := range objects {
		o := &objects[i]
		if !ours(o) {
			continue
		}
		s.places = append(s.places, o.place)
		if intact(j.disk, filepath.Join(j.root, filepath.FromSlash(o.place))) {
			continue
		}
		if err := store(j.disk, j.root, o, false); err != nil {
			return err
		}
		j.recovered++
	}
	j.sealed = append(j.sealed, s)
	return nil
}

// ours reports whether an object belongs where a frame says: nothing else is written.
func ours(o *object) bool {
	digest, err := blob.Digest(blob.Ref(o.bytes))
	parts := strings.Split(o.place, "/")
	return err == nil && len(parts) == 4 && path.Clean(o.place) == o.place && parts[1] != ".." && o.place == place(parts[1], digest)
}

// A frame is a magic number, the length and CRC-32C of its body, and the body: for each object the
// lengths of its place and bytes, and both. Numbers are little-endian, of 32 bits.
const (
	magic     = 0x314a4c41 // "ALJ1"
	headBytes = 12
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encode(batch []*request) []byte {
	size := headBytes
	for _, r := range batch {
		for i := range r.objects {
			size += 8 + len(r.objects[i].place) + len(r.objects[i].bytes)
		}
	}
	b := make([]byte, headBytes, size)
	for _, r := range batch {
		for i := range r.objects {
			o := &r.objects[i]
			b = binary.LittleEndian.AppendUint32(b, uint32(len(o.place)))
			b = binary.LittleEndian.AppendUint32(b, uint32(len(o.bytes)))
			b = append(append(b, o.place...), o.bytes...)
		}
	}
	binary.LittleEndian.PutUint32(b, magic)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-headBytes))
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b[headBytes:], castagnoli))
	return b
}

// decode returns the objects of the whole frames at the beginning of b; what follows was never
// acknowledged. They share the memory of b.
func decode(b []byte) (out []object) {
	for len(b) >= headBytes && binary.LittleEndian.Uint32(b) == magic {
		n := uint64(binary.LittleEndian.Uint32(b[4:]))
		if n > uint64(len(b)-headBytes) {
			return out
		}
		body := b[headBytes : headBytes+n]
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[8:]) {
			return out
		}
		b = b[headBytes+n:]
		for len(body) >= 8 {
			first := uint64(binary.LittleEndian.Uint32(body))
			second := uint64(binary.LittleEndian.Uint32(body[4:]))
			if body = body[8:]; first+second > uint64(len(body)) {
				return out
			}
			out = append(out, object{place: string(body[:first]), bytes: body[first : first+second]})
			body = body[first+second:]
		}
	}
	return out
}
