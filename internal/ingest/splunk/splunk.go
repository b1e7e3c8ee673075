// Package splunk adapts notable events of Splunk Enterprise Security: search results, exports
// (JSON or CSV), webhook bodies and events as HEC receives them, risk notables included.
package splunk

import (
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// Name is the source's name.
const Name = "splunk"

// Adapter implements ingest.Adapter. It is safe for concurrent use.
type Adapter struct{ flat *alert.Flattener }

// New returns the adapter.
func New() *Adapter { return &Adapter{flat: &alert.Flattener{}} }

// Descriptor implements ingest.Adapter.
func (*Adapter) Descriptor() *ingest.Descriptor { return &descriptor }

// EnvelopePaths implements ingest.Envelope.
func (*Adapter) EnvelopePaths() []string { return []string{"results", "preview_results"} }

// View implements ingest.Viewer: fields stand where a search result has them, and annotations
// that are JSON as text are taken apart.
func (a *Adapter) View(f alert.Fields) alert.Fields {
	for _, root := range [...]string{"result", "event"} {
		if hasBelow(f, root) {
			f = ingest.TrimRoot(f, root)
			break
		}
	}
	return ingest.ExpandJSON(a.flat, f, "annotations", "annotations._all", "annotations.mitre_attack")
}

func hasBelow(f alert.Fields, root string) bool {
	return slices.ContainsFunc(f, func(x alert.Field) bool {
		return len(x.Path) > len(root) && x.Path[len(root)] == '.' && x.Path[:len(root)] == root
	})
}

// Detect implements ingest.Adapter.
func (a *Adapter) Detect(native alert.Fields) int {
	if native.Has("_source") || native.Has("kibana") || native.Has("SystemAlertId") || native.Has("rule.id") {
		return 0
	}
	score := 0
	if strings.Contains(native.First("event_id", "result.event_id", "event.event_id"), "@@notable@@") {
		score += 60
	}
	if index := native.First("index", "result.index", "event.index"); index == "notable" || index == "risk" {
		score += 40
	}
	for _, m := range marks {
		if native.Has(m.path) || native.Has("result."+m.path) || native.Has("event."+m.path) {
			score += m.score
		}
	}
	if score < 30 {
		return 0
	}
	return min(score, 100)
}

var marks = [...]struct {
	path  string
	score int
}{
	{"search_name", 30}, {"rule_title", 20}, {"urgency", 20}, {"security_domain", 15}, {"rule_name", 5}, {"orig_sid", 15}, {"sid", 10}, {"_time", 10},
	{"event_id", 5}, {"splunk_server", 15}, {"_cd", 10}, {"_bkt", 10}, {"risk_object", 20}, {"results_link", 20}, {"info_search_time", 15}, {"annotations", 10}, {"drilldown_search", 15}, {"orig_event_id", 5},
	{"owner", 5},
}

// Severity maps urgency. ok is false for any other word.
func Severity(urgency string) (sev alert.Severity, ok bool) {
	switch strings.ToLower(strings.TrimSpace(urgency)) {
	case "critical":
		return alert.Critical, true
	case "high":
		return alert.High, true
	case "medium":
		return alert.Medium, true
	case "low":
		return alert.Low, true
	case "informational", "info":
		return alert.Informational, true
	}
	return alert.Medium, false
}

func severity(f alert.Fields) (sev alert.Severity, native string, ok bool) {
	for _, p := range [...]string{"urgency", "severity", "priority"} {
		word := f.Get(p)
		if sev, ok = Severity(word); ok {
			return sev, word, true
		}
		if native == "" {
			native = word
		}
	}
	return alert.Medium, native, false
}

// isHealth reports whether the record only says that the platform works. The title alone is
// not enough above low: "Health records copied" is no heartbeat.
func isHealth(title string, sev alert.Severity, known bool) bool {
	t := strings.ToLower(title)
	return ingest.IsHeartbeat(title) || (strings.HasPrefix(t, "health ") || t == "health" || strings.HasPrefix(t, "health:") || strings.HasPrefix(t, "health -")) &&
		(!known || sev <= alert.Low)
}

// Normalise implements ingest.Adapter.
func (a *Adapter) Normalise(_ []byte, native alert.Fields) (alert.Alert, error) {
	f := a.View(native)
	title := f.First("search_name", "rule_title", "rule_name", "savedsearch_name")
	sev, word, known := severity(f)
	if isHealth(title, sev, known) {
		return alert.Alert{}, ingest.ErrHeartbeat
	}
	if title == "" && !recognisable(f) {
		return alert.Alert{}, &ingest.RejectError{Source: Name, Place: "/search_name",
			Reason: "not a notable event (keys: " + ingest.TopKeys(native) + "); send results of `notable` or of a correlation search"}
	}
	out := alert.Alert{
		ID:             identity(f),
		Source:         Name,
		Timestamp:      ingest.FirstTime(f, "_time", "time", "timestamp", "info_search_time"),
		Title:          title,
		Description:    f.First("rule_description", "savedsearch_description", "description"),
		Severity:       sev,
		NativeSeverity: word,
		Tactics: ingest.Tactics(multi(f, "annotations.mitre_attack.mitre_tactic", "annotations.mitre_attack.mitre_tactic_name", "mitre_tactic",
			"annotations.mitre_attack.mitre_tactic_id")...),
		Techniques: ingest.Techniques(multi(f, "annotations.mitre_attack.mitre_technique_id", "annotations.mitre_attack", "mitre_technique_id",
			"annotations._all", "annotations.mitre_attack_id", "annotations._all.mitre_attack")...),
		EntitiesRaw:   "[]",
		Product:       product(f),
		SourceTenant:  f.First("tenant", "tenant_id", "customer"),
		EventStart:    ingest.FirstTime(f, "orig_time", "firstTime", "first_time", "start_time"),
		EventEnd:      ingest.FirstTime(f, "lastTime", "last_time", "end_time"),
		Analytic:      analytic(f, title),
		Discriminator: discriminators.Of(f),
		Links:         links(f),
		Fields:        f,
	}
	out.Missing = ingest.Lack(out.Missing, "title", title)
	out.Missing = ingest.Lack(out.Missing, "description", out.Description)
	if !known {
		out.Missing = append(out.Missing, "severity")
	}
	if out.Timestamp.IsZero() {
		out.Missing = append(out.Missing, "timestamp")
	}
	if out.Title == "" {
		out.Title = strings.TrimSpace("Splunk notable " + f.First("event_id", "sid", "orig_sid", "security_domain"))
	}
	return out, nil
}

func recognisable(f alert.Fields) bool {
	for _, p := range [...]string{"event_id", "sid", "orig_sid", "urgency", "security_domain", "risk_object", "annotations"} {
		if f.Has(p) {
			return true
		}
	}
	return false
}

// identity is event_id; without one, the search job and the row of its result.
func identity(f alert.Fields) string {
	if id := f.Get("event_id"); id != "" {
		return id
	}
	sid, rid := f.First("sid", "orig_sid"), f.First("rid", "orig_rid")
	if sid != "" && rid != "" {
		return sid + ":" + rid
	}
	return sid
}

// multi lists the members of multi-value fields: arrays in JSON, lines in CSV.
func multi(f alert.Fields, paths ...string) []string {
	var out []string
	for _, p := range paths {
		for _, v := range f.All(p) {
			for line := range strings.SplitSeq(v, "\n") {
				if line = strings.TrimSpace(line); line != "" {
					out = append(out, line)
				}
			}
		}
	}
	return out
}

func product(f alert.Fields) string {
	if v := multi(f, "source"); len(v) == 1 && !f.Has("risk_object") {
		return v[0]
	}
	return "splunk_es"
}

// analytic is the correlation search; for a risk notable, which only carries, with the rules
// that contributed.
func analytic(f alert.Fields, title string) string {
	name := strings.ToLower(f.First("search_name", "rule_name", "savedsearch_name", "rule_title"))
	if name == "" {
		name = strings.ToLower(title)
	}
	if !f.Has("risk_object") || name == "" {
		return name
	}
	rules := multi(f, "contributing_rules", "risk_rule", "risk_message_source", "orig_source", "source")
	for i := range rules {
		rules[i] = strings.ToLower(rules[i])
	}
	slices.Sort(rules)
	rules = slices.Compact(rules)
	rules = slices.DeleteFunc(rules, func(r string) bool { return r == name })
	if len(rules) == 0 {
		return name
	}
	return name + ":" + strings.Join(rules, "+")
}

var discriminators = ingest.NewPayload(
	"process", "process_exec", "process_path", "parent_process", "command", "cmdline", "file_path", "file_name", "registry_path", "registry_value_name",
	"service", "service_name", "signature", "signature_id", "url", "uri_path", "http_method", "action", "result_id", "dest_port", "query",
	"object", "object_path", "change_type", "command_name", "eventName", "threat_match_value", "risk_object", "threat_object",
)
