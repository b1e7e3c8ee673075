package splunk

import (
	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// links collects the strong keys, lineage first.
func links(f alert.Fields) []alert.Link {
	var l ingest.Links
	host := f.First("dest_host", "dest_nt_host", "dest", "host", "orig_host")
	for _, p := range [...]struct{ id, image string }{
		{"process_guid", "process_path"}, {"parent_process_guid", "parent_process_path"}, {"ProcessGuid", "Image"}, {"ParentProcessGuid", "ParentImage"},
	} {
		if x := f.Find(p.id); x != nil {
			l.Process(x.Value, f.Get(p.image), x.Pointer)
		}
	}
	for _, p := range [...]struct{ id, user string }{
		{"logon_id", "user"}, {"Logon_ID", "user"}, {"TargetLogonId", "user"}, {"SubjectLogonId", "src_user"},
	} {
		if x := f.Find(p.id); x != nil {
			l.Session(host, x.Value, f.Get(p.user), x.Pointer)
		}
	}
	for _, p := range [...]struct {
		path string
		add  func(id, ref string)
	}{
		{"message_id", l.Message}, {"internal_message_id", l.Message}, {"session_id", l.Token}, {"externalSessionId", l.Token},
		{"access_key_id", l.Key}, {"userIdentity.accessKeyId", l.Key}, {"user_access_key", l.Key},
	} {
		if x := f.Find(p.path); x != nil {
			p.add(x.Value, x.Pointer)
		}
	}
	own := []string{f.Get("dest_ip"), f.Get("dest")}
	for _, p := range [...]string{"src_ip", "src", "source_ip", "clientip"} {
		for i := range f {
			if f[i].Path == p {
				l.Source(f[i].Value, f[i].Pointer, own...)
			}
		}
	}
	for _, p := range [...]struct{ hash, path string }{
		{"file_hash", "file_path"}, {"process_hash", "process_path"}, {"sha256", "file_path"}, {"hash", "file_path"},
	} {
		if x := f.Find(p.hash); x != nil {
			l.Hash(ingest.BestHash(x.Value), f.Get(p.path), x.Pointer)
		}
	}
	return l.List()
}
