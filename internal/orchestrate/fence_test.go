package orchestrate

import (
	"context"
	"errors"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
)

// B10: of two consumers that work off the same partition, the database lets one pass; the batch
// of the other writes nothing, whichever comes first, and what starts at the stored offset is
// taken from either.
func TestB10AnOvertakenBatchWritesNothing(t *testing.T) {
	b := open(t)
	ctx := context.Background()
	at := func(partition int32, from, next int64) Offset {
		return Offset{Consumer: "c", Topic: "t", TopicID: [16]byte{1}, Partition: partition, From: from, Next: next}
	}
	for _, step := range []struct {
		name    string
		alert   string
		offsets []Offset
		want    error
	}{
		{"nothing is stored yet", "a", []Offset{at(0, 7, 10)}, nil},
		{"the next batch", "b", []Offset{at(0, 10, 20)}, nil},
		{"the same batch from another owner", "c", []Offset{at(0, 10, 20)}, ErrOffsetMoved},
		{"an owner that is behind", "d", []Offset{at(0, 7, 12)}, ErrOffsetMoved},
		{"an owner that is ahead", "e", []Offset{at(0, 25, 30)}, ErrOffsetMoved},
		{"one of two partitions was lost", "f", []Offset{at(1, 0, 5), at(0, 10, 15)}, ErrOffsetMoved},
		{"the other partition did not move with it", "g", []Offset{at(1, 0, 5), at(0, 20, 21)}, nil},
		{"the topic was made anew", "h", []Offset{{Consumer: "c", Topic: "t", TopicID: [16]byte{2}, From: 0, Next: 3}}, nil},
	} {
		_, err := b.Process(ctx, Batch{Messages: []*alert.Message{message(step.alert, step.alert, "1 k")}, Offsets: step.offsets})
		if !errors.Is(err, step.want) {
			t.Fatalf("%s: error is %v, want %v", step.name, err, step.want)
		}
		_, err = b.Locate(ctx, "a", "test", step.alert)
		if stored := err == nil; stored != (step.want == nil) {
			t.Errorf("%s: alert stored: %v, %v", step.name, stored, err)
		}
	}
	if err := b.SetOffset(ctx, Offset{Consumer: "c", Topic: "t", TopicID: [16]byte{2}, From: 2, Next: 9}); !errors.Is(err, ErrOffsetMoved) {
		t.Errorf("a reset from an offset that is not stored: %v", err)
	}
	if err := b.SetOffset(ctx, Offset{Consumer: "c", Topic: "t", TopicID: [16]byte{2}, From: 3, Next: 9}); err != nil {
		t.Error(err)
	}
	stored, err := b.Offsets(ctx, "c")
	if err != nil || len(stored) != 2 || stored[0].Next+stored[1].Next != 9+5 {
		t.Errorf("stored %+v, %v", stored, err)
	}
}
