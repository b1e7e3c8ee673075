package bus_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/aluskort/aluskort/internal/engine/bus"
)

// smallDiskVar names a directory on a small file system (a tmpfs of 16 MB, say), for the fault
// row of the full disk; making one takes rights that a test run rarely has.
const smallDiskVar = "BUS_TEST_SMALL_DISK"

// FAULTS A5: a full disk refuses new records and loses no acknowledged one; when space returns,
// the same process goes on.
func TestFullDisk(t *testing.T) {
	disk := os.Getenv(smallDiskVar)
	if disk == "" {
		t.Skip("set " + smallDiskVar + " to a directory on a small file system")
	}
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	b := open(t, bus.Config{Dir: filepath.Join(disk, "bus")})
	acknowledged, refused := 0, 0
	send := func() error {
		err := b.Produce(t.Context(), []bus.Record{{Topic: bus.AlertsRaw, Key: fmt.Append(nil, acknowledged), Value: make([]byte, 100<<10)}})
		if err == nil {
			acknowledged++
		}
		return err
	}
	for refused < 3 {
		if err := send(); errors.Is(err, bus.ErrUnavailable) {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Ping(t.Context()); err == nil {
		t.Log("the probe still fits beside what the log could not hold")
	}
	before := acknowledged
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := send(); err != nil {
			t.Errorf("space is back, and still: %v", err)
		}
	}
	t.Logf("acknowledged %d before and %d after", before, acknowledged-before)
	check := func() {
		t.Helper()
		c := consume(t, b, bus.ConsumerConfig{Group: "g", Topics: []string{bus.AlertsRaw}})
		for next := 0; next < acknowledged; {
			for _, r := range poll(t, c).Records {
				if string(r.Key) != fmt.Sprint(next) {
					t.Fatalf("record %s at %d, want %d", r.Key, r.Offset, next)
				}
				next++
			}
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	check()
	b = open(t, bus.Config{Dir: filepath.Join(disk, "bus")})
	check()
}
