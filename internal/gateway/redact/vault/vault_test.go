package vault

import (
	"bytes"
	"crypto/rand"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
	"github.com/aluskort/aluskort/internal/gateway/redact"
)

var now = time.Date(2026, 3, 2, 7, 30, 0, 0, time.UTC)

func open(t *testing.T, path string) store.DB {
	t.Helper()
	return dbtest.MustOpen(t, dbtest.Config{Path: path, Migrations: schema.FS, SQLiteDir: schema.SQLiteDir, PostgresDir: schema.PostgresDir})
}

type fixture struct {
	dir  string
	keys *redact.Keys
	db   store.DB
	v    *Vault
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir()}
	f.keys = redact.NewKeys(f.dir, rand.Reader)
	f.db = open(t, filepath.Join(f.dir, "state.db"))
	f.v = New(f.db, f.keys, rand.Reader)
	return f
}

func (f *fixture) session(t *testing.T, tenant, investigation string, m *redact.Map) *redact.Session {
	t.Helper()
	k, err := f.keys.Tenant(tenant)
	if err != nil {
		t.Fatal(err)
	}
	key, err := k.Session(investigation)
	if err != nil {
		t.Fatal(err)
	}
	return redact.New(redact.DefaultPolicy()).Resume(key, nil, m)
}

func (f *fixture) save(t *testing.T, tenant, investigation string, m *redact.Map, at time.Time) error {
	t.Helper()
	return f.db.Update(t.Context(), func(tx store.Tx) error { return f.v.Save(tx, tenant, investigation, m, at) })
}

const text = "ada@example.com from 10.1.2.3 in /home/ada and /home/ADA"

func TestAMapSurvivesARestart(t *testing.T) {
	f := newFixture(t)
	s := f.session(t, "a", "inv-1", nil)
	out := s.Redact(text)
	if err := f.save(t, "a", "inv-1", s.Map(), now); err != nil {
		t.Fatal(err)
	}
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	f.db = open(t, filepath.Join(f.dir, "state.db"))
	f.v = New(f.db, redact.NewKeys(f.dir, rand.Reader), rand.Reader)
	m, err := f.v.Load(t.Context(), "a", "inv-1")
	if err != nil {
		t.Fatal(err)
	}
	again := f.session(t, "a", "inv-1", m)
	if got, unknown := again.Restore(out); got != text || unknown != nil {
		t.Errorf("%q, unknown %q", got, unknown)
	}
	if got := again.Redact(text); got != out {
		t.Errorf("a resumed session gives %q, before it was %q", got, out)
	}
}

func TestNothingReadableIsStored(t *testing.T) {
	f := newFixture(t)
	s := f.session(t, "a", "inv-1", nil)
	s.Redact(text)
	if err := f.save(t, "a", "inv-1", s.Map(), now); err != nil {
		t.Fatal(err)
	}
	var body []byte
	err := f.db.View(t.Context(), func(tx store.Tx) error { return tx.QueryRow(`SELECT body FROM redaction_map`).Scan(&body) })
	if err != nil || bytes.Contains(body, []byte("ada")) || bytes.Contains(body, []byte("10.1")) {
		t.Errorf("%q, %v", body, err)
	}
}

func TestSavesAddUp(t *testing.T) {
	f := newFixture(t)
	a, b := f.session(t, "a", "inv-1", nil), f.session(t, "a", "inv-1", nil)
	outA, outB := a.Redact("ada@example.com"), b.Redact("bob@example.com")
	for _, s := range []*redact.Session{a, b, a} {
		if err := f.save(t, "a", "inv-1", s.Map(), now); err != nil {
			t.Fatal(err)
		}
	}
	m, err := f.v.Load(t.Context(), "a", "inv-1")
	if err != nil || m.Len() != 2 {
		t.Fatal(m, err)
	}
	if got, unknown := f.session(t, "a", "inv-1", m).Restore(outA + outB); got != "ada@example.combob@example.com" || unknown != nil {
		t.Errorf("%q, unknown %q", got, unknown)
	}
}

// Two sessions that did not know of each other met the spellings of a name in different order.
func TestMapsThatDisagreeAreRefused(t *testing.T) {
	f := newFixture(t)
	a, b := f.session(t, "a", "inv-1", nil), f.session(t, "a", "inv-1", nil)
	a.Redact("/home/ada")
	b.Redact("/home/ADA")
	if err := f.save(t, "a", "inv-1", a.Map(), now); err != nil {
		t.Fatal(err)
	}
	if err := f.save(t, "a", "inv-1", b.Map(), now); !errors.Is(err, redact.ErrConflict) {
		t.Errorf("got %v", err)
	}
}

func TestAMapOpensOnlyInItsPlace(t *testing.T) {
	f := newFixture(t)
	s := f.session(t, "a", "inv-1", nil)
	s.Redact(text)
	if err := f.save(t, "a", "inv-1", s.Map(), now); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what, tenant, investigation string
		damage                      func(body []byte) []byte
	}{
		{"moved to another investigation", "a", "inv-2", bytes.Clone},
		{"moved to another tenant", "b", "inv-1", bytes.Clone},
		{"one bit changed", "a", "inv-1", func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b }},
		{"cut", "a", "inv-1", func(b []byte) []byte { return b[:len(b)-1] }},
		{"of another kind", "a", "inv-1", func([]byte) []byte { return []byte("{}") }},
	} {
		var body []byte
		err := f.db.Update(t.Context(), func(tx store.Tx) error {
			if err := tx.QueryRow(selectMap, "a", "inv-1").Scan(&body); err != nil {
				return err
			}
			_, err := tx.Exec(upsertMap, c.tenant, c.investigation, c.damage(body), now.UnixMicro())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.v.Load(t.Context(), c.tenant, c.investigation); !errors.Is(err, redact.ErrTampered) {
			t.Errorf("%s: got %v", c.what, err)
		}
		if err := f.save(t, c.tenant, c.investigation, s.Map(), now); !errors.Is(err, redact.ErrTampered) {
			t.Errorf("%s: saved over it, %v", c.what, err)
		}
		err = f.db.Update(t.Context(), func(tx store.Tx) error {
			_, err := tx.Exec(upsertMap, "a", "inv-1", body, now.UnixMicro())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestMapsAreForgotten(t *testing.T) {
	f := newFixture(t)
	for i, inv := range []string{"old", "new", "gone"} {
		s := f.session(t, "a", inv, nil)
		s.Redact(text)
		if err := f.save(t, "a", inv, s.Map(), now.Add(time.Duration(i)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	err := f.db.Update(t.Context(), func(tx store.Tx) error {
		n, err := f.v.Expire(tx, "a", now.Add(time.Minute))
		if err == nil && n != 1 {
			t.Errorf("%d forgotten, want 1", n)
		}
		return errors.Join(err, f.v.Delete(tx, "a", "gone"))
	})
	if err != nil {
		t.Fatal(err)
	}
	for inv, kept := range map[string]bool{"old": false, "new": true, "gone": false} {
		if _, err := f.v.Load(t.Context(), "a", inv); (err == nil) != kept || !kept && !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", inv, err)
		}
	}
}

func TestASaveDiesWithItsTransaction(t *testing.T) {
	f := newFixture(t)
	s := f.session(t, "a", "inv-1", nil)
	s.Redact(text)
	failed := errors.New("the call was not recorded")
	err := f.db.Update(t.Context(), func(tx store.Tx) error {
		if err := f.v.Save(tx, "a", "inv-1", s.Map(), now); err != nil {
			return err
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if _, err := f.v.Load(t.Context(), "a", "inv-1"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
