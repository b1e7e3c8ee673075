// Package wazuh adapts alerts of Wazuh 4: documents of the indexer and of its searches, and
// bare alerts as the manager writes them to alerts.json and hands them to integrations.
package wazuh

import (
	"strconv"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// Name is the source's name.
const Name = "wazuh"

// Adapter implements ingest.Adapter. It has no state.
type Adapter struct{}

// New returns the adapter.
func New() Adapter { return Adapter{} }

// Descriptor implements ingest.Adapter.
func (Adapter) Descriptor() *ingest.Descriptor { return &descriptor }

// EnvelopePaths implements ingest.Envelope: answers of the indexer and of the manager's API.
func (Adapter) EnvelopePaths() []string {
	return []string{"hits.hits", "data.affected_items", "responses", "alerts"}
}

// View implements ingest.Viewer: fields stand under the paths of a bare alert.
func (Adapter) View(f alert.Fields) alert.Fields {
	if f.Has("_source") {
		return ingest.TrimRoot(f, "_source", "fields", "highlight", "sort", "_score")
	}
	if f.Has("parameters.alert") { // active response and integrations of the manager
		return ingest.TrimRoot(f, "parameters.alert")
	}
	return f
}

// Detect implements ingest.Adapter.
func (a Adapter) Detect(f alert.Fields) int {
	score := 0
	wrapped := ""
	switch {
	case f.Has("_source"):
		wrapped = "_source."
	case f.Has("parameters.alert"):
		wrapped = "parameters.alert."
	}
	has := func(p string, n int) {
		if f.Has(wrapped + p) {
			score += n
		}
	}
	has("manager.name", 30)
	has("rule.firedtimes", 25)
	has("rule.level", 20)
	has("rule.groups", 10)
	has("decoder.name", 15)
	has("agent.id", 5)
	has("agent.name", 5)
	has("location", 5)
	has("data.win.system", 20)
	has("syscheck", 20)
	if strings.HasPrefix(f.Get("_index"), "wazuh-alerts") {
		score += 60
	}
	// Elastic's documents have a few of these keys as well.
	if f.Has(wrapped+"ecs") || f.Has(wrapped+"kibana") || f.Has(wrapped+"event.kind") || score < 25 {
		return 0
	}
	return min(score, 100)
}

// Severity maps a rule level (0 to 16). ok is false for what is no level.
func Severity(level string) (sev alert.Severity, ok bool) {
	n, err := strconv.Atoi(strings.TrimSpace(level))
	switch {
	case err != nil || n < 0:
		return alert.Medium, false
	case n <= 6:
		return alert.Low, true
	case n <= 11:
		return alert.Medium, true
	case n <= 14:
		return alert.High, true
	default:
		return alert.Critical, true
	}
}

// Normalise implements ingest.Adapter.
func (a Adapter) Normalise(_ []byte, native alert.Fields) (alert.Alert, error) {
	f := a.View(native)
	if !f.Has("rule") && !f.Has("data") && !f.Has("agent") && !f.Has("syscheck") && !f.Has("full_log") {
		return alert.Alert{}, &ingest.RejectError{Source: Name, Place: "/rule",
			Reason: "not a Wazuh alert: it has no rule, agent or data; send documents of wazuh-alerts-*, not of other indices"}
	}
	rule := f.Get("rule.id")
	title := ingest.CleanWindows(f.Get("rule.description"))
	if ingest.IsHeartbeat(title) {
		return alert.Alert{}, ingest.ErrHeartbeat
	}
	sev, haveSev := Severity(f.Get("rule.level"))
	out := alert.Alert{
		ID:             f.First("_id", "id"),
		Source:         Name,
		Timestamp:      ingest.FirstTime(f, "timestamp", "@timestamp"),
		Title:          title,
		Description:    description(f),
		Severity:       sev,
		NativeSeverity: f.Get("rule.level"),
		Tactics:        ingest.Tactics(f.All("rule.mitre.tactic")...),
		Techniques:     techniques(f),
		EntitiesRaw:    "[]",
		Product:        product(f),
		SourceTenant:   f.First("cluster.name", "manager.name"),
		EventStart:     ingest.FirstTime(f, startPaths...),
		EventEnd:       ingest.FirstTime(f, endPaths...),
		Analytic:       analytic(f),
		Discriminator:  discriminator(f),
		Links:          links(f),
		Fields:         f,
	}
	out.Missing = missing(f, haveSev, out.Timestamp.IsZero())
	if out.Title == "" {
		out.Title = "Wazuh rule " + rule
		if rule == "" {
			out.Title = "Wazuh alert without a rule id"
		}
	}
	return out, nil
}

func missing(f alert.Fields, severity, noTime bool) []string {
	m := ingest.Lack(nil, "title", f.Get("rule.description"))
	m = ingest.Lack(m, "rule.id", f.Get("rule.id"))
	if !severity {
		m = append(m, "severity")
	}
	if noTime {
		m = append(m, "timestamp")
	}
	return ingest.Lack(m, "agent", f.First("agent.name", "agent.id"))
}

// description is the innermost text: the signature where the rule only carries one.
func description(f alert.Fields) string {
	d := f.First("data.alert.signature", "data.vulnerability.title", "data.sca.check.title", "data.title", "syscheck.event", "rule.info")
	if d == "" {
		d = f.First("full_log", "data.win.system.message")
	}
	const longest = 2000
	if len(d) > longest {
		d = strings.ToValidUTF8(d[:longest], "") + "…"
	}
	return d
}

func techniques(f alert.Fields) []string {
	ids := f.All("rule.mitre.id")
	ids = append(ids, f.All("data.alert.metadata.mitre_technique_id")...)
	return ingest.Techniques(ids...)
}

// product names what raised the event behind Wazuh.
func product(f alert.Fields) string {
	switch {
	case f.Has("data.alert.signature_id"):
		return "Suricata"
	case f.Has("data.win.system.providerName"):
		return f.Get("data.win.system.providerName")
	case f.Get("data.integration") != "":
		return f.Get("data.integration")
	case f.Get("data.aws.source") != "":
		return "aws/" + f.Get("data.aws.source")
	case f.Has("syscheck"):
		return "Wazuh FIM"
	}
	if p := f.First("predecoder.program_name", "decoder.name"); p != "" {
		return p
	}
	return "Wazuh"
}

var startPaths = []string{
	"data.win.eventdata.utcTime", "data.win.system.systemTime", "data.timestamp",
	"data.aws.service.eventFirstSeen", "data.aws.eventTime", "data.office365.CreationTime", "data.gcp.timestamp",
	"data.github.@timestamp", "data.ms-graph.createdDateTime", "data.azure.time",
}

var endPaths = []string{"data.aws.service.eventLastSeen", "data.ms-graph.lastActivityDateTime"}
