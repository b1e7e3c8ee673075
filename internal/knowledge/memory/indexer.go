package memory

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/vector"
	"github.com/aluskort/aluskort/internal/knowledge/embed"
)

// indexBatch is how many incidents one step takes.
const indexBatch = 100

const (
	selectPending = `SELECT ` + columns + ` FROM incident_memory WHERE model = '' ORDER BY seq LIMIT $1`
	// Vectors of another embedder are made again.
	resetModel = `UPDATE incident_memory SET model = '' WHERE model <> '' AND model <> $1`
	markDone   = `UPDATE incident_memory SET model = $1 WHERE seq = $2 AND revision = $3`
	deleteGone = `DELETE FROM incident_memory WHERE seq = $1 AND revision = $2 AND gone = 1`
	// What another process indexed meanwhile may have been written over.
	indexAgain = `UPDATE incident_memory SET model = '' WHERE tenant = $1 AND investigation = $2`
)

// Index brings the vector engine up to date by one batch and returns how many incidents it took; 0
// says that nothing waits. A failure leaves them waiting; a step may be repeated.
func (m *Memory) Index(ctx context.Context) (int, error) {
	if err := m.ensure(ctx); err != nil {
		return 0, err
	}
	var list []row
	err := m.cfg.DB.View(ctx, func(tx store.Tx) (err error) {
		list, err = readRows(tx, selectPending, int64(indexBatch))
		return err
	})
	if err != nil || len(list) == 0 {
		return 0, err
	}
	if m.cfg.Vectors != nil {
		err := m.move(ctx, list)
		// Other errors may be those of the embedder, which say nothing of the engine.
		if ctx.Err() == nil && (err == nil || errors.Is(err, vector.ErrUnavailable)) {
			m.heard(err)
		}
		if err != nil {
			if errors.Is(err, vector.ErrNotFound) {
				m.ensured.Store(false) // the collection was dropped
			}
			return 0, err
		}
	}
	var left map[string][]vector.ID
	err = m.cfg.DB.Update(ctx, func(tx store.Tx) (err error) {
		left, err = m.done(tx, list)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("note what is indexed: %w", err)
	}
	m.generation.Add(1)
	return len(list), m.remove(ctx, left)
}

// done notes what was indexed. Several processes do that side by side: where another has come to a
// later revision of an incident, its point may have been written over and is made again, and points of
// incidents that are no more are returned.
func (m *Memory) done(tx store.Tx, list []row) (left map[string][]vector.ID, err error) {
	for i := range list {
		r := &list[i]
		query, args := markDone, []any{m.cfg.Embedder.Model().String(), r.seq, r.revision}
		if r.gone {
			query, args = deleteGone, []any{r.seq, r.revision}
		}
		n, err := tx.Exec(query, args...)
		if err == nil && n == 0 {
			n, err = tx.Exec(indexAgain, r.Tenant, r.Investigation)
		}
		if err != nil {
			return nil, err
		}
		if n == 0 && !r.gone && m.cfg.Vectors != nil {
			if left == nil {
				left = map[string][]vector.ID{}
			}
			left[r.Tenant] = append(left[r.Tenant], pointID(r.Investigation))
		}
	}
	return left, nil
}

// ensure makes the collection, and marks what another embedder made, once.
func (m *Memory) ensure(ctx context.Context) error {
	if m.ensured.Load() {
		return nil
	}
	if m.cfg.Vectors != nil {
		if err := m.cfg.Vectors.EnsureCollection(ctx, m.collection); err != nil {
			return fmt.Errorf("collection of incidents: %w", err)
		}
	}
	err := m.cfg.DB.Update(ctx, func(tx store.Tx) error {
		_, err := tx.Exec(resetModel, m.cfg.Embedder.Model().String())
		return err
	})
	if err != nil {
		return fmt.Errorf("incidents of another embedder: %w", err)
	}
	m.ensured.Store(true)
	return nil
}

// move puts incidents into the vector engine, and takes out those that are gone.
func (m *Memory) move(ctx context.Context, list []row) error {
	points := map[string][]vector.Point{}
	gone := map[string][]vector.ID{}
	live := map[string][]*row{}
	for i := range list {
		r := &list[i]
		if r.gone {
			gone[r.Tenant] = append(gone[r.Tenant], pointID(r.Investigation))
			continue
		}
		live[r.Tenant] = append(live[r.Tenant], r)
	}
	for tenant, rows := range live {
		vectors, err := m.embedAll(ctx, tenant, rows)
		if err != nil {
			return err
		}
		for i, r := range rows {
			if vectors[i] == nil {
				gone[tenant] = append(gone[tenant], pointID(r.Investigation))
				continue
			}
			points[tenant] = append(points[tenant], vector.Point{ID: pointID(r.Investigation), Vector: vectors[i], Payload: m.payload(r)})
		}
	}
	if err := m.remove(ctx, gone); err != nil {
		return err
	}
	for tenant, some := range points {
		if err := m.cfg.Vectors.Upsert(ctx, tenant, m.collection.Name, some); err != nil {
			return fmt.Errorf("index incidents: %w", err)
		}
	}
	return nil
}

// remove takes points out of the vector engine.
func (m *Memory) remove(ctx context.Context, points map[string][]vector.ID) error {
	for tenant, ids := range points {
		if err := m.cfg.Vectors.Delete(ctx, tenant, m.collection.Name, ids); err != nil {
			return fmt.Errorf("remove incidents: %w", err)
		}
	}
	return nil
}

// embedAll embeds the texts of incidents; one in which there is nothing to embed has no vector.
func (m *Memory) embedAll(ctx context.Context, tenant string, rows []*row) ([][]float32, error) {
	texts := make([]string, len(rows))
	for i, r := range rows {
		texts[i] = r.text()
	}
	vectors, err := m.cfg.Embedder.Embed(ctx, tenant, texts)
	if !errors.Is(err, embed.ErrText) {
		return vectors, err
	}
	vectors = make([][]float32, len(texts))
	for i := range texts {
		one, err := m.cfg.Embedder.Embed(ctx, tenant, texts[i:i+1])
		switch {
		case errors.Is(err, embed.ErrText):
		case err != nil:
			return nil, err
		default:
			vectors[i] = one[0]
		}
	}
	return vectors, nil
}

// pointID is the id of an investigation as that of a point. Investigations have UUIDs; whatever
// else somebody records gets one that is derived.
func pointID(investigation string) vector.ID {
	u, err := uuid.Parse(investigation)
	if err != nil {
		u = uuid.NewSHA1(uuid.Nil, []byte(investigation))
	}
	return vector.UUID(u)
}

func (m *Memory) payload(r *row) vector.Payload {
	return vector.Payload{
		keyModel: m.cfg.Embedder.Model().String(), keyAnalytic: r.Analytic, keyTechniques: r.Techniques, keyClasses: r.Classes,
		keyVerdict: string(r.Classification), keyPerson: r.Person, keyAt: r.At.UnixMicro(), "investigation": r.Investigation,
	}
}
