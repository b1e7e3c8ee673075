package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/asset"
	"github.com/aluskort/aluskort/internal/engine/cache/memory"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/ingest/adapters"
	"github.com/aluskort/aluskort/internal/ingest/generic"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
	"github.com/aluskort/aluskort/internal/knowledge/taxonomy"
	"github.com/aluskort/aluskort/internal/reason/rules"
	"github.com/aluskort/aluskort/internal/reason/weight"
	"github.com/aluskort/aluskort/internal/sigma"
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

// RuleReport says which evidence rules are in use and which are not, and why.
type RuleReport struct {
	Used     int
	Problems []rules.Problem
}

// Rules says which evidence rules are in use now.
func (n *Node) Rules() RuleReport {
	k := n.know.Load()
	return RuleReport{Used: k.rules.Len(), Problems: k.rules.Problems()}
}

// knowledge is what verdicts rest on beside the alerts, as files and imports say it. It is
// immutable; Reload puts another in its place between two batches.
type knowledge struct {
	taxonomy *taxonomy.Taxonomy
	org      *asset.Org
	rules    *rules.Source
	// digest identifies the content of each part, by its name.
	digest map[string]string
}

// files identifies the content of the parts that are files.
func (k *knowledge) files() string {
	h := sha256.New()
	for _, part := range [...]string{partOrganisation, partRules} {
		fmt.Fprintf(h, "%q %q\n", part, k.digest[part])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// The parts of knowledge, as audit records name them.
const (
	partTaxonomy     = "taxonomy"
	partOrganisation = "organisation"
	partRules        = "rules"
)

// openKnowledge reads what the engine knows and returns its sources of evidence.
func (n *Node) openKnowledge(ctx context.Context) ([]evidence.Source, error) {
	last, err := n.lastReload(ctx) // before the files: what is asked for later is done later
	if err != nil {
		return nil, err
	}
	k, err := n.readKnowledge(ctx)
	if err != nil {
		return nil, err
	}
	n.know.Store(k)
	n.reloaded = last.seq
	if err := n.openIntel(ctx); err != nil {
		return nil, err
	}
	return []evidence.Source{liveRules{n}, n.indicators}, nil
}

// indicators says which values are known to be malicious, to the batch path and one by one.
type indicators interface {
	evidence.Source
	Lookup(ctx context.Context, tenant string, t alert.IndicatorType, value string, at time.Time) (intel.Hit, bool, error)
}

// askedBytes is how much a process keeps of what it asked the database, where there is no cache.
const askedBytes = 64 << 20

func (n *Node) openIntel(ctx context.Context) (err error) {
	n.Intel = intel.NewStore(n.State)
	if n.opts.Config.Intel.Lookup != "database" {
		n.liveIntel = intel.NewLive()
		n.indicators = intel.NewSource(n.liveIntel)
		return n.Intel.Refresh(ctx, n.liveIntel, n.opts.Clock.Now())
	}
	var hot intel.Hot = n.cache
	if n.cache == nil {
		own, err := memory.New(memory.Config{Bytes: askedBytes, Clock: n.opts.Clock})
		if err != nil {
			return err
		}
		n.closers = append(n.closers, own.Close)
		hot = own
	}
	n.liveIntel = intel.NewResident()
	if n.indicators, err = intel.NewRemote(ctx, n.Intel, n.liveIntel, hot, n.opts.Clock); err != nil {
		return err
	}
	return n.Intel.Refresh(ctx, n.liveIntel, n.opts.Clock.Now())
}

// readKnowledge reads everything anew and changes nothing.
func (n *Node) readKnowledge(ctx context.Context) (*knowledge, error) {
	k := &knowledge{digest: map[string]string{}}
	var err error
	if k.taxonomy, err = n.readTaxonomy(ctx); err != nil {
		return nil, err
	}
	k.digest[partTaxonomy] = taxonomyDigest(k.taxonomy)
	if k.org, k.digest[partOrganisation], err = n.readOrganisation(); err != nil {
		return nil, err
	}
	folders := []fs.FS{os.DirFS(n.dir.Path("rules"))}
	for _, d := range n.opts.Config.Rules.Dirs {
		folders = append(folders, os.DirFS(d))
	}
	before, err := digestOf(folders)
	if err != nil {
		return nil, err
	}
	weights, err := LoadWeights(n.opts.Config.Reason.Weights)
	if err != nil {
		return nil, err
	}
	k.rules, err = LoadRules(folders, k.org, weights, func(source string) map[string][]string {
		if a, ok := n.Registry.Adapter(source); ok {
			return a.Descriptor().Fields
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if k.digest[partRules], err = digestOf(folders); err == nil && k.digest[partRules] != before {
		err = errors.New("rule folders changed while they were read; try again")
	}
	return k, err
}

func (n *Node) readTaxonomy(ctx context.Context) (*taxonomy.Taxonomy, error) {
	tax, err := taxonomy.Shipped()
	if err != nil {
		return nil, err
	}
	return taxonomy.NewStore(n.State).Load(ctx, tax)
}

// taxonomyDigest identifies which techniques there are and what they are called.
func taxonomyDigest(t *taxonomy.Taxonomy) string {
	h := sha256.New()
	for _, x := range t.All() {
		fmt.Fprintf(h, "%q %q %v\n", x.ID, x.Name, x)
	}
	for _, part := range slices.Sorted(maps.Keys(t.Versions())) {
		fmt.Fprintf(h, "%q %q\n", part, t.Versions()[part])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// digestOf identifies the content of the rule files of folders.
func digestOf(folders []fs.FS) (string, error) {
	h := sha256.New()
	for i, f := range folders {
		err := fs.WalkDir(f, ".", func(name string, d fs.DirEntry, err error) error {
			if ext := path.Ext(name); err != nil || d.IsDir() || ext != ".yml" && ext != ".yaml" {
				return err
			}
			b, err := fs.ReadFile(f, name)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(b)
			fmt.Fprintf(h, "%d %q %x\n", i, name, sum)
			return nil
		})
		if err != nil {
			return "", fmt.Errorf("rule folder %d: %w", i+1, err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// readOrganisation reads the description of the organisation and its digest; without one
// nothing is known of it.
func (n *Node) readOrganisation() (*asset.Org, string, error) {
	if n.opts.Org != nil {
		return n.opts.Org, "", nil
	}
	file, named := n.opts.Config.Org, n.opts.Config.Org != ""
	if !named {
		file = n.dir.Path("org.yaml")
	}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return &asset.Org{}, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("organisation: %w", err)
	}
	h := sha256.New()
	org, err := asset.Load(io.TeeReader(f, h), file)
	return org, hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
}

// liveRules asks the rules in force.
type liveRules struct{ n *Node }

// Name implements evidence.Source.
func (l liveRules) Name() string { return l.n.know.Load().rules.Name() }

// Gather implements evidence.Source.
func (l liveRules) Gather(ctx context.Context, subjects []evidence.Subject) ([]evidence.Finding, error) {
	return l.n.know.Load().rules.Gather(ctx, subjects)
}

// organisation adapts the description of the organisation in force to the orchestrator.
type organisation struct{ n *Node }

func (o organisation) resolver(tenant string) *asset.Resolver {
	return o.n.know.Load().org.Resolver(tenant)
}

func (o organisation) Adjust(tenant string, s alert.Severity, entities []alert.Entity, at time.Time) (alert.Severity, string) {
	return o.resolver(tenant).Adjust(s, entities, at)
}

func (o organisation) CommonLink(tenant string, kind alert.LinkKind, value string) bool {
	return o.resolver(tenant).CommonLink(kind, value)
}

func (o organisation) Classes(tenant string, entities []alert.Entity, at time.Time) []string {
	return o.n.know.Load().org.Classes(tenant, entities, at)
}

func (o organisation) LinkValue(tenant string, l *alert.Link, a *alert.Alert) string {
	return o.resolver(tenant).LinkValue(l, a)
}

func (o organisation) Canonical(tenant, value string, a *alert.Alert) string {
	return o.resolver(tenant).Canonical(value, a)
}

func (o organisation) Owner(tenant string, e *alert.Entity, at time.Time) (string, bool) {
	return o.resolver(tenant).Owner(e, at)
}

// LoadWeights reads a file of fitted weights; an empty path means none. A file that is not within
// the bounds of fitting is an error: a product that half believes it would surprise.
func LoadWeights(path string) (*weight.Table, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // no table is a table without weights
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reason.weights: %w", err)
	}
	t, err := weight.Read(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("reason.weights: %s: %w", path, err)
	}
	return t, nil
}

// ruleSet is what a folder holds.
type ruleSet struct {
	rules    []*sigma.Rule
	problems []rules.Problem
}

// shippedRules are those of the program, read once: reading them is most of a start, and a rule
// that was read is never changed.
var shippedRules = sync.OnceValues(func() (ruleSet, error) { return readRules(shipped.FS) })

func readRules(folder fs.FS) (s ruleSet, err error) {
	s.rules, s.problems, err = rules.Load(folder)
	return s, err
}

// LoadRules makes one source of the rules that ship and those of the operator's folders. What cannot
// be used is among the source's problems; the error is only for a folder that cannot be read.
func LoadRules(folders []fs.FS, org rules.Org, weights *weight.Table, fields func(string) map[string][]string) (*rules.Source, error) {
	set, err := shippedRules()
	if err != nil {
		return nil, err
	}
	cfg := rules.Config{Rules: slices.Clip(set.rules), Problems: slices.Clip(set.problems), Fields: fields, Org: org, Weights: weights}
	for i, f := range folders {
		if set, err = readRules(f); err != nil {
			return nil, fmt.Errorf("rule folder %d: %w", i+1, err)
		}
		cfg.Rules = append(cfg.Rules, set.rules...)
		cfg.Problems = append(cfg.Problems, set.problems...)
	}
	return rules.New(cfg), nil
}

// orchestrateTaxonomy adapts the taxonomy in force to the orchestrator.
type orchestrateTaxonomy struct{ n *Node }

func (o orchestrateTaxonomy) Resolve(ids []string) ([]investigate.Technique, []string) {
	if len(ids) == 0 {
		return nil, nil
	}
	known, unknown := o.n.know.Load().taxonomy.Resolve(ids)
	out := make([]investigate.Technique, len(known))
	for i, k := range known {
		out[i] = investigate.Technique{ID: k.ID, Name: k.Name, Confidence: 1}
	}
	return out, unknown
}
