package intel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/cache"
	"github.com/aluskort/aluskort/internal/engine/cache/memory"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// counted counts the queries of a database.
type counted struct {
	store.DB
	views atomic.Int64
	hook  func() // before a query answers
}

func (c *counted) View(ctx context.Context, fn func(tx store.Tx) error) error {
	c.views.Add(1)
	err := c.DB.View(ctx, fn)
	if c.hook != nil {
		c.hook()
	}
	return err
}

// flaky is a cache that can be away.
type flaky struct {
	cache.Cache
	away atomic.Bool
	sets sync.Map // name → life
}

func (f *flaky) GetMany(ctx context.Context, s cache.Space, names []string) ([][]byte, error) {
	if f.away.Load() {
		return nil, cache.ErrUnavailable
	}
	return f.Cache.GetMany(ctx, s, names)
}

func (f *flaky) Set(ctx context.Context, s cache.Space, entries ...cache.Entry) error {
	if f.away.Load() {
		return cache.ErrUnavailable
	}
	for _, e := range entries {
		f.sets.Store(e.Name, e.Life)
	}
	return f.Cache.Set(ctx, s, entries...)
}

func (f *flaky) CompareAndSet(ctx context.Context, s cache.Space, old []byte, e cache.Entry) (bool, error) {
	if f.away.Load() {
		return false, cache.ErrUnavailable
	}
	return f.Cache.CompareAndSet(ctx, s, old, e)
}

type cachedFixture struct {
	*Cached
	t   *testing.T
	db  *counted
	hot *flaky
}

func openCached(t *testing.T) *cachedFixture {
	t.Helper()
	_, db := openStore(t)
	m, err := memory.New(memory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	f := &cachedFixture{t: t, db: &counted{DB: db}, hot: &flaky{Cache: m}}
	f.Cached = NewCached(NewStore(f.db), f.hot, nil)
	return f
}

func (f *cachedFixture) add(owner, value string, confidence int, expiry time.Time) {
	f.t.Helper()
	row := Indicator{Type: alert.IndicatorDomain, Value: value, Confidence: confidence, Severity: alert.High, Sources: []string{"feed"},
		FirstSeen: now.Add(-time.Hour), LastSeen: now, Techniques: []string{"T1071"}, Context: "c2", Expiry: expiry}
	if err := f.Upsert(f.t.Context(), owner, now, []Indicator{row}); err != nil {
		f.t.Fatal(err)
	}
}

// ask looks a domain up and compares with what the store says itself.
func (f *cachedFixture) ask(tenant, value string) (confidence int, queries int64) {
	f.t.Helper()
	before := f.db.views.Load()
	got, err := f.Lookup(f.t.Context(), tenant, alert.IndicatorDomain, value, now)
	queries = f.db.views.Load() - before
	want, wanted := f.store.Lookup(f.t.Context(), tenant, alert.IndicatorDomain, value, now)
	if fmt.Sprint(err) != fmt.Sprint(wanted) || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		f.t.Errorf("%s asks for %s: %+v, %v; the store says %+v, %v", tenant, value, got, err, want, wanted)
	}
	return got.Confidence, queries
}

func TestCachedAnswers(t *testing.T) {
	f := openCached(t)
	f.add("acme", "evil.example", 90, time.Time{})
	f.add(SharedTenant, "evil.example", 95, time.Time{})
	f.add(SharedTenant, "shared.example", 60, time.Time{})
	for round, queries := range []int64{2, 0, 0} { // two owners are asked, then none
		if c, n := f.ask("acme", "evil.example"); c != 95 || n != queries {
			t.Errorf("round %d: confidence %d with %d queries", round, c, n)
		}
	}
	if c, n := f.ask("acme", "EVIL[.]example"); c != 95 || n != 0 {
		t.Errorf("in another form: confidence %d with %d queries", c, n)
	}
	f.ask("acme", "absent.example")
	if _, n := f.ask("acme", "absent.example"); n != 0 {
		t.Errorf("absence is not kept: %d queries", n)
	}
	// The shared half of the answer serves the next tenant; the half of acme does not.
	if c, n := f.ask("other", "evil.example"); c != 95 || n != 1 {
		t.Errorf("another tenant: confidence %d with %d queries", c, n)
	}
	f.add("acme", "only.example", 90, time.Time{})
	f.ask("acme", "only.example")
	if c, _ := f.ask("other", "only.example"); c != 0 {
		t.Error("another tenant sees what is not its own")
	}
	if _, err := f.Lookup(t.Context(), "", alert.IndicatorDomain, "evil.example", now); !errors.Is(err, ErrTenant) {
		t.Errorf("no tenant: %v", err)
	}
	if _, err := f.Lookup(t.Context(), "acme", alert.IndicatorIPv4, "999.1.1.1", now); err == nil {
		t.Error("what can be no indicator was looked up")
	}
}

func TestCachedImportIsSeenAtOnce(t *testing.T) {
	f := openCached(t)
	f.ask("acme", "evil.example")
	f.add("acme", "evil.example", 60, time.Time{})
	if c, _ := f.ask("acme", "evil.example"); c != 60 {
		t.Errorf("confidence %d", c)
	}
	f.ask("acme", "evil.example")
	f.add(SharedTenant, "evil.example", 95, time.Time{})
	if c, _ := f.ask("acme", "evil.example"); c != 95 {
		t.Errorf("confidence %d after an import for all", c)
	}
	if _, err := f.Import(t.Context(), "acme", strings.NewReader("192.0.2.7\nfresh.example\n"), Options{Now: now, Confidence: 70, Feed: "list"}); err != nil {
		t.Fatal(err)
	}
	if c, _ := f.ask("acme", "fresh.example"); c != 70 {
		t.Errorf("confidence %d after an import", c)
	}
}

// TestCachedImportBetweenReadAndKeep lets an import commit while a look-up holds an older row.
func TestCachedImportBetweenReadAndKeep(t *testing.T) {
	f := openCached(t)
	f.ask("acme", "other.example") // generations begin
	var once sync.Once
	f.db.hook = func() { once.Do(func() { f.add("acme", "evil.example", 90, time.Time{}) }) }
	if _, err := f.Lookup(t.Context(), "acme", alert.IndicatorDomain, "evil.example", now); !errors.Is(err, ErrNotFound) {
		t.Fatalf("the row was read too late for this test: %v", err)
	}
	f.db.hook = nil
	if c, _ := f.ask("acme", "evil.example"); c != 90 {
		t.Errorf("an old answer is believed: confidence %d", c)
	}
}

func TestCachedWithoutCache(t *testing.T) {
	f := openCached(t)
	f.add("acme", "evil.example", 60, time.Time{})
	f.ask("acme", "evil.example")
	f.hot.away.Store(true)
	if c, n := f.ask("acme", "evil.example"); c != 60 || n != 2 {
		t.Errorf("confidence %d with %d queries", c, n)
	}
	// An import while the cache is away must not let old answers come back with it.
	f.add("acme", "evil.example", 95, time.Time{})
	if c, _ := f.ask("acme", "evil.example"); c != 95 {
		t.Errorf("confidence %d", c)
	}
	f.hot.away.Store(false)
	if c, _ := f.ask("acme", "evil.example"); c != 95 {
		t.Errorf("confidence %d when the cache is back", c)
	}
	if c, n := f.ask("acme", "evil.example"); c != 95 || n != 0 {
		t.Errorf("confidence %d with %d queries", c, n)
	}
}

func TestCachedLife(t *testing.T) {
	f := openCached(t)
	for _, c := range []struct {
		value      string
		confidence int
		expiry     time.Time
		want       time.Duration
	}{
		{"high.example", 81, time.Time{}, 24 * time.Hour},
		{"medium.example", 80, time.Time{}, 6 * time.Hour},
		{"fifty.example", 50, time.Time{}, 6 * time.Hour},
		{"low.example", 49, time.Time{}, time.Hour},
		{"short.example", 95, now.Add(10 * time.Minute), 10 * time.Minute},
		{"gone.example", 95, now.Add(-time.Minute), 0},
		{"absent.example", -1, time.Time{}, 5 * time.Minute},
	} {
		if c.confidence >= 0 {
			f.add("acme", c.value, c.confidence, c.expiry)
		}
		f.hot.sets.Clear()
		// Only the answer of the tenant's own rows is of interest.
		if _, err := f.of(t.Context(), "acme", alert.IndicatorDomain, c.value, now); err != nil {
			t.Fatal(err)
		}
		if life, _ := f.hot.sets.Load("domain:" + c.value); c.want == 0 && life != nil || c.want != 0 && life != c.want {
			t.Errorf("%s is kept for %v, want %v", c.value, life, c.want)
		}
	}
}

// TestCachedRubbish puts things into the cache that this program did not.
func TestCachedRubbish(t *testing.T) {
	f := openCached(t)
	f.add("acme", "evil.example", 60, time.Time{})
	f.ask("acme", "evil.example")
	s := iocSpace("acme")
	generation, err := f.hot.Get(t.Context(), s, generationName)
	if err != nil {
		t.Fatal(err)
	}
	for _, rubbish := range []string{"", "{", "null", `{"g":"another"}`, `{"g":"` + string(generation) + `","i":{"Type":"domain","Value":"good.example","Confidence":100}}`} {
		if err := f.hot.Cache.Set(t.Context(), s, cache.Entry{Name: "domain:evil.example", Value: []byte(rubbish), Life: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if c, _ := f.ask("acme", "evil.example"); c != 60 {
			t.Errorf("%s: confidence %d", rubbish, c)
		}
	}
}

func BenchmarkCachedLookup(b *testing.B) {
	_, db := openStore(b)
	m, err := memory.New(memory.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	s := NewStore(db)
	if err := s.Upsert(b.Context(), SharedTenant, now, []Indicator{{Type: alert.IndicatorDomain, Value: "evil.example", Confidence: 90, Sources: []string{"feed"}}}); err != nil {
		b.Fatal(err)
	}
	c := NewCached(s, m, nil)
	for name, lookup := range map[string]func(context.Context, string, alert.IndicatorType, string, time.Time) (Indicator, error){"store": s.Lookup, "cached": c.Lookup} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := lookup(b.Context(), "acme", alert.IndicatorDomain, "evil.example", now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
