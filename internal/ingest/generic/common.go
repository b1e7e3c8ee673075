package generic

import (
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// Name is the source's name of the adapter without a mapping.
const Name = "generic"

// faint is the score of a record known only by its common keys: any other adapter wins.
const faint = 5

// Common is the adapter without a mapping. It has no state.
type Common struct{}

// Default returns the adapter that goes by common names: a record is an alert when it has keys
// of at least three of the four groups id, title, severity and time.
func Default() Common { return Common{} }

// The groups hold paths in lower case without _, - and spaces, best first.
var groups = [...][]string{
	{"id", "alertid", "uuid", "guid", "eventid", "findingid", "detectionid", "alert.id", "findinginfo.uid", "metadata.uid", "incidentid", "uid", "event.id"},
	{"title", "alertname", "name", "rulename", "displayname", "detectionname", "alert.signature", "signature", "findinginfo.title", "rule.name", "summary", "eventname", "threatname", "subject", "type", "description", "message", "msg"},
	{"severity", "severitylabel", "severity.label", "severityname", "alertseverity", "alert.severity", "risklevel", "threatlevel", "level", "priority", "severityid", "risk", "event.severity", "criticality"},
	{"timestamp", "@timestamp", "time", "timedt", "eventtime", "detectiontimestamp", "createdat", "created", "createdtime", "creationtime", "createddatetime", "eventtimestamp", "date", "datetime", "firstseen", "detectedat", "occurredat", "updatedat", "startedat", "alertcreationtime", "firstobservedat"},
}

const (
	groupID = iota
	groupTitle
	groupSeverity
	groupTime
)

var ranks = rankTable()

type rank struct{ group, order int }

func rankTable() map[string]rank {
	m := map[string]rank{}
	for g := range groups {
		for i, name := range groups[g] {
			m[name] = rank{g, i}
		}
	}
	return m
}

var commonPayload = ingest.NewPayload("command_line", "commandLine", "cmdline", "file_path", "filePath", "url", "process.command_line")

var fold = strings.NewReplacer("_", "", "-", "", " ", "")

// find returns the best field of each group, or nil.
func find(f alert.Fields) (best [len(groups)]*alert.Field) {
	var order [len(groups)]int
	for i := range f {
		if f[i].Value == "" || len(f[i].Path) > 40 {
			continue
		}
		r, ok := ranks[fold.Replace(strings.ToLower(f[i].Path))]
		if ok && (best[r.group] == nil || r.order < order[r.group]) {
			best[r.group], order[r.group] = &f[i], r.order
		}
	}
	return best
}

func count(best [len(groups)]*alert.Field) int {
	n := 0
	for _, x := range best {
		if x != nil {
			n++
		}
	}
	return n
}

// Descriptor implements ingest.Adapter.
func (Common) Descriptor() *ingest.Descriptor { return &common }

// Detect implements ingest.Adapter.
func (Common) Detect(f alert.Fields) int {
	if count(find(f)) < 3 {
		return 0
	}
	return faint
}

// Normalise implements ingest.Adapter. Given by name, two of the groups are enough.
func (Common) Normalise(_ []byte, f alert.Fields) (alert.Alert, error) {
	best := find(f)
	if count(best) < 2 {
		return alert.Alert{}, &ingest.RejectError{Source: Name, Place: "/",
			Reason: "no keys for id, title, severity and time (keys: " + ingest.TopKeys(f) + "); describe the format in a mapping file"}
	}
	value := func(group int) string {
		if best[group] == nil {
			return ""
		}
		return best[group].Value
	}
	title := value(groupTitle)
	if ingest.IsHeartbeat(title) {
		return alert.Alert{}, ingest.ErrHeartbeat
	}
	words := severities{fallback: alert.Medium}
	sev, known := words.of(value(groupSeverity))
	out := alert.Alert{
		ID:             value(groupID),
		Source:         Name,
		Title:          title,
		Description:    f.First("description", "Description", "message", "details", "summary"),
		Severity:       sev,
		NativeSeverity: value(groupSeverity),
		Tactics:        ingest.Tactics(all(f, "tactics", "tactic", "mitre_tactics", "mitre.tactic")...),
		Techniques:     ingest.Techniques(all(f, "techniques", "technique", "mitre_techniques", "mitre.technique", "mitre_technique_id", "attack_technique")...),
		EntitiesRaw:    "[]",
		Product:        f.First("product", "product_name", "productName", "ProductName", "vendor", "source"),
		SourceTenant:   f.First("tenant_id", "tenantId", "tenant", "accountId", "AwsAccountId", "customer_id"),
		Analytic:       strings.ToLower(f.First("rule_id", "ruleId", "rule.id", "detector_id", "GeneratorId", "signature_id", "type")),
		Discriminator:  commonPayload.Of(f),
		Links:          commonLinks(f),
		Fields:         f,
	}
	out.Timestamp, _ = ingest.ParseTime(value(groupTime))
	out.Missing = ingest.Lack(out.Missing, "title", title)
	if !known {
		out.Missing = append(out.Missing, "severity")
	}
	if out.Timestamp.IsZero() {
		out.Missing = append(out.Missing, "timestamp")
	}
	if out.Title == "" {
		out.Title = strings.TrimSpace("Alert " + firstOf(out.Analytic, out.ID))
	}
	return out, nil
}

func all(f alert.Fields, paths ...string) []string {
	var out []string
	for _, p := range paths {
		out = append(out, f.All(p)...)
	}
	return out
}

func commonLinks(f alert.Fields) []alert.Link {
	var l ingest.Links
	for _, p := range [...]string{"src_ip", "source_ip", "sourceIp", "srcIp", "source.ip", "client_ip"} {
		if x := f.Find(p); x != nil {
			l.Source(x.Value, x.Pointer)
		}
	}
	for _, p := range [...]string{"sha256", "file_hash", "fileHash", "sha1", "md5", "file.hash.sha256"} {
		if x := f.Find(p); x != nil && x.Value != "" {
			l.Hash(x.Value, f.First("file_path", "filePath", "file.path"), x.Pointer)
			break
		}
	}
	return l.List()
}

var common = ingest.Descriptor{
	Name:  Name,
	Title: "Generic",
	Entities: []ingest.EntityPath{
		{Path: "hostname", Type: alert.Host, Role: alert.RoleDevice, Principal: true},
		{Path: "host_name", Type: alert.Host, Role: alert.RoleDevice, Principal: true},
		{Path: "host", Type: alert.Host, Role: alert.RoleDevice, Principal: true},
		{Path: "host.name", Type: alert.Host, Role: alert.RoleDevice, Principal: true},
		{Path: "device.hostname", Type: alert.Host, Role: alert.RoleDevice, Principal: true},
		{Path: "computer", Type: alert.Host, Role: alert.RoleDevice, Principal: true},
		{Path: "user", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
		{Path: "username", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
		{Path: "user_name", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
		{Path: "user.name", Type: alert.Account, Role: alert.RoleSubject, Principal: true},
		{Path: "src_ip", Type: alert.IP, Role: alert.RoleSource, Principal: true},
		{Path: "source_ip", Type: alert.IP, Role: alert.RoleSource, Principal: true},
		{Path: "sourceIp", Type: alert.IP, Role: alert.RoleSource, Principal: true},
		{Path: "dst_ip", Type: alert.IP, Role: alert.RoleDestination, Principal: true},
		{Path: "dest_ip", Type: alert.IP, Role: alert.RoleDestination, Principal: true},
		{Path: "destination_ip", Type: alert.IP, Role: alert.RoleDestination, Principal: true},
		{Path: "sha256", Type: alert.FileHash}, {Path: "sha1", Type: alert.FileHash}, {Path: "md5", Type: alert.FileHash},
		{Path: "file_path", Type: alert.File}, {Path: "filePath", Type: alert.File}, {Path: "url", Type: alert.URL}, {Path: "domain", Type: alert.DNS},
		{Path: "process_name", Type: alert.Process, Role: alert.RoleSubject},
	},
	Fields: map[string][]string{
		"CommandLine": {"command_line", "commandLine", "cmdline", "process.command_line"}, "Image": {"process_path", "image", "process.path", "process_name"},
		"ParentImage": {"parent_process_path", "parent_image"}, "User": {"user", "username", "user_name"}, "Computer": {"hostname", "host_name", "computer"},
		"TargetFilename": {"file_path", "filePath"}, "SourceIp": {"src_ip", "source_ip", "sourceIp"}, "DestinationIp": {"dst_ip", "dest_ip", "destination_ip"},
		"DestinationPort": {"dst_port", "dest_port"}, "QueryName": {"domain", "query"}, "c-uri": {"url"},
	},
}
