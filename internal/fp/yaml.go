package fp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/aluskort/aluskort/internal/alert"
)

// MaxFile is the largest pattern file in bytes.
const MaxFile = 256 << 10

// ParseDefinition reads a pattern from YAML:
//
//	name: Weekly scan of the server network
//	tenant: default                       # may be left out: the default given
//	justification: Authenticated scan by the vulnerability team, every Sunday.
//	threshold: 0.90                       # may be left out
//	shadow: false
//	scope:
//	  rule_family: suricata
//	  asset_class: zone:office            # of every host: a role, a criticality or a zone of org.yaml
//	analytics: ["suricata:2010935"]
//	alert_names:
//	  - equals: ET SCAN Suspicious inbound to MSSQL port 1433
//	  - prefix: "ET SCAN "
//	entities:
//	  - type: ip
//	    role: source
//	    cidr: 198.51.100.16/28
//	payload:
//	  - path: data.proto
//	    equals: TCP
//
// Comparisons are equals, prefix and glob, and cidr for addresses; a plain text in alert_names
// is equals. Unknown keys, repeated keys, aliases and more than one document are errors. The
// error is a *SyntaxError with the line; file only names it there. Check is not called.
func ParseDefinition(file string, text []byte, tenant string) (Definition, error) {
	r := &yamlReader{file: file}
	d, err := r.document(text)
	if err != nil {
		return Definition{}, err
	}
	if d.Tenant == "" {
		d.Tenant = tenant
	}
	if d.Threshold == 0 {
		d.Threshold = DefaultThreshold
	}
	return d, nil
}

type yamlReader struct{ file string }

func (r *yamlReader) fail(line int, format string, args ...any) error {
	return &SyntaxError{File: r.file, Line: line, Reason: fmt.Sprintf(format, args...)}
}

func (r *yamlReader) document(text []byte) (d Definition, err error) {
	if len(text) > MaxFile {
		return d, r.fail(0, "larger than %d bytes", MaxFile)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var root, more yaml.Node
	if err := dec.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return d, r.fail(0, "the file is empty")
		}
		return d, r.fail(lineOf(err), "not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return d, r.fail(more.Line, "more than one document: write one pattern a file")
	}
	if len(root.Content) != 1 {
		return d, r.fail(root.Line, "the file is empty")
	}
	return d, r.definition(root.Content[0], &d)
}

// lineOf finds the line in an error of the YAML library: "yaml: line 3: …".
func lineOf(err error) int {
	_, rest, ok := strings.Cut(err.Error(), "line ")
	if !ok {
		return 0
	}
	digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}

// mapping calls fn for each entry of a map whose keys are among the known ones.
func (r *yamlReader) mapping(n *yaml.Node, what string, known []string, fn func(key string, v *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return r.fail(n.Line, "%s is not a map of \"key: value\" lines", what)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		switch {
		case k.Kind != yaml.ScalarNode || !slices.Contains(known, k.Value):
			return r.fail(k.Line, "%s has the unknown key %q; known are %s", what, k.Value, strings.Join(known, ", "))
		case seen[k.Value]:
			return r.fail(k.Line, "%s has the key %q twice", what, k.Value)
		}
		seen[k.Value] = true
		if err := fn(k.Value, n.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (r *yamlReader) text(n *yaml.Node, what string, to *string) error {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return r.fail(n.Line, "%s is not a single value", what)
	}
	*to = n.Value
	return nil
}

func (r *yamlReader) list(n *yaml.Node, what string, limit int, fn func(i int, v *yaml.Node) error) error {
	if n.Kind != yaml.SequenceNode {
		return r.fail(n.Line, "%s is not a list", what)
	}
	if len(n.Content) > limit {
		return r.fail(n.Line, "%s has %d entries; at most %d are allowed: split the pattern", what, len(n.Content), limit)
	}
	for i, v := range n.Content {
		if err := fn(i, v); err != nil {
			return err
		}
	}
	return nil
}

var definitionKeys = []string{"name", "tenant", "justification", "threshold", "shadow", "scope", "analytics", "alert_names", "entities", "payload"}

func (r *yamlReader) definition(n *yaml.Node, d *Definition) error {
	return r.mapping(n, "the pattern", definitionKeys, func(key string, v *yaml.Node) error {
		switch key {
		case "name":
			return r.text(v, key, &d.Name)
		case "tenant":
			return r.text(v, key, &d.Tenant)
		case "justification":
			return r.text(v, key, &d.Justification)
		case "threshold":
			return r.threshold(v, &d.Threshold)
		case "shadow":
			return r.boolean(v, key, &d.Shadow)
		case "scope":
			return r.mapping(v, key, []string{"rule_family", "asset_class"}, func(key string, v *yaml.Node) error {
				if key == "rule_family" {
					return r.text(v, "scope.rule_family", &d.Scope.RuleFamily)
				}
				return r.text(v, "scope.asset_class", &d.Scope.AssetClass)
			})
		case "analytics":
			return r.list(v, key, MaxAnalytics, func(i int, v *yaml.Node) error {
				d.Analytics = append(d.Analytics, "")
				return r.comparable(v, fmt.Sprintf("analytics[%d]", i), &Text{Op: Equals}, &d.Analytics[i])
			})
		case "alert_names":
			return r.list(v, key, MaxNames, func(i int, v *yaml.Node) error {
				var t Text
				err := r.comparison(v, fmt.Sprintf("alert_names[%d]", i), &t)
				d.AlertNames = append(d.AlertNames, t)
				return err
			})
		case "entities":
			return r.list(v, key, MaxEntities, func(i int, v *yaml.Node) error { return r.entity(v, i, d) })
		default:
			return r.list(v, key, MaxPayload, func(i int, v *yaml.Node) error { return r.payload(v, i, d) })
		}
	})
}

func (r *yamlReader) threshold(n *yaml.Node, to *float64) error {
	var s string
	if err := r.text(n, "threshold", &s); err != nil {
		return err
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= DefaultThreshold && f <= 1) {
		return r.fail(n.Line, "threshold is %q; it lies between %.2f and 1", s, DefaultThreshold)
	}
	*to = f
	return nil
}

func (r *yamlReader) boolean(n *yaml.Node, what string, to *bool) error {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		return r.fail(n.Line, "%s is true or false", what)
	}
	return n.Decode(to)
}

// comparable reads the value of a comparison and checks it at once, so that the error has its line.
func (r *yamlReader) comparable(n *yaml.Node, what string, t *Text, to *string) error {
	if err := r.text(n, what, to); err != nil {
		return err
	}
	t.Value = *to
	if err := t.valid(t.Op); err != nil {
		return r.fail(n.Line, "%s: %v", what, err)
	}
	return nil
}

// comparison reads "text" or "{op: text}".
func (r *yamlReader) comparison(n *yaml.Node, what string, t *Text) error {
	if n.Kind == yaml.ScalarNode {
		t.Op = Equals
		return r.comparable(n, what, t, &t.Value)
	}
	err := r.mapping(n, what, []string{string(Equals), string(Prefix), string(Glob)}, func(key string, v *yaml.Node) error {
		return r.operator(v, what, key, t)
	})
	if err == nil && t.Op == "" {
		err = r.fail(n.Line, "%s has no comparison: write equals, prefix or glob", what)
	}
	return err
}

func (r *yamlReader) operator(v *yaml.Node, what, key string, t *Text) error {
	if t.Op != "" {
		return r.fail(v.Line, "%s has two comparisons, %s and %s: write two entries", what, t.Op, key)
	}
	t.Op = Op(key)
	return r.comparable(v, what+"."+key, t, &t.Value)
}

func (r *yamlReader) entity(n *yaml.Node, i int, d *Definition) error {
	what := fmt.Sprintf("entities[%d]", i)
	var e EntityCondition
	err := r.mapping(n, what, []string{"type", "role", string(Equals), string(Prefix), string(Glob), string(CIDR)}, func(key string, v *yaml.Node) error {
		switch key {
		case "type":
			if err := r.text(v, what+".type", (*string)(&e.Type)); err != nil {
				return err
			}
			if !e.Type.Valid() {
				return r.fail(v.Line, "%s.type is %q; known are %v", what, e.Type, alert.EntityTypes())
			}
			return nil
		case "role":
			if err := r.text(v, what+".role", (*string)(&e.Role)); err != nil {
				return err
			}
			if !slices.Contains(roles, e.Role) {
				return r.fail(v.Line, "%s.role is %q; known are %v", what, e.Role, roles[1:])
			}
			return nil
		}
		return r.operator(v, what, key, &e.Text)
	})
	switch {
	case err != nil:
		return err
	case e.Type == "":
		return r.fail(n.Line, "%s has no type", what)
	case e.Op == "":
		return r.fail(n.Line, "%s has no comparison: write equals, prefix, glob or cidr", what)
	case e.Op == CIDR && e.Type != alert.IP:
		return r.fail(n.Line, "%s: cidr is for type ip, not %s", what, e.Type)
	}
	d.Entities = append(d.Entities, e)
	return nil
}

func (r *yamlReader) payload(n *yaml.Node, i int, d *Definition) error {
	what := fmt.Sprintf("payload[%d]", i)
	var c PayloadCondition
	err := r.mapping(n, what, []string{"path", string(Equals), string(Prefix), string(Glob)}, func(key string, v *yaml.Node) error {
		if key == "path" {
			return r.comparable(v, what+".path", &Text{Op: Equals}, &c.Path)
		}
		return r.operator(v, what, key, &c.Text)
	})
	switch {
	case err != nil:
		return err
	case c.Path == "":
		return r.fail(n.Line, "%s has no path", what)
	case c.Op == "":
		return r.fail(n.Line, "%s has no comparison: write equals, prefix or glob", what)
	}
	d.Payload = append(d.Payload, c)
	return nil
}
