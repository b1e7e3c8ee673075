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
	"github.com/aluskort/aluskort/internal/auth/mtls"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/doctor"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/gateway/models"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
	"github.com/aluskort/aluskort/internal/knowledge/taxonomy"
	"github.com/aluskort/aluskort/internal/orchestrate"
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
		doctor.Configuration(e.config, e.misconfigured), doctor.StateDir(root), doctor.Lock(root, doctor.Alive), doctor.Disk(root),
	}
	mend := "restore it from a backup if the disk is sound; `aluskort migrate` says more"
	if !e.config.Embedded() {
		mend = "see that the server runs, that this machine reaches it, and store.url and store.password_file; `aluskort migrate` makes the tables"
	}
	for _, d := range app.Databases() {
		list = append(list, doctor.Database(d.Name, mend, func(ctx context.Context) (store.DB, error) { return d.OpenReadOnly(ctx, &e.config) }))
	}
	if !e.config.Embedded() {
		list = append(list, doctor.Services(clock.System{}, func() (time.Time, error) { return identity(e) }))
	}
	return append(list,
		doctor.Objects(clock.System{}, func(ctx context.Context) doctor.ObjectStore { return objectStore(ctx, e) }),
		doctor.Investigations(func(ctx context.Context) (int64, bool, error) { return setAside(ctx, e) }),
		doctor.Chain(func(ctx context.Context, n int64) ([]audit.Report, error) { return chainReports(ctx, e, n) }),
		doctor.Topics(topicNames(), func(ctx context.Context) (*doctor.Bus, error) { return topicsOf(ctx, e) }),
		doctor.Rules(func() (doctor.RuleReport, error) { return ruleReport(e) }),
		doctor.Taxonomy(func(ctx context.Context) (string, int, bool, error) { return taxonomyReport(ctx, e) }),
		doctor.Indicators(clock.System{}, func(ctx context.Context) (int, []intel.Imported, error) { return intelReport(ctx, e) }),
		doctor.Clock(clock.System{}, thisProgram(), root),
		doctor.Address(e.config.Listen, func() (int, bool) {
			info, err := readServerInfo(root)
			return info.PID, err == nil && info.Address == e.config.Listen && doctor.Alive(info.PID)
		}),
	)
}

// identity says until when the certificate of this process is good.
func identity(e *env) (time.Time, error) {
	cfg := identityOf(e)
	if err := cfg.Check(); err != nil {
		return time.Time{}, err
	}
	i, err := mtls.Open(cfg)
	if err != nil {
		return time.Time{}, err
	}
	return i.Certificate().Leaf.NotAfter, nil
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

// stateReader opens the state database for reading; nil when it does not exist. Why it cannot be
// opened has a finding of its own.
func stateReader(ctx context.Context, e *env) (store.DB, error) {
	db, err := app.Databases()[0].OpenReadOnly(ctx, &e.config)
	if err != nil {
		return nil, errors.New("the state database cannot be opened")
	}
	return db, nil
}

// objectStore looks at the object store without writing to it. A folder is only looked for: opening
// it is for the server alone.
func objectStore(ctx context.Context, e *env) (s doctor.ObjectStore) {
	s.Place = app.ObjectPlace(&e.config)
	switch o := &e.config.Objects; {
	case !o.Elsewhere():
		return s
	case o.Dir != "":
		_, s.Trouble = os.Stat(o.Dir)
	default:
		opened, err := app.OpenObjects(ctx, &e.config, clock.System{})
		if err == nil {
			err = opened.Close()
		}
		s.Trouble = err
	}
	db, err := stateReader(ctx, e)
	if err != nil || db == nil {
		s.Uncounted = err
		return s
	}
	d, err := app.QueuedObjects(ctx, db)
	s.Objects, s.Bytes, s.Since = d.Objects, d.Bytes, d.Since
	s.Uncounted = errors.Join(err, db.Close())
	return s
}

func setAside(ctx context.Context, e *env) (n int64, known bool, err error) {
	db, err := stateReader(ctx, e)
	if err != nil || db == nil {
		return 0, false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	n, err = orchestrate.SetAside(ctx, db)
	return n, true, err
}

func chainReports(ctx context.Context, e *env, n int64) (reports []audit.Report, err error) {
	r, err := app.OpenAudit(ctx, &e.config)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, errors.New("the audit database cannot be opened")
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

// topicsOf reads the topics of a cluster, or of the embedded bus without starting it.
func topicsOf(ctx context.Context, e *env) (*doctor.Bus, error) {
	if e.config.Embedded() {
		return keptTopics(e.config.State)
	}
	out := &doctor.Bus{Place: strings.Join(e.config.Bus.Brokers, ", ")}
	b, err := bus.Open(ctx, app.BusConfig(&e.config, clock.System{}, e.log))
	if err != nil {
		return out, err
	}
	defer func() { _ = b.Close() }() // it only read
	list, err := b.List(ctx)
	for _, t := range list {
		if t.Exists {
			out.Names = append(out.Names, t.Topic.Name)
			for _, d := range t.Differences {
				out.Differences = append(out.Differences, t.Topic.Name+": "+d)
			}
		}
	}
	return out, err
}

func topicNames() []string {
	var names []string
	for _, t := range bus.Topics() {
		names = append(names, t.Name)
	}
	return names
}

// keptTopics reads what an embedded bus keeps of its topics; nil when there is none yet.
func keptTopics(root string) (*doctor.Bus, error) {
	path := filepath.Join(root, "bus", "topics.json")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // there is none
	}
	if err != nil {
		return nil, err
	}
	var kept struct {
		Topics []struct {
			Name    string            `json:"name"`
			Configs map[string]string `json:"configs"`
		} `json:"topics"`
	}
	if err := json.Unmarshal(b, &kept); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	table := map[string]bus.Topic{}
	for _, t := range bus.Topics() {
		table[t.Name] = t
	}
	out := &doctor.Bus{}
	for _, t := range kept.Topics {
		if strings.HasPrefix(t.Name, "__") { // the broker's own
			continue
		}
		out.Names = append(out.Names, t.Name)
		want, known := table[t.Name]
		have := t.Configs["retention.ms"]
		if ms := strconv.FormatInt(want.EmbeddedRetention.Milliseconds(), 10); known && want.EmbeddedRetention > 0 && have != ms {
			out.Differences = append(out.Differences, fmt.Sprintf("%s keeps records for %s ms instead of %s", t.Name, have, ms))
		}
	}
	return out, nil
}

func ruleReport(e *env) (doctor.RuleReport, error) {
	var folders []fs.FS
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

func taxonomyReport(ctx context.Context, e *env) (versions string, n int, isShipped bool, err error) {
	db, err := stateReader(ctx, e)
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
	db, err := stateReader(ctx, e)
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
