package main

import (
	"strings"
	"testing"
)

// What an error quotes must not reach the terminal raw.
func TestErrorsAreInert(t *testing.T) {
	for _, args := range [][]string{{"investigate", "no\x1b[31m-such\u202e-file"}, {"investigate", "--\x1b[31m"}} {
		code, _, stderr := aluskort(t, "", args...)
		if code == exitDone || strings.ContainsAny(stderr, "\x1b\u202e") {
			t.Errorf("%q: code %d, %q", args, code, stderr)
		}
	}
}

func TestATenantThatNoChainTakesIsAUsageError(t *testing.T) {
	code, _, stderr := aluskort(t, "{}", "investigate", "--tenant", strings.Repeat("x", 200), "-")
	if code != exitUsage || !strings.Contains(stderr, "--tenant") {
		t.Errorf("code %d, %q", code, stderr)
	}
}
