package consequence

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/engine/graph"
)

// answers are what the graph said about assets of one tenant. An asset that is not in the graph has
// an empty answer; one that could not be asked about has none, and why says why.
type answers struct {
	of  map[string]graph.Consequence
	why string
}

// key names an asset of a tenant.
type key struct{ tenant, asset string }

type kept struct {
	graph.Consequence
	at time.Time
}

// cache keeps answers.
type cache struct {
	mu    sync.Mutex
	of    map[key]kept
	epoch int // grows with clear: answers to older questions are not kept
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of = nil
	c.epoch++
}

// get splits assets into those whose answer is fresh and those to ask about.
func (c *cache) get(tenant string, ids map[string]bool, now time.Time) (have map[string]graph.Consequence, ask []string, epoch int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	have = make(map[string]graph.Consequence, len(ids))
	for id := range ids {
		if k, ok := c.of[key{tenant, id}]; ok && now.Sub(k.at) < fresh && now.Sub(k.at) >= 0 {
			have[id] = k.Consequence
		} else {
			ask = append(ask, id)
		}
	}
	slices.Sort(ask)
	return have, ask, c.epoch
}

func (c *cache) put(tenant string, of map[string]graph.Consequence, now time.Time, epoch int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if epoch != c.epoch {
		return
	}
	if c.of == nil || len(c.of)+len(of) > maxKept {
		c.of = map[key]kept{}
	}
	for id, a := range of {
		c.of[key{tenant, id}] = kept{a, now}
	}
}

// ask answers about assets from memory or the graph. The error is only that of an ended context.
func (s *Source) ask(ctx context.Context, tenant string, ids map[string]bool) (answers, error) {
	have, ask, epoch := s.kept.get(tenant, ids, s.cfg.Clock.Now())
	out := answers{of: have}
	if len(ask) == 0 {
		return out, nil
	}
	if !s.away.May(s.cfg.Clock.Now()) {
		out.why = noAnswer
		return out, nil
	}
	got, err := s.consequences(ctx, tenant, ask)
	if ctx.Err() != nil {
		s.away.Release()
		return out, ctx.Err()
	}
	s.tell(err)
	if err != nil {
		out.why = noAnswer
		return out, nil
	}
	s.kept.put(tenant, got, s.cfg.Clock.Now(), epoch)
	maps.Copy(out.of, got)
	return out, nil
}

// tell notes how asking the graph went. Batches ask side by side: what changed is told in the order in
// which it did.
func (s *Source) tell(err error) {
	s.telling.Lock()
	defer s.telling.Unlock()
	if s.away.Told(err, s.cfg.Clock.Now()) {
		s.changed(err)
	}
}

func (s *Source) changed(err error) {
	if err != nil {
		s.cfg.Log.Warn(GraphUnavailable, "error", err)
	} else {
		s.cfg.Log.Info("the asset graph answers again")
	}
	if s.cfg.Changed != nil {
		s.cfg.Changed(err)
	}
}

// consequences asks the graph, at most Timeout long. Assets that it does not have get an empty
// answer.
func (s *Source) consequences(ctx context.Context, tenant string, ids []string) (map[string]graph.Consequence, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	out := make(map[string]graph.Consequence, len(ids))
	for part := range slices.Chunk(ids, graph.MaxRefs) {
		refs := make([]graph.Ref, len(part))
		for i, id := range part {
			refs[i] = graph.Ref{Kind: graph.KindAsset, ID: id}
		}
		got, err := s.cfg.Graph.Consequences(ctx, tenant, refs)
		if err != nil {
			return nil, err
		}
		for _, r := range refs {
			out[r.ID] = got[r]
		}
	}
	return out, nil
}

// noAnswer is the same for every failure, so that verdicts do not differ by the words of a driver;
// the log has those.
const noAnswer = "the asset graph does not answer"
