package qdrant

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	api "github.com/qdrant/go-client/qdrant"

	"github.com/aluskort/aluskort/internal/engine/vector"
	"github.com/aluskort/aluskort/internal/engine/vector/qdrant/wire"
)

// collection returns what is known of a collection, asking the server the first time.
func (e *Engine) collection(ctx context.Context, tenant, name string) (*vector.Collection, error) {
	if err := errors.Join(ctx.Err(), vector.CheckTenant(tenant), vector.CheckName(name)); err != nil {
		return nil, err
	}
	e.mu.Lock()
	c := e.known[name]
	e.mu.Unlock()
	if c != nil {
		return c, nil
	}
	c, err := e.describe(ctx, name)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.known[name] = c
	return c, nil
}

// forget drops what is known of a collection when the server knows better, and returns err.
func (e *Engine) forget(name string, err error) error {
	if errors.Is(err, vector.ErrNotFound) || errors.Is(err, vector.ErrMisuse) || errors.Is(err, vector.ErrDimension) {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.known, name)
	}
	return err
}

// describe asks the server what a collection is.
func (e *Engine) describe(ctx context.Context, name string) (*vector.Collection, error) {
	answer, err := call(ctx, e, "collection "+name, e.client.Collections().Get, &api.GetCollectionInfoRequest{CollectionName: name})
	if err != nil {
		return nil, err
	}
	params := answer.GetResult().GetConfig().GetParams().GetVectorsConfig().GetParams()
	distance, ok := wire.Distances[params.GetDistance()]
	if !ok {
		return nil, fmt.Errorf("%w: collection %s of the server has named vectors or another distance", vector.ErrMisuse, name)
	}
	c := &vector.Collection{Name: name, Size: int(params.GetSize()), Distance: distance, Fields: map[string]vector.FieldType{}}
	for key, schema := range answer.GetResult().GetPayloadSchema() {
		if t, ok := wire.Schemas[schema.GetDataType()]; ok && key != vector.KeyTenant {
			c.Fields[key] = t
		}
	}
	return c, nil
}

// EnsureCollection implements vector.Engine.
func (e *Engine) EnsureCollection(ctx context.Context, want vector.Collection) error {
	if err := errors.Join(ctx.Err(), want.Check()); err != nil {
		return err
	}
	have, err := e.describe(ctx, want.Name)
	if errors.Is(err, vector.ErrNotFound) {
		if err := e.create(ctx, &want); err != nil {
			return err
		}
		have, err = e.describe(ctx, want.Name)
	}
	if err != nil {
		return err
	}
	merged, err := have.Merge(&want)
	if err != nil {
		return err
	}
	if err := e.index(ctx, want.Name, vector.KeyTenant, vector.Keyword); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(merged.Fields)) {
		if _, ok := have.Fields[key]; !ok {
			if err := e.index(ctx, want.Name, key, merged.Fields[key]); err != nil {
				return err
			}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.known[want.Name] = &merged
	return nil
}

func (e *Engine) create(ctx context.Context, c *vector.Collection) error {
	request := &api.CreateCollection{
		CollectionName: c.Name, HnswConfig: &api.HnswConfigDiff{M: api.PtrOf(uint64(hnswM)), EfConstruct: api.PtrOf(uint64(hnswConstruct))},
		OnDiskPayload: api.PtrOf(true),
	}
	for d, ours := range wire.Distances {
		if ours == c.Distance {
			request.VectorsConfig = api.NewVectorsConfig(&api.VectorParams{Size: uint64(c.Size), Distance: d})
		}
	}
	_, err := call(ctx, e, "create collection "+c.Name, e.client.Collections().Create, request)
	if err != nil {
		// Another node may have been faster.
		if _, exists := e.describe(ctx, c.Name); exists == nil {
			return nil
		}
	}
	return err
}

// index has the server index a field of the payload; one that is indexed already stays so.
func (e *Engine) index(ctx context.Context, name, key string, t vector.FieldType) error {
	request := &api.CreateFieldIndexCollection{CollectionName: name, Wait: api.PtrOf(true), FieldName: key}
	switch t {
	case vector.Keyword:
		request.FieldType = api.PtrOf(api.FieldType_FieldTypeKeyword)
		if key == vector.KeyTenant {
			request.FieldIndexParams = api.NewPayloadIndexParamsKeyword(&api.KeywordIndexParams{IsTenant: api.PtrOf(true)})
		}
	case vector.Integer:
		request.FieldType = api.PtrOf(api.FieldType_FieldTypeInteger)
	case vector.Float:
		request.FieldType = api.PtrOf(api.FieldType_FieldTypeFloat)
	case vector.Bool:
		request.FieldType = api.PtrOf(api.FieldType_FieldTypeBool)
	}
	_, err := call(ctx, e, "index "+key+" of "+name, e.client.Points().CreateFieldIndex, request)
	return err
}

// DropCollection implements vector.Engine.
func (e *Engine) DropCollection(ctx context.Context, name string) error {
	if err := errors.Join(ctx.Err(), vector.CheckName(name)); err != nil {
		return err
	}
	_, err := call(ctx, e, "drop collection "+name, e.client.Collections().Delete, &api.DeleteCollection{CollectionName: name})
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.known, name)
	if errors.Is(err, vector.ErrNotFound) {
		return nil
	}
	return err
}
