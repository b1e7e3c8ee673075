package bus

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/aluskort/aluskort/internal/clock"
)

// committer sends positions to the broker: at once, or gathered for a while. A commit is a
// synced write of the embedded broker, which has one event loop; gathering keeps it out of the
// way of records.
type committer struct {
	send  func(context.Context, map[TopicPartition]int64) error
	every time.Duration
	clock clock.Clock
	log   *slog.Logger

	sending sync.Mutex // one commit at a time, so that an older position never overtakes
	mu      sync.Mutex // guards pending
	pending map[TopicPartition]int64

	wake chan struct{}
	quit chan struct{}
	done chan struct{}
}

// newCommitter starts a goroutine when every is positive; close ends it.
func newCommitter(send func(context.Context, map[TopicPartition]int64) error, every time.Duration, clk clock.Clock, log *slog.Logger) *committer {
	m := &committer{
		send: send, every: every, clock: clk, log: log,
		pending: make(map[TopicPartition]int64),
		wake:    make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	if every > 0 {
		go m.run()
	} else {
		close(m.done)
	}
	return m
}

func (m *committer) add(ctx context.Context, next map[TopicPartition]int64) error {
	m.mu.Lock()
	maps.Copy(m.pending, next)
	m.mu.Unlock()
	if m.every <= 0 {
		return m.flush(ctx)
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return nil
}

func (m *committer) run() {
	defer close(m.done)
	for {
		select {
		case <-m.quit:
			return
		case <-m.wake:
		}
		t := m.clock.NewTimer(m.every)
		select {
		case <-m.quit:
			t.Stop()
			return
		case <-t.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		if err := m.flush(ctx); err != nil {
			m.log.Warn("group offsets were not committed; the next commit repeats them", "error", err)
		}
		cancel()
	}
}

// flush sends what is pending. What failed stays, unless a newer position came meanwhile.
func (m *committer) flush(ctx context.Context) error {
	m.sending.Lock()
	defer m.sending.Unlock()
	m.mu.Lock()
	next := m.pending
	m.pending = make(map[TopicPartition]int64, len(next))
	m.mu.Unlock()
	if len(next) == 0 {
		return nil
	}
	err := m.send(ctx, next)
	if err != nil {
		m.mu.Lock()
		maps.Copy(next, m.pending)
		m.pending = next
		m.mu.Unlock()
	}
	return err
}

// drop forgets what is pending of tps, which have no id; nil drops all.
func (m *committer) drop(tps []TopicPartition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.pending, func(tp TopicPartition, _ int64) bool { return tps == nil || slices.Contains(tps, bare(tp)) })
}

func (m *committer) close(ctx context.Context) error {
	close(m.quit)
	<-m.done
	return m.flush(ctx)
}

// commitError finds the first error in the answer to a commit.
func commitError(resp *kmsg.OffsetCommitResponse, err error) error {
	if err != nil || resp == nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}
