package asset

import (
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// LinkValue returns the value of a link key of an alert with the host in it named by its
// identity, so that a host under its NetBIOS name, its FQDN and its agent id is one and two hosts
// under one name stay two. Where org.yaml does not say, or the alert contradicts itself, the
// value stays as it is written.
func (r *Resolver) LinkValue(l *alert.Link, a *alert.Alert) string {
	if len(r.ids) == 0 || l.Kind != alert.LinkProcess && l.Kind != alert.LinkSession {
		return l.Value
	}
	host, rest, ok := strings.Cut(l.Value, "|")
	if !ok {
		return l.Value // an id that is unique on all hosts
	}
	return r.named(r.hostCalled(host, a), host) + "|" + rest
}

// Canonical names the host or account that a value of the alert stands for by its identity; what
// is no one's, or not certain, stays as it is written.
func (r *Resolver) Canonical(value string, a *alert.Alert) string {
	if len(r.ids) == 0 {
		return value
	}
	return r.named(r.party(value, a), value)
}

// named is how an identity stands in a key. It begins with a capital, which no name as written
// does in a key, so that nobody can pass for another by his name.
func (r *Resolver) named(id int, written string) string {
	if id < 0 {
		return written
	}
	s := r.ids[id].ID
	return strings.ToUpper(s[:1]) + s[1:]
}

// hostCalled finds the host of an alert by its short name, as link keys have it. The fields that
// name it in full decide.
func (r *Resolver) hostCalled(short string, a *alert.Alert) int {
	at, _ := a.EventTime()
	id, found := ambiguous, false
	foreign := false
	for _, name := range hostNames(a.Fields) {
		if ingest.ShortHost(name) != short {
			continue
		}
		found = true
		i := r.host(name, at)
		switch {
		case i < 0:
			foreign = foreign || strings.Contains(strings.TrimSuffix(name, "."), ".")
		case id >= 0 && id != i:
			return ambiguous
		default:
			id = i
		}
	}
	switch {
	case foreign:
		return ambiguous // a host of that name, but none of the listed ones
	case !found:
		return r.host(short, at)
	}
	return id
}

// hostNames lists what the alert calls the hosts on which it happened, in full where the domain
// stands beside the name.
func hostNames(f alert.Fields) (list []string) {
	var buf [24]byte
	for i := range f {
		parents, ok := hostShapes[string(last(f[i].Path, &buf))]
		if !ok || parents != nil && !under(parents, parentOf(f[i].Path)) || blank(f[i].Value) {
			continue
		}
		name := stated(f[i].Value)
		if d := stated(beside(f, &f[i], "DnsDomain")); !strings.Contains(name, ".") && !blank(d) {
			name += "." + d
		}
		if list = append(list, name); len(list) == maxMentions {
			break
		}
	}
	return list
}

// party is who a value of the alert stands for, by the fields that hold it.
func (r *Resolver) party(value string, a *alert.Alert) int {
	want := fold(stated(value))
	list, more := mentions(a.Fields)
	if more || want == "" {
		return ambiguous
	}
	at, _ := a.EventTime()
	id := ambiguous
	agree := func(i int) bool {
		if i >= 0 && id >= 0 && i != id {
			return false
		}
		id = max(id, i)
		return true
	}
	for i := range list {
		m := &list[i]
		if fold(m.raw) == want && (m.class != "" || !agree(r.resolve(m))) {
			return ambiguous
		}
	}
	for _, name := range hostNames(a.Fields) {
		if fold(name) == want && !agree(r.host(name, at)) {
			return ambiguous
		}
	}
	return id
}

// Owner names the host or account that an entity stands for: its identity where org.yaml has it,
// else its name as written. ok is false for what is no one's: the accounts of systems and
// machines, loopback, shared addresses.
func (r *Resolver) Owner(e *alert.Entity, at time.Time) (name string, ok bool) {
	id, isHost := r.entity(e, at)
	class, none := r.Class(e.Value)
	if none && (!isHost || class == ClassLoopback || class == ClassShared) {
		return "", false
	}
	return r.named(id, e.Key()), true
}
