package dir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/engine/blob"
)

// The files of a named object. Its folder ends in a sign that no name has.
const (
	folderSign     = "@"
	bodyFile       = "body"
	aboutFile      = "about"
	protectionFile = "protection"
)

// about is what never changes; the file "about" holds it.
type about struct {
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
	Created int64  `json:"created"` // µs since 1970
}

// protection is the content of the file of that name.
type protection struct {
	RetainUntil int64 `json:"retain_until"` // seconds since 1970; 0 is none
	Hold        bool  `json:"hold"`
}

func (e *Dir) folder(tenant, name string) (string, error) {
	escaped, err := blob.EscapeTenant(tenant)
	if err != nil {
		return "", err
	}
	if err := blob.CheckName(name); err != nil {
		return "", err
	}
	return filepath.Join(e.root, namedFolder, escaped, filepath.FromSlash(name)+folderSign), nil
}

func (e *Dir) lock(folder string) *sync.Mutex {
	h := fnv.New32a()
	_, _ = h.Write([]byte(folder))
	m := &e.names[h.Sum32()%uint32(len(e.names))]
	m.Lock()
	return m
}

// begin checks the arguments of a call and returns the folder of the object.
func (e *Dir) begin(ctx context.Context, tenant, name string) (string, error) {
	folder, err := e.folder(tenant, name)
	if err != nil {
		return "", err
	}
	return folder, e.ended(ctx)
}

// PutNamed implements blob.Archive: the object is built in a folder beside, made durable and
// renamed, which fails when the name is taken.
func (e *Dir) PutNamed(ctx context.Context, tenant, name string, body io.ReadSeeker, p blob.Protection) (blob.Info, error) {
	folder, err := e.begin(ctx, tenant, name)
	if err != nil {
		return blob.Info{}, err
	}
	defer e.lock(folder).Unlock()
	switch info, err := e.stat(folder, name); {
	case err == nil:
		// It may be there because an earlier attempt failed after the rename.
		if err := syncChain(e.disk, e.root, folder); err != nil {
			return info, unavailable(fmt.Errorf("put %s: %w", name, err))
		}
		return info, fmt.Errorf("%w: %s", blob.ErrExists, name)
	case !errors.Is(err, blob.ErrNotFound):
		return info, err
	}
	p = p.Rounded()
	tmp := temporary(e.root)
	if err := e.build(tmp, &source{r: body}, p); err != nil {
		return blob.Info{}, fmt.Errorf("put %s: %w", name, errors.Join(err, unavailable(e.disk.RemoveAll(tmp))))
	}
	if err := e.publish(tmp, folder); err != nil {
		return blob.Info{}, unavailable(fmt.Errorf("put %s: %w", name, err))
	}
	return e.stat(folder, name)
}

// source remembers the error of a body, which is none of the disk.
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

func (e *Dir) build(tmp string, body *source, p blob.Protection) error {
	if err := e.disk.MkdirAll(tmp); err != nil {
		return unavailable(err)
	}
	size, digest, err := e.copy(filepath.Join(tmp, bodyFile), body)
	if body.err != nil {
		return fmt.Errorf("read the body: %w", body.err)
	}
	if err != nil {
		return unavailable(err)
	}
	for _, f := range []struct {
		name    string
		content any
	}{
		{aboutFile, about{Size: size, SHA256: digest, Created: e.clock.Now().UnixMicro()}},
		{protectionFile, stored(p)},
	} {
		b, err := json.Marshal(f.content)
		if err != nil {
			return err
		}
		if err := create(e.disk, filepath.Join(tmp, f.name), b, true); err != nil {
			return unavailable(err)
		}
	}
	return unavailable(e.disk.SyncDir(tmp))
}

func (e *Dir) copy(name string, body io.Reader) (size int64, digest string, err error) {
	f, err := e.disk.Create(name, 0o400)
	if err != nil {
		return 0, "", err
	}
	h := sha256.New()
	if size, err = io.Copy(f, io.TeeReader(body, h)); err == nil {
		err = f.Sync()
	}
	return size, hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
}

func (e *Dir) publish(tmp, folder string) error {
	if err := e.disk.MkdirAll(filepath.Dir(folder)); err != nil {
		return errors.Join(err, e.disk.RemoveAll(tmp))
	}
	if err := e.disk.Rename(tmp, folder); err != nil {
		return errors.Join(err, e.disk.RemoveAll(tmp))
	}
	return syncChain(e.disk, e.root, folder)
}

func stored(p blob.Protection) protection {
	out := protection{Hold: p.Hold}
	if !p.RetainUntil.IsZero() {
		out.RetainUntil = p.RetainUntil.Unix()
	}
	return out
}

func (p protection) protection() blob.Protection {
	out := blob.Protection{Hold: p.Hold}
	if p.RetainUntil != 0 {
		out.RetainUntil = time.Unix(p.RetainUntil, 0).UTC()
	}
	return out
}

func (e *Dir) readJSON(path string, into any) error {
	b, err := readFile(e.disk, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%w: %s: %w", blob.ErrDamaged, path, err)
	}
	return nil
}

// stat reads what is known of an object; folders are renamed into place whole, so one without its
// files is damaged.
func (e *Dir) stat(folder, name string) (blob.Info, error) {
	var a about
	var p protection
	if _, err := e.disk.Stat(folder); absent(err) {
		return blob.Info{}, fmt.Errorf("%w: %s", blob.ErrNotFound, name)
	} else if err != nil {
		return blob.Info{}, unavailable(fmt.Errorf("stat %s: %w", name, err))
	}
	for _, f := range []struct {
		name string
		into any
	}{{aboutFile, &a}, {protectionFile, &p}} {
		err := e.readJSON(filepath.Join(folder, f.name), f.into)
		switch {
		case err == nil:
		case absent(err):
			return blob.Info{}, fmt.Errorf("%w: %s has no file %q", blob.ErrDamaged, name, f.name)
		case errors.Is(err, blob.ErrDamaged):
			return blob.Info{}, err
		default:
			return blob.Info{}, unavailable(fmt.Errorf("stat %s: %w", name, err))
		}
	}
	return blob.Info{
		Name: name, Size: a.Size, SHA256: a.SHA256, Created: time.UnixMicro(a.Created).UTC(), Protection: p.protection(),
	}, nil
}

// Stat implements blob.Archive.
func (e *Dir) Stat(ctx context.Context, tenant, name string) (blob.Info, error) {
	folder, err := e.begin(ctx, tenant, name)
	if err != nil {
		return blob.Info{}, err
	}
	return e.stat(folder, name)
}

// Open implements blob.Archive.
func (e *Dir) Open(ctx context.Context, tenant, name string) (io.ReadCloser, blob.Info, error) {
	folder, err := e.begin(ctx, tenant, name)
	if err != nil {
		return nil, blob.Info{}, err
	}
	info, err := e.stat(folder, name)
	if err != nil {
		return nil, info, err
	}
	f, err := e.disk.Open(filepath.Join(folder, bodyFile))
	if absent(err) {
		return nil, info, fmt.Errorf("%w: %s has no body", blob.ErrDamaged, name)
	}
	if err != nil {
		return nil, info, unavailable(fmt.Errorf("open %s: %w", name, err))
	}
	return blob.Verify(f, name, info.Size, info.SHA256), info, nil
}

// Extend implements blob.Archive.
func (e *Dir) Extend(ctx context.Context, tenant, name string, until time.Time) error {
	until = blob.RoundUp(until)
	return e.protect(ctx, tenant, name, func(p *blob.Protection) error {
		if until.Before(p.RetainUntil) {
			return fmt.Errorf("%w: %s until %s, which is later than %s", blob.ErrRetained, name,
				p.RetainUntil.Format(time.RFC3339), until.Format(time.RFC3339))
		}
		p.RetainUntil = until
		return nil
	})
}

// SetHold implements blob.Archive.
func (e *Dir) SetHold(ctx context.Context, tenant, name string, hold bool) error {
	return e.protect(ctx, tenant, name, func(p *blob.Protection) error {
		p.Hold = hold
		return nil
	})
}

// protect changes the protection of an object; the old one is in force until the new one is
// durable.
func (e *Dir) protect(ctx context.Context, tenant, name string, change func(*blob.Protection) error) error {
	folder, err := e.begin(ctx, tenant, name)
	if err != nil {
		return err
	}
	defer e.lock(folder).Unlock()
	info, err := e.stat(folder, name)
	if err != nil {
		return err
	}
	p := info.Protection
	if err := change(&p); err != nil || p == info.Protection {
		return err
	}
	b, err := json.Marshal(stored(p))
	if err != nil {
		return err
	}
	tmp := temporary(e.root)
	if err := create(e.disk, tmp, b, true); err != nil {
		return unavailable(fmt.Errorf("protect %s: %w", name, err))
	}
	if err := e.disk.Rename(tmp, filepath.Join(folder, protectionFile)); err != nil {
		return unavailable(fmt.Errorf("protect %s: %w", name, errors.Join(err, e.disk.Remove(tmp))))
	}
	return unavailable(e.disk.SyncDir(folder))
}

// Delete implements blob.Archive. An object whose protection cannot be read counts as retained.
func (e *Dir) Delete(ctx context.Context, tenant, name string) error {
	folder, err := e.begin(ctx, tenant, name)
	if err != nil {
		return err
	}
	defer e.lock(folder).Unlock()
	info, err := e.stat(folder, name)
	if errors.Is(err, blob.ErrDamaged) {
		return fmt.Errorf("%w: nobody knows until when: %w", blob.ErrRetained, err)
	}
	if err != nil {
		return err
	}
	if info.Blocks(e.clock.Now()) {
		return fmt.Errorf("%w: %s (until %s, legal hold %t)", blob.ErrRetained, name, info.RetainUntil.Format(time.RFC3339), info.Hold)
	}
	tmp := temporary(e.root)
	if err := e.disk.Rename(folder, tmp); err != nil {
		return unavailable(fmt.Errorf("delete %s: %w", name, err))
	}
	if err := e.disk.SyncDir(filepath.Dir(folder)); err != nil {
		return unavailable(fmt.Errorf("delete %s: %w", name, err))
	}
	return unavailable(e.disk.RemoveAll(tmp))
}

// List implements blob.Archive.
func (e *Dir) List(ctx context.Context, tenant, prefix, after string, limit int) ([]blob.Entry, error) {
	escaped, err := blob.EscapeTenant(tenant)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(blob.CheckList(prefix, after, limit), e.ended(ctx)); err != nil {
		return nil, err
	}
	l := &lister{ctx: ctx, disk: e.disk, prefix: prefix, after: after, limit: limit}
	if err := l.walk(filepath.Join(e.root, namedFolder, escaped), ""); err != nil {
		return nil, unavailable(fmt.Errorf("list %q: %w", prefix, err))
	}
	return l.out, nil
}

type lister struct {
	ctx           context.Context
	disk          disk
	prefix, after string
	limit         int
	out           []blob.Entry
}

// walk visits a folder in the order of names: a folder of further parts sorts as its name with the
// slash.
func (l *lister) walk(folder, base string) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	entries, err := l.disk.ReadDir(folder)
	if absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	keys := make([]string, len(entries))
	for i, entry := range entries {
		if name, object := strings.CutSuffix(entry.Name(), folderSign); object {
			keys[i] = base + name
		} else {
			keys[i] = base + entry.Name() + "/"
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if len(l.out) == l.limit {
			return nil
		}
		if err := l.visit(folder, base, key); err != nil {
			return err
		}
	}
	return nil
}

func (l *lister) visit(folder, base, key string) error {
	part := key[len(base):]
	if sub, more := strings.CutSuffix(part, "/"); more {
		if (strings.HasPrefix(key, l.prefix) || strings.HasPrefix(l.prefix, key)) && (key > l.after || strings.HasPrefix(l.after, key)) {
			return l.walk(filepath.Join(folder, sub), key)
		}
		return nil
	}
	if !strings.HasPrefix(key, l.prefix) || key <= l.after {
		return nil
	}
	info, err := l.disk.Stat(filepath.Join(folder, part+folderSign, bodyFile))
	if errors.Is(err, fs.ErrNotExist) { // deleted meanwhile, or damaged: Stat says which
		return nil
	}
	if err != nil {
		return err
	}
	l.out = append(l.out, blob.Entry{Name: key, Size: info.Size()})
	return nil
}
