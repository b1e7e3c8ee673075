package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/asset"
	"github.com/aluskort/aluskort/internal/asset/consequence"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/graph"
	"github.com/aluskort/aluskort/internal/engine/graph/neo4jgraph"
	"github.com/aluskort/aluskort/internal/engine/graph/sqlgraph"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/respond"
)

// assets is the graph of what the organisation has, and the evidence that rests on it.
type assets struct {
	graph  graph.Graph
	source *consequence.Source
	// filled is the digest of the organisation that the graph says last.
	filled string
}

// openAssets opens the graph and makes it say what the organisation says. A graph that is away
// stops nothing: the static map of zones answers, and it is filled when it is back.
func (n *Node) openAssets(ctx context.Context) (err error) {
	c := n.opts.Config.Graph
	n.assets.graph = sqlgraph.New(n.State)
	if c.URI != "" {
		n.assets.graph, err = neo4jgraph.Open(neo4jgraph.Config{
			URI: c.URI, Username: c.User, PasswordFile: c.PasswordFile, CAFile: c.CAFile, Plaintext: c.Plaintext, Database: c.Database,
		})
		if err != nil {
			return fmt.Errorf("open the asset graph: %w", err)
		}
		n.closers = append(n.closers, n.assets.graph.Close)
	}
	n.assets.source, err = consequence.New(consequence.Config{
		Graph: n.assets.graph, Names: func(tenant string) *asset.Resolver { return n.know.Load().org.Resolver(tenant) },
		Clock: n.opts.Clock, Log: n.opts.Log, Changed: n.graphChanged,
	})
	if err != nil {
		return err
	}
	if err := n.fillAssets(ctx); err != nil {
		n.opts.Log.Error("the asset graph is not filled; the zones of org.yaml answer", "error", err)
	}
	return nil
}

// fillAssets brings the organisation into the graph if it is not there yet.
func (n *Node) fillAssets(ctx context.Context) error {
	k := n.know.Load()
	if n.assets.filled == k.digest[partOrganisation] {
		return nil
	}
	tenants := k.org.Tenants()
	if !slices.Contains(tenants, n.opts.Config.Tenant) {
		tenants = append(tenants, n.opts.Config.Tenant)
	}
	for _, t := range tenants {
		if _, err := consequence.Fill(ctx, n.assets.graph, k.org, t, n.opts.Clock.Now()); err != nil {
			return err
		}
	}
	n.assets.filled = k.digest[partOrganisation]
	n.assets.source.Forget()
	return nil
}

// fillEvery is how soon the graph follows a changed organisation, or is filled after it was away.
const fillEvery = 2 * time.Second

func (n *Node) keepAssets(ctx context.Context) error {
	return n.every(ctx, "asset graph", fillEvery, n.fillAssets)
}

// places says where the hosts of an investigation stand, so that nothing acts where lives or
// equipment are at stake.
func (n *Node) places(inv *investigate.Investigation) respond.Places {
	return consequence.Places(n.know.Load().org.Resolver(inv.TenantID), inv.FirstSeen, inv.Evidence)
}

// graphChanged records that the graph went away, or is back. It is called inside a batch and must
// not wait.
func (n *Node) graphChanged(reason error) {
	kind, word := audit.DegradationExited, ""
	if reason != nil {
		kind, word = audit.DegradationEntered, reason.Error()
	}
	n.changes.note(func(ctx context.Context) error {
		var o audit.Object
		outcome, err := o.Str("level", "static_consequence").Str("reason", audit.Bounded(word)).Finish()
		if err != nil {
			return err
		}
		return n.Record(ctx, n.opts.Config.Tenant, []audit.Event{{
			Type: kind, Timestamp: n.opts.Clock.Now().UnixMicro(), Severity: audit.SeverityWarning, ActorType: audit.ActorSystem,
			ActorID: "consequence", SourceService: "orchestrator", Outcome: outcome,
		}})
	})
}
