// Package blob is the object store: immutable objects named by the SHA-256 of their bytes.
// The embedded engine is a directory.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

var (
	// ErrNotFound says that no object has this reference.
	ErrNotFound = errors.New("blob: not found")
	// ErrDamaged says that the bytes under a reference are not the ones that were put there.
	ErrDamaged = errors.New("blob: content does not match its reference")
	// ErrUnavailable wraps errors of the engine; they are transient.
	ErrUnavailable = errors.New("blob: store unavailable")
)

// Store keeps objects. It is safe for concurrent use.
type Store interface {
	// Put stores b durably and returns its reference; putting the same bytes again is cheap and
	// gives the same reference.
	Put(ctx context.Context, b []byte) (ref string, err error)
	// Get returns the bytes of a reference after checking them.
	Get(ctx context.Context, ref string) ([]byte, error)
}

// Dir is a Store in a directory. Files are written beside, synced and renamed, so an object is
// there whole or not at all.
type Dir struct{ root string }

// OpenDir opens or creates the directory.
func OpenDir(root string) (*Dir, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return &Dir{root: root}, nil
}

const scheme = "sha256:"

func (d *Dir) path(ref string) (string, error) {
	if len(ref) != len(scheme)+2*sha256.Size || ref[:len(scheme)] != scheme {
		return "", fmt.Errorf("%w: %q is no reference", ErrNotFound, ref)
	}
	hexed := ref[len(scheme):]
	if _, err := hex.DecodeString(hexed); err != nil {
		return "", fmt.Errorf("%w: %q is no reference", ErrNotFound, ref)
	}
	return filepath.Join(d.root, hexed[:2], hexed), nil
}

// Put implements Store.
func (d *Dir) Put(_ context.Context, b []byte) (string, error) {
	sum := sha256.Sum256(b)
	ref := scheme + hex.EncodeToString(sum[:])
	path, err := d.path(ref)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err == nil {
		return ref, nil
	}
	if err := write(path, b); err != nil {
		return "", fmt.Errorf("%w: put %s: %w", ErrUnavailable, ref, err)
	}
	return ref, nil
}

func write(path string, b []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".put-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Chmod(0o400), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Get implements Store.
func (d *Dir) Get(_ context.Context, ref string) ([]byte, error) {
	path, err := d.path(ref)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, ref)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: get %s: %w", ErrUnavailable, ref, err)
	}
	sum := sha256.Sum256(b)
	if hex.EncodeToString(sum[:]) != ref[len(scheme):] {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, ref)
	}
	return b, nil
}
