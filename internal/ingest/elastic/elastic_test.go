package elastic

import (
	"errors"
	"slices"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/ingest/ingesttest"
)

func TestGolden(t *testing.T) { ingesttest.Golden(t, New()) }

func TestEachFieldRemoved(t *testing.T) {
	for name, raw := range ingesttest.Natives(t, "testdata") {
		t.Run(name, func(t *testing.T) { ingesttest.EachFieldRemoved(t, New(), raw) })
	}
}

func TestMissingIsNamed(t *testing.T) {
	raw := ingesttest.Natives(t, "testdata")["signal"]
	got := ingesttest.Missing(t, New(), raw, "/_source/signal/rule/name", "/_source/signal/rule/severity", "/_source/signal/rule/risk_score", "/_source/@timestamp", "/_source/host")
	for _, want := range []string{"title", "severity", "timestamp", "host"} {
		if !slices.Contains(got.Missing, want) {
			t.Errorf("missing %v does not name %s", got.Missing, want)
		}
	}
	if got.Severity != alert.Medium || got.Title != "Elastic alert aa11" || !got.Timestamp.Equal(got.EventStart) {
		t.Errorf("severity %s, title %q, time %v", got.Severity, got.Title, got.Timestamp)
	}
}

func TestSeverity(t *testing.T) {
	words := map[string]alert.Severity{"critical": alert.Critical, "High": alert.High, "medium": alert.Medium, "low": alert.Low, "info": alert.Informational}
	scores := map[string]alert.Severity{"0": alert.Low, "21": alert.Low, "22": alert.Medium, "47": alert.Medium, "48": alert.High, "73": alert.High, "74": alert.Critical, "100": alert.Critical}
	priorities := map[string]alert.Severity{"1": alert.High, "2": alert.Medium, "3": alert.Low}
	for name, table := range map[string]struct {
		f     func(string) (alert.Severity, bool)
		table map[string]alert.Severity
		bad   []string
	}{
		"word":     {Severity, words, []string{"", "5", "bad"}},
		"score":    {SeverityOfScore, scores, []string{"", "-1", "101", "x"}},
		"suricata": {SeverityOfSuricata, priorities, []string{"", "0", "5"}},
	} {
		for in, want := range table.table {
			if got, ok := table.f(in); got != want || !ok {
				t.Errorf("%s %q: got %s, want %s", name, in, got, want)
			}
		}
		for _, in := range table.bad {
			if got, ok := table.f(in); ok || got != alert.Medium {
				t.Errorf("%s %q: got %s, known %v", name, in, got, ok)
			}
		}
	}
}

func TestSeverityOrder(t *testing.T) {
	for raw, want := range map[string]alert.Severity{
		`{"event":{"kind":"alert","severity":75,"severity_label":"low"}}`:               alert.Low,
		`{"event":{"kind":"alert","severity":73}}`:                                      alert.High,
		`{"event":{"kind":"alert","module":"suricata","severity":3}}`:                   alert.Low,
		`{"kibana.alert.severity":"critical","event":{"severity":1}}`:                   alert.Critical,
		`{"kibana.alert.rule.name":"x","kibana.alert.risk_score":21}`:                   alert.Low,
		`{"event":{"kind":"alert"},"rule":{"name":"x","severity":"high"},"severity":2}`: alert.High,
	} {
		if got, err := ingesttest.Normalise(t, New(), raw); err != nil || got.Severity != want {
			t.Errorf("%s: got %s (%v), want %s", raw, got.Severity, err, want)
		}
	}
}

// Dotted keys, nested keys, arrays as in a search for fields, and a hit must read the same.
func TestFormsAgree(t *testing.T) {
	forms := []string{
		`{"@timestamp":"2026-03-02T07:30:00Z","kibana.alert.uuid":"u","kibana.alert.rule.name":"n","kibana.alert.rule.rule_id":"R1","kibana.alert.severity":"low","host.name":"h","source.ip":"203.0.113.4"}`,
		`{"@timestamp":"2026-03-02T07:30:00Z","kibana":{"alert":{"uuid":"u","severity":"low","rule":{"name":"n","rule_id":"R1"}}},"host":{"name":"h"},"source":{"ip":"203.0.113.4"}}`,
		`{"_id":"u","_index":".alerts-security.alerts-default","_source":{"@timestamp":"2026-03-02T07:30:00Z","kibana":{"alert":{"severity":"low","rule":{"name":"n","rule_id":"R1"}}},"host":{"name":"h"},"source":{"ip":"203.0.113.4"}}}`,
		`{"_id":"u","_index":".alerts-security.alerts-default","fields":{"@timestamp":["2026-03-02T07:30:00Z"],"kibana.alert.severity":["low"],"kibana.alert.rule.name":["n"],"kibana.alert.rule.rule_id":["R1"],"host.name":["h"],"source.ip":["203.0.113.4"]}}`,
	}
	for i, form := range forms {
		got, err := ingest.New(New()).Normalise(ingest.Record{Raw: []byte(form)}, ingest.Auto, "t", ingesttest.Now)
		if err != nil || got.ID != "u" || got.Title != "n" || got.Analytic != "rule:r1" || got.Severity != alert.Low || got.Timestamp.IsZero() ||
			len(got.Links) != 1 || got.Links[0].Value != "203.0.113.4" || got.Fields.Get("host.name") != "h" {
			t.Errorf("form %d: %+v (%v)", i, got, err)
		}
	}
}

func TestPromotedAlertsKeepTheirOwnAnalytic(t *testing.T) {
	got, err := ingesttest.Normalise(t, New(), `{"kibana.alert.rule.name":"External Alerts","kibana.alert.rule.rule_id":"x","kibana.alert.original_event.kind":"alert","kibana.alert.original_event.module":"panw","rule":{"name":"Inner"}}`)
	if err != nil || got.Analytic != "panw:Inner" {
		t.Errorf("got %q (%v), want panw:Inner", got.Analytic, err)
	}
}

func TestHeartbeatsAndStrangers(t *testing.T) {
	for _, title := range []string{"Heartbeat", "endpoint heartbeat", "System Health Monitor"} {
		if _, err := ingesttest.Normalise(t, New(), `{"kibana.alert.rule.name":"`+title+`"}`); !errors.Is(err, ingest.ErrHeartbeat) {
			t.Errorf("%s: got %v, want a heartbeat", title, err)
		}
	}
	var reject *ingest.RejectError
	if _, err := ingesttest.Normalise(t, New(), `{"a":1}`); !errors.As(err, &reject) || reject.Place == "" {
		t.Errorf("got %v, want a rejection", err)
	}
}

func FuzzNormalise(f *testing.F) { ingesttest.Fuzz(f, New()) }
