package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/aluskort/aluskort/internal/engine/blob"
)

// Headers that tell the protection of a version. They are asked for with HEAD: the answer of the
// calls that read retention differs between servers.
const (
	headMode  = "X-Amz-Object-Lock-Mode"
	headUntil = "X-Amz-Object-Lock-Retain-Until-Date"
	headHold  = "X-Amz-Object-Lock-Legal-Hold"
)

func (b *Bucket) namedPrefix(tenant string) (string, error) {
	escaped, err := blob.EscapeTenant(tenant)
	if err != nil {
		return "", err
	}
	return b.cfg.Prefix + escaped + "/named/", nil
}

// begin checks the arguments of a call and returns the key of the object.
func (b *Bucket) begin(ctx context.Context, tenant, name string) (string, error) {
	prefix, err := b.namedPrefix(tenant)
	if err != nil {
		return "", err
	}
	if err := blob.CheckName(name); err != nil {
		return "", err
	}
	return prefix + name, b.ended(ctx)
}

// PutNamed implements blob.Archive. The body is sent in one request and may have 5 GB.
func (b *Bucket) PutNamed(ctx context.Context, tenant, name string, body io.ReadSeeker, p blob.Protection) (blob.Info, error) {
	key, err := b.begin(ctx, tenant, name)
	if err != nil {
		return blob.Info{}, err
	}
	p = p.Rounded()
	if p != (blob.Protection{}) && !b.locking {
		return blob.Info{}, fmt.Errorf("%w: bucket %s has no object lock", blob.ErrUnsupported, b.cfg.Bucket)
	}
	size, digest, err := blob.Measure(body)
	if err != nil {
		return blob.Info{}, err
	}
	if size > largest {
		return blob.Info{}, fmt.Errorf("%w: %s has %d bytes; at most %d are allowed", blob.ErrInvalid, name, size, int64(largest))
	}
	start, err := body.Seek(0, io.SeekCurrent)
	if err != nil {
		return blob.Info{}, fmt.Errorf("read the body: %w", err)
	}
	for range b.cfg.Attempts {
		// A key that is taken, or hidden behind a delete marker, which does not stop a put.
		info, err := b.stat(ctx, key, name)
		if err == nil {
			return info, fmt.Errorf("%w: %s", blob.ErrExists, name)
		}
		if !errors.Is(err, blob.ErrNotFound) {
			return blob.Info{}, err
		}
		w := &window{body: body, start: start}
		up, err := b.create(ctx, key, w, size, digest, p)
		switch {
		case w.err != nil:
			return blob.Info{}, fmt.Errorf("read the body: %w", w.err)
		case err == nil:
			return b.won(ctx, key, name, up.VersionID)
		case !taken(err):
			return blob.Info{}, fault("put", name, err)
		}
	}
	return blob.Info{}, fmt.Errorf("%w: put %s: others put it at the same time", blob.ErrUnavailable, name)
}

// won describes the object that was put, or says that another version was first.
func (b *Bucket) won(ctx context.Context, key, name, version string) (blob.Info, error) {
	info, found, err := b.describe(ctx, key, name)
	if err == nil && version != "" && found != version {
		return info, fmt.Errorf("%w: %s", blob.ErrExists, name)
	}
	return info, err
}

// window is a body from where it stood, sought from there, that remembers its error.
type window struct {
	body  io.ReadSeeker
	start int64
	err   error
}

func (w *window) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

func (w *window) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		offset += w.start
	}
	at, err := w.body.Seek(offset, whence)
	return at - w.start, err
}

// first returns the first version of a key.
func (b *Bucket) first(ctx context.Context, key string) (minio.ObjectInfo, error) {
	versions, err := b.versions(ctx, key)
	if err != nil {
		return minio.ObjectInfo{}, err
	}
	for i := len(versions) - 1; i >= 0; i-- {
		if !versions[i].IsDeleteMarker {
			return versions[i], nil
		}
	}
	return minio.ObjectInfo{}, fmt.Errorf("%w: %s", blob.ErrNotFound, key)
}

// versions returns all versions and delete markers of a key, newest first.
func (b *Bucket) versions(ctx context.Context, key string) ([]minio.ObjectInfo, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var out []minio.ObjectInfo
	for v := range b.client.ListObjectsIter(ctx, b.cfg.Bucket, minio.ListObjectsOptions{WithVersions: true, Prefix: key, Recursive: true, MaxKeys: 100}) {
		if v.Err != nil {
			return nil, fault("list versions of", key, v.Err)
		}
		if v.Key > key {
			break
		}
		if v.Key == key {
			out = append(out, v)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fault("list versions of", key, err)
	}
	return out, nil
}

func (b *Bucket) stat(ctx context.Context, key, name string) (blob.Info, error) {
	info, _, err := b.describe(ctx, key, name)
	return info, err
}

// describe returns what is known of an object, and which version it is.
func (b *Bucket) describe(ctx context.Context, key, name string) (info blob.Info, version string, err error) {
	if b.locking {
		first, err := b.first(ctx, key)
		if err != nil {
			return blob.Info{}, "", err
		}
		version = first.VersionID
	}
	o, err := b.client.StatObject(ctx, b.cfg.Bucket, key, minio.StatObjectOptions{VersionID: version})
	if err != nil {
		return blob.Info{}, "", fault("stat", name, err)
	}
	info, err = about(&o, name)
	return info, version, err
}

func about(o *minio.ObjectInfo, name string) (blob.Info, error) {
	info := blob.Info{Name: name, Size: o.Size, Created: o.LastModified.UTC()}
	for k, v := range o.UserMetadata {
		switch {
		case strings.EqualFold(k, digestKey):
			info.SHA256 = v
		case strings.EqualFold(k, createdKey):
			if at, err := time.Parse(time.RFC3339, v); err == nil {
				info.Created = at.UTC()
			}
		}
	}
	if info.SHA256 == "" {
		return info, fmt.Errorf("%w: %s was not put by this engine: it has no digest", blob.ErrDamaged, name)
	}
	var err error
	info.Protection, err = protection(o.Metadata)
	info.Enforced = info.Protection != (blob.Protection{})
	if err != nil {
		return info, fmt.Errorf("%w: %s: %w", blob.ErrUnavailable, name, err)
	}
	return info, nil
}

func protection(h http.Header) (p blob.Protection, err error) {
	p.Hold = strings.EqualFold(h.Get(headHold), string(minio.LegalHoldEnabled))
	if until := h.Get(headUntil); until != "" && h.Get(headMode) != "" {
		if p.RetainUntil, err = time.Parse(time.RFC3339, until); err != nil {
			return p, fmt.Errorf("retention until %q: %w", until, err)
		}
		p.RetainUntil = blob.RoundUp(p.RetainUntil)
	}
	return p, nil
}

// Stat implements blob.Archive. Info.Enforced says that the store holds a retention or a hold.
func (b *Bucket) Stat(ctx context.Context, tenant, name string) (blob.Info, error) {
	key, err := b.begin(ctx, tenant, name)
	if err != nil {
		return blob.Info{}, err
	}
	return b.stat(ctx, key, name)
}

// Open implements blob.Archive.
func (b *Bucket) Open(ctx context.Context, tenant, name string) (io.ReadCloser, blob.Info, error) {
	key, err := b.begin(ctx, tenant, name)
	if err != nil {
		return nil, blob.Info{}, err
	}
	info, version, err := b.describe(ctx, key, name)
	if err != nil {
		return nil, info, err
	}
	r, _, _, err := b.core.GetObject(ctx, b.cfg.Bucket, key, minio.GetObjectOptions{VersionID: version})
	if err != nil {
		return nil, info, fault("open", name, err)
	}
	return blob.Verify(r, name, info.Size, info.SHA256), info, nil
}

// List implements blob.Archive.
func (b *Bucket) List(ctx context.Context, tenant, prefix, after string, limit int) ([]blob.Entry, error) {
	base, err := b.namedPrefix(tenant)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(blob.CheckList(prefix, after, limit), b.ended(ctx)); err != nil {
		return nil, err
	}
	opts := minio.ListObjectsOptions{WithVersions: b.locking, Prefix: base + prefix, Recursive: true, MaxKeys: min(limit+1, 1000)}
	if after != "" {
		opts.StartAfter = base + after
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var out []blob.Entry
	for o := range b.client.ListObjectsIter(ctx, b.cfg.Bucket, opts) {
		if o.Err != nil {
			return nil, fault("list", prefix, o.Err)
		}
		name := strings.TrimPrefix(o.Key, base)
		if o.IsDeleteMarker || name <= after || strings.HasSuffix(name, "/") {
			continue
		}
		if n := len(out); n > 0 && out[n-1].Name == name { // an older version
			out[n-1].Size = o.Size
			continue
		}
		if len(out) == limit {
			return out, nil
		}
		out = append(out, blob.Entry{Name: name, Size: o.Size})
	}
	if err := ctx.Err(); err != nil {
		return nil, fault("list", prefix, err)
	}
	return out, nil
}

// Extend implements blob.Archive.
func (b *Bucket) Extend(ctx context.Context, tenant, name string, until time.Time) error {
	until = blob.RoundUp(until)
	return b.protect(ctx, tenant, name, func(key, version string, info *blob.Info) error {
		if until.Before(info.RetainUntil) {
			return fmt.Errorf("%w: %s until %s, which is later than %s", blob.ErrRetained, name,
				info.RetainUntil.Format(time.RFC3339), until.Format(time.RFC3339))
		}
		if until.Equal(info.RetainUntil) {
			return nil
		}
		mode := minio.RetentionMode(b.cfg.Mode)
		return b.client.PutObjectRetention(ctx, b.cfg.Bucket, key, minio.PutObjectRetentionOptions{Mode: &mode, RetainUntilDate: &until, VersionID: version})
	})
}

// SetHold implements blob.Archive.
func (b *Bucket) SetHold(ctx context.Context, tenant, name string, hold bool) error {
	return b.protect(ctx, tenant, name, func(key, version string, info *blob.Info) error {
		if info.Hold == hold {
			return nil
		}
		status := minio.LegalHoldDisabled
		if hold {
			status = minio.LegalHoldEnabled
		}
		return b.client.PutObjectLegalHold(ctx, b.cfg.Bucket, key, minio.PutObjectLegalHoldOptions{Status: &status, VersionID: version})
	})
}

func (b *Bucket) protect(ctx context.Context, tenant, name string, change func(key, version string, info *blob.Info) error) error {
	key, err := b.begin(ctx, tenant, name)
	if err != nil {
		return err
	}
	info, version, err := b.describe(ctx, key, name)
	if err != nil {
		return err
	}
	if !b.locking {
		return fmt.Errorf("%w: bucket %s has no object lock", blob.ErrUnsupported, b.cfg.Bucket)
	}
	err = change(key, version, &info)
	switch {
	case err == nil, errors.Is(err, blob.ErrRetained):
		return err
	case denied(err) && !info.RetainUntil.IsZero(): // somebody extended it meanwhile
		return fmt.Errorf("%w: %s: %w", blob.ErrRetained, name, err)
	default:
		return fault("protect", name, err)
	}
}

// Delete implements blob.Archive: it destroys every version, the first one first, since that is
// the one that the store may refuse to give up.
func (b *Bucket) Delete(ctx context.Context, tenant, name string) error {
	key, err := b.begin(ctx, tenant, name)
	if err != nil {
		return err
	}
	info, version, err := b.describe(ctx, key, name)
	if err != nil {
		return err
	}
	if info.Blocks(b.cfg.Clock.Now()) {
		return fmt.Errorf("%w: %s (until %s, legal hold %t)", blob.ErrRetained, name, info.RetainUntil.Format(time.RFC3339), info.Hold)
	}
	if err := b.destroy(ctx, key, name, version, &info); err != nil || !b.locking {
		return err
	}
	rest, err := b.versions(ctx, key)
	if err != nil {
		return err
	}
	for i := len(rest) - 1; i >= 0; i-- {
		if err := b.destroy(ctx, key, name, rest[i].VersionID, &info); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bucket) destroy(ctx context.Context, key, name, version string, info *blob.Info) error {
	err := b.client.RemoveObject(ctx, b.cfg.Bucket, key, minio.RemoveObjectOptions{VersionID: version})
	if err != nil && (locked(err) || denied(err) && info.Protection != (blob.Protection{})) {
		// The clock of the store, or somebody's extension, says otherwise than ours.
		return fmt.Errorf("%w: %s: %w", blob.ErrRetained, name, err)
	}
	return fault("delete", name, err)
}
