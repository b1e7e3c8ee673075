package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

// B4, B6: what cannot be processed lies in the dead letters with its original bytes, delays
// nobody, and is processed once after it was sent back.
func TestB6DeadLettersAreReplayed(t *testing.T) {
	native := `{"_index":"wazuh-alerts-4.x","_id":"replayed-1","_source":{"agent":{"id":"001","name":"ws-1"},"rule":{"id":"5710","level":5,"description":"x"},"id":"1.1","timestamp":"2026-03-03T07:00:02.120Z"}}`
	err := withNode(t.TempDir(), func(ctx context.Context, n *Node) error {
		// One letter from the intake, and a record on the topic that is no frame.
		if err := n.deadLetter(ctx, []api.Letter{{Tenant: "default", Source: "wazuh", Raw: []byte(native), Reason: "refused", Text: "a mapping was missing"}}); err != nil {
			return err
		}
		if err := n.Bus.Produce(ctx, []bus.Record{{Topic: bus.AlertsRaw, Key: []byte("k"), Value: []byte("no frame\x00\xff")}}); err != nil {
			return err
		}
		for n.DeadLetters() == 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
		letters, _, _, err := n.Bus.ListDead(ctx, bus.AlertsRaw, bus.Position{}, 10)
		if err != nil {
			return err
		}
		if len(letters) != 2 || string(letters[0].Original.Value) != native || string(letters[1].Original.Value) != "no frame\x00\xff" {
			t.Errorf("letters %+v", letters)
		}
		for range 2 { // a second replay has nothing left to do
			if _, err := n.Bus.Replay(ctx, bus.ReplayRequest{Topic: bus.AlertsRaw, At: []bus.Position{letters[0].At}}); err != nil {
				return err
			}
		}
		for {
			_, err := n.Engine.Locate(ctx, "default", "wazuh", "replayed-1")
			if err == nil {
				return errors.Join(n.Settled(ctx), rejectionIsRecorded(ctx, n))
			}
			if !errors.Is(err, orchestrate.ErrNotFound) || ctx.Err() != nil {
				return err
			}
			<-time.After(time.Millisecond)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// rejectionIsRecorded looks for the record of the parser's dead letter: it names no tenant, so the
// operator's trail has it, with the digest of its bytes.
func rejectionIsRecorded(ctx context.Context, n *Node) error {
	digest := sha256.Sum256([]byte("no frame\x00\xff"))
	found := false
	err := n.Audit.Records(ctx, "default", 0, math.MaxInt64, func(r audit.Record) error {
		text := string(r.Bytes)
		found = found || strings.Contains(text, `"event_type":"alert.rejected"`) && strings.Contains(text, `"source_service":"entity-parser"`) &&
			strings.Contains(text, hex.EncodeToString(digest[:]))
		return nil
	})
	if err == nil && !found {
		err = errors.New("no record of the record that the parser refused")
	}
	return err
}
