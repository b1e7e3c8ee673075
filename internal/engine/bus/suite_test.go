package bus_test

import (
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/engine/bus/bustest"
)

func TestMain(m *testing.M) {
	crashChild() // does not return in the re-executed process of the crash test
	memberChild()
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, cfg bus.Config) *bus.Bus {
	t.Helper()
	cfg.Clock = clock.System{}
	b, err := bus.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEmbedded(t *testing.T) {
	bustest.Run(t, func(t *testing.T) bustest.Env {
		dir := t.TempDir()
		return bustest.Env{Open: func(t *testing.T) *bus.Bus { return open(t, bus.Config{Dir: dir}) }}
	})
}

// TestCluster runs the production path, with groups and several brokers, against an in-process
// cluster on loopback: contract-tested, as DESIGN calls it.
func TestCluster(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.DataDir(t.TempDir()),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": strconv.Itoa(16 << 20)}))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	bustest.Run(t, func(*testing.T) bustest.Env {
		return bustest.Env{Open: func(t *testing.T) *bus.Bus { return open(t, bus.Config{Brokers: cluster.ListenAddrs()}) }}
	})
}
