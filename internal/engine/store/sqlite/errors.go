package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/aluskort/aluskort/internal/engine/store"
)

// appendOnly begins the message of RAISE(ABORT, …) in a trigger that guards a table.
const appendOnly = "append-only"

// classify turns an error of the driver into one of store's, wrapped in what was attempted.
func classify(what string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var e *driver.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%w: %s: %w", store.ErrUnavailable, what, err)
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT:
		if e.Code() == sqlite3.SQLITE_CONSTRAINT_TRIGGER && strings.Contains(e.Error(), appendOnly) {
			return fmt.Errorf("%w: %s: %w", store.ErrImmutable, what, err)
		}
		return fmt.Errorf("%w: %s: %w", store.ErrConstraint, what, err)
	case sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		return fmt.Errorf("%w: %s: %w", store.ErrConstraint, what, err)
	case sqlite3.SQLITE_RANGE:
		return fmt.Errorf("%w: %s: %w", store.ErrMisuse, what, err)
	default:
		return fmt.Errorf("%w: %s: %w", store.ErrUnavailable, what, err)
	}
}

// suspect tells whether the connection may no longer be trusted after err. After a failed
// write or fsync its page cache and the file may disagree, so a new connection starts from
// the file.
func suspect(err error) bool {
	var e *driver.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL,
		sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_INTERNAL, sqlite3.SQLITE_NOLFS, sqlite3.SQLITE_PERM:
		return true
	}
	return false
}
