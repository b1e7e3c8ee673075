package bus_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/bus"
)

// file writes a file of the test's own and returns its path.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What is wrong in the settings is named by its key, all at once.
func TestCheck(t *testing.T) {
	secret, empty := file(t, "secret", "s3cret\n"), file(t, "empty", "\n")
	absent := filepath.Join(t.TempDir(), "absent")
	loopback, remote := []string{"127.0.0.1:9092", "localhost:9093", "[::1]:9094"}, []string{"127.0.0.1:9092", "kafka.example.com:9092"}
	password := func(mechanism string) bus.SASL {
		return bus.SASL{Mechanism: mechanism, User: "u", PasswordFile: secret}
	}
	for name, tc := range map[string]struct {
		cfg  bus.Config
		keys []string
	}{
		"embedded":                                {bus.Config{Dir: "x", SASL: bus.SASL{Mechanism: "?"}}, nil},
		"plaintext":                               {bus.Config{Brokers: remote}, nil},
		"TLS alone":                               {bus.Config{Brokers: remote, TLS: bus.TLS{Enabled: true}}, nil},
		"PLAIN on loopback":                       {bus.Config{Brokers: loopback, SASL: password(bus.SASLPlain)}, nil},
		"PLAIN over TLS":                          {bus.Config{Brokers: remote, TLS: bus.TLS{Enabled: true}, SASL: password(bus.SASLPlain)}, nil},
		"PLAIN in clear":                          {bus.Config{Brokers: remote, SASL: password(bus.SASLPlain)}, []string{"sasl.mechanism"}},
		"a token in clear":                        {bus.Config{Brokers: remote, SASL: bus.SASL{Mechanism: bus.SASLOAuthBearer, TokenFile: secret}}, []string{"sasl.mechanism"}},
		"SCRAM in clear does not tell":            {bus.Config{Brokers: remote, SASL: password(bus.SASLSCRAM256)}, nil},
		"unknown mechanism":                       {bus.Config{Brokers: loopback, SASL: password("SCRAM-SHA-1")}, []string{"sasl.mechanism"}},
		"no user and no password":                 {bus.Config{Brokers: loopback, SASL: bus.SASL{Mechanism: bus.SASLSCRAM512}}, []string{"sasl.password_file", "sasl.user"}},
		"password file is absent":                 {bus.Config{Brokers: loopback, SASL: bus.SASL{Mechanism: bus.SASLPlain, User: "u", PasswordFile: absent}}, []string{"sasl.password_file"}},
		"password file is empty":                  {bus.Config{Brokers: loopback, SASL: bus.SASL{Mechanism: bus.SASLPlain, User: "u", PasswordFile: empty}}, []string{"sasl.password_file"}},
		"token without mechanism":                 {bus.Config{Brokers: loopback, SASL: bus.SASL{TokenFile: secret}}, []string{"sasl.token_file"}},
		"password beside a token":                 {bus.Config{Brokers: loopback, SASL: bus.SASL{Mechanism: bus.SASLOAuthBearer, TokenFile: secret, PasswordFile: secret}}, []string{"sasl.password_file"}},
		"authorities while TLS is off":            {bus.Config{Brokers: remote, TLS: bus.TLS{CAFile: secret}}, []string{"tls.ca_file"}},
		"authorities that are none":               {bus.Config{Brokers: remote, TLS: bus.TLS{Enabled: true, CAFile: secret}}, []string{"tls.ca_file"}},
		"certificate without key":                 {bus.Config{Brokers: remote, TLS: bus.TLS{Enabled: true, CertFile: secret}}, []string{"tls.cert_file"}},
		"certificate that is none":                {bus.Config{Brokers: remote, TLS: bus.TLS{Enabled: true, CertFile: secret, KeyFile: secret}}, []string{"tls.cert_file"}},
		"addresses, copies and mechanism at once": {bus.Config{Brokers: []string{"kafka", ":1"}, Replication: -1, SASL: bus.SASL{Mechanism: "x"}}, []string{"brokers", "brokers", "replication", "sasl.mechanism"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.cfg.Check()
			var keys []string
			for _, e := range flatten(err) {
				var ce *bus.ConfigError
				if !errors.As(e, &ce) || ce.Fix == "" {
					t.Fatalf("error %v is none of the configuration, or names no fix", e)
				}
				keys = append(keys, ce.Key)
			}
			if slices.Sort(keys); !slices.Equal(keys, tc.keys) {
				t.Errorf("complains about %v, want %v: %v", keys, tc.keys, err)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("the secret is in %q", err)
			}
			if err != nil {
				tc.cfg.Clock = clock.System{}
				if _, opened := bus.Open(t.Context(), tc.cfg); !errors.As(opened, new(*bus.ConfigError)) {
					t.Errorf("open: %v", opened)
				}
			}
		})
	}
}

func flatten(err error) []error {
	if list, ok := err.(interface{ Unwrap() []error }); ok {
		return list.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// Every mechanism without TLS, against an in-process cluster on loopback: the password is read
// again for every connection.
func TestSASLOnLoopback(t *testing.T) {
	mechanisms := []string{bus.SASLPlain, bus.SASLSCRAM256, bus.SASLSCRAM512}
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.EnableSASL(), kfake.SeedTopics(1, bus.AlertsRaw)}
	for _, mechanism := range mechanisms {
		opts = append(opts, kfake.Superuser(mechanism, "u-"+mechanism, "right"))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	for _, mechanism := range mechanisms {
		t.Run(mechanism, func(t *testing.T) {
			secret := file(t, "password", "right\n")
			cfg := bus.Config{Brokers: cluster.ListenAddrs(), SASL: bus.SASL{Mechanism: mechanism, User: "u-" + mechanism, PasswordFile: secret}}
			b := open(t, cfg)
			produce(t, b, record(bus.AlertsRaw, "x"))
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(secret, []byte("wrong"), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg.Clock = clock.System{}
			_, err := bus.Open(t.Context(), cfg)
			if !errors.Is(err, bus.ErrUnavailable) { // this broker only hangs up
				t.Errorf("error is %v, want ErrUnavailable", err)
			}
			if strings.Contains(fmt.Sprint(err), "right") {
				t.Errorf("the password is in %v", err)
			}
		})
	}
}
