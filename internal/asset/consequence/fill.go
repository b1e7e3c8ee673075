package consequence

import (
	"context"
	"fmt"
	"time"

	"github.com/aluskort/aluskort/internal/asset"
	"github.com/aluskort/aluskort/internal/engine/graph"
)

// Filled says what Fill wrote for one tenant.
type Filled struct {
	Assets int `json:"assets"`
	Zones  int `json:"zones"`
	Models int `json:"models"`
	Edges  int `json:"edges"`
	// Forgotten is how many nodes and edges org.yaml no longer names.
	Forgotten int `json:"forgotten"`
}

// Fill makes the graph of a tenant say what org.yaml says, and forgets what it no longer says. What
// others wrote stays. Repeating it is safe; call Source.Forget afterwards. Errors wrap those of
// package graph.
func Fill(ctx context.Context, g graph.Graph, org *asset.Org, tenant string, at time.Time) (Filled, error) {
	c := org.Graph(tenant, at)
	if err := graph.Load(ctx, g, tenant, c); err != nil {
		return Filled{}, fmt.Errorf("fill the asset graph of %s: %w", tenant, err)
	}
	n, err := g.Sweep(ctx, tenant, asset.GraphOrigin, at)
	if err != nil {
		return Filled{}, fmt.Errorf("forget old assets of %s: %w", tenant, err)
	}
	return Filled{Assets: len(c.Assets), Zones: len(c.Zones), Models: len(c.Models), Edges: len(c.Edges), Forgotten: n}, nil
}
