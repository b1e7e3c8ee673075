package ops

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestWriteMetrics(t *testing.T) {
	r := NewRegistry()
	c := r.NewCounter("aluskort_alerts_total", "Alerts\nseen.", "source")
	c.Add(2, "wazuh")
	c.Add(1, "wazuh")
	c.Add(1, "a\"b\\c\nd")
	r.NewCounter("aluskort_quiet_total", "Never counted.")
	g := r.NewGauge("aluskort_depth", "Depth.")
	g.Set(5)
	g.Set(-1.5)
	h := r.NewHistogram("aluskort_seconds", "Time.", []float64{0.1, 1}, "path")
	for _, v := range []float64{0.05, 0.1, 0.5, 7} {
		h.Observe(v, "/x")
	}
	r.Collect("aluskort_lag", "Lag.", Gauge, []string{"topic"}, func(emit func(Sample)) { emit(Sample{[]string{"t"}, 9}) })
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	want := `# HELP aluskort_alerts_total Alerts\nseen.
# TYPE aluskort_alerts_total counter
aluskort_alerts_total{source="a\"b\\c\nd"} 1
aluskort_alerts_total{source="wazuh"} 3
# HELP aluskort_depth Depth.
# TYPE aluskort_depth gauge
aluskort_depth -1.5
# HELP aluskort_lag Lag.
# TYPE aluskort_lag gauge
aluskort_lag{topic="t"} 9
# HELP aluskort_quiet_total Never counted.
# TYPE aluskort_quiet_total counter
aluskort_quiet_total 0
# HELP aluskort_seconds Time.
# TYPE aluskort_seconds histogram
aluskort_seconds_bucket{path="/x",le="0.1"} 2
aluskort_seconds_bucket{path="/x",le="1"} 3
aluskort_seconds_bucket{path="/x",le="+Inf"} 4
aluskort_seconds_sum{path="/x"} 7.65
aluskort_seconds_count{path="/x"} 4
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestSeriesAreBounded(t *testing.T) {
	r := NewRegistry()
	c := r.NewCounter("x_total", "X.", "who")
	for i := range maxSeries + 50 {
		c.Add(1, fmt.Sprint(i))
	}
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `x_total{who="other"} 50`) {
		t.Error("what is beyond the bound is not counted as other")
	}
}

func TestRegisterTwicePanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a name could be taken twice")
		}
	}()
	r := NewRegistry()
	r.NewCounter("x_total", "X.")
	r.NewGauge("x_total", "X.")
}

func TestProcessMetrics(t *testing.T) {
	r := NewRegistry()
	r.RegisterProcess(time.Unix(1700000000, 0))
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if got := w.Header().Get("Content-Type"); got != ContentType {
		t.Errorf("content type %q", got)
	}
	for _, want := range []string{"process_start_time_seconds 1.7e+09\n", "go_goroutines ", "process_cpu_seconds_total "} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %q in\n%s", want, w.Body.String())
		}
	}
}

func TestReadiness(t *testing.T) {
	h := NewHealth()
	var why []string
	h.Check("bus", func() []string { return why })
	ask := func() (int, string) {
		w := httptest.NewRecorder()
		h.Ready(w, httptest.NewRequest("GET", "/ready", nil))
		var body struct {
			Reasons []Reason `json:"reasons"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		return w.Code, fmt.Sprint(body.Reasons)
	}
	want := func(when string, code int, reasons string) {
		t.Helper()
		if c, r := ask(); c != code || r != reasons {
			t.Errorf("%s: %d %s, want %d %s", when, c, r, code, reasons)
		}
	}
	want("starting", 503, "[{process it is starting}]")
	h.Open()
	want("open", 200, "[]")
	why = []string{"does not answer"}
	want("failing", 503, "[{bus does not answer}]")
	why = nil
	want("mended", 200, "[]")
	h.Drain()
	h.Open()
	want("draining", 503, "[{process it is shutting down}]")
	w := httptest.NewRecorder()
	h.Live(w, httptest.NewRequest("GET", "/health", nil))
	if w.Code != 200 {
		t.Errorf("a draining process is alive, got %d", w.Code)
	}
}
