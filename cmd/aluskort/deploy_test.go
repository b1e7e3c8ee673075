package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/config"
)

const deploy = "../../deploy"

// prepared runs deploy/prepare and returns its folder.
func prepared(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl here: deploy/prepare makes certificates with it")
	}
	dir := filepath.Join(t.TempDir(), "secrets")
	for range 2 { // what is there stays
		if out, err := exec.Command(filepath.Join(deploy, "prepare"), dir).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return dir
}

// The shipped configuration is usable for every service, with the secrets that deploy/prepare
// makes in the places where the containers have them.
func TestShippedConfigurationIsUsable(t *testing.T) {
	secrets := prepared(t)
	text := strings.NewReplacer("/run/secrets", secrets, "/run/certs", filepath.Join(secrets, "certs"), "/var/lib", t.TempDir()).Replace(read(t, filepath.Join(deploy, "aluskort.yaml")))
	path := filepath.Join(t.TempDir(), "aluskort.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, target := range app.Targets() {
		variables := map[string]string{
			"HOME": t.TempDir(), "ALUSKORT_SERVICES_CERT_FILE": filepath.Join(secrets, "certs", target.Name+".pem"), "ALUSKORT_SERVICES_KEY_FILE": filepath.Join(secrets, "certs", target.Name+".key"),
		}
		c, err := config.Load(path, func(k string) string { return variables[k] })
		if err != nil {
			t.Fatalf("%s: %v", target.Name, err)
		}
		if err := app.CheckTargets(&c, []string{target.Name}); err != nil {
			t.Error(err)
		}
		cfg := identityOf(&env{config: c})
		if err := cfg.Check(); err != nil {
			t.Errorf("%s: %v", target.Name, err)
		}
	}
}

// The stack has every service once, no password in its text, and publishes on loopback alone.
func TestComposeHasEveryService(t *testing.T) {
	text := read(t, filepath.Join(deploy, "compose.yaml"))
	var stack struct {
		Services map[string]struct {
			Command     any               `yaml:"command"`
			Environment map[string]string `yaml:"environment"`
			Ports       []string          `yaml:"ports"`
			Secrets     []string          `yaml:"secrets"`
		} `yaml:"services"`
		Secrets map[string]struct {
			File string `yaml:"file"`
		} `yaml:"secrets"`
	}
	if err := yaml.Unmarshal([]byte(text), &stack); err != nil {
		t.Fatal(err)
	}
	for _, target := range app.Targets() {
		command, _ := stack.Services[target.Name].Command.([]any)
		if !slices.Equal(command, []any{"serve", "--target", target.Name}) {
			t.Errorf("%s is started with %v", target.Name, command)
		}
	}
	literal := regexp.MustCompile(`(?i)(password|secret|token)$`)
	for name, s := range stack.Services {
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s publishes %s to others", name, p)
			}
		}
		for k := range s.Environment {
			if literal.MatchString(k) {
				t.Errorf("%s has the secret %s in its environment", name, k)
			}
		}
		for _, secret := range s.Secrets {
			if !strings.HasPrefix(stack.Secrets[secret].File, "./secrets/") {
				t.Errorf("%s uses the secret %s, which deploy/prepare does not make", name, secret)
			}
		}
	}
}
