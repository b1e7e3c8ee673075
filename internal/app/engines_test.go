package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/asset/consequence"
	"github.com/aluskort/aluskort/internal/bench"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/engine/blob/queue"
	"github.com/aluskort/aluskort/internal/engine/blob/s3/s3test"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/engine/bus/bustest"
	"github.com/aluskort/aluskort/internal/engine/enginetest"
	"github.com/aluskort/aluskort/internal/engine/faultproxy"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/engine/vector/qdrant/qdranttest"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/knowledge/memory"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

// awayEnv is how long an engine is away in the tests below, as a duration; 4 s by default, 60 s in
// the long lane.
const awayEnv = "ALUSKORT_ENGINE_AWAY"

// noticed is how soon verdicts go on without an engine that none needs: at once, but for the object
// store, for which the first writer and the first reader wait.
func noticed(engine string) time.Duration {
	if engine == "s3" {
		return 40 * time.Second
	}
	return returnWithin
}

// returnWithin is how soon everything has to go on once an engine is back (FAULTS B9).
const returnWithin = 10 * time.Second

// behind is a node on Kafka and PostgreSQL, on a server that speaks Qdrant's protocol, and on Redis,
// Neo4j and S3 where they are known, each behind a proxy that breaks.
type behind struct {
	t       *testing.T
	dir     string
	node    *Node
	proxies map[string]*faultproxy.Proxy
	made    int
	large   bool // the first alert of each offer is too large for a message
	g       *bench.Generator
}

func newBehind(t *testing.T) *behind {
	t.Helper()
	b := &behind{t: t, dir: t.TempDir(), proxies: map[string]*faultproxy.Proxy{}, g: bench.NewGenerator(7, time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC))}
	broker := enginetest.Address(t, "kafka")
	database, password := dbtest.Database(t)
	kafka := b.proxy("kafka", broker)
	_, rest, _ := strings.Cut(database, "@")
	place, _, _ := strings.Cut(rest, "/")

	c := config.Default()
	c.Bus.Brokers, c.Store.URL, c.Store.PasswordFile = []string{broker}, strings.Replace(database, place, b.proxy("postgres", place).Addr(), 1), password
	if enginetest.Known("redis") {
		c.Cache.User, c.Cache.PasswordFile = b.account("redis")
		c.Cache.Addresses = []string{b.proxies["redis"].Addr()}
	}
	if enginetest.Known("neo4j") {
		c.Graph.User, c.Graph.PasswordFile = b.account("neo4j")
		c.Graph.URI = "bolt://" + b.proxies["neo4j"].Addr()
	}
	if enginetest.Known("s3") {
		b.bucket(&c.Objects.S3)
	}
	c.Vectors.Address = b.proxy("vectors", qdranttest.New(t).Listen(t, nil)).Addr()
	c.Org = filepath.Join(b.dir, "org.yaml")
	if err := os.WriteFile(c.Org, plant(), 0o600); err != nil {
		t.Fatal(err)
	}
	emptyBroker(t, &c)
	var err error
	b.node, err = Open(context.Background(), Options{Dir: filepath.Join(b.dir, "state"), Config: c, BusDial: kafka.Dial})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.node.Run(running) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, b.node.Close()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// emptyBroker makes the topics of the first broker of a configuration, with nothing in them.
func emptyBroker(t *testing.T, c *config.Config) {
	t.Helper()
	admin, err := bus.Open(t.Context(), BusConfig(c, clock.System{}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := admin.Close(); err != nil {
		t.Fatal(err)
	}
	bustest.Empty(t, c.Bus.Brokers[0])
}

// proxy puts a proxy before an engine.
func (b *behind) proxy(engine, target string) *faultproxy.Proxy {
	b.t.Helper()
	p, err := faultproxy.Start(target, clock.System{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = p.Close() })
	b.proxies[engine] = p
	return p
}

// account puts a proxy before an engine that has its account in its address.
func (b *behind) account(engine string) (user, passwordFile string) {
	b.t.Helper()
	u, err := url.Parse(enginetest.Address(b.t, engine))
	if err != nil {
		b.t.Fatal(err)
	}
	b.proxy(engine, u.Host)
	password, _ := u.User.Password()
	passwordFile = filepath.Join(b.dir, engine+"-password")
	if err := os.WriteFile(passwordFile, []byte(password+"\n"), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return u.User.Username(), passwordFile
}

// bucket puts a proxy before a new bucket.
func (b *behind) bucket(c *config.S3) {
	b.t.Helper()
	s := s3test.Open(b.t)
	c.Bucket, c.PathStyle = s.Bucket(b.t, true), true
	c.Endpoint = s.Scheme + "://" + b.proxy("s3", s.Host).Addr()
	c.AccessKeyFile, c.SecretKeyFile = filepath.Join(b.dir, "s3-user"), filepath.Join(b.dir, "s3-secret")
	for path, text := range map[string]string{c.AccessKeyFile: s.User, c.SecretKeyFile: s.Secret} {
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
}

// plant is an organisation in which every host of the alerts stands in a zone where something is at
// stake, so that the graph is asked about each.
func plant() []byte {
	out := []byte("zones: [{name: plant, consequence: downtime}]\nhosts:\n")
	for i := range 400 {
		out = fmt.Appendf(out, "  - {name: ws-%d, zone: plant}\n", 1000+i)
	}
	return out
}

// alerts makes the next n alerts.
func (b *behind) alerts(n int) []alert.Alert {
	b.t.Helper()
	out := make([]alert.Alert, n)
	for i := range out {
		if b.large && i == 0 {
			out[i] = large(b.t, b.node, b.g)
			continue
		}
		a, err := b.node.Registry.Normalise(ingest.Record{Raw: b.g.Next()}, "wazuh", "default", time.Date(2026, 3, 4, 6, 0, 0, 0, time.UTC))
		if err != nil {
			b.t.Fatal(err)
		}
		out[i] = a
	}
	return out
}

// offer offers alerts and counts them when they were acknowledged.
func (b *behind) offer(within time.Duration, n int) error {
	ctx, cancel := context.WithTimeout(b.t.Context(), within)
	defer cancel()
	err := b.node.Offer(ctx, b.alerts(n))
	if err == nil {
		b.made += n
	}
	return err
}

// settled waits until every acknowledged alert has a verdict and every audit event is in the chain.
func (b *behind) settled(t *testing.T, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	left := "nothing was read yet"
	err := b.node.poll(ctx, func() (bool, error) {
		counts, err := b.node.Engine.Counts(ctx, "default")
		have := int64(0)
		for _, c := range counts {
			have += c.Alerts
		}
		if err != nil || have < int64(b.made) {
			left = "verdicts"
			return false, nil //nolint:nilerr // the engine may still be coming back
		}
		lag, err := b.node.AuditLag(ctx)
		for _, n := range lag {
			if n > 0 {
				left = "audit"
				return false, nil
			}
		}
		return err == nil, nil
	})
	if err != nil {
		t.Fatalf("%d alerts are not settled within %s: %s", b.made, within, left)
	}
}

func away(t *testing.T) time.Duration {
	t.Helper()
	if s := os.Getenv(awayEnv); s != "" {
		d, err := time.ParseDuration(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	return 4 * time.Second
}

// B9: an engine that is away, flapping, late or half open stops what needs it, loses nothing that
// was acknowledged, and everything goes on within ten seconds of its return. Nothing needs the cache
// and the graph: verdicts go on without them, and say so where the graph had something to say. Nor
// does anything need the object store: what belongs there waits in the database.
func TestB9EnginesComeAndGo(t *testing.T) {
	b := newBehind(t)
	if err := b.offer(30*time.Second, 200); err != nil {
		t.Fatal(err)
	}
	b.settled(t, time.Minute)
	for _, engine := range []string{"kafka", "postgres", "redis", "neo4j", "vectors", "s3"} {
		p := b.proxies[engine]
		if p == nil || engine == "s3" && os.Getenv(awayEnv) == "" {
			continue // the first writer and reader wait longer than the short lane lasts
		}
		b.large = engine == "s3"
		needed := engine == "kafka" || engine == "postgres"
		for _, fault := range []struct {
			name string
			set  func(ctx context.Context) error
		}{
			{"away", func(context.Context) error { return p.Refuse() }},
			{"half open", func(context.Context) error { p.Stall(); return nil }},
			{"answers after 30 s", func(context.Context) error { p.Delay(30 * time.Second); return nil }},
			{"flapping every 2 s", func(ctx context.Context) error {
				go func() { _ = p.Flap(ctx, 2*time.Second, 2*time.Second, nil) }()
				return nil
			}},
		} {
			t.Run(engine+" "+fault.name, func(t *testing.T) {
				if err := b.offer(30*time.Second, 300); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), away(t))
				defer cancel()
				if err := fault.set(ctx); err != nil {
					t.Fatal(err)
				}
				if engine == "neo4j" {
					b.node.assets.source.Forget() // as an import does: what was asked before stays known for minutes
				}
				if engine == "vectors" {
					b.remember(t) // which waits to be indexed, and has every alert ask anew
				}
				if !needed {
					b.recovered(t, noticed(engine))
				}
				acknowledged := b.keepOffering(ctx)
				if fault.name != "flapping every 2 s" {
					switch engine {
					case "neo4j":
						b.says(t, consequence.GraphUnavailable)
					case "vectors":
						b.says(t, "words were searched in the database")
					}
				}
				if !needed && acknowledged == 0 {
					t.Errorf("nothing is taken without %s", engine)
				}
				notReady := b.node.NotReady()
				p.Delay(0)
				if err := p.Pass(); err != nil {
					t.Fatal(err)
				}
				p.Cut() // what was given up must not hold anything
				begin := time.Now()
				b.recovered(t, returnWithin)
				took := time.Since(begin)
				b.settled(t, 3*time.Minute)
				t.Logf("%d alerts acknowledged meanwhile, not ready: %v; going on %s after the return, settled after %s",
					acknowledged, notReady, took.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
				switch engine {
				case "s3":
					b.delivered(t)
				case "vectors":
					b.indexed(t)
				}
				if engine == "kafka" && slices.Contains([]string{"away", "half open"}, fault.name) && acknowledged > 0 {
					t.Errorf("%d alerts were acknowledged without a bus", acknowledged)
				}
			})
		}
	}
	rep, err := b.node.Audit.Verify(t.Context(), "default")
	if err != nil || !rep.OK() {
		t.Errorf("audit chain: %+v, %v", rep, err)
	}
}

// remember decides an incident like the next alert, as a person.
func (b *behind) remember(t *testing.T) {
	t.Helper()
	a := b.alerts(1)[0]
	entities := b.node.newParser().Parse(&a)
	i := memory.Like(&a, &entities)
	i.Tenant, i.Investigation, i.At = "default", uuid.NewString(), time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	i.Classification, i.Person, i.By = evidence.FalsePositive, true, "ada"
	if err := b.node.State.Update(t.Context(), func(tx store.Tx) error { return b.node.memory.Record(tx, i) }); err != nil {
		t.Fatal(err)
	}
}

// indexed waits until the vector engine has everything that was decided.
func (b *behind) indexed(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), returnWithin)
	defer cancel()
	var left int64
	err := b.node.poll(ctx, func() (bool, error) {
		err := b.node.State.View(ctx, func(tx store.Tx) error {
			return tx.QueryRow(`SELECT COUNT(*) FROM incident_memory WHERE model = ''`).Scan(&left)
		})
		return left == 0, err
	})
	if err != nil {
		t.Errorf("%d decisions are not indexed %s after the return: %v", left, returnWithin, err)
	}
}

// says waits until a verdict says something among its unknowns or in its evidence. It looks at each version of an investigation once:
// on a busy machine it takes a while to read them all.
func (b *behind) says(t *testing.T, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	read := map[string]int64{}
	err := b.node.poll(ctx, func() (bool, error) {
		list, _, err := b.node.Engine.List(ctx, "default", orchestrate.Filter{Limit: 200})
		for i := range list {
			s := &list[i]
			if v, ok := read[s.ID]; ok && v == s.Version {
				continue
			}
			inv, err := b.node.Engine.Get(ctx, "default", s.ID)
			if err != nil {
				return false, err
			}
			read[s.ID] = s.Version
			said := slices.Clone(inv.Verdict.Unknowns)
			for k := range inv.Evidence {
				said = append(said, inv.Evidence[k].Statement)
			}
			if strings.Contains(strings.Join(said, "\n"), what) {
				return true, nil
			}
		}
		return false, err
	})
	if err != nil {
		t.Errorf("no verdict of %d says %s: %v", len(read), what, err)
	}
}

// delivered waits until no object waits for the store.
func (b *behind) delivered(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var left queue.Depth
	err := b.node.poll(ctx, func() (_ bool, err error) {
		left, err = queue.Waiting(ctx, b.node.State)
		return left.Objects == 0 && !b.node.queued.Away(), err
	})
	if err != nil {
		t.Errorf("%d objects wait for the store after its return: %v", left.Objects, err)
	}
}

// keepOffering offers ten alerts every hundred milliseconds until ctx ends, and returns how many
// were acknowledged.
func (b *behind) keepOffering(ctx context.Context) (acknowledged int) {
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for {
		select {
		case <-ctx.Done():
			return acknowledged
		case <-pace.C:
		}
		if err := b.offer(time.Second, 10); err == nil {
			acknowledged += 10
		}
	}
}

// recovered waits until an alert is taken again and one more has its verdict.
func (b *behind) recovered(t *testing.T, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for b.offer(within, 1) != nil {
		if ctx.Err() != nil {
			t.Fatalf("nothing is taken %s after the return", within)
		}
	}
	before := int64(-1)
	err := b.node.poll(ctx, func() (bool, error) {
		counts, err := b.node.Engine.Counts(ctx, "default")
		if err != nil {
			return false, nil //nolint:nilerr // it may still be coming back
		}
		have := int64(0)
		for _, c := range counts {
			have += c.Alerts
		}
		if before < 0 {
			before = have
		}
		return have > before || have >= int64(b.made), nil
	})
	if err != nil {
		t.Fatalf("no verdict within %s of the return", within)
	}
}
