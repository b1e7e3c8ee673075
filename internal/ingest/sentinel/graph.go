package sentinel

import (
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// graph is the list of entities as objects, addressed by their pointers; what $ref stands for
// is found by its $id.
type graph struct {
	objects []*object
	at      map[string]*object
	byID    map[string]*object
	hosts   []string // short names, distinct
}

type object struct {
	pointer string
	fields  map[string]*alert.Field
}

func (o *object) get(name string) string {
	if o == nil || o.fields[name] == nil {
		return ""
	}
	return o.fields[name].Value
}

func (o *object) ref(name string) string {
	if o == nil || o.fields[name] == nil {
		return ""
	}
	return o.fields[name].Pointer
}

// readGraph gathers the leaves below Entities into their objects.
func readGraph(f alert.Fields) *graph {
	g := &graph{at: map[string]*object{}, byID: map[string]*object{}}
	for i := range f {
		if !strings.HasPrefix(f[i].Path, "Entities.") && !strings.HasPrefix(f[i].Path, "relatedEntities.") {
			continue
		}
		cut := strings.LastIndexByte(f[i].Pointer, '/')
		parent, name := f[i].Pointer[:cut], f[i].Pointer[cut+1:]
		if name == "properties" {
			continue
		}
		o := g.at[parent]
		if o == nil {
			o = &object{pointer: parent, fields: map[string]*alert.Field{}}
			g.at[parent] = o
			g.objects = append(g.objects, o)
		}
		if o.fields[name] == nil {
			o.fields[name] = &f[i]
		}
		if name == "$id" {
			g.byID[f[i].Value] = o
		}
	}
	for _, o := range g.objects {
		if len(g.hosts) > 1 {
			break // that there are several is all that counts
		}
		if h := first(o, "HostName", "NetBiosName", "hostName"); h != "" {
			if h = ingest.ShortHost(h); !slices.Contains(g.hosts, h) {
				g.hosts = append(g.hosts, h)
			}
		}
	}
	return g
}

func first(o *object, names ...string) string {
	for _, n := range names {
		if v := o.get(n); v != "" {
			return v
		}
	}
	return ""
}

// member is the object under a key of o, inline or by reference.
func (g *graph) member(o *object, key string) *object {
	m := g.at[o.pointer+"/"+key]
	if id := m.get("$ref"); id != "" {
		return g.byID[id]
	}
	return m
}

// Bounds per kind, so that a long process tree leaves room for the other kinds of links.
const (
	maxProcesses = 4
	maxHashes    = 2
	maxOwn       = 32
)

func (g *graph) links(f alert.Fields) []alert.Link {
	var l ingest.Links
	for _, o := range g.objects {
		if len(l.List()) < maxProcesses {
			g.process(&l, f, o)
		}
	}
	for _, o := range g.objects {
		switch strings.ToLower(first(o, "Type", "type", "kind")) {
		case "cloud-logon-session":
			l.Token(o.get("SessionId"), o.ref("SessionId"))
		case "host-logon-session", "hostlogonsession":
			l.Session(g.host(f, o), o.get("SessionId"), g.member(o, "Account").get("Name"), o.ref("SessionId"))
		case "mailmessage":
			l.Message(o.get("NetworkMessageId"), o.ref("NetworkMessageId"))
		}
	}
	for _, p := range [...]string{"ExtendedProperties.Session Id", "ExtendedProperties.SessionId", "ExtendedProperties.User Session Id"} {
		if x := f.Find(p); x != nil {
			l.Token(x.Value, x.Pointer)
		}
	}
	g.hashes(&l)
	g.addresses(&l, f)
	return l.List()
}

func (g *graph) process(l *ingest.Links, f alert.Fields, o *object) {
	pid, created := o.get("ProcessId"), first(o, "CreationTimeUtc", "creationTimeUtc")
	if pid == "" {
		pid = o.get("processId")
	}
	if pid == "" || created == "" {
		return
	}
	image := g.member(o, "ImageFile")
	ref := o.ref("ProcessId")
	if ref == "" {
		ref = o.ref("processId")
	}
	l.ProcessAt(g.host(f, o), pid, created, image.get("Name"), ref)
}

// host is the host of a process: its own, or the only one of the alert.
func (g *graph) host(f alert.Fields, o *object) string {
	if h := first(g.member(o, "Host"), "HostName", "NetBiosName"); h != "" {
		return h
	}
	if len(g.hosts) == 1 {
		return g.hosts[0]
	}
	if len(g.hosts) == 0 {
		return f.Get("CompromisedEntity")
	}
	return ""
}

// hashes adds the strongest hash of each file.
func (g *graph) hashes(l *ingest.Links) {
	before := len(l.List())
	for _, o := range g.objects {
		if len(l.List())-before == maxHashes {
			return
		}
		if o.get("Name") == "" || g.at[o.pointer+"/FileHashes/0"] == nil {
			continue
		}
		var best, ref string
		for i := range 4 {
			h := g.member(o, "FileHashes/"+string(rune('0'+i)))
			if v := h.get("Value"); len(v) > len(best) && len(v) <= 64 {
				best, ref = v, h.ref("Value")
			}
		}
		l.Hash(best, o.get("Directory")+`\`+o.get("Name"), ref)
	}
}

// addresses adds the remote addresses. The list of Defender for Endpoint holds the public
// address of the device itself, which every device behind the same gateway shares.
func (g *graph) addresses(l *ingest.Links, f alert.Fields) {
	if strings.EqualFold(f.Get("ProviderName"), "MDATP") {
		return
	}
	var own []string
	for _, o := range g.objects {
		for _, name := range [...]string{"LastExternalIpAddress", "LastIpAddress"} {
			if v := o.get(name); v != "" && len(own) < maxOwn {
				own = append(own, v)
			}
		}
	}
	for _, o := range g.objects {
		if t := first(o, "Type", "type", "kind"); strings.EqualFold(t, "ip") {
			l.Source(o.get("Address"), o.ref("Address"), own...)
			l.Source(o.get("address"), o.ref("address"), own...)
		}
	}
	for _, p := range [...]string{"ExtendedProperties.Client IP Address", "ExtendedProperties.IP Addresses", "ExtendedProperties.Attacker source IP"} {
		if x := f.Find(p); x != nil {
			l.Source(x.Value, x.Pointer, own...)
		}
	}
}

// maxPayload bounds the values that tell one activity from another.
const maxPayload = 8

// discriminator lists command lines, files, addresses of pages and custom details.
func (g *graph) discriminator(f alert.Fields, incident bool) []string {
	if incident {
		return []string{"incident=" + f.First("IncidentNumber", "incidentNumber", "IncidentName")}
	}
	var out []string
	add := func(name, value string) {
		if v := ingest.NormaliseText(value); v != "" && len(out) < maxPayload && !slices.Contains(out, name+"="+v) {
			out = append(out, name+"="+v)
		}
	}
	for _, o := range g.objects {
		// A parent's command line belongs to another activity.
		if !strings.HasSuffix(o.pointer, "/ParentProcess") {
			add("CommandLine", first(o, "CommandLine", "commandLine"))
		}
	}
	for _, o := range g.objects {
		switch strings.ToLower(first(o, "Type", "type", "kind")) {
		case "file":
			if !strings.HasSuffix(o.pointer, "/ImageFile") {
				add("File", first(o, "Name", "fileName"))
			}
		case "url":
			add("Url", first(o, "Url", "url"))
		case "registry-value", "registryvalue", "registry-key", "registrykey":
			add("Registry", o.get("Key")+`\`+o.get("Name"))
		case "cloud-application", "oauth-application":
			add("Application", o.get("Name"))
		}
	}
	slices.Sort(out)
	for i := range f {
		if strings.HasPrefix(f[i].Path, "ExtendedProperties.Custom Details.") {
			add(f[i].Path[len("ExtendedProperties.Custom Details."):], f[i].Value)
		}
	}
	return out
}
