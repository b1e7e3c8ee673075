package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/doctor"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/sqlite"
	"github.com/aluskort/aluskort/internal/gateway/models"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
	"github.com/aluskort/aluskort/internal/knowledge/taxonomy"
	"github.com/aluskort/aluskort/internal/orchestrate"
	shipped "github.com/aluskort/aluskort/rules"
)

type doctorCmd struct {
	JSON   bool `name:"json" help:"Print JSON."`
	Models bool `name:"models" help:"Ask the configured models a few harmless questions, which costs some thousand tokens."`
}

// Run examines the installation. It changes nothing, takes no lock and starts no broker, so it
// works beside a running server.
func (c *doctorCmd) Run(e *env) error {
	found := doctor.Run(e.ctx, append(checks(e), doctor.Models(func(ctx context.Context) (doctor.ModelReport, error) { return modelReport(ctx, e, c.Models) })))
	write := doctor.Write
	if c.JSON {
		write = doctor.WriteJSON
	}
	if err := write(e.stdout, found); err != nil {
		return err
	}
	if doctor.Failed(found) {
		return errFindings
	}
	return nil
}

// thisProgram is a time before which no machine that runs it can be.
func thisProgram() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

func checks(e *env) []doctor.Check {
	root := e.config.State
	list := []doctor.Check{
		doctor.Configuration(e.config), doctor.StateDir(root), doctor.Lock(root, doctor.Alive), doctor.Disk(root),
	}
	for _, d := range databases() {
		list = append(list, doctor.Database(d.name, func(ctx context.Context) (store.DB, error) { return openReadOnly(ctx, root, d.name) }))
	}
	return append(list,
		doctor.Investigations(func(ctx context.Context) (int64, bool, error) { return setAside(ctx, root) }),
		doctor.Chain(func(ctx context.Context, n int64) ([]audit.Report, error) { return chainReports(ctx, root, n) }),
		doctor.Topics(topicNames(), func() (names, differences []string, err error) { return existingTopics(root) }),
		doctor.Rules(func() (doctor.RuleReport, error) { return ruleReport(e) }),
		doctor.Taxonomy(func(ctx context.Context) (string, int, bool, error) { return taxonomyReport(ctx, root) }),
		doctor.Indicators(clock.System{}, func(ctx context.Context) (int, []intel.Imported, error) { return intelReport(ctx, e) }),
		doctor.Clock(clock.System{}, thisProgram(), root),
		doctor.Address(e.config.Listen, func() (int, bool) {
			info, err := readServerInfo(root)
			return info.PID, err == nil && info.Address == e.config.Listen && doctor.Alive(info.PID)
		}),
	)
}

// modelReport reads what the configuration says of models in a state of its own and, if told to,
// asks them.
func modelReport(_ context.Context, e *env, ask bool) (r doctor.ModelReport, err error) {
	if r.Provider = e.config.Models.Provider; r.Provider == "" {
		return r, nil
	}
	r.Probed, r.Unfit = ask, map[string]string{}
	err = withModels(e, true, func(ctx context.Context, n *app.Node) error {
		status, _, err := n.ModelStatus(ctx)
		if err != nil || !ask {
			return err
		}
		r.Notes = status.Warnings
		n.ProbeModels(ctx, func(f *models.Fitness) {
			name := f.Provider + "/" + f.Model
			if f.Fit() {
				r.Fit = append(r.Fit, name)
				return
			}
			for _, k := range f.Checks {
				if k.Outcome != "pass" {
					r.Unfit[name] = k.Name + ": " + k.Detail
					return
				}
			}
		})
		return nil
	})
	return r, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// openReadOnly returns nil for a database that does not exist.
func openReadOnly(ctx context.Context, root, name string) (store.DB, error) {
	path := filepath.Join(root, "db", name+".db")
	if !exists(path) {
		return nil, nil
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path, ReadOnly: true, Clock: clock.System{}})
	if err != nil {
		return nil, err // a nil *DB must not become a store.DB that is not nil
	}
	return db, nil
}

func setAside(ctx context.Context, root string) (n int64, known bool, err error) {
	db, err := openReadOnly(ctx, root, "state")
	if err != nil || db == nil {
		return 0, false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	n, err = orchestrate.SetAside(ctx, db)
	return n, true, err
}

func chainReports(ctx context.Context, root string, n int64) (reports []audit.Report, err error) {
	if !exists(filepath.Join(root, "db", "audit.db")) {
		return nil, nil
	}
	r, err := app.OpenAudit(ctx, root)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	tenants, err := r.Service.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tenants {
		rep, err := r.Service.VerifyTail(ctx, t, n)
		if err != nil {
			return nil, err
		}
		reports = append(reports, rep)
	}
	return reports, nil
}

func topicNames() []string {
	var names []string
	for _, t := range bus.Topics() {
		names = append(names, t.Name)
	}
	return names
}

// existingTopics reads what an embedded bus keeps of its topics: names and settings.
func existingTopics(root string) (names, differences []string, err error) {
	path := filepath.Join(root, "bus", "topics.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var kept struct {
		Topics []struct {
			Name    string            `json:"name"`
			Configs map[string]string `json:"configs"`
		} `json:"topics"`
	}
	if err := json.Unmarshal(b, &kept); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	table := map[string]bus.Topic{}
	for _, t := range bus.Topics() {
		table[t.Name] = t
	}
	for _, t := range kept.Topics {
		if strings.HasPrefix(t.Name, "__") { // the broker's own
			continue
		}
		names = append(names, t.Name)
		want, known := table[t.Name]
		have := t.Configs["retention.ms"]
		if ms := strconv.FormatInt(want.EmbeddedRetention.Milliseconds(), 10); known && want.EmbeddedRetention > 0 && have != ms {
			differences = append(differences, fmt.Sprintf("%s keeps records for %s ms instead of %s", t.Name, have, ms))
		}
	}
	return names, differences, nil
}

func ruleReport(e *env) (doctor.RuleReport, error) {
	folders := []fs.FS{shipped.FS}
	for _, dir := range append([]string{filepath.Join(e.config.State, "rules")}, e.config.Rules.Dirs...) {
		if exists(dir) {
			folders = append(folders, os.DirFS(dir))
		}
	}
	registry, err := app.Registry(&e.config)
	if err != nil {
		return doctor.RuleReport{}, err
	}
	weights, err := app.LoadWeights(e.config.Reason.Weights)
	if err != nil {
		return doctor.RuleReport{}, err
	}
	src, err := app.LoadRules(folders, nil, weights, func(source string) map[string][]string {
		if a, ok := registry.Adapter(source); ok {
			return a.Descriptor().Fields
		}
		return nil
	})
	if err != nil {
		return doctor.RuleReport{}, err
	}
	rep := doctor.RuleReport{Used: src.Len()}
	for _, p := range src.Problems() {
		rep.Problems = append(rep.Problems, inert(fmt.Sprint(p), 200))
	}
	return rep, nil
}

func taxonomyReport(ctx context.Context, root string) (versions string, n int, isShipped bool, err error) {
	db, err := openReadOnly(ctx, root, "state")
	if err != nil {
		return "", 0, false, err
	}
	if db == nil {
		t, err := taxonomy.Shipped()
		if err != nil {
			return "", 0, false, err
		}
		return t.Version(), t.Len(), true, nil
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s, err := app.TaxonomyStatus(ctx, db)
	return taxonomy.Versions(s.Versions).String(), s.Techniques, s.Shipped, err
}

func intelReport(ctx context.Context, e *env) (n int, imports []intel.Imported, err error) {
	db, err := openReadOnly(ctx, e.config.State, "state")
	if err != nil || db == nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s := intel.NewStore(db)
	if imports, err = s.Imports(ctx, e.config.Tenant, 100); err != nil || len(imports) == 0 {
		return 0, nil, err
	}
	x, err := s.Index(ctx, time.Now())
	if err != nil {
		return 0, nil, err
	}
	return x.Len(), imports, nil
}
