package parse

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// graphWalk reads an entity graph the plain way, into maps, and states by the same rules what
// hosts, accounts, addresses, hashes and URLs it holds.
func graphWalk(t *testing.T, raw string) map[string]bool {
	t.Helper()
	var doc any
	if err := json.Unmarshal([]byte(raw), &doc); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	var walk func(v any)
	walk = func(v any) {
		switch x := v.(type) {
		case []any:
			for _, e := range x {
				walk(e)
			}
		case map[string]any:
			if key := walkedKey(x); key != "" {
				found[key] = true
			}
			for _, e := range x {
				walk(e)
			}
		}
	}
	walk(doc)
	return found
}

func walkedKey(x map[string]any) string {
	s := func(key string) string { v, _ := x[key].(string); return v }
	switch strings.ToLower(s("Type")) {
	case "host":
		if s("DnsDomain") != "" {
			return "host " + strings.ToLower(s("HostName")+"."+s("DnsDomain"))
		}
		return "host " + strings.ToLower(s("HostName"))
	case "account":
		switch {
		case s("Name") != "" && s("UPNSuffix") != "":
			return "account " + strings.ToLower(s("Name")+"@"+s("UPNSuffix"))
		case s("AadUserId") != "":
			return "account " + strings.ToLower(s("AadUserId"))
		case s("Name") != "":
			return "account " + strings.ToLower(s("Name"))
		}
	case "ip":
		return "ip " + strings.ToLower(s("Address"))
	case "filehash":
		return "filehash " + strings.ToLower(s("Value"))
	case "url":
		return "url " + s("Url")
	}
	return ""
}

// TestSentinelGraphs compares the entities with confidence 1 of real alerts with the walk.
func TestSentinelGraphs(t *testing.T) {
	path := filepath.Join("..", "..", "..", "shared", "data", "alerts", "sentinel", "secrl_security_alert.jsonl")
	f, err := os.Open(path)
	if err != nil {
		t.Skip("the Sentinel alerts are not here")
	}
	defer func() { _ = f.Close() }()
	p := New(func(string) *ingest.Descriptor {
		return &ingest.Descriptor{Skip: []string{"Entities", "AlertLink", "RemediationSteps"}}
	})
	type score struct{ hit, want, got int }
	scores, extra := make(map[string]*score), make(map[string]int)
	for _, typ := range []string{"host", "account", "ip", "filehash", "url"} {
		scores[typ] = &score{}
	}
	var flattener alert.Flattener
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<24)
	alerts, errs := 0, 0
	for sc.Scan() {
		fields, err := flattener.Flatten(sc.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		raw := fields.Get("Entities")
		got := p.Parse(&alert.Alert{
			Source: "sentinel", EntitiesRaw: raw, Fields: fields,
			Title: fields.Get("AlertName"), Description: fields.Get("Description"),
		})
		alerts++
		errs += len(got.Errors)
		want := graphWalk(t, raw)
		for key := range want {
			scores[strings.Fields(key)[0]].want++
		}
		for _, e := range got.List {
			s := scores[string(e.Type)]
			switch {
			case s == nil:
			case e.Confidence < 1:
				extra[fmt.Sprintf("%s (%.1f)", e.Type, e.Confidence)]++
			default:
				s.got++
				if want[string(e.Type)+" "+alert.FoldValue(e.Type, e.Value)] {
					s.hit++
				} else {
					t.Logf("not in the graph: %s %s", e.Type, e.Value)
				}
			}
			if !utf8Clean(e.Value) {
				t.Errorf("value %q is not clean", e.Value)
			}
		}
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	for typ, s := range scores {
		recall, precision := float64(s.hit)/float64(s.want), float64(s.hit)/float64(s.got)
		t.Logf("%-8s %3d in the graphs, recall %.3f, precision %.3f", typ, s.want, recall, precision)
		if !(recall >= 0.98 && precision >= 0.98) {
			t.Errorf("%s: recall %.3f and precision %.3f, want 0.98", typ, recall, precision)
		}
	}
	var names []string
	for k, n := range extra {
		names = append(names, fmt.Sprintf("%s: %d", k, n))
	}
	sort.Strings(names)
	t.Logf("%d alerts, %d notes; below confidence 1: %s", alerts, errs, strings.Join(names, ", "))
}

func utf8Clean(s string) bool {
	for _, r := range s {
		if r < ' ' || invisible(r) {
			return false
		}
	}
	return true
}
