package auditlog

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
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
