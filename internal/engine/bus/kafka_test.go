package bus_test

import (
	"testing"

	"github.com/aluskort/aluskort/internal/engine/bus"
	"github.com/aluskort/aluskort/internal/engine/bus/bustest"
	"github.com/aluskort/aluskort/internal/engine/enginetest"
)

// TestKafka runs the suite against a real broker.
func TestKafka(t *testing.T) {
	brokers := []string{enginetest.Address(t, "kafka")}
	bustest.Run(t, func(*testing.T) bustest.Env {
		return bustest.Env{Open: func(t *testing.T) *bus.Bus { return open(t, bus.Config{Brokers: brokers}) }}
	})
}
