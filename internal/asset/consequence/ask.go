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

// cache keeps answers, and when the graph may be asked again.
type cache struct {
	mu      sync.Mutex
	of      map[key]kept
	away    error     // why the graph is away
	next    time.Time // when it is tried again
	probing bool
	epoch   int // grows with clear: answers to older questions are not kept
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

// may reports whether the graph may be asked now: after a failure one caller tries, and not before
// the pause is over. Otherwise it says why not.
func (c *cache) may(now time.Time) (bool, string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away == nil {
		return true, ""
	}
	if c.probing || now.Before(c.next) {
		return false, reason(c.away)
	}
	c.probing = true
	return true, ""
}

// told notes how asking went and reports whether that is a change.
func (c *cache) told(err error, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := (c.away == nil) != (err == nil)
	c.away, c.next, c.probing = err, now.Add(pause), false
	return changed
}

// release lets another caller try, after one that was called off.
func (c *cache) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probing = false
}

// ask answers about assets from memory or the graph. The error is only that of an ended context.
func (s *Source) ask(ctx context.Context, tenant string, ids map[string]bool) (answers, error) {
	have, ask, epoch := s.kept.get(tenant, ids, s.cfg.Clock.Now())
	out := answers{of: have}
	if len(ask) == 0 {
		return out, nil
	}
	ok, why := s.kept.may(s.cfg.Clock.Now())
	if !ok {
		out.why = why
		return out, nil
	}
	got, err := s.consequences(ctx, tenant, ask)
	if ctx.Err() != nil {
		s.kept.release()
		return out, ctx.Err()
	}
	if s.kept.told(err, s.cfg.Clock.Now()) {
		s.changed(err)
	}
	if err != nil {
		out.why = reason(err)
		return out, nil
	}
	s.kept.put(tenant, got, s.cfg.Clock.Now(), epoch)
	maps.Copy(out.of, got)
	return out, nil
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

// reason is the same for every failure, so that verdicts do not differ by the words of a driver;
// the log has those.
func reason(error) string { return "the asset graph does not answer" }
