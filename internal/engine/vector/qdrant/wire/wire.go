// Package wire translates between the values of vectors and the messages of Qdrant, for the client
// and for the server of its tests.
package wire

import (
	api "github.com/qdrant/go-client/qdrant"

	"github.com/aluskort/aluskort/internal/engine/vector"
)

// Distances are ours by Qdrant's.
var Distances = map[api.Distance]vector.Distance{
	api.Distance_Cosine: vector.Cosine, api.Distance_Dot: vector.Dot, api.Distance_Euclid: vector.Euclid,
}

// Schemas are the types of fields by Qdrant's.
var Schemas = map[api.PayloadSchemaType]vector.FieldType{
	api.PayloadSchemaType_Keyword: vector.Keyword, api.PayloadSchemaType_Integer: vector.Integer,
	api.PayloadSchemaType_Float: vector.Float, api.PayloadSchemaType_Bool: vector.Bool,
}

// ToValue is the message of a value of a payload.
func ToValue(v any) *api.Value {
	switch v := v.(type) {
	case string:
		return api.NewValueString(v)
	case int64:
		return api.NewValueInt(v)
	case float64:
		return api.NewValueDouble(v)
	case bool:
		return api.NewValueBool(v)
	case []string:
		list := make([]*api.Value, len(v))
		for i := range v {
			list[i] = api.NewValueString(v[i])
		}
		return api.NewValueFromList(list...)
	}
	return api.NewValueNull()
}

// FromValue is the value of a message, nil for values of kinds that this engine does not write.
func FromValue(v *api.Value) any {
	switch k := v.GetKind().(type) {
	case *api.Value_StringValue:
		return k.StringValue
	case *api.Value_IntegerValue:
		return k.IntegerValue
	case *api.Value_DoubleValue:
		return k.DoubleValue
	case *api.Value_BoolValue:
		return k.BoolValue
	case *api.Value_ListValue:
		out := make([]string, 0, len(k.ListValue.GetValues()))
		for _, x := range k.ListValue.GetValues() {
			if s, ok := x.GetKind().(*api.Value_StringValue); ok {
				out = append(out, s.StringValue)
			}
		}
		return out
	}
	return nil
}
