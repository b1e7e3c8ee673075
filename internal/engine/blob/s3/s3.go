// Package s3 is the engine of blob for Amazon S3 and what speaks its protocol: MinIO, Ceph,
// versitygw.
//
// Keys are PREFIX/TENANT/content/ab/abcd… for content and PREFIX/TENANT/named/NAME for named
// objects. Puts are conditional (If-None-Match), so nothing is overwritten. Retention and legal
// hold are those of object lock, which the bucket must have been created with; the store itself
// then refuses to destroy a protected version. The first version of a named object is the object:
// versions and delete markers that somebody else puts on top of it change nothing.
package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/blob"
)

// Mode is how the store protects what is retained.
type Mode string

// The modes of object lock.
const (
	// Compliance cannot be lifted by anybody before its time.
	Compliance Mode = "COMPLIANCE"
	// Governance can be lifted by who has the permission to bypass it; this engine never does.
	Governance Mode = "GOVERNANCE"
)

// Config says which bucket to use and how.
type Config struct {
	// Endpoint is a URL such as https://s3.eu-central-1.amazonaws.com; http is without TLS.
	Endpoint string
	Bucket   string
	// Prefix is put before every key; it has no slash at its ends. Empty is none.
	Prefix string
	Region string // empty means us-east-1
	// PathStyle puts the bucket into the path in place of the host name.
	PathStyle bool
	// Mode of retention; empty means Compliance.
	Mode Mode
	// AccessKey and SecretKey are the credentials, or come from files whose content is read at
	// each use, so that they may be rotated. Without either they come from the environment
	// (AWS_ACCESS_KEY_ID and its kin), the shared credentials file, or the role of the machine.
	AccessKey, SecretKey         string
	AccessKeyFile, SecretKeyFile string
	// CAFile holds certificates that are trusted beside those of the system.
	CAFile string
	// Attempts bounds how often a request is made; 0 means 3.
	Attempts int
	// Timeout bounds connecting, the TLS handshake, the wait for the head of an answer, and how
	// long a body may stand still; 0 means 10 s.
	Timeout time.Duration
	// Concurrency is how many objects of PutMany are sent at the same time; 0 means 16.
	Concurrency int
	Clock       clock.Clock // nil is the machine's
}

// Bucket implements blob.Engine.
type Bucket struct {
	cfg       Config
	client    *minio.Client
	core      minio.Core
	transport *http.Transport
	locking   bool // the bucket has object lock
	closed    atomic.Bool
}

var _ blob.Engine = (*Bucket)(nil)

// Open connects to the bucket. Without one of that name that the keys open it fails with
// blob.ErrNotFound, which is not the error of a server that is away. Errors of
// the store wrap blob.ErrUnavailable, those of the configuration blob.ErrInvalid.
func Open(ctx context.Context, cfg Config) (*Bucket, error) {
	endpoint, err := cfg.check()
	if err != nil {
		return nil, err
	}
	transport, err := cfg.transport()
	if err != nil {
		return nil, err
	}
	lookup := minio.BucketLookupAuto
	if cfg.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds: cfg.credentials(transport), Secure: endpoint.Scheme == "https", Transport: transport,
		Region: cfg.Region, BucketLookup: lookup, TrailingHeaders: true, MaxRetries: cfg.Attempts,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: s3: %w", blob.ErrInvalid, err)
	}
	client.SetAppInfo("aluskort", "1")
	b := &Bucket{cfg: cfg, client: client, core: minio.Core{Client: client}, transport: transport}
	if err := b.inspect(ctx); err != nil {
		transport.CloseIdleConnections()
		return nil, err
	}
	return b, nil
}

// inspect finds out whether the bucket is there and has object lock.
func (b *Bucket) inspect(ctx context.Context) error {
	ok, err := b.client.BucketExists(ctx, b.cfg.Bucket)
	switch {
	case err == nil && !ok, err != nil && denied(err): // servers differ in which they say of a stranger
		return fmt.Errorf("%w: bucket %q does not exist, or is not ours: see its name and the keys", blob.ErrNotFound, b.cfg.Bucket)
	case err != nil:
		return fault("open", b.cfg.Bucket, err)
	}
	enabled, _, _, _, err := b.client.GetObjectLockConfig(ctx, b.cfg.Bucket)
	switch code := minio.ToErrorResponse(err).Code; {
	case err == nil:
		b.locking = enabled == "Enabled"
	case code == "ObjectLockConfigurationNotFoundError", code == "NoSuchObjectLockConfiguration", code == "NotImplemented":
	default:
		return fault("read object lock of", b.cfg.Bucket, err)
	}
	return nil
}

// Locking reports whether the bucket has object lock. Without it protection is refused with
// blob.ErrUnsupported.
func (b *Bucket) Locking() bool { return b.locking }

// Close implements blob.Engine.
func (b *Bucket) Close() error {
	b.closed.Store(true)
	b.transport.CloseIdleConnections()
	return nil
}

func (c *Config) check() (*url.URL, error) {
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("%w: endpoint of s3: %w", blob.ErrInvalid, err)
	}
	switch {
	case endpoint.Scheme != "http" && endpoint.Scheme != "https", endpoint.Host == "", endpoint.Path != "" && endpoint.Path != "/", endpoint.User != nil:
		return nil, fmt.Errorf("%w: endpoint of s3 %q; want https://HOST[:PORT]", blob.ErrInvalid, endpoint.Redacted())
	case c.Bucket == "":
		return nil, fmt.Errorf("%w: no bucket is named", blob.ErrInvalid)
	case c.Mode != "" && c.Mode != Compliance && c.Mode != Governance:
		return nil, fmt.Errorf("%w: mode of retention %q; want %s or %s", blob.ErrInvalid, c.Mode, Compliance, Governance)
	case (c.AccessKeyFile == "") != (c.SecretKeyFile == ""), (c.AccessKey == "") != (c.SecretKey == ""):
		return nil, fmt.Errorf("%w: access key and secret key belong together", blob.ErrInvalid)
	}
	if c.Prefix != "" {
		if err := blob.CheckName(c.Prefix); err != nil {
			return nil, fmt.Errorf("prefix of s3: %w", err)
		}
		c.Prefix += "/"
	}
	c.defaults()
	return endpoint, nil
}

func (c *Config) defaults() {
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Mode == "" {
		c.Mode = Compliance
	}
	if c.Attempts <= 0 {
		c.Attempts = 3
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Concurrency <= 0 {
		c.Concurrency = 16
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
}

func (c *Config) transport() (*http.Transport, error) {
	dialer := net.Dialer{Timeout: c.Timeout, KeepAlive: 15 * time.Second}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &impatient{Conn: conn, timeout: c.Timeout}, nil
	}
	t := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dial,
		TLSHandshakeTimeout: c.Timeout, ResponseHeaderTimeout: c.Timeout,
		MaxIdleConnsPerHost: c.Concurrency, IdleConnTimeout: time.Minute,
		TLSClientConfig:    &tls.Config{MinVersion: tls.VersionTLS12},
		DisableCompression: true, // what is compressed is so on purpose
	}
	if c.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("%w: certificates of s3: %w", blob.ErrInvalid, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w: %s holds no certificate", blob.ErrInvalid, c.CAFile)
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}

// impatient is a connection that fails when nothing moves for a while, so that a server that is
// gone without a word holds nobody up in the middle of a body.
type impatient struct {
	net.Conn
	timeout time.Duration
}

func (c *impatient) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(clock.System{}.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *impatient) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(clock.System{}.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

func (c *Config) credentials(transport http.RoundTripper) *credentials.Credentials {
	switch {
	case c.AccessKeyFile != "":
		return credentials.New(&keyFiles{access: c.AccessKeyFile, secret: c.SecretKeyFile, clock: c.Clock})
	case c.AccessKey != "":
		return credentials.NewStaticV4(c.AccessKey, c.SecretKey, "")
	default:
		return credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{},
			&credentials.IAM{Client: &http.Client{Transport: transport, Timeout: c.Timeout}},
		})
	}
}

// keyFiles reads credentials from two files, again every minute.
type keyFiles struct {
	access, secret string
	clock          clock.Clock
	read           time.Time
}

const keyLife = time.Minute

// RetrieveWithCredContext implements credentials.Provider.
func (k *keyFiles) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	access, err := os.ReadFile(k.access)
	if err != nil {
		return credentials.Value{}, err
	}
	secret, err := os.ReadFile(k.secret)
	if err != nil {
		return credentials.Value{}, err
	}
	k.read = k.clock.Now()
	return credentials.Value{
		AccessKeyID: strings.TrimSpace(string(access)), SecretAccessKey: strings.TrimSpace(string(secret)),
		SignerType: credentials.SignatureV4,
	}, nil
}

// Retrieve implements credentials.Provider.
func (k *keyFiles) Retrieve() (credentials.Value, error) { return k.RetrieveWithCredContext(nil) }

// IsExpired implements credentials.Provider.
func (k *keyFiles) IsExpired() bool { return k.clock.Now().Sub(k.read) > keyLife }

var errClosed = errors.New("the bucket is closed")

// ended returns why nothing should be begun any more.
func (b *Bucket) ended(ctx context.Context) error {
	if b.closed.Load() {
		return fmt.Errorf("%w: %w", blob.ErrUnavailable, errClosed)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", blob.ErrUnavailable, err)
	}
	return nil
}

// fault turns an error of the client into one of ours.
func fault(what, name string, err error) error {
	if err == nil {
		return nil
	}
	r := minio.ToErrorResponse(err)
	switch r.Code {
	case "NoSuchKey", "NoSuchVersion", "NotFound":
		return fmt.Errorf("%w: %s", blob.ErrNotFound, name)
	}
	return fmt.Errorf("%w: %s %s: %w", blob.ErrUnavailable, what, name, err)
}

// taken reports whether a conditional put found the key in use. 409 is a put of the same key that
// runs at the same time.
func taken(err error) bool {
	r := minio.ToErrorResponse(err)
	return r.StatusCode == http.StatusPreconditionFailed || r.Code == "PreconditionFailed" ||
		r.StatusCode == http.StatusConflict && r.Code == "ConditionalRequestConflict"
}

func denied(err error) bool {
	r := minio.ToErrorResponse(err)
	return r.StatusCode == http.StatusForbidden || r.Code == "AccessDenied" || locked(err)
}

// locked reports whether the store names object lock as its reason. There is no code for it that
// all stores share.
func locked(err error) bool {
	r := minio.ToErrorResponse(err)
	return r.Code == "ObjectLocked" || strings.Contains(r.Message, "object lock") || strings.Contains(r.Message, "WORM")
}
