// Package blobtest is the suite of behaviour that every engine of blob passes.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/engine/blob"
)

// Fixture is an engine with nothing in it, and what the suite needs to know of it.
type Fixture struct {
	Engine blob.Engine
	// Now is the clock by which the engine judges retention.
	Now func() time.Time
	// Advance moves that clock; nil when it is nobody's to move, and the suite waits.
	Advance func(time.Duration)
	// DamageContent and DamageNamed change a byte of what is stored, behind the engine's back.
	DamageContent func(tenant, ref string) error
	DamageNamed   func(tenant, name string) error
	// DeleteBehind tries to destroy a named object without asking the engine, with the same
	// credentials. Nil where the store enforces nothing: then Info.Enforced must be false.
	DeleteBehind func(tenant, name string) error
}

// Open makes a fixture; the suite closes the engine.
type Open func(t *testing.T) *Fixture

// patience bounds the wait for a retention of one second to end on a clock that is not ours.
const patience = 30 * time.Second

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, f *Fixture)
	}{
		{"content comes back", testContent},
		{"the same bytes twice", testSameBytes},
		{"many at once", testMany},
		{"no such object", testUnknown},
		{"damaged content is found", testDamage},
		{"tenants do not see each other", testTenants},
		{"concurrent puts of the same bytes", testConcurrentContent},
		{"a context that has ended", testContext},
		{"arguments that are none", testInvalid},
		{"named objects", testNamed},
		{"written once", testWriteOnce},
		{"a half-written object is not seen", testHalfWritten},
		{"a body that cannot be read", testBrokenBody},
		{"one of many writers of a name wins", testConcurrentNamed},
		{"retention refuses deletion", testRetention},
		{"retention ends", testRetentionEnds},
		{"retention is never shortened", testExtend},
		{"a legal hold refuses deletion", testHold},
		{"lists", testList},
		{"a list in pages", testPages},
		{"after the end", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := open(t)
			defer func() {
				if err := f.Engine.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}()
			c.test(t, f)
		})
	}
}

const tenant = "acme"

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func want(t *testing.T, what string, got, wanted error) {
	t.Helper()
	if !errors.Is(got, wanted) {
		t.Errorf("%s: got %v, want %v", what, got, wanted)
	}
}

func get(t *testing.T, f *Fixture, tenant, ref string, wanted []byte) {
	t.Helper()
	got, err := f.Engine.Get(t.Context(), tenant, ref)
	if err != nil {
		t.Errorf("get %s: %v", ref, err)
	} else if !bytes.Equal(got, wanted) {
		t.Errorf("get %s: %d bytes that are not the %d put", ref, len(got), len(wanted))
	}
}

func put(t *testing.T, f *Fixture, name, text string, p blob.Protection) blob.Info {
	t.Helper()
	return must[blob.Info](t)(f.Engine.PutNamed(t.Context(), tenant, name, strings.NewReader(text), p))
}

func text(t *testing.T, f *Fixture, tenant, name string) (string, error) {
	t.Helper()
	r, _, err := f.Engine.Open(t.Context(), tenant, name)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

// pattern is n bytes that differ by seed and do not compress to nothing.
func pattern(seed, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func testContent(t *testing.T, f *Fixture) {
	for _, b := range [][]byte{{}, []byte("native\x00bytes\xff"), pattern(1, 8<<10), pattern(2, 3<<20)} {
		ref := must[string](t)(f.Engine.Put(t.Context(), tenant, b))
		if ref != blob.Ref(b) {
			t.Errorf("reference %s, want %s", ref, blob.Ref(b))
		}
		get(t, f, tenant, ref, b)
	}
}

func testSameBytes(t *testing.T, f *Fixture) {
	b := []byte("the same")
	first := must[string](t)(f.Engine.Put(t.Context(), tenant, b))
	again := must[string](t)(f.Engine.Put(t.Context(), tenant, b))
	if first != again {
		t.Errorf("references %s and %s", first, again)
	}
	refs := must[[]string](t)(f.Engine.PutMany(t.Context(), tenant, [][]byte{b, []byte("other"), b}))
	if refs[0] != first || refs[2] != first || refs[1] == first {
		t.Errorf("references %v, want the first %s", refs, first)
	}
	get(t, f, tenant, first, b)
}

func testMany(t *testing.T, f *Fixture) {
	if refs := must[[]string](t)(f.Engine.PutMany(t.Context(), tenant, nil)); len(refs) != 0 {
		t.Errorf("references %v of nothing", refs)
	}
	var objects [][]byte
	for i := range 40 {
		objects = append(objects, pattern(i, i*257))
	}
	objects = append(objects, pattern(99, 1<<20))
	refs := must[[]string](t)(f.Engine.PutMany(t.Context(), tenant, objects))
	if len(refs) != len(objects) {
		t.Fatalf("%d references of %d objects", len(refs), len(objects))
	}
	for i, b := range objects {
		if refs[i] != blob.Ref(b) {
			t.Errorf("reference %d is %s, want %s", i, refs[i], blob.Ref(b))
		}
		get(t, f, tenant, refs[i], b)
	}
}

func testUnknown(t *testing.T, f *Fixture) {
	for _, ref := range []string{"", "sha256:", "sha256:../../etc/passwd", "sha256:" + strings.Repeat("z", 64), "sha256:" + strings.Repeat("0", 64), blob.Ref([]byte("never put"))} {
		_, err := f.Engine.Get(t.Context(), tenant, ref)
		want(t, ref, err, blob.ErrNotFound)
	}
	_, err := f.Engine.Stat(t.Context(), tenant, "none")
	want(t, "stat", err, blob.ErrNotFound)
	_, err = text(t, f, tenant, "none")
	want(t, "open", err, blob.ErrNotFound)
	want(t, "extend", f.Engine.Extend(t.Context(), tenant, "none", f.Now().Add(time.Hour)), blob.ErrNotFound)
	want(t, "hold", f.Engine.SetHold(t.Context(), tenant, "none", true), blob.ErrNotFound)
	want(t, "delete", f.Engine.Delete(t.Context(), tenant, "none"), blob.ErrNotFound)
}

func testDamage(t *testing.T, f *Fixture) {
	ref := must[string](t)(f.Engine.Put(t.Context(), tenant, []byte("evidence")))
	put(t, f, "package.zip", "evidence", blob.Protection{})
	if err := errors.Join(f.DamageContent(tenant, ref), f.DamageNamed(tenant, "package.zip")); err != nil {
		t.Fatal(err)
	}
	_, err := f.Engine.Get(t.Context(), tenant, ref)
	want(t, "content", err, blob.ErrDamaged)
	_, err = text(t, f, tenant, "package.zip")
	want(t, "named", err, blob.ErrDamaged)
}

func testTenants(t *testing.T, f *Fixture) {
	b := []byte("of acme")
	ref := must[string](t)(f.Engine.Put(t.Context(), tenant, b))
	put(t, f, "x/secret", "of acme", blob.Protection{})
	for _, other := range []string{"acm", "acme2", "ACME", "acme/x", "../acme", ".", "..", "acme%", "acme*", "ä", "a\x00b", strings.Repeat("ä", 64)} {
		_, err := f.Engine.Get(t.Context(), other, ref)
		want(t, other+" gets content", err, blob.ErrNotFound)
		_, err = text(t, f, other, "x/secret")
		want(t, other+" opens", err, blob.ErrNotFound)
		_, err = text(t, f, other, "secret")
		want(t, other+" opens the rest of the name", err, blob.ErrNotFound)
		want(t, other+" deletes", f.Engine.Delete(t.Context(), other, "x/secret"), blob.ErrNotFound)
		if list := must[[]blob.Entry](t)(f.Engine.List(t.Context(), other, "", "", 10)); len(list) != 0 {
			t.Errorf("%s lists %v", other, list)
		}
	}
	// The same bytes and name of another tenant are objects of their own.
	other := "../acme"
	must[string](t)(f.Engine.Put(t.Context(), other, b))
	must[blob.Info](t)(f.Engine.PutNamed(t.Context(), other, "x/secret", strings.NewReader("of another"), blob.Protection{}))
	if err := f.Engine.Delete(t.Context(), other, "x/secret"); err != nil {
		t.Error(err)
	}
	get(t, f, other, ref, b)
	if got, err := text(t, f, tenant, "x/secret"); got != "of acme" || err != nil {
		t.Errorf("after another tenant's deletion: %q, %v", got, err)
	}
}

func testConcurrentContent(t *testing.T, f *Fixture) {
	b := pattern(7, 20_000)
	var wg sync.WaitGroup
	errs := make([]error, 12)
	for i := range errs {
		wg.Go(func() {
			_, err := f.Engine.PutMany(t.Context(), tenant, [][]byte{b, pattern(100+i, 500)})
			got, getErr := f.Engine.Get(t.Context(), tenant, blob.Ref(b))
			if getErr == nil && !bytes.Equal(got, b) {
				getErr = errors.New("other bytes")
			}
			errs[i] = errors.Join(err, getErr)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

func testContext(t *testing.T, f *Fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := f.Engine.Put(ctx, tenant, []byte("late"))
	want(t, "put", err, context.Canceled)
	want(t, "put", err, blob.ErrUnavailable)
	_, err = f.Engine.PutNamed(ctx, tenant, "late", strings.NewReader("late"), blob.Protection{})
	want(t, "put named", err, context.Canceled)
	if _, err := f.Engine.Stat(t.Context(), tenant, "late"); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("stored after the end: %v", err)
	}
}

func testInvalid(t *testing.T, f *Fixture) {
	ctx := t.Context()
	for _, bad := range []string{"", strings.Repeat("t", 300)} {
		_, err := f.Engine.Put(ctx, bad, []byte("x"))
		want(t, "put", err, blob.ErrInvalid)
		_, err = f.Engine.PutMany(ctx, bad, [][]byte{[]byte("x")})
		want(t, "put many", err, blob.ErrInvalid)
		_, err = f.Engine.Get(ctx, bad, blob.Ref([]byte("x")))
		want(t, "get", err, blob.ErrInvalid)
		_, err = f.Engine.List(ctx, bad, "", "", 1)
		want(t, "list", err, blob.ErrInvalid)
		want(t, "delete", f.Engine.Delete(ctx, bad, "x"), blob.ErrInvalid)
	}
	for _, bad := range []string{"", "/", "a//b", "a/", "/a", ".", "../x", "a/../b", "a/.hidden", "a b", "a@", "a\x00", "ä", strings.Repeat("x", 201), strings.Repeat("x/", 350) + "x"} {
		_, err := f.Engine.PutNamed(ctx, tenant, bad, strings.NewReader("x"), blob.Protection{})
		want(t, fmt.Sprintf("put %q", bad), err, blob.ErrInvalid)
		_, err = f.Engine.Stat(ctx, tenant, bad)
		want(t, fmt.Sprintf("stat %q", bad), err, blob.ErrInvalid)
	}
	for _, l := range []struct {
		prefix, after string
		limit         int
	}{{"", "", 0}, {"", "", -1}, {"../", "", 1}, {"/a", "", 1}, {"", "a//", 1}} {
		_, err := f.Engine.List(ctx, tenant, l.prefix, l.after, l.limit)
		want(t, fmt.Sprintf("list %+v", l), err, blob.ErrInvalid)
	}
}

func testNamed(t *testing.T, f *Fixture) {
	before := f.Now()
	until := f.Now().Add(time.Hour)
	for _, c := range []struct {
		name, text string
		p          blob.Protection
	}{
		{"audit/2026/11/part=1.json", "records", blob.Protection{}},
		{"empty", "", blob.Protection{}},
		{"large", string(pattern(3, 6<<20)), blob.Protection{}},
		{"kept", "records", blob.Protection{RetainUntil: until}},
		{"held", "records", blob.Protection{Hold: true}},
		{"both", "records", blob.Protection{RetainUntil: until, Hold: true}},
	} {
		info := put(t, f, c.name, c.text, c.p)
		stat := must[blob.Info](t)(f.Engine.Stat(t.Context(), tenant, c.name))
		if info.Created = stat.Created; info != stat { // the answer to a put need not know the time to the second
			t.Errorf("%s: put says %+v, stat %+v", c.name, info, stat)
		}
		if stat.Name != c.name || stat.Size != int64(len(c.text)) || "sha256:"+stat.SHA256 != blob.Ref([]byte(c.text)) {
			t.Errorf("%s: %+v", c.name, stat)
		}
		if stat.Protection != c.p.Rounded() {
			t.Errorf("%s: protection %+v, want %+v", c.name, stat.Protection, c.p.Rounded())
		}
		if d := stat.Created.Sub(before); d < -time.Minute || d > time.Hour {
			t.Errorf("%s: created %v, put at %v", c.name, stat.Created, before)
		}
		if got, err := text(t, f, tenant, c.name); err != nil || got != c.text {
			t.Errorf("%s: %d bytes, %v", c.name, len(got), err)
		}
	}
	// A body is read from where it stands.
	r := strings.NewReader("headrest")
	must[int64](t)(r.Seek(4, io.SeekStart))
	must[blob.Info](t)(f.Engine.PutNamed(t.Context(), tenant, "rest", r, blob.Protection{}))
	if got, err := text(t, f, tenant, "rest"); got != "rest" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func testWriteOnce(t *testing.T, f *Fixture) {
	until := f.Now().Add(time.Hour)
	first := put(t, f, "head", "first", blob.Protection{RetainUntil: until})
	for _, again := range []string{"second", "first"} {
		info, err := f.Engine.PutNamed(t.Context(), tenant, "head", strings.NewReader(again), blob.Protection{})
		want(t, again, err, blob.ErrExists)
		if info.SHA256 != first.SHA256 || info.RetainUntil != first.RetainUntil {
			t.Errorf("told %+v of what is there, want %+v", info, first)
		}
	}
	if got, err := text(t, f, tenant, "head"); got != "first" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	put(t, f, "free", "first", blob.Protection{})
	if err := f.Engine.Delete(t.Context(), tenant, "free"); err != nil {
		t.Fatal(err)
	}
	_, err := f.Engine.Stat(t.Context(), tenant, "free")
	want(t, "stat after deletion", err, blob.ErrNotFound)
	_, err = text(t, f, tenant, "free")
	want(t, "open after deletion", err, blob.ErrNotFound)
	put(t, f, "free", "second", blob.Protection{})
	if got, err := text(t, f, tenant, "free"); got != "second" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// watched calls look at each read that has bytes left to give: before them no object can be whole.
type watched struct {
	*bytes.Reader
	look func()
}

func (w *watched) Read(p []byte) (int, error) {
	if w.Len() > 0 {
		w.look()
	}
	return w.Reader.Read(p)
}

// WriteTo hides that of the reader, which would give all at once.
func (w *watched) WriteTo(to io.Writer) (int64, error) { return io.Copy(to, struct{ io.Reader }{w}) }

func testHalfWritten(t *testing.T, f *Fixture) {
	b := pattern(5, 300_000)
	looks := 0
	body := &watched{bytes.NewReader(b), func() {
		looks++
		_, err := f.Engine.Stat(t.Context(), tenant, "slow")
		want(t, "stat", err, blob.ErrNotFound)
		_, _, err = f.Engine.Open(t.Context(), tenant, "slow")
		want(t, "open", err, blob.ErrNotFound)
		if list := must[[]blob.Entry](t)(f.Engine.List(t.Context(), tenant, "", "", 10)); len(list) != 0 {
			t.Errorf("listed %v", list)
		}
	}}
	must[blob.Info](t)(f.Engine.PutNamed(t.Context(), tenant, "slow", body, blob.Protection{}))
	if looks < 2 {
		t.Fatalf("looked %d times", looks)
	}
	if got, err := text(t, f, tenant, "slow"); got != string(b) || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

var errBody = errors.New("the body broke")

type broken struct {
	*bytes.Reader
	after int
}

func (b *broken) Read(p []byte) (int, error) {
	if b.after--; b.after < 0 {
		return 0, errBody
	}
	return b.Reader.Read(p[:min(len(p), 1000)])
}

func testBrokenBody(t *testing.T, f *Fixture) {
	_, err := f.Engine.PutNamed(t.Context(), tenant, "broken", &broken{bytes.NewReader(pattern(1, 5000)), 2}, blob.Protection{})
	want(t, "put", err, errBody)
	if errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("a body that cannot be read is no fault of the store: %v", err)
	}
	_, err = f.Engine.Stat(t.Context(), tenant, "broken")
	want(t, "stat", err, blob.ErrNotFound)
	put(t, f, "broken", "whole", blob.Protection{})
}

func testConcurrentNamed(t *testing.T, f *Fixture) {
	const writers = 8
	var wg sync.WaitGroup
	errs, infos := make([]error, writers), make([]blob.Info, writers)
	for i := range writers {
		wg.Go(func() {
			infos[i], errs[i] = f.Engine.PutNamed(t.Context(), tenant, "one", bytes.NewReader(pattern(i, 5000+i)), blob.Protection{})
		})
	}
	wg.Wait()
	got, err := text(t, f, tenant, "one")
	if err != nil {
		t.Fatal(err)
	}
	winners := 0
	for i, err := range errs {
		switch {
		case err == nil:
			winners++
			if got != string(pattern(i, 5000+i)) {
				t.Errorf("writer %d was told that it stored its bytes", i)
			}
		case !errors.Is(err, blob.ErrExists):
			t.Errorf("writer %d: %v", i, err)
		case "sha256:"+infos[i].SHA256 != blob.Ref([]byte(got)):
			t.Errorf("writer %d was told of other bytes: %+v", i, infos[i])
		}
	}
	if winners != 1 {
		t.Errorf("%d writers won", winners)
	}
}

func testRetention(t *testing.T, f *Fixture) {
	info := put(t, f, "kept", "evidence", blob.Protection{RetainUntil: f.Now().Add(time.Hour)})
	refused(t, f, "kept")
	if info.Enforced != (f.DeleteBehind != nil) {
		t.Errorf("enforced: %t", info.Enforced)
	}
}

// refused checks that nobody can delete an object.
func refused(t *testing.T, f *Fixture, name string) {
	t.Helper()
	want(t, "delete", f.Engine.Delete(t.Context(), tenant, name), blob.ErrRetained)
	if f.DeleteBehind != nil {
		if err := f.DeleteBehind(tenant, name); err == nil {
			t.Error("the store let a retained object be deleted behind the engine")
		}
	}
	if got, err := text(t, f, tenant, name); got != "evidence" || err != nil {
		t.Errorf("after the attempt: %q, %v", got, err)
	}
}

func testRetentionEnds(t *testing.T, f *Fixture) {
	put(t, f, "short", "evidence", blob.Protection{RetainUntil: f.Now().Add(1500 * time.Millisecond)})
	want(t, "delete", f.Engine.Delete(t.Context(), tenant, "short"), blob.ErrRetained)
	if f.Advance != nil {
		f.Advance(5 * time.Second)
		if err := f.Engine.Delete(t.Context(), tenant, "short"); err != nil {
			t.Error(err)
		}
		return
	}
	deadline, again := time.After(patience), time.NewTicker(200*time.Millisecond)
	defer again.Stop()
	for {
		err := f.Engine.Delete(t.Context(), tenant, "short")
		if err == nil {
			return
		}
		want(t, "delete", err, blob.ErrRetained)
		select {
		case <-again.C:
		case <-deadline:
			t.Fatal("retention of two seconds did not end")
		}
	}
}

func testExtend(t *testing.T, f *Fixture) {
	ctx := t.Context()
	until := f.Now().Add(time.Hour)
	put(t, f, "kept", "evidence", blob.Protection{RetainUntil: until})
	for _, less := range []time.Time{until.Add(-time.Minute), f.Now(), {}} {
		want(t, "shorten", f.Engine.Extend(ctx, tenant, "kept", less), blob.ErrRetained)
	}
	if err := f.Engine.Extend(ctx, tenant, "kept", until); err != nil {
		t.Errorf("the same time: %v", err)
	}
	longer := until.Add(time.Hour)
	if err := f.Engine.Extend(ctx, tenant, "kept", longer); err != nil {
		t.Fatal(err)
	}
	if info := must[blob.Info](t)(f.Engine.Stat(ctx, tenant, "kept")); !info.RetainUntil.Equal(blob.RoundUp(longer)) {
		t.Errorf("retained until %v, want %v", info.RetainUntil, longer)
	}
	want(t, "shorten to what it was", f.Engine.Extend(ctx, tenant, "kept", until), blob.ErrRetained)
	// An object without retention gets one.
	put(t, f, "free", "evidence", blob.Protection{})
	if err := f.Engine.Extend(ctx, tenant, "free", until); err != nil {
		t.Fatal(err)
	}
	refused(t, f, "free")
}

func testHold(t *testing.T, f *Fixture) {
	ctx := t.Context()
	put(t, f, "held", "evidence", blob.Protection{Hold: true})
	refused(t, f, "held")
	put(t, f, "later", "evidence", blob.Protection{})
	for range 2 {
		if err := f.Engine.SetHold(ctx, tenant, "later", true); err != nil {
			t.Fatal(err)
		}
	}
	if info := must[blob.Info](t)(f.Engine.Stat(ctx, tenant, "later")); !info.Hold {
		t.Errorf("%+v", info)
	}
	refused(t, f, "later")
	for _, name := range []string{"held", "later"} {
		if err := f.Engine.SetHold(ctx, tenant, name, false); err != nil {
			t.Fatal(err)
		}
		if info := must[blob.Info](t)(f.Engine.Stat(ctx, tenant, name)); info.Hold {
			t.Errorf("%+v", info)
		}
		if err := f.Engine.Delete(ctx, tenant, name); err != nil {
			t.Error(err)
		}
	}
	// A hold outlasts clearing of nothing else: retention stays.
	put(t, f, "both", "evidence", blob.Protection{RetainUntil: f.Now().Add(time.Hour), Hold: true})
	if err := f.Engine.SetHold(ctx, tenant, "both", false); err != nil {
		t.Fatal(err)
	}
	refused(t, f, "both")
}

func names(list []blob.Entry) (out []string) {
	for _, e := range list {
		out = append(out, e.Name)
	}
	return out
}

func testList(t *testing.T, f *Fixture) {
	all := []string{"a-b", "a.b", "a/b", "a/b-c", "a/c/d", "a0", "b/a/a", "b/a/b"}
	for _, n := range slices.Backward(all) {
		put(t, f, n, n, blob.Protection{})
	}
	must[string](t)(f.Engine.Put(t.Context(), tenant, []byte("content is in no list")))
	for _, c := range []struct {
		prefix, after string
		want          []string
	}{
		{"", "", all},
		{"a", "", all[:6]},
		{"a/", "", all[2:5]},
		{"a/b", "", all[2:4]},
		{"a/c/d", "", all[4:5]},
		{"a/c/", "a/b", all[4:5]},
		{"b/a", "b/a/a", all[7:]},
		{"", "a/b", all[3:]},
		{"", "a/", all[2:]},
		{"", "a/bb", all[4:]},
		{"z", "", nil},
		{"a", "b", nil},
		{"", "z", nil},
	} {
		list := must[[]blob.Entry](t)(f.Engine.List(t.Context(), tenant, c.prefix, c.after, 100))
		if got := names(list); !slices.Equal(got, c.want) {
			t.Errorf("prefix %q after %q: %q, want %q", c.prefix, c.after, got, c.want)
		}
		for _, e := range list {
			if e.Size != int64(len(e.Name)) {
				t.Errorf("%s has %d bytes", e.Name, e.Size)
			}
		}
	}
	if err := f.Engine.Delete(t.Context(), tenant, "a/b"); err != nil {
		t.Fatal(err)
	}
	if got := names(must[[]blob.Entry](t)(f.Engine.List(t.Context(), tenant, "a/", "", 100))); !slices.Equal(got, all[3:5]) {
		t.Errorf("after a deletion: %q", got)
	}
}

func testPages(t *testing.T, f *Fixture) {
	var all []string
	for i := range 25 {
		all = append(all, fmt.Sprintf("day/%02d/x", i))
		put(t, f, all[i], "x", blob.Protection{})
	}
	var got []string
	for after := ""; ; {
		page := names(must[[]blob.Entry](t)(f.Engine.List(t.Context(), tenant, "day/", after, 7)))
		got = append(got, page...)
		if len(page) < 7 {
			break
		}
		after = page[len(page)-1]
	}
	if !slices.Equal(got, all) {
		t.Errorf("got %q", got)
	}
}

func testClosed(t *testing.T, f *Fixture) {
	put(t, f, "before", "x", blob.Protection{})
	for range 2 {
		if err := f.Engine.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := f.Engine.Put(t.Context(), tenant, []byte("late"))
	want(t, "put", err, blob.ErrUnavailable)
	_, err = f.Engine.PutNamed(t.Context(), tenant, "late", strings.NewReader("x"), blob.Protection{})
	want(t, "put named", err, blob.ErrUnavailable)
	_, err = f.Engine.Stat(t.Context(), tenant, "before")
	want(t, "stat", err, blob.ErrUnavailable)
}
