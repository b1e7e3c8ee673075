package wazuh

import (
	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

const eventdata = "data.win.eventdata."

// links collects the strong keys, lineage first.
func links(f alert.Fields) []alert.Link {
	var l ingest.Links
	processes(&l, f)
	sessions(&l, f)
	sources(&l, f)
	hashes(&l, f)
	for _, p := range [...]string{"data.office365.InternetMessageId", "data.office365.MessageId", "data.message_id"} {
		with(f, p, l.Message)
	}
	for _, p := range [...]string{
		"data.office365.SessionId", "data.office365.AppAccessContext.AADSessionId", "data.office365.DeviceProperties.SessionId",
		"data.aws.sharedEventID", "data.azure.properties.correlationId",
	} {
		with(f, p, l.Token)
	}
	for _, p := range [...]string{"data.aws.userIdentity.accessKeyId", "data.aws.resource.accessKeyDetails.accessKeyId"} {
		with(f, p, l.Key)
	}
	return l.List()
}

func with(f alert.Fields, path string, add func(value, ref string)) {
	if x := f.Find(path); x != nil {
		add(x.Value, x.Pointer)
	}
}

// processes adds the lineage. Sysmon gives processes ids that are unique on all hosts; the
// process auditing of Windows gives numbers that are used again, so those go with the time.
func processes(l *ingest.Links, f alert.Fields) {
	for _, p := range [...]struct{ id, image string }{
		{"processGuid", "image"}, {"parentProcessGuid", "parentImage"},
		{"sourceProcessGUID", "sourceImage"}, {"targetProcessGUID", "targetImage"},
		{"sourceProcessGuid", "sourceImage"}, {"targetProcessGuid", "targetImage"},
	} {
		if x := f.Find(eventdata + p.id); x != nil {
			l.Process(x.Value, f.Get(eventdata+p.image), x.Pointer)
		}
	}
	if x := f.Find(eventdata + "newProcessId"); x != nil {
		l.ProcessAt(host(f), x.Value, f.Get("data.win.system.systemTime"), f.Get(eventdata+"newProcessName"), x.Pointer)
	}
}

func host(f alert.Fields) string {
	return f.First("data.win.system.computer", "predecoder.hostname", "agent.name")
}

func sessions(l *ingest.Links, f alert.Fields) {
	for _, p := range [...]struct{ id, user string }{
		{"logonId", "user"}, {"targetLogonId", "targetUserName"}, {"subjectLogonId", "subjectUserName"},
	} {
		if x := f.Find(eventdata + p.id); x != nil {
			l.Session(host(f), x.Value, f.Get(eventdata+p.user), x.Pointer)
		}
	}
	if x := f.Find("data.audit.session"); x != nil && x.Value != "4294967295" {
		l.Session(host(f), "audit-"+x.Value, f.Get("data.audit.auid"), x.Pointer)
	}
}

var sourcePaths = [...]string{
	"data.win.eventdata.ipAddress", "data.win.eventdata.sourceIp", "data.srcip", "data.src_ip", "data.win.eventdata.clientAddress",
	"data.aws.sourceIPAddress", "data.aws.service.action.networkConnectionAction.remoteIpDetails.ipAddressV4",
	"data.aws.service.action.awsApiCallAction.remoteIpDetails.ipAddressV4", "data.aws.source_ip_address",
	"data.aws.service.action.portProbeAction.portProbeDetails.remoteIpDetails.ipAddressV4",
	"data.office365.ClientIP", "data.office365.ActorIpAddress", "data.azure.callerIpAddress", "data.github.actor_ip",
	"data.gcp.protoPayload.requestMetadata.callerIp",
}

func sources(l *ingest.Links, f alert.Fields) {
	own := f.Get("agent.ip")
	for _, p := range sourcePaths {
		if x := f.Find(p); x != nil {
			l.Source(x.Value, x.Pointer, own)
		}
	}
}

func hashes(l *ingest.Links, f alert.Fields) {
	if x := f.Find(eventdata + "hashes"); x != nil {
		l.Hash(ingest.BestHash(x.Value), f.First(eventdata+"imageLoaded", eventdata+"targetFilename", eventdata+"image"), x.Pointer)
	}
	if x := f.Find(eventdata + "hash"); x != nil { // Sysmon 15
		l.Hash(ingest.BestHash(x.Value), f.Get(eventdata+"targetFilename"), x.Pointer)
	}
	for _, p := range [...]struct{ path, sums string }{
		{"syscheck.path", "syscheck.*_after"}, {"data.virustotal.source.file", "data.virustotal.source.*"},
	} {
		before, after := cutStar(p.sums)
		for _, algorithm := range [...]string{"sha256", "sha1", "md5"} {
			if x := f.Find(before + algorithm + after); x != nil && x.Value != "" {
				l.Hash(x.Value, f.Get(p.path), x.Pointer)
				break
			}
		}
	}
}

func cutStar(s string) (before, after string) {
	for i := range s {
		if s[i] == '*' {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
