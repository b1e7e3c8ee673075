package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func env(pairs ...string) func(string) string {
	m := map[string]string{"HOME": "/home/ada"}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(k string) string { return m[k] }
}

func file(t *testing.T, text string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "aluskort.yaml")
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDefaultsWithoutAnyFile(t *testing.T) {
	c, err := Load("", env())
	if err != nil {
		t.Fatal(err)
	}
	if c.State != "/home/ada/.local/state/aluskort" || !strings.HasPrefix(c.Listen, "127.0.0.1:") {
		t.Errorf("got %+v", c)
	}
}

func TestEnvironmentOverFileOverDefault(t *testing.T) {
	p := file(t, "tenant: acme\nfold:\n  window: 30m\nlog:\n  level: debug\n")
	c, err := Load(p, env("ALUSKORT_FOLD_WINDOW", "10m", "ALUSKORT_REASON_BENIGN", "0.05", "XDG_STATE_HOME", "/var/x"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Tenant != "acme" || time.Duration(c.Fold.Window) != 10*time.Minute || c.Log.Level != "debug" || c.Reason.Benign != 0.05 || c.State != "/var/x/aluskort" {
		t.Errorf("got %+v", c)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	tests := []struct{ name, yaml, want string }{
		{"unknown key", "tenannt: x", "tenannt"},
		{"unknown nested key", "log:\n  colour: red", "line 2"},
		{"duration", "fold:\n  window: soon", "not a duration"},
		{"range", "fold:\n  window: 5s", "fold.window"},
		{"thresholds", "reason: {malicious: 0.5}", "reason"},
		{"listen", "listen: here", "listen"},
		{"level", "log: {level: loud}", "log.level"},
		{"rules", "rules: {dirs: [/does/not/exist]}", "rules.dirs"},
		{"broker", "bus: {brokers: [kafka]}", "is not host:port"},
		{"bus alone", "bus: {brokers: ['kafka:9092']}", "set both"},
		{"database alone", "store: {url: 'postgres://aluskort@db/aluskort'}", "set both"},
		{"password in the URL", "store: {url: 'postgres://aluskort:secret@db/aluskort'}", "store.password_file"},
		{"another database", "store: {url: 'mysql://db'}", "use postgres://"},
		{"password of nothing", "store: {password_file: /does/not/exist}", "store.url: is missing"},
		{"absent file", "bus: {sasl: {password_file: /does/not/exist}}", "bus.sasl.password_file"},
		{"services", "services: {ca_file: /does/not/exist}", "services.ca_file"},
	}
	for _, tt := range tests {
		_, err := Load(file(t, tt.yaml), env())
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want it to name %q", tt.name, err, tt.want)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "absent.yaml"), env()); err == nil {
		t.Error("a named file that is absent must be an error")
	}
	if _, err := Load("", env("ALUSKORT_REASON_BENIGN", "few")); err == nil || !strings.Contains(err.Error(), "ALUSKORT_REASON_BENIGN") {
		t.Errorf("environment: %v", err)
	}
}

func TestListsAndSwitchesFromTheEnvironment(t *testing.T) {
	c, err := Load("", env("ALUSKORT_BUS_BROKERS", "a:9092,b:9092", "ALUSKORT_STORE_URL", "postgres://u@h/d", "ALUSKORT_BUS_TLS_ENABLED", "true"))
	if err != nil || !slices.Equal(c.Bus.Brokers, []string{"a:9092", "b:9092"}) || !c.Bus.TLS.Enabled || c.Embedded() {
		t.Errorf("got %+v, %v", c.Bus, err)
	}
	c, err = Load("", env("ALUSKORT_BUS_BROKERS", "a:9092", "ALUSKORT_STORE_URL", "postgres://u@h/d"))
	if err != nil || !slices.Equal(c.Bus.Brokers, []string{"a:9092"}) {
		t.Errorf("got %+v, %v", c.Bus, err)
	}
	one, other := t.TempDir(), t.TempDir()
	c, err = Load("", env("ALUSKORT_RULES_DIRS", one+string(filepath.ListSeparator)+other))
	if err != nil || !slices.Equal(c.Rules.Dirs, []string{one, other}) {
		t.Errorf("got %v, %v", c.Rules.Dirs, err)
	}
	if _, err := Load("", env("ALUSKORT_BUS_TLS_ENABLED", "perhaps")); err == nil || !strings.Contains(err.Error(), "neither true nor false") {
		t.Errorf("got %v", err)
	}
	// A password in the URL is named and not repeated.
	if _, err := Load("", env("ALUSKORT_STORE_URL", "postgres://u:hunter2@h/d", "ALUSKORT_BUS_BROKERS", "a:9092")); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestPrintedConfigurationReadsBack(t *testing.T) {
	c := Default()
	c.State = "/s"
	b, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Load(file(t, string(b)), env())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(c, got); d != "" {
		t.Error(d)
	}
}

func TestJudge(t *testing.T) {
	for text, want := range map[string]string{
		"models: {judge: suspicious}":                    "",
		"models: {judge: suspicious, judge_share: 0.01}": "",
		"models: {judge: always}":                        "models.judge: \"always\"; use off, suspicious",
		"models: {judge_share: 0}":                       "models.judge_share",
		"models: {judge_share: 1.5}":                     "models.judge_share",
	} {
		c := Default()
		if c.Models.Judge != "off" || c.Models.JudgeShare != 0.05 {
			t.Fatalf("by default %q of %v", c.Models.Judge, c.Models.JudgeShare)
		}
		if err := c.Decode([]byte(text)); err != nil {
			t.Fatal(err)
		}
		err := c.Check()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
