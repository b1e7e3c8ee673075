package ingest

import (
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
)

// Viewer is the extra ability of adapters whose records come in several wrappings: View gives
// the fields under the same paths whatever the wrapping. The paths of a Descriptor are those
// of the view; pointers still lead into the native record.
type Viewer interface {
	View(f alert.Fields) alert.Fields
}

// TrimRoot returns the fields with root and its dot taken from the paths below it, without the
// fields that drop names, and with all others as they are. Fields below root win over others of
// the same path because they come first. f is not changed.
func TrimRoot(f alert.Fields, root string, drop ...string) alert.Fields {
	out := make(alert.Fields, 0, len(f))
	for i := range f {
		if below(f[i].Path, root) {
			x := f[i]
			x.Path = x.Path[len(root)+1:]
			out = append(out, x)
		}
	}
	for i := range f {
		if !below(f[i].Path, root) && !dropped(f[i].Path, drop) {
			out = append(out, f[i])
		}
	}
	return out
}

func below(path, root string) bool {
	return len(path) > len(root) && path[len(root)] == '.' && path[:len(root)] == root
}

func dropped(path string, drop []string) bool {
	for _, d := range drop {
		if path == d || below(path, d) {
			return true
		}
	}
	return false
}

// maxExpansions bounds the texts of one record that are taken apart.
const maxExpansions = 32

// ExpandJSON replaces leaves at the given paths that hold a JSON object or array as text by the
// leaves of that JSON: the path of a leaf is continued by its path inside, and so is its
// pointer. Text that is no JSON, or too much of it, stays as it is.
func ExpandJSON(flat *alert.Flattener, f alert.Fields, paths ...string) alert.Fields {
	out := f
	copied, left := false, maxExpansions
	for _, p := range paths {
		for i := 0; i < len(out); i++ {
			if out[i].Path != p || !looksJSON(out[i].Value) || out[i].Kind != alert.KindString || left == 0 {
				continue
			}
			left--
			inner, err := flat.Flatten([]byte(`{"":` + out[i].Value + `}`))
			if err != nil || len(inner)+len(out) > alert.MaxFields {
				continue
			}
			for j := range inner {
				inner[j].Path = p + strings.TrimSuffix("."+strings.TrimPrefix(inner[j].Path, "."), ".")
				inner[j].Pointer = out[i].Pointer + strings.TrimPrefix(inner[j].Pointer, "/")
			}
			if !copied {
				out, copied = append(make(alert.Fields, 0, len(out)+len(inner)), out...), true
			}
			tail := append(alert.Fields(nil), out[i+1:]...)
			out = append(append(out[:i], inner...), tail...)
			i += len(inner) - 1
		}
	}
	return out
}

func looksJSON(s string) bool {
	s = strings.TrimSpace(s)
	return len(s) > 1 && (s[0] == '{' && s[len(s)-1] == '}' || s[0] == '[' && s[len(s)-1] == ']')
}

// Payload lists the paths whose values tell one activity of an analytic from another.
type Payload struct {
	// Clean undoes the escaping of the source; nil for none.
	Clean func(string) string

	labels []string
	order  map[string]int
}

// NewPayload returns the payload at the paths, in their order.
func NewPayload(paths ...string) *Payload {
	p := &Payload{order: make(map[string]int, len(paths))}
	for i, path := range paths {
		p.order[path] = i
		p.labels = append(p.labels, lastTwo(path)+"=")
	}
	return p
}

// Of returns the normalised values of the record, the first of each path, in the order of the
// paths. Each follows the last two parts of its path, so that a value in one field never
// equals one in another.
func (p *Payload) Of(f alert.Fields) []string {
	var hits [16]int // place in the order << 16 | place in f; a record has few
	n := 0
	for i := range f {
		at, ok := p.order[f[i].Path]
		if !ok || f[i].Value == "" || f[i].Value == "-" || n == len(hits) {
			continue
		}
		hits[n] = at<<16 | i
		n++
	}
	slices.Sort(hits[:n])
	out := make([]string, 0, n)
	last := -1
	for _, h := range hits[:n] {
		at, i := h>>16, h&0xffff
		if at == last {
			continue
		}
		last = at
		v := f[i].Value
		if p.Clean != nil {
			v = p.Clean(v)
		}
		if v = NormaliseText(v); v != "" {
			out = append(out, p.labels[at]+v)
		}
	}
	return out
}

func lastTwo(path string) string {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return path
	}
	return path[strings.LastIndexByte(path[:i], '.')+1:]
}

// Lack appends name to the missing fields when v is empty.
func Lack(missing []string, name, v string) []string {
	if v == "" {
		return append(missing, name)
	}
	return missing
}
