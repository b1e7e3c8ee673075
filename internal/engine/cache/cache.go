// Package cache is the contract of the cache: values with a time to live that can all be derived
// again, each of one tenant. What is read from it may be missing or late; a decision that must be
// right is made on the database. An absent or failing cache costs work, never correctness: readers
// go on to the source, and nothing is allowed, counted or closed because a cache said so.
//
// Engines are cache/memory (in the process) and cache/redis (Redis, Valkey); both pass the suite
// in cache/cachetest.
package cache

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrMiss says that there is no live value under a key.
	ErrMiss = errors.New("cache: miss")
	// ErrUnavailable wraps errors of the engine. A reader takes it for a miss and goes to the
	// source; whoever must know that a value is gone may not.
	ErrUnavailable = errors.New("cache: unavailable")
	// ErrInvalid says that a key, a value or a time to live is none, or that a number was asked
	// for where there is none. Trying again cannot help.
	ErrInvalid = errors.New("cache: invalid argument")
)

// Bounds of keys and values.
const (
	MaxTenant = 200     // bytes
	MaxSpace  = 40      // bytes
	MaxName   = 2048    // bytes
	MaxValue  = 1 << 20 // bytes
	MaxLife   = 60 * 24 * time.Hour
)

// Space is a group of keys of a tenant, such as "ioc", that one consumer owns.
type Space struct {
	Tenant string
	Name   string // lower-case letters, digits and "_"
}

// Entry is a value with its time to live.
type Entry struct {
	Name  string
	Value []byte
	Life  time.Duration
}

// Cache keeps values. It is safe for concurrent use. Values handed in are not to be changed
// afterwards, those handed out not at all. An engine may drop any value at any time.
type Cache interface {
	// Get returns the value of a name, or ErrMiss.
	Get(ctx context.Context, s Space, name string) ([]byte, error)
	// GetMany returns the values of names in their order; nil is a miss. An empty value is not nil.
	GetMany(ctx context.Context, s Space, names []string) ([][]byte, error)
	// Set keeps values for their time to live, which is more than zero and at most MaxLife.
	Set(ctx context.Context, s Space, entries ...Entry) error
	// Delete removes names; those that are absent too.
	Delete(ctx context.Context, s Space, names ...string) error
	// Incr adds to a number and returns the sum. A number that is absent begins at zero and lives
	// for life from then on, however often it is added to. ErrInvalid when
	// there is a value that is no decimal number, or the sum is beyond 64 bits.
	Incr(ctx context.Context, s Space, name string, by int64, life time.Duration) (int64, error)
	// CompareAndSet replaces the value of a name when it is old, where a nil old is an absent one,
	// and reports whether it was.
	CompareAndSet(ctx context.Context, s Space, old []byte, e Entry) (bool, error)
	// Close ends what the engine runs. Calls after it fail with ErrUnavailable. Safe to call twice.
	Close() error
}

// Check returns ErrInvalid when a space or one of the names is none.
func Check(s Space, names ...string) error {
	if s.Tenant == "" || len(s.Tenant) > MaxTenant {
		return fmt.Errorf("%w: tenant %q; 1 to %d bytes are allowed", ErrInvalid, s.Tenant, MaxTenant)
	}
	if s.Name == "" || len(s.Name) > MaxSpace {
		return fmt.Errorf("%w: space %q; 1 to %d bytes are allowed", ErrInvalid, s.Name, MaxSpace)
	}
	for _, c := range []byte(s.Name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return fmt.Errorf("%w: space %q: %q is not allowed", ErrInvalid, s.Name, c)
		}
	}
	for _, n := range names {
		if n == "" || len(n) > MaxName {
			return fmt.Errorf("%w: a name of %d bytes in %s; 1 to %d are allowed", ErrInvalid, len(n), s.Name, MaxName)
		}
	}
	return nil
}

// CheckEntries returns ErrInvalid when a space or one of the entries is none.
func CheckEntries(s Space, entries ...Entry) error {
	if err := Check(s); err != nil {
		return err
	}
	for i := range entries {
		e := &entries[i]
		if err := Check(s, e.Name); err != nil {
			return err
		}
		if len(e.Value) > MaxValue {
			return fmt.Errorf("%w: %s/%s has %d bytes; at most %d are allowed", ErrInvalid, s.Name, e.Name, len(e.Value), MaxValue)
		}
		if err := CheckLife(e.Life); err != nil {
			return err
		}
	}
	return nil
}

// CheckLife returns ErrInvalid when a time to live is none. Shorter than a millisecond is none:
// engines count in those.
func CheckLife(life time.Duration) error {
	if life < time.Millisecond || life > MaxLife {
		return fmt.Errorf("%w: a time to live of %s; 1ms to %s are allowed", ErrInvalid, life, MaxLife)
	}
	return nil
}
