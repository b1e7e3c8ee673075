package sigma

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxExpanded bounds the values that the placeholders of one value may stand for.
const maxExpanded = 10_000

// expand replaces the placeholders of a value. Without a table (when loading) it only checks
// their form; a name the table does not have makes the rule unsupported.
func (d *detection) expand(v *yaml.Node, m *modifiers) ([]string, *problem) {
	if !m.expand {
		return []string{v.Value}, nil
	}
	forms := []string{""}
	rest := v.Value
	for rest != "" {
		before, name, after := nextPlaceholder(rest)
		values := []string{""}
		if name != "" && d.placeholders != nil {
			var ok bool
			if values, ok = d.placeholders[name]; !ok || len(values) == 0 {
				return nil, unsupported(v.Line, "give the placeholder values in the configuration",
					"the placeholder %%%s%% has no values", clip(name))
			}
		}
		if len(forms)*len(values) > maxExpanded {
			return nil, unsupported(v.Line, "use fewer placeholders in one value",
				"the placeholders stand for more than %d values", maxExpanded)
		}
		next := make([]string, 0, len(forms)*len(values))
		for _, f := range forms {
			for _, val := range values {
				next = append(next, f+before+val)
			}
		}
		forms, rest = next, after
	}
	return forms, nil
}

// nextPlaceholder cuts the text before and after the first %name%; an escaped percent sign is
// plain. name is empty when there is none.
func nextPlaceholder(s string) (before, name, after string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && s[i+1] == '%' {
			b.WriteByte('%')
			i++
			continue
		}
		if s[i] == '%' {
			if j := strings.IndexByte(s[i+1:], '%'); j > 0 && isName(s[i+1:i+1+j]) {
				return b.String(), s[i+1 : i+1+j], s[i+j+2:]
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), "", ""
}

func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && c != '-' && c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}
