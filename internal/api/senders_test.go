package api_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/ingest"
)

func TestCollector(t *testing.T) {
	secret := shared.secrets[token.Ingest]
	event := func() string { return `{"time":1772520734,"host":"h","event":` + plain(t) + `}` }
	quoted := `{"time":1772520734,"sourcetype":"_json","event":` + string(must(json.Marshal(plain(t)))) + `}`
	for name, c := range map[string]struct {
		path, body string
		headers    []string
		accepted   int
	}{
		"one":             {"/services/collector/event", event(), nil, 1},
		"concatenated":    {"/services/collector/event", event() + event() + quoted, nil, 3},
		"lines":           {"/services/collector", event() + "\n" + event() + "\n", nil, 2},
		"gzip":            {"/services/collector/event/1.0", zipped(t, event()+event()), []string{"Content-Encoding", "gzip"}, 2},
		"basic":           {"/services/collector/1.0", event(), []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+secret))}, 1},
		"raw lines":       {"/services/collector/raw?sourcetype=_json", plain(t) + "\n" + plain(t) + "\n", nil, 2},
		"raw array":       {"/services/collector/raw/1.0", "[" + plain(t) + "," + plain(t) + "]", nil, 2},
		"with a channel":  {"/services/collector/event", event(), []string{"X-Splunk-Request-Channel", "c1"}, 1},
		"one is no alert": {"/services/collector/event", event() + `{"event":"login ok"}`, nil, 1},
	} {
		a := shared.post(t, "", c.path, c.body, append([]string{"Authorization", "Splunk " + secret}, c.headers...)...)
		got := decodeInto[api.CollectorAnswer](t, a)
		if a.code != http.StatusOK || got.Text != "Success" || got.Code != 0 || got.Receipt == nil || got.Receipt.Accepted != c.accepted {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
	}
}

// TestCollectorErrors holds status, code and text against what Splunk documents.
func TestCollectorErrors(t *testing.T) {
	good := "Splunk " + shared.secrets[token.Ingest]
	big := `{"event":{"text":"` + strings.Repeat("x", alert.MaxRecord) + `"}}`
	for name, c := range map[string]struct {
		path, body string
		headers    []string
		status     int
		code       int
		text       string
		event      int // invalid-event-number; -1 for none
	}{
		"no token":        {"/services/collector/event", "{}", nil, 401, 2, "Token is required", -1},
		"no scheme":       {"/services/collector/event", "{}", []string{"Authorization", "nonsense"}, 401, 3, "Invalid authorization", -1},
		"other scheme":    {"/services/collector/event", "{}", []string{"Authorization", "Digest x"}, 401, 3, "Invalid authorization", -1},
		"wrong token":     {"/services/collector/event", "{}", []string{"Authorization", "Splunk nonsense"}, 403, 4, "Invalid token", -1},
		"wrong role":      {"/services/collector/event", "{}", []string{"Authorization", "Splunk " + shared.secrets[token.Analyst]}, 403, 4, "Invalid token", -1},
		"token in query":  {"/services/collector/event?token=" + shared.secrets[token.Ingest], "{}", nil, 400, 16, "Query string authorization is not enabled", -1},
		"no data":         {"/services/collector/event", " \n", []string{"Authorization", good}, 400, 5, "No data", -1},
		"no JSON":         {"/services/collector/event", "hello", []string{"Authorization", good}, 400, 6, "Invalid data format", 0},
		"no alert":        {"/services/collector/event", `{"event":{"hello":"world"}}`, []string{"Authorization", good}, 400, 6, "Invalid data format", 0},
		"plain text":      {"/services/collector/event", `{"event":"login ok"}`, []string{"Authorization", good}, 400, 6, "Invalid data format", 0},
		"no event":        {"/services/collector/event", `{"time":1,"fields":{}}`, []string{"Authorization", good}, 400, 12, "Event field is required", 0},
		"blank event":     {"/services/collector/event", `{"event":""}`, []string{"Authorization", good}, 400, 13, "Event field cannot be blank", 0},
		"null event":      {"/services/collector/event", `{"event":null}{"event":"x"}`, []string{"Authorization", good}, 400, 13, "Event field cannot be blank", 0},
		"damaged gzip":    {"/services/collector/event", "\x1f\x8bnonsense", []string{"Authorization", good}, 400, 6, "Invalid data format", -1},
		"raw text":        {"/services/collector/raw", "login ok", []string{"Authorization", good}, 400, 6, "Invalid data format", 0},
		"acknowledgement": {"/services/collector/ack", `{"acks":[1]}`, []string{"Authorization", good}, 400, 14, "ACK is disabled", -1},
		"too large":       {"/services/collector/event", big, []string{"Authorization", good}, 413, 27, "Request entity too large", 0},
		"unknown path":    {"/services/collector/raw/2", "{}", []string{"Authorization", good}, 404, 404, "The requested URL was not found on this server.", -1},
	} {
		a := shared.post(t, "", c.path, c.body, c.headers...)
		got := decodeInto[api.CollectorAnswer](t, a)
		if a.code != c.status || got.Code != c.code || got.Text != c.text || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
		if (got.InvalidEvent == nil) != (c.event < 0) || got.InvalidEvent != nil && *got.InvalidEvent != c.event {
			t.Errorf("%s: invalid-event-number in %s", name, a.body)
		}
		if a.code == http.StatusUnauthorized && a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", name)
		}
	}
	kept := letters(t)
	if _, ok := kept[`{"event":"login ok"}`]; !ok {
		t.Error("a refused event is not in the dead letters")
	}
}

func TestCollectorIsBusyAndUnhealthy(t *testing.T) {
	f := newFake(t)
	ask := func(method, path, body string) answer {
		t.Helper()
		return f.call(method, path, body)
	}
	if a := ask("GET", "/services/collector/health", ""); a.code != 200 || !strings.Contains(a.body, `"code":17`) || !strings.Contains(a.body, "HEC is healthy") {
		t.Errorf("healthy: %d %s", a.code, a.body)
	}
	f.rows = 100_000
	if a := ask("GET", "/services/collector/health/1.0", ""); a.code != 503 || !strings.Contains(a.body, `"code":18`) {
		t.Errorf("with a full queue: %d %s", a.code, a.body)
	}
	if a := ask("POST", "/services/collector/event", `{"event":`+plain(t)+`}`); a.code != 503 || !strings.Contains(a.body, `"code":9`) || a.header.Get("Retry-After") == "" {
		t.Errorf("an event: %d %s", a.code, a.body)
	}
	if a := ask("POST", "/_bulk", "{\"index\":{}}\n"+plain(t)+"\n"); a.code != 503 || !strings.Contains(a.body, "es_rejected_execution_exception") || a.header.Get("Retry-After") == "" {
		t.Errorf("a bulk request: %d %s", a.code, a.body)
	}
	if len(f.calls) != 0 || f.letters != 0 {
		t.Errorf("taken meanwhile: %v, %d", f.calls, f.letters)
	}
}

// inner is an alert without the wrapper of a search, and the id that it had there.
func inner(t *testing.T) (document, id string) {
	t.Helper()
	var doc struct {
		ID     string          `json:"_id"`
		Source json.RawMessage `json:"_source"`
	}
	if err := json.Unmarshal([]byte(plain(t)), &doc); err != nil {
		t.Fatal(err)
	}
	return string(doc.Source), doc.ID
}

func TestBulk(t *testing.T) {
	secret := shared.secrets[token.Ingest]
	doc, id := inner(t)
	unnamed, _ := inner(t)
	heartbeat := `{"index":{}}` + "\n" + example(t, "100900")
	body := strings.Join([]string{
		fmt.Sprintf(`{"create":{"_index":"wazuh-alerts","_id":%q}}`, id), doc,
		`{"index":{}}`, unnamed, "",
		`{"index":{"_id":7}}`, `{"hello":"world"}`,
		`{"index":{}}`, `{"broken": `,
		`{"delete":{"_id":"x"}}`,
		`{"update":{"_id":"x"}}`, `{"doc":{"a":1}}`,
		heartbeat,
	}, "\n") + "\n"
	for name, headers := range map[string][]string{
		"token":      {"Authorization", "Bearer " + secret},
		"api key":    {"Authorization", "ApiKey " + base64.StdEncoding.EncodeToString([]byte("id:"+secret))},
		"plain key":  {"Authorization", "ApiKey " + secret},
		"user":       {"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("elastic:"+secret))},
		"compressed": {"Authorization", "Bearer " + secret, "Content-Encoding", "gzip"},
	} {
		sent := body
		if len(headers) > 2 {
			sent = zipped(t, body)
		}
		a := shared.post(t, "", "/alerts/_bulk", sent, append(headers, "Content-Type", "application/x-ndjson")...)
		got := decodeInto[api.BulkAnswer](t, a)
		if a.code != http.StatusOK || !got.Errors || len(got.Items) != 7 || a.header.Get("X-Elastic-Product") != "Elasticsearch" {
			t.Fatalf("%s: %d %s", name, a.code, a.body)
		}
		for i, want := range []struct {
			action, index, id string
			status            int
		}{
			{"create", "wazuh-alerts", id, 201}, {"index", "alerts", "", 201}, {"index", "alerts", "7", 400}, {"index", "alerts", "", 400},
			{"delete", "alerts", "x", 400}, {"update", "alerts", "x", 400}, {"index", "alerts", "", 200},
		} {
			item, ok := got.Items[i][want.action]
			if !ok || item.Index != want.index || item.ID != want.id || item.Status != want.status || (item.Error == nil) != (want.status < 300) {
				t.Errorf("%s, item %d: %+v, want %+v", name, i, got.Items[i], want)
			}
		}
	}
	kept := letters(t)
	for _, raw := range []string{`{"hello":"world"}`, `{"broken":`} {
		if _, ok := kept[raw]; !ok {
			t.Errorf("%s is not in the dead letters", raw)
		}
	}
	shared.settle(t)
	al, err := shared.node.Registry.Normalise(ingest.Record{Raw: []byte(`{"_index":"wazuh-alerts","_id":"` + id + `","_source":` + doc + `}`)}, "auto", "default", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	loc, err := shared.node.Engine.Locate(t.Context(), "default", al.Source, al.ID)
	if err != nil {
		t.Fatalf("the alert has not the id of its action: %v", err)
	}
	if inv, err := shared.node.Engine.Get(t.Context(), "default", loc.Investigation); err != nil || inv.Alerts != 1 || inv.Redelivered != 4 {
		t.Errorf("five times the same: %+v, %v", inv, err)
	}
}

func TestBulkErrors(t *testing.T) {
	doc := plain(t)
	big := `{"text":"` + strings.Repeat("x", alert.MaxRecord) + `"}`
	before := len(letters(t))
	for name, c := range map[string]struct {
		role    token.Role
		body    string
		headers []string
		status  int
		kind    string
		reason  string
	}{
		"no token":        {"", "{}", nil, 401, "security_exception", "no valid token"},
		"wrong role":      {token.Analyst, "{}", nil, 403, "security_exception", "needs the role ingest"},
		"empty":           {token.Ingest, "", nil, 400, "parse_exception", ""},
		"blank lines":     {token.Ingest, "\n\n\r\n", nil, 400, "parse_exception", ""},
		"no action":       {token.Ingest, doc + "\n", nil, 400, "illegal_argument_exception", "line [1]"},
		"unknown action":  {token.Ingest, `{"index":{}}` + "\n" + doc + "\n" + `{"upsert":{}}` + "\n" + doc, nil, 400, "illegal_argument_exception", "line [3]"},
		"two actions":     {token.Ingest, `{"index":{},"create":{}}` + "\n" + doc, nil, 400, "illegal_argument_exception", "line [1]"},
		"no document":     {token.Ingest, `{"index":{}}` + "\n", nil, 400, "illegal_argument_exception", "the document is missing"},
		"action no JSON":  {token.Ingest, "index\n" + doc, nil, 400, "illegal_argument_exception", "line [1]"},
		"id is an object": {token.Ingest, `{"index":{"_id":{}}}` + "\n" + doc, nil, 400, "illegal_argument_exception", "line [1]"},
		"long id":         {token.Ingest, `{"index":{"_id":"` + strings.Repeat("x", 513) + `"}}` + "\n" + doc, nil, 400, "illegal_argument_exception", "line [1]"},
		"long action":     {token.Ingest, `{"index":{"x":"` + strings.Repeat("x", 20_000) + `"}}` + "\n" + doc, nil, 400, "illegal_argument_exception", "too long"},
		"large document":  {token.Ingest, `{"index":{}}` + "\n" + doc + "\n" + `{"index":{}}` + "\n" + big, nil, 413, "content_too_long_exception", "record 1"},
		"brotli":          {token.Ingest, "{}", []string{"Content-Encoding", "br"}, 415, "exception", ""},
	} {
		a := shared.post(t, c.role, "/_bulk", c.body, c.headers...)
		got := decodeInto[api.BulkFailure](t, a)
		if a.code != c.status || got.Status != c.status || got.Error.Type != c.kind || !strings.Contains(got.Error.Reason, c.reason) || len(got.Error.RootCause) != 1 {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
	}
	if after := len(letters(t)); after != before {
		t.Errorf("requests that failed as a whole left %d letters", after-before)
	}
}

// FuzzBulk: whatever comes is answered in the form of Elasticsearch, item by item or as a
// whole, and what is counted as taken was offered.
func FuzzBulk(f *testing.F) {
	f.Add([]byte("{\"index\":{}}\n{\"a\":1}\n"))
	f.Add([]byte("{\"delete\":{\"_id\":\"x\"}}\n"))
	f.Add([]byte("{\"create\":{\"_index\":\"i\",\"_id\":\"1\"}}\n" + plain(f) + "\n{\"index\":{}}\n\xff\xfe\n"))
	f.Add([]byte("\n\r\n{\"index\":{\"_id\":null}}"))
	fake := newFake(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		fake.calls = nil
		a := fake.call("POST", "/_bulk", string(body))
		if a.code != http.StatusOK {
			if got := decodeInto[api.BulkFailure](t, a); a.code >= 500 || got.Status != a.code {
				t.Errorf("%d %s", a.code, a.body)
			}
			return
		}
		created := 0
		for _, item := range decodeInto[api.BulkAnswer](t, a).Items {
			for _, i := range item {
				if i.Status == http.StatusCreated {
					created++
				}
			}
		}
		offered := 0
		for _, n := range fake.calls {
			offered += n
		}
		if created != offered {
			t.Errorf("%d created, %d offered", created, offered)
		}
	})
}

// FuzzCollector is the same for the collector.
func FuzzCollector(f *testing.F) {
	f.Add([]byte(`{"event":{"a":1}}{"event":"x"}`))
	f.Add([]byte(`{"event":` + plain(f) + `}` + "\n" + `{"event":null}`))
	f.Add([]byte(`[{"event":1},{}]`))
	fake := newFake(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		a := fake.call("POST", "/services/collector/event", string(body))
		if got := decodeInto[api.CollectorAnswer](t, a); a.code >= 500 || (a.code == http.StatusOK) != (got.Code == 0) || got.Text == "" {
			t.Errorf("%d %s", a.code, a.body)
		}
	})
}

func (f *fake) call(method, path, body string) answer {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	f.api.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}
