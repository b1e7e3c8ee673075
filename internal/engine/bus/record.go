package bus

import (
	"errors"
	"fmt"
	"time"
)

// Names of the headers that every stage understands.
const (
	HeaderTenant      = "tenant"
	HeaderSchema      = "schema"
	HeaderDedupID     = "dedup-id"
	HeaderTraceParent = "traceparent"
)

// Limits of a record in bytes.
const (
	// MaxValueBytes is the largest value that is promised to pass: the limit of the intake.
	MaxValueBytes = 8 << 20
	// MaxRecordBytes bounds key, value and headers of a produced record together.
	MaxRecordBytes = MaxValueBytes + 128<<10
	// maxLetterBytes leaves room for what a dead letter adds to the largest record.
	maxLetterBytes = MaxRecordBytes + 128<<10
	// maxBatchBytes is what a batch with one such record may have on the wire; topics are
	// created with it and the producer keeps to it.
	maxBatchBytes = maxLetterBytes + 256<<10
)

// Record is one message. Offset and Partition are set on consumed records only.
//
// A producer hands its byte slices over: they must not change after Produce was called, even if
// it returned an error. The slices of a consumed record are the receiver's to read and keep;
// keeping one keeps the fetched batch it points into.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte
	Value     []byte
	Headers   []Header
	// Timestamp is when the record was handed to the bus. Zero on produce means now, by the
	// machine's clock, which is right nearly always: retention counts from it, so an event time
	// here would make old events vanish.
	Timestamp time.Time
}

// Header is one named value beside a record. Names may repeat.
type Header struct {
	Key   string
	Value []byte
}

// Header returns the first header of that name.
func (r *Record) Header(name string) ([]byte, bool) {
	for i := range r.Headers {
		if r.Headers[i].Key == name {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}

// size is what the record counts against limits: its bytes without framing.
func (r *Record) size() int {
	n := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}

// TopicPartition names one log. ID tells a topic from another that was created later under the
// same name: offsets stored for one mean nothing in the other.
type TopicPartition struct {
	Topic     string
	ID        [16]byte
	Partition int32
}

func (tp TopicPartition) String() string { return fmt.Sprintf("%s/%d", tp.Topic, tp.Partition) }

// Errors of the bus. Test with errors.Is; RecordError and TopicError carry the place.
var (
	// ErrTooLarge: a record is above MaxRecordBytes. Permanent; nothing of the call was sent.
	ErrTooLarge = errors.New("record is larger than the bus takes; store the bytes in the object store and send a reference")
	// ErrUnavailable: the broker did not answer or answered with an error of its own. Transient:
	// repeat. Records of a failed Produce may still have arrived.
	ErrUnavailable = errors.New("bus is unavailable")
	// ErrUnknownTopic: the broker has no such topic.
	ErrUnknownTopic = errors.New("topic does not exist; create it with 'topics apply'")
	// ErrClosed: the bus or the consumer was closed.
	ErrClosed = errors.New("bus is closed")
	// ErrMoved: the stored offset of a partition is not the one that was expected, for another
	// member of the group has worked on. The owner of stored offsets returns it from OnReset.
	ErrMoved = errors.New("another member of the group has moved the stored offset")
	// ErrNoDeadLetters: the topic has no dead letters.
	ErrNoDeadLetters = errors.New("topic has no dead letters")
	// ErrGroupInUse: an embedded bus has one consumer per group and topic.
	ErrGroupInUse = errors.New("group already has a consumer on this topic; an embedded bus has one partition per topic, fan out behind the consumer")
	// ErrNotALetter: a record in a dead-letter topic lacks the headers of a letter.
	ErrNotALetter = errors.New("record is not a dead letter")
	// ErrReplayGaps: single letters were replayed in so many places that the marks no longer fit.
	ErrReplayGaps = errors.New("too many gaps between replayed letters; replay the rest with all, or with force")
)

// RecordError says which record of a call is wrong.
type RecordError struct {
	Index int // in the slice that was passed
	Topic string
	Bytes int
	Err   error
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("record %d for %s (%d bytes, limit %d): %v", e.Index, e.Topic, e.Bytes, MaxRecordBytes, e.Err)
}

// Unwrap makes errors.Is work.
func (e *RecordError) Unwrap() error { return e.Err }

// TopicError says which topic an error is about.
type TopicError struct {
	Topic string
	Err   error
}

func (e *TopicError) Error() string { return fmt.Sprintf("topic %q: %v", e.Topic, e.Err) }

// Unwrap makes errors.Is work.
func (e *TopicError) Unwrap() error { return e.Err }

// unavailable wraps what a driver said, with what was attempted, as ErrUnavailable.
func unavailable(what string, err error) error {
	if refused(err) {
		return fmt.Errorf("%s: %w: %w: %w", what, ErrUnavailable, ErrUnauthorized, err)
	}
	return fmt.Errorf("%s: %w: %w", what, ErrUnavailable, err)
}
