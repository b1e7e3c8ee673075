package dir

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"github.com/aluskort/aluskort/internal/engine/blob"
)

// largeObject is the size from which an object gets a sync of its own: writing it twice would
// cost more than that.
const largeObject = 256 << 10

// object is one object of content and its place below the root.
type object struct {
	place string // with slashes
	bytes []byte
}

func place(escaped, digest string) string {
	return contentFolder + "/" + escaped + "/" + digest[:2] + "/" + digest
}

// Put implements blob.Store. Puts that run at the same time share one sync.
func (e *Dir) Put(ctx context.Context, tenant string, b []byte) (string, error) {
	refs, err := e.PutMany(ctx, tenant, [][]byte{b})
	if err != nil {
		return "", err
	}
	return refs[0], nil
}

// PutMany implements blob.Store, with one sync for all that are small.
func (e *Dir) PutMany(ctx context.Context, tenant string, objects [][]byte) ([]string, error) {
	escaped, err := blob.EscapeTenant(tenant)
	if err != nil {
		return nil, err
	}
	if err := e.ended(ctx); err != nil {
		return nil, err
	}
	refs := make([]string, len(objects))
	small := make([]object, 0, len(objects))
	seen := make(map[string]bool, len(objects))
	for i, b := range objects {
		refs[i] = blob.Ref(b)
		digest, err := blob.Digest(refs[i])
		if err != nil {
			return nil, err
		}
		o := object{place: place(escaped, digest), bytes: b}
		large := len(b) >= largeObject
		has := !seen[o.place] && e.has(&o)
		switch {
		case seen[o.place], has && !large:
		case has:
			// Somebody else may have put it there just now: its bytes are durable, its name need not be.
			err = syncChain(e.disk, e.root, filepath.Join(e.root, filepath.FromSlash(o.place)))
		case large:
			err = store(e.disk, e.root, &o, true)
		default:
			small = append(small, o)
		}
		if err != nil {
			return nil, unavailable(fmt.Errorf("put %s: %w", refs[i], err))
		}
		seen[o.place] = true
	}
	for len(small) > 0 {
		n := fit(small)
		if err := e.journal.commit(ctx, small[:n]); err != nil {
			return nil, unavailable(fmt.Errorf("put %d objects: %w", len(small), err))
		}
		small = small[n:]
	}
	return refs, nil
}

// fit returns how many of the objects go into one frame; at least one.
func fit(objects []object) (n int) {
	for size := 0; n < len(objects) && size < frameBytes; n++ {
		size += len(objects[n].bytes)
	}
	return n
}

// has reports whether an object is in its place. One of another size is torn and written anew.
func (e *Dir) has(o *object) bool {
	info, err := e.disk.Stat(filepath.Join(e.root, filepath.FromSlash(o.place)))
	return err == nil && info.Size() == int64(len(o.bytes))
}

// numbers tell temporary files apart; tmp is emptied at the start.
var numbers atomic.Uint64

func temporary(root string) string {
	return filepath.Join(root, tmpFolder, strconv.FormatUint(numbers.Add(1), 10))
}

// store puts an object in its place: written beside and renamed, so that a reader sees it whole or
// not at all. With sync it is durable afterwards.
func store(d disk, root string, o *object, sync bool) error {
	path := filepath.Join(root, filepath.FromSlash(o.place))
	if err := d.MkdirAll(filepath.Dir(path)); err != nil {
		return err
	}
	tmp := temporary(root)
	if err := create(d, tmp, o.bytes, sync); err != nil {
		return err
	}
	if err := d.Rename(tmp, path); err != nil {
		return errors.Join(err, d.Remove(tmp))
	}
	if !sync {
		return nil
	}
	return syncChain(d, root, path)
}

// Get implements blob.Store. What the tenant does not have is looked for in the layout before
// tenants, where whoever knows the digest of an object finds it.
func (e *Dir) Get(ctx context.Context, tenant, ref string) ([]byte, error) {
	escaped, err := blob.EscapeTenant(tenant)
	if err != nil {
		return nil, err
	}
	digest, err := blob.Digest(ref)
	if err != nil {
		return nil, err
	}
	if err := e.ended(ctx); err != nil {
		return nil, err
	}
	b, err := readFile(e.disk, filepath.Join(e.root, filepath.FromSlash(place(escaped, digest))))
	if absent(err) {
		b, err = readFile(e.disk, filepath.Join(e.root, digest[:2], digest))
	}
	switch {
	case absent(err):
		return nil, fmt.Errorf("%w: %s", blob.ErrNotFound, ref)
	case err != nil:
		return nil, unavailable(fmt.Errorf("get %s: %w", ref, err))
	case blob.Ref(b) != ref:
		return nil, fmt.Errorf("%w: %s", blob.ErrDamaged, ref)
	}
	return b, nil
}
