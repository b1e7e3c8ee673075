// Package qdrant is the vector engine on a Qdrant server, over gRPC.
//
// Tenants share a collection. A point is stored under an id derived from tenant and id, so that
// no tenant can name, replace or delete a point of another, and carries both in its payload; every
// request is filtered by the tenant besides. Searches in large collections are approximate.
package qdrant

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	api "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/vector"
	"github.com/aluskort/aluskort/internal/id"
)

// Config says where the server is.
type Config struct {
	// Address is host:port of the gRPC interface, whose port is usually 6334.
	Address string
	// TLS is nil for a connection in the clear.
	TLS *tls.Config
	// APIKeyFile holds the API key; empty for none. A key is not sent in the clear to another host.
	APIKeyFile string
	// Timeout bounds one attempt of one request; 0 means 5 s.
	Timeout time.Duration
	// Attempts bounds how often a request is sent that the server could not serve; 0 means 3.
	Attempts int
	// Pause is how long is waited after the first failed attempt, twice as long after each further;
	// 0 means 100 ms.
	Pause time.Duration
	// Clock times the pauses; nil means the system's.
	Clock clock.Clock
}

// The HNSW index of DESIGN section 14, and the width of the search in it.
const (
	hnswM         = 16
	hnswConstruct = 200
	hnswSearch    = 128
)

const (
	// upsertBatch is how many points one request carries.
	upsertBatch = 100
	// maxMessage bounds an answer: MaxLimit points of MaxSize dimensions with full payloads.
	maxMessage = vector.MaxLimit * (4*vector.MaxSize + vector.MaxPayloadBytes + 4096)
)

// reconnect is how soon a connection is tried again: left to itself, the client waits for up to two
// minutes, and the server would be back for that long without being asked.
var reconnect = backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}

// Engine is a client of one server.
type Engine struct {
	cfg    Config
	client *api.GrpcClient

	mu     sync.Mutex
	known  map[string]*vector.Collection
	closed bool
}

var _ vector.Engine = (*Engine)(nil)

// Open prepares a client. It does not wait for the server; Ready tells whether it is there.
func Open(cfg Config) (*Engine, error) {
	host, port, err := net.SplitHostPort(cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("%w: address of Qdrant: %w", vector.ErrMisuse, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return nil, fmt.Errorf("%w: address of Qdrant: port %q", vector.ErrMisuse, port)
	}
	key, err := readKey(&cfg, host)
	if err != nil {
		return nil, err
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 5 * time.Second
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = 3
	}
	if cfg.Pause <= 0 {
		cfg.Pause = 100 * time.Millisecond
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	client, err := api.NewGrpcClient(&api.Config{
		Host: host, Port: int(n), APIKey: key, UseTLS: cfg.TLS != nil, TLSConfig: cfg.TLS,
		// The check writes to the global log and blocks; the docs say which versions fit.
		SkipCompatibilityCheck: true,
		GrpcOptions: []grpc.DialOption{
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: cfg.Timeout}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: client of Qdrant: %w", vector.ErrMisuse, err)
	}
	return &Engine{cfg: cfg, client: client, known: map[string]*vector.Collection{}}, nil
}

func readKey(cfg *Config, host string) (string, error) {
	if cfg.APIKeyFile == "" {
		return "", nil
	}
	b, err := os.ReadFile(cfg.APIKeyFile)
	if err != nil {
		return "", fmt.Errorf("%w: API key of Qdrant: %w", vector.ErrMisuse, err)
	}
	ip, err := netip.ParseAddr(host)
	if cfg.TLS == nil && host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return "", fmt.Errorf("%w: an API key of Qdrant is sent over TLS only", vector.ErrMisuse)
	}
	key := strings.TrimSpace(string(b))
	if key == "" {
		return "", fmt.Errorf("%w: the file with the API key of Qdrant is empty", vector.ErrMisuse)
	}
	return key, nil
}

// call sends one request, again when the server could not serve it. Every request of this engine
// may be repeated.
func call[Q, A any](ctx context.Context, e *Engine, what string, fn func(context.Context, Q, ...grpc.CallOption) (A, error), request Q) (answer A, err error) {
	pause := e.cfg.Pause
	for attempt := 1; ; attempt++ {
		answer, err = once(ctx, e, fn, request)
		if err == nil {
			return answer, nil
		}
		if ctx.Err() != nil {
			return answer, ctx.Err()
		}
		if attempt == e.cfg.Attempts || !passing(err) {
			return answer, classify(what, err)
		}
		wait := pause
		if limited, ok := errors.AsType[*api.QdrantResourceExhaustedError](err); ok {
			wait = max(wait, min(time.Duration(limited.RetryAfterS)*time.Second, e.cfg.Timeout))
		}
		pause *= 2
		timer := e.cfg.Clock.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return answer, ctx.Err()
		case <-timer.C:
		}
	}
}

func once[Q, A any](ctx context.Context, e *Engine, fn func(context.Context, Q, ...grpc.CallOption) (A, error), request Q) (A, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	return fn(ctx, request)
}

// passing reports whether the trouble may be over at the next attempt.
func passing(err error) bool {
	if _, ok := errors.AsType[*api.QdrantResourceExhaustedError](err); ok {
		return true
	}
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Aborted:
		return true
	}
	return false
}

// classify turns an error of the client into one of vector's.
func classify(what string, err error) error {
	kind := vector.ErrUnavailable
	switch status.Code(err) {
	case codes.NotFound:
		kind = vector.ErrNotFound
	case codes.InvalidArgument, codes.OutOfRange, codes.FailedPrecondition, codes.AlreadyExists:
		kind = vector.ErrMisuse
		if strings.Contains(err.Error(), "dimension") {
			kind = vector.ErrDimension
		}
	}
	return fmt.Errorf("%w: %s: %w", kind, what, err)
}

// pointID is the id under which the server keeps a tenant's point.
func pointID(tenant string, i vector.ID) *api.PointId {
	return api.NewIDUUID(id.Derive("vector point", tenant, i.String()))
}

func pointIDs(tenant string, ids []vector.ID) []*api.PointId {
	out := make([]*api.PointId, len(ids))
	for i := range ids {
		out[i] = pointID(tenant, ids[i])
	}
	return out
}

// Upsert implements vector.Engine. Batches of more than a hundred points are several requests.
func (e *Engine) Upsert(ctx context.Context, tenant, name string, points []vector.Point) error {
	c, err := e.collection(ctx, tenant, name)
	if err != nil {
		return err
	}
	if err := c.CheckPoints(points); err != nil {
		return err
	}
	last := make(map[vector.ID]int, len(points))
	for i := range points {
		last[points[i].ID] = i
	}
	var list []*api.PointStruct
	for i := range points {
		if p := &points[i]; last[p.ID] == i {
			list = append(list, &api.PointStruct{Id: pointID(tenant, p.ID), Vectors: api.NewVectors(p.Vector...), Payload: toPayload(tenant, p)})
		}
	}
	for some := range slices.Chunk(list, upsertBatch) {
		_, err := call(ctx, e, "upsert", e.client.Points().Upsert, &api.UpsertPoints{CollectionName: name, Wait: api.PtrOf(true), Points: some})
		if err != nil {
			return e.forget(name, err)
		}
	}
	return nil
}

// Get implements vector.Engine.
func (e *Engine) Get(ctx context.Context, tenant, name string, ids []vector.ID) ([]vector.Point, error) {
	if _, err := e.collection(ctx, tenant, name); err != nil {
		return nil, err
	}
	if err := vector.CheckIDs(ids); err != nil || len(ids) == 0 {
		return nil, err
	}
	answer, err := call(ctx, e, "get", e.client.Points().Get, &api.GetPoints{
		CollectionName: name, Ids: pointIDs(tenant, ids), WithPayload: api.NewWithPayload(true), WithVectors: api.NewWithVectors(true),
	})
	if err != nil {
		return nil, e.forget(name, err)
	}
	found := map[vector.ID]vector.Point{}
	for _, r := range answer.GetResult() {
		p, err := fromRetrieved(tenant, r)
		if err != nil {
			return nil, err
		}
		found[p.ID] = p
	}
	var out []vector.Point
	for _, i := range ids {
		if p, ok := found[i]; ok {
			out = append(out, p)
		}
	}
	return out, nil
}

// Delete implements vector.Engine.
func (e *Engine) Delete(ctx context.Context, tenant, name string, ids []vector.ID) error {
	if _, err := e.collection(ctx, tenant, name); err != nil {
		return err
	}
	if err := vector.CheckIDs(ids); err != nil || len(ids) == 0 {
		return err
	}
	return e.remove(ctx, name, &api.PointsSelector{
		PointsSelectorOneOf: &api.PointsSelector_Points{Points: &api.PointsIdsList{Ids: pointIDs(tenant, ids)}},
	})
}

// DeleteMatching implements vector.Engine.
func (e *Engine) DeleteMatching(ctx context.Context, tenant, name string, f vector.Filter) error {
	c, err := e.collection(ctx, tenant, name)
	if err != nil {
		return err
	}
	if err := c.CheckFilter(&f); err != nil {
		return err
	}
	return e.remove(ctx, name, &api.PointsSelector{PointsSelectorOneOf: &api.PointsSelector_Filter{Filter: toFilter(tenant, &f)}})
}

func (e *Engine) remove(ctx context.Context, name string, which *api.PointsSelector) error {
	_, err := call(ctx, e, "delete", e.client.Points().Delete, &api.DeletePoints{CollectionName: name, Wait: api.PtrOf(true), Points: which})
	return e.forget(name, err)
}

// Search implements vector.Engine.
func (e *Engine) Search(ctx context.Context, tenant, name string, q vector.Query) ([]vector.Hit, error) {
	c, err := e.collection(ctx, tenant, name)
	if err != nil {
		return nil, err
	}
	if err := c.CheckQuery(&q); err != nil {
		return nil, err
	}
	request := &api.QueryPoints{
		CollectionName: name, Query: api.NewQuery(q.Vector...), Filter: toFilter(tenant, &q.Filter), Limit: api.PtrOf(uint64(q.Limit)),
		Params: &api.SearchParams{HnswEf: api.PtrOf(uint64(max(hnswSearch, q.Limit)))}, WithPayload: api.NewWithPayload(true),
	}
	if !q.WithPayload {
		request.WithPayload = api.NewWithPayloadInclude(vector.KeyTenant, vector.KeyID)
	}
	if q.Threshold != nil {
		request.ScoreThreshold = api.PtrOf(float32(*q.Threshold))
	}
	answer, err := call(ctx, e, "search", e.client.Points().Query, request)
	if err != nil {
		return nil, e.forget(name, err)
	}
	out := make([]vector.Hit, 0, len(answer.GetResult()))
	for _, s := range answer.GetResult() {
		i, p, err := fromPayload(tenant, s.GetPayload())
		if err != nil {
			return nil, err
		}
		if !q.WithPayload {
			p = nil
		}
		out = append(out, vector.Hit{ID: i, Score: float64(s.GetScore()), Payload: p})
	}
	slices.SortFunc(out, func(a, b vector.Hit) int {
		if n := c.Distance.Nearer(a.Score, b.Score); n != 0 {
			return n
		}
		return a.ID.Compare(b.ID)
	})
	return out, nil
}

// Count implements vector.Engine.
func (e *Engine) Count(ctx context.Context, tenant, name string, f vector.Filter) (int, error) {
	c, err := e.collection(ctx, tenant, name)
	if err != nil {
		return 0, err
	}
	if err := c.CheckFilter(&f); err != nil {
		return 0, err
	}
	answer, err := call(ctx, e, "count", e.client.Points().Count, &api.CountPoints{CollectionName: name, Filter: toFilter(tenant, &f), Exact: api.PtrOf(true)})
	if err != nil {
		return 0, e.forget(name, err)
	}
	return int(answer.GetResult().GetCount()), nil
}

// Scroll implements vector.Engine.
func (e *Engine) Scroll(ctx context.Context, tenant, name string, q vector.Scroll) (page vector.Page, err error) {
	c, err := e.collection(ctx, tenant, name)
	if err != nil {
		return page, err
	}
	if err := errors.Join(c.CheckFilter(&q.Filter), vector.CheckLimit(q.Limit)); err != nil {
		return page, err
	}
	request := &api.ScrollPoints{
		CollectionName: name, Filter: toFilter(tenant, &q.Filter), Limit: api.PtrOf(uint32(q.Limit)),
		WithPayload: api.NewWithPayload(true), WithVectors: api.NewWithVectors(q.WithVectors),
	}
	if q.After != "" {
		after, err := vector.ParseID(q.After)
		if err != nil {
			return page, err
		}
		u, ok := after.UUID()
		if !ok {
			return page, fmt.Errorf("%w: %q is no place in a scroll", vector.ErrMisuse, q.After)
		}
		request.Offset = api.NewIDUUID(u.String())
	}
	answer, err := call(ctx, e, "scroll", e.client.Points().Scroll, request)
	if err != nil {
		return page, e.forget(name, err)
	}
	for _, r := range answer.GetResult() {
		p, err := fromRetrieved(tenant, r)
		if err != nil {
			return page, err
		}
		page.Points = append(page.Points, p)
	}
	page.Next = answer.GetNextPageOffset().GetUuid()
	return page, nil
}

// Ready implements vector.Engine: it asks the server once.
func (e *Engine) Ready(ctx context.Context) error {
	_, err := once(ctx, e, e.client.Qdrant().HealthCheck, &api.HealthCheckRequest{})
	if err != nil {
		return fmt.Errorf("%w: health check: %w", vector.ErrUnavailable, err)
	}
	return nil
}

// Close implements vector.Engine.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	return e.client.Close()
}
