package s3

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/aluskort/aluskort/internal/engine/blob"
)

const (
	// largest is what one PUT takes. Objects are sent in one, so that they are stored and
	// protected in one step; parts of a multipart upload would be neither.
	largest = 5 << 30
	// digestKey is the metadata that holds the SHA-256 of an object.
	digestKey = "Sha256"
	// createdKey is the metadata that holds when an object was put, in RFC 3339. Stores change their
	// own time of an object when it is copied, replicated or pushed down by another version.
	createdKey = "Created"
)

func (b *Bucket) contentKey(tenant, digest string) (string, error) {
	escaped, err := blob.EscapeTenant(tenant)
	if err != nil {
		return "", err
	}
	return b.cfg.Prefix + escaped + "/content/" + digest[:2] + "/" + digest, nil
}

// create sends an object to a key that must be free. The store checks the bytes against the digest
// before it keeps them.
func (b *Bucket) create(ctx context.Context, key string, body io.ReadSeeker, size int64, digest string, p blob.Protection) (minio.UploadInfo, error) {
	sum, err := hex.DecodeString(digest)
	if err != nil {
		return minio.UploadInfo{}, fmt.Errorf("%w: digest %q", blob.ErrInvalid, digest)
	}
	opts := minio.PutObjectOptions{
		UserMetadata: map[string]string{
			digestKey: digest, createdKey: b.cfg.Clock.Now().Format(time.RFC3339),
			"x-amz-checksum-sha256": base64.StdEncoding.EncodeToString(sum),
		},
		DisableContentSha256: true, // the digest is signed as a whole, not in chunks
	}
	opts.SetMatchETagExcept("*")
	if !p.RetainUntil.IsZero() {
		opts.Mode, opts.RetainUntilDate = minio.RetentionMode(b.cfg.Mode), p.RetainUntil
	}
	if p.Hold {
		opts.LegalHold = minio.LegalHoldEnabled
	}
	return b.core.PutObject(ctx, b.cfg.Bucket, key, body, size, "", digest, opts)
}

// Put implements blob.Store.
func (b *Bucket) Put(ctx context.Context, tenant string, data []byte) (string, error) {
	ref := blob.Ref(data)
	digest, err := blob.Digest(ref)
	if err != nil {
		return "", err
	}
	key, err := b.contentKey(tenant, digest)
	if err != nil {
		return "", err
	}
	if err := b.ended(ctx); err != nil {
		return "", err
	}
	_, err = b.create(ctx, key, bytes.NewReader(data), int64(len(data)), digest, blob.Protection{})
	if err != nil && !taken(err) {
		return "", fault("put", ref, err)
	}
	return ref, nil
}

// PutMany implements blob.Store: every object is a request of its own, many at the same time.
func (b *Bucket) PutMany(ctx context.Context, tenant string, objects [][]byte) ([]string, error) {
	if _, err := blob.EscapeTenant(tenant); err != nil {
		return nil, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(b.cfg.Concurrency)
	refs := make([]string, len(objects))
	seen := make(map[string]bool, len(objects))
	for i, data := range objects {
		refs[i] = blob.Ref(data)
		if seen[refs[i]] {
			continue
		}
		seen[refs[i]] = true
		g.Go(func() error {
			_, err := b.Put(ctx, tenant, data)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return refs, nil
}

// Get implements blob.Store. Where there are versions, the first is asked for when the newest is
// not what the reference says.
func (b *Bucket) Get(ctx context.Context, tenant, ref string) ([]byte, error) {
	digest, err := blob.Digest(ref)
	if err != nil {
		if _, bad := blob.EscapeTenant(tenant); bad != nil {
			err = bad
		}
		return nil, err
	}
	key, err := b.contentKey(tenant, digest)
	if err != nil {
		return nil, err
	}
	if err := b.ended(ctx); err != nil {
		return nil, err
	}
	data, err := b.read(ctx, key, "", ref)
	if !b.locking || !errors.Is(err, blob.ErrNotFound) && !errors.Is(err, blob.ErrDamaged) {
		return data, err
	}
	first, missing := b.first(ctx, key)
	switch {
	case errors.Is(missing, blob.ErrNotFound):
		return nil, err
	case missing != nil:
		return nil, missing
	}
	return b.read(ctx, key, first.VersionID, ref)
}

func (b *Bucket) read(ctx context.Context, key, version, ref string) ([]byte, error) {
	r, _, _, err := b.core.GetObject(ctx, b.cfg.Bucket, key, minio.GetObjectOptions{VersionID: version})
	if err != nil {
		return nil, fault("get", ref, err)
	}
	data, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, fault("get", ref, err)
	}
	if blob.Ref(data) != ref {
		return nil, fmt.Errorf("%w: %s", blob.ErrDamaged, ref)
	}
	return data, nil
}
