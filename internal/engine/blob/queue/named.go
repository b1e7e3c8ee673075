package queue

import (
	"context"
	"io"
	"time"

	"github.com/aluskort/aluskort/internal/engine/blob"
)

// PutNamed implements blob.Archive.
func (q *Queue) PutNamed(ctx context.Context, tenant, name string, body io.ReadSeeker, p blob.Protection) (blob.Info, error) {
	s, err := q.reach(ctx)
	if err != nil {
		return blob.Info{}, err
	}
	return s.PutNamed(ctx, tenant, name, body, p)
}

// Open implements blob.Archive.
func (q *Queue) Open(ctx context.Context, tenant, name string) (io.ReadCloser, blob.Info, error) {
	s, err := q.reach(ctx)
	if err != nil {
		return nil, blob.Info{}, err
	}
	return s.Open(ctx, tenant, name)
}

// Stat implements blob.Archive.
func (q *Queue) Stat(ctx context.Context, tenant, name string) (blob.Info, error) {
	s, err := q.reach(ctx)
	if err != nil {
		return blob.Info{}, err
	}
	return s.Stat(ctx, tenant, name)
}

// List implements blob.Archive.
func (q *Queue) List(ctx context.Context, tenant, prefix, after string, limit int) ([]blob.Entry, error) {
	s, err := q.reach(ctx)
	if err != nil {
		return nil, err
	}
	return s.List(ctx, tenant, prefix, after, limit)
}

// Extend implements blob.Archive.
func (q *Queue) Extend(ctx context.Context, tenant, name string, until time.Time) error {
	s, err := q.reach(ctx)
	if err != nil {
		return err
	}
	return s.Extend(ctx, tenant, name, until)
}

// SetHold implements blob.Archive.
func (q *Queue) SetHold(ctx context.Context, tenant, name string, hold bool) error {
	s, err := q.reach(ctx)
	if err != nil {
		return err
	}
	return s.SetHold(ctx, tenant, name, hold)
}

// Delete implements blob.Archive.
func (q *Queue) Delete(ctx context.Context, tenant, name string) error {
	s, err := q.reach(ctx)
	if err != nil {
		return err
	}
	return s.Delete(ctx, tenant, name)
}
