package intel

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/cache"
	"github.com/aluskort/aluskort/internal/engine/cache/memory"
	"github.com/aluskort/aluskort/internal/engine/cache/redis"
	"github.com/aluskort/aluskort/internal/engine/enginetest"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/evidence"
)

// counted is a database whose queries are counted and may fail.
type counted struct {
	store.DB
	views atomic.Int64
	fail  func() error
}

func (c *counted) View(ctx context.Context, fn func(tx store.Tx) error) error {
	c.views.Add(1)
	if c.fail != nil {
		if err := c.fail(); err != nil {
			return err
		}
	}
	return c.DB.View(ctx, fn)
}

// flaky is a cache that can be away.
type flaky struct {
	cache.Cache
	away   atomic.Bool
	asked  atomic.Int64
	stored sync.Map // name → entry
}

func (f *flaky) GetMany(ctx context.Context, s cache.Space, names []string) ([][]byte, error) {
	f.asked.Add(1)
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
		f.stored.Store(s.Tenant+" "+e.Name, e)
	}
	return f.Cache.Set(ctx, s, entries...)
}

// fixed is a clock that stands still; what waits on it waits as ever.
type fixed struct{ clock.System }

func (fixed) Now() time.Time { return now }

// remoteFixture is one table and both ways to look into it.
type remoteFixture struct {
	*Remote
	t    *testing.T
	db   *counted
	hot  *flaky
	all  *Live
	full *Source
}

// caches tells the caches of tests on one server apart.
var caches atomic.Int64

// openCache returns an empty cache: in Redis where there is one, else in this process.
func openCache(t *testing.T) cache.Cache {
	t.Helper()
	if !enginetest.Known("redis") {
		c, err := memory.New(memory.Config{Clock: fixed{}})
		return closing(t, c, err)
	}
	u, err := url.Parse(enginetest.Address(t, "redis"))
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	c, err := redis.Open(redis.Config{
		Addresses: []string{u.Host}, User: u.User.Username(), Password: password, Timeout: 10 * time.Second,
		Prefix: fmt.Sprintf("intel%d-%d", os.Getpid(), caches.Add(1)),
	})
	return closing(t, c, err)
}

// closing closes a cache, if it could be opened, with the test.
func closing(t *testing.T, c cache.Cache, err error) cache.Cache {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func openRemote(t *testing.T) *remoteFixture {
	t.Helper()
	_, db := openStore(t)
	f := &remoteFixture{t: t, db: &counted{DB: db}, hot: &flaky{Cache: openCache(t)}, all: NewLive()}
	f.full = NewSource(f.all)
	var err error
	f.Remote, err = NewRemote(t.Context(), NewStore(f.db), NewResident(), f.hot, fixed{})
	if err != nil {
		t.Fatal(err)
	}
	f.refresh()
	return f
}

func (f *remoteFixture) refresh() {
	f.t.Helper()
	for _, live := range []*Live{f.all, f.live} {
		if err := f.store.Refresh(f.t.Context(), live, now); err != nil {
			f.t.Fatal(err)
		}
	}
}

// put imports values of an owner.
func (f *remoteFixture) put(owner string, confidence int, values ...string) {
	f.t.Helper()
	if _, err := f.store.Import(f.t.Context(), owner, strings.NewReader(strings.Join(values, "\n")), Options{Now: now, Confidence: confidence, Feed: "list " + owner}); err != nil {
		f.t.Fatal(err)
	}
	f.refresh()
}

// ask gathers evidence and compares it with that of the index in memory.
func (f *remoteFixture) ask(subjects ...evidence.Subject) (out []evidence.Finding, queries int64) {
	f.t.Helper()
	before := f.db.views.Load()
	out, err := f.Gather(f.t.Context(), subjects)
	if err != nil {
		f.t.Fatal(err)
	}
	queries = f.db.views.Load() - before
	want, err := f.full.Gather(f.t.Context(), subjects)
	if err != nil {
		f.t.Fatal(err)
	}
	if diff := cmp.Diff(want, out); diff != "" {
		f.t.Errorf("other evidence than from the index in memory (-memory +remote):\n%s", diff)
	}
	return out, queries
}

func (f *remoteFixture) domain(tenant, value string) (found bool, queries int64) {
	f.t.Helper()
	out, queries := f.ask(subject(tenant, now, alert.Indicator{Type: alert.IndicatorDomain, Value: value, Confidence: 1}))
	return len(out[0].Items) > 0, queries
}

// TestRemoteSaysWhatTheIndexSays asks for every kind of value in forms that differ from the stored
// one, through an empty cache, a full one and none.
func TestRemoteSaysWhatTheIndexSays(t *testing.T) {
	f := openRemote(t)
	f.put("acme", 90,
		"198.51.100.7", "203.0.113.0/24", "2001:db8:1::/48", "2001:db8::7", "evil.example", "bad.co.uk", "a.github.io",
		"http://evil.test/drop", "https://query.test/x?id=1", "ftp://198.51.100.9:8080/p", "https://UPPER.test/Path", "wss://sock.test/s",
		"bob@evil.example", sampleHash, sampleMD5, "CVE-2026-0001", `%appdata%\evil\run.exe`, `hkcu\software\evil`)
	f.put(SharedTenant, 95, "evil.example", "shared.example", "203.0.113.0/28", "198.51.100.7", "http://evil.test/drop?session=5")
	f.put("globex", 60, "only.example", "198.51.100.7")
	agent := Indicator{Type: alert.IndicatorUserAgent, Value: "Evil/1.0 (Loader)", Confidence: 60, Sources: []string{"agents"}}
	if err := f.store.Upsert(t.Context(), "acme", now, []Indicator{agent}); err != nil {
		t.Fatal(err)
	}
	f.refresh()
	var subjects []evidence.Subject
	hits := 0
	for kind, values := range map[alert.IndicatorType][]string{
		alert.IndicatorIPv4:   {"198.51.100.7", "::ffff:198.51.100.7", "198.51.100.8", "203.0.113.200", "203.0.113.3", "not an address", ""},
		alert.IndicatorIPv6:   {"2001:db8:1::5", "2001:DB8:0::7", "2001:db8:2::1"},
		alert.IndicatorDomain: {"EVIL.example.", "a.b.evil.example", "notevil.example", "example", "x.bad.co.uk", "good.co.uk", "x.a.github.io", "shared.example", "only.example"},
		alert.IndicatorURL: {
			"http://evil.test/drop", "HTTPS://Evil.test/drop#x", "http://evil.test:80/drop?session=5", "https://evil.test/drop?session=6", "http://evil.test/Drop",
			"http://query.test/x?id=1", "http://query.test/x", "http://198.51.100.9:8080/p", "http://198.51.100.7/", "https://203.0.113.9/x", "http://[2001:db8::7]:81/",
			"https://upper.test/Path", "https://upper.test/path", "ws://sock.test:80/s", "http://www.evil.example/a?b=c", "https://user@evil.example:443/x", "evil.example", "://", "http://",
		},
		alert.IndicatorEmail:    {"Bob@Evil.example", "eve@evil.example"},
		alert.IndicatorSHA256:   {sampleHash, strings.ToUpper(sampleHash), sampleMD5, "short"},
		alert.IndicatorMD5:      {sampleMD5},
		alert.IndicatorCVE:      {"cve-2026-0001", "CVE-2026-0002"},
		alert.IndicatorPath:     {`C:\Users\kim\AppData\Roaming\evil\run.exe`, `c:\x`},
		alert.IndicatorRegistry: {`HKEY_CURRENT_USER\Software\Evil`, `HKCU\Software\Good\x`},
		alert.IndicatorUserAgent: {
			"evil/1.0 (loader)", "Good/1.0 (browser)",
		},
	} {
		for _, v := range values {
			for _, tenant := range []string{"acme", "globex", "stranger"} {
				subjects = append(subjects, subject(tenant, now, alert.Indicator{Type: kind, Value: v, Confidence: 1, Refs: []string{"/" + v}}))
			}
		}
	}
	cold, queries := f.ask(subjects...)
	for _, finding := range cold {
		hits += len(finding.Items)
	}
	if hits < 40 || queries == 0 {
		t.Errorf("%d hits with %d queries: this test compares nothing", hits, queries)
	}
	asked := f.hot.asked.Load()
	if _, queries := f.ask(subjects...); queries != 0 {
		t.Errorf("%d queries although everything was asked before", queries)
	}
	if n := f.hot.asked.Load() - asked; n > 3 {
		t.Errorf("%d requests to the cache for a batch of three owners", n)
	}
	f.hot.away.Store(true)
	if _, queries := f.ask(subjects...); queries == 0 {
		t.Error("without the cache nobody was asked")
	}
}

func TestRemoteKeepsAnswersOfOneOwner(t *testing.T) {
	f := openRemote(t)
	if out, _ := f.ask(subject("acme", now, alert.Indicator{Type: alert.IndicatorDomain, Value: "evil.example", Confidence: 1})); out[0].Blind == "" {
		t.Error("nothing was imported, which is not said")
	}
	f.put("acme", 90, "evil.example")
	f.put(SharedTenant, 90, "shared.example")
	for round, want := range []int64{2, 0} { // of the tenant and of all, then of nobody
		if found, n := f.domain("acme", "evil.example"); !found || n != want {
			t.Errorf("round %d: found %v with %d queries", round, found, n)
		}
	}
	f.domain("acme", "absent.example")
	if _, n := f.domain("acme", "absent.example"); n != 0 {
		t.Errorf("absence is not kept: %d queries", n)
	}
	if found, n := f.domain("globex", "evil.example"); found || n != 0 {
		t.Errorf("what belongs to another tenant: found %v with %d queries", found, n)
	}
	if found, _, err := f.Lookup(t.Context(), "globex", alert.IndicatorDomain, "www.shared.example", now); err != nil || found.Value != "shared.example" {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestRemoteSeesAnImport(t *testing.T) {
	f := openRemote(t)
	f.put("acme", 90, "other.example")
	if found, _ := f.domain("acme", "evil.example"); found {
		t.Fatal("found before the import")
	}
	f.put(SharedTenant, 90, "evil.example")
	if found, _ := f.domain("acme", "evil.example"); !found {
		t.Error("an old answer is believed after an import")
	}
	f.hot.away.Store(true)
	f.put("acme", 90, "late.example")
	f.hot.away.Store(false)
	if found, _ := f.domain("acme", "late.example"); !found {
		t.Error("an import without the cache is not seen when it is back")
	}
}

// TestRemoteBelievesNothingForged lets somebody write to the cache who does not know the secret of
// the database.
func TestRemoteBelievesNothingForged(t *testing.T) {
	f := openRemote(t)
	f.put("acme", 90, "evil.example", "worse.example")
	f.put("globex", 90, "other.example")
	f.domain("acme", "evil.example")
	f.domain("acme", "good.example")
	f.domain("globex", "evil.example")
	entry := func(owner, name string) cache.Entry {
		t.Helper()
		e, ok := f.hot.stored.Load(owner + " " + name)
		if !ok {
			t.Fatalf("nothing is kept of %s for %s", name, owner)
		}
		return e.(cache.Entry)
	}
	name := iocName(f.imports(), ref{alert.IndicatorDomain, "evil.example"})
	genuine := entry("acme", name)
	for what, value := range map[string][]byte{
		"nothing":                    {},
		"rubbish":                    []byte("{"),
		"absence without a seal":     []byte("{}"),
		"absence with a false seal":  append(make([]byte, sealSize), "{}"...),
		"absence of another value":   entry("acme", iocName(f.imports(), ref{alert.IndicatorDomain, "good.example"})).Value,
		"absence for another tenant": entry("globex", name).Value,
		"a changed answer":           []byte(strings.Replace(string(genuine.Value), "evil", "good", 1)),
	} {
		if err := f.hot.Cache.Set(t.Context(), iocSpace("acme"), cache.Entry{Name: name, Value: value, Life: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if found, n := f.domain("acme", "evil.example"); !found || n != 1 {
			t.Errorf("%s: found %v with %d queries", what, found, n)
		}
	}
	if found, n := f.domain("acme", "evil.example"); !found || n != 0 {
		t.Errorf("the genuine answer: found %v with %d queries", found, n)
	}
}

func (f *remoteFixture) imports() int64 {
	x, _ := f.live.Index()
	return x.imports
}

func TestRemoteLife(t *testing.T) {
	f := openRemote(t)
	f.put("acme", 50, "first.example")
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
		{"gone.example", 95, now.Add(-time.Minute), 5 * time.Minute},
		{"absent.example", -1, time.Time{}, 5 * time.Minute},
	} {
		if c.confidence >= 0 {
			row := Indicator{Type: alert.IndicatorDomain, Value: c.value, Confidence: c.confidence, Sources: []string{"feed"}, Expiry: c.expiry}
			if err := f.store.Upsert(t.Context(), "acme", now, []Indicator{row}); err != nil {
				t.Fatal(err)
			}
			f.refresh()
		}
		f.domain("acme", c.value)
		e, _ := f.hot.stored.Load("acme " + iocName(f.imports(), ref{alert.IndicatorDomain, c.value}))
		if kept, ok := e.(cache.Entry); !ok || kept.Life != c.want {
			t.Errorf("%s is kept for %v, want %v", c.value, kept.Life, c.want)
		}
	}
}

// TestRemoteWithoutDatabase: a database that is away is waited for, one that fails in another way
// makes the source blind, which the verdict says.
func TestRemoteWithoutDatabase(t *testing.T) {
	f := openRemote(t)
	f.put("acme", 90, "evil.example")
	left := 2
	f.db.fail = func() error {
		if left--; left >= 0 {
			return fmt.Errorf("%w: away", store.ErrUnavailable)
		}
		return nil
	}
	if found, _ := f.domain("acme", "evil.example"); !found {
		t.Error("not found once the database was back")
	}
	f.db.fail = func() error { return errors.New("damaged page") }
	s := subject("acme", now, alert.Indicator{Type: alert.IndicatorDomain, Value: "new.example", Confidence: 1})
	out, err := f.Gather(t.Context(), []evidence.Subject{s})
	if err != nil || !strings.Contains(out[0].Blind, "damaged page") {
		t.Errorf("%+v, %v", out, err)
	}
	f.db.fail = func() error { return store.ErrUnavailable }
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := f.Gather(ctx, []evidence.Subject{s}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cancelled: %v", err)
	}
}

// BenchmarkRemote gathers for a batch of 500 alerts with four indicators each.
func BenchmarkRemote(b *testing.B) {
	_, db := openStore(b)
	m, err := memory.New(memory.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	s := NewStore(db)
	if _, err := s.Import(b.Context(), SharedTenant, strings.NewReader("evil.example\n198.51.100.7\n"), Options{Now: time.Now()}); err != nil {
		b.Fatal(err)
	}
	live := NewResident()
	r, err := NewRemote(b.Context(), s, live, m, clock.System{})
	if err := errors.Join(err, s.Refresh(b.Context(), live, time.Now())); err != nil {
		b.Fatal(err)
	}
	batch := make([]evidence.Subject, 500)
	for i := range batch {
		batch[i] = subject("acme", time.Now(),
			alert.Indicator{Type: alert.IndicatorDomain, Value: fmt.Sprintf("host%d.evil.example", i)},
			alert.Indicator{Type: alert.IndicatorIPv4, Value: fmt.Sprintf("198.51.100.%d", i%256)},
			alert.Indicator{Type: alert.IndicatorURL, Value: fmt.Sprintf("https://www%d.example/x?y=%d", i, i)},
			alert.Indicator{Type: alert.IndicatorSHA256, Value: fmt.Sprintf("%064x", i+1)})
	}
	for b.Loop() {
		if _, err := r.Gather(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
}
