package token

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
)

func open(t *testing.T) (*Store, string) {
	path := filepath.Join(t.TempDir(), "keys", "tokens.json")
	return Open(path, clock.System{}, nil), path
}

func TestCreateVerifyRevoke(t *testing.T) {
	s, path := open(t)
	if _, err := s.Verify("anything"); !errors.Is(err, ErrUnknown) {
		t.Errorf("without a file: %v", err)
	}
	secret, err := s.Create(Record{Name: "dana", Roles: []Role{Analyst}, Tenant: "default"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(b), secret) {
		t.Errorf("the file holds the secret itself (%v)", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if r, err := s.Verify(secret); err != nil || r.Who() != "dana" || r.Tenant != "default" {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := s.Verify(secret + "x"); !errors.Is(err, ErrUnknown) {
		t.Errorf("a longer token: %v", err)
	}
	if _, err := s.Create(Record{Name: "dana", Roles: []Role{Admin}, Tenant: "default"}); !errors.Is(err, ErrExists) {
		t.Errorf("name taken: %v", err)
	}
	other := Open(path, clock.System{}, nil)
	second, err := other.Replace(Record{Name: "dana", Roles: []Role{Analyst}, Tenant: "default"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(secret); !errors.Is(err, ErrUnknown) {
		t.Errorf("a replaced token still works: %v", err)
	}
	if _, err := s.Verify(second); err != nil {
		t.Errorf("a token made by another process does not work: %v", err)
	}
	if err := other.Revoke("dana"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(second); !errors.Is(err, ErrUnknown) {
		t.Errorf("a revoked token still works: %v", err)
	}
	if err := s.Revoke("dana"); !errors.Is(err, ErrUnknown) {
		t.Errorf("revoke twice: %v", err)
	}
}

func TestRecordsAreChecked(t *testing.T) {
	s, _ := open(t)
	for name, r := range map[string]Record{
		"no name":    {Roles: []Role{Admin}, Tenant: "t"},
		"line break": {Name: "a\nb", Roles: []Role{Admin}, Tenant: "t"},
		"no role":    {Name: "a", Tenant: "t"},
		"wrong role": {Name: "a", Roles: []Role{"root"}, Tenant: "t"},
		"no tenant":  {Name: "a", Roles: []Role{Admin}},
	} {
		if _, err := s.Create(r); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDamagedFileLetsNobodyIn(t *testing.T) {
	s, path := open(t)
	secret, err := s.Create(Record{Name: "a", Roles: []Role{Admin}, Tenant: "t"})
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{`{"format":1,"tokens":[{"name":"a"`, `{"format":2}`, `{"format":1,"tokens":[{"name":"a","roles":["king"],"tenant":"t"}]}`} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Verify(secret); !errors.Is(err, ErrFile) {
			t.Errorf("%s: %v", content, err)
		}
	}
}

func TestConcurrentWritersLoseNothing(t *testing.T) {
	_, path := open(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s := Open(path, clock.System{}, nil)
			if _, err := s.Create(Record{Name: fmt.Sprintf("n%d", i), Roles: []Role{Ingest}, Tenant: "t"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if list, err := Open(path, clock.System{}, nil).List(); err != nil || len(list) != 8 {
		t.Errorf("%d tokens, %v", len(list), err)
	}
}

func TestStaleLockIsTakenOver(t *testing.T) {
	s, path := open(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	lock := path + ".lock"
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(lock, old, old); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(Record{Name: "a", Roles: []Role{Admin}, Tenant: "t"}); err != nil {
		t.Error(err)
	}
}

func TestMay(t *testing.T) {
	for _, c := range []struct {
		have, want Role
		ok         bool
	}{
		{Admin, SeniorAnalyst, true}, {Admin, Analyst, true}, {Admin, Ingest, true}, {Admin, AuditReader, false},
		{SeniorAnalyst, Analyst, true}, {SeniorAnalyst, Admin, false}, {SeniorAnalyst, Ingest, false},
		{Analyst, SeniorAnalyst, false}, {Ingest, Analyst, false}, {AuditReader, Analyst, false}, {AuditReader, AuditReader, true},
	} {
		if got := (&Record{Roles: []Role{c.have}}).May(c.want); got != c.ok {
			t.Errorf("%s as %s: %v", c.have, c.want, got)
		}
	}
}
