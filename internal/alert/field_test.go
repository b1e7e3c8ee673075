package alert

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestFlatten(t *testing.T) {
	var f Flattener
	got, err := f.Flatten([]byte(`{"rule":{"id":"92052","mitre":{"id":["T1059","T1003"]},"level":12,"mail":true},
		"a.b":{"c/d~":null},"empty":{},"none":[],"list":[{"x":1},{"x":2}],"esc":"tab\tq\"é\u00e9"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Field{
		{"rule.id", "/rule/id", "92052", KindString},
		{"rule.mitre.id", "/rule/mitre/id/0", "T1059", KindString},
		{"rule.mitre.id", "/rule/mitre/id/1", "T1003", KindString},
		{"rule.level", "/rule/level", "12", KindNumber},
		{"rule.mail", "/rule/mail", "true", KindBool},
		{"a.b.c/d~", "/a.b/c~1d~0", "", KindNull},
		{"empty", "/empty", "", KindEmpty},
		{"none", "/none", "", KindEmpty},
		{"list.x", "/list/0/x", "1", KindNumber},
		{"list.x", "/list/1/x", "2", KindNumber},
		{"esc", "/esc", "tab\tq\"éé", KindString},
	}
	if len(got) != len(want) {
		t.Fatalf("got %d fields, want %d: %v", len(got), len(want), got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("field %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
}

func TestFlattenRefuses(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)
	many := `{"a":[` + strings.Repeat("1,", MaxFields+1) + `1]}`
	tests := []struct {
		name, in string
		want     error
	}{
		{"array", `[1]`, ErrNotObject},
		{"text", `"x"`, ErrNotObject},
		{"too deep", deep, ErrTooDeep},
		{"too many", many, ErrTooManyFields},
		{"too large", `{"a":"` + strings.Repeat("x", MaxRecord) + `"}`, ErrTooLarge},
		{"cut", `{"a":{"b":1`, nil},
		{"cut in string", `{"a":"b`, nil},
		{"two objects", `{"a":1}{"b":2}`, nil},
		{"empty", ``, nil},
		{"bad number", `{"a":01}`, nil},
	}
	var f Flattener
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := f.Flatten([]byte(tt.in))
			if err == nil {
				t.Fatal("accepted")
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	// A refused record leaves nothing behind for the next one.
	got, err := f.Flatten([]byte(`{"ok":"yes"}`))
	if err != nil || got.Get("ok") != "yes" || len(got) != 1 {
		t.Errorf("after refusals: %v, %v", got, err)
	}
}

func TestFlattenKeepsInvalidUTF8Readable(t *testing.T) {
	var f Flattener
	got, err := f.Flatten([]byte("{\"k\xff\":\"v\xfe\"}"))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Value != "v\uFFFD" {
		t.Errorf("got %+v", got)
	}
}

func TestFlattenDoesNotGrowWithForeignKeys(t *testing.T) {
	var f Flattener
	for i := range 3 * maxNodes {
		raw := fmt.Appendf(nil, `{"k%d":{"x":1}}`, i)
		got, err := f.Flatten(raw)
		if err != nil || len(got) != 1 || got[0].Path != fmt.Sprintf("k%d.x", i) {
			t.Fatalf("%d: %v %v", i, got, err)
		}
	}
}

func FuzzFlatten(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":[1,{"b":null}]}`, `{"a":"\ud800"}`, `{"":{"":""}}`, "{\"a\":\"\xff\"}", `{"a":1e99}`} {
		f.Add([]byte(s))
	}
	var fl Flattener
	f.Fuzz(func(t *testing.T, raw []byte) {
		fields, err := fl.Flatten(raw)
		if err != nil {
			return
		}
		var v map[string]json.RawMessage
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatalf("flattened what encoding/json refuses: %v", err)
		}
		for _, x := range fields {
			if x.Pointer != "" && x.Pointer[0] != '/' {
				t.Fatalf("pointer %q", x.Pointer)
			}
		}
	})
}

func benchRecord() []byte {
	var b strings.Builder
	b.WriteString(`{"_index":"wazuh-alerts","_id":"x","_source":{"agent":{"ip":"192.0.2.7","name":"ws-07","id":"003"},"data":{"win":{"eventdata":{`)
	for i := range 24 {
		fmt.Fprintf(&b, `"field%02d":"C:\\\\Windows\\\\System32\\\\value-%02d.exe",`, i, i)
	}
	b.WriteString(`"last":"x"},"system":{`)
	for i := range 16 {
		fmt.Fprintf(&b, `"sys%02d":"Microsoft-Windows-Sysmon/Operational",`, i)
	}
	b.WriteString(`"eventID":"1"}}},"rule":{"level":12,"id":"92052","mitre":{"id":["T1059.003"]},"groups":["sysmon","windows"]},"timestamp":"2025-07-04T10:01:45.245+0000"}}`)
	return []byte(b.String())
}

func BenchmarkFlatten(b *testing.B) {
	raw := benchRecord()
	var f Flattener
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Flatten(raw); err != nil {
			b.Fatal(err)
		}
	}
}
