// Package qdranttest has a server that speaks Qdrant's protocol, for tests of its client and of
// processes that use it.
package qdranttest

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	api "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/aluskort/aluskort/internal/engine/vector"
	"github.com/aluskort/aluskort/internal/engine/vector/embedded"
	"github.com/aluskort/aluskort/internal/engine/vector/qdrant/wire"
)

// Server speaks Qdrant's protocol over the embedded engine, as far as the client uses it. It knows no
// tenants: what keeps them apart must be in the requests.
type Server struct {
	// Key is the API key that requests must carry; empty for none.
	Key string

	api.UnimplementedCollectionsServer
	api.UnimplementedPointsServer
	api.UnimplementedQdrantServer
	engine *embedded.Engine

	mu          sync.Mutex
	collections map[string]*vector.Collection
	created     map[string]*api.CreateCollection
	indexes     []*api.CreateFieldIndexCollection
	fail        func(ctx context.Context, method string) error
	calls       int
}

const everybody = "everybody"

// New returns a server without collections that keeps them until the test ends.
func New(t *testing.T) *Server {
	t.Helper()
	e, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return &Server{engine: e, collections: map[string]*vector.Collection{}, created: map[string]*api.CreateCollection{}}
}

// Listen serves until the test ends and returns the address.
func (s *Server) Listen(t *testing.T, creds credentials.TransportCredentials) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	options := []grpc.ServerOption{
		grpc.UnaryInterceptor(s.intercept), grpc.MaxRecvMsgSize(64 << 20),
		// The client asks every ten seconds whether the server lives, which the real one allows.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	}
	if creds != nil {
		options = append(options, grpc.Creds(creds))
	}
	g := grpc.NewServer(options...)
	api.RegisterCollectionsServer(g, s)
	api.RegisterPointsServer(g, points{s})
	api.RegisterQdrantServer(g, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Serve(l)
	}()
	t.Cleanup(func() { g.Stop(); <-done })
	return l.Addr().String()
}

func (s *Server) intercept(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	s.mu.Lock()
	s.calls++
	fail := s.fail
	s.mu.Unlock()
	if s.Key != "" {
		if md, _ := metadata.FromIncomingContext(ctx); !slices.Equal(md.Get("api-key"), []string{s.Key}) {
			return nil, status.Error(codes.Unauthenticated, "Must provide an API key or an Authorization bearer token")
		}
	}
	if fail != nil {
		if err := fail(ctx, info.FullMethod); err != nil {
			return nil, err
		}
	}
	return handle(ctx, request)
}

// Fail has f called before each request: what it returns is the answer when it is not nil.
func (s *Server) Fail(f func(ctx context.Context, method string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = f
}

// Calls is how many requests came.
func (s *Server) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// Created is the request with which a collection was made, nil if none was.
func (s *Server) Created(name string) *api.CreateCollection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.created[name]
}

// Indexes are the requests for indexes so far.
func (s *Server) Indexes() []*api.CreateFieldIndexCollection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.indexes)
}

// answer is the status that the real server gives.
func answer(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, vector.ErrNotFound):
		return status.Error(codes.NotFound, "Not found: Collection doesn't exist!")
	case errors.Is(err, vector.ErrDimension):
		return status.Error(codes.InvalidArgument, "Wrong input: Vector dimension error: "+err.Error())
	case errors.Is(err, vector.ErrMisuse):
		return status.Error(codes.InvalidArgument, "Wrong input: "+err.Error())
	}
	return status.Error(codes.Internal, err.Error())
}

// HealthCheck answers as a server that is ready.
func (s *Server) HealthCheck(context.Context, *api.HealthCheckRequest) (*api.HealthCheckReply, error) {
	return &api.HealthCheckReply{Title: "in-process", Version: "1.17.0"}, nil
}

// Get describes a collection.
func (s *Server) Get(_ context.Context, r *api.GetCollectionInfoRequest) (*api.GetCollectionInfoResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.collections[r.GetCollectionName()]
	if c == nil {
		return nil, answer(vector.ErrNotFound)
	}
	schema := map[string]*api.PayloadSchemaInfo{}
	for key, t := range c.Fields {
		for theirs, ours := range wire.Schemas {
			if ours == t {
				schema[outer(key)] = &api.PayloadSchemaInfo{DataType: theirs}
			}
		}
	}
	params := &api.CollectionParams{VectorsConfig: s.created[c.Name].GetVectorsConfig()}
	return &api.GetCollectionInfoResponse{Result: &api.CollectionInfo{Config: &api.CollectionConfig{Params: params}, PayloadSchema: schema}}, nil
}

// Create makes a collection.
func (s *Server) Create(ctx context.Context, r *api.CreateCollection) (*api.CollectionOperationResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.collections[r.GetCollectionName()] != nil {
		return nil, status.Error(codes.AlreadyExists, "Wrong input: Collection already exists!")
	}
	params := r.GetVectorsConfig().GetParams()
	c := &vector.Collection{Name: r.GetCollectionName(), Size: int(params.GetSize()), Distance: wire.Distances[params.GetDistance()]}
	if err := s.engine.EnsureCollection(ctx, *c); err != nil {
		return nil, answer(err)
	}
	c.Fields = map[string]vector.FieldType{}
	s.collections[c.Name], s.created[c.Name] = c, r
	return &api.CollectionOperationResponse{Result: true}, nil
}

// Delete drops a collection.
func (s *Server) Delete(ctx context.Context, r *api.DeleteCollection) (*api.CollectionOperationResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	had := s.collections[r.GetCollectionName()] != nil
	delete(s.collections, r.GetCollectionName())
	return &api.CollectionOperationResponse{Result: had}, answer(s.engine.DropCollection(ctx, r.GetCollectionName()))
}

// The two keys that the embedded engine keeps for itself have other names in it.
var renamed = map[string]string{vector.KeyTenant: "q_tenant", vector.KeyID: "q_point_id"}

func inner(key string) string {
	if to, ok := renamed[key]; ok {
		return to
	}
	return key
}

func outer(key string) string {
	for from, to := range renamed {
		if to == key {
			return from
		}
	}
	return key
}

// points is the other service of a server: both have methods Get and Delete.
type points struct{ *Server }

func (s points) CreateFieldIndex(ctx context.Context, r *api.CreateFieldIndexCollection) (*api.PointsOperationResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.collections[r.GetCollectionName()]
	if c == nil {
		return nil, answer(vector.ErrNotFound)
	}
	types := map[api.FieldType]vector.FieldType{
		api.FieldType_FieldTypeKeyword: vector.Keyword, api.FieldType_FieldTypeInteger: vector.Integer,
		api.FieldType_FieldTypeFloat: vector.Float, api.FieldType_FieldTypeBool: vector.Bool,
	}
	next := *c
	next.Fields = maps.Clone(c.Fields)
	next.Fields[inner(r.GetFieldName())] = types[r.GetFieldType()]
	if err := s.engine.EnsureCollection(ctx, next); err != nil {
		return nil, answer(err)
	}
	s.collections[c.Name] = &next
	s.indexes = append(s.indexes, r)
	return &api.PointsOperationResponse{}, nil
}

func toID(i *api.PointId) vector.ID { return vector.UUID(uuid.MustParse(i.GetUuid())) }

func toIDs(list []*api.PointId) (out []vector.ID) {
	for _, i := range list {
		out = append(out, toID(i))
	}
	return out
}

func fromID(i vector.ID) *api.PointId { return api.NewIDUUID(i.String()) }

func inPayload(p map[string]*api.Value) vector.Payload {
	out := vector.Payload{}
	for key, v := range p {
		out[inner(key)] = wire.FromValue(v)
	}
	return out
}

func outPayload(p vector.Payload, with *api.WithPayloadSelector) map[string]*api.Value {
	out := map[string]*api.Value{}
	for key, v := range p {
		if only := with.GetInclude(); with.GetEnable() || only != nil && slices.Contains(only.GetFields(), outer(key)) {
			out[outer(key)] = wire.ToValue(v)
		}
	}
	return out
}

func (s points) Upsert(ctx context.Context, r *api.UpsertPoints) (*api.PointsOperationResponse, error) {
	if !r.GetWait() {
		return nil, status.Error(codes.Internal, "a write that is not waited for is not durable")
	}
	var list []vector.Point
	for _, p := range r.GetPoints() {
		list = append(list, vector.Point{ID: toID(p.GetId()), Vector: dense(p.GetVectors().GetVector()), Payload: inPayload(p.GetPayload())})
	}
	return &api.PointsOperationResponse{}, answer(s.engine.Upsert(ctx, everybody, r.GetCollectionName(), list))
}

func dense(v *api.Vector) []float32 {
	if d := v.GetDense(); d != nil {
		return d.GetData()
	}
	return v.GetData() //nolint:staticcheck // what the client fills
}

func (s points) Delete(ctx context.Context, r *api.DeletePoints) (*api.PointsOperationResponse, error) {
	if !r.GetWait() {
		return nil, status.Error(codes.Internal, "a write that is not waited for is not durable")
	}
	if f := r.GetPoints().GetFilter(); f != nil {
		return &api.PointsOperationResponse{}, answer(s.engine.DeleteMatching(ctx, everybody, r.GetCollectionName(), inFilter(f)))
	}
	return &api.PointsOperationResponse{}, answer(s.engine.Delete(ctx, everybody, r.GetCollectionName(), toIDs(r.GetPoints().GetPoints().GetIds())))
}

func retrieved(p *vector.Point, with *api.WithPayloadSelector, vectors bool) *api.RetrievedPoint {
	out := &api.RetrievedPoint{Id: fromID(p.ID), Payload: outPayload(p.Payload, with)}
	if vectors {
		out.Vectors = &api.VectorsOutput{VectorsOptions: &api.VectorsOutput_Vector{
			Vector: &api.VectorOutput{Vector: &api.VectorOutput_Dense{Dense: &api.DenseVector{Data: p.Vector}}},
		}}
	}
	return out
}

func (s points) Get(ctx context.Context, r *api.GetPoints) (*api.GetResponse, error) {
	list, err := s.engine.Get(ctx, everybody, r.GetCollectionName(), toIDs(r.GetIds()))
	out := &api.GetResponse{}
	// In an order of its own, as the real one.
	for i := len(list) - 1; i >= 0; i-- {
		out.Result = append(out.Result, retrieved(&list[i], r.GetWithPayload(), r.GetWithVectors().GetEnable()))
	}
	return out, answer(err)
}

func (s points) Query(ctx context.Context, r *api.QueryPoints) (*api.QueryResponse, error) {
	q := vector.Query{
		Vector: r.GetQuery().GetNearest().GetDense().GetData(), Filter: inFilter(r.GetFilter()), Limit: int(r.GetLimit()), WithPayload: true,
	}
	if r.ScoreThreshold != nil {
		q.Threshold = api.PtrOf(float64(r.GetScoreThreshold()))
	}
	hits, err := s.engine.Search(ctx, everybody, r.GetCollectionName(), q)
	out := &api.QueryResponse{}
	for _, h := range hits {
		out.Result = append(out.Result, &api.ScoredPoint{Id: fromID(h.ID), Score: float32(h.Score), Payload: outPayload(h.Payload, r.GetWithPayload())})
	}
	return out, answer(err)
}

func (s points) Count(ctx context.Context, r *api.CountPoints) (*api.CountResponse, error) {
	n, err := s.engine.Count(ctx, everybody, r.GetCollectionName(), inFilter(r.GetFilter()))
	return &api.CountResponse{Result: &api.CountResult{Count: uint64(n)}}, answer(err)
}

// Scroll begins with the offset, not behind it, and names the first point that is not on the page.
func (s points) Scroll(ctx context.Context, r *api.ScrollPoints) (*api.ScrollResponse, error) {
	q := vector.Scroll{Filter: inFilter(r.GetFilter()), Limit: int(r.GetLimit()) + 1, WithVectors: r.GetWithVectors().GetEnable()}
	if r.GetOffset() != nil {
		u, _ := toID(r.GetOffset()).UUID()
		if low := binary.BigEndian.Uint64(u[8:]); low > 0 {
			binary.BigEndian.PutUint64(u[8:], low-1)
		}
		q.After = u.String()
	}
	page, err := s.engine.Scroll(ctx, everybody, r.GetCollectionName(), q)
	out := &api.ScrollResponse{}
	for i := range page.Points {
		if i == int(r.GetLimit()) {
			out.NextPageOffset = fromID(page.Points[i].ID)
			break
		}
		out.Result = append(out.Result, retrieved(&page.Points[i], r.GetWithPayload(), q.WithVectors))
	}
	return out, answer(err)
}

func inFilter(f *api.Filter) vector.Filter {
	list := func(conditions []*api.Condition) (out []vector.Condition) {
		for _, c := range conditions {
			out = append(out, inCondition(c.GetField()))
		}
		return out
	}
	return vector.Filter{Must: list(f.GetMust()), Should: list(f.GetShould()), MustNot: list(f.GetMustNot())}
}

func inCondition(f *api.FieldCondition) vector.Condition {
	out := vector.Condition{Key: inner(f.GetKey())}
	switch m := f.GetMatch().GetMatchValue().(type) {
	case *api.Match_Keyword:
		out.Match = m.Keyword
	case *api.Match_Integer:
		out.Match = m.Integer
	case *api.Match_Boolean:
		out.Match = m.Boolean
	case *api.Match_Keywords:
		out.Any = m.Keywords.GetStrings()
	case *api.Match_Integers:
		out.Any = m.Integers.GetIntegers()
	}
	if r := f.GetRange(); r != nil {
		out.Range = &vector.Range{GT: r.Gt, GTE: r.Gte, LT: r.Lt, LTE: r.Lte}
	}
	return out
}
