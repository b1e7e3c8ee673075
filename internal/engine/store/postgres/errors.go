package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/aluskort/aluskort/internal/engine/store"
)

// appendOnly begins the message of RAISE EXCEPTION in a trigger that guards a table.
const appendOnly = "append-only"

// errConflict says that the server aborted a transaction because of another one.
var errConflict = errors.New("conflict with another transaction")

// The SQLSTATEs that are told apart, or their classes of two characters.
const (
	serializationFailure  = "40001"
	deadlockDetected      = "40P01"
	raisedException       = "P0001"
	insufficientPrivilege = "42501"
	undefinedParameter    = "42P02"
	protocolViolation     = "08P01"
	readOnlyTransaction   = "25006"

	classCardinality = "21" // such as one statement that updates a row twice
	classData        = "22"
	classConstraint  = "23"
	classLimit       = "54" // such as a key that is too long for an index
)

// conflicts tells whether running the transaction again can help.
func conflicts(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == serializationFailure || e.Code == deadlockDetected)
}

// classify turns an error of the server or of the connection into one of store's, wrapped in
// what was attempted.
func classify(what string, err error) error {
	if err == nil {
		return nil
	}
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return fmt.Errorf("%w: %s: %w", store.ErrUnavailable, what, err)
	}
	kind := store.ErrUnavailable
	switch {
	case e.Code == raisedException && strings.HasPrefix(e.Message, appendOnly):
		kind = store.ErrImmutable
	case e.Code == raisedException, e.Code == insufficientPrivilege && e.Routine == "ExecWithCheckOptions":
		kind = store.ErrConstraint // the second is row security
	case e.Code == undefinedParameter, e.Code == protocolViolation:
		kind = store.ErrMisuse
	default:
		switch e.Code[:min(2, len(e.Code))] {
		case classCardinality, classData, classConstraint, classLimit:
			kind = store.ErrConstraint
		}
	}
	return fmt.Errorf("%w: %s: %w", kind, what, err)
}
