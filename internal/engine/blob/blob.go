// Package blob is the contract of the object store. It keeps two kinds of immutable objects, each
// of one tenant: objects of content, named by the SHA-256 of their bytes (native alerts, prompts,
// answers), and named objects that are written once and protected for a time or by a legal hold
// (checkpoints, evidence packages, cold partitions of the audit).
//
// Engines are blob/dir (a directory), blob/s3 (S3 and what speaks it) and blob/cloud (Google Cloud
// Storage, Azure Blob Storage); all pass the suite in blob/blobtest.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
)

var (
	// ErrNotFound says that the tenant has no object of this reference or name.
	ErrNotFound = errors.New("blob: not found")
	// ErrDamaged says that the bytes of an object are not the ones that were put there.
	ErrDamaged = errors.New("blob: content does not match its reference")
	// ErrUnavailable wraps errors of the engine; they are transient.
	ErrUnavailable = errors.New("blob: store unavailable")
	// ErrExists says that a named object is there already: it is written once.
	ErrExists = errors.New("blob: object exists")
	// ErrRetained says that an object is under retention or a legal hold, or that a retention was
	// to be shortened.
	ErrRetained = errors.New("blob: object is retained")
	// ErrInvalid says that a tenant, a name or a limit is none. Trying again cannot help.
	ErrInvalid = errors.New("blob: invalid argument")
	// ErrUnsupported says that the store is not set up to keep a promise that is asked of it, such
	// as retention in a bucket without object lock.
	ErrUnsupported = errors.New("blob: not supported by this store")
)

// Store keeps objects of content. It is safe for concurrent use. The caller keeps the bytes it
// passes and owns those it gets; they must not be changed while a call runs.
type Store interface {
	// Put stores b durably for the tenant and returns its reference; the same bytes again are
	// cheap and give the same reference.
	Put(ctx context.Context, tenant string, b []byte) (ref string, err error)
	// PutMany is Put for many objects, in as few durable writes as the engine can. It returns
	// their references in order when all are durable. On an error any of them may have been
	// stored; putting all of them again does no harm.
	PutMany(ctx context.Context, tenant string, objects [][]byte) (refs []string, err error)
	// Get returns the bytes of a reference of the tenant after checking them. It fails with
	// ErrNotFound or ErrDamaged.
	Get(ctx context.Context, tenant, ref string) ([]byte, error)
}

// Archive keeps named objects. It is safe for concurrent use. Names are those of CheckName.
type Archive interface {
	// PutNamed stores what body holds from its present position to its end, with its protection,
	// durably and as a whole. When the name is taken it changes nothing and returns ErrExists with
	// the Info of what is there: after an error of which nobody knows whether the object was
	// stored, the caller puts it again and compares Info.SHA256. body may be read twice.
	PutNamed(ctx context.Context, tenant, name string, body io.ReadSeeker, p Protection) (Info, error)
	// Open returns the bytes of an object, to be closed by the caller. They are checked while they
	// are read: in place of io.EOF the reader returns ErrDamaged when they are not what was put.
	Open(ctx context.Context, tenant, name string) (io.ReadCloser, Info, error)
	// Stat describes an object.
	Stat(ctx context.Context, tenant, name string) (Info, error)
	// List returns at most limit objects whose names begin with prefix and follow after, ordered
	// by the bytes of their names. Fewer than limit means that there are no more. limit is at
	// least 1.
	List(ctx context.Context, tenant, prefix, after string, limit int) ([]Entry, error)
	// Extend retains an object until the time given. It fails with ErrRetained when that is
	// earlier than what holds: retention is never shortened.
	Extend(ctx context.Context, tenant, name string, until time.Time) error
	// SetHold sets or clears the legal hold, which has no end of its own.
	SetHold(ctx context.Context, tenant, name string, hold bool) error
	// Delete removes an object. It fails with ErrRetained while it is retained or held.
	Delete(ctx context.Context, tenant, name string) error
}

// Engine is an object store.
type Engine interface {
	Store
	Archive
	// Close ends what the engine runs. Calls after it fail with ErrUnavailable. Safe to call twice.
	Close() error
}

// Protection is what keeps a named object from being deleted.
type Protection struct {
	// RetainUntil is in UTC, to the second; zero is no retention.
	RetainUntil time.Time
	Hold        bool
}

// Blocks reports whether an object so protected must not be deleted at the time now.
func (p Protection) Blocks(now time.Time) bool { return p.Hold || now.Before(p.RetainUntil) }

// Rounded returns p with a retention that stores to the second keep in full.
func (p Protection) Rounded() Protection {
	p.RetainUntil = RoundUp(p.RetainUntil)
	return p
}

// RoundUp returns t in UTC, raised to a whole second.
func RoundUp(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	whole := t.UTC().Truncate(time.Second)
	if whole.Before(t) {
		whole = whole.Add(time.Second)
	}
	return whole
}

// Info describes a named object.
type Info struct {
	Name    string
	Size    int64     // bytes
	SHA256  string    // of the bytes, in lower-case hex
	Created time.Time // when it was put, by the clock of the store or of who put it
	Protection
	// Enforced says that the store itself refuses a deletion that the protection forbids,
	// whatever the credentials. Without it only this program refuses, and whoever reaches the
	// storage by another way can delete.
	Enforced bool
}

// Entry is an object in a list.
type Entry struct {
	Name string
	Size int64 // bytes
}

const (
	scheme  = "sha256:"
	hexSize = 2 * sha256.Size
)

// Ref returns the reference of b.
func Ref(b []byte) string {
	sum := sha256.Sum256(b)
	return scheme + hex.EncodeToString(sum[:])
}

// Digest returns the SHA-256 in a reference, in lower-case hex. It fails with ErrNotFound when ref
// is no reference, since no object has it.
func Digest(ref string) (string, error) {
	if len(ref) != len(scheme)+hexSize || ref[:len(scheme)] != scheme {
		return "", fmt.Errorf("%w: %q is no reference", ErrNotFound, ref)
	}
	hexed := ref[len(scheme):]
	for _, c := range []byte(hexed) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", fmt.Errorf("%w: %q is no reference", ErrNotFound, ref)
		}
	}
	return hexed, nil
}

// Measure reads body from its present position to its end, takes it back there, and returns how
// long it is and its SHA-256 in hex.
func Measure(body io.ReadSeeker) (size int64, digest string, err error) {
	start, err := body.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, "", fmt.Errorf("%w: the body cannot be sought: %w", ErrInvalid, err)
	}
	h := sha256.New()
	if size, err = io.Copy(h, body); err != nil {
		return 0, "", fmt.Errorf("read the body: %w", err)
	}
	if _, err := body.Seek(start, io.SeekStart); err != nil {
		return 0, "", fmt.Errorf("%w: the body cannot be sought: %w", ErrInvalid, err)
	}
	return size, hex.EncodeToString(h.Sum(nil)), nil
}
