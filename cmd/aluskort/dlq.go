package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/aluskort/aluskort/internal/engine/bus"
)

type dlqCmd struct {
	List   dlqListCmd   `cmd:"" help:"List dead letters with their reasons."`
	Replay dlqReplayCmd `cmd:"" help:"Send dead letters back to the topic they came from."`
}

type dlqListCmd struct {
	Topic string `arg:"" optional:"" help:"Dead-letter topic, or the topic whose letters are wanted; all by default."`
	Limit int    `default:"100" help:"At most this many letters per topic."`
	Bytes bool   `help:"Print the original bytes as well."`
	JSON  bool   `name:"json" help:"Print one JSON object per letter."`
}

// deadTopics lists the dead-letter topics of the table.
func deadTopics() []string {
	var out []string
	for _, t := range bus.Topics() {
		if t.Family == bus.DLQ {
			out = append(out, t.Name)
		}
	}
	return out
}

// Run lists the letters.
func (c *dlqListCmd) Run(e *env) error {
	topics := deadTopics()
	if c.Topic != "" {
		topics = []string{c.Topic}
	}
	return withBus(e, func(ctx context.Context, b *bus.Bus) error {
		total := 0
		for _, topic := range topics {
			letters, _, more, err := b.ListDead(ctx, topic, bus.Position{}, c.Limit)
			if err != nil {
				return err
			}
			for i := range letters {
				if err := c.print(e, &letters[i]); err != nil {
					return err
				}
			}
			total += len(letters)
			if more {
				fmt.Fprintf(e.stderr, "%s: more than %d letters; raise --limit\n", topic, c.Limit)
			}
		}
		if total == 0 && !c.JSON {
			fmt.Fprintln(e.stdout, "no dead letters: every record could be processed")
		}
		return nil
	})
}

func (c *dlqListCmd) print(e *env, l *bus.StoredLetter) error {
	if c.JSON {
		line := map[string]any{
			"topic": l.Topic, "partition": l.At.Partition, "offset": l.At.Offset, "time": l.Time, "stage": l.Stage, "reason": l.Reason,
			"error": l.Err, "original_topic": l.Original.Topic, "original_offset": l.Original.Offset, "replayed": l.Replayed, "bytes": len(l.Original.Value),
		}
		if c.Bytes {
			line["value"] = l.Original.Value
		}
		return json.NewEncoder(e.stdout).Encode(line)
	}
	state := ""
	if l.Replayed {
		state = " (replayed)"
	}
	_, err := fmt.Fprintf(e.stdout, "%s %d/%d  %s  %s, %s: %s%s\n", l.Topic, l.At.Partition, l.At.Offset, l.Time.UTC().Format(time.RFC3339), l.Stage, l.Reason, inert(l.Err, 300), state)
	if err == nil && c.Bytes {
		_, err = fmt.Fprintf(e.stdout, "    %s\n", inert(string(l.Original.Value), 4000))
	}
	return err
}

type dlqReplayCmd struct {
	Topic     string  `arg:"" help:"Dead-letter topic."`
	Partition int32   `help:"Partition of the offsets."`
	Offset    []int64 `help:"Offsets to replay; all letters of all partitions that were not replayed by default."`
	Force     bool    `help:"Replay letters again that were replayed before."`
}

// Run replays letters.
func (c *dlqReplayCmd) Run(e *env) error {
	if !slices.Contains(deadTopics(), c.Topic) {
		return &usageError{fmt.Sprintf("%q is no dead-letter topic; use one of %v", c.Topic, deadTopics())}
	}
	return withBus(e, func(ctx context.Context, b *bus.Bus) error {
		req := bus.ReplayRequest{Topic: c.Topic, All: len(c.Offset) == 0, Force: c.Force}
		for _, o := range c.Offset {
			req.At = append(req.At, bus.Position{Partition: c.Partition, Offset: o})
		}
		res, err := b.Replay(ctx, req)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(e.stdout, "%d letters replayed, %d skipped\n", res.Replayed, res.Skipped)
		return err
	})
}
