package sentinel

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/ingest/ingesttest"
)

func TestGolden(t *testing.T) { ingesttest.Golden(t, New()) }

func TestEachFieldRemoved(t *testing.T) {
	needed := map[string][]string{
		"incident": {"/Title", "/Severity"},
	}
	for name, raw := range ingesttest.Natives(t, "testdata") {
		t.Run(name, func(t *testing.T) { ingesttest.EachFieldRemoved(t, New(), raw, append(needed[name], "/properties")...) })
	}
}

func TestMissingIsNamed(t *testing.T) {
	raw := ingesttest.Natives(t, "testdata")["row"]
	got := ingesttest.Missing(t, New(), raw, "/AlertName", "/DisplayName", "/AlertSeverity", "/TimeGenerated", "/ProcessingEndTime", "/Entities", "/SystemAlertId")
	for _, want := range []string{"title", "severity", "timestamp"} {
		if !slices.Contains(got.Missing, want) {
			t.Errorf("missing %v does not name %s", got.Missing, want)
		}
	}
	if got.Severity != alert.Medium || got.EntitiesRaw != "[]" || got.Title != "Sentinel alert WindowsDefenderAtp" {
		t.Errorf("severity %s, entities %q, title %q", got.Severity, got.EntitiesRaw, got.Title)
	}
}

func TestSeverity(t *testing.T) {
	for word, want := range map[string]alert.Severity{
		"High": alert.High, "Medium": alert.Medium, "Low": alert.Low, "Informational": alert.Informational, " HIGH ": alert.High,
	} {
		if got, ok := Severity(word); got != want || !ok {
			t.Errorf("%q: got %s, want %s", word, got, want)
		}
	}
	for _, word := range []string{"", "unknown", "unknownFutureValue", "5"} {
		if got, ok := Severity(word); ok || got != alert.Medium {
			t.Errorf("%q: got %s, known %v; want medium, unknown", word, got, ok)
		}
	}
}

// The two forms of one alert must end as the same alert.
func TestFormsAgree(t *testing.T) {
	const inner = `"SystemAlertId":"99aa0000-0000-4000-8000-000000000001","AlertType":"X_Y","Description":"d"`
	row := `{` + inner + `,"AlertName":"n","AlertSeverity":"High","ProviderName":"IPC","StartTime":"2026-03-02 07:50:00+00:00","TimeGenerated":"2026-03-02 08:00:00+00:00","Entities":"[{\"$id\":\"1\",\"Type\":\"ip\",\"Address\":\"203.0.113.5\"}]","Techniques":"[\"T1078\"]"}`
	forms := map[string]string{
		"csv":  `{` + inner + `,"AlertName":"n","AlertSeverity":"High","ProviderName":"IPC","StartTime [UTC]":"3/2/2026, 7:50:00.000 AM","TimeGenerated [UTC]":"3/2/2026, 8:00:00.000 AM","Entities":"[{\"$id\":\"1\",\"Type\":\"ip\",\"Address\":\"203.0.113.5\"}]","Techniques":"[\"T1078\"]"}`,
		"api":  `{"kind":"SecurityAlert","properties":{"systemAlertId":"99aa0000-0000-4000-8000-000000000001","alertType":"X_Y","description":"d","alertDisplayName":"n","severity":"High","providerName":"IPC","startTimeUtc":"2026-03-02T07:50:00Z","timeGenerated":"2026-03-02T08:00:00Z","entities":[{"$id":"1","Type":"ip","Address":"203.0.113.5"}],"techniques":["T1078"]}}`,
		"flow": `{"object":{"properties":{"systemAlertId":"99aa0000-0000-4000-8000-000000000001","alertType":"X_Y","description":"d","alertDisplayName":"n","severity":"High","providerName":"IPC","startTimeUtc":"2026-03-02T07:50:00Z","timeGenerated":"2026-03-02T08:00:00Z","entities":[{"$id":"1","Type":"ip","Address":"203.0.113.5"}],"techniques":["T1078"]}}}`,
	}
	want, err := ingesttest.Normalise(t, New(), row)
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Links) != 1 || want.Analytic != "ipc:X_Y" || len(want.Techniques) != 1 {
		t.Fatalf("links %v, analytic %q, techniques %v", want.Links, want.Analytic, want.Techniques)
	}
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			got, err := ingesttest.Normalise(t, New(), form)
			if err != nil {
				t.Fatal(err)
			}
			if got.ID != want.ID || got.Title != want.Title || got.Severity != want.Severity || !got.Timestamp.Equal(want.Timestamp) ||
				!got.EventStart.Equal(want.EventStart) || got.Analytic != want.Analytic || !slices.Equal(got.Techniques, want.Techniques) ||
				len(got.Links) != 1 || got.Links[0].Value != want.Links[0].Value || !strings.Contains(got.EntitiesRaw, "203.0.113.5") {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestGraphAlert(t *testing.T) {
	got, err := ingesttest.Normalise(t, New(), `{"@odata.type":"#microsoft.graph.security.alert","id":"da6375","providerAlertId":"da6375","title":"Suspicious execution","severity":"medium",
		"serviceSource":"microsoftDefenderForEndpoint","createdDateTime":"2026-03-02T07:00:00.1234567Z","firstActivityDateTime":"2026-03-02T06:59:00Z","mitreTechniques":["T1059.001"],
		"evidence":[{"@odata.type":"#microsoft.graph.security.deviceEvidence","deviceDnsName":"ws1.example.com"}]}`)
	if err != nil || got.ID != "da6375" || got.Title != "Suspicious execution" || got.Severity != alert.Medium || !slices.Equal(got.Techniques, []string{"T1059.001"}) ||
		got.Timestamp.IsZero() || got.EventStart.IsZero() || got.EntitiesRaw != "[]" {
		t.Errorf("got %+v (%v)", got, err)
	}
}

func TestLinks(t *testing.T) {
	links := func(provider, entities string) (out []string) {
		got, err := ingesttest.Normalise(t, New(), `{"SystemAlertId":"1","ProviderName":"`+provider+`","Entities":`+entities+`}`)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range got.Links {
			out = append(out, string(l.Kind)+" "+l.Value)
		}
		return out
	}
	const process = `{"$id":"2","Type":"process","ProcessId":"77","CreationTimeUtc":"2026-03-02T07:00:00.5Z","Host":{"$ref":"1"},"ImageFile":{"Name":"%s"}}`
	for name, tt := range map[string]struct {
		provider, entities string
		want               []string
	}{
		"process with its host": {"MDATP", `[{"$id":"1","Type":"host","HostName":"WS1"},{"$id":"9","Type":"host","HostName":"WS2"},` + strings.Replace(process, "%s", "a.exe", 1) + `]`,
			[]string{"process ws1|77|20260302T070000.500"}},
		"service manager": {"MDATP", `[{"$id":"1","Type":"host","HostName":"WS1"},` + strings.Replace(process, "%s", "svchost.exe", 1) + `]`, nil},
		"address":         {"IPC", `[{"Type":"ip","Address":"203.0.113.7"}]`, []string{"source_address 203.0.113.7"}},
		"device address":  {"MDATP", `[{"Type":"ip","Address":"203.0.113.7"}]`, nil},
		"message":         {"OATP", `[{"Type":"mailMessage","NetworkMessageId":"D6816DE8-fc38-4eb6-42a8-08dc9a179eb6"}]`, []string{"message d6816de8-fc38-4eb6-42a8-08dc9a179eb6"}},
		"cycle":           {"X", `[{"$id":"1","Type":"process","ProcessId":"7","CreationTimeUtc":"2026-03-02T07:00:00Z","ImageFile":{"$ref":"1"},"Host":{"$ref":"1"}}]`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := links(tt.provider, tt.entities); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestHeartbeatsAndRejections(t *testing.T) {
	for _, title := range []string{"Heartbeat", "TEST ALERT", "health check"} {
		if _, err := ingesttest.Normalise(t, New(), `{"SystemAlertId":"1","AlertName":"`+title+`"}`); !errors.Is(err, ingest.ErrHeartbeat) {
			t.Errorf("%s: got %v, want a heartbeat", title, err)
		}
	}
	for raw, place := range map[string]string{
		`{"TimeGenerated":"2026-03-02"}`:                                               "/SystemAlertId",
		`{"type":"Microsoft.SecurityInsights/Incidents","properties":{"title":"x"}}`:   "/properties/severity",
		`{"type":"Microsoft.SecurityInsights/Incidents","properties":{"number":"12"}}`: "/properties/title",
	} {
		var reject *ingest.RejectError
		if _, err := ingesttest.Normalise(t, New(), raw); !errors.As(err, &reject) || reject.Place != place {
			t.Errorf("%s: got %v, want a rejection at %s", raw, err, place)
		}
	}
}

func FuzzNormalise(f *testing.F) { ingesttest.Fuzz(f, New()) }

func BenchmarkNormalise(b *testing.B) {
	raw := ingesttest.Natives(b, "testdata")["row"]
	reg := ingest.New(New())
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := reg.Normalise(ingest.Record{Raw: raw}, ingest.Auto, "t", ingesttest.Now); err != nil {
			b.Fatal(err)
		}
	}
}
