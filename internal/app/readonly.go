package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/aluskort/aluskort/internal/auditlog"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/statedir"
)

// AuditReader reads the chains of an installation without the lock of its state directory, so
// that it works beside a running server and can never write.
type AuditReader struct {
	Service *auditlog.Service
	db      store.DB
}

// OpenAudit opens the audit database of an installation for reading.
func OpenAudit(ctx context.Context, c *config.Config) (*AuditReader, error) {
	if c.Store.URL == "" {
		if _, err := statedir.View(c.State); err != nil {
			return nil, err
		}
	}
	d := auditDatabase()
	db, err := d.OpenReadOnly(ctx, c)
	switch {
	case err != nil:
		return nil, err
	case db == nil:
		return nil, fmt.Errorf("open %s: %w", d.Place(c), fs.ErrNotExist)
	}
	s, err := auditlog.New(auditlog.Config{DB: db, Clock: clock.System{}})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &AuditReader{Service: s, db: db}, nil
}

// Close closes the database.
func (r *AuditReader) Close() error { return r.db.Close() }
