package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// bounds returns start and end of every log of topics. The keys have no topic id.
func (b *Bus) bounds(ctx context.Context, topics []string) (starts, ends map[TopicPartition]int64, err error) {
	first, err := b.admin.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = first.Error()
	}
	if err != nil {
		return nil, nil, unavailable("list start offsets", err)
	}
	last, err := b.admin.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = last.Error()
	}
	if err != nil {
		return nil, nil, unavailable("list end offsets", err)
	}
	starts, ends = make(map[TopicPartition]int64), make(map[TopicPartition]int64)
	first.Each(func(o kadm.ListedOffset) { starts[TopicPartition{Topic: o.Topic, Partition: o.Partition}] = o.Offset })
	last.Each(func(o kadm.ListedOffset) { ends[TopicPartition{Topic: o.Topic, Partition: o.Partition}] = o.Offset })
	return starts, ends, nil
}

// committed returns a group's offsets. The keys have no topic id.
func (b *Bus) committed(ctx context.Context, group string) (map[TopicPartition]int64, error) {
	resp, err := b.admin.FetchOffsets(ctx, group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, unavailable("fetch offsets of group "+group, err)
	}
	at := make(map[TopicPartition]int64)
	resp.Each(func(o kadm.OffsetResponse) {
		if o.Err == nil && o.At >= 0 {
			at[TopicPartition{Topic: o.Topic, Partition: o.Partition}] = o.At
		}
	})
	return at, nil
}

// Lag returns how many records a group has still to commit, per partition, of every topic that
// it has committed on or that a member of it reads, in this process or another. Commits that this
// process still gathers are sent first; those of others follow within their CommitEvery. The keys
// have no topic id.
func (b *Bus) Lag(ctx context.Context, group string) (map[TopicPartition]int64, error) {
	done, err := b.enter()
	if err != nil {
		return nil, err
	}
	defer done()
	read := make(map[string]bool)
	for _, c := range b.consumersOf(group) {
		if err := c.commits.flush(ctx); err != nil {
			return nil, fmt.Errorf("lag of %s: %w", group, err)
		}
		for _, t := range c.cfg.Topics {
			read[t] = true
		}
	}
	at, err := b.committed(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("lag: %w", err)
	}
	for tp := range at {
		read[tp.Topic] = true
	}
	if err := b.subscribed(ctx, group, read); err != nil {
		return nil, fmt.Errorf("lag: %w", err)
	}
	if len(read) == 0 {
		return map[TopicPartition]int64{}, nil
	}
	topics := make([]string, 0, len(read))
	for t := range read {
		topics = append(topics, t)
	}
	starts, ends, err := b.bounds(ctx, topics)
	if err != nil {
		return nil, fmt.Errorf("lag of %s: %w", group, err)
	}
	lag := make(map[TopicPartition]int64, len(ends))
	for tp, end := range ends {
		lag[tp] = max(0, end-max(at[tp], starts[tp]))
	}
	return lag, nil
}

// subscribed adds the topics that the members of a group read. Embedded, groups have none.
func (b *Bus) subscribed(ctx context.Context, group string, topics map[string]bool) error {
	if b.embedded != nil {
		return nil
	}
	described, err := b.admin.DescribeGroups(ctx, group)
	if err == nil {
		err = described[group].Err
	}
	switch {
	case errors.Is(err, kerr.GroupIDNotFound):
		return nil
	case err != nil:
		return unavailable("describe group "+group, err)
	}
	for _, m := range described[group].Members {
		if join, ok := m.Join.AsConsumer(); ok {
			for _, t := range join.Topics {
				topics[t] = true
			}
		}
	}
	return nil
}

func (b *Bus) consumersOf(group string) []*Consumer {
	b.mu.Lock()
	defer b.mu.Unlock()
	var cs []*Consumer
	for c := range b.consumers {
		if c.ready && c.cfg.Group == group {
			cs = append(cs, c)
		}
	}
	return cs
}

// pullBackGroups moves group offsets that lie above the end of a log back to that end. After a
// power cut the log may have lost its tail while the offset survived; left alone, the log would
// grow past the offset again and the new records below it would never be read. It has to happen
// before anything is produced, hence in Open.
func (b *Bus) pullBackGroups(ctx context.Context) error {
	groups, err := b.admin.ListGroups(ctx)
	if err != nil {
		return unavailable("list groups", err)
	}
	if len(groups) == 0 {
		return nil
	}
	ends := make(map[TopicPartition]int64)
	listed, err := b.admin.ListEndOffsets(ctx)
	if err != nil {
		return unavailable("list end offsets", err)
	}
	listed.Each(func(o kadm.ListedOffset) {
		if o.Err == nil {
			ends[TopicPartition{Topic: o.Topic, Partition: o.Partition}] = o.Offset
		}
	})
	b.lost = make(map[string]map[TopicPartition]pulled)
	for group := range groups {
		if err := b.pullBack(ctx, group, ends); err != nil {
			return err
		}
	}
	return nil
}

// pulled is a group offset that was moved, and where to.
type pulled struct{ from, to int64 }

func (b *Bus) pullBack(ctx context.Context, group string, ends map[TopicPartition]int64) error {
	at, err := b.committed(ctx, group)
	if err != nil {
		return err
	}
	move := make(map[TopicPartition]int64)
	for tp, want := range at {
		end, ok := ends[tp]
		if !ok || want <= end {
			continue
		}
		b.log.Warn("group offset lies beyond the end of its log; the tail of the log was lost",
			"group", group, "topic", tp.Topic, "partition", tp.Partition, "offset", want, "end", end)
		if b.lost[group] == nil {
			b.lost[group] = make(map[TopicPartition]pulled)
		}
		b.lost[group][tp], move[tp] = pulled{want, end}, end
	}
	return b.commitDirect(ctx, group, move)
}

// commitDirect commits offsets of a group without members.
func (b *Bus) commitDirect(ctx context.Context, group string, next map[TopicPartition]int64) error {
	if len(next) == 0 {
		return nil
	}
	var os kadm.Offsets
	for tp, at := range next {
		os.AddOffset(tp.Topic, tp.Partition, at, -1)
	}
	if err := b.admin.CommitAllOffsets(ctx, group, os); err != nil {
		return unavailable("commit offsets of group "+group, err)
	}
	return nil
}
