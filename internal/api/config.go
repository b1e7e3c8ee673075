package api

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/fp"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/investigate/question"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
	"github.com/aluskort/aluskort/internal/ops"
	"github.com/aluskort/aluskort/internal/orchestrate"
	"github.com/aluskort/aluskort/internal/reason/prior"
)

// Investigations is what the API needs of the orchestrator. Errors are orchestrate.ErrNotFound,
// ErrConflict and ErrInvalid, or those of an engine.
type Investigations interface {
	Get(ctx context.Context, tenant, id string) (*investigate.Investigation, error)
	List(ctx context.Context, tenant string, f orchestrate.Filter) ([]orchestrate.Summary, int64, error)
	Alerts(ctx context.Context, tenant, id string, fn func(*alert.Message) bool) error
	Approve(ctx context.Context, tenant, id string, d orchestrate.HumanDecision) (*investigate.Investigation, error)
	Reject(ctx context.Context, tenant, id string, d orchestrate.HumanDecision) (*investigate.Investigation, error)
	Conclude(ctx context.Context, tenant, id string, c evidence.Classification, d orchestrate.HumanDecision) (*investigate.Investigation, error)
}

// Verifier checks tokens: token.Store in production.
type Verifier interface {
	Verify(secret string) (token.Record, error)
}

// Letter is a record that the intake refused, with its native bytes.
type Letter struct {
	Tenant, Source string
	Raw            []byte
	// Reason is a short code for grouping, Text what is wrong, where and how to mend it.
	Reason, Text string
}

// Intel is the store of indicators.
type Intel interface {
	// Import keeps the indicators of a file and puts them into use.
	Import(ctx context.Context, tenant string, r io.Reader, o intel.Options) (intel.Report, error)
	Imports(ctx context.Context, tenant string, limit int) ([]intel.Imported, error)
	// Len is the number of indicators in use.
	Len() int
}

// Techniques is the taxonomy.
type Techniques interface {
	// Import keeps the techniques of a file of MITRE and puts them into use; by is who asked.
	Import(ctx context.Context, r io.Reader, version, by string) (TaxonomyPart, error)
	Status(ctx context.Context) (TaxonomyStatus, error)
}

// Priors are what was learned from people's verdicts.
type Priors interface {
	// Priors are those of the tenant that are in force.
	Priors(tenant string) PriorList
	// Refit learns again from all verdicts and puts the result into force; by is who asked.
	Refit(ctx context.Context, tenant, by string) (PriorList, error)
}

// PriorList is the learned priors of a tenant.
type PriorList struct {
	// Version identifies the snapshot; verdicts name it.
	Version  string          `json:"version"`
	FittedAt time.Time       `json:"fitted_at,omitzero"`
	Priors   []prior.Learned `json:"priors"`
}

// TaxonomyPart is what an import of a file brought.
type TaxonomyPart struct {
	Part       string   `json:"part"`
	Version    string   `json:"version"`
	Techniques int      `json:"techniques"`
	Refused    []string `json:"refused,omitempty"`
}

// TaxonomyStatus says which techniques are known.
type TaxonomyStatus struct {
	Versions   map[string]string `json:"versions"`
	Techniques int               `json:"techniques"`
	Shipped    bool              `json:"shipped"` // nothing was imported
}

// Config is what an API is made of. Registry, Tokens, Health, Metrics, Clock and Record are
// required. Of the others, those that are nil take their paths with them: a process that only
// takes alerts has no Investigations, one that only answers people has no Offer.
type Config struct {
	Registry       *ingest.Registry
	Investigations Investigations
	Tokens         Verifier
	Intel          Intel
	Techniques     Techniques
	Patterns       Patterns
	Priors         Priors
	Models         Models
	Health         *ops.Health
	Metrics        *ops.Registry
	Clock          clock.Clock
	Log            *slog.Logger

	// Questions lists what would decide a deferred investigation; it may be nil.
	Questions func(inv *investigate.Investigation) []question.Question
	// Offer puts alerts on the bus and returns nil once they are acknowledged. ErrTooLarge is
	// for good; anything else is tried again by the client.
	Offer func(ctx context.Context, alerts []alert.Alert) error
	// DeadLetter stores refused records durably.
	DeadLetter func(ctx context.Context, letters []Letter) error
	// Record writes audit events of a tenant in a transaction of their own; nil means durable.
	Record func(ctx context.Context, tenant string, events []audit.Event) error
	// Backtest holds a pattern against the stored alerts; needed with Patterns.
	Backtest func(ctx context.Context, d *fp.Definition) (*fp.Report, error)
	// Reload reads again what the server reads at its start; by is who asked. It fails with
	// ErrUnusable when a file cannot be used, and then changed nothing. Without it its path does
	// not exist.
	Reload func(ctx context.Context, by string) (Reloaded, error)
	// Peer names the service at the other end of a connection, or fails; nil where services have no
	// certificates.
	Peer func(*tls.ConnectionState) (name string, err error)
	// Owner is the tenant whose administrators set what concerns every tenant.
	Owner string
	// OutboxLag is how many rows wait to be published, and how old the oldest of them is.
	OutboxLag func() (rows int, oldest time.Duration)

	// Limits; the zero value takes the defaults.
	Limits Limits
}

// Limits bound what clients can make the process do.
type Limits struct {
	// Body is the largest intake body after unpacking, 32 MiB.
	Body int64
	// InFlight is how many bytes of intake bodies may be in memory at once, 96 MiB.
	InFlight int64
	// Produce is how long the bus may take to acknowledge, 10 s.
	Produce time.Duration
	// LagRows and LagAge of the outbox close the intake, 10,000 and 30 s.
	LagRows int
	LagAge  time.Duration
	// TenantRate is how many records a second a tenant may send to this process, 0 for no limit;
	// TenantBurst is how many at once after a rest, a minute's worth.
	TenantRate, TenantBurst int
	// File is the largest file of intelligence or techniques, 1 GiB after unpacking.
	File int64
}

func (l Limits) withDefaults() Limits {
	def := func(p *int64, v int64) {
		if *p <= 0 {
			*p = v
		}
	}
	def(&l.Body, 32<<20)
	def(&l.InFlight, 96<<20)
	def((*int64)(&l.Produce), int64(10*time.Second))
	def((*int64)(&l.LagAge), int64(30*time.Second))
	def(&l.File, 1<<30)
	if l.TenantBurst <= 0 {
		l.TenantBurst = 60 * l.TenantRate
	}
	if l.LagRows <= 0 {
		l.LagRows = 10_000
	}
	return l
}

func (c *Config) check() error {
	if c.Registry == nil || c.Tokens == nil || c.Health == nil || c.Metrics == nil || c.Clock == nil || c.Record == nil {
		return errors.New("api: registry, tokens, health, metrics, clock and record are required")
	}
	if c.Offer != nil && (c.DeadLetter == nil || c.OutboxLag == nil) {
		return errors.New("api: an intake needs dead letters and the lag of the outbox")
	}
	if c.Patterns != nil && c.Backtest == nil {
		return errors.New("api: patterns need a backtest")
	}
	return nil
}
