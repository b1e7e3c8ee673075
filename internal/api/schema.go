package api

import (
	"encoding"
	"encoding/json"
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/fp"
	"github.com/aluskort/aluskort/internal/investigate"
)

// schemas collects JSON Schemas (2020-12) of Go types, as encoding/json writes them. Named
// structs become components that others refer to.
type schemas struct {
	components map[string]any
	enums      map[reflect.Type][]string
	// closed forbids members that a type does not have. Answers may grow, so that the published
	// schemas are open.
	closed bool
}

const componentPrefix = "#/components/schemas/"

func newSchemas(closed bool) *schemas {
	s := &schemas{components: map[string]any{}, enums: map[reflect.Type][]string{}, closed: closed}
	for _, role := range token.Roles() {
		s.enum(reflect.TypeFor[token.Role](), string(role))
	}
	for _, status := range statuses() {
		s.enum(reflect.TypeFor[fp.Status](), string(status))
	}
	for _, d := range fp.Dimensions() {
		s.enum(reflect.TypeFor[fp.Dimension](), string(d))
	}
	for _, state := range investigate.States() {
		s.enum(reflect.TypeFor[investigate.State](), string(state))
	}
	return s
}

func (s *schemas) enum(t reflect.Type, value string) { s.enums[t] = append(s.enums[t], value) }

// of returns the schema of a value's type, or a reference to it.
func (s *schemas) of(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return map[string]any{}
	case t.Implements(reflect.TypeFor[json.Marshaler]()):
		return map[string]any{}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return map[string]any{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return map[string]any{"type": "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.String:
		if values := s.enums[t]; values != nil {
			return map[string]any{"type": "string", "enum": values}
		}
		return map[string]any{"type": "string"}
	case reflect.Slice, reflect.Array:
		return map[string]any{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Struct:
		return s.named(t)
	}
	return map[string]any{} // any value
}

// named returns a reference to the component of a struct, which it makes the first time.
func (s *schemas) named(t reflect.Type) map[string]any {
	if t.Name() == "" {
		return s.object(t)
	}
	name := path.Base(t.PkgPath()) + "." + t.Name()
	if _, done := s.components[name]; !done {
		s.components[name] = nil // a type may contain itself
		s.components[name] = s.object(t)
	}
	return map[string]any{"$ref": componentPrefix + name}
}

func (s *schemas) object(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	s.fields(t, properties, &required)
	out := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	if s.closed {
		out["additionalProperties"] = false
	}
	return out
}

// fields adds the members of a struct, those of embedded structs among them. The outer ones win.
func (s *schemas) fields(t reflect.Type, properties map[string]any, required *[]string) {
	var embedded []reflect.Type
	for f := range fieldsOf(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				embedded = append(embedded, inner)
				continue
			}
		}
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		properties[name] = s.member(f.Type, optional)
		if !optional {
			*required = append(*required, name)
		}
	}
	for _, inner := range embedded {
		more, needed := map[string]any{}, []string{}
		s.fields(inner, more, &needed)
		for _, name := range needed {
			if _, outer := properties[name]; !outer {
				*required = append(*required, name)
			}
		}
		for name, schema := range more {
			if _, outer := properties[name]; !outer {
				properties[name] = schema
			}
		}
	}
}

func fieldsOf(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

// member is the schema of a member. One that is always written may be null where Go has nil.
func (s *schemas) member(t reflect.Type, optional bool) map[string]any {
	schema := s.of(t)
	if optional {
		return schema
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return map[string]any{"anyOf": []any{schema, map[string]any{"type": "null"}}}
	}
	return schema
}
