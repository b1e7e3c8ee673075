// Package statedir is the state directory of an embedded installation: its layout, the lock
// that keeps a second process out, and the number of its format.
package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Format is the number of the layout that this program writes. A directory with a higher one
// was written by a newer program and is refused.
const Format = 1

var (
	// ErrLocked says that another process uses the directory; it wraps a *LockedError.
	ErrLocked = errors.New("state directory is in use")
	// ErrNewer says that the directory was written by a newer program.
	ErrNewer = errors.New("state directory was written by a newer program")
)

// LockedError names the process that holds the lock, where it says so.
type LockedError struct {
	Path string
	PID  int
}

// Error implements error.
func (e *LockedError) Error() string {
	who := "another process"
	if e.PID > 0 {
		who = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("state directory is in use: %s is held by %s; stop it, or choose another directory with --state", e.Path, who)
}

// Unwrap makes errors.Is(err, ErrLocked) true.
func (e *LockedError) Unwrap() error { return ErrLocked }

// Dir is an open state directory. It is locked until Close.
type Dir struct {
	root string
	lock *os.File // nil when opened for reading
}

// Open creates the directory where needed, takes its lock and checks its format.
func Open(root string) (*Dir, error) {
	for _, sub := range []string{"", "bus", "db", "objects", "keys", "rules", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, sub), 0o700); err != nil {
			return nil, fmt.Errorf("state directory: %w", err)
		}
	}
	path := filepath.Join(root, "LOCK")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := lockFile(f); err != nil {
		pid := readPID(f)
		return nil, errors.Join(&LockedError{Path: path, PID: pid}, f.Close())
	}
	d := &Dir{root: root, lock: f}
	if err := errors.Join(writePID(f), d.checkFormat()); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// View returns the directory for reading, without taking the lock. It must exist.
func View(root string) (*Dir, error) {
	d := &Dir{root: root}
	if _, err := os.Stat(d.Path("FORMAT")); err != nil {
		return nil, fmt.Errorf("no state directory at %s: %w", root, err)
	}
	return d, d.checkFormat()
}

func (d *Dir) checkFormat() error {
	path := d.Path("FORMAT")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return os.WriteFile(path, []byte(strconv.Itoa(Format)+"\n"), 0o600)
	}
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || n < 1 {
		return fmt.Errorf("state directory: %s holds %q, not a format number", path, b)
	}
	if n > Format {
		return fmt.Errorf("%w: %s has format %d, this program knows %d", ErrNewer, d.root, n, Format)
	}
	return nil
}

// Path joins elements to the root of the directory.
func (d *Dir) Path(elem ...string) string { return filepath.Join(append([]string{d.root}, elem...)...) }

// Close gives the lock up. Safe to call twice.
func (d *Dir) Close() error {
	if d.lock == nil {
		return nil
	}
	err := d.lock.Close()
	d.lock = nil
	return err
}

func readPID(f *os.File) int {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return 0
	}
	return pid
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}
