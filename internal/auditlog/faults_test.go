package auditlog

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
)

// TestA9SixtyFourAppendersMakeOneChain: 64 appenders over two Services with handles of their own
// on one file, the very first records of the tenant among them: no fork, no gap, every event once.
func TestA9SixtyFourAppendersMakeOneChain(t *testing.T) {
	path := t.TempDir() + "/audit.db"
	services := []*Service{newService(t, openAudit(t, path)), newService(t, openAudit(t, path))}
	const appenders, messages, per = 64, 5, 10
	begin := make(chan struct{})
	var wg sync.WaitGroup
	for w := range appenders {
		wg.Go(func() {
			origin, s := fmt.Sprintf("w%02d", w), services[w%len(services)]
			<-begin
			for i := range int64(messages) {
				msg := [][]byte{messageOf(t, origin, "acme", i*per+1, i*per+per)}
				err := s.Append(t.Context(), msg)
				for errors.Is(err, store.ErrUnavailable) { // the other held the file for too long
					err = s.Append(t.Context(), msg)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	close(begin)
	wg.Wait()
	const all = appenders * messages * per
	for _, s := range services {
		if report := mustVerify(t, s, "acme"); report.Records != all+1 {
			t.Errorf("%d records, want %d", report.Records, all+1)
		}
	}
	seen := map[string]int{}
	for _, c := range contents(t, services[0], "acme") {
		seen[c]++
	}
	if len(seen) != all+1 {
		t.Errorf("%d different events, want %d", len(seen), all+1)
	}
}

// TestA9TwoWritersOneTenant: two writers with 32 appenders each on one tenant, none of them with
// numbers of its own alone: both are given the same messages, and their connections are cut while
// they append. The chain has each event once, in the order of its origin.
func TestA9TwoWritersOneTenant(t *testing.T) {
	path := t.TempDir() + "/audit.db"
	dbs := []store.DB{openAudit(t, path), openAudit(t, path)}
	services := []*Service{newService(t, dbs[0]), newService(t, dbs[1])}
	const origins, messages, per = 32, 6, 7
	var wg sync.WaitGroup
	var appended atomic.Int64
	cut := make(chan struct{}, origins*messages*2)
	for w := range 2 * origins {
		wg.Go(func() {
			origin, s := fmt.Sprintf("w%02d", w%origins), services[w/origins]
			for i := range int64(messages) {
				msg := [][]byte{messageOf(t, origin, "acme", i*per+1, i*per+per)}
				err := s.Append(t.Context(), msg)
				for errors.Is(err, store.ErrUnavailable) {
					err = s.Append(t.Context(), msg)
				}
				if err != nil {
					t.Error(err)
					return
				}
				if appended.Add(1)%100 == 0 {
					cut <- struct{}{}
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	for open := true; open; {
		select {
		case <-cut:
			dbtest.CutConnections(t, dbs[0])
		case <-ended:
			open = false
		}
	}
	next := map[string]int{}
	for _, c := range contents(t, services[0], "acme") {
		origin, n, ok := strings.Cut(c, "/")
		if !ok {
			continue // the genesis
		}
		if next[origin]++; n != fmt.Sprint(next[origin]) {
			t.Fatalf("%s follows %d events of its origin", c, next[origin]-1)
		}
	}
	if len(next) != origins {
		t.Errorf("%d origins, want %d", len(next), origins)
	}
	for _, s := range services {
		if report := mustVerify(t, s, "acme"); report.Records != origins*messages*per+1 {
			t.Errorf("%d records, want %d", report.Records, origins*messages*per+1)
		}
	}
}

// FuzzA10RecordsRoundTripThroughTheStore: what the store gives back has the hash that was made,
// and every text, number and time comes back as it went in: nothing is rounded or normalised.
func FuzzA10RecordsRoundTripThroughTheStore(f *testing.F) {
	f.Add("plain", int64(1), int64(1_700_000_000_123_457))
	f.Add("e\u0301 and \u00e9, \u212a and K, \u2028, \x00 and \"\\", int64(audit.MaxInt), int64(0))
	f.Add(strings.Repeat("ü", 200)+"\U0001f600", int64(-audit.MaxInt), int64(audit.MaxInt))
	s := newService(f, openAudit(f, ""))
	n := int64(0)
	f.Fuzz(func(t *testing.T, text string, number, at int64) {
		var o audit.Object
		o.Int("number", number).Str("text", text)
		outcome, err := o.Finish()
		e := audit.Event{
			Type: audit.AlertClassified, Timestamp: at, ActorType: audit.ActorSystem, ActorID: "fuzz", SourceService: "fuzz", AlertID: text, Outcome: outcome,
		}
		var wire []byte
		if err == nil {
			wire, err = e.AppendWire(nil)
		}
		if err != nil {
			t.Skip("refused before it is stored: ", err)
		}
		n++
		if err := s.Append(t.Context(), [][]byte{messageWith("fuzz", "acme", n, n, wire)}); err != nil {
			t.Fatal(err)
		}
		head, err := s.Head(t.Context(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		err = s.Records(t.Context(), "acme", head.Sequence, -1, func(r audit.Record) error {
			if got := audit.Hash(sha256.Sum256(r.Bytes)); got != r.Hash || got != head.Hash {
				t.Errorf("the stored bytes hash to %s, the chain says %s", got, head.Hash)
			}
			got, err := audit.ParseRecord(r.Bytes)
			if err != nil {
				return err
			}
			if got.AlertID != text || got.Timestamp != at || got.Outcome != outcome.String() {
				t.Errorf("went in as %q %d %s, came back as %q %d %s", text, at, outcome, got.AlertID, got.Timestamp, got.Outcome)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
