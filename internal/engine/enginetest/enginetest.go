// Package enginetest tells tests where a real engine listens: PostgreSQL, Kafka, Redis, Qdrant,
// Neo4j, an S3 server, emulators of Google Cloud Storage and Azure. scripts/engines starts them and
// sets the variables that are read here.
package enginetest

import (
	"os"
	"strings"
	"testing"
)

// Require is the environment variable that lists engines, separated by commas, whose tests must
// run: a test of one of them fails where its address is missing, instead of being skipped.
const Require = "ALUSKORT_TEST_REQUIRE"

// Address returns the address of the engine called name: what the environment variable
// ALUSKORT_TEST_NAME holds, in upper case. Without it the test is skipped, or fails when Require
// lists the engine. What the address looks like is said by the script that starts the engine.
func Address(t testing.TB, name string) string {
	t.Helper()
	variable := variable(name)
	if a := os.Getenv(variable); a != "" {
		return a
	}
	for want := range strings.SplitSeq(os.Getenv(Require), ",") {
		if want == name {
			t.Fatalf("%s is not set, and %s lists %s", variable, Require, name)
		}
	}
	t.Skipf("no %s here: scripts/engines starts one and sets %s", name, variable)
	return ""
}

// Known tells whether Address has something to return, or would fail the test because it must.
func Known(name string) bool {
	if os.Getenv(variable(name)) != "" {
		return true
	}
	for want := range strings.SplitSeq(os.Getenv(Require), ",") {
		if want == name {
			return true
		}
	}
	return false
}

func variable(name string) string { return "ALUSKORT_TEST_" + strings.ToUpper(name) }
