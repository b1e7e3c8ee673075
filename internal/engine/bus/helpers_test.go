package bus_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/faultproxy"
)

// fresh is a name that nothing on a broker that outlives the test has.
func fresh() string { return strings.ToLower(rand.Text()[:12]) }

func proxyTo(t testing.TB, target string) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.Start(target, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}
