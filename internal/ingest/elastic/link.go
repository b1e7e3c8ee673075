package elastic

import (
	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// links collects the strong keys, lineage first.
func links(f alert.Fields) []alert.Link {
	var l ingest.Links
	for _, p := range [...]struct{ id, image string }{
		{"process.entity_id", "process.executable"},
		{"process.parent.entity_id", "process.parent.executable"},
		{"Target.process.entity_id", "Target.process.executable"},
	} {
		if x := f.Find(p.id); x != nil {
			l.Process(x.Value, f.Get(p.image), x.Pointer)
		}
	}
	host := f.First("host.name", "host.hostname", "winlog.computer_name", "agent.name")
	if x := f.Find("process.pid"); x != nil && f.Get("process.entity_id") == "" {
		l.ProcessAt(host, x.Value, f.Get("process.start"), f.First("process.executable", "process.name"), x.Pointer)
	}
	for _, p := range [...]struct{ id, user string }{
		{"winlog.logon.id", "user.name"},
		{"winlog.event_data.TargetLogonId", "winlog.event_data.TargetUserName"},
		{"winlog.event_data.SubjectLogonId", "winlog.event_data.SubjectUserName"},
		{"winlog.event_data.LogonId", "winlog.event_data.User"},
		{"process.Ext.authentication_id", "user.name"},
	} {
		if x := f.Find(p.id); x != nil {
			l.Session(host, x.Value, f.Get(p.user), x.Pointer)
		}
	}
	own := f.All("host.ip")
	for _, p := range [...]string{"source.ip", "client.ip", "winlog.event_data.IpAddress", "src_ip", "related.source.ip"} {
		if x := f.Find(p); x != nil {
			l.Source(x.Value, x.Pointer, own...)
		}
	}
	for _, p := range [...]struct{ hash, path string }{
		{"file.hash.", "file.path"}, {"process.hash.", "process.executable"}, {"dll.hash.", "dll.path"},
	} {
		for _, algorithm := range [...]string{"sha256", "sha1", "md5"} {
			if x := f.Find(p.hash + algorithm); x != nil && x.Value != "" {
				l.Hash(x.Value, f.Get(p.path), x.Pointer)
				break
			}
		}
	}
	for _, p := range [...]struct {
		path string
		add  func(id, ref string)
	}{
		{"email.message_id", l.Message},
		{"o365.audit.InternetMessageId", l.Message},
		{"okta.authentication_context.external_session_id", l.Token},
		{"azure.signinlogs.properties.session_id", l.Token},
		{"o365.audit.SessionId", l.Token},
		{"session.id", l.Token},
		{"aws.cloudtrail.user_identity.access_key_id", l.Key},
		{"aws.cloudtrail.user_identity.session_context.access_key_id", l.Key},
	} {
		if x := f.Find(p.path); x != nil {
			p.add(x.Value, x.Pointer)
		}
	}
	return l.List()
}
