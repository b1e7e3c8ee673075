package token

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
)

// File is the place of the tokens in a state directory.
var File = filepath.Join("keys", "tokens.json")

// Store is the file of tokens. Several processes may use it: writers take turns by a lock file
// beside it, and a reader sees a change at its next question. It is safe for concurrent use.
type Store struct {
	path   string
	clock  clock.Clock
	random io.Reader

	mu   sync.Mutex
	seen fs.FileInfo // of the file that list was read from
	list []Record
}

type document struct {
	Format int      `json:"format"`
	Tokens []Record `json:"tokens"`
}

const format = 1

// Open returns the store in that file, which need not exist. random nil means crypto/rand.
func Open(path string, clk clock.Clock, random io.Reader) *Store {
	return &Store{path: path, clock: clk, random: random}
}

// Verify finds the record of a token; ErrUnknown, or ErrFile when nobody can be let in.
func (s *Store) Verify(token string) (Record, error) {
	list, err := s.current()
	if err != nil {
		return Record{}, err
	}
	h := hash(token)
	for i := range list {
		if subtle.ConstantTimeCompare([]byte(list[i].Hash), []byte(h)) == 1 {
			return list[i], nil
		}
	}
	return Record{}, ErrUnknown
}

// List returns all records, sorted by name.
func (s *Store) List() ([]Record, error) {
	list, err := s.current()
	return slices.Clone(list), err
}

// current returns the records, read again when the file changed.
func (s *Store) current() ([]Record, error) {
	info, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list != nil && os.SameFile(info, s.seen) && info.Size() == s.seen.Size() && info.ModTime().Equal(s.seen.ModTime()) {
		return s.list, nil
	}
	list, err := s.read()
	if err != nil {
		return nil, err
	}
	s.list, s.seen = list, info
	return list, nil
}

func (s *Store) read() ([]Record, error) {
	b, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return []Record{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("%w: %s: %w; restore it, or remove it and make new tokens", ErrFile, s.path, err)
	}
	if d.Format != format {
		return nil, fmt.Errorf("%w: %s has format %d, this program knows %d", ErrFile, s.path, d.Format, format)
	}
	for i := range d.Tokens {
		if err := d.Tokens[i].check(); err != nil {
			return nil, fmt.Errorf("%w: %s, token %d: %w", ErrFile, s.path, i, err)
		}
	}
	if d.Tokens == nil {
		d.Tokens = []Record{}
	}
	return d.Tokens, nil
}

// Create makes a token and returns it; it cannot be had again. ErrExists when the name is taken.
func (s *Store) Create(r Record) (secret string, err error) { return s.put(r, false) }

// Replace makes a token in place of one of the same name, which ends at once.
func (s *Store) Replace(r Record) (secret string, err error) { return s.put(r, true) }

func (s *Store) put(r Record, replace bool) (secret string, err error) {
	if err := r.check(); err != nil {
		return "", err
	}
	if secret, err = generate(s.random); err != nil {
		return "", err
	}
	r.Hash, r.Created = hash(secret), s.clock.Now()
	err = s.update(func(list []Record) ([]Record, error) {
		i, taken := slices.BinarySearchFunc(list, r.Name, byName)
		switch {
		case taken && !replace:
			return nil, fmt.Errorf("%w: %q", ErrExists, r.Name)
		case taken:
			list[i] = r
			return list, nil
		}
		return slices.Insert(list, i, r), nil
	})
	return secret, err
}

func byName(r Record, name string) int {
	switch {
	case r.Name < name:
		return -1
	case r.Name > name:
		return 1
	}
	return 0
}

// Revoke ends a token; ErrUnknown when there is none of that name.
func (s *Store) Revoke(name string) error {
	return s.update(func(list []Record) ([]Record, error) {
		i, ok := slices.BinarySearchFunc(list, name, byName)
		if !ok {
			return nil, fmt.Errorf("%w: no token is named %q", ErrUnknown, name)
		}
		return slices.Delete(list, i, i+1), nil
	})
}

// update changes the file as a whole: readers see the old or the new one.
func (s *Store) update(change func([]Record) ([]Record, error)) (err error) {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	list, err := s.read()
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b Record) int { return byName(a, b.Name) })
	if list, err = change(list); err != nil {
		return err
	}
	b, err := json.MarshalIndent(document{format, list}, "", "  ")
	if err != nil {
		return err
	}
	if err := WriteFile(s.path, append(b, '\n')); err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	s.mu.Lock()
	s.list = nil
	s.mu.Unlock()
	return nil
}

// A writer that waits longer than lockWait gives up; a lock older than lockStale was left by
// one that died.
const (
	lockStep  = 20 * time.Millisecond
	lockWait  = 3 * time.Second
	lockStale = time.Minute
)

func (s *Store) lock() (unlock func() error, err error) {
	path := s.path + ".lock"
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	for waited := time.Duration(0); ; waited += lockStep {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err == nil {
			return func() error { return os.Remove(path) }, f.Close()
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("%w: %w", ErrFile, err)
		}
		if info, err := os.Stat(path); err == nil && s.clock.Now().Sub(info.ModTime()) > lockStale {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("%w: %w", ErrFile, err)
			}
			continue
		}
		if waited >= lockWait {
			return nil, fmt.Errorf("%w: %s is held by another command; remove it if none runs", ErrFile, path)
		}
		<-s.clock.NewTimer(lockStep).C
	}
}

// WriteFile replaces a file by one with that content, readable by its owner alone: it is there
// whole or as it was.
func WriteFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // created with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
