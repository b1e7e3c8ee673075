package eval

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/aluskort/aluskort/internal/investigate"
)

const sysmonEvent = `{"#attributes":{"xmlns":"http://schemas.microsoft.com/win/2004/08/events/event"},"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Sysmon","Guid":"5770385F-C22A-43E0-BF4C-06F5698FFBD9"}},
"EventID":1,"Level":4,"TimeCreated":{"#attributes":{"SystemTime":"2026-03-04T10:00:00.123456Z"}},"Execution":{"#attributes":{"ProcessID":3544,"ThreadID":4264}},"Correlation":null,
"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"ws-07","Security":{"#attributes":{"UserID":"S-1-5-18"}}},"EventData":{"Image":"C:\\Windows\\x.exe","ProcessId":6336,"Flag":true,"List":["a","b"],"Empty":null}}`

func TestWindowsHit(t *testing.T) {
	got, err := WindowsHit("e1", jsontext.Value(sysmonEvent))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Source struct {
			Rule map[string]any `json:"rule"`
			Data struct {
				Win struct{ System, Eventdata map[string]string } `json:"win"`
			} `json:"data"`
		} `json:"_source"`
	}
	if err := json.Unmarshal(got, &doc, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	wantSystem := map[string]string{"providerName": "Microsoft-Windows-Sysmon", "providerGuid": "{5770385F-C22A-43E0-BF4C-06F5698FFBD9}", "eventID": "1", "level": "4",
		"systemTime": "2026-03-04T10:00:00.123456Z", "processID": "3544", "threadID": "4264", "channel": "Microsoft-Windows-Sysmon/Operational", "computer": "ws-07"}
	if d := cmp.Diff(wantSystem, doc.Source.Data.Win.System); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{"image": `C:\Windows\x.exe`, "processId": "6336", "flag": "true", "list": "a, b"}, doc.Source.Data.Win.Eventdata); d != "" {
		t.Error(d)
	}
	if doc.Source.Rule["mitre"] != nil {
		t.Error("the wrapper states techniques")
	}
}

func TestWindowsHitOfUserDataAndQualifiers(t *testing.T) {
	got, err := WindowsHit("e1", jsontext.Value(`{"System":{"EventID":{"#attributes":{"Qualifiers":0},"#text":5858}},"UserData":{"Operation_ClientFailure":{"#attributes":{"xmlns":"x"},"Operation":"Start","User":"EXAMPLE\\ada"}}}`))
	if err != nil || !strings.Contains(string(got), `"eventID":"5858"`) || !strings.Contains(string(got), `"operation":"Start"`) || strings.Contains(string(got), "xmlns") {
		t.Errorf("%s, %v", got, err)
	}
	for _, bad := range []string{`{}`, `{"System":{}}`, `[]`, `{"System":`} {
		if _, err := WindowsHit("e", jsontext.Value(bad)); err == nil {
			t.Errorf("%s passed", bad)
		}
	}
}

func FuzzWindowsHit(f *testing.F) {
	f.Add([]byte(sysmonEvent))
	f.Add([]byte(`{"System":{"EventID":{"#text":1},"":[]},"EventData":{"":{"#text":{}},"a":[{}]}}`))
	f.Fuzz(func(t *testing.T, event []byte) {
		got, err := WindowsHit("e", event)
		if err == nil && !jsontext.Value(got).IsValid() {
			t.Errorf("%q became %q, which is not JSON", event, got)
		}
	})
}

func TestTechniques(t *testing.T) {
	line := func(id, attack string, events int) string {
		return `{"sigma_id":"` + id + `","title":"t","attack":[` + attack + `],"events":[` + strings.TrimSuffix(strings.Repeat(`{"Event":`+strings.ReplaceAll(sysmonEvent, "\n", "")+`},`, events), ",") + "]}\n"
	}
	in := line("a", `"attack.execution","attack.t1059.001"`, 1) + line("b", `"attack.t1003","attack.t1547.001","attack.t9999"`, 2) + "\n" + line("c", `"attack.stealth"`, 1)
	named := [][]string{{"T1059.001", "T1105"}, {"T1003.001"}, {"T1547.001"}, {"T9999"}}
	judge := func(_ context.Context, records [][]byte, alone bool) ([]Judged, error) {
		if !alone {
			t.Error("events must be judged alone")
		}
		out := make([]Judged, len(records))
		for i := range out {
			out[i] = verdict("x", "suspicious", 0.5)
			for _, id := range named[i] {
				out[i].Line.Investigation.Techniques = append(out[i].Line.Investigation.Techniques, investigate.Technique{ID: id})
			}
		}
		return out, nil
	}
	rep, err := Techniques(t.Context(), judge, strings.NewReader(in), func(id string) bool { return id != "T9999" })
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{2, 4, 2, 4}, []int{rep.Exact.Recall.Count, rep.Exact.Recall.Of, rep.Exact.Precision.Count, rep.Exact.Precision.Of}); d != "" {
		t.Error("exact: " + d)
	}
	if d := cmp.Diff([]int{3, 4, 3, 4}, []int{rep.Parent.Recall.Count, rep.Parent.Recall.Of, rep.Parent.Precision.Count, rep.Parent.Precision.Of}); d != "" {
		t.Error("technique level: " + d)
	}
	if d := cmp.Diff([]string{"T9999"}, rep.Unknown); d != "" {
		t.Error(d)
	}
	if rep.KnownRecall.Count != 2 || rep.KnownRecall.Of != 3 || !slices.Equal(rep.StatedUnknown, []string{"T9999"}) {
		t.Errorf("within the taxonomy: %+v, outside %q", rep.KnownRecall, rep.StatedUnknown)
	}
	// Case b states an id of another release, so what is named there is not comparable.
	if rep.KnownPrecision.Count != 1 || rep.KnownPrecision.Of != 2 {
		t.Errorf("precision within the taxonomy: %+v", rep.KnownPrecision)
	}
	if rep.Untagged != 1 || len(rep.Misses) != 1 || rep.Misses[0].Case != "b" || rep.ByTechnique[0] != (TechniqueCount{ID: "T1003", Stated: 1, Parent: 1}) {
		t.Errorf("%+v", rep)
	}
	for _, bad := range []string{"{", `{"sigma_id":"a","events":[]}` + "\n", `{"events":[{"Event":{}}]}`} {
		if _, err := Techniques(t.Context(), judge, strings.NewReader(bad), nil); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
