package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A broken configuration is no reason for doctor to give up: it names each mistake, with the key
// and how to mend it, and goes on to the engines that cannot be reached.
func TestDoctorNamesEverythingThatIsWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aluskort.yaml")
	text := `state: ` + filepath.Join(t.TempDir(), "state") + `
listen: nowhere
log: {level: loud}
bus: {brokers: ["127.0.0.1:1"], sasl: {mechanism: PLAIN, user: x, password_file: /does/not/exist}}
store: {url: "postgres://u:hunter2@127.0.0.1:2/db"}
services: {ca_file: ` + path + `}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := aluskort(t, "", "doctor", "--config", path)
	if code != exitFindings {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, want := range []string{
		`listen: "nowhere"`, `log.level: "loud"`, "store.password_file", "bus.sasl.password_file", "state database     cannot be opened", "audit database     cannot be opened",
		"connection refused", "cert_file is missing", "key_file is missing", "127.0.0.1:1 does not answer", "`aluskort migrate` makes the tables", "bus.brokers, bus.tls and bus.sasl say how",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("doctor does not say %q", want)
		}
	}
	if strings.Contains(out, "hunter2") {
		t.Error("doctor prints the password")
	}
	if t.Failed() {
		t.Log(out)
	}
	// Every other command refuses to run with it.
	if code, _, stderr := aluskort(t, "", "topics", "list", "--config", path); code != exitFailed || !strings.Contains(stderr, "log.level") {
		t.Errorf("topics list: exit %d, %s", code, stderr)
	}
}
