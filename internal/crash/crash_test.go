//go:build unix

package crash

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// childEnv makes the test binary act as the process under test.
const childEnv = "CRASH_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	defer fmt.Println("deferred")
	for i := range 3 {
		fmt.Println("pass", i)
		Point(AfterCommit)
	}
	fmt.Println("end")
}

func runChild(t *testing.T, at string) (string, error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"=1", Env+"="+at)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return strings.Join(strings.Fields(out.String()), " "), err
}

func TestPoint(t *testing.T) {
	tests := []struct {
		name, at, want string
		killed         bool
	}{
		{"unarmed", "", "pass 0 pass 1 pass 2 end deferred", false},
		{"first passing", AfterCommit, "pass 0", true},
		{"third passing", AfterCommit + ":3", "pass 0 pass 1 pass 2", true},
		{"passed too seldom", AfterCommit + ":4", "pass 0 pass 1 pass 2 end deferred", false},
		{"another point", BeforePoll, "pass 0 pass 1 pass 2 end deferred", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := runChild(t, tt.at)
			if out != tt.want {
				t.Errorf("output %q, want %q", out, tt.want)
			}
			if killed := signalled(err, syscall.SIGKILL); killed != tt.killed {
				t.Errorf("killed = %v (%v), want %v", killed, err, tt.killed)
			}
		})
	}
}

func signalled(err error, sig syscall.Signal) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == sig
}

func TestMisspeltPointIsRefused(t *testing.T) {
	for _, value := range []string{"after-comit", "after-commit:0", "after-commit:x", ":1"} {
		out, err := runChild(t, value)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 {
			t.Errorf("%q: got %v, want exit code 2", value, err)
		}
		if !strings.Contains(out, "crash: "+Env) {
			t.Errorf("%q: message %q does not name the variable", value, out)
		}
	}
}

func BenchmarkPointUnarmed(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Point(AfterCommit)
	}
}
