package pipeline

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/aluskort/aluskort/internal/auditlog"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/bus"
)

var partition = bus.TopicPartition{Topic: bus.AuditEvents}

// log is a topic with one message a batch; at its end a poll waits for the end of its context.
type log struct {
	messages []string
	read     int
	acked    int64
	end      func() // called once the messages are read; the loop ends by io.EOF
}

func (l *log) Poll(ctx context.Context) (bus.Batch, error) {
	if l.read < len(l.messages) {
		l.read++
		return bus.Batch{
			Records: []bus.Record{{Value: []byte(l.messages[l.read-1])}},
			Next:    map[bus.TopicPartition]int64{partition: int64(l.read)},
		}, nil
	}
	if l.end == nil {
		return bus.Batch{}, io.EOF
	}
	<-ctx.Done()
	l.end()
	l.end = nil
	return bus.Batch{}, ctx.Err()
}

func (l *log) Commit(_ context.Context, b bus.Batch) error {
	l.acked = b.Next[partition]
	return nil
}

// chain refuses one message until it is mended.
type chain struct {
	refuses string
	have    []string
}

func (c *chain) Append(_ context.Context, messages [][]byte) error {
	var refused []auditlog.Refusal
	for i, m := range messages {
		if string(m) == c.refuses {
			refused = append(refused, auditlog.Refusal{Message: i, Err: auditlog.ErrOriginGap})
		} else {
			c.have = append(c.have, string(m))
		}
	}
	if len(refused) > 0 {
		return &auditlog.AppendError{Refused: refused}
	}
	return nil
}

func TestARefusedAuditMessageHoldsUpNobodyElse(t *testing.T) {
	tests := []struct {
		name  string
		mends bool
		have  []string
		acked int64
	}{
		{"for ever", false, []string{"1", "3"}, 1},
		{"until it is mended", true, []string{"1", "3", "2"}, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &chain{refuses: "2"}
				l := &log{messages: []string{"1", "2", "3"}}
				if tt.mends {
					l.end = func() { c.refuses = "" }
				}
				a := &Auditor{Stage: Stage{Clock: clock.System{}, Log: slog.New(slog.DiscardHandler)}, Chain: c}
				if err := a.loop(t.Context(), l); !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				if !slices.Equal(c.have, tt.have) || l.acked != tt.acked || a.Ready() != tt.mends {
					t.Errorf("chain has %v, acknowledged up to %d, ready %v", c.have, l.acked, a.Ready())
				}
			})
		})
	}
}
