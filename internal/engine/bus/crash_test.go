package bus_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/bus"
)

const crashDirVar = "BUS_TEST_CRASH_DIR"

// crashChild produces until it is killed and prints each number after its acknowledgement.
func crashChild() {
	dir := os.Getenv(crashDirVar)
	if dir == "" {
		return
	}
	ctx := context.Background()
	b, err := bus.Open(ctx, bus.Config{Dir: dir, Clock: clock.System{}})
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	for n := uint64(0); ; n += 5 {
		recs := make([]bus.Record, 5)
		for i := range recs {
			recs[i] = bus.Record{Topic: bus.AlertsRaw, Value: append(binary.BigEndian.AppendUint64(nil, n+uint64(i)), make([]byte, 2000)...)}
		}
		if err := b.Produce(ctx, recs); err != nil {
			fmt.Println("produce:", err)
			os.Exit(1)
		}
		fmt.Println(n + 4)
	}
}

// FAULTS A1/A2 for the bus: kill -9 at any moment loses nothing that was acknowledged.
func TestKillWhileProducing(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	acknowledged := make(map[uint64]bool)
	for round := range 4 {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), crashDirVar+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(out)
		for lines := 0; sc.Scan(); lines++ {
			last, err := strconv.ParseUint(sc.Text(), 10, 64)
			if err != nil {
				t.Errorf("child says %q", sc.Text())
				break
			}
			for i := range uint64(5) {
				acknowledged[last-i] = true
			}
			if lines == 60+17*round {
				_ = cmd.Process.Kill() // what it printed until then is read to the end
			}
		}
		_ = cmd.Wait()
	}
	b := open(t, bus.Config{Dir: dir})
	defer func() { _ = b.Close() }()
	c, err := b.Consume(t.Context(), bus.ConsumerConfig{Group: "g", Topics: []string{bus.AlertsRaw}})
	if err != nil {
		t.Fatal(err)
	}
	lags, err := b.Lag(t.Context(), "g")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, n := range lags {
		total += int(n)
	}
	if total < len(acknowledged) {
		t.Errorf("log has %d records, %d numbers were acknowledged", total, len(acknowledged))
	}
	for got := 0; got < total; {
		batch, err := c.Poll(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got += len(batch.Records)
		for _, r := range batch.Records {
			if len(r.Value) != 2008 {
				t.Fatalf("record %d has %d bytes", r.Offset, len(r.Value))
			}
			delete(acknowledged, binary.BigEndian.Uint64(r.Value))
		}
	}
	if len(acknowledged) > 0 {
		t.Errorf("%d acknowledged records are lost", len(acknowledged))
	}
}
