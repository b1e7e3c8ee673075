package app

import (
	"context"
	"errors"

	"github.com/aluskort/aluskort/internal/auditlog"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store/sqlite"
	"github.com/aluskort/aluskort/internal/statedir"
)

// AuditReader reads the chains of a state directory without its lock, so that it works beside
// a running server and can never write.
type AuditReader struct {
	Service *auditlog.Service
	db      *sqlite.DB
}

// OpenAudit opens the audit database of a state directory for reading.
func OpenAudit(ctx context.Context, dir string) (*AuditReader, error) {
	d, err := statedir.View(dir)
	if err != nil {
		return nil, err
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Path: d.Path("db", "audit.db"), ReadOnly: true, Clock: clock.System{}})
	if err != nil {
		return nil, err
	}
	s, err := auditlog.New(auditlog.Config{DB: db, Clock: clock.System{}})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &AuditReader{Service: s, db: db}, nil
}

// Close closes the database.
func (r *AuditReader) Close() error { return r.db.Close() }
