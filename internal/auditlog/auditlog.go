// Package auditlog is the audit-service: it takes the audit messages of all producers, seals
// their events into one chain per tenant, and stores, verifies and exports the chains. It also
// has the producer's side, the Emitter, which numbers audit events without gap in the
// transaction of their cause.
//
// Every event of a producer enters the chain exactly once: a message carries the origin (the id
// of the producer's database) and the numbers of its events, and the service moves its memory
// of the last number in the transaction that appends.
package auditlog

import (
	"embed"
	"errors"
	"fmt"
	"strings"
)

// Topic is the topic of audit messages; their key is the tenant.
const Topic = "audit.events"

// Migrations holds the numbered migrations of the audit database, one folder per SQL dialect.
//
//go:embed migrations
var Migrations embed.FS

// The folders in Migrations by engine.
const (
	MigrationsSQLite   = "migrations/sqlite"
	MigrationsPostgres = "migrations/postgres"
)

// SequenceDDL creates, in the database of a producer, the table from which the Emitter numbers
// its events. It is the same text for SQLite and PostgreSQL and belongs into a migration there.
const SequenceDDL = `CREATE TABLE audit_sequence (
	tenant   TEXT   NOT NULL PRIMARY KEY,
	last_seq BIGINT NOT NULL
);`

var (
	// ErrOriginGap is matched by *OriginGapError.
	ErrOriginGap = errors.New("auditlog: events of an origin are missing")
	// ErrChainBroken is matched by *ChainBrokenError.
	ErrChainBroken = errors.New("auditlog: chain does not end with its head")
	// ErrNoTenant is returned by readers for a tenant that has no chain.
	ErrNoTenant = errors.New("auditlog: tenant has no chain")
	// ErrNoRecord is returned for a sequence number that the chain does not have.
	ErrNoRecord = errors.New("auditlog: no such record")
	// ErrContended is returned when other writers moved the head again and again. It is transient.
	ErrContended = errors.New("auditlog: other writers keep moving the head")
	// ErrMessage is wrapped by DecodeMessage.
	ErrMessage = errors.New("auditlog: not an audit message")
)

// OriginGapError says that a message was not appended because events before it have not
// arrived. The origin stands still for this tenant until they do, or until a person calls
// Service.ReanchorOrigin.
type OriginGapError struct {
	Origin, Tenant string
	Last           int64 // last number in the chain
	From           int64 // first number of the message
}

func (e *OriginGapError) Error() string {
	return fmt.Sprintf("auditlog: origin %s, tenant %s: events %d to %d are missing; the message starts at %d",
		e.Origin, e.Tenant, e.Last+1, e.From-1, e.From)
}

// Is matches ErrOriginGap.
func (e *OriginGapError) Is(target error) bool { return target == ErrOriginGap }

// ChainBrokenError says that the stored records of a tenant do not end with the stored head.
// Nothing is appended to such a chain.
type ChainBrokenError struct{ Tenant, Detail string }

func (e *ChainBrokenError) Error() string {
	return fmt.Sprintf("auditlog: chain of %s: %s; verify it and restore the database", e.Tenant, e.Detail)
}

// Is matches ErrChainBroken.
func (e *ChainBrokenError) Is(target error) bool { return target == ErrChainBroken }

// Refusal is one message of an Append that was not appended.
type Refusal struct {
	Message int // index in the slice given to Append
	Err     error
}

// AppendError is returned by Append when some messages were refused. All others are durable.
// The refused ones must not be acknowledged.
type AppendError struct{ Refused []Refusal }

func (e *AppendError) Error() string {
	parts := make([]string, len(e.Refused))
	for i, r := range e.Refused {
		parts[i] = fmt.Sprintf("message %d: %v", r.Message, r.Err)
	}
	return strings.Join(parts, "; ")
}

// Unwrap returns the errors of the refused messages.
func (e *AppendError) Unwrap() []error {
	out := make([]error, len(e.Refused))
	for i, r := range e.Refused {
		out[i] = r.Err
	}
	return out
}
