//go:build cloud

package cloud

import (
	"context"
	"fmt"
	"net/url"

	"gocloud.dev/blob"
	// The drivers of the services register their schemes.
	_ "gocloud.dev/blob/azureblob"
	_ "gocloud.dev/blob/gcsblob"

	contract "github.com/aluskort/aluskort/internal/engine/blob"
)

// Open opens a bucket by its address: gs://BUCKET, with the credentials that
// GOOGLE_APPLICATION_CREDENTIALS names or those of the machine, or azblob://CONTAINER, with
// AZURE_STORAGE_ACCOUNT and a key, a token or the identity of the machine.
func Open(ctx context.Context, address string, cfg Config) (*Bucket, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "gs" && u.Scheme != "azblob" {
		return nil, fmt.Errorf("%w: address %q; want gs://BUCKET or azblob://CONTAINER", contract.ErrInvalid, address)
	}
	raw, err := blob.OpenBucket(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("%w: open %s: %w", contract.ErrUnavailable, u.Redacted(), err)
	}
	b, err := New(raw, cfg)
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	ok, err := raw.IsAccessible(ctx)
	if err == nil && ok {
		return b, nil
	}
	_ = raw.Close()
	if err == nil {
		err = fmt.Errorf("it does not exist, or is not ours")
	}
	return nil, fmt.Errorf("%w: open %s: %w", contract.ErrUnavailable, u.Redacted(), err)
}
