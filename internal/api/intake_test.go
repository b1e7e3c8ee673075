package api_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/ops"
)

func zipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAcceptedForms(t *testing.T) {
	heartbeat := example(t, "100900")
	for name, c := range map[string]struct {
		path, body        string
		headers           []string
		accepted, dropped int
	}{
		"object":            {"/v1/ingest/wazuh", plain(t), nil, 1, 0},
		"detected":          {"/v1/ingest/auto", plain(t), nil, 1, 0},
		"array":             {"/v1/ingest/auto", "[" + plain(t) + "," + plain(t) + "]", nil, 2, 0},
		"lines":             {"/v1/ingest/auto", plain(t) + "\n" + plain(t) + "\n", nil, 2, 0},
		"envelope":          {"/v1/ingest/auto", `{"took":1,"hits":{"hits":[` + plain(t) + "," + plain(t) + `]}}`, nil, 2, 0},
		"byte order mark":   {"/v1/ingest/auto", "\ufeff" + plain(t), nil, 1, 0},
		"gzip":              {"/v1/ingest/auto", zipped(t, plain(t)+"\n"+plain(t)), []string{"Content-Encoding", "gzip"}, 2, 0},
		"gzip, not said so": {"/v1/ingest/auto", zipped(t, plain(t)), nil, 1, 0},
		"heartbeat":         {"/v1/ingest/auto", heartbeat, nil, 0, 1},
	} {
		a := shared.post(t, token.Ingest, c.path, c.body, c.headers...)
		r := decodeInto[api.Receipt](t, a)
		if a.code != http.StatusAccepted || r.Accepted != c.accepted || r.Dropped != c.dropped || len(r.Rejected) != 0 {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
	}
}

func TestRefusedRequests(t *testing.T) {
	big := `{"_id":"big","text":"` + strings.Repeat("x", alert.MaxRecord) + `"}`
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		code               api.Code
	}{
		"unknown source":   {"POST", "/v1/ingest/siem9", "{}", nil, 404, api.CodeUnknownSource},
		"unknown path":     {"GET", "/api/v2/investigations", "", nil, 404, api.CodeNotFound},
		"wrong method":     {"DELETE", "/v1/ingest/auto", "", nil, 405, api.CodeMethod},
		"empty":            {"POST", "/v1/ingest/auto", "", nil, 400, api.CodeEmpty},
		"blank":            {"POST", "/v1/ingest/auto", " \n\t", nil, 400, api.CodeEmpty},
		"empty array":      {"POST", "/v1/ingest/auto", "[]", nil, 400, api.CodeEmpty},
		"not gzip":         {"POST", "/v1/ingest/auto", "{}", []string{"Content-Encoding", "gzip"}, 400, api.CodeEncoding},
		"damaged gzip":     {"POST", "/v1/ingest/auto", zipped(t, "{}")[:20] + "damage", nil, 400, ""},
		"brotli":           {"POST", "/v1/ingest/auto", "{}", []string{"Content-Encoding", "br"}, 415, api.CodeMediaType},
		"no alert":         {"POST", "/v1/ingest/auto", `{"hello":"world"}`, nil, 422, api.CodeNothingAccepted},
		"no JSON":          {"POST", "/v1/ingest/wazuh", `garbage`, nil, 422, api.CodeNothingAccepted},
		"record too large": {"POST", "/v1/ingest/auto", plain(t) + "\n" + big, nil, 413, api.CodeRecordTooLarge},
		"body too large":   {"POST", "/v1/ingest/auto", strings.Repeat(" ", 33<<20), nil, 413, api.CodeBodyTooLarge},
		"gzip bomb":        {"POST", "/v1/ingest/auto", zipped(t, strings.Repeat("[", 64<<20)), nil, 413, api.CodeBodyTooLarge},
	} {
		a := shared.call(t, token.Admin, c.method, c.path, strings.NewReader(c.body), c.headers...)
		p := a.problem(t)
		if a.code != c.status || c.code != "" && p.Code != c.code {
			t.Errorf("%s: %d %s, want %d %s", name, a.code, a.body, c.status, c.code)
		}
		if name == "record too large" && (p.Record == nil || *p.Record != 1 || !strings.Contains(p.Detail, "record 1 ")) {
			t.Errorf("the record is not named: %s", a.body)
		}
		if name == "wrong method" && a.header.Get("Allow") != "POST" {
			t.Errorf("Allow: %q", a.header.Get("Allow"))
		}
	}
}

// letters returns the bytes of every dead letter of the intake.
func letters(t *testing.T) map[string]bus.StoredLetter {
	t.Helper()
	list, _, _, err := shared.node.Bus.ListDead(t.Context(), bus.AlertsRaw, bus.Position{}, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bus.StoredLetter{}
	for _, l := range list {
		out[string(l.Original.Value)] = l
	}
	return out
}

func TestRejectedRecordsKeepTheirBytes(t *testing.T) {
	odd, broken, text := `{"odd":"one","n":1e400}`, `{"broken": "no end`, "no JSON at all \xff\xfe"
	a := shared.post(t, token.Ingest, "/v1/ingest/wazuh", strings.Join([]string{plain(t), odd, text, broken, plain(t)}, "\n"))
	r := decodeInto[api.Receipt](t, a)
	if a.code != http.StatusAccepted || r.Accepted != 2 || len(r.Rejected) != 3 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	for i, want := range []int{1, 2, 3} {
		if r.Rejected[i].Index != want || r.Rejected[i].Reason == "" {
			t.Errorf("rejected %d: %+v", i, r.Rejected[i])
		}
	}
	kept := letters(t)
	for _, raw := range []string{odd, text, broken} {
		l, ok := kept[raw]
		if !ok || l.Original.Topic != bus.AlertsRaw || l.Stage != "intake" || l.Err == "" {
			t.Errorf("letter of %q: %v %+v", raw, ok, l)
		}
	}
}

// TestHostileBodies is FAULTS B4 at the intake: whatever comes is refused or kept with a
// reason, and what follows is taken.
func TestFaultB4HostileBodies(t *testing.T) {
	for name, body := range map[string]string{
		"deep":            strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000),
		"deep array":      strings.Repeat("[", 100_000),
		"deep, in record": `{"_id":"d","rule":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}",
		"invalid UTF-8":   "{\"_id\":\"\xff\xfe\x80\"}",
		"NUL":             "{\"_id\":\"\x00\"}\x00\x00",
		"doubled keys":    `{"rule":{"id":"1"},"rule":{"id":"2"},"_id":"a","_id":"b"}`,
		"huge number":     `{"_id":"h","rule":{"level":` + strings.Repeat("9", 100_000) + `}}`,
		"many keys":       "{" + strings.Repeat(`"k":1,`, 200_000) + `"z":1}`,
		"lone surrogate":  `{"_id":"\ud800"}`,
		"year 9999":       `{"_id":"y","timestamp":"9999-12-31T23:59:59Z","rule":{"id":"1","level":3}}`,
		"UTF-16":          "\xff\xfe{\x00\"\x00a\x00\"\x00:\x001\x00}\x00",
		"html":            "<!doctype html><script>alert(1)</script>",
	} {
		a := shared.post(t, token.Ingest, "/v1/ingest/wazuh", body)
		if a.code >= 500 || a.code < 200 {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
		if a.code == 422 && a.problem(t).Receipt == nil {
			t.Errorf("%s: no receipt: %s", name, a.body)
		}
	}
	a := shared.call(t, token.Ingest, "POST", "/v1/ingest/wazuh", io.LimitReader(endless('x'), 50<<20))
	if a.code != http.StatusRequestEntityTooLarge {
		t.Errorf("50 MB: %d %s", a.code, a.body)
	}
	shared.take(t, plain(t))
}

// endless is a reader of one byte for ever.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// fake is an API whose bus the test holds in its hands.
type fake struct {
	mu      sync.Mutex
	calls   []int // alerts per call of offer
	letters int
	offer   func(ctx context.Context, n int) error
	dead    error
	rows    int
	age     time.Duration
	health  *ops.Health
	api     *api.API
}

func newFake(t testing.TB) *fake { return limitedFake(t, api.Limits{}) }

func limitedFake(t testing.TB, limits api.Limits) *fake {
	t.Helper()
	f := &fake{health: ops.NewHealth()}
	f.health.Open()
	a, err := api.New(api.Config{
		Registry: shared.node.Registry, Investigations: shared.node.Engine, Tokens: everybody{}, Health: f.health, Metrics: ops.NewRegistry(), Clock: clock.System{},
		Offer: func(ctx context.Context, alerts []alert.Alert) error {
			f.mu.Lock()
			f.calls = append(f.calls, len(alerts))
			f.mu.Unlock()
			if f.offer == nil {
				return nil
			}
			return f.offer(ctx, len(alerts))
		},
		DeadLetter: func(_ context.Context, l []api.Letter) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.dead == nil {
				f.letters += len(l)
			}
			return f.dead
		},
		Record: unrecorded, OutboxLag: func() (int, time.Duration) { return f.rows, f.age }, Limits: limits,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.api = a
	return f
}

// everybody takes every token for that of a tenant of this name.
type everybody struct{}

func (everybody) Verify(secret string) (token.Record, error) {
	return token.Record{Name: "all", Tenant: secret, Roles: token.Roles()}, nil
}

func (f *fake) post(path, body string) *httptest.ResponseRecorder {
	return f.postAs("default", path, body)
}

func (f *fake) postAs(tenant, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+tenant)
	w := httptest.NewRecorder()
	f.api.ServeHTTP(w, r)
	return w
}

// TestFaultA5Unavailable: nothing is acknowledged that is not durable, and the sender is told
// when to come back.
func TestFaultA5Unavailable(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(*fake)
		body   string
		code   api.Code
	}{
		"bus refuses": {func(f *fake) {
			f.offer = func(context.Context, int) error { return errors.New("ENOSPC on secret-disk-7") }
		}, plain(t), api.CodeUnavailable},
		"bus panics":        {func(f *fake) { f.offer = func(context.Context, int) error { panic("boom") } }, plain(t), api.CodeUnavailable},
		"dead letters fail": {func(f *fake) { f.dead = errors.New("ENOSPC") }, "garbage\n" + plain(t), api.CodeUnavailable},
		"outbox rows":       {func(f *fake) { f.rows = 10_001 }, plain(t), api.CodeOverloaded},
		"outbox age":        {func(f *fake) { f.age = 31 * time.Second }, plain(t), api.CodeOverloaded},
		"engine not ready":  {func(f *fake) { f.health.Check("orchestrator", func() []string { return []string{"waits"} }) }, plain(t), api.CodeNotReady},
		"shutting down":     {func(f *fake) { f.health.Drain() }, plain(t), api.CodeNotReady},
		"too large as frame": {func(f *fake) {
			f.offer = func(context.Context, int) error { return fmt.Errorf("%w: x", api.ErrTooLarge) }
		}, plain(t), api.CodeRecordTooLarge},
	} {
		f := newFake(t)
		c.damage(f)
		w := f.post("/v1/ingest/auto", c.body)
		p := answer{w.Code, w.Header(), w.Body.String()}.problem(t)
		if p.Code != c.code || (w.Code == 503) != (w.Header().Get("Retry-After") != "") {
			t.Errorf("%s: %d %s, Retry-After %q", name, w.Code, w.Body, w.Header().Get("Retry-After"))
		}
		if strings.Contains(w.Body.String(), "secret-disk-7") {
			t.Errorf("%s: the answer tells of our insides: %s", name, w.Body)
		}
		if name == "dead letters fail" && len(f.calls) > 0 {
			t.Errorf("alerts were offered although the refused record could not be kept")
		}
	}
}

// TestFaultD4OneTenantFloods: a tenant is held to its rate and told when to come back; the others do
// not notice. Whoever was refused lost nothing: the same request is taken later.
func TestFaultD4OneTenantFloods(t *testing.T) {
	one := plain(t)
	many := strings.Repeat(one+"\n", 50)
	synctest.Test(t, func(t *testing.T) {
		f := limitedFake(t, api.Limits{TenantRate: 10, TenantBurst: 100})
		for i := range 2 {
			if w := f.postAs("loud", "/v1/ingest/auto", many); w.Code != http.StatusAccepted {
				t.Fatalf("request %d of the burst: %d %s", i, w.Code, w.Body)
			}
		}
		w := f.postAs("loud", "/v1/ingest/auto", one)
		if p := (answer{w.Code, w.Header(), w.Body.String()}).problem(t); p.Code != api.CodeRateLimited || w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
			t.Errorf("beyond the burst: %d %s, Retry-After %q", w.Code, w.Body, w.Header().Get("Retry-After"))
		}
		if w := f.postAs("loud", "/_bulk", `{"create":{"_index":"x"}}`+"\n"+one+"\n"); w.Code != http.StatusTooManyRequests || !strings.Contains(w.Body.String(), "es_rejected_execution_exception") {
			t.Errorf("bulk: %d %s", w.Code, w.Body)
		}
		if w := f.postAs("loud", "/services/collector/event", `{"event":`+one+`}`); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
			t.Errorf("collector: %d %s", w.Code, w.Body)
		}
		for i := range 20 {
			if w := f.postAs("quiet", "/v1/ingest/auto", one); w.Code != http.StatusAccepted {
				t.Errorf("the other tenant, request %d: %d %s", i, w.Code, w.Body)
			}
		}
		before := len(f.calls)
		time.Sleep(time.Second) // of the bubble's clock
		if w := f.postAs("loud", "/v1/ingest/auto", many); w.Code != http.StatusAccepted || len(f.calls) != before+1 || f.calls[before] != 50 {
			t.Errorf("a second later: %d %s, calls %v", w.Code, w.Body, f.calls[before:])
		}
		// The large request was let in on little credit and is paid for now: 50 records, 10 of them due.
		if w := f.postAs("loud", "/v1/ingest/auto", one); w.Header().Get("Retry-After") != "5" {
			t.Errorf("after a request beyond the credit: %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
	})
}

// TestNoRateIsNoLimit: a single tenant on its own machine may send what the machine takes.
func TestNoRateIsNoLimit(t *testing.T) {
	f := newFake(t)
	many := strings.Repeat(plain(t)+"\n", 500)
	for range 10 {
		if w := f.post("/v1/ingest/auto", many); w.Code != http.StatusAccepted {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}

// TestCoalescing: requests that arrive while a call is on its way share the next one.
func TestCoalescing(t *testing.T) {
	bodies := make([]string, 100)
	for i := range bodies {
		bodies[i] = plain(t)
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.offer = func(context.Context, int) error {
			time.Sleep(10 * time.Millisecond) // of the bubble's clock
			return nil
		}
		var wg sync.WaitGroup
		codes := make([]int, len(bodies))
		for i, b := range bodies {
			wg.Go(func() { codes[i] = f.post("/v1/ingest/auto", b).Code })
		}
		wg.Wait()
		for i, c := range codes {
			if c != http.StatusAccepted {
				t.Errorf("request %d: %d", i, c)
			}
		}
		total := 0
		for _, n := range f.calls {
			total += n
		}
		if total != len(bodies) || len(f.calls) > 3 {
			t.Errorf("%d alerts in %d calls: %v", total, len(f.calls), f.calls)
		}
	})
}

// TestCoalescingSeparatesFaults: an alert that no message can hold fails alone.
func TestCoalescingSeparatesFaults(t *testing.T) {
	one, two := plain(t), "["+plain(t)+","+plain(t)+"]"
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		f.offer = func(_ context.Context, n int) error {
			time.Sleep(10 * time.Millisecond)
			if n > 1 {
				return api.ErrTooLarge
			}
			return nil
		}
		var wg sync.WaitGroup
		codes := make([]int, 5)
		for i := range codes {
			body := one
			if i == 4 {
				body = two
			}
			wg.Go(func() { codes[i] = f.post("/v1/ingest/auto", body).Code })
		}
		wg.Wait()
		if want := fmt.Sprint([]int{202, 202, 202, 202, 413}); fmt.Sprint(codes) != want {
			t.Errorf("got %v, want %s", codes, want)
		}
	})
}

// TestBodyBudget: large bodies at the same time are refused rather than kept.
func TestBodyBudget(t *testing.T) {
	f := limitedFake(t, api.Limits{Body: 32 << 10, InFlight: 96 << 10})
	release := make(chan struct{})
	f.offer = func(context.Context, int) error { <-release; return nil }
	body := plain(t) + strings.Repeat(" ", 20<<10)
	codes := make(chan int, 12)
	for range 12 {
		go func() { codes <- f.post("/v1/ingest/auto", body).Code }()
	}
	refused := 0
	for range 6 { // at least that many cannot fit; the others wait for the bus
		if c := <-codes; c == http.StatusServiceUnavailable {
			refused++
		}
	}
	close(release)
	for range 6 {
		if c := <-codes; c != http.StatusAccepted && c != http.StatusServiceUnavailable {
			t.Errorf("got %d", c)
		}
	}
	if refused != 6 {
		t.Errorf("%d refused", refused)
	}
	if w := f.post("/v1/ingest/auto", body); w.Code != http.StatusAccepted {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}

// BenchmarkIngest is a request of 100 alerts up to the bus, which answers at once.
func BenchmarkIngest(b *testing.B) {
	f := newFake(b)
	var body strings.Builder
	for range 100 {
		body.WriteString(plain(b) + "\n")
	}
	b.SetBytes(int64(body.Len()))
	b.ReportAllocs()
	for b.Loop() {
		f.calls = f.calls[:0]
		if w := f.post("/v1/ingest/wazuh", body.String()); w.Code != http.StatusAccepted {
			b.Fatal(w.Code, w.Body)
		}
	}
}
