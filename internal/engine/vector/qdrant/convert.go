package qdrant

import (
	"fmt"

	api "github.com/qdrant/go-client/qdrant"

	"github.com/aluskort/aluskort/internal/engine/vector"
	"github.com/aluskort/aluskort/internal/engine/vector/qdrant/wire"
)

// toPayload is what the server keeps beside the vector of a checked point.
func toPayload(tenant string, p *vector.Point) map[string]*api.Value {
	out := make(map[string]*api.Value, len(p.Payload)+2)
	for key, v := range p.Payload {
		out[key] = wire.ToValue(v)
	}
	out[vector.KeyTenant] = api.NewValueString(tenant)
	out[vector.KeyID] = api.NewValueString(p.ID.String())
	return out
}

// fromPayload reads what toPayload wrote. A point of another tenant, or that somebody else put
// there, is an error and not a result.
func fromPayload(tenant string, p map[string]*api.Value) (vector.ID, vector.Payload, error) {
	if owner := p[vector.KeyTenant].GetStringValue(); owner != tenant {
		return vector.ID{}, nil, fmt.Errorf("%w: the server answered with a point of another tenant", vector.ErrUnavailable)
	}
	i, err := vector.ParseID(p[vector.KeyID].GetStringValue())
	if err != nil {
		return vector.ID{}, nil, fmt.Errorf("%w: the server answered with a point without id", vector.ErrUnavailable)
	}
	out := make(vector.Payload, len(p))
	for key, v := range p {
		if key == vector.KeyTenant || key == vector.KeyID {
			continue
		}
		if value := wire.FromValue(v); value != nil {
			out[key] = value
		}
	}
	return i, out, nil
}

func fromRetrieved(tenant string, r *api.RetrievedPoint) (p vector.Point, err error) {
	p.ID, p.Payload, err = fromPayload(tenant, r.GetPayload())
	if v := r.GetVectors().GetVector(); v != nil {
		if p.Vector = v.GetDense().GetData(); p.Vector == nil {
			p.Vector = v.GetData() //nolint:staticcheck // servers before 1.16 fill only this field
		}
	}
	return p, err
}

// toFilter is a checked filter, and the tenant.
func toFilter(tenant string, f *vector.Filter) *api.Filter {
	return &api.Filter{
		Must:   append([]*api.Condition{api.NewMatchKeyword(vector.KeyTenant, tenant)}, toConditions(f.Must)...),
		Should: toConditions(f.Should), MustNot: toConditions(f.MustNot),
	}
}

func toConditions(list []vector.Condition) []*api.Condition {
	var out []*api.Condition
	for i := range list {
		out = append(out, toCondition(&list[i]))
	}
	return out
}

func toCondition(k *vector.Condition) *api.Condition {
	switch v := k.Match.(type) {
	case string:
		return api.NewMatchKeyword(k.Key, v)
	case int64:
		return api.NewMatchInt(k.Key, v)
	case bool:
		return api.NewMatchBool(k.Key, v)
	}
	switch v := k.Any.(type) {
	case []string:
		return api.NewMatchKeywords(k.Key, v...)
	case []int64:
		return api.NewMatchInts(k.Key, v...)
	}
	return api.NewRange(k.Key, &api.Range{Gt: k.Range.GT, Gte: k.Range.GTE, Lt: k.Range.LT, Lte: k.Range.LTE})
}
