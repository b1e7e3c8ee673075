package bus_test

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/engine/bus/bustest"
	"github.com/aluskort/aluskort/internal/engine/enginetest"
)

// patience bounds what would otherwise hang; no test depends on its length.
const patience = 2 * time.Minute

// TestKafka runs the suite against a real broker.
func TestKafka(t *testing.T) {
	brokers := []string{enginetest.Address(t, "kafka")}
	bustest.Run(t, func(*testing.T) bustest.Env {
		return bustest.Env{Open: func(t *testing.T) *bus.Bus { return open(t, bus.Config{Brokers: brokers}) }}
	})
}

// secured is a listener of the real broker that scripts/engine/kafka describes.
func secured(t *testing.T, name string) (brokers []string, files url.Values) {
	t.Helper()
	enginetest.Address(t, "kafka") // skips where there is no broker
	text := os.Getenv("ALUSKORT_TEST_" + strings.ToUpper(name))
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		t.Fatalf("%s is %q, %v", name, text, err)
	}
	return []string{u.Host}, u.Query()
}

func saslOf(mechanism string, files url.Values) bus.SASL {
	if mechanism == bus.SASLOAuthBearer {
		return bus.SASL{Mechanism: mechanism, TokenFile: files.Get("token_file")}
	}
	return bus.SASL{Mechanism: mechanism, User: files.Get("user"), PasswordFile: files.Get("password_file")}
}

// use applies the topics, sends a record to one and has a group read it.
func use(t *testing.T, cfg bus.Config) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b := open(t, cfg)
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := b.Apply(ctx); err != nil {
		t.Fatal(err)
	}
	topic := topicOf(t, b, 2)
	if err := b.Produce(ctx, []bus.Record{{Topic: topic, Key: []byte("k"), Value: []byte(t.Name())}}); err != nil {
		t.Fatal(err)
	}
	c, err := b.Consume(ctx, bus.ConsumerConfig{Group: topic, Topics: []string{topic}})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := c.Poll(ctx)
	if err != nil || string(batch.Records[0].Value) != t.Name() {
		t.Fatalf("batch %+v, %v", batch, err)
	}
	if err := c.Commit(ctx, batch); err != nil {
		t.Error(err)
	}
}

// topicOf makes a topic of the test's own on a broker that outlives it.
func topicOf(t testing.TB, b *bus.Bus, partitions int32) string {
	t.Helper()
	name := "test." + strings.ToLower(strings.Map(onlyName, t.Name())) + "." + fresh()
	row := func(name string) bus.Topic {
		return bus.Topic{Name: name, Partitions: partitions, Retention: time.Hour, EmbeddedRetention: time.Hour}
	}
	if err := b.Create(t.Context(), row(name), row(name+".dlq")); err != nil {
		t.Fatal(err)
	}
	return name
}

func onlyName(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}

// Each mechanism of the secured listener: topics, produce, consume, commit.
func TestKafkaSASL(t *testing.T) {
	brokers, files := secured(t, "kafka_sasl")
	for _, mechanism := range []string{bus.SASLPlain, bus.SASLSCRAM256, bus.SASLSCRAM512, bus.SASLOAuthBearer} {
		t.Run(mechanism, func(t *testing.T) {
			use(t, bus.Config{Brokers: brokers, TLS: bus.TLS{Enabled: true, CAFile: files.Get("ca")}, SASL: saslOf(mechanism, files)})
		})
	}
}

// A broker that refuses says why, and what is corrected in a file holds from the next connection
// on, without a restart.
func TestKafkaRefusesCredentials(t *testing.T) {
	brokers, files := secured(t, "kafka_sasl")
	right, err := os.ReadFile(files.Get("password_file"))
	if err != nil {
		t.Fatal(err)
	}
	for _, mechanism := range []string{bus.SASLPlain, bus.SASLSCRAM512} {
		t.Run(mechanism, func(t *testing.T) {
			cfg := bus.Config{Clock: clock.System{}, Brokers: brokers, TLS: bus.TLS{Enabled: true, CAFile: files.Get("ca")}, SASL: saslOf(mechanism, files)}
			cfg.SASL.PasswordFile = file(t, "password", "wrong")
			b, err := bus.Open(t.Context(), cfg)
			if err == nil {
				_ = b.Close()
			}
			if !errors.Is(err, bus.ErrUnauthorized) || !errors.Is(err, bus.ErrUnavailable) || strings.Contains(err.Error(), "wrong") {
				t.Fatalf("error is %v, want ErrUnauthorized without the password", err)
			}
			if err := os.WriteFile(cfg.SASL.PasswordFile, right, 0o600); err != nil {
				t.Fatal(err)
			}
			use(t, cfg)
		})
	}
	t.Run("authority", func(t *testing.T) {
		_, err := bus.Open(t.Context(), bus.Config{Clock: clock.System{}, Brokers: brokers, TLS: bus.TLS{Enabled: true}, SASL: saslOf(bus.SASLPlain, files)})
		if !errors.Is(err, bus.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("error is %v, want one about the certificate", err)
		}
	})
}

// A token is read again for every connection: one that has ended is replaced in its file while
// the bus runs.
func TestKafkaTokenIsReadAgain(t *testing.T) {
	brokers, files := secured(t, "kafka_sasl")
	right, err := os.ReadFile(files.Get("token_file"))
	if err != nil {
		t.Fatal(err)
	}
	// {"alg":"none"} {"sub":"late","iat":1,"exp":2}
	token := file(t, "token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJsYXRlIiwiaWF0IjoxLCJleHAiOjJ9.")
	cfg := bus.Config{
		Clock: clock.System{}, Brokers: brokers, TLS: bus.TLS{Enabled: true, CAFile: files.Get("ca")},
		SASL: bus.SASL{Mechanism: bus.SASLOAuthBearer, TokenFile: token},
	}
	if b, err := bus.Open(t.Context(), cfg); !errors.Is(err, bus.ErrUnavailable) {
		if err == nil {
			_ = b.Close()
		}
		t.Fatalf("a token that has ended: %v", err)
	}
	if err := os.WriteFile(token, right, 0o600); err != nil {
		t.Fatal(err)
	}
	use(t, cfg)
}

// The listener for client certificates: none is refused, and files that are replaced hold for the
// next connection of the same bus.
func TestKafkaClientCertificate(t *testing.T) {
	brokers, files := secured(t, "kafka_mtls")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cfg := bus.Config{Clock: clock.System{}, Brokers: brokers, TLS: bus.TLS{Enabled: true, CAFile: files.Get("ca")}}
	if b, err := bus.Open(ctx, cfg); !errors.Is(err, bus.ErrUnavailable) {
		if err == nil {
			_ = b.Close()
		}
		t.Fatalf("without certificate: %v", err)
	}
	dir := t.TempDir()
	cfg.TLS.CertFile, cfg.TLS.KeyFile = filepath.Join(dir, "client.pem"), filepath.Join(dir, "client.key")
	install := func(cert, key string) {
		t.Helper()
		for from, to := range map[string]string{files.Get(cert): cfg.TLS.CertFile, files.Get(key): cfg.TLS.KeyFile} {
			b, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(to, b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	install("cert", "key")
	use(t, cfg)

	p := proxyTo(t, brokers[0])
	cfg.Dial = p.Dial
	b := open(t, cfg)
	defer func() { _ = b.Close() }()
	install("cert2", "key2")
	before := p.Accepted()
	p.Cut()
	for b.Ping(ctx) != nil {
		if ctx.Err() != nil {
			t.Fatal("no connection with the second certificate")
		}
	}
	if p.Accepted() == before {
		t.Error("no connection was made anew")
	}
}

// What 'topics list' shows of a real broker: records, bytes on its disk, and where it differs.
func TestKafkaTopicsList(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b := open(t, bus.Config{Brokers: []string{enginetest.Address(t, "kafka")}})
	defer func() { _ = b.Close() }()
	if _, err := b.Apply(ctx); err != nil {
		t.Fatal(err)
	}
	at := func(name string) (found bus.TopicState) {
		t.Helper()
		states, err := b.List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range states {
			if s.Topic.Name == name {
				found = s
			}
		}
		return found
	}
	const topic = "ctem.raw.burp"
	before := at(topic)
	if err := b.Produce(ctx, []bus.Record{{Topic: topic, Value: make([]byte, 1<<20)}, {Topic: topic, Value: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	after := at(topic)
	if after.Records != before.Records+2 || after.Bytes <= before.Bytes || len(after.Differences) > 0 {
		t.Errorf("was %+v, is %+v", before, after)
	}
	// A topic with another number of partitions is said to differ and left alone: its keys would move.
	row := bus.Topic{Name: topicOf(t, b, 2), Partitions: 5, Retention: time.Hour, EmbeddedRetention: time.Hour}
	if err := b.Create(ctx, row); err != nil {
		t.Fatal(err)
	}
	c, err := b.Consume(ctx, bus.ConsumerConfig{Group: row.Name, Topics: []string{row.Name}})
	if err != nil {
		t.Fatal(err)
	}
	lag := map[bus.TopicPartition]int64{}
	for len(lag) == 0 && err == nil {
		lag, err = b.Lag(ctx, row.Name)
	}
	if err != nil || len(lag) != 2 {
		t.Errorf("the topic has %d partitions, %v", len(lag), err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// More copies than the cluster has brokers is a wrong setting, not an outage.
func TestKafkaTooManyCopies(t *testing.T) {
	b := open(t, bus.Config{Brokers: []string{enginetest.Address(t, "kafka")}, Replication: 3})
	defer func() { _ = b.Close() }()
	err := b.Create(t.Context(), bus.Topic{Name: "test.copies." + fresh(), Partitions: 1, Retention: time.Hour})
	var wrong *bus.ConfigError
	if !errors.As(err, &wrong) || wrong.Key != "replication" || errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("error is %v, want one that names replication", err)
	}
}
