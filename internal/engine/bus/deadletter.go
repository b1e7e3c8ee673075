package bus

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Headers that a dead letter adds to those of its original. All start with "dlq-"; an original's
// own headers of these names (from an earlier death) are replaced.
const (
	HeaderDLQReason    = "dlq-reason"
	HeaderDLQStage     = "dlq-stage"
	HeaderDLQError     = "dlq-error"
	HeaderDLQTopic     = "dlq-topic"
	HeaderDLQPartition = "dlq-partition"
	HeaderDLQOffset    = "dlq-offset"
	HeaderDLQTime      = "dlq-time" // RFC 3339, UTC
	// HeaderReplayedFrom is on a replayed record: dead-letter topic/partition/offset.
	HeaderReplayedFrom = "dlq-replayed-from"
)

// maxErrorText bounds reason, stage and error text of a letter, in bytes each.
const maxErrorText = 4 << 10

// DeadLetter is a record that cannot be processed whatever is tried: its content is at fault.
// A failing engine never makes one.
type DeadLetter struct {
	Original Record // as it was consumed: topic, partition, offset and bytes
	Reason   string // a short code, for grouping
	Stage    string // which service gave up
	Err      string // the error's text; cut at 4 KiB
}

// Position is a place in a topic whose name is known from elsewhere.
type Position struct {
	Partition int32
	Offset    int64
}

// StoredLetter is a dead letter as it lies in its topic.
type StoredLetter struct {
	DeadLetter
	Topic string // the dead-letter topic
	At    Position
	Time  time.Time // when it was put there
	// Replayed reports whether Replay has sent it back.
	Replayed bool
	// Malformed is ErrNotALetter, with what is wrong, for a record that something else put
	// there; Original then is the record itself.
	Malformed error
}

// DeadLetter stores letters: the original's key, value and headers byte for byte, with headers
// that say why, where and when. It returns nil only when all are acknowledged; until then the
// originals must not be committed, so that a failing dead-letter topic loses nothing.
func (b *Bus) DeadLetter(ctx context.Context, letters ...DeadLetter) error {
	recs := make([]Record, len(letters))
	now := b.cfg.Clock.Now().UTC().Format(time.RFC3339Nano)
	for i, l := range letters {
		topic, err := DeadLetterTopic(l.Original.Topic)
		if err != nil {
			return fmt.Errorf("dead letter %d: %w", i, err)
		}
		recs[i] = Record{Topic: topic, Key: l.Original.Key, Value: l.Original.Value, Headers: letterHeaders(l, now)}
	}
	if err := b.produce(ctx, recs, maxLetterBytes); err != nil {
		return fmt.Errorf("store dead letters: %w", err)
	}
	return nil
}

func letterHeaders(l DeadLetter, now string) []Header {
	headers := make([]Header, 0, len(l.Original.Headers)+7)
	for _, h := range l.Original.Headers {
		if !isLetterHeader(h.Key) {
			headers = append(headers, h)
		}
	}
	for _, h := range [...]struct{ k, v string }{
		{HeaderDLQReason, cutText(l.Reason)},
		{HeaderDLQStage, cutText(l.Stage)},
		{HeaderDLQError, cutText(l.Err)},
		{HeaderDLQTopic, l.Original.Topic},
		{HeaderDLQPartition, strconv.Itoa(int(l.Original.Partition))},
		{HeaderDLQOffset, strconv.FormatInt(l.Original.Offset, 10)},
		{HeaderDLQTime, now},
	} {
		headers = append(headers, Header{h.k, []byte(h.v)})
	}
	return headers
}

func isLetterHeader(name string) bool {
	switch name {
	case HeaderDLQReason, HeaderDLQStage, HeaderDLQError, HeaderDLQTopic, HeaderDLQPartition, HeaderDLQOffset, HeaderDLQTime:
		return true
	}
	return false
}

// cutText keeps valid UTF-8 within the limit.
func cutText(s string) string {
	if len(s) <= maxErrorText {
		return s
	}
	return strings.ToValidUTF8(s[:maxErrorText], "")
}

// parseLetter undoes letterHeaders.
func parseLetter(r *kgo.Record) StoredLetter {
	l := StoredLetter{Topic: r.Topic, At: Position{r.Partition, r.Offset}, Time: r.Timestamp.UTC()}
	l.Original = Record{Key: r.Key, Value: r.Value}
	fields := make(map[string]string)
	for _, h := range r.Headers {
		if isLetterHeader(h.Key) {
			fields[h.Key] = string(h.Value)
		} else {
			l.Original.Headers = append(l.Original.Headers, Header{h.Key, h.Value})
		}
	}
	l.Reason, l.Stage, l.Err = fields[HeaderDLQReason], fields[HeaderDLQStage], fields[HeaderDLQError]
	partition, perr := strconv.ParseInt(fields[HeaderDLQPartition], 10, 32)
	offset, oerr := strconv.ParseInt(fields[HeaderDLQOffset], 10, 64)
	at, terr := time.Parse(time.RFC3339Nano, fields[HeaderDLQTime])
	switch err := cmp.Or(perr, oerr, terr); {
	case fields[HeaderDLQTopic] == "":
		l.Malformed = fmt.Errorf("%s %d/%d has no header %s: %w", r.Topic, r.Partition, r.Offset, HeaderDLQTopic, ErrNotALetter)
	case err != nil:
		l.Malformed = fmt.Errorf("%s %d/%d: %w: %w", r.Topic, r.Partition, r.Offset, ErrNotALetter, err)
	}
	if l.Malformed != nil {
		l.Original.Topic, l.Original.Partition, l.Original.Offset = r.Topic, r.Partition, r.Offset
		return l
	}
	l.Original.Topic, l.Original.Partition, l.Original.Offset = fields[HeaderDLQTopic], int32(partition), offset
	l.Time = at
	return l
}

// lettersOf accepts a dead-letter topic or one that has letters.
func lettersOf(topic string) (string, error) {
	if strings.HasSuffix(topic, dlqSuffix) {
		return topic, nil
	}
	return DeadLetterTopic(topic)
}

// ListDead returns at most max letters of topic (the dead-letter topic or one whose letters go
// there) from a position on, by partition and offset, and the position to go on from; more is
// false at the end. Letters that shared topics hold for other originals are listed too.
func (b *Bus) ListDead(ctx context.Context, topic string, from Position, limit int) (letters []StoredLetter, next Position, more bool, err error) {
	dlq, err := lettersOf(topic)
	if err != nil {
		return nil, from, false, err
	}
	done, err := b.enter()
	if err != nil {
		return nil, from, false, err
	}
	defer done()
	marks, err := b.replayMarks(ctx, dlq)
	if err != nil {
		return nil, from, false, fmt.Errorf("list dead letters: %w", err)
	}
	next = from
	err = b.scan(ctx, dlq, func(p int32) int64 {
		if p < from.Partition {
			return never
		}
		if p == from.Partition {
			return from.Offset
		}
		return 0
	}, func(r *kgo.Record) bool {
		if len(letters) == limit {
			more = true
			return false
		}
		l := parseLetter(r)
		l.Replayed = marks[r.Partition].has(r.Offset)
		letters = append(letters, l)
		next = Position{r.Partition, r.Offset + 1}
		return true
	})
	if err != nil {
		return nil, from, false, fmt.Errorf("list dead letters: %w", err)
	}
	return letters, next, more, nil
}

const never = int64(1) << 62

// scan calls fn for the records that lie in topic now, partition by partition, each from the
// offset that start says, until fn returns false.
func (b *Bus) scan(ctx context.Context, topic string, start func(partition int32) int64, fn func(*kgo.Record) bool) error {
	if _, err := b.identify(ctx, []string{topic}); err != nil {
		return err
	}
	starts, ends, err := b.bounds(ctx, []string{topic})
	if err != nil {
		return err
	}
	tps := slices.SortedFunc(maps.Keys(ends), func(x, y TopicPartition) int { return cmp.Compare(x.Partition, y.Partition) })
	for _, tp := range tps {
		from := max(start(tp.Partition), starts[tp])
		if from >= ends[tp] {
			continue
		}
		goOn, err := b.scanPartition(ctx, tp, from, ends[tp], fn)
		if err != nil || !goOn {
			return err
		}
	}
	return nil
}

func (b *Bus) scanPartition(ctx context.Context, tp TopicPartition, from, end int64, fn func(*kgo.Record) bool) (goOn bool, err error) {
	opts := append([]kgo.Opt{
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{tp.Topic: {tp.Partition: kgo.NewOffset().At(from)}}),
		kgo.FetchMaxBytes(4 << 20),
		kgo.FetchMaxPartitionBytes(4 << 20),
	}, b.opts...)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return false, fmt.Errorf("client: %w", err)
	}
	defer client.Close()
	for {
		fetches := client.PollRecords(ctx, 500)
		if err := fetches.Err0(); err != nil {
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			return false, unavailable("read "+tp.String(), err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if r.Offset >= end {
				return true, nil
			}
			if !fn(r) {
				return false, nil
			}
			if r.Offset == end-1 {
				return true, nil
			}
		}
	}
}
