package dir

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// disk is what the engine asks of the file system. Tests put one in its place that fails.
type disk interface {
	MkdirAll(dir string) error
	// Create makes a new file for writing; it must not exist.
	Create(path string, mode fs.FileMode) (file, error)
	Open(path string) (file, error)
	Rename(from, to string) error
	SyncDir(dir string) error
	Remove(path string) error
	RemoveAll(path string) error
	Stat(path string) (fs.FileInfo, error)
	ReadDir(dir string) ([]fs.DirEntry, error)
}

type file interface {
	io.Reader
	io.Writer
	io.Closer
	Sync() error
	Truncate(size int64) error
}

type osDisk struct{}

func (osDisk) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

func (osDisk) Create(path string, mode fs.FileMode) (file, error) {
	return opened(os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, mode))
}

func (osDisk) Open(path string) (file, error) { return opened(os.Open(path)) }

// opened returns an untyped nil on error.
func opened(f *os.File, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (osDisk) Rename(from, to string) error              { return os.Rename(from, to) }
func (osDisk) Remove(path string) error                  { return os.Remove(path) }
func (osDisk) RemoveAll(path string) error               { return os.RemoveAll(path) }
func (osDisk) Stat(path string) (fs.FileInfo, error)     { return os.Stat(path) }
func (osDisk) ReadDir(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }

func (osDisk) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// readFile reads a whole file, which is one of ours and so fits into memory.
func readFile(d disk, path string) ([]byte, error) {
	f, err := d.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := d.Stat(path)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b := make([]byte, info.Size())
	_, err = io.ReadFull(f, b)
	return b, errors.Join(err, f.Close())
}

// create writes a new file; sync makes its bytes durable, not yet its name.
func create(d disk, path string, b []byte, sync bool) error {
	f, err := d.Create(path, 0o400)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, d.Remove(path))
	}
	return nil
}

// syncFile makes the bytes of a file durable that was written without.
func syncFile(d disk, path string) error {
	f, err := d.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
