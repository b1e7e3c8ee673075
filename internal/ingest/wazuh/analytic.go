package wazuh

import (
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// carriers are the rules that pass on the detections of something else: the analytic of their
// alerts is what that something found, not the rule. They are known by the payload they carry,
// since installations number and override rules at will. The first that matches counts.
var carriers = [...]struct {
	name  string
	when  string   // path that tells the carrier
	parts []string // paths of the inner detection
}{
	{"suricata", "data.alert.signature_id", []string{"data.alert.signature_id"}},
	{"guardduty", "data.aws.service.serviceName", []string{"data.aws.type"}},
	{"cloudtrail", "data.aws.eventName", []string{"data.aws.eventSource", "data.aws.eventName", "data.aws.errorCode"}},
	{"aws", "data.aws.source", []string{"data.aws.source", "data.aws.type", "data.aws.action"}},
	{"office365", "data.office365.Operation", []string{"data.office365.Workload", "data.office365.Operation", "data.office365.ResultStatus"}},
	{"graph", "data.ms-graph.title", []string{"data.ms-graph.detectorId", "data.ms-graph.title"}},
	{"azure", "data.azure.operationName", []string{"data.azure.category", "data.azure.operationName"}},
	{"gcp", "data.gcp.protoPayload.methodName", []string{"data.gcp.protoPayload.methodName"}},
	{"github", "data.github.action", []string{"data.github.action"}},
	{"docker", "data.docker.Action", []string{"data.docker.Type", "data.docker.Action"}},
	{"osquery", "data.osquery.name", []string{"data.osquery.pack", "data.osquery.name", "data.osquery.action"}},
	{"vulnerability", "data.vulnerability.cve", []string{"data.vulnerability.cve"}},
	{"sca", "data.sca.check.id", []string{"data.sca.policy_id", "data.sca.check.id"}},
	{"falco", "data.output_fields", []string{"data.rule"}},
	{"yara", "data.yara_rule", []string{"data.yara_rule"}},
	{"yara", "data.YARA.rule_name", []string{"data.YARA.rule_name"}},
}

// analytic identifies the innermost detection.
func analytic(f alert.Fields) string {
	rule := f.Get("rule.id")
	if rule != "" && f.Find("data.win.system.eventID") != nil {
		return "rule:" + rule // events of Windows carry nothing
	}
	for _, c := range carriers {
		if !f.Has(c.when) {
			continue
		}
		var parts []string
		for _, p := range c.parts {
			if v := f.Get(p); v != "" {
				parts = append(parts, v)
			}
		}
		if len(parts) > 0 {
			return c.name + ":" + strings.Join(parts, ":")
		}
	}
	switch {
	case f.Has("syscheck.path"):
		return "fim:" + f.Get("syscheck.event") + ":" + ingest.PathClass(f.Get("syscheck.path"))
	case f.Has("data.virustotal"):
		return "virustotal:" + virusTotal(f)
	case f.Get("decoder.name") == "rootcheck" && f.Get("data.title") != "":
		return "rootcheck:" + ingest.NormaliseText(f.Get("data.title"))
	case rule == "":
		return ""
	}
	return "rule:" + rule
}

func virusTotal(f alert.Fields) string {
	switch {
	case f.Get("data.virustotal.error") != "":
		return "error"
	case f.Get("data.virustotal.found") == "0":
		return "unknown"
	case f.First("data.virustotal.malicious", "data.virustotal.positives") == "0":
		return "clean"
	}
	return "malicious"
}

// discriminators are the paths of the payload that tells one activity from another.
var discriminators = payload()

var payloadPaths = []string{
	"data.win.eventdata.commandLine", "data.win.eventdata.parentImage", "data.win.eventdata.scriptBlockText",
	"data.win.eventdata.targetFilename", "data.win.eventdata.targetObject", "data.win.eventdata.details",
	"data.win.eventdata.imageLoaded", "data.win.eventdata.targetImage", "data.win.eventdata.grantedAccess",
	"data.win.eventdata.pipeName", "data.win.eventdata.queryName", "data.win.eventdata.destinationIp",
	"data.win.eventdata.destinationPort", "data.win.eventdata.serviceName", "data.win.eventdata.imagePath",
	"data.win.eventdata.taskName", "data.win.eventdata.objectName", "data.win.eventdata.accessMask",
	"data.win.eventdata.logonType", "data.win.eventdata.authenticationPackageName", "data.win.eventdata.status",
	"data.win.eventdata.subStatus", "data.win.eventdata.ticketEncryptionType", "data.win.eventdata.memberSid",
	"data.win.eventdata.threat Name", "data.win.eventdata.path",
	"data.http.hostname", "data.http.url", "data.dest_port", "data.dns.query.rrname", "data.tls.sni",
	"data.command", "data.audit.command", "data.audit.exe", "data.audit.key", "data.audit.file.name", "data.audit.execve.a0",
	"data.audit.execve.a1", "data.audit.execve.a2", "data.audit.execve.a3",
	"data.url", "data.protocol", "data.file", "data.title",
	"syscheck.path", "syscheck.event", "syscheck.value_name",
	"data.virustotal.source.file", "data.vulnerability.package.name",
	"data.aws.requestParameters.policyArn", "data.aws.requestParameters.bucketName", "data.aws.requestParameters.userName",
	"data.aws.errorCode", "data.office365.ObjectId", "data.office365.ResultStatus", "data.docker.Actor.Attributes.image",
	"data.osquery.columns.path", "data.osquery.columns.cmdline",
}

func payload() *ingest.Payload {
	p := ingest.NewPayload(payloadPaths...)
	p.Clean = ingest.CleanWindows
	return p
}

// discriminator returns the values at the paths above and, for web requests, the status:
// elsewhere data.id is the number of the event. What Wazuh did not take apart is told by the
// log line without its numbers.
func discriminator(f alert.Fields) []string {
	out := discriminators.Of(f)
	if f.Get("data.url") != "" && len(f.Get("data.id")) == 3 {
		out = append(out, "status="+f.Get("data.id"))
	}
	if len(out) == 0 && !f.Has("data") {
		if line := logLine(f.Get("full_log")); line != "" {
			out = append(out, "full_log="+line)
		}
	}
	return out
}

// logLine is a log line without its numbers. The output of a monitored command is different
// each time, so there the command counts.
func logLine(s string) string {
	const output = "ossec: output: '"
	if rest, ok := strings.CutPrefix(s, output); ok {
		command, _, _ := strings.Cut(rest, "'")
		return ingest.NormaliseText(command)
	}
	digit := false
	return strings.Map(func(r rune) rune {
		was := digit
		digit = r >= '0' && r <= '9'
		switch {
		case digit && was:
			return -1
		case digit:
			return '#'
		}
		return r
	}, ingest.NormaliseText(s))
}
