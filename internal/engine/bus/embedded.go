package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	embeddedAddress = "127.0.0.1:9092" // on the in-memory network, not on the machine's
	// segmentBytes is what retention frees at once: a segment goes when its last record is due.
	segmentBytes = 32 << 20
	// retentionTick is how often the broker looks for records that are due.
	retentionTick = 5 * time.Minute
	probeFile     = "probe"
)

// embedded is the broker in this process.
//
// It syncs each batch before it acknowledges, but does not look at what the sync returned: a disk
// that fails only there is seen by probeDisk, thus by readiness, not by the producer.
type embedded struct {
	dir     string
	network *kfake.VirtualNetwork
	cluster *kfake.Cluster
}

func startEmbedded(dir string, log *slog.Logger) (*embedded, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	e := &embedded{dir: dir, network: new(kfake.VirtualNetwork)}
	cluster, err := kfake.NewCluster(
		kfake.Ports(9092),
		kfake.ListenFn(e.network.Listen),
		kfake.ClusterID("aluskort-embedded"),
		kfake.DefaultNumPartitions(1),
		kfake.DataDir(dir),
		kfake.SyncWrites(),
		kfake.WithLogger(brokerLogger{log}),
		kfake.BrokerConfigs(map[string]string{
			"message.max.bytes":      strconv.Itoa(maxBatchBytes),
			"log.segment.bytes":      strconv.Itoa(segmentBytes),
			"log.cleaner.backoff.ms": strconv.FormatInt(retentionTick.Milliseconds(), 10),
			// Groups here never have members, and an offset that expires while a topic is quiet
			// would replay it: keep offsets for ten years.
			"offsets.retention.minutes": strconv.Itoa(10 * 365 * 24 * 60),
		}),
	)
	if err != nil {
		return nil, err
	}
	e.cluster = cluster
	return e, nil
}

func (e *embedded) clientOpts() []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(embeddedAddress),
		kgo.Dialer(e.network.DialContext),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.RetryBackoffFn(func(n int) time.Duration { return min(time.Duration(n)*5*time.Millisecond, 250*time.Millisecond) }),
	}
}

// probeDisk writes and syncs one byte, and reports what the disk says.
func (e *embedded) probeDisk() error {
	path := filepath.Join(e.dir, probeFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, werr := f.Write([]byte{'.'})
	if err := errors.Join(werr, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("probe %s: %w", path, err)
	}
	return nil
}

func (e *embedded) close() error {
	e.cluster.Close()
	return nil
}
