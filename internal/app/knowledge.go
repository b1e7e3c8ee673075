package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/asset"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/ingest/adapters"
	"github.com/aluskort/aluskort/internal/ingest/generic"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
	"github.com/aluskort/aluskort/internal/knowledge/taxonomy"
	"github.com/aluskort/aluskort/internal/reason/rules"
	shipped "github.com/aluskort/aluskort/rules"
)

// newRegistry returns the registry of every adapter that this build has, and of the sources
// that the mapping files describe.
func newRegistry(mappings []string) (*ingest.Registry, error) {
	all := adapters.All()
	for _, path := range mappings {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("mapping: %w", err)
		}
		a, err := generic.Load(f, path)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return ingest.New(all...), nil
}

// knowledge is what the engine knows.
type knowledge struct {
	taxonomy orchestrateTaxonomy
	sources  []evidence.Source
}

// RuleReport says which evidence rules are in use and which are not, and why.
type RuleReport struct {
	Used     int
	Problems []rules.Problem
}

func (n *Node) openKnowledge(ctx context.Context) (*knowledge, error) {
	tax, err := taxonomy.Shipped()
	if err != nil {
		return nil, err
	}
	store := taxonomy.NewStore(n.State)
	if tax, err = store.Load(ctx, tax); err != nil {
		return nil, err
	}
	if err := n.openOrganisation(); err != nil {
		return nil, err
	}
	ruleSource, err := n.loadRules()
	if err != nil {
		return nil, err
	}
	n.Rules = RuleReport{Used: ruleSource.Len(), Problems: ruleSource.Problems()}
	n.Intel, n.liveIntel = intel.NewStore(n.State), intel.NewLive()
	if err := n.Intel.Refresh(ctx, n.liveIntel, n.opts.Clock.Now()); err != nil {
		return nil, err
	}
	return &knowledge{taxonomy: orchestrateTaxonomy{tax}, sources: []evidence.Source{ruleSource, intel.NewSource(n.liveIntel)}}, nil
}

// openOrganisation reads the description of the organisation; without one nothing is known of it.
func (n *Node) openOrganisation() error {
	if n.org = n.opts.Org; n.org != nil {
		return nil
	}
	path, named := n.opts.Config.Org, n.opts.Config.Org != ""
	if !named {
		path = n.dir.Path("org.yaml")
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		n.org = &asset.Org{}
		return nil
	}
	if err != nil {
		return fmt.Errorf("organisation: %w", err)
	}
	n.org, err = asset.Load(f, path)
	return errors.Join(err, f.Close())
}

// organisation adapts the description of the organisation to the orchestrator.
type organisation struct{ org *asset.Org }

func (o organisation) Adjust(tenant string, s alert.Severity, entities []alert.Entity, at time.Time) (alert.Severity, string) {
	return o.org.Resolver(tenant).Adjust(s, entities, at)
}

func (o organisation) CommonLink(tenant string, kind alert.LinkKind, value string) bool {
	return o.org.Resolver(tenant).CommonLink(kind, value)
}

func (o organisation) LinkValue(tenant string, l *alert.Link, a *alert.Alert) string {
	return o.org.Resolver(tenant).LinkValue(l, a)
}

func (o organisation) Canonical(tenant, value string, a *alert.Alert) string {
	return o.org.Resolver(tenant).Canonical(value, a)
}

func (o organisation) Owner(tenant string, e *alert.Entity, at time.Time) (string, bool) {
	return o.org.Resolver(tenant).Owner(e, at)
}

func (n *Node) loadRules() (*rules.Source, error) {
	folders := []fs.FS{shipped.FS, os.DirFS(n.dir.Path("rules"))}
	for _, d := range n.opts.Config.Rules.Dirs {
		folders = append(folders, os.DirFS(d))
	}
	return LoadRules(folders, n.org, func(source string) map[string][]string {
		if a, ok := n.Registry.Adapter(source); ok {
			return a.Descriptor().Fields
		}
		return nil
	})
}

// LoadRules loads the rules of all folders into one source. What cannot be used is among the
// source's problems; the error is only for a folder that cannot be read.
func LoadRules(folders []fs.FS, org rules.Org, fields func(string) map[string][]string) (*rules.Source, error) {
	cfg := rules.Config{Fields: fields, Org: org}
	for i, f := range folders {
		list, problems, err := rules.Load(f)
		if err != nil {
			return nil, fmt.Errorf("rule folder %d: %w", i+1, err)
		}
		cfg.Rules = append(cfg.Rules, list...)
		cfg.Problems = append(cfg.Problems, problems...)
	}
	return rules.New(cfg), nil
}

// orchestrateTaxonomy adapts the taxonomy to the orchestrator.
type orchestrateTaxonomy struct{ t *taxonomy.Taxonomy }

func (o orchestrateTaxonomy) Resolve(ids []string) ([]investigate.Technique, []string) {
	if len(ids) == 0 {
		return nil, nil
	}
	known, unknown := o.t.Resolve(ids)
	out := make([]investigate.Technique, len(known))
	for i, k := range known {
		out[i] = investigate.Technique{ID: k.ID, Name: k.Name, Confidence: 1}
	}
	return out, unknown
}
