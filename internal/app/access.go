package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/auth/mtls"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/postgres"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
	"github.com/aluskort/aluskort/internal/knowledge/taxonomy"
	"github.com/aluskort/aluskort/internal/ops"
	"github.com/aluskort/aluskort/internal/pipeline"
)

// NewAPI returns the public API of this node; peers, when not nil, knows the services that may call
// without a token. The health registry gets the node's own checks.
func (n *Node) NewAPI(tokens api.Verifier, peers *mtls.Identity, health *ops.Health, metrics *ops.Registry) (*api.API, error) {
	health.Check("services", func() []string {
		names := n.NotReady()
		for i, name := range names {
			names[i] = name + " waits for an engine that does not answer"
		}
		return names
	})
	c := api.Config{
		Registry: n.Registry, Tokens: tokens, Health: health, Metrics: metrics, Clock: n.opts.Clock, Log: n.opts.Log,
		Record: n.Record, Owner: n.opts.Config.Tenant, Models: n.askable(),
		Limits: api.Limits{TenantRate: n.opts.Config.Intake.TenantRate},
	}
	if peers != nil {
		c.Peer = peers.Peer
	}
	if n.has(needIntake) {
		c.Offer, c.DeadLetter, c.OutboxLag = n.offerHTTP, n.deadLetter, n.OutboxLag
	}
	if n.has(needPeople) {
		c.Investigations, c.Questions, c.Reload = n.Engine, n.NextQuestions, n.ReloadAll
		c.Intel, c.Techniques, c.Priors = liveIntel{n}, techniques{n}, learnedPriors{n}
		c.Patterns, c.Backtest = n.Patterns, n.Backtest
	}
	return api.New(c)
}

// Record writes audit events that belong to no other change, in a transaction of their own.
func (n *Node) Record(ctx context.Context, tenant string, events []audit.Event) error {
	return n.recordWith(store.ForTenant(ctx, tenant), tenant, events, nil)
}

// recordWith is Record with something else in the same transaction, which need not be the tenant's.
func (n *Node) recordWith(ctx context.Context, tenant string, events []audit.Event, also func(store.Tx) error) error {
	if n.State == nil {
		return fmt.Errorf("record %d audit events: no target of this process has a state database", len(events))
	}
	err := n.State.Update(ctx, func(tx store.Tx) error {
		if also != nil {
			if err := also(tx); err != nil {
				return err
			}
		}
		return n.emit(tx, tenant, events)
	})
	if err != nil {
		return fmt.Errorf("record %d audit events: %w", len(events), err)
	}
	return nil
}

// emit sends audit events with the transaction of their cause.
func (n *Node) emit(tx store.Tx, tenant string, events []audit.Event) error {
	msgs, err := n.emitter.Emit(tx, tenant, events)
	if err != nil {
		return err
	}
	return n.relay.Outbox().Append(tx, msgs...)
}

// offerHTTP is Offer with the errors that the API tells apart.
func (n *Node) offerHTTP(ctx context.Context, alerts []alert.Alert) error {
	err := n.Offer(ctx, alerts)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bus.ErrTooLarge), errors.Is(err, alert.ErrTooLarge):
		return fmt.Errorf("%w: %w", api.ErrTooLarge, err)
	default:
		return fmt.Errorf("%w: %w", api.ErrUnavailable, err)
	}
}

// deadLetter stores what the intake refused beside the records that died on alerts.raw: the
// native bytes, with the source that the sender named.
func (n *Node) deadLetter(ctx context.Context, letters []api.Letter) error {
	out := make([]bus.DeadLetter, len(letters))
	for i, l := range letters {
		out[i] = bus.DeadLetter{Stage: "intake", Reason: l.Reason, Err: l.Text, Original: bus.Record{
			Topic: bus.AlertsRaw, Key: []byte(l.Tenant + "\x00"), Value: l.Raw,
			Headers: []bus.Header{
				{Key: bus.HeaderTenant, Value: []byte(l.Tenant)}, {Key: bus.HeaderSchema, Value: []byte(pipeline.SchemaNative)}, {Key: pipeline.HeaderSource, Value: []byte(l.Source)},
			},
		}}
	}
	return n.Bus.DeadLetter(ctx, out...)
}

// OutboxLag is how many committed messages wait to be published, and how old the oldest is.
func (n *Node) OutboxLag() (rows int, oldest time.Duration) { return n.relay.Lag() }

// ConsumerLag is how many records each consumer group of the node has still to commit.
func (n *Node) ConsumerLag(ctx context.Context) (map[string]map[bus.TopicPartition]int64, error) {
	out := map[string]map[bus.TopicPartition]int64{}
	for _, t := range n.targets {
		if t.Group == "" {
			continue
		}
		lag, err := n.Bus.Lag(ctx, t.Group)
		if err != nil {
			return nil, err
		}
		out[t.Group] = lag
	}
	return out, nil
}

// Consuming reports whether the consumers of all services are known to the bus.
func (n *Node) Consuming(ctx context.Context) (bool, error) {
	lag, err := n.ConsumerLag(ctx)
	if err != nil {
		return false, err
	}
	for _, l := range lag {
		if len(l) == 0 {
			return false, nil
		}
	}
	return true, nil
}

// AuditLag is, by tenant, how many audit events are committed and not yet in the chain.
func (n *Node) AuditLag(ctx context.Context) (map[string]int64, error) {
	out, err := n.emitted(ctx)
	for tenant, seq := range out {
		chained, err := n.Audit.OriginSequence(ctx, tenant, n.State.Origin())
		if err != nil {
			return nil, err
		}
		out[tenant] = max(0, seq-chained)
	}
	return out, err
}

func (n *Node) emitted(ctx context.Context) (map[string]int64, error) {
	out := map[string]int64{}
	err := n.State.View(ctx, func(tx store.Tx) error {
		rows, err := tx.Query(`SELECT tenant, last_seq FROM audit_sequence`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var tenant string
			var seq int64
			if err := rows.Scan(&tenant, &seq); err != nil {
				return errors.Join(err, rows.Close())
			}
			out[tenant] = seq
		}
		return errors.Join(rows.Err(), rows.Close())
	})
	return out, err
}

// liveIntel is the store of indicators joined with the index in use.
type liveIntel struct{ n *Node }

// Import implements api.Intel. Rows in front of an error are kept, so the index is made again
// in any case.
func (l liveIntel) Import(ctx context.Context, tenant string, r io.Reader, o intel.Options) (intel.Report, error) {
	rep, err := l.n.Intel.Import(ctx, tenant, r, o)
	return rep, errors.Join(err, l.n.Intel.Refresh(context.WithoutCancel(ctx), l.n.liveIntel, l.n.opts.Clock.Now()))
}

// Imports implements api.Intel.
func (l liveIntel) Imports(ctx context.Context, tenant string, limit int) ([]intel.Imported, error) {
	return l.n.Intel.Imports(ctx, tenant, limit)
}

// Len implements api.Intel.
func (l liveIntel) Len() int {
	if x, _ := l.n.liveIntel.Index(); x != nil {
		return x.Len()
	}
	return 0
}

// techniques is the store of techniques.
type techniques struct{ n *Node }

// Import implements api.Techniques.
func (t techniques) Import(ctx context.Context, r io.Reader, version, by string) (api.TaxonomyPart, error) {
	b, err := taxonomy.NewStore(t.n.State).Import(ctx, r, taxonomy.Options{Version: version}, t.n.opts.Clock.Now())
	if err == nil {
		err = t.n.useTaxonomy(context.WithoutCancel(ctx), by)
	}
	if err != nil {
		return api.TaxonomyPart{}, err
	}
	return api.TaxonomyPart{Part: b.Part, Version: b.Version, Techniques: len(b.Techniques), Refused: b.Refused}, nil
}

// Status implements api.Techniques.
func (t techniques) Status(ctx context.Context) (api.TaxonomyStatus, error) {
	return TaxonomyStatus(ctx, t.n.State)
}

// TaxonomyStatus says which techniques a state database knows.
func TaxonomyStatus(ctx context.Context, db store.DB) (api.TaxonomyStatus, error) {
	shipped, err := taxonomy.Shipped()
	if err != nil {
		return api.TaxonomyStatus{}, err
	}
	known, err := taxonomy.NewStore(db).Load(ctx, shipped)
	if err != nil {
		return api.TaxonomyStatus{}, err
	}
	same := maps.Equal(shipped.Versions(), known.Versions()) && slices.EqualFunc(shipped.All(), known.All(), func(a, b taxonomy.Technique) bool { return a.ID == b.ID })
	return api.TaxonomyStatus{Versions: known.Versions(), Techniques: known.Len(), Shipped: same}, nil
}

// Observe adds the metrics of a node. They are asked for at each scrape.
func (n *Node) Observe(ctx context.Context, r *ops.Registry) {
	ask := func(fn func(context.Context) error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if err := fn(ctx); err != nil {
			n.opts.Log.Debug("metric not available", "error", err)
		}
	}
	r.Collect("aluskort_kafka_consumer_lag", "Records that a group has still to commit.", ops.Gauge, []string{"topic", "partition", "consumer_group"},
		func(emit func(ops.Sample)) {
			ask(func(ctx context.Context) error {
				lag, err := n.ConsumerLag(ctx)
				for group, parts := range lag {
					for tp, v := range parts {
						emit(ops.Sample{Labels: []string{tp.Topic, fmt.Sprint(tp.Partition), group}, Value: float64(v)})
					}
				}
				return err
			})
		})
	if n.has(needState) {
		r.Collect("aluskort_outbox_rows", "Committed messages that wait to be published.", ops.Gauge, nil, func(emit func(ops.Sample)) {
			rows, _ := n.OutboxLag()
			emit(ops.Sample{Value: float64(rows)})
		})
		r.Collect("aluskort_outbox_oldest_seconds", "Age of the oldest message that waits to be published.", ops.Gauge, nil, func(emit func(ops.Sample)) {
			_, age := n.OutboxLag()
			emit(ops.Sample{Value: age.Seconds()})
		})
	}
	if n.has(needState) && n.has(needAudit) {
		r.Collect("aluskort_audit_kafka_lag", "Audit events that are committed and not yet in the chain.", ops.Gauge, []string{"tenant_id"}, func(emit func(ops.Sample)) {
			ask(func(ctx context.Context) error {
				lag, err := n.AuditLag(ctx)
				for tenant, v := range lag {
					emit(ops.Sample{Labels: []string{tenant}, Value: float64(v)})
				}
				return err
			})
		})
	}
	if n.queued != nil {
		n.observeObjects(r, ask)
	}
	if n.has(needEngine) {
		n.observeEngine(r, ask)
	}
	n.observePostgres(r)
}

// observePostgres adds the figures of the databases that are on PostgreSQL. They are this process's
// own and ask no server.
func (n *Node) observePostgres(r *ops.Registry) {
	open := map[string]*postgres.DB{}
	for name, db := range map[string]store.DB{"state": n.State, "audit": n.auditDB} {
		if p, ok := db.(*postgres.DB); ok {
			open[name] = p
		}
	}
	if len(open) == 0 {
		return
	}
	each := func(fn func(name string, s postgres.Stats)) {
		for name, db := range open {
			fn(name, db.Stats())
		}
	}
	r.Collect("aluskort_postgres_conflicts_total", "Transactions that were run again because of another one.", ops.Counter, []string{"database"}, func(emit func(ops.Sample)) {
		each(func(name string, s postgres.Stats) {
			emit(ops.Sample{Labels: []string{name}, Value: float64(s.Conflicts)})
		})
	})
	r.Collect("aluskort_postgres_connections", "Connections of the pool.", ops.Gauge, []string{"database", "state"}, func(emit func(ops.Sample)) {
		each(func(name string, s postgres.Stats) {
			emit(ops.Sample{Labels: []string{name, "busy"}, Value: float64(s.Busy)})
			emit(ops.Sample{Labels: []string{name, "idle"}, Value: float64(s.Conns - s.Busy)})
		})
	})
	r.Collect("aluskort_postgres_connections_max", "Most connections that the pool opens.", ops.Gauge, []string{"database"}, func(emit func(ops.Sample)) {
		each(func(name string, s postgres.Stats) {
			emit(ops.Sample{Labels: []string{name}, Value: float64(s.MaxConns)})
		})
	})
}

// observeEngine adds the metrics of what decides.
func (n *Node) observeEngine(r *ops.Registry, ask func(func(context.Context) error)) {
	r.Collect("aluskort_investigations_by_state", "Investigations of the tenant.", ops.Gauge, []string{"state", "wait_reason", "classification"},
		func(emit func(ops.Sample)) {
			ask(func(ctx context.Context) error {
				counts, err := n.Engine.Counts(ctx, n.opts.Config.Tenant)
				for _, c := range counts {
					emit(ops.Sample{Labels: []string{c.State, c.WaitReason, c.Classification}, Value: float64(c.Investigations)})
				}
				return err
			})
		})
	r.Collect("aluskort_investigations_set_aside", "Investigations that cannot be read or decided and wait for repair.", ops.Gauge, nil, func(emit func(ops.Sample)) {
		ask(func(ctx context.Context) error {
			aside, err := n.Engine.SetAside(ctx)
			if err == nil {
				emit(ops.Sample{Value: float64(aside)})
			}
			return err
		})
	})
	r.Collect("aluskort_indicators", "Indicators in use.", ops.Gauge, nil, func(emit func(ops.Sample)) {
		emit(ops.Sample{Value: float64(liveIntel{n}.Len())})
	})
	r.Collect("aluskort_evidence_rules", "Evidence rules in use.", ops.Gauge, nil, func(emit func(ops.Sample)) {
		emit(ops.Sample{Value: float64(n.Rules().Used)})
	})
}

// Registry returns the registry of every adapter that this build has.
func Registry(c *config.Config) (*ingest.Registry, error) { return newRegistry(c.Mappings) }
