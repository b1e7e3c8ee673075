package parse

import (
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// statedField adds the entities that the descriptor says a field holds.
func (w *work) statedField(f *alert.Field, paths []*ingest.EntityPath) {
	if f.Kind != alert.KindString && f.Kind != alert.KindNumber || absent(f.Value) {
		return
	}
	w.paths = true
	for _, p := range paths {
		w.statedValue(f, p, f.Value)
	}
}

func (w *work) statedValue(f *alert.Field, p *ingest.EntityPath, value string) {
	switch p.Type {
	case alert.FileHash:
		w.hashField(f, p, value)
	case alert.IP:
		for part := range strings.SplitSeq(value, ",") {
			w.addressField(f, p, part)
		}
	case alert.Host:
		if ip, ok := address(value); ok {
			w.put(f, p, alert.IP, ip)
			return
		}
		w.hostField(f, p, w.complete(f, p, value))
	case alert.DNS:
		if ip, ok := address(value); ok {
			w.put(f, p, alert.IP, ip)
		} else if v, ok := hostName(clean(value, plainText)); ok {
			w.put(f, p, alert.DNS, strings.ToLower(v))
		} else {
			w.note(f.Pointer, "not a domain name")
		}
	case alert.URL:
		w.urlField(f, p, value)
	case alert.Process:
		w.processField(f, p, value)
	case alert.File, alert.RegistryKey, alert.RegistryValue:
		w.put(f, p, p.Type, clean(collapse(w.complete(f, p, value)), names))
	case alert.Account:
		w.put(f, p, p.Type, clean(collapse(w.complete(f, p, value)), names))
	case alert.Mailbox:
		w.put(f, p, p.Type, clean(strings.Trim(value, "<> "), plainText))
	default:
		w.put(f, p, p.Type, clean(w.complete(f, p, value), plainText))
	}
}

// put adds an entity with confidence 1, and the indicator that it is.
func (w *work) put(f *alert.Field, p *ingest.EntityPath, t alert.EntityType, value string) int {
	if absent(value) {
		return -1
	}
	i := w.add(alert.Entity{
		Type: t, Value: value, Role: p.Role, Confidence: 1, Ref: f.Pointer, Principal: p.Principal,
	})
	if i >= 0 {
		w.stated(t, w.out.List[i].Value, 1, f.Pointer)
	}
	return i
}

func (w *work) hostField(f *alert.Field, p *ingest.EntityPath, value string) {
	if v, ok := hostName(clean(value, plainText)); ok {
		w.put(f, p, alert.Host, v)
	} else {
		w.note(f.Pointer, "host name is not valid or too long")
	}
}

// addressField accepts a host name as well: products put either into fields like "src".
func (w *work) addressField(f *alert.Field, p *ingest.EntityPath, value string) {
	value = strings.TrimSpace(value)
	if absent(value) {
		return
	}
	if ip, ok := address(value); ok {
		w.put(f, p, alert.IP, ip)
		return
	}
	if v, ok := hostName(clean(value, plainText)); ok && !onlyDigits(v) {
		w.put(f, p, alert.Host, v)
		return
	}
	w.note(f.Pointer, "not an address")
}

func (w *work) urlField(f *alert.Field, p *ingest.EntityPath, value string) {
	value = clean(value, webText)
	if strings.HasPrefix(value, "/") || absent(value) {
		return // the path alone names nothing
	}
	w.put(f, p, alert.URL, value)
}

// processField takes the image: its name is the value, as in an entity graph, and the whole
// path a property.
func (w *work) processField(f *alert.Field, p *ingest.EntityPath, value string) {
	path := clean(collapse(w.complete(f, p, value)), names)
	name := path[strings.LastIndexAny(path, `\/`)+1:]
	if name == "" {
		name = path
	}
	if i := w.put(f, p, alert.Process, name); i >= 0 {
		e := &w.out.List[i]
		setProperty(e, "image_name", e.Value, false)
		if name != path {
			setProperty(e, "image_path", strings.Clone(path), true)
		}
	}
}

// hashField takes a bare hash or Sysmon's list: SHA1=..,MD5=..,SHA256=..,IMPHASH=... An import
// hash is no hash of a file.
func (w *work) hashField(f *alert.Field, p *ingest.EntityPath, value string) {
	found := false
	for part := range strings.SplitSeq(value, ",") {
		name, digits, ok := strings.Cut(part, "=")
		if !ok {
			if name, digits, ok = strings.Cut(part, ":"); !ok {
				name, digits = "", part
			}
		}
		if foldEqual(strings.TrimSpace(name), "imphash") {
			found = true
			continue
		}
		v, t, ok := hashOf(digits)
		if !ok {
			continue
		}
		found = true
		if i := w.put(f, p, alert.FileHash, v); i >= 0 {
			setProperty(&w.out.List[i], "algorithm", string(t), false)
		}
	}
	if !found && len(value) < 128 {
		w.note(f.Pointer, "no MD5, SHA-1 or SHA-256")
	}
}

// complete joins a value with the part that completes it, unless the value is whole already.
func (w *work) complete(f *alert.Field, p *ingest.EntityPath, value string) string {
	if p.Domain == "" || p.Join == "" {
		return value
	}
	if strings.Contains(value, p.Join) || p.Type == alert.Account && strings.ContainsAny(value, `\@`) {
		return value
	}
	part := w.nearest(p.Domain, f.Pointer)
	if absent(part) {
		return value
	}
	part = strings.TrimSpace(part)
	switch p.Join {
	case `\`, "/":
		return strings.TrimRight(part, `\/`) + p.Join + value
	default:
		return value + p.Join + strings.TrimLeft(part, p.Join)
	}
}

// nearest is the value at a path that stands closest to a pointer: in a record with arrays,
// the one of the same element.
func (w *work) nearest(path, pointer string) string {
	best, shared := "", -1
	for i := range w.alert.Fields {
		f := &w.alert.Fields[i]
		if f.Path != path || f.Value == "" {
			continue
		}
		n := 0
		for n < len(pointer) && n < len(f.Pointer) && pointer[n] == f.Pointer[n] {
			n++
		}
		if n > shared {
			best, shared = f.Value, n
		}
	}
	return best
}
