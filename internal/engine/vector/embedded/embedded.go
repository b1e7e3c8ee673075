// Package embedded is the vector engine inside the process. It is exact: what it finds is what
// comparing with every vector finds.
//
// Each tenant has, in each collection, an append-only log of checksummed batches; a batch is
// acknowledged when it is synced. In memory are the vectors in eight bits a dimension, the fields
// that filters may name, and places in the log; exact vectors and payloads are read from the log,
// which the system caches. A log is read when its tenant is first asked for. One process may have
// a directory open; the state directory's lock sees to that.
package embedded

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/aluskort/aluskort/internal/engine/vector"
)

// Options are what Open may be told.
type Options struct {
	// Log hears of batches that a crash cut off and of compactions that failed; nil for nobody.
	Log *slog.Logger
}

// Engine is the embedded engine in one directory.
type Engine struct {
	dir  string
	log  *slog.Logger
	open opener

	mu          sync.RWMutex
	collections map[string]*collection
	closed      bool
}

// collection is a collection with the tenants that were asked for. meta is replaced, never
// changed; both are guarded by mu.
type collection struct {
	mu      sync.Mutex
	dir     string
	meta    *vector.Collection
	tenants map[string]*tenantLog
}

// tenantLog is the log of one tenant, read when it is first asked for, so that reading one holds up
// nobody else.
type tenantLog struct {
	mu    sync.Mutex
	meta  *vector.Collection
	shard *shard
	// over says that the collection let go of it: whoever waited asks again.
	over bool
}

// opener opens a log for reading and writing, and creates it.
type opener func(path string) (file, error)

func openFile(path string) (file, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

func size(f file) (int64, error) {
	s, ok := f.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return 0, errors.New("the file does not tell its size")
	}
	info, err := s.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

const metaName = "collection.json"

// Open opens or creates the directory.
func Open(dir string, o Options) (*Engine, error) { return openWith(dir, o, openFile) }

func openWith(dir string, o Options, open opener) (*Engine, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, unavailable("create "+dir, err)
	}
	e := &Engine{dir: dir, log: o.Log, open: open, collections: map[string]*collection{}}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, unavailable("read "+dir, err)
	}
	for _, entry := range entries {
		if !entry.IsDir() || vector.CheckName(entry.Name()) != nil {
			continue
		}
		place := filepath.Join(dir, entry.Name())
		meta, err := readMeta(place)
		if errors.Is(err, fs.ErrNotExist) {
			continue // was never created whole
		}
		if err != nil {
			return nil, err
		}
		e.collections[entry.Name()] = &collection{dir: place, meta: meta, tenants: map[string]*tenantLog{}}
	}
	return e, nil
}

func readMeta(dir string) (*vector.Collection, error) {
	b, err := os.ReadFile(filepath.Join(dir, metaName))
	if err != nil {
		return nil, unavailable("read "+dir, err)
	}
	meta := new(vector.Collection)
	if err := json.Unmarshal(b, meta); err != nil {
		return nil, unavailable("read "+dir, fmt.Errorf("%w: %s: %w", ErrDamaged, metaName, err))
	}
	if err := meta.Check(); err != nil || meta.Name != filepath.Base(dir) {
		return nil, unavailable("read "+dir, fmt.Errorf("%w: %s does not fit", ErrDamaged, metaName))
	}
	return meta, nil
}

func writeMeta(dir string, meta *vector.Collection) error {
	b, err := json.Marshal(meta, json.Deterministic(true))
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, metaName+tmpSuffix)
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(dir, metaName)); err != nil {
		return err
	}
	return syncDir(dir)
}

// EnsureCollection implements vector.Engine.
func (e *Engine) EnsureCollection(ctx context.Context, want vector.Collection) error {
	if err := errors.Join(ctx.Err(), want.Check()); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return closed()
	}
	c := e.collections[want.Name]
	if c == nil {
		c = &collection{dir: filepath.Join(e.dir, want.Name), tenants: map[string]*tenantLog{}}
		want.Fields = maps.Clone(want.Fields)
		return e.create(c, &want)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	merged, err := c.meta.Merge(&want)
	if err != nil || maps.Equal(merged.Fields, c.meta.Fields) {
		return err
	}
	if err := writeMeta(c.dir, &merged); err != nil {
		return unavailable("write "+c.dir, err)
	}
	// The new fields are read from the logs when the tenants are asked for again.
	c.meta = &merged
	return c.forget()
}

func (e *Engine) create(c *collection, meta *vector.Collection) error {
	err := os.RemoveAll(c.dir) // what a drop that was interrupted left
	if err == nil {
		err = os.MkdirAll(c.dir, 0o700)
	}
	if err == nil {
		err = writeMeta(c.dir, meta)
	}
	if err == nil {
		err = syncDir(e.dir)
	}
	if err != nil {
		return unavailable("create collection "+meta.Name, err)
	}
	c.meta = meta
	e.collections[meta.Name] = c
	return nil
}

// DropCollection implements vector.Engine.
func (e *Engine) DropCollection(ctx context.Context, name string) error {
	if err := errors.Join(ctx.Err(), vector.CheckName(name)); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return closed()
	}
	c := e.collections[name]
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(e.collections, name)
	// Without its description the collection is gone, whatever becomes of the rest.
	err := errors.Join(c.forget(), os.Remove(filepath.Join(c.dir, metaName)), syncDir(c.dir), os.RemoveAll(c.dir))
	if err != nil {
		return unavailable("drop collection "+name, err)
	}
	return nil
}

// forget closes the logs of all tenants. The caller holds mu.
func (c *collection) forget() error {
	var errs []error
	for _, t := range c.tenants {
		t.mu.Lock()
		t.over = true
		if t.shard != nil {
			errs = append(errs, t.shard.close())
		}
		t.mu.Unlock()
	}
	clear(c.tenants)
	return errors.Join(errs...)
}

// of returns a collection by name, with what it is.
func (e *Engine) of(name string) (*collection, *vector.Collection, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return nil, nil, closed()
	}
	c := e.collections[name]
	if c == nil {
		return nil, nil, fmt.Errorf("%w: %s", vector.ErrNotFound, name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c, c.meta, nil
}

// folder is the name of the folder of a tenant, the same on file systems that ignore case.
var folder = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// shard returns a tenant's part of a collection. It is nil when there is none and create is false.
func (e *Engine) shard(tenant, name string, create bool) (*shard, error) {
	if err := vector.CheckTenant(tenant); err != nil {
		return nil, err
	}
	for {
		c, _, err := e.of(name)
		if err != nil {
			return nil, err
		}
		t := c.tenant(tenant)
		if s, over, err := t.get(c.dir, tenant, create, e); !over {
			return s, err
		}
	}
}

func (c *collection) tenant(name string) *tenantLog {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tenants[name]
	if t == nil {
		t = &tenantLog{meta: c.meta}
		c.tenants[name] = t
	}
	return t
}

// get returns the shard, opening it when need be; over says that it must be asked for again.
func (t *tenantLog) get(dir, tenant string, create bool, e *Engine) (s *shard, over bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over || t.shard != nil {
		return t.shard, t.over, nil
	}
	place := filepath.Join(dir, folder.EncodeToString([]byte(tenant)))
	if _, err := os.Stat(place); errors.Is(err, fs.ErrNotExist) {
		if !create {
			return nil, false, nil // the tenant has no points: documented
		}
	} else if err != nil {
		return nil, false, unavailable("open "+place, err)
	}
	if s, err = openShard(place, t.meta, tenant, e.log, e.open); err != nil {
		return nil, false, err
	}
	if err := syncDir(dir); err != nil {
		return nil, false, errors.Join(unavailable("sync "+dir, err), s.close())
	}
	t.shard = s
	return s, false, nil
}

// Load reads the logs of all tenants that were not asked for yet, so that nobody waits for them
// later. It stops at the first that cannot be read, and when ctx ends.
func (e *Engine) Load(ctx context.Context) error {
	e.mu.RLock()
	names := sortedKeys(e.collections)
	e.mu.RUnlock()
	for _, name := range names {
		entries, err := os.ReadDir(filepath.Join(e.dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return unavailable("read collection "+name, err)
		}
		for _, entry := range entries {
			tenant, err := folder.DecodeString(entry.Name())
			if err != nil || !entry.IsDir() {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if _, err := e.shard(string(tenant), name, false); err != nil && !errors.Is(err, vector.ErrNotFound) {
				return err
			}
		}
	}
	return nil
}

// Upsert implements vector.Engine.
func (e *Engine) Upsert(ctx context.Context, tenant, name string, points []vector.Point) error {
	_, meta, err := e.of(name)
	if err != nil {
		return err
	}
	if err := errors.Join(ctx.Err(), vector.CheckTenant(tenant), meta.CheckPoints(points)); err != nil {
		return err
	}
	s, err := e.shard(tenant, name, true)
	if err != nil {
		return err
	}
	return s.upsert(points)
}

// Get implements vector.Engine.
func (e *Engine) Get(ctx context.Context, tenant, name string, ids []vector.ID) ([]vector.Point, error) {
	if err := vector.CheckIDs(ids); err != nil {
		return nil, err
	}
	s, err := e.shard(tenant, name, false)
	if err != nil || s == nil {
		return nil, err
	}
	return s.get(ctx, ids)
}

// Delete implements vector.Engine.
func (e *Engine) Delete(ctx context.Context, tenant, name string, ids []vector.ID) error {
	if err := errors.Join(ctx.Err(), vector.CheckIDs(ids)); err != nil {
		return err
	}
	s, err := e.shard(tenant, name, false)
	if err != nil || s == nil {
		return err
	}
	return s.remove(ids)
}

// filtered returns the shard after the filter was checked.
func (e *Engine) filtered(ctx context.Context, tenant, name string, f *vector.Filter) (*shard, error) {
	_, meta, err := e.of(name)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(ctx.Err(), meta.CheckFilter(f)); err != nil {
		return nil, err
	}
	return e.shard(tenant, name, false)
}

// DeleteMatching implements vector.Engine.
func (e *Engine) DeleteMatching(ctx context.Context, tenant, name string, f vector.Filter) error {
	s, err := e.filtered(ctx, tenant, name, &f)
	if err != nil || s == nil {
		return err
	}
	return s.removeMatching(&f)
}

// Search implements vector.Engine.
func (e *Engine) Search(ctx context.Context, tenant, name string, q vector.Query) ([]vector.Hit, error) {
	_, meta, err := e.of(name)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(ctx.Err(), meta.CheckQuery(&q)); err != nil {
		return nil, err
	}
	s, err := e.shard(tenant, name, false)
	if err != nil || s == nil {
		return nil, err
	}
	return s.search(ctx, &q)
}

// Count implements vector.Engine.
func (e *Engine) Count(ctx context.Context, tenant, name string, f vector.Filter) (int, error) {
	s, err := e.filtered(ctx, tenant, name, &f)
	if err != nil || s == nil {
		return 0, err
	}
	return s.count(&f), nil
}

// Scroll implements vector.Engine: in the order of ids.
func (e *Engine) Scroll(ctx context.Context, tenant, name string, q vector.Scroll) (vector.Page, error) {
	if err := vector.CheckLimit(q.Limit); err != nil {
		return vector.Page{}, err
	}
	var after vector.ID
	if q.After != "" {
		var err error
		if after, err = vector.ParseID(q.After); err != nil {
			return vector.Page{}, err
		}
	}
	s, err := e.filtered(ctx, tenant, name, &q.Filter)
	if err != nil || s == nil {
		return vector.Page{}, err
	}
	return s.scroll(ctx, &q, after)
}

// Ready implements vector.Engine.
func (e *Engine) Ready(ctx context.Context) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.closed {
		return closed()
	}
	for _, c := range e.collections {
		if err := c.broken(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// broken returns why a log takes no writes any more. One that is being read is not waited for.
func (c *collection) broken() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.tenants {
		if !t.mu.TryLock() {
			continue
		}
		s := t.shard
		t.mu.Unlock()
		if s == nil {
			continue
		}
		s.write.Lock()
		err := s.broken
		s.write.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// Close implements vector.Engine. Reads that run go on.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	var errs []error
	for _, c := range e.collections {
		c.mu.Lock()
		errs = append(errs, c.forget())
		c.mu.Unlock()
	}
	return errors.Join(errs...)
}

func closed() error { return fmt.Errorf("%w: it is closed", vector.ErrUnavailable) }

func unavailable(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", vector.ErrUnavailable, what, err)
}

func newSeeds() seeds { return seeds{maphash.MakeSeed(), maphash.MakeSeed()} }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
