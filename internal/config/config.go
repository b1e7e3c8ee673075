// Package config is the typed configuration: one YAML file, overridden by environment
// variables, overridden by flags. Unknown keys are errors that name the line.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Config is everything that an operator may set. The zero value is not usable; start from Default.
type Config struct {
	// State is the state directory. Empty means $XDG_STATE_HOME/aluskort.
	State string `yaml:"state"`
	// Tenant is the tenant of an embedded installation.
	Tenant string `yaml:"tenant"`
	// Org is the file that describes the organisation; empty means org.yaml in the state directory.
	Org string `yaml:"org"`
	// Mappings are files that describe further sources for the generic adapter.
	Mappings []string `yaml:"mappings"`
	// Listen is the address of the API and the intake. Loopback unless told otherwise.
	Listen string `yaml:"listen"`
	Log    Log    `yaml:"log"`
	Intake Intake `yaml:"intake"`
	Fold   Fold   `yaml:"fold"`
	Rules  Rules  `yaml:"rules"`
	Reason Reason `yaml:"reason"`
	Models Models `yaml:"models"`
	// Bus, Store, Objects are the engines of an installation of several processes; empty sections
	// are the embedded ones.
	Bus     Bus     `yaml:"bus"`
	Store   Store   `yaml:"store"`
	Objects Objects `yaml:"objects"`
	Cache   Cache   `yaml:"cache"`
	Graph   Graph   `yaml:"graph"`
	Vectors Vectors `yaml:"vectors"`
	// Services is how processes of different targets know each other.
	Services Services `yaml:"services"`
	// Keys is the folder of the keys that seal what redaction keeps; processes that share a database
	// share it. Empty means keys in the state directory.
	Keys string `yaml:"keys"`
	// Tokens is the file of the API's tokens; processes that answer the same clients share it. Empty
	// means that of the state directory.
	Tokens string `yaml:"tokens"`
	Parse  Parse  `yaml:"parse"`
	Intel  Intel  `yaml:"intel"`
}

// Intel is how indicators are looked up.
type Intel struct {
	// Lookup is memory, an index of the whole table in each process, or database: what the alerts of a
	// batch hold is asked for, through the cache.
	Lookup string `yaml:"lookup"`
}

// Bus is a Kafka cluster; without brokers the bus is embedded.
type Bus struct {
	// Brokers are addresses, host:port.
	Brokers []string `yaml:"brokers"`
	// Replication of the topics that are created; 0 takes the cluster's default.
	Replication int    `yaml:"replication"`
	TLS         BusTLS `yaml:"tls"`
	SASL        SASL   `yaml:"sasl"`
}

// BusTLS is how the brokers are spoken to. Files are PEM and read again for every connection.
type BusTLS struct {
	Enabled    bool   `yaml:"enabled"`
	CAFile     string `yaml:"ca_file"`
	CertFile   string `yaml:"cert_file"`
	KeyFile    string `yaml:"key_file"`
	ServerName string `yaml:"server_name"`
}

// SASL is who the brokers take the program for. Mechanism is PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or
// OAUTHBEARER; empty for none.
type SASL struct {
	Mechanism    string `yaml:"mechanism"`
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`
	TokenFile    string `yaml:"token_file"`
}

// Store is a PostgreSQL database; without a URL, SQLite files in the state directory.
type Store struct {
	// URL is postgres://user@host:port/database with the parameters of libpq, and no password.
	URL string `yaml:"url"`
	// PasswordFile holds the password alone; it is read at every connect.
	PasswordFile string `yaml:"password_file"`
}

// Cache is Redis or Valkey, for what several processes would otherwise ask the database; without
// addresses there is none.
type Cache struct {
	// Addresses are host:port of a server, or of some of a cluster.
	Addresses    []string `yaml:"addresses"`
	Cluster      bool     `yaml:"cluster"`
	User         string   `yaml:"user"`
	PasswordFile string   `yaml:"password_file"`
	TLS          CacheTLS `yaml:"tls"`
}

// CacheTLS is how the cache is spoken to.
type CacheTLS struct {
	Enabled  bool   `yaml:"enabled"`
	CAFile   string `yaml:"ca_file"`
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// Graph is where the asset graph lies: in Neo4j when URI names it, else in the state database.
type Graph struct {
	// URI is bolt://host:port or neo4j://host:port, with +s behind the scheme for TLS.
	URI          string `yaml:"uri"`
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`
	CAFile       string `yaml:"ca_file"`
	Database     string `yaml:"database"`
	// Plaintext permits a connection without TLS to another machine.
	Plaintext bool `yaml:"plaintext"`
}

// Vectors is where vectors lie: in Qdrant when Address names it, else in the state directory.
type Vectors struct {
	// Address is host:port of Qdrant's gRPC interface.
	Address    string `yaml:"address"`
	TLS        bool   `yaml:"tls"`
	APIKeyFile string `yaml:"api_key_file"`
}

// Objects is where objects are kept that are too large for messages and rows.
type Objects struct {
	// Dir is a folder that all processes share; empty means objects in the state directory.
	Dir string `yaml:"dir"`
	// S3 is a bucket of S3 or of what speaks it; used instead of a folder when it names one.
	S3 S3 `yaml:"s3"`
	// GCS and Azure need a program that was built with the tag cloud.
	GCS   GCS   `yaml:"gcs"`
	Azure Azure `yaml:"azure"`
	// QueueMB bounds, in MiB, what the state database takes while the store is away; 0 takes 1024.
	QueueMB int `yaml:"queue_mb"`
}

// Elsewhere reports whether objects are kept outside the state directory, by something that can be
// away while the rest works.
func (o *Objects) Elsewhere() bool { return len(o.forms()) > 0 }

// forms are the keys of the stores that are named.
func (o *Objects) forms() (keys []string) {
	for _, f := range [][2]string{
		{"objects.dir", o.Dir}, {"objects.s3.bucket", o.S3.Bucket}, {"objects.gcs.bucket", o.GCS.Bucket}, {"objects.azure.container", o.Azure.Container},
	} {
		if f[1] != "" {
			keys = append(keys, f[0])
		}
	}
	return keys
}

// GCS is a bucket of Google Cloud Storage, which must exist. Without a file of credentials they are
// those of GOOGLE_APPLICATION_CREDENTIALS or of the machine.
type GCS struct {
	Bucket          string `yaml:"bucket"`
	Prefix          string `yaml:"prefix"`
	CredentialsFile string `yaml:"credentials_file"`
}

// Azure is a container of Azure Blob Storage, which must exist. Without a file of the account's key
// the credentials are those of AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or of the machine.
type Azure struct {
	Account   string `yaml:"account"`
	Container string `yaml:"container"`
	Prefix    string `yaml:"prefix"`
	KeyFile   string `yaml:"key_file"`
	// Domain is that of another Azure cloud; empty is blob.core.windows.net.
	Domain string `yaml:"domain"`
}

// S3 is a bucket, which must exist; with object lock, retention is the store's own. Without files
// of keys they come from the environment as AWS has it, or from the role of the machine.
type S3 struct {
	Endpoint  string `yaml:"endpoint"`
	Bucket    string `yaml:"bucket"`
	Prefix    string `yaml:"prefix"`
	Region    string `yaml:"region"`
	PathStyle bool   `yaml:"path_style"`
	// Mode of retention: COMPLIANCE or GOVERNANCE; empty is the former.
	Mode          string `yaml:"mode"`
	AccessKeyFile string `yaml:"access_key_file"`
	SecretKeyFile string `yaml:"secret_key_file"`
	CAFile        string `yaml:"ca_file"`
}

// Place says where the database is, without user, password and parameters.
func (s *Store) Place() string {
	u, err := url.Parse(s.URL)
	if err != nil {
		return "an address that cannot be read"
	}
	return u.Host + u.Path
}

// Services is the mutual TLS between processes of different targets. Files are PEM and may be
// renewed while the program runs.
type Services struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	CAFile   string `yaml:"ca_file"`
	// Allow are the names (DNS or URI entries of certificates) that may call this process.
	Allow []string `yaml:"allow"`
}

// Parse is how alerts are read.
type Parse struct {
	// CountDocumentation lets addresses and names reserved for documentation count as indicators;
	// only demonstrations want that.
	CountDocumentation bool `yaml:"count_documentation"`
}

// Log is how the program writes its own log.
type Log struct {
	// Level is debug, info, warn or error.
	Level string `yaml:"level"`
	// Format is text or json.
	Format string `yaml:"format"`
}

// Intake is what clients may send.
type Intake struct {
	// TenantRate is how many records a second one tenant may send to one process; 0 is no limit. A
	// minute's worth may come at once after a rest. What is above it is answered with 429.
	TenantRate int `yaml:"tenant_rate"`
	// Share is how many alerts a second of one source of one tenant are worked on before those
	// beyond it, ten seconds' worth at once after a rest, in each process that takes alerts. 0: all
	// alerts that are not critical wait in one line.
	Share int `yaml:"share"`
}

// Fold is how repeats are folded.
type Fold struct {
	// Window is the length of the tumbling window, from 1m to 24h.
	Window Duration `yaml:"window"`
}

// Rules is where evidence rules come from beside the shipped ones.
type Rules struct {
	// Dirs are folders of Sigma rules.
	Dirs []string `yaml:"dirs"`
}

// Reason is how evidence is weighed: the thresholds of the decision ladder (DESIGN section 6), and
// fitted weights.
type Reason struct {
	Malicious  float64 `yaml:"malicious"`
	Suspicious float64 `yaml:"suspicious"`
	Benign     float64 `yaml:"benign"`
	MinBits    float64 `yaml:"min_bits"`
	// Weights is a file of fitted weights, as aluskort eval fit writes it; empty for none.
	Weights string `yaml:"weights"`
}

// Models is how language models are asked. Without a provider none is asked, and every verdict is
// deterministic.
type Models struct {
	// Provider is anthropic, openai (also for every compatible server) or simulated; empty for none.
	Provider string `yaml:"provider"`
	// BaseURL is the address of a compatible server; empty is the vendor's own.
	BaseURL string `yaml:"base_url"`
	// KeyFile holds the key, alone on a line. It is read again for every connection, so that a
	// rotated key needs no restart.
	KeyFile string `yaml:"key_file"`
	// Key is the key itself, meant for the environment (ALUSKORT_MODELS_KEY). It prints masked.
	Key Secret `yaml:"key"`
	// Profile is the table of models and prices: default, seed or local. Table is a file that
	// overrides single models of it.
	Profile string `yaml:"profile"`
	Table   string `yaml:"table"`
	// Model is asked for every task, whatever the table says; for servers with one model.
	Model string `yaml:"model"`
	// Fallback is asked when the first provider does not answer.
	Fallback Fallback `yaml:"fallback"`
	// Slots bounds the questions that are under way at once; 0 takes 8.
	Slots int `yaml:"slots"`
	// Ask says for which verdicts a model is asked, by severity: never, uncertain or always.
	Ask Ask `yaml:"ask"`
	// Judge has a model judge texts of which the injection sensor is not sure: off or suspicious.
	// JudgeShare is of how many investigations at most, as a part of the latest 1000.
	Judge      string  `yaml:"judge"`
	JudgeShare float64 `yaml:"judge_share"`
	// Tier is the quota of calls a tenant has in an hour: premium 500, standard 100, trial 20, or
	// unlimited; the budget holds whatever it is.
	Tier string `yaml:"tier"`
	// Budget bounds what is spent.
	Budget Budget `yaml:"budget"`
}

// Fallback is a second provider.
type Fallback struct {
	Provider string `yaml:"provider"`
	BaseURL  string `yaml:"base_url"`
	KeyFile  string `yaml:"key_file"`
	Key      Secret `yaml:"key"`
	Model    string `yaml:"model"`
}

// Ask is a policy by severity.
type Ask struct {
	Critical      string `yaml:"critical"`
	High          string `yaml:"high"`
	Medium        string `yaml:"medium"`
	Low           string `yaml:"low"`
	Informational string `yaml:"informational"`
}

// Budget are caps in US dollars; 0 means no cap of that kind, except for Hard.
type Budget struct {
	// Soft is told once a month when it is passed; Hard is never passed.
	Soft float64 `yaml:"soft"`
	Hard float64 `yaml:"hard"`
	// Hour and Investigation bound a tenant's hour and one investigation.
	Hour          float64 `yaml:"hour"`
	Investigation float64 `yaml:"investigation"`
}

// Secret is a text that prints masked.
type Secret string

const masked = "********"

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return s.String() }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// Duration is a time.Duration that reads and prints like "1h30m".
type Duration time.Duration

// Std returns d as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 90s or 1h", b)
	}
	*d = Duration(v)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Default returns the configuration of a fresh machine.
func Default() Config {
	return Config{
		Tenant: "default", Listen: "127.0.0.1:8088", Mappings: []string{},
		Bus: Bus{Brokers: []string{}}, Objects: Objects{QueueMB: 1024}, Cache: Cache{Addresses: []string{}}, Services: Services{Allow: []string{}},
		Log:    Log{Level: "info", Format: "text"},
		Intake: Intake{Share: 100},
		Fold:   Fold{Window: Duration(time.Hour)},
		Rules:  Rules{Dirs: []string{}},
		Intel:  Intel{Lookup: "memory"},
		Reason: Reason{Malicious: 0.80, Suspicious: 0.60, Benign: 0.10, MinBits: 2},
		Models: Models{
			Profile: "default", Slots: 8, Tier: "premium", Judge: "off", JudgeShare: 0.05,
			Ask:    Ask{Critical: "always", High: "always", Medium: "uncertain", Low: "uncertain", Informational: "uncertain"},
			Budget: Budget{Soft: 500, Hard: 1000, Hour: 50, Investigation: 5},
		},
	}
}

// Environment variables begin with this; ALUSKORT_LOG_LEVEL sets log.level.
const envPrefix = "ALUSKORT_"

// Load reads the file at path over the defaults, then the environment. An empty path means
// $ALUSKORT_CONFIG, else $XDG_CONFIG_HOME/aluskort/aluskort.yaml, which may be absent; a file
// that was named must exist.
func Load(path string, getenv func(string) string) (Config, error) {
	c := Default()
	named := true
	if path == "" {
		path = getenv("ALUSKORT_CONFIG")
	}
	if path == "" {
		named = false
		path = filepath.Join(configHome(getenv), "aluskort", "aluskort.yaml")
	}
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
	case err != nil:
		return c, fmt.Errorf("configuration: %w", err)
	default:
		if err := c.Decode(b); err != nil {
			return c, fmt.Errorf("configuration %s: %w", path, err)
		}
	}
	if err := c.environment(getenv); err != nil {
		return c, err
	}
	if c.State == "" {
		c.State = stateHome(getenv)
	}
	return c, c.Check()
}

// Decode reads YAML over c; unknown keys are errors.
func (c *Config) Decode(b []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func configHome(getenv func(string) string) string {
	if d := getenv("XDG_CONFIG_HOME"); d != "" {
		return d
	}
	return filepath.Join(getenv("HOME"), ".config")
}

func stateHome(getenv func(string) string) string {
	if d := getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, "aluskort")
	}
	return filepath.Join(getenv("HOME"), ".local", "state", "aluskort")
}

// environment overrides every scalar and list of scalars from ALUSKORT_<PATH>.
func (c *Config) environment(getenv func(string) string) error {
	return override(reflect.ValueOf(c).Elem(), envPrefix, getenv)
}

func override(v reflect.Value, prefix string, getenv func(string) string) error {
	for i := range v.NumField() {
		name := prefix + strings.ToUpper(v.Type().Field(i).Tag.Get("yaml"))
		f := v.Field(i)
		if f.Kind() == reflect.Struct {
			if err := override(f, name+"_", getenv); err != nil {
				return err
			}
			continue
		}
		text := getenv(name)
		if text == "" {
			continue
		}
		if err := set(f, text); err != nil {
			return fmt.Errorf("environment %s: %w", name, err)
		}
	}
	return nil
}

// list splits a list of an environment variable: at commas, or as the system splits paths.
func list(text string) []string {
	if strings.Contains(text, ",") {
		return strings.Split(text, ",")
	}
	if _, port, err := net.SplitHostPort(text); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err == nil {
			return []string{text} // one address
		}
	}
	return filepath.SplitList(text)
}

func set(f reflect.Value, text string) error {
	if d, ok := f.Addr().Interface().(*Duration); ok {
		return d.UnmarshalText([]byte(text))
	}
	switch f.Kind() {
	case reflect.String:
		f.SetString(text)
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		f.SetFloat(x)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		f.SetInt(int64(n))
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		f.SetBool(b)
	case reflect.Slice:
		f.Set(reflect.ValueOf(list(text)))
	default:
		return fmt.Errorf("cannot be set from the environment")
	}
	return nil
}

// Check reports everything that is wrong, each with the key and how to mend it.
func (c *Config) Check() error {
	var errs []error
	wrong := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	if c.Tenant == "" {
		wrong("tenant", "must not be empty")
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		wrong("listen", "%q is not host:port: %v", c.Listen, err)
	}
	if c.Intake.Share < 0 {
		wrong("intake.share", "%d: give alerts a second, or 0 for one line", c.Intake.Share)
	}
	if c.Intake.TenantRate < 0 {
		wrong("intake.tenant_rate", "%d: give records a second, or 0 for no limit", c.Intake.TenantRate)
	}
	if w := time.Duration(c.Fold.Window); w < time.Minute || w > 24*time.Hour {
		wrong("fold.window", "%s; use 1m to 24h", w)
	}
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		wrong("log.level", "%q; use debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		wrong("log.format", "%q; use text or json", c.Log.Format)
	}
	if l := c.Intel.Lookup; l != "memory" && l != "database" {
		wrong("intel.lookup", "%q; use memory or database", l)
	}
	r := c.Reason
	if !(0 < r.Benign && r.Benign < r.Suspicious && r.Suspicious < r.Malicious && r.Malicious < 1) {
		wrong("reason", "want 0 < benign < suspicious < malicious < 1, got %v, %v, %v", r.Benign, r.Suspicious, r.Malicious)
	}
	if r.MinBits < 0 {
		wrong("reason.min_bits", "%v is negative", r.MinBits)
	}
	c.Models.check(wrong)
	c.checkEngines(wrong)
	if r.Weights != "" {
		if s, err := os.Stat(r.Weights); err != nil || s.IsDir() {
			wrong("reason.weights", "%q is no file that can be read", r.Weights)
		}
	}
	for _, m := range c.Mappings {
		if s, err := os.Stat(m); err != nil || s.IsDir() {
			wrong("mappings", "%q is no file that can be read", m)
		}
	}
	for _, d := range c.Rules.Dirs {
		if s, err := os.Stat(d); err != nil || !s.IsDir() {
			wrong("rules.dirs", "%q is no folder that can be read", d)
		}
	}
	return errors.Join(errs...)
}

// checkEngines reports what is wrong with the sections of the engines as far as no engine has to
// be asked.
func (c *Config) checkEngines(wrong func(key, format string, args ...any)) {
	for _, b := range c.Bus.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			wrong("bus.brokers", "%q is not host:port", b)
		}
	}
	for _, a := range c.Cache.Addresses {
		if _, _, err := net.SplitHostPort(a); err != nil {
			wrong("cache.addresses", "%q is not host:port", a)
		}
	}
	if c.Bus.Replication < 0 || c.Bus.Replication > math.MaxInt16 {
		wrong("bus.replication", "%d; use the number of replicas, or 0 for the cluster's default", c.Bus.Replication)
	}
	if u := c.Store.URL; u != "" {
		p, err := url.Parse(u)
		switch {
		case err != nil:
			wrong("store.url", "cannot be read: %v", errors.Unwrap(err)) // the error itself holds the text
		case p.Scheme != "postgres" && p.Scheme != "postgresql":
			wrong("store.url", "begins with %q; use postgres://user@host:port/database", p.Scheme)
		default:
			if _, has := p.User.Password(); has {
				wrong("store.url", "holds a password; put it alone into a file and name that in store.password_file")
			}
		}
	}
	if u, err := url.Parse(c.Graph.URI); c.Graph.URI != "" && (err != nil || !strings.HasPrefix(u.Scheme, "bolt") && !strings.HasPrefix(u.Scheme, "neo4j") || u.User != nil) {
		wrong("graph.uri", "is no address such as neo4j+s://host:7687 without credentials")
	}
	if a := c.Vectors.Address; a != "" {
		if _, _, err := net.SplitHostPort(a); err != nil {
			wrong("vectors.address", "%q is not host:port", a)
		}
	}
	c.Objects.check(wrong)
	if c.Store.URL == "" && c.Store.PasswordFile != "" {
		wrong("store.url", "is missing beside store.password_file")
	}
	if (len(c.Bus.Brokers) > 0) != (c.Store.URL != "") {
		wrong("bus.brokers", "and store.url belong together: offsets of the bus lie in the database; set both, or neither for the embedded engines")
	}
	for _, f := range [][2]string{
		{"store.password_file", c.Store.PasswordFile}, {"bus.tls.ca_file", c.Bus.TLS.CAFile}, {"bus.tls.cert_file", c.Bus.TLS.CertFile},
		{"bus.tls.key_file", c.Bus.TLS.KeyFile}, {"bus.sasl.password_file", c.Bus.SASL.PasswordFile}, {"bus.sasl.token_file", c.Bus.SASL.TokenFile},
		{"cache.password_file", c.Cache.PasswordFile},
		{"cache.tls.ca_file", c.Cache.TLS.CAFile}, {"graph.password_file", c.Graph.PasswordFile},
		{"graph.ca_file", c.Graph.CAFile}, {"vectors.api_key_file", c.Vectors.APIKeyFile}, {"objects.s3.access_key_file", c.Objects.S3.AccessKeyFile},
		{"objects.s3.secret_key_file", c.Objects.S3.SecretKeyFile}, {"objects.s3.ca_file", c.Objects.S3.CAFile},
		{"objects.gcs.credentials_file", c.Objects.GCS.CredentialsFile}, {"objects.azure.key_file", c.Objects.Azure.KeyFile},
		{"services.cert_file", c.Services.CertFile}, {"services.key_file", c.Services.KeyFile}, {"services.ca_file", c.Services.CAFile},
	} {
		if s, err := os.Stat(f[1]); f[1] != "" && (err != nil || s.IsDir()) {
			wrong(f[0], "%q is no file that can be read", f[1])
		}
	}
}

func (o *Objects) check(wrong func(key, format string, args ...any)) {
	if f := o.forms(); len(f) > 1 {
		wrong(f[0], "is set beside %s; use one of them", strings.Join(f[1:], " and "))
	}
	if o.S3.Bucket != "" {
		if u, err := url.Parse(o.S3.Endpoint); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			wrong("objects.s3.endpoint", "%q is no URL such as https://s3.example.org", o.S3.Endpoint)
		}
	}
	if (o.Azure.Container == "") != (o.Azure.Account == "") {
		wrong("objects.azure", "names a container without its account, or the account alone; set both")
	}
	for _, f := range [][2]string{{"objects.gcs", o.GCS.Bucket}, {"objects.azure", o.Azure.Container}} {
		if f[1] != "" && !cloudStores {
			wrong(f[0], "this program was built without cloud stores; build it with: go build -tags cloud ./cmd/aluskort")
		}
	}
	if o.QueueMB < 0 || o.QueueMB > 1<<20 {
		wrong("objects.queue_mb", "%d; use 1 to %d MiB, or 0 for 1024", o.QueueMB, 1<<20)
	}
	switch o.S3.Mode {
	case "", "COMPLIANCE", "GOVERNANCE":
	default:
		wrong("objects.s3.mode", "%q; use COMPLIANCE or GOVERNANCE", o.S3.Mode)
	}
}

// Embedded reports whether the engines run in this process.
func (c *Config) Embedded() bool { return len(c.Bus.Brokers) == 0 }

func (m *Models) check(wrong func(key, format string, args ...any)) {
	oneOf := func(key, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			wrong(key, "%q; use %s", value, strings.Join(allowed, ", "))
		}
	}
	if m.Provider != "" {
		oneOf("models.provider", m.Provider, "anthropic", "openai", "simulated")
	}
	if m.Fallback.Provider != "" {
		oneOf("models.fallback.provider", m.Fallback.Provider, "anthropic", "openai", "simulated")
		if m.Fallback.Provider == m.Provider {
			wrong("models.fallback.provider", "is the same as models.provider; a fallback must be another")
		}
	}
	oneOf("models.profile", m.Profile, "default", "seed", "local")
	oneOf("models.tier", m.Tier, "premium", "standard", "trial", "unlimited")
	oneOf("models.judge", m.Judge, "off", "suspicious")
	if !(m.JudgeShare > 0 && m.JudgeShare <= 1) {
		wrong("models.judge_share", "%v; use a part above 0 and at most 1, such as 0.05", m.JudgeShare)
	}
	for _, a := range [][2]string{
		{"critical", m.Ask.Critical}, {"high", m.Ask.High}, {"medium", m.Ask.Medium}, {"low", m.Ask.Low}, {"informational", m.Ask.Informational},
	} {
		oneOf("models.ask."+a[0], a[1], "never", "uncertain", "always")
	}
	for _, f := range [][2]string{{"models.key_file", m.KeyFile}, {"models.fallback.key_file", m.Fallback.KeyFile}, {"models.table", m.Table}} {
		if s, err := os.Stat(f[1]); f[1] != "" && (err != nil || s.IsDir()) {
			wrong(f[0], "%q is no file that can be read", f[1])
		}
	}
	if m.KeyFile != "" && m.Key != "" {
		wrong("models.key", "is set beside models.key_file; use one of them")
	}
	if m.Slots < 0 || m.Slots > 4096 {
		wrong("models.slots", "%d; use 1 to 4096, or 0 for 8", m.Slots)
	}
	b := m.Budget
	if b.Hard <= 0 || b.Soft < 0 || b.Soft > b.Hard || b.Hour < 0 || b.Investigation < 0 {
		wrong("models.budget", "want 0 <= soft <= hard, a hard cap above 0, hour and investigation not negative")
	}
}

// YAML prints the configuration in the form that Load reads.
func (c *Config) YAML() ([]byte, error) { return yaml.Marshal(c) }
