package generic

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
	"go.yaml.in/yaml/v3"
)

// maxMapping bounds a mapping file.
const maxMapping = 1 << 20

// MappingError says what is wrong in a mapping file, where, and how to mend it.
type MappingError struct {
	File   string
	Line   int // 0 when the file as a whole is meant
	Reason string
}

// Error implements error.
func (e *MappingError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Reason
	}
	return e.File + ":" + strconv.Itoa(e.Line) + ": " + e.Reason
}

// Load reads a mapping file in YAML and returns its adapter. name is used in errors, which are
// joined *MappingErrors: all that is wrong is reported at once. Unknown keys are errors.
func Load(r io.Reader, name string) (ingest.Adapter, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxMapping+1))
	if err != nil {
		return nil, fmt.Errorf("generic: read mapping %s: %w", name, err)
	}
	if len(text) > maxMapping {
		return nil, &MappingError{File: name, Reason: "the mapping is larger than 1 MiB; it should be a page of paths"}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, &MappingError{File: name, Reason: "not valid YAML: " + strings.TrimPrefix(err.Error(), "yaml: ") + "; check the indentation there"}
	}
	l := &loader{file: name, a: &Adapter{fields: map[string][]string{}, constants: map[string]string{}}}
	l.a.severity.fallback = alert.Medium
	if len(doc.Content) == 0 {
		return nil, &MappingError{File: name, Reason: "the mapping is empty; it needs at least name and fields"}
	}
	l.top(doc.Content[0])
	l.check(doc.Content[0])
	if len(l.errs) > 0 {
		return nil, errors.Join(l.errs...)
	}
	l.a.payload = ingest.NewPayload(l.payload...)
	return l.a, nil
}

type loader struct {
	file string
	a    *Adapter
	errs []error

	payload []string
}

func (l *loader) fail(n *yaml.Node, format string, args ...any) {
	l.errs = append(l.errs, &MappingError{File: l.file, Line: n.Line, Reason: fmt.Sprintf(format, args...)})
}

// mapping calls the function of each key; a key without one, or given twice, is an error.
func (l *loader) mapping(n *yaml.Node, what string, keys map[string]func(*yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		l.fail(n, "%s must be a mapping of key: value", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		fn, ok := keys[key.Value]
		switch {
		case !ok:
			l.fail(key, "%s has no key %q; known keys are %s", what, key.Value, strings.Join(names(keys), ", "))
		case seen[key.Value]:
			l.fail(key, "%s has the key %q twice; remove one", what, key.Value)
		default:
			seen[key.Value] = true
			fn(value)
		}
	}
}

func names[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (l *loader) text(dst *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || strings.TrimSpace(n.Value) == "" {
			l.fail(n, "expected a text; write one value in quotes")
			return
		}
		*dst = n.Value
	}
}

// texts reads one text or a list of them.
func (l *loader) texts(dst *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			n = &yaml.Node{Kind: yaml.SequenceNode, Line: n.Line, Content: []*yaml.Node{n}}
		}
		l.each(n, func(n *yaml.Node) {
			var s string
			l.text(&s)(n)
			*dst = append(*dst, s)
		})
	}
}

func (l *loader) each(n *yaml.Node, fn func(*yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		l.fail(n, "expected a list; write each entry on a line with a dash")
		return
	}
	for _, c := range n.Content {
		fn(c)
	}
}

func (l *loader) flag(dst *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if err := n.Decode(dst); err != nil || n.Kind != yaml.ScalarNode {
			l.fail(n, "expected true or false")
		}
	}
}

func (l *loader) sev(dst *alert.Severity) func(*yaml.Node) {
	return func(n *yaml.Node) {
		sev, ok := alert.ParseSeverity(n.Value)
		if !ok || n.Kind != yaml.ScalarNode {
			l.fail(n, "%q is no severity; use critical, high, medium, low or informational", n.Value)
			return
		}
		*dst = sev
	}
}

func (l *loader) top(n *yaml.Node) {
	d := &l.a.descriptor
	l.mapping(n, "the mapping", map[string]func(*yaml.Node){
		"name":           l.text(&d.Name),
		"title":          l.text(&d.Title),
		"root":           l.text(&l.a.root),
		"envelopes":      l.texts(&l.a.envelopes),
		"detect":         func(n *yaml.Node) { l.each(n, l.condition) },
		"fields":         l.canonical,
		"constants":      l.constant,
		"severity":       l.severities,
		"heartbeat":      l.texts(&l.a.heartbeat),
		"entities":       func(n *yaml.Node) { l.each(n, l.entity) },
		"discriminator":  l.texts(&l.payload),
		"links":          func(n *yaml.Node) { l.each(n, l.link) },
		"sigma":          l.sigma,
		"text":           l.texts(&d.Text),
		"skip":           l.texts(&d.Skip),
		"query_language": l.text(&d.QueryLanguage),
	})
}

func (l *loader) condition(n *yaml.Node) {
	var c condition
	l.mapping(n, "a condition of detect", map[string]func(*yaml.Node){
		"path": l.text(&c.path), "equals": l.text(&c.equals), "exists": l.flag(&c.exists),
	})
	switch {
	case c.path == "":
		l.fail(n, "a condition of detect needs a path")
	case c.exists == (c.equals != ""):
		l.fail(n, "a condition of detect needs either equals: VALUE or exists: true")
	}
	l.a.detect = append(l.a.detect, c)
}

func (l *loader) canonical(n *yaml.Node) {
	keys := map[string]func(*yaml.Node){}
	for _, name := range canonical {
		keys[name] = func(n *yaml.Node) {
			var paths []string
			l.texts(&paths)(n)
			l.a.fields[name] = paths
		}
	}
	l.mapping(n, "fields", keys)
}

func (l *loader) constant(n *yaml.Node) {
	keys := map[string]func(*yaml.Node){}
	for _, name := range [...]string{"title", "description", "severity", "tactics", "techniques", "product", "source_tenant", "analytic"} {
		keys[name] = func(n *yaml.Node) {
			var s string
			l.text(&s)(n)
			l.a.constants[name] = s
		}
	}
	l.mapping(n, "constants", keys)
}

func (l *loader) severities(n *yaml.Node) {
	s := &l.a.severity
	l.mapping(n, "severity", map[string]func(*yaml.Node){
		"default": l.sev(&s.fallback),
		"table": func(n *yaml.Node) {
			if n.Kind != yaml.MappingNode {
				l.fail(n, "severity.table must be a mapping of native word: severity")
				return
			}
			s.table = map[string]alert.Severity{}
			for i := 0; i+1 < len(n.Content); i += 2 {
				var sev alert.Severity
				l.sev(&sev)(n.Content[i+1])
				s.table[strings.ToLower(n.Content[i].Value)] = sev
			}
		},
		"bands": func(n *yaml.Node) { l.each(n, l.band) },
	})
}

func (l *loader) band(n *yaml.Node) {
	b := band{to: math.Inf(1)}
	l.mapping(n, "a band of severity", map[string]func(*yaml.Node){
		"severity": l.sev(&b.sev),
		"to": func(n *yaml.Node) {
			v, err := strconv.ParseFloat(n.Value, 64)
			if err != nil || math.IsNaN(v) {
				l.fail(n, "%q is no number; to is the highest value of the band", n.Value)
				return
			}
			b.to = v
		},
	})
	sev := &l.a.severity
	if last := len(sev.bands) - 1; last >= 0 && sev.bands[last].to >= b.to {
		l.fail(n, "bands must rise; put this one before the last")
	}
	sev.bands = append(sev.bands, b)
}

func (l *loader) entity(n *yaml.Node) {
	var e ingest.EntityPath
	var kind, role string
	l.mapping(n, "an entity", map[string]func(*yaml.Node){
		"path": l.text(&e.Path), "type": l.text(&kind), "role": l.text(&role), "principal": l.flag(&e.Principal), "domain": l.text(&e.Domain), "join": l.text(&e.Join),
	})
	e.Type, e.Role = alert.EntityType(kind), alert.Role(role)
	if e.Path == "" {
		l.fail(n, "an entity needs a path")
	}
	if !e.Type.Valid() {
		l.fail(n, "%q is no entity type; use one of %s", kind, joinTypes())
	}
	switch e.Role {
	case alert.RoleNone, alert.RoleSource, alert.RoleDestination, alert.RoleSubject, alert.RoleTarget, alert.RoleParent, alert.RoleDevice:
	default:
		l.fail(n, "%q is no role; use source, destination, subject, target, parent or device", role)
	}
	if (e.Domain == "") != (e.Join == "") {
		l.fail(n, "domain and join go together; join is one of \\ @ .")
	}
	l.a.descriptor.Entities = append(l.a.descriptor.Entities, e)
}

func joinTypes() string {
	var out []string
	for _, t := range alert.EntityTypes() {
		out = append(out, string(t))
	}
	return strings.Join(out, ", ")
}

var linkKinds = []alert.LinkKind{
	alert.LinkProcess, alert.LinkSession, alert.LinkSource, alert.LinkHash, alert.LinkMessage, alert.LinkToken, alert.LinkKey,
}

func (l *loader) link(n *yaml.Node) {
	var p linkPath
	var kind string
	l.mapping(n, "a link", map[string]func(*yaml.Node){"kind": l.text(&kind), "path": l.text(&p.path), "host": l.text(&p.host)})
	p.kind = alert.LinkKind(kind)
	switch {
	case p.path == "":
		l.fail(n, "a link needs a path")
	case !slices.Contains(linkKinds, p.kind):
		l.fail(n, "%q is no kind of link; use one of %v", kind, linkKinds)
	case p.kind == alert.LinkSession && p.host == "":
		l.fail(n, "a session link needs host, the path of the host's name")
	}
	l.a.links = append(l.a.links, p)
}

func (l *loader) sigma(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		l.fail(n, "sigma must be a mapping of Sigma field: paths")
		return
	}
	l.a.descriptor.Fields = map[string][]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		var paths []string
		l.texts(&paths)(n.Content[i+1])
		l.a.descriptor.Fields[n.Content[i].Value] = paths
	}
}

// check tests what only the whole can show.
func (l *loader) check(n *yaml.Node) {
	d := &l.a.descriptor
	if d.Name == "" {
		l.fail(n, "the mapping needs a name, for example name: acme-edr")
	}
	if d.Name == ingest.Auto || strings.ContainsAny(d.Name, " \t\n:/") {
		l.fail(n, "%q cannot name a source; use letters, digits and dashes", d.Name)
	}
	if d.Title == "" {
		d.Title = d.Name
	}
	if len(l.a.fields["title"]) == 0 && l.a.constants["title"] == "" {
		l.fail(n, "the mapping needs fields.title or constants.title")
	}
	if len(l.a.fields) == 0 {
		l.fail(n, "the mapping needs fields; at least title, id, severity and timestamp")
	}
}
