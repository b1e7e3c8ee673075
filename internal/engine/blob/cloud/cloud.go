// Package cloud is the engine of blob for Google Cloud Storage and Azure Blob Storage, over the
// portable interface of gocloud.dev.
//
// That interface has no retention. Until when an object is retained, and whether it is held, is
// kept in marks beside it and respected by this program, so Info.Enforced is false: what refuses
// others is the retention policy of the bucket or the immutability policy of the container, which
// the operator sets. Marks of retention are only ever added and the latest counts, so that no race
// shortens one. What a put that failed, or a deletion that was cut off, left of them can retain a
// later object of that name longer, never shorter.
//
// The suite runs on the in-memory driver of gocloud.dev (its file driver does not list in the order
// of names) and, over the clients of the services, on emulators of both: fake-gcs-server and Azurite.
// The services themselves were not tried. Their drivers are linked by the build tag "cloud" only:
// see OpenGCS and OpenAzure.
package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
	"golang.org/x/sync/errgroup"

	"github.com/aluskort/aluskort/internal/clock"
	contract "github.com/aluskort/aluskort/internal/engine/blob"
)

// Config says how a bucket is used.
type Config struct {
	// Prefix is put before every key; it has no slash at its ends. Empty is none.
	Prefix string
	// Timeout bounds what carries no body: attributes, marks, a page of a list; 0 means 30 s.
	Timeout time.Duration
	// Concurrency is how many objects of PutMany are sent at the same time; 0 means 16.
	Concurrency int
	Clock       clock.Clock // for retention; nil is the machine's
}

// Bucket implements the contract of internal/engine/blob.
type Bucket struct {
	cfg    Config
	bucket *blob.Bucket
	closed atomic.Bool
}

var _ contract.Engine = (*Bucket)(nil)

// New makes an engine of a bucket, which it owns from then on.
func New(bucket *blob.Bucket, cfg Config) (*Bucket, error) {
	if cfg.Prefix != "" {
		if err := contract.CheckName(cfg.Prefix); err != nil {
			return nil, fmt.Errorf("prefix of the bucket: %w", err)
		}
		cfg.Prefix += "/"
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.Concurrency <= 0 {
		cfg.Concurrency = 16
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	return &Bucket{cfg: cfg, bucket: bucket}, nil
}

// Close implements contract.Engine.
func (b *Bucket) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	if err := b.bucket.Close(); err != nil {
		return fmt.Errorf("%w: close: %w", contract.ErrUnavailable, err)
	}
	return nil
}

func (b *Bucket) ended(ctx context.Context) error {
	if b.closed.Load() {
		return fmt.Errorf("%w: the bucket is closed", contract.ErrUnavailable)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", contract.ErrUnavailable, err)
	}
	return nil
}

// fault turns an error of the library into one of ours.
func fault(what, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case gcerrors.Code(err) == gcerrors.NotFound:
		return fmt.Errorf("%w: %s", contract.ErrNotFound, name)
	}
	return fmt.Errorf("%w: %s %s: %w", contract.ErrUnavailable, what, name, err)
}

func taken(err error) bool { return gcerrors.Code(err) == gcerrors.FailedPrecondition }

const digestKey = "sha256" // metadata that holds the digest of an object

// create writes an object to a key that must be free.
func (b *Bucket) create(ctx context.Context, key, digest string, body io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := b.bucket.NewWriter(ctx, key, &blob.WriterOptions{
		ContentType: "application/octet-stream", DisableContentTypeDetection: true, IfNotExist: true,
		Metadata: map[string]string{digestKey: digest},
	})
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, body); err != nil {
		cancel() // an ended context makes Close throw away what was written
		return errors.Join(err, w.Close())
	}
	return w.Close()
}

func (b *Bucket) contentKey(tenant, digest string) (string, error) {
	escaped, err := contract.EscapeTenant(tenant)
	if err != nil {
		return "", err
	}
	return b.cfg.Prefix + escaped + "/content/" + digest[:2] + "/" + digest, nil
}

// Put implements contract.Store.
func (b *Bucket) Put(ctx context.Context, tenant string, data []byte) (string, error) {
	ref := contract.Ref(data)
	digest, err := contract.Digest(ref)
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
	if err := b.create(ctx, key, digest, bytes.NewReader(data)); err != nil && !taken(err) {
		return "", fault("put", ref, err)
	}
	return ref, nil
}

// PutMany implements contract.Store: every object is a request of its own, many at the same time.
func (b *Bucket) PutMany(ctx context.Context, tenant string, objects [][]byte) ([]string, error) {
	if _, err := contract.EscapeTenant(tenant); err != nil {
		return nil, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(b.cfg.Concurrency)
	refs := make([]string, len(objects))
	seen := make(map[string]bool, len(objects))
	for i, data := range objects {
		refs[i] = contract.Ref(data)
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

// Get implements contract.Store.
func (b *Bucket) Get(ctx context.Context, tenant, ref string) ([]byte, error) {
	if _, err := contract.EscapeTenant(tenant); err != nil {
		return nil, err
	}
	digest, err := contract.Digest(ref)
	if err != nil {
		return nil, err
	}
	key, err := b.contentKey(tenant, digest)
	if err != nil {
		return nil, err
	}
	if err := b.ended(ctx); err != nil {
		return nil, err
	}
	data, err := b.bucket.ReadAll(ctx, key)
	if err != nil {
		return nil, fault("get", ref, err)
	}
	if contract.Ref(data) != ref {
		return nil, fmt.Errorf("%w: %s", contract.ErrDamaged, ref)
	}
	return data, nil
}

// place is where a named object and its marks are.
type place struct{ name, object, retain, hold string }

func (b *Bucket) place(ctx context.Context, tenant, name string) (place, error) {
	escaped, err := contract.EscapeTenant(tenant)
	if err != nil {
		return place{}, err
	}
	if err := contract.CheckName(name); err != nil {
		return place{}, err
	}
	base := b.cfg.Prefix + escaped
	// No name has the sign, so that the marks of one object are not below those of another.
	return place{
		name: name, object: base + "/named/" + name, retain: base + "/retain/" + name + "@/", hold: base + "/hold/" + name + "@",
	}, b.ended(ctx)
}

// PutNamed implements contract.Archive. The marks are there before the object is.
func (b *Bucket) PutNamed(ctx context.Context, tenant, name string, body io.ReadSeeker, p contract.Protection) (contract.Info, error) {
	at, err := b.place(ctx, tenant, name)
	if err != nil {
		return contract.Info{}, err
	}
	p = p.Rounded()
	_, digest, err := contract.Measure(body)
	if err != nil {
		return contract.Info{}, err
	}
	switch info, err := b.stat(ctx, &at); {
	case err == nil:
		return info, fmt.Errorf("%w: %s", contract.ErrExists, name)
	case !errors.Is(err, contract.ErrNotFound):
		return contract.Info{}, err
	}
	if err := b.mark(ctx, &at, p); err != nil {
		return contract.Info{}, err
	}
	source := &source{r: body}
	err = b.create(ctx, at.object, digest, source)
	switch {
	case source.err != nil:
		return contract.Info{}, fmt.Errorf("read the body: %w", source.err)
	case err != nil && taken(err):
		info, missing := b.stat(ctx, &at)
		return info, errors.Join(fmt.Errorf("%w: %s", contract.ErrExists, name), missing)
	case err != nil:
		return contract.Info{}, fault("put", name, err)
	}
	return b.stat(ctx, &at)
}

// source remembers the error of a body, which is none of the store.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func (b *Bucket) mark(ctx context.Context, at *place, p contract.Protection) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	var keys []string
	if !p.RetainUntil.IsZero() {
		keys = append(keys, at.retain+fmt.Sprintf("%012d", p.RetainUntil.Unix()))
	}
	if p.Hold {
		keys = append(keys, at.hold)
	}
	for _, key := range keys {
		if err := b.bucket.WriteAll(ctx, key, []byte{}, nil); err != nil {
			return fmt.Errorf("%w: protect %s: %w", contract.ErrUnavailable, at.name, err)
		}
	}
	return nil
}

// marks returns the keys of the marks of retention.
func (b *Bucket) marks(ctx context.Context, at *place) (keys []string, latest time.Time, err error) {
	list := b.bucket.List(&blob.ListOptions{Prefix: at.retain})
	for {
		o, err := list.Next(ctx)
		if errors.Is(err, io.EOF) {
			return keys, latest, nil
		}
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("%w: protection of %s: %w", contract.ErrUnavailable, at.name, err)
		}
		seconds, err := strconv.ParseInt(strings.TrimPrefix(o.Key, at.retain), 10, 64)
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("%w: protection of %s: mark %s", contract.ErrDamaged, at.name, o.Key)
		}
		keys = append(keys, o.Key)
		if until := time.Unix(seconds, 0).UTC(); until.After(latest) {
			latest = until
		}
	}
}

func (b *Bucket) stat(ctx context.Context, at *place) (contract.Info, error) {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	a, err := b.bucket.Attributes(ctx, at.object)
	if err != nil {
		return contract.Info{}, fault("stat", at.name, err)
	}
	info := contract.Info{Name: at.name, Size: a.Size, SHA256: a.Metadata[digestKey], Created: a.CreateTime.UTC()}
	if a.CreateTime.IsZero() {
		info.Created = a.ModTime.UTC()
	}
	if info.SHA256 == "" {
		return info, fmt.Errorf("%w: %s was not put by this engine: it has no digest", contract.ErrDamaged, at.name)
	}
	if _, info.RetainUntil, err = b.marks(ctx, at); err != nil {
		return info, err
	}
	if info.Hold, err = b.bucket.Exists(ctx, at.hold); err != nil {
		return info, fmt.Errorf("%w: protection of %s: %w", contract.ErrUnavailable, at.name, err)
	}
	return info, nil
}

// Stat implements contract.Archive.
func (b *Bucket) Stat(ctx context.Context, tenant, name string) (contract.Info, error) {
	at, err := b.place(ctx, tenant, name)
	if err != nil {
		return contract.Info{}, err
	}
	return b.stat(ctx, &at)
}

// Open implements contract.Archive.
func (b *Bucket) Open(ctx context.Context, tenant, name string) (io.ReadCloser, contract.Info, error) {
	at, err := b.place(ctx, tenant, name)
	if err != nil {
		return nil, contract.Info{}, err
	}
	info, err := b.stat(ctx, &at)
	if err != nil {
		return nil, info, err
	}
	r, err := b.bucket.NewReader(ctx, at.object, nil)
	if err != nil {
		return nil, info, fault("open", name, err)
	}
	return contract.Verify(r, name, info.Size, info.SHA256), info, nil
}

// List implements contract.Archive. The library cannot begin in the middle: what lies in front of
// after is listed and left out.
func (b *Bucket) List(ctx context.Context, tenant, prefix, after string, limit int) ([]contract.Entry, error) {
	escaped, err := contract.EscapeTenant(tenant)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(contract.CheckList(prefix, after, limit), b.ended(ctx)); err != nil {
		return nil, err
	}
	base := b.cfg.Prefix + escaped + "/named/"
	list := b.bucket.List(&blob.ListOptions{Prefix: base + prefix})
	var out []contract.Entry
	for len(out) < limit {
		o, err := list.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: list %q: %w", contract.ErrUnavailable, prefix, err)
		}
		if name := strings.TrimPrefix(o.Key, base); name > after && !o.IsDir {
			out = append(out, contract.Entry{Name: name, Size: o.Size})
		}
	}
	return out, nil
}

// Extend implements contract.Archive.
func (b *Bucket) Extend(ctx context.Context, tenant, name string, until time.Time) error {
	until = contract.RoundUp(until)
	at, err := b.place(ctx, tenant, name)
	if err != nil {
		return err
	}
	info, err := b.stat(ctx, &at)
	if err != nil {
		return err
	}
	if until.Before(info.RetainUntil) {
		return fmt.Errorf("%w: %s until %s, which is later than %s", contract.ErrRetained, name,
			info.RetainUntil.Format(time.RFC3339), until.Format(time.RFC3339))
	}
	return b.mark(ctx, &at, contract.Protection{RetainUntil: until})
}

// SetHold implements contract.Archive.
func (b *Bucket) SetHold(ctx context.Context, tenant, name string, hold bool) error {
	at, err := b.place(ctx, tenant, name)
	if err != nil {
		return err
	}
	info, err := b.stat(ctx, &at)
	if err != nil {
		return err
	}
	if hold {
		return b.mark(ctx, &at, contract.Protection{Hold: true})
	}
	if !info.Hold {
		return nil
	}
	return b.remove(ctx, at.hold, name)
}

// remove deletes a key; one that is gone already will do.
func (b *Bucket) remove(ctx context.Context, key, name string) error {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Timeout)
	defer cancel()
	err := b.bucket.Delete(ctx, key)
	if err == nil || gcerrors.Code(err) == gcerrors.NotFound {
		return nil
	}
	return refusal(name, err)
}

// refusal tells a policy of the store from a failure; there is no code for it that services share.
func refusal(name string, err error) error {
	text := strings.ToLower(err.Error())
	if strings.Contains(text, "retention") || strings.Contains(text, "immutab") {
		return fmt.Errorf("%w: by the policy of the store: %s: %w", contract.ErrRetained, name, err)
	}
	return fmt.Errorf("%w: delete %s: %w", contract.ErrUnavailable, name, err)
}

// Delete implements contract.Archive. The marks go after the object, so that it is never there
// without them.
func (b *Bucket) Delete(ctx context.Context, tenant, name string) error {
	at, err := b.place(ctx, tenant, name)
	if err != nil {
		return err
	}
	info, err := b.stat(ctx, &at)
	if err != nil {
		return err
	}
	if info.Blocks(b.cfg.Clock.Now()) {
		return fmt.Errorf("%w: %s (until %s, legal hold %t)", contract.ErrRetained, name, info.RetainUntil.Format(time.RFC3339), info.Hold)
	}
	if err := b.remove(ctx, at.object, name); err != nil {
		return err
	}
	keys, _, err := b.marks(ctx, &at)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := b.remove(ctx, key, name); err != nil {
			return err
		}
	}
	return nil
}
