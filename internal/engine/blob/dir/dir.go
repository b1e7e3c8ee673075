// Package dir is the embedded engine of blob: a directory on a local disk, used by one process.
//
// Layout below the root:
//
//	content/TENANT/ab/abcd…       objects of content, by the hex of their SHA-256
//	named/TENANT/a/b@/            a named object: body, about (size, digest, time), protection
//	journal/N.log                 content that is durable here and not yet known to be in content/
//	tmp/                          what is being written; emptied at the start
//	ab/abcd…                      objects of the layout before tenants, read and never written
//
// Small objects of content are made durable together, by one write and one sync of the journal.
// They are then put in their places without a sync, where Get finds them; later their files are
// synced and checked, and only then the journal is removed. At the start the journals of a crash
// are read and what did not reach its place whole is put there again. So there is one sync for a
// batch in place of two for each object, and files stay plain files.
//
// Retention and hold are kept by this program alone: whoever can write the directory can delete.
package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/blob"
)

// Config says which directory to open.
type Config struct {
	Root  string
	Clock clock.Clock // for retention and times of creation; nil is the machine's
	// JournalBytes is the size at which a journal is closed and settled; 0 means 16 MB.
	JournalBytes int64
}

// Dir implements blob.Engine. Of every root at most one Dir is open at a time.
type Dir struct {
	root    string
	clock   clock.Clock
	disk    disk
	journal *journal
	names   [64]sync.Mutex // guard named objects, by a hash of their place
	closed  atomic.Bool
	close   func() error
}

var _ blob.Engine = (*Dir)(nil)

// Open opens or creates the directory and brings back what a crash left in journals. The caller
// closes it. Errors wrap blob.ErrUnavailable.
func Open(cfg Config) (*Dir, error) { return open(cfg, osDisk{}) }

func open(cfg Config, d disk) (*Dir, error) {
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.JournalBytes <= 0 {
		cfg.JournalBytes = defaultJournal
	}
	root, err := filepath.Abs(cfg.Root)
	if err != nil {
		return nil, unavailable(fmt.Errorf("open %s: %w", cfg.Root, err))
	}
	e := &Dir{root: root, clock: cfg.Clock, disk: d}
	if err := e.prepare(); err != nil {
		return nil, unavailable(fmt.Errorf("open %s: %w", root, err))
	}
	if e.journal, err = openJournal(d, cfg, root); err != nil {
		return nil, unavailable(fmt.Errorf("open %s: %w", root, err))
	}
	e.close = sync.OnceValue(func() error { return unavailable(e.journal.close()) })
	return e, nil
}

func (e *Dir) prepare() error {
	tmp := filepath.Join(e.root, tmpFolder)
	if err := e.disk.RemoveAll(tmp); err != nil {
		return err
	}
	for _, folder := range []string{tmp, filepath.Join(e.root, journalFolder)} {
		if err := e.disk.MkdirAll(folder); err != nil {
			return err
		}
	}
	return e.disk.SyncDir(e.root)
}

// Recovered is the number of objects that Open found missing or torn and put back from the
// journals of a crash.
func (e *Dir) Recovered() int { return e.journal.recovered }

// Close implements blob.Engine. When what is in the journals cannot be settled it says so; nothing
// is lost, the next Open tries again.
func (e *Dir) Close() error {
	e.closed.Store(true)
	return e.close()
}

const (
	contentFolder = "content"
	namedFolder   = "named"
	journalFolder = "journal"
	tmpFolder     = "tmp"
)

// unavailable marks an error of the disk; nil stays nil.
func unavailable(err error) error {
	if err == nil || errors.Is(err, blob.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", blob.ErrUnavailable, err)
}

// ended returns why nothing should be begun any more.
func (e *Dir) ended(ctx context.Context) error {
	if e.closed.Load() {
		return unavailable(errClosed)
	}
	return unavailable(ctx.Err())
}

// chain returns the folder of a file and those above it, up to the root and with it.
func chain(root, file string) []string {
	var out []string
	for dir := filepath.Dir(file); len(dir) > len(root); dir = filepath.Dir(dir) {
		out = append(out, dir)
	}
	return append(out, root)
}

// syncChain makes the way from the root to file durable.
func syncChain(d disk, root, file string) error {
	for _, dir := range chain(root, file) {
		if err := d.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) }
