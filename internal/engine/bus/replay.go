package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ReplayRequest says which letters of a dead-letter topic go back to where they came from.
type ReplayRequest struct {
	Topic string     // the dead-letter topic or one whose letters go there
	At    []Position // these letters; empty with All
	All   bool       // every letter there is now
	// Only, when set, leaves out letters of other original topics.
	Only string
	// Force replays letters that were replayed before.
	Force bool
}

// ReplayResult counts what a replay did.
type ReplayResult struct {
	Replayed  int
	Skipped   int // replayed before
	Malformed int // not letters; they stay
	Missing   int // positions asked for where there is nothing (any more)
}

// replayChunk bounds a replay in memory; marks are committed after each.
const (
	replayChunkRecords = 500
	replayChunkBytes   = 16 << 20
)

// Replay produces original records again: to their topic, with key, value and headers as they
// were and HeaderReplayedFrom added. Which letters went back is kept in the offsets of
// GroupReplay, written after the records are acknowledged: a crash in between replays some
// twice, and dedup-id (or the identity of the alert) makes that harmless. One replay per
// dead-letter topic at a time.
func (b *Bus) Replay(ctx context.Context, req ReplayRequest) (ReplayResult, error) {
	var res ReplayResult
	dlq, err := lettersOf(req.Topic)
	if err != nil {
		return res, err
	}
	if req.All == (len(req.At) > 0) {
		return res, errors.New("replay dead letters: name positions or ask for all of them")
	}
	done, err := b.enter()
	if err != nil {
		return res, err
	}
	defer done()
	b.replaying.Lock()
	defer b.replaying.Unlock()
	marks, err := b.replayMarks(ctx, dlq)
	if err != nil {
		return res, fmt.Errorf("replay dead letters: %w", err)
	}
	r := &replay{bus: b, ctx: ctx, req: req, dlq: dlq, marks: marks, wanted: make(map[Position]bool, len(req.At))}
	for _, p := range req.At {
		r.wanted[p] = true
	}
	err = b.scan(ctx, dlq, r.start, r.visit)
	if err = cmp.Or(r.err, err); err == nil {
		err = r.flush()
	}
	r.res.Missing = len(r.wanted)
	if err != nil {
		return r.res, fmt.Errorf("replay dead letters: %w", err)
	}
	return r.res, nil
}

type replay struct {
	bus    *Bus
	ctx    context.Context
	req    ReplayRequest
	dlq    string
	marks  map[int32]*marks
	wanted map[Position]bool // still to be found

	chunk []Record
	at    []Position
	bytes int
	res   ReplayResult
	err   error
}

// start skips what need not be read.
func (r *replay) start(partition int32) int64 {
	if r.req.All {
		if r.req.Force || r.marks[partition] == nil {
			return 0
		}
		return r.marks[partition].below
	}
	first := never
	for p := range r.wanted {
		if p.Partition == partition {
			first = min(first, p.Offset)
		}
	}
	return first
}

// visit takes one record of the dead-letter topic; false ends the scan.
func (r *replay) visit(rec *kgo.Record) bool {
	at := Position{rec.Partition, rec.Offset}
	if !r.req.All {
		if !r.wanted[at] {
			return true
		}
		delete(r.wanted, at)
	}
	l := parseLetter(rec)
	switch {
	case l.Malformed != nil:
		r.res.Malformed++
		return true
	case r.req.Only != "" && l.Original.Topic != r.req.Only:
		return true
	case !r.req.Force && r.marks[at.Partition].has(at.Offset):
		r.res.Skipped++
		return true
	}
	out := l.Original
	out.Headers = append(slices.DeleteFunc(slices.Clone(out.Headers), func(h Header) bool { return h.Key == HeaderReplayedFrom }),
		Header{HeaderReplayedFrom, fmt.Appendf(nil, "%s/%d/%d", r.dlq, at.Partition, at.Offset)})
	r.chunk, r.at, r.bytes = append(r.chunk, out), append(r.at, at), r.bytes+out.size()
	if len(r.chunk) >= replayChunkRecords || r.bytes >= replayChunkBytes {
		r.err = r.flush()
	}
	return r.err == nil
}

func (r *replay) flush() error {
	if len(r.chunk) == 0 {
		return nil
	}
	for _, p := range r.at {
		if r.marks[p.Partition] == nil {
			r.marks[p.Partition] = new(marks)
		}
		r.marks[p.Partition].add(p.Offset)
	}
	// Marks that would not fit are found before anything is sent.
	offsets := make(kadm.Offsets)
	for partition, m := range r.marks {
		text, err := m.encode()
		if err != nil {
			return &TopicError{Topic: r.dlq, Err: err}
		}
		offsets.Add(kadm.Offset{Topic: r.dlq, Partition: partition, At: m.below, LeaderEpoch: -1, Metadata: text})
	}
	if err := r.bus.produce(r.ctx, r.chunk, maxLetterBytes); err != nil {
		return err
	}
	r.res.Replayed += len(r.chunk)
	r.chunk, r.at, r.bytes = nil, nil, 0
	if err := r.bus.admin.CommitAllOffsets(r.ctx, GroupReplay, offsets); err != nil {
		return unavailable("commit replay marks", err)
	}
	return nil
}

// replayMarks reads which letters of a topic were replayed.
func (b *Bus) replayMarks(ctx context.Context, dlq string) (map[int32]*marks, error) {
	starts, _, err := b.bounds(ctx, []string{dlq})
	if err != nil {
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			return nil, &TopicError{Topic: dlq, Err: ErrUnknownTopic}
		}
		return nil, err
	}
	resp, err := b.admin.FetchOffsets(ctx, GroupReplay)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, unavailable("fetch offsets of group "+GroupReplay, err)
	}
	all := make(map[int32]*marks)
	for tp := range starts {
		m := new(marks)
		if o, ok := resp.Lookup(dlq, tp.Partition); ok && o.Err == nil && o.At >= 0 {
			if m, err = decodeMarks(o.At, o.Metadata); err != nil {
				return nil, &TopicError{Topic: dlq, Err: fmt.Errorf("replay marks of partition %d: %w", tp.Partition, err)}
			}
		}
		m.raise(starts[tp]) // what retention took needs no marks
		all[tp.Partition] = m
	}
	return all, nil
}

// marks is a set of offsets: all below a bound, and ranges above it. The bound is a group's
// offset and the ranges are that offset's metadata, so the broker keeps the set.
type marks struct {
	below  int64
	ranges []span // sorted, apart, all above below
}

type span struct{ from, to int64 } // inclusive

// maxMarks is what brokers take as metadata of an offset (offset.metadata.max.bytes).
const maxMarks = 4096

func (m *marks) has(offset int64) bool {
	if m == nil {
		return false
	}
	if offset < m.below {
		return true
	}
	return slices.ContainsFunc(m.ranges, func(s span) bool { return s.from <= offset && offset <= s.to })
}

func (m *marks) add(offset int64) {
	if m.has(offset) {
		return
	}
	m.ranges = append(m.ranges, span{offset, offset})
	m.tidy()
}

// raise marks everything below bound.
func (m *marks) raise(bound int64) {
	m.below = max(m.below, bound)
	m.tidy()
}

func (m *marks) tidy() {
	slices.SortFunc(m.ranges, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var kept []span
	for _, s := range m.ranges {
		switch {
		case s.from <= m.below:
			m.below = max(m.below, s.to+1)
		case len(kept) > 0 && s.from <= kept[len(kept)-1].to+1:
			kept[len(kept)-1].to = max(kept[len(kept)-1].to, s.to)
		default:
			kept = append(kept, s)
		}
	}
	m.ranges = kept
}

// encode writes the ranges as "7,9-12".
func (m *marks) encode() (string, error) {
	var sb strings.Builder
	for i, s := range m.ranges {
		if i > 0 {
			sb.WriteByte(',')
		}
		sb.WriteString(strconv.FormatInt(s.from, 10))
		if s.to > s.from {
			sb.WriteByte('-')
			sb.WriteString(strconv.FormatInt(s.to, 10))
		}
	}
	if sb.Len() > maxMarks {
		return "", ErrReplayGaps
	}
	return sb.String(), nil
}

func decodeMarks(below int64, text string) (*marks, error) {
	m := &marks{below: below}
	if text == "" {
		return m, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		from, to, ok := strings.Cut(part, "-")
		if !ok {
			to = from
		}
		a, err := strconv.ParseInt(from, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("range %q: %w", part, err)
		}
		z, err := strconv.ParseInt(to, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("range %q: %w", part, err)
		}
		if z < a {
			return nil, fmt.Errorf("range %q runs backwards", part)
		}
		m.ranges = append(m.ranges, span{a, z})
	}
	m.tidy()
	return m, nil
}
