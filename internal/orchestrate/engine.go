package orchestrate

import (
	"errors"
	"log/slog"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/reason"
	"github.com/aluskort/aluskort/internal/reason/prior"
	"github.com/aluskort/aluskort/internal/respond"
)

// Emitter numbers audit events of one tenant inside the transaction of their cause and
// returns the messages that carry them to the audit-service.
type Emitter interface {
	Emit(tx store.Tx, tenant string, events []audit.Event) ([]store.Message, error)
}

// Taxonomy knows which technique ids exist.
type Taxonomy interface {
	// Resolve splits ids into techniques that exist and ids that do not.
	Resolve(ids []string) (known []investigate.Technique, unknown []string)
}

// Organisation is what the engine asks about the customer's own assets.
type Organisation interface {
	// Adjust raises or lowers the severity of the source by one step, by what the assets are
	// worth, with the reason; without one it returns the severity as it is.
	Adjust(tenant string, source alert.Severity, entities []alert.Entity, at time.Time) (alert.Severity, string)
	// CommonLink reports whether a key is shared by many who have nothing to do with each other:
	// the address of a proxy, a gateway or a scanner.
	CommonLink(tenant string, kind alert.LinkKind, value string) bool
	// LinkValue and Canonical return a link key and a value of the alert with the host or account
	// in it named by its identity; what the organisation does not know stays as it is written.
	LinkValue(tenant string, l *alert.Link, a *alert.Alert) string
	Canonical(tenant, value string, a *alert.Alert) string
	// Owner names the host or account that an entity stands for, whatever it is called; ok is
	// false for what is no one's.
	Owner(tenant string, e *alert.Entity, at time.Time) (name string, ok bool)
	// Classes are the classes that every host of an alert has; nil when nothing is known.
	Classes(tenant string, entities []alert.Entity, at time.Time) []string
}

// Judgements keeps what people decided.
type Judgements interface {
	Record(tx store.Tx, j prior.Judgement) error
}

// Config is what an Engine is made of. DB, Outbox, Audit, Taxonomy, Planner and Fields are required.
type Config struct {
	DB       store.DB
	Outbox   *store.Outbox
	Audit    Emitter
	Taxonomy Taxonomy
	Planner  *respond.Planner
	// Places says where the hosts of an investigation stand, so that nothing acts where lives or
	// equipment are at stake; nil confines nothing.
	Places func(inv *investigate.Investigation) respond.Places
	// Sources gather evidence; each may fail without stopping the others.
	Sources []evidence.Source
	// Prior is asked for the prior of an analytic; nil takes that of the severity.
	Prior      func(tenant, source, analytic string, s alert.Severity) reason.Prior
	Thresholds reason.Thresholds
	// Judgements keeps people's verdicts, from which priors are learned; nil keeps none.
	Judgements Judgements
	// Incidents remembers how investigations ended; nil remembers nothing.
	Incidents Incidents
	// Org may be nil: then severities stay and every key links.
	Org Organisation
	// ShortCircuit closes what approved patterns fit; the zero value closes nothing.
	ShortCircuit ShortCircuit
	// Consult says about which verdicts a model is asked; nil asks about none.
	Consult func(inv *investigate.Investigation) bool
	// Level is how able the product is now; nil is always fully.
	Level func() investigate.Degradation
	// Fields flattens native bytes the way the adapter of that source does. Required.
	Fields func(source string, raw []byte) (alert.Fields, error)
	// Window is the length of the folding window; 0 means an hour.
	Window time.Duration
	Clock  clock.Clock
	Log    *slog.Logger
	// OnCommit is told what became of each message of a batch after the commit is durable.
	OnCommit func([]Outcome)
}

// Engine runs investigations. It is safe for concurrent use; batches of one partition are to
// be processed in order, by one caller.
type Engine struct {
	cfg   Config
	db    store.DB
	codec *codec
	turn  turn // of the queues of jobs

	selectJobs string
}

// New checks the configuration and returns an engine.
func New(cfg Config) (*Engine, error) {
	if cfg.DB == nil || cfg.Outbox == nil || cfg.Audit == nil || cfg.Taxonomy == nil || cfg.Planner == nil || cfg.Fields == nil {
		return nil, errors.New("orchestrate: database, outbox, audit, taxonomy, planner and fields are required")
	}
	if cfg.Prior == nil {
		cfg.Prior = func(_, _, _ string, s alert.Severity) reason.Prior { return reason.SeverityPrior(s) }
	}
	if cfg.Level == nil {
		cfg.Level = func() investigate.Degradation { return investigate.FullCapability }
	}
	if cfg.Thresholds == (reason.Thresholds{}) {
		cfg.Thresholds = reason.DefaultThresholds()
	}
	if cfg.Window <= 0 {
		cfg.Window = investigate.DefaultWindow
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.System{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	return &Engine{cfg: cfg, db: cfg.DB, codec: c, selectJobs: selectJobs + store.SkipLocked(cfg.DB.Dialect())}, nil
}
