package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicInfo is what metadata says of a topic that exists.
type topicInfo struct {
	id         [16]byte
	partitions []int32 // sorted
}

// metadata asks the broker for topics, or for all of them. The client would answer from what it
// has cached, which is too old right after topics were created.
func (b *Bus) metadata(ctx context.Context, topics ...string) (map[string]topicInfo, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, t := range topics {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(t)
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, b.client)
	if err != nil {
		return nil, unavailable("read metadata", err)
	}
	found := make(map[string]topicInfo, len(resp.Topics))
	for _, t := range resp.Topics {
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.InvalidTopicException), t.Topic == nil:
			continue
		case err != nil:
			return nil, &TopicError{Topic: *t.Topic, Err: unavailable("read metadata", err)}
		}
		info := topicInfo{id: t.TopicID}
		for _, p := range t.Partitions {
			info.partitions = append(info.partitions, p.Partition)
		}
		slices.Sort(info.partitions)
		found[*t.Topic] = info
	}
	return found, nil
}

// identify resolves topics to their partitions with ids.
func (b *Bus) identify(ctx context.Context, topics []string) ([]TopicPartition, error) {
	found, err := b.metadata(ctx, topics...)
	if err != nil {
		return nil, err
	}
	var tps []TopicPartition
	for _, name := range topics {
		info, ok := found[name]
		if !ok {
			return nil, &TopicError{Topic: name, Err: ErrUnknownTopic}
		}
		for _, p := range info.partitions {
			tps = append(tps, TopicPartition{Topic: name, ID: info.id, Partition: p})
		}
	}
	return tps, nil
}

// positions decides where consumption of tps starts: at the offset stored by the owner of the
// work, else at the group's, else at the first record; always within the log. What had to be
// moved is reported, in a fixed order, before a record is delivered.
func (c *Consumer) positions(ctx context.Context, tps []TopicPartition, group map[TopicPartition]int64) (map[TopicPartition]int64, error) {
	if len(tps) == 0 {
		return nil, nil
	}
	topics := make(map[string]struct{})
	for _, tp := range tps {
		topics[tp.Topic] = struct{}{}
	}
	starts, ends, err := c.bus.bounds(ctx, slices.Collect(maps.Keys(topics)))
	if err != nil {
		return nil, err
	}
	var stored map[TopicPartition]int64
	if c.cfg.Offsets != nil {
		if stored, err = c.cfg.Offsets(ctx, tps); err != nil {
			return nil, fmt.Errorf("read stored offsets: %w", err)
		}
	}
	at := make(map[TopicPartition]int64, len(tps))
	for _, tp := range tps {
		key := bare(tp)
		want, known := stored[tp]
		if !known {
			want, known = group[key]
			// Open may have moved this group's offset: the consumer still hears of it.
			if moved, ok := c.bus.lost[c.cfg.Group][key]; ok && known && want == moved.to {
				if err := c.reportReset(ctx, tp, moved.from, moved.to); err != nil {
					return nil, err
				}
			}
		}
		if !known {
			want = starts[key]
		}
		at[tp] = min(max(want, starts[key]), ends[key])
		if at[tp] != want {
			if err := c.reportReset(ctx, tp, want, at[tp]); err != nil {
				return nil, err
			}
		}
	}
	return at, nil
}

func (c *Consumer) reportReset(ctx context.Context, tp TopicPartition, want, got int64) error {
	c.bus.log.Warn("position was reset", "group", c.cfg.Group, "topic", tp.Topic, "partition", tp.Partition, "wanted", want, "found", got)
	if c.cfg.OnReset == nil {
		return nil
	}
	if err := c.cfg.OnReset(ctx, tp, want, got); err != nil {
		return fmt.Errorf("record the reset of %s from %d to %d: %w", tp, want, got, err)
	}
	return nil
}
