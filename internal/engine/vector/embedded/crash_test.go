//go:build unix

package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/aluskort/aluskort/internal/engine/vector"
)

// The test binary is its own process under test; writerEnv names the directory it writes to.
const writerEnv = "VECTOR_TEST_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		fmt.Println("error:", writeForEver(dir))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// writeForEver upserts batches from two goroutines, rewriting earlier ids so that logs are
// compacted too, and prints each number after it was acknowledged.
func writeForEver(dir string) error {
	e, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := e.EnsureCollection(ctx, small); err != nil {
		return err
	}
	const writers, span = 2, 400
	failed := make(chan error)
	for w := range writers {
		go func() {
			for i := w; ; i += writers {
				var points []vector.Point
				for k := range 3 {
					// The same three ids come again with a later round.
					id := uint64(i%span)*3 + uint64(k)
					points = append(points, vector.Point{ID: vector.Number(id), Vector: []float32{1, float32(i + 1), 0, 0}, Payload: vector.Payload{"k": strconv.Itoa(i)}})
				}
				if err := e.Upsert(ctx, tenant, name, points); err != nil {
					failed <- err
				}
				fmt.Println(i)
			}
		}()
	}
	return <-failed
}

func TestKilledProcessKeepsWhatItAcknowledged(t *testing.T) {
	dir := t.TempDir()
	latest := map[int]int{} // acknowledged, by place
	for _, after := range []int{150, 700, 1100} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), writerEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		clear(latest) // a new process writes every place from the start again
		seen := 0
		for lines := bufio.NewScanner(out); lines.Scan(); {
			i, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Errorf("the writer says %q", lines.Text())
				break
			}
			latest[i%400] = max(latest[i%400], i)
			if seen++; seen == after {
				if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // killed, as intended
		if seen < after {
			t.Fatalf("the writer ended after %d batches", seen)
		}
		checkAcknowledged(t, dir, latest)
	}
}

func checkAcknowledged(t *testing.T, dir string, latest map[int]int) {
	t.Helper()
	e := open(t, dir)
	defer closeEngine(t, e)
	for at, i := range latest {
		var ids []vector.ID
		for k := range 3 {
			ids = append(ids, vector.Number(uint64(at)*3+uint64(k)))
		}
		points, err := e.Get(t.Context(), tenant, name, ids)
		if err != nil || len(points) != 3 {
			t.Fatalf("place %d: %d points, %v", at, len(points), err)
		}
		var rounds []string
		for _, p := range points {
			rounds = append(rounds, p.Payload["k"].(string))
		}
		if rounds[0] != rounds[1] || rounds[1] != rounds[2] {
			t.Errorf("a batch is there in part: %s", strings.Join(rounds, " "))
		}
		if n, _ := strconv.Atoi(rounds[0]); n < i {
			t.Errorf("batch %d was acknowledged, %d is there", i, n)
		}
	}
}
