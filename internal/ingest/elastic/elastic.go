// Package elastic adapts alerts of Elastic Security: detection alerts (kibana.alert.*), the
// signals that came before them (signal.*), and plain ECS documents of kind alert, such as
// those of Elastic Defend, Suricata and Security Onion. Keys may be dotted or nested, and the
// document may stand in a search hit.
package elastic

import (
	"strconv"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// Name is the source's name.
const Name = "elastic"

// Adapter implements ingest.Adapter. It has no state.
type Adapter struct{}

// New returns the adapter.
func New() Adapter { return Adapter{} }

// Descriptor implements ingest.Adapter.
func (Adapter) Descriptor() *ingest.Descriptor { return &descriptor }

// EnvelopePaths implements ingest.Envelope: search answers, and the bodies of webhook actions.
func (Adapter) EnvelopePaths() []string {
	return []string{"hits.hits", "responses", "context.alerts", "alerts.new.data", "docs"}
}

// View implements ingest.Viewer: fields stand under their ECS names.
func (Adapter) View(f alert.Fields) alert.Fields {
	switch {
	case f.Has("_source"):
		return ingest.TrimRoot(f, "_source", "fields", "highlight", "sort", "_score")
	case f.Has("fields") && (f.Has("_id") || f.Has("_index")): // a search that asked for fields only
		return ingest.TrimRoot(f, "fields", "highlight", "sort", "_score")
	}
	return f
}

// Detect implements ingest.Adapter.
func (a Adapter) Detect(native alert.Fields) int {
	f := a.View(native)
	score := 0
	for _, m := range marks {
		if f.Has(m.path) {
			score += m.score
		}
	}
	index := f.First("_index", "kibana.alert.rule.index")
	if strings.Contains(index, ".alerts-security") || strings.Contains(index, ".siem-signals") {
		score += 50
	}
	if f.Get("event.kind") == "alert" || f.Get("event.kind") == "signal" {
		score += 40
	}
	// Wazuh's documents and events of the generic kind must not look like ours.
	if strings.HasPrefix(index, "wazuh-alerts") || f.Has("rule.firedtimes") || f.Has("manager.name") || score < 30 {
		return 0
	}
	return min(score, 100)
}

var marks = [...]struct {
	path  string
	score int
}{
	{"kibana.alert.uuid", 60}, {"kibana.alert.rule", 60}, {"signal.rule", 70}, {"ecs.version", 20}, {"event.severity_label", 10},
	{"rule.uuid", 10}, {"event.module", 5}, {"event.dataset", 10}, {"@timestamp", 10}, {"rule.name", 10}, {"host.name", 5}, {"event.category", 5},
	{"event.action", 5}, {"agent.type", 5}, {"kibana.alert.severity", 20}, {"Endpoint.policy", 20}, {"data_stream.dataset", 10},
}

// Severity maps the words of kibana.alert.severity. ok is false for any other.
func Severity(word string) (sev alert.Severity, ok bool) {
	switch strings.ToLower(strings.TrimSpace(word)) {
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

// SeverityOfScore maps a risk score of 0 to 100 by Elastic's bands: 0-21 low, 22-47 medium,
// 48-73 high, 74-100 critical.
func SeverityOfScore(score string) (sev alert.Severity, ok bool) {
	n, err := strconv.ParseFloat(strings.TrimSpace(score), 64)
	switch {
	case err != nil || n < 0 || n > 100:
		return alert.Medium, false
	case n < 22:
		return alert.Low, true
	case n < 48:
		return alert.Medium, true
	case n < 74:
		return alert.High, true
	default:
		return alert.Critical, true
	}
}

// SeverityOfSuricata maps the priority of a signature: 1 high, 2 medium, 3 and 4 low.
func SeverityOfSuricata(priority string) (sev alert.Severity, ok bool) {
	switch strings.TrimSpace(priority) {
	case "1":
		return alert.High, true
	case "2":
		return alert.Medium, true
	case "3", "4":
		return alert.Low, true
	}
	return alert.Medium, false
}

// severity takes the word where there is one, then the priority of a signature, then a score.
func severity(f alert.Fields) (sev alert.Severity, native string, ok bool) {
	for _, p := range [...]string{"kibana.alert.severity", "kibana.alert.rule.severity", "signal.rule.severity", "event.severity_label", "rule.severity", "severity", "log.level"} {
		word := f.Get(p)
		if sev, ok = Severity(word); ok {
			return sev, word, true
		}
		if native == "" {
			native = word
		}
	}
	if v := f.First("suricata.eve.alert.severity", "alert.severity"); v != "" {
		if sev, ok = SeverityOfSuricata(v); ok {
			return sev, v, true
		}
	}
	if v := f.Get("event.severity"); v != "" && strings.HasPrefix(f.First("event.module", "event.dataset"), "suricata") && len(v) == 1 {
		if sev, ok = SeverityOfSuricata(v); ok {
			return sev, v, true
		}
	}
	for _, p := range [...]string{"kibana.alert.risk_score", "signal.rule.risk_score", "event.risk_score", "event.severity", "rule.severity"} {
		if sev, ok = SeverityOfScore(f.Get(p)); ok {
			return sev, f.Get(p), true
		}
	}
	return alert.Medium, native, false
}

// Normalise implements ingest.Adapter.
func (a Adapter) Normalise(_ []byte, native alert.Fields) (alert.Alert, error) {
	f := a.View(native)
	title := f.First("kibana.alert.rule.name", "signal.rule.name", "rule.name", "alert.signature", "suricata.eve.alert.signature", "kibana.alert.reason", "message")
	if ingest.IsHeartbeat(title) || ingest.IsHeartbeat(f.Get("event.action")) {
		return alert.Alert{}, ingest.ErrHeartbeat
	}
	if title == "" && !recognisable(f) {
		return alert.Alert{}, &ingest.RejectError{Source: Name, Place: "/kibana.alert.rule.name",
			Reason: "not an Elastic alert (keys: " + ingest.TopKeys(native) + "); send documents of .alerts-security.* or ECS events of kind alert"}
	}
	sev, word, known := severity(f)
	out := alert.Alert{
		ID:             f.First("kibana.alert.uuid", "_id", "signal._id", "event.id"),
		Source:         Name,
		Timestamp:      ingest.FirstTime(f, "@timestamp", "kibana.alert.start", "timestamp", "event.created", "event.ingested"),
		Title:          title,
		Description:    f.First("kibana.alert.rule.description", "signal.rule.description", "rule.description", "kibana.alert.reason", "message"),
		Severity:       sev,
		NativeSeverity: word,
		Tactics:        ingest.Tactics(threats(f, "tactic.name")...),
		Techniques:     ingest.Techniques(append(threats(f, "technique.id"), threats(f, "technique.subtechnique.id")...)...),
		EntitiesRaw:    "[]",
		Product:        f.First("agent.type", "observer.product", "event.module", "kibana.alert.rule.producer"),
		SourceTenant:   f.First("kibana.space_ids", "organization.id", "tenant_id"),
		EventStart:     ingest.FirstTime(f, "event.start", "kibana.alert.original_event.start", "kibana.alert.original_time", "signal.original_time"),
		EventEnd:       ingest.FirstTime(f, "event.end", "kibana.alert.original_event.end"),
		Analytic:       analytic(f, title),
		Discriminator:  discriminators.Of(f),
		Links:          links(f),
		Fields:         f,
	}
	out.Missing = ingest.Lack(out.Missing, "title", title)
	if !known {
		out.Missing = append(out.Missing, "severity")
	}
	if out.Timestamp.IsZero() {
		out.Missing = append(out.Missing, "timestamp")
	}
	out.Missing = ingest.Lack(out.Missing, "host", f.First("host.name", "host.hostname", "agent.name", "observer.name"))
	if out.Title == "" {
		out.Title = "Elastic alert " + f.First("kibana.alert.rule.rule_id", "kibana.alert.rule.uuid", "signal.rule.rule_id", "signal.rule.id", "rule.id", "rule.uuid", "event.action", "event.code", "event.id", "_id")
		out.Title = strings.TrimSpace(out.Title)
	}
	return out, nil
}

func recognisable(f alert.Fields) bool {
	for _, p := range [...]string{"kibana.alert", "signal", "rule", "event", "ecs", "threat", "_index"} {
		if f.Has(p) {
			return true
		}
	}
	return false
}

// threats gathers what the places of the ATT&CK mapping say.
func threats(f alert.Fields, leaf string) []string {
	var out []string
	for _, root := range [...]string{"kibana.alert.rule.threat.", "kibana.alert.rule.parameters.threat.", "signal.rule.threat.", "threat."} {
		out = append(out, f.All(root+leaf)...)
	}
	return out
}

// analytic identifies the innermost detection. A rule over events that are alerts themselves
// only promotes them (Elastic's "Endpoint Security" and "External Alerts" rules do nothing
// else): there the detection of the other product counts.
func analytic(f alert.Fields, title string) string {
	rule := f.First("kibana.alert.rule.rule_id", "kibana.alert.rule.uuid", "signal.rule.rule_id", "signal.rule.id")
	inner := f.First("kibana.alert.original_event.kind", "signal.original_event.kind")
	if rule != "" && inner != "alert" {
		return "rule:" + strings.ToLower(rule)
	}
	if id := f.First("suricata.eve.alert.signature_id", "alert.signature_id"); id != "" {
		return "suricata:" + id
	}
	module := strings.ToLower(f.First("kibana.alert.original_event.module", "signal.original_event.module", "event.module", "event.dataset"))
	id := f.First("rule.uuid", "rule.id", "rule.name", "kibana.alert.original_event.code", "event.code", "event.action")
	switch {
	case id == "" && rule != "":
		return "rule:" + strings.ToLower(rule)
	case id == "":
		return ingest.NormaliseText(title)
	case module == "":
		return id
	}
	return module + ":" + id
}

var discriminators = ingest.NewPayload(
	"process.command_line", "process.parent.executable", "powershell.file.script_block_text", "file.path", "registry.path", "registry.data.strings", "dll.path",
	"dns.question.name", "url.full", "url.path", "url.original", "http.response.status_code", "destination.port", "destination.domain", "service.name",
	"winlog.event_data.ServiceName", "winlog.event_data.ImagePath", "winlog.event_data.ServiceFileName", "winlog.event_data.TargetObject",
	"winlog.event_data.LogonType", "winlog.event_data.Status", "winlog.event_data.SubStatus", "winlog.event_data.TicketEncryptionType",
	"event.action", "event.outcome", "tls.client.server_name", "user_agent.original", "cloud.service.name", "aws.cloudtrail.error_code",
	"azure.signinlogs.properties.status.error_code", "o365.audit.ObjectId",
)
