package redact

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func tenantKey(t testing.TB, secret string) *TenantKey {
	t.Helper()
	k, err := NewTenantKey([]byte(strings.Repeat(secret, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealed(t testing.TB, k *TenantKey, s *Session) []byte {
	t.Helper()
	b, err := s.Map().Seal(k, "inv-1", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestASealedMapOpensAndResumes(t *testing.T) {
	k := tenantKey(t, "k")
	s := plain(t, propertyKnown...)
	in := strings.Join(pieces, " ")
	out := s.Redact(in)
	m, err := OpenMap(k, "inv-1", sealed(t, k, s))
	if err != nil || m.Len() != s.Map().Len() || m.Len() == 0 {
		t.Fatal(m, err)
	}
	again := New(DefaultPolicy()).Resume(testKey, propertyKnown, m)
	if got := again.Redact(in); got != out {
		t.Errorf("resumed:\n got %q\nwant %q", got, out)
	}
	// New values and spellings go on where the map ended.
	if got, unknown := again.Restore(again.Redact("/home/aDa /home/newcomer")); got != "/home/aDa /home/newcomer" || unknown != nil {
		t.Errorf("%q, %q", got, unknown)
	}
}

func TestTamperingIsAnError(t *testing.T) {
	k := tenantKey(t, "k")
	s := plain(t)
	s.Redact("ada@example.com")
	good := sealed(t, k, s)
	for i := range good {
		for _, bit := range []byte{1, 0x80} {
			bad := bytes.Clone(good)
			bad[i] ^= bit
			if _, err := OpenMap(k, "inv-1", bad); !errors.Is(err, ErrTampered) && !errors.Is(err, ErrVersion) {
				t.Fatalf("byte %d: %v", i, err)
			}
		}
		if _, err := OpenMap(k, "inv-1", good[:i]); !errors.Is(err, ErrTampered) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := OpenMap(k, "inv-2", good); !errors.Is(err, ErrTampered) {
		t.Errorf("another investigation: %v", err)
	}
	if _, err := OpenMap(tenantKey(t, "x"), "inv-1", good); !errors.Is(err, ErrTampered) {
		t.Errorf("another key: %v", err)
	}
	newer := bytes.Clone(good)
	newer[len(magic)]++
	if _, err := OpenMap(k, "inv-1", newer); !errors.Is(err, ErrVersion) {
		t.Errorf("newer: %v", err)
	}
	if bytes.Equal(good, sealed(t, k, s)) {
		t.Error("a map was sealed twice with one nonce")
	}
}

func TestKeysAreMadeOnceAndKeptPrivate(t *testing.T) {
	dir := t.TempDir()
	keys := NewKeys(dir, rand.Reader)
	a, err := keys.Tenant("a/../b")
	if err != nil {
		t.Fatal(err)
	}
	again, err := NewKeys(dir, rand.Reader).Tenant("a/../b")
	if err != nil || *again != *a {
		t.Errorf("another key at the second time, %v", err)
	}
	other, err := keys.Tenant("b")
	if err != nil || *other == *a {
		t.Errorf("two tenants have one key, %v", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", f.Name(), info.Mode(), err)
		}
	}
	path := filepath.Join(dir, files[0].Name())
	if err := os.WriteFile(path, []byte("deadbeef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := 0
	for _, tenant := range []string{"a/../b", "b"} {
		if _, err := keys.Tenant(tenant); errors.Is(err, ErrKey) && strings.Contains(err.Error(), files[0].Name()) {
			bad++
		}
	}
	if bad != 1 {
		t.Errorf("%d keys refused, want 1", bad)
	}
	if _, err := NewKeys(filepath.Join(dir, "absent"), rand.Reader).Tenant("a"); err == nil {
		t.Error("made a key in a directory that is not there")
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	k := tenantKey(t, "k")
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, k); strings.ContainsAny(got, "0123456789[") {
			t.Errorf("%s: %s", format, got)
		}
	}
	if _, err := NewTenantKey(make([]byte, 31)); !errors.Is(err, ErrKey) {
		t.Errorf("got %v", err)
	}
}

func FuzzOpenMap(f *testing.F) {
	k := tenantKey(f, "k")
	s := plain(f, propertyKnown...)
	s.Redact(strings.Join(pieces, " "))
	f.Add(sealed(f, k, s), s.Map().encode())
	f.Add([]byte(magic+"\x01"), []byte{1, 0})
	f.Fuzz(func(t *testing.T, sealedBytes, plainBytes []byte) {
		if _, err := OpenMap(k, "inv-1", sealedBytes); err != nil && !errors.Is(err, ErrTampered) && !errors.Is(err, ErrVersion) {
			t.Fatal(err)
		}
		m, err := decodeMap(plainBytes)
		if err != nil {
			return
		}
		again, err := decodeMap(m.encode())
		if err != nil || again.Len() != m.Len() {
			t.Fatalf("%d pairs became %v, %v", m.Len(), again, err)
		}
		s := New(DefaultPolicy()).Resume(testKey, nil, m)
		text := "ada@example.com USER-2AAAAAAA"
		if got, unknown := s.Restore(s.Redact(text)); got != text || unknown != nil {
			t.Fatalf("%q, %q with the map %v", got, unknown, m)
		}
	})
}
