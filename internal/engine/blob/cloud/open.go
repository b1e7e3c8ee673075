//go:build cloud

package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcerrors"
	"gocloud.dev/gcp"
	"golang.org/x/oauth2/google"

	contract "github.com/aluskort/aluskort/internal/engine/blob"
)

// OpenGCS opens a bucket of Google Cloud Storage. Without one of that name it fails with
// contract.ErrNotFound.
func OpenGCS(ctx context.Context, s GCS, cfg Config) (*Bucket, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	creds, err := s.credentials(context.WithoutCancel(ctx)) // tokens are fetched later too
	if err != nil {
		return nil, err
	}
	client, err := gcp.NewHTTPClient(gcp.DefaultTransport(), gcp.CredentialsTokenSource(creds))
	if err != nil {
		return nil, fmt.Errorf("%w: credentials of Google Cloud Storage: %w", contract.ErrInvalid, err)
	}
	raw, err := gcsblob.OpenBucket(ctx, client, s.Bucket, nil)
	return reach(ctx, raw, err, "gs://"+s.Bucket, cfg)
}

const gcsScope = "https://www.googleapis.com/auth/devstorage.full_control"

func (s *GCS) credentials(ctx context.Context) (*google.Credentials, error) {
	if s.CredentialsFile == "" {
		creds, err := gcp.DefaultCredentials(ctx)
		if err != nil {
			return nil, fmt.Errorf("%w: credentials of Google Cloud Storage: %w", contract.ErrUnavailable, err)
		}
		return creds, nil
	}
	b, err := os.ReadFile(s.CredentialsFile)
	if err != nil {
		return nil, fmt.Errorf("%w: credentials of Google Cloud Storage: %w", contract.ErrInvalid, err)
	}
	creds, err := google.CredentialsFromJSONWithType(ctx, b, google.ServiceAccount, gcsScope)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", contract.ErrInvalid, s.CredentialsFile, err)
	}
	return creds, nil
}

// OpenAzure opens a container of Azure Blob Storage. Without one of that name it fails with
// contract.ErrNotFound.
func OpenAzure(ctx context.Context, s Azure, cfg Config) (*Bucket, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	raw, err := azureblob.OpenBucket(ctx, client, nil)
	return reach(ctx, raw, err, "azblob://"+s.Account+"/"+s.Container, cfg)
}

func (s *Azure) sas() string {
	if s.KeyFile != "" {
		return ""
	}
	return os.Getenv("AZURE_STORAGE_SAS_TOKEN")
}

func (s *Azure) client() (*container.Client, error) {
	o := azureblob.ServiceURLOptions{AccountName: s.Account, StorageDomain: s.Domain, SASToken: s.sas()}
	if loopback(s.Domain) {
		o.IsLocalEmulator, o.Protocol = true, "http"
	}
	service, err := azureblob.NewServiceURL(&o)
	if err != nil {
		return nil, fmt.Errorf("%w: account of Azure: %w", contract.ErrInvalid, err)
	}
	if s.KeyFile == "" {
		c, err := azureblob.NewDefaultClient(service, azureblob.ContainerName(s.Container))
		if err != nil {
			return nil, fmt.Errorf("%w: credentials of Azure: %w", contract.ErrInvalid, err)
		}
		return c, nil
	}
	b, err := os.ReadFile(s.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("%w: key of Azure: %w", contract.ErrInvalid, err)
	}
	key, err := container.NewSharedKeyCredential(s.Account, strings.TrimSpace(string(b)))
	if err != nil {
		return nil, fmt.Errorf("%w: %s holds no key of an account", contract.ErrInvalid, s.KeyFile) // the error may quote it
	}
	place, err := url.JoinPath(string(service), s.Container)
	if err != nil {
		return nil, fmt.Errorf("%w: container of Azure: %w", contract.ErrInvalid, err)
	}
	c, err := container.NewClientWithSharedKeyCredential(place, key, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: container of Azure: %w", contract.ErrInvalid, err)
	}
	return c, nil
}

func loopback(domain string) bool {
	at, err := netip.ParseAddrPort(domain)
	return err == nil && at.Addr().IsLoopback()
}

// reach makes an engine of a bucket that answers.
func reach(ctx context.Context, raw *blob.Bucket, err error, place string, cfg Config) (*Bucket, error) {
	if err != nil {
		return nil, fmt.Errorf("%w: open %s: %w", contract.ErrUnavailable, place, err)
	}
	b, err := New(raw, cfg)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	ok, err := raw.IsAccessible(ctx)
	if err == nil && ok {
		return b, nil
	}
	_ = b.Close()
	if err == nil || gcerrors.Code(err) == gcerrors.NotFound {
		return nil, fmt.Errorf("%w: %s does not exist, or is not ours", contract.ErrNotFound, place)
	}
	return nil, fmt.Errorf("%w: open %s: %w", contract.ErrUnavailable, place, err)
}
