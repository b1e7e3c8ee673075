// Package app is the composition root: it opens the engines, wires the services in a straight
// line and starts and stops them. Only this package and the commands name concrete engines.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/asset"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/auditlog"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/consult"
	"github.com/aluskort/aluskort/internal/engine/blob"
	"github.com/aluskort/aluskort/internal/engine/blob/queue"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/engine/cache"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/fp"
	"github.com/aluskort/aluskort/internal/gateway"
	"github.com/aluskort/aluskort/internal/gateway/models"
	"github.com/aluskort/aluskort/internal/id"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/investigate/question"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
	"github.com/aluskort/aluskort/internal/knowledge/memory"
	"github.com/aluskort/aluskort/internal/orchestrate"
	"github.com/aluskort/aluskort/internal/orchestrate/priorstore"
	"github.com/aluskort/aluskort/internal/parse"
	"github.com/aluskort/aluskort/internal/pipeline"
	"github.com/aluskort/aluskort/internal/reason"
	"github.com/aluskort/aluskort/internal/reason/prior"
	"github.com/aluskort/aluskort/internal/respond"
	"github.com/aluskort/aluskort/internal/statedir"
)

// Options says what a Node is made of. Dir is required.
type Options struct {
	// Dir is the state directory; it is created and locked.
	Dir    string
	Config config.Config
	// Targets are the services to run, by name; none means all of them.
	Targets []string
	Clock   clock.Clock
	Log     *slog.Logger
	// CountDocumentation lets documentation addresses and names count as indicators: the demo's
	// attackers live there.
	CountDocumentation bool
	// Org describes the organisation; nil means that the configured file is read.
	Org *asset.Org
	// Unhurried asks models without sparing the provider's rates: for commands that end.
	Unhurried bool
	// ModelLatency is how long a simulated model takes to answer.
	ModelLatency time.Duration
	// BusDial opens the connections to the brokers of a cluster; nil dials TCP.
	BusDial func(ctx context.Context, network, address string) (net.Conn, error)
	// ModelTransport carries the calls of models; nil is the network.
	ModelTransport http.RoundTripper
	// objects opens the object store in tests, in place of that of the configuration.
	objects func(context.Context) (blob.Engine, error)
	// OnVerdict is told about every batch of verdicts once it is durable, and up to which number
	// the default tenant's audit events were emitted by then.
	OnVerdict func(out []orchestrate.Outcome, emitted int64)
	// OnAppended is told whenever audit events became durable.
	OnAppended func(auditlog.Appended)
}

// Node is the services of one process. What its targets do not need is nil: Audit without
// audit-service and api, Engine, Intel and Patterns without those that decide or show.
type Node struct {
	Registry *ingest.Registry
	Intake   *pipeline.Intake
	Engine   *orchestrate.Engine
	Audit    *auditlog.Service
	Bus      *bus.Bus
	State    store.DB
	Intel    *intel.Store
	Patterns *fp.Store

	// Gateway is the only way to a model; nil when none is configured.
	Gateway *gateway.Gateway

	revisions atomic.Int64
	models    *models.Models
	standing  standing
	assets    assets
	memory    *memory.Memory
	cache     cache.Cache // nil without one
	// background are loops of the parts that decide.
	background []stage
	ids        *id.Source
	// worker names this process in leases.
	worker  string
	consult *consult.Consultant
	changes changes
	// resting says that no model can be asked now; nil without models.
	resting func() bool

	opts       Options
	targets    []Target
	dir        *statedir.Dir
	blobs      blob.Engine
	queued     *queue.Queue // before blobs; nil where the store is a folder of the state directory
	thresholds reason.Thresholds
	auditDB    store.DB
	relay      *store.Relay
	emitter    *numbered
	stages     []stage
	flow       *flow
	precedence *pipeline.Precedence // of this process's loops and its intake
	// liveIntel is the index that the indicators source reads; Refresh swaps it.
	liveIntel  *intel.Live
	indicators indicators
	gate       *fp.Gate
	// know is what verdicts rest on. steady is held for reading while a batch is in work and for
	// writing while know changes; changing lets one change be prepared at a time.
	know     atomic.Pointer[knowledge]
	steady   sync.RWMutex
	changing sync.Mutex
	// reloaded is the last request to reload that was carried out here; changing guards it.
	reloaded int64
	// priors are those in force; judgements is what they are learned from.
	priors     *prior.Current
	judgements *priorstore.Store
	closers    []func() error
}

type stage struct {
	name  string
	run   func(context.Context) error
	ready func() bool
}

// Open opens every engine and builds the services; nothing runs until Run.
func Open(ctx context.Context, opts Options) (n *Node, err error) {
	if opts.Clock == nil {
		opts.Clock = clock.System{}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if err := opts.Config.Check(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	n = &Node{opts: opts, ids: id.NewSource(nil), flow: newFlow(), changes: changes{wake: make(chan struct{}, 1)}}
	if n.targets, err = chosen(opts.Targets); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
			n = nil
		}
	}()
	if n.dir, err = statedir.Open(opts.Dir); err != nil {
		return n, err
	}
	n.closers = append(n.closers, n.dir.Close)
	if err := n.openEngines(ctx); err != nil {
		return n, err
	}
	return n, n.build(ctx)
}

// Page caches of the databases. They are not on Go's heap.
const (
	stateCacheKiB   = 64 << 10
	auditCacheKiB   = 16 << 10
	readersCacheKiB = 2 * 4 * 4 << 10 // two databases, four readers each
	// programBytes is what the program itself has in memory.
	programBytes = 32 << 20
	// memoryBudget is what a node may have in RAM with a backlog (DESIGN 13).
	memoryBudget = 350 << 20
)

// HeapBudget is what remains of a node's memory for Go.
const HeapBudget = memoryBudget - programBytes - (stateCacheKiB+auditCacheKiB+readersCacheKiB)<<10

// openEngines opens the databases and the bus. They have nothing to do with each other, so
// they open at once.
func (n *Node) openEngines(ctx context.Context) error {
	var g errgroup.Group
	open := func(part need, fn func() error) {
		if n.has(part) {
			g.Go(fn)
		}
	}
	open(needState, func() (err error) {
		n.State, err = n.openDB(ctx, stateDatabase())
		return err
	})
	open(needAudit, func() (err error) {
		n.auditDB, err = n.openDB(ctx, auditDatabase())
		return err
	})
	g.Go(func() (err error) {
		cfg := BusConfig(n.config(), n.opts.Clock, n.opts.Log)
		cfg.Dial = n.opts.BusDial
		n.Bus, err = bus.Open(ctx, cfg)
		return err
	})
	err := g.Wait()
	if n.State != nil {
		n.closers = append(n.closers, n.State.Close)
	}
	if n.auditDB != nil {
		n.closers = append(n.closers, n.auditDB.Close)
	}
	if n.Bus != nil {
		n.closers = append(n.closers, n.Bus.Close)
	}
	return err
}

// openDB returns an untyped nil on error, so that the caller can tell.
func (n *Node) openDB(ctx context.Context, d Database) (store.DB, error) {
	db, err := d.open(ctx, n.config(), n.opts.Clock, n.ids, n.opts.Log, false)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", d.Place(n.config()), err)
	}
	return db, nil
}

// config is the configuration with the state directory that was opened.
func (n *Node) config() *config.Config {
	c := n.opts.Config
	c.State = n.opts.Dir
	return &c
}

// BusConfig is how a configuration reaches its bus: the embedded one in the state directory,
// or the cluster that it names.
func BusConfig(c *config.Config, clk clock.Clock, log *slog.Logger) bus.Config {
	out := bus.Config{Clock: clk, Logger: log}
	if c.Embedded() {
		out.Dir = filepath.Join(c.State, "bus")
		return out
	}
	out.Brokers, out.Replication = c.Bus.Brokers, int16(c.Bus.Replication)
	out.TLS, out.SASL = bus.TLS(c.Bus.TLS), bus.SASL(c.Bus.SASL)
	return out
}

func (n *Node) build(ctx context.Context) (err error) {
	if err := errors.Join(n.openObjects(ctx), n.openCache()); err != nil {
		return err
	}
	if n.Registry, err = newRegistry(n.opts.Config.Mappings); err != nil {
		return err
	}
	n.precedence = pipeline.NewPrecedence(n.opts.Clock)
	n.Intake = &pipeline.Intake{Bus: n.Bus, Blobs: n.blobs, Precedence: n.precedence}
	if share := n.opts.Config.Intake.Share; share > 0 {
		n.Intake.Shares = pipeline.NewShares(n.opts.Clock, share)
	}
	if n.has(needAudit) {
		if err := n.buildAudit(ctx); err != nil {
			return err
		}
	}
	if n.has(needState) {
		if err := n.buildState(); err != nil {
			return err
		}
	}
	if n.has(needEngine) {
		if err := n.buildEngine(ctx); err != nil {
			return err
		}
	}
	if n.has(needState) {
		// Of the processes that share a database, one publishes for all.
		n.stages = append(n.stages, stage{"outbox relay", n.relay.Run, always})
	}
	n.stages = append(n.stages, n.background...)
	if n.has(needEngine) && !n.opts.Config.Embedded() {
		n.stages = append(n.stages, stage{"changes of other processes", n.follow, always})
	}
	for _, t := range n.targets {
		if t.stages != nil {
			n.stages = append(n.stages, t.stages(n)...)
		}
	}
	return nil
}

func (n *Node) buildState() (err error) {
	// An embedded node is the only one on its database, in every life the same; of several processes
	// each is another.
	n.worker = n.State.Origin()
	if !n.opts.Config.Embedded() {
		if n.worker, err = n.ids.New(); err != nil {
			return err
		}
	}
	emitter, err := auditlog.NewEmitter(n.State.Origin())
	if err != nil {
		return err
	}
	n.emitter = &numbered{emitter: emitter}
	n.relay = store.NewRelay(n.State, pipeline.Publisher{Bus: n.Bus}, n.opts.Clock, store.RelayOptions{
		OnError: func(err error, attempt int) {
			n.opts.Log.Error("outbox not published", "attempt", attempt, "error", err)
		},
	})
	return nil
}

// stageOf is what every loop has in common.
func (n *Node) stageOf() pipeline.Stage {
	return pipeline.Stage{Bus: n.Bus, Clock: n.opts.Clock, Log: n.opts.Log, Record: n.Record, Owner: n.opts.Config.Tenant, Precedence: n.precedence}
}

// always is the readiness of a stage whose engines others look after.
func always() bool { return true }

func (n *Node) auditStages() []stage {
	months := func(ctx context.Context) error {
		return n.every(ctx, "months of the audit", 24*time.Hour, func(ctx context.Context) error {
			return auditlog.PrepareMonths(ctx, n.auditDB, n.opts.Clock.Now())
		})
	}
	auditor := &pipeline.Auditor{Stage: pipeline.Stage{Bus: n.Bus, Clock: n.opts.Clock, Log: n.opts.Log}, Chain: n.Audit}
	return []stage{{"audit-service", auditor.Run, auditor.Ready}, {"months of the audit", months, always}}
}

func (n *Node) orchestratorStages() []stage {
	o := &pipeline.Orchestrator{
		Stage: n.stageOf(), Engine: n.Engine, Steady: &n.steady, Blobs: n.blobs, Fields: n.Registry.Fields, OnDead: n.flow.dead,
		OnRevised: func(k int) { n.revisions.Add(int64(k)) },
	}
	out := []stage{
		{"patterns", n.watchPatterns, always},
		{"expiry of patterns", n.expirePatterns, always},
		{"priors", n.learn, always},
		{"orchestrator", o.Run, o.Ready},
	}
	if !n.has(needModels) && n.opts.Config.Models.Provider != "" {
		out = append(out, stage{"level of the models", n.followLevel, always})
	}
	return out
}

func (n *Node) parserStages() []stage {
	p := &pipeline.Parser{
		Stage: n.stageOf(), Entities: n.newParser(), Blobs: n.blobs, Fields: n.Registry.Fields, OnDead: n.flow.dead, Normalise: n.normalise,
	}
	return []stage{{"entity-parser", p.Run, p.Ready}}
}

// normalise makes an alert of native bytes that were refused once and sent back.
func (n *Node) normalise(raw []byte, source, tenant string) (alert.Alert, error) {
	return n.Registry.Normalise(ingest.Record{Raw: raw}, source, tenant, n.opts.Clock.Now())
}

func (n *Node) newParser() *parse.Parser {
	if n.opts.CountDocumentation || n.opts.Config.Parse.CountDocumentation {
		return parse.New(describe(n.Registry), parse.WithWarnings(parse.NewWarningLists(parse.CountDocumentation())))
	}
	return parse.New(describe(n.Registry))
}

// ImportIntel imports indicators and puts them into use at once.
func (n *Node) ImportIntel(ctx context.Context, tenant string, r io.Reader, o intel.Options) (intel.Report, error) {
	return liveIntel{n}.Import(ctx, tenant, r, o)
}

func (n *Node) buildAudit(ctx context.Context) (err error) {
	n.Audit, err = auditlog.New(auditlog.Config{
		DB: n.auditDB, Clock: n.opts.Clock, RejectedTenant: n.opts.Config.Tenant,
		StoreRejected: func(ctx context.Context, tenant, _ string, content []byte) (string, error) {
			return n.blobs.Put(ctx, tenant, content)
		},
		OnAlarm: func(err error) { n.opts.Log.Error("audit alarm", "error", err) },
	})
	if err != nil {
		return err
	}
	n.Audit.OnAppended(func(a auditlog.Appended) {
		n.flow.appended(a)
		if n.opts.OnAppended != nil {
			n.opts.OnAppended(a)
		}
	})
	if n.State == nil {
		return nil // nobody here waits for the chain
	}
	tenants, err := n.Audit.Tenants(ctx)
	if err != nil {
		return err
	}
	for _, t := range tenants {
		seq, err := n.Audit.OriginSequence(ctx, t, n.State.Origin())
		if err != nil {
			return err
		}
		n.flow.appended(auditlog.Appended{Tenant: t, Seq: seq})
	}
	return nil
}

func (n *Node) buildEngine(ctx context.Context) error {
	planner, err := respond.NewPlanner()
	if err != nil {
		return err
	}
	sources, err := n.openKnowledge(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(n.openAssets(ctx), n.openMemory()); err != nil {
		return err
	}
	sources = append(sources, n.assets.source, memory.NewSource(n.memory))
	n.background = append(n.background, stage{"asset graph", n.keepAssets, always}, stage{"changes of what decides", n.record, always})
	r := n.opts.Config.Reason
	n.thresholds = reason.DefaultThresholds()
	n.thresholds.Malicious, n.thresholds.Suspicious, n.thresholds.Benign, n.thresholds.MinBits = r.Malicious, r.Suspicious, r.Benign, r.MinBits
	if err := errors.Join(n.openPatterns(ctx), n.openPriors(ctx)); err != nil {
		return err
	}
	if n.has(needModels) {
		if err := n.openModels(ctx, planner); err != nil {
			return err
		}
	}
	n.Engine, err = orchestrate.New(orchestrate.Config{
		DB: n.State, Outbox: n.relay.Outbox(), Audit: n.emitter, Taxonomy: orchestrateTaxonomy{n}, Planner: planner,
		Sources: sources, Org: organisation{n}, Prior: n.priors.Prior, Judgements: n.judgements, ShortCircuit: orchestrate.ShortCircuit{Gate: n.gate, Store: n.Patterns}, Fields: n.Registry.Fields, Thresholds: n.thresholds, Window: n.opts.Config.Fold.Window.Std(),
		Consult: n.wanted(), Level: n.level, Places: n.places, Incidents: n.memory,
		Clock: n.opts.Clock, Log: n.opts.Log,
		OnCommit: func(out []orchestrate.Outcome) {
			n.flow.decided(len(out))
			if n.opts.OnVerdict != nil {
				n.opts.OnVerdict(out, n.emitter.last.Load())
			}
		},
	})
	return err
}

// patternsEvery is how often patterns and kill switches are read again: those set by another
// process take effect within it, and ones that cannot be read soon allow nothing.
const patternsEvery = 5 * time.Second

func (n *Node) openPatterns(ctx context.Context) (err error) {
	n.gate = &fp.Gate{Patterns: &fp.Matcher{}, Switches: &fp.Switches{}}
	n.Patterns, err = fp.NewStore(fp.Config{DB: n.State, Outbox: n.relay.Outbox(), Audit: n.emitter, Clock: n.opts.Clock, IDs: n.ids, Gate: n.gate, SystemTenant: n.opts.Config.Tenant, Hot: n.hotPatterns()})
	if err != nil {
		return err
	}
	if err := n.Patterns.Refresh(ctx, n.gate.Patterns, n.gate.Switches); err != nil {
		n.opts.Log.Error("patterns are not usable and close nothing", "error", err)
	}
	return nil
}

// every runs fn at once and then each period until ctx ends. An error of fn is logged.
func (n *Node) every(ctx context.Context, what string, period time.Duration, fn func(context.Context) error) error {
	for {
		if err := fn(ctx); err != nil && ctx.Err() == nil {
			n.opts.Log.Error("not up to date", "what", what, "error", err)
		}
		t := n.opts.Clock.NewTimer(period)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

// learnEvery is how often priors are fitted again; never per alert, so that verdicts of a day
// rest on one version.
const learnEvery = 24 * time.Hour

// learnTick is how often it is looked whether it is time.
const learnTick = time.Hour

func (n *Node) openPriors(ctx context.Context) error {
	n.priors, n.judgements = &prior.Current{}, priorstore.New(n.State)
	snapshot, err := n.judgements.Load(ctx)
	if errors.Is(err, prior.ErrDamaged) {
		n.opts.Log.Error("stored priors are damaged and are fitted again", "error", err)
		snapshot, err = n.judgements.Refit(ctx, n.opts.Clock.Now(), nil)
	}
	if err != nil {
		return err
	}
	n.priors.Replace(snapshot)
	return nil
}

// learn fits the priors once a day. Of several processes the first does it: the others take over
// what it learned.
func (n *Node) learn(ctx context.Context) error {
	began := n.opts.Clock.Now()
	return n.every(ctx, "priors", learnTick, func(ctx context.Context) error {
		now, last := n.opts.Clock.Now(), n.priors.Snapshot().FittedAt()
		if now.Sub(began) < learnEvery || now.Sub(last) < learnEvery {
			return nil // those of the last time were read at the start
		}
		_, err := n.refit(ctx, "")
		return err
	})
}

// NextQuestions lists the facts that would decide an investigation that is deferred, with
// queries in the language of its source.
func (n *Node) NextQuestions(inv *investigate.Investigation) []question.Question {
	language := ""
	if a, ok := n.Registry.Adapter(inv.Source); ok {
		language = a.Descriptor().QueryLanguage
	}
	return question.Ask(inv, n.thresholds, language)
}

// numbered adapts the audit emitter to the orchestrator.
type numbered struct {
	emitter *auditlog.Emitter
	// last is the highest number emitted by a transaction so far, also by one that failed.
	last atomic.Int64
}

func (e *numbered) Emit(tx store.Tx, tenant string, events []audit.Event) ([]store.Message, error) {
	b := e.emitter.NewBatch()
	for i := range events {
		if err := b.Add(tenant, &events[i]); err != nil {
			return nil, err
		}
	}
	msgs, tickets, err := e.emitter.Emit(tx, b)
	for _, t := range tickets {
		e.last.Store(t.Seq)
	}
	return msgs, err
}

func describe(r *ingest.Registry) func(string) *ingest.Descriptor {
	return func(source string) *ingest.Descriptor {
		if a, ok := r.Adapter(source); ok {
			return a.Descriptor()
		}
		return nil
	}
}

// Run runs all services until ctx ends or one fails; the error names the one.
func (n *Node) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range n.stages {
		g.Go(func() error {
			if err := s.run(ctx); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// NotReady lists the stages whose engines do not answer; empty means ready.
func (n *Node) NotReady() []string {
	var out []string
	for _, s := range n.stages {
		if !s.ready() {
			out = append(out, s.name)
		}
	}
	return out
}

// Offer puts alerts on the bus; nil means that they are acknowledged and will become verdicts.
func (n *Node) Offer(ctx context.Context, alerts []alert.Alert) error {
	if err := n.Intake.Offer(ctx, alerts); err != nil {
		return err
	}
	n.flow.offered(len(alerts))
	return nil
}

// Settled waits until every alert offered through this Node has a durable verdict (or lies in
// the dead letters) and all its audit events are in the chain.
func (n *Node) Settled(ctx context.Context) error {
	if err := n.flow.waitDecided(ctx); err != nil {
		return err
	}
	if err := n.drained(ctx); err != nil {
		return err
	}
	if err := errors.Join(n.revised(ctx), n.consulted(ctx), n.revised(ctx)); err != nil {
		return err
	}
	emitted, err := n.emitted(ctx)
	if err != nil {
		return err
	}
	return n.flow.waitAppended(ctx, emitted)
}

// drained waits until nothing is left on the way to a verdict, also of what an earlier process
// had offered.
func (n *Node) drained(ctx context.Context) error {
	for _, group := range []string{bus.GroupEntityParser, bus.GroupOrchestrator} {
		err := n.poll(ctx, func() (bool, error) {
			lag, err := n.Bus.Lag(ctx, group)
			left := int64(0)
			for _, k := range lag {
				left += k
			}
			return left == 0, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// poll asks every two milliseconds until the answer is yes.
func (n *Node) poll(ctx context.Context, done func() (bool, error)) error {
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		t := n.opts.Clock.NewTimer(2 * time.Millisecond)
		select {
		case <-ctx.Done():
			t.Stop()
			return context.Cause(ctx)
		case <-t.C:
		}
	}
}

// revised waits until no investigation is left whose neighbours changed.
func (n *Node) revised(ctx context.Context) error {
	return n.poll(ctx, func() (bool, error) {
		left, err := n.Engine.Dirty(ctx)
		return left == 0, err
	})
}

// consulted waits until every question to a model was answered, or was tried and has to wait.
func (n *Node) consulted(ctx context.Context) error {
	return n.poll(ctx, func() (bool, error) {
		if n.resting == nil || n.resting() {
			return true, nil
		}
		left, err := n.Engine.Consulting(ctx)
		return !left, err
	})
}

// Revisions tells how many verdicts were revised after their first.
func (n *Node) Revisions() int { return int(n.revisions.Load()) }

// DeadLetters tells how many of the alerts offered went to the dead letters.
func (n *Node) DeadLetters() int { return n.flow.deadLetters() }

// Close stops everything that Open started, in reverse order. Run must have returned. Safe to
// call twice.
func (n *Node) Close() error {
	var errs []error
	for _, c := range slices.Backward(n.closers) {
		errs = append(errs, c())
	}
	n.closers = nil
	return errors.Join(errs...)
}
