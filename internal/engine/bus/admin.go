package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const adminTimeout = 15 * time.Second

// TopicState is a row of the topic table beside what the broker has.
type TopicState struct {
	Topic      Topic
	Exists     bool
	Partitions int32
	// Retention as the broker has it; negative means for ever, 0 that the broker did not say.
	Retention time.Duration
	Records   int64 // between start and end of the logs
	Bytes     int64 // on disk, one replica; -1 when the broker does not tell
	// Differences between table and broker, in words. Apply mends all but partition counts:
	// changing those would break the order within a key.
	Differences []string

	configs map[string]string
}

// Change is one thing that Apply did.
type Change struct {
	Topic string
	What  string
}

// Apply creates the topics of the table that are missing and corrects the configuration of those
// that differ. It is what 'topics apply' runs, and Open when embedded. Repeating it is harmless.
func (b *Bus) Apply(ctx context.Context) ([]Change, error) {
	return b.apply(ctx, Topics())
}

// Create makes topics that are not in the table, and otherwise does what Apply does.
func (b *Bus) Create(ctx context.Context, topics ...Topic) error {
	_, err := b.apply(ctx, topics)
	return err
}

func (b *Bus) apply(ctx context.Context, topics []Topic) ([]Change, error) {
	done, err := b.enter()
	if err != nil {
		return nil, err
	}
	defer done()
	states, err := b.describe(ctx, topics)
	if err != nil {
		return nil, fmt.Errorf("apply topics: %w", err)
	}
	var missing []Topic
	var changes []Change
	var alter []kmsg.IncrementalAlterConfigsRequestResource
	for _, s := range states {
		if !s.Exists {
			missing = append(missing, s.Topic)
			changes = append(changes, Change{s.Topic.Name, "created"})
			continue
		}
		res := kmsg.NewIncrementalAlterConfigsRequestResource()
		res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeTopic, s.Topic.Name
		for _, want := range b.configsOf(s.Topic) {
			if have := s.configs[want.name]; have != want.value {
				cfg := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
				cfg.Name, cfg.Value = want.name, &want.value
				res.Configs = append(res.Configs, cfg)
				changes = append(changes, Change{s.Topic.Name, fmt.Sprintf("%s %s -> %s", want.name, orDash(have), want.value)})
			}
		}
		if len(res.Configs) > 0 {
			alter = append(alter, res)
		}
	}
	if err := b.createTopics(ctx, missing); err != nil {
		return nil, err
	}
	if err := b.alterTopics(ctx, alter); err != nil {
		return nil, err
	}
	if len(changes) == 0 {
		return nil, nil
	}
	if err := b.awaitApplied(ctx, topics); err != nil {
		return nil, fmt.Errorf("apply topics: %w", err)
	}
	return changes, nil
}

// applyTick is how often a cluster is asked whether it has what was applied.
const applyTick = 50 * time.Millisecond

// awaitApplied returns when the broker that answers us has what was applied. A cluster answers
// when its controller has decided; its brokers, and the leaders of new partitions, follow.
func (b *Bus) awaitApplied(ctx context.Context, topics []Topic) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	for {
		states, err := b.describe(ctx, topics)
		if err == nil && !slices.ContainsFunc(states, func(s TopicState) bool { return !s.Exists || b.differs(&s) }) {
			return nil
		}
		t := b.cfg.Clock.NewTimer(applyTick)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return unavailable("wait until the cluster has the topics", errors.Join(ctx.Err(), err))
		}
	}
}

// differs reports whether a setting is not what the table says.
func (b *Bus) differs(s *TopicState) bool {
	return slices.ContainsFunc(b.configsOf(s.Topic), func(want setting) bool { return s.configs[want.name] != want.value })
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

type setting struct{ name, value string }

// configsOf is what a topic is created with and kept at.
func (b *Bus) configsOf(t Topic) []setting {
	cfgs := []setting{
		{"cleanup.policy", "delete"},
		{"retention.ms", strconv.FormatInt(b.retentionOf(t).Milliseconds(), 10)},
		{"max.message.bytes", strconv.Itoa(maxBatchBytes)},
	}
	if b.cfg.Replication >= 3 {
		cfgs = append(cfgs, setting{"min.insync.replicas", "2"})
	}
	return cfgs
}

func (b *Bus) retentionOf(t Topic) time.Duration {
	if b.embedded != nil {
		return t.EmbeddedRetention
	}
	return t.Retention
}

func (b *Bus) partitionsOf(t Topic) int32 {
	if b.embedded != nil {
		return 1
	}
	return t.Partitions
}

// createTopics makes all of them in one request: the embedded broker starts with it.
func (b *Bus) createTopics(ctx context.Context, topics []Topic) error {
	if len(topics) == 0 {
		return nil
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = int32(adminTimeout.Milliseconds())
	for _, t := range topics {
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = t.Name, b.partitionsOf(t), -1
		if b.cfg.Replication > 0 {
			rt.ReplicationFactor = b.cfg.Replication
		}
		for _, c := range b.configsOf(t) {
			rc := kmsg.NewCreateTopicsRequestTopicConfig()
			rc.Name, rc.Value = c.name, &c.value
			rt.Configs = append(rt.Configs, rc)
		}
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, b.client)
	if err != nil {
		return unavailable("create topics", err)
	}
	for _, t := range resp.Topics {
		// Another process may have created it in between; Apply's next run sees its settings.
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return &TopicError{Topic: t.Topic, Err: b.applyError("create", err, t.ErrorMessage)}
		}
	}
	return nil
}

// applyError sorts what a cluster says to a topic: what will stay so until someone changes a
// setting is no ErrUnavailable.
func (b *Bus) applyError(what string, err error, detail *string) error {
	if detail != nil && *detail != "" {
		err = fmt.Errorf("%w (%s)", err, *detail)
	}
	switch {
	case errors.Is(err, kerr.InvalidReplicationFactor):
		return &ConfigError{
			Key: "replication", Problem: fmt.Sprintf("the cluster cannot keep %d copies", b.cfg.Replication),
			Fix: "use at most as many as it has brokers, or 0 for its default", Err: err,
		}
	case errors.Is(err, kerr.InvalidConfig), errors.Is(err, kerr.PolicyViolation), errors.Is(err, kerr.InvalidPartitions):
		return fmt.Errorf("%s: the cluster's policy refuses it: %w", what, err)
	}
	return unavailable(what, err)
}

func (b *Bus) alterTopics(ctx context.Context, resources []kmsg.IncrementalAlterConfigsRequestResource) error {
	if len(resources) == 0 {
		return nil
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Resources = resources
	resp, err := req.RequestWith(ctx, b.client)
	if err != nil {
		return unavailable("alter topics", err)
	}
	for _, r := range resp.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return &TopicError{Topic: r.ResourceName, Err: b.applyError("alter configuration", err, r.ErrorMessage)}
		}
	}
	return nil
}

// List returns the state of every topic of the table, in the table's order.
func (b *Bus) List(ctx context.Context) ([]TopicState, error) {
	done, err := b.enter()
	if err != nil {
		return nil, err
	}
	defer done()
	states, err := b.describe(ctx, Topics())
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	if err := b.measure(ctx, states); err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	return states, nil
}

// describe reads what the broker has of topics, without sizes.
func (b *Bus) describe(ctx context.Context, topics []Topic) ([]TopicState, error) {
	found, err := b.metadata(ctx)
	if err != nil {
		return nil, err
	}
	states := make([]TopicState, len(topics))
	at := make(map[string]*TopicState, len(topics))
	var names []string
	for i, t := range topics {
		states[i] = TopicState{Topic: t, Bytes: -1}
		s := &states[i]
		at[t.Name] = s
		info, ok := found[t.Name]
		if !ok {
			s.Differences = append(s.Differences, "missing")
			continue
		}
		s.Exists, s.Partitions = true, int32(len(info.partitions))
		names = append(names, t.Name)
		if want := b.partitionsOf(t); s.Partitions != want {
			s.Differences = append(s.Differences, fmt.Sprintf("%d partitions, table has %d", s.Partitions, want))
		}
	}
	if len(names) == 0 {
		return states, nil
	}
	configs, err := b.admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, unavailable("read topic configurations", err)
	}
	for _, rc := range configs {
		if rc.Err != nil {
			return nil, &TopicError{Topic: rc.Name, Err: unavailable("read configuration", rc.Err)}
		}
		if s := at[rc.Name]; s != nil {
			b.compare(s, rc.Configs)
		}
	}
	return states, nil
}

func (b *Bus) compare(s *TopicState, configs []kadm.Config) {
	s.configs = make(map[string]string, len(configs))
	for _, c := range configs {
		if c.Value != nil {
			s.configs[c.Key] = *c.Value
		}
	}
	if ms, err := strconv.ParseInt(s.configs["retention.ms"], 10, 64); err == nil {
		s.Retention = time.Duration(ms) * time.Millisecond
	}
	for _, want := range b.configsOf(s.Topic) {
		if have := s.configs[want.name]; have != want.value {
			s.Differences = append(s.Differences, fmt.Sprintf("%s is %s, table has %s", want.name, orDash(have), want.value))
		}
	}
}

// measure fills in records and bytes. Brokers may refuse to tell sizes; that is not an error.
func (b *Bus) measure(ctx context.Context, states []TopicState) error {
	at := make(map[string]*TopicState, len(states))
	var names []string
	for i := range states {
		if states[i].Exists {
			at[states[i].Topic.Name] = &states[i]
			names = append(names, states[i].Topic.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	starts, ends, err := b.bounds(ctx, names)
	if err != nil {
		return err
	}
	for tp, end := range ends {
		at[tp.Topic].Records += end - starts[tp]
	}
	dirs, err := b.admin.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		return nil //nolint:nilerr // sizes are a courtesy
	}
	largest := make(map[TopicPartition]int64) // of the replicas
	dirs.Each(func(d kadm.DescribedLogDir) {
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			tp := TopicPartition{Topic: p.Topic, Partition: p.Partition}
			largest[tp] = max(largest[tp], p.Size)
		})
	})
	for _, s := range at {
		s.Bytes = 0
	}
	for tp, n := range largest {
		if s := at[tp.Topic]; s != nil {
			s.Bytes += n
		}
	}
	return nil
}
