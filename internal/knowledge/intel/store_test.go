package intel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
)

func openStore(t testing.TB) (*Store, store.DB) {
	t.Helper()
	db := dbtest.MustOpen(t, dbtest.Config{Migrations: schema.FS, SQLiteDir: schema.SQLiteDir, PostgresDir: schema.PostgresDir})
	return NewStore(db), db
}

func TestStoreMerges(t *testing.T) {
	s, _ := openStore(t)
	ctx := t.Context()
	a := Indicator{Type: alert.IndicatorDomain, Value: "evil.example", Confidence: 60, Severity: alert.Medium,
		FirstSeen: now.Add(-48 * time.Hour), LastSeen: now.Add(-24 * time.Hour), Sources: []string{"a"}, Tags: []string{"x"}, Context: "first"}
	b := Indicator{Type: alert.IndicatorDomain, Value: "evil.example", Confidence: 85, Severity: alert.Low,
		FirstSeen: now.Add(-24 * time.Hour), LastSeen: now, Sources: []string{"b"}, Groups: []string{"Group Y"}}
	var results []string
	for n, order := range [][]Indicator{{a, b}, {b, a}} {
		tenant := fmt.Sprint("tenant", n)
		for _, i := range order {
			if err := s.Upsert(ctx, tenant, now, []Indicator{i, i}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.Lookup(ctx, tenant, alert.IndicatorDomain, "EVIL[.]example", now)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, fmt.Sprintf("%+v", got))
		if got.Confidence != 85 || got.Severity != alert.Medium || !slices.Equal(got.Sources, []string{"a", "b"}) ||
			!got.FirstSeen.Equal(a.FirstSeen) || !got.LastSeen.Equal(b.LastSeen) || got.Context != "first" ||
			!slices.Equal(got.Groups, []string{"Group Y"}) || !got.Expiry.Equal(now.Add(30*24*time.Hour)) {
			t.Errorf("%+v", got)
		}
	}
	if results[0] != results[1] {
		t.Errorf("the order of imports matters:\n%s\n%s", results[0], results[1])
	}
	if _, err := s.Lookup(ctx, "stranger", alert.IndicatorDomain, "evil.example", now); !errors.Is(err, ErrNotFound) {
		t.Errorf("another tenant sees it: %v", err)
	}
	if err := s.Upsert(ctx, "", now, nil); !errors.Is(err, ErrTenant) {
		t.Errorf("no tenant: %v", err)
	}
}

func TestStoreImportIndexAndExpiry(t *testing.T) {
	s, _ := openStore(t)
	ctx := t.Context()
	if x, err := s.Index(ctx, now); err != nil || x.Imported("acme") || x.Len() != 0 {
		t.Fatalf("empty store: %v %v", x, err)
	}
	text := "value,confidence,valid_until\nlong.example,95,\nmid.example,60,\nshort.example,20,\nstated.example,20,2026-12-31\n"
	for range 2 { // a second import changes nothing but the list of imports
		rep, err := s.Import(ctx, "acme", strings.NewReader(text), Options{Feed: "feed", Now: now})
		if err != nil || rep.Accepted != 4 {
			t.Fatalf("%+v %v", rep, err)
		}
	}
	imports, err := s.Imports(ctx, "acme", 10)
	if err != nil || len(imports) != 2 || imports[0].Feed != "feed" || imports[0].Accepted != 4 || !imports[0].At.Equal(now) {
		t.Errorf("imports %+v %v", imports, err)
	}
	if _, err := s.Import(ctx, "acme", strings.NewReader("<html>"), Options{Now: now}); !errors.Is(err, ErrUnknownFormat) {
		t.Errorf("%v", err)
	}
	for _, c := range []struct {
		after time.Duration
		want  []string
	}{
		{0, []string{"long", "mid", "short", "stated"}},
		{25 * time.Hour, []string{"long", "mid", "stated"}},
		{8 * 24 * time.Hour, []string{"long", "stated"}},
		{31 * 24 * time.Hour, []string{"stated"}},
		{365 * 24 * time.Hour, nil},
	} {
		at := now.Add(c.after)
		live := new(Live)
		if err := s.Refresh(ctx, live, at); err != nil {
			t.Fatal(err)
		}
		x, _ := live.Index()
		var got []string
		for _, name := range []string{"long", "mid", "short", "stated"} {
			if _, ok := x.Lookup("acme", alert.IndicatorDomain, "www."+name+".example", at); ok {
				got = append(got, name)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("after %s: %v, want %v", c.after, got, c.want)
		}
		if !x.Imported("acme") || x.Imported("globex") {
			t.Error("what was imported must be known after everything expired")
		}
		if _, err := s.Expire(ctx, at); err != nil {
			t.Fatal(err)
		}
	}
}

// What is imported and looked up for one owner is so in transactions of that owner.
func TestStoreIsBoundToTheOwner(t *testing.T) {
	_, db := openStore(t)
	watched := dbtest.Watch(db)
	s, ctx := NewStore(watched), t.Context()
	for _, owner := range []string{"acme", SharedTenant} {
		if _, err := s.Import(ctx, owner, strings.NewReader("evil.example\n"), Options{Now: now}); err != nil {
			t.Fatal(err)
		}
		if _, updates := watched.Take(); !slices.Equal(updates, []string{owner}) {
			t.Errorf("an import of %s writes for %v", owner, updates)
		}
	}
	if _, err := s.Lookup(ctx, "acme", alert.IndicatorDomain, "evil.example", now); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Imports(ctx, "acme", 10); err != nil || len(list) != 2 {
		t.Errorf("%d imports, %v", len(list), err)
	}
	if _, err := s.rows(ctx, "acme", []ref{{alert.IndicatorDomain, "evil.example"}}, now); err != nil {
		t.Fatal(err)
	}
	if views, _ := watched.Take(); !slices.Equal(views, []string{"acme"}) {
		t.Errorf("look-ups read for %v", views)
	}
	if dbtest.Dialect() != store.Postgres {
		return
	}
	for _, owner := range []string{SharedTenant, "globex"} {
		row := Indicator{Type: alert.IndicatorDomain, Value: "good.example", Confidence: 90, Sources: []string{"forged"}, Expiry: now.Add(time.Hour)}
		err := db.Update(store.ForTenant(ctx, "acme"), func(tx store.Tx) error { return insert(tx, owner, now, []Indicator{row}) })
		if !errors.Is(err, store.ErrConstraint) {
			t.Errorf("a tenant imports for %s: %v", owner, err)
		}
	}
}

func TestStoreUnavailable(t *testing.T) {
	s, db := openStore(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	live := new(Live)
	if err := s.Refresh(t.Context(), live, now); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if x, blind := live.Index(); x != nil || !strings.Contains(blind, "could not be loaded") {
		t.Errorf("blind %q", blind)
	}
	if _, err := s.Import(t.Context(), "acme", strings.NewReader("evil.example\n"), Options{Now: now}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

func BenchmarkImport10k(b *testing.B) {
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "host%d.evil.example\n", i)
	}
	s, _ := openStore(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Import(b.Context(), "acme", strings.NewReader(text.String()), Options{Now: now}); err != nil {
			b.Fatal(err)
		}
	}
}

// slow is a database that does something between what it read and its answer, once.
type slow struct {
	store.DB
	between func()
}

func (s *slow) View(ctx context.Context, fn func(store.Tx) error) error {
	err := s.DB.View(ctx, fn)
	if between := s.between; between != nil {
		s.between = nil
		between()
	}
	return err
}

// Of imports at the same time, one that reads the indicators early and is done late does not take back
// what the other one put into use.
func TestASlowRefreshTakesNothingBack(t *testing.T) {
	_, db := openStore(t)
	late := &slow{DB: db}
	s, live := NewStore(late), NewLive()
	bring := func(name string) {
		if _, err := s.Import(t.Context(), "acme", strings.NewReader(name+"\n"), Options{Feed: name, Now: now}); err != nil {
			t.Error(err)
		}
	}
	refresh := func() {
		if err := s.Refresh(t.Context(), live, now); err != nil {
			t.Error(err)
		}
	}
	bring("evil.example")
	other := make(chan struct{})
	late.between = func() {
		bring("worse.example")
		go func() {
			defer close(other)
			refresh()
		}()
		select {
		case <-other:
		case <-time.After(100 * time.Millisecond): // it waits for this one
		}
	}
	refresh()
	<-other
	if x, why := live.Index(); x == nil || x.Len() != 2 {
		t.Errorf("an import is not in use: %v %s", x, why)
	}
}
