package investigate

import (
	"math"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// The states of the risk of hosts and accounts (REFERENCE 9.5). What was not looked up and what
// is not known is never low.
const (
	RiskNoBaseline = "no_baseline" // nothing ever weighed on them
	RiskUnknown    = "unknown"     // nothing within a day, or not looked up
	RiskLow        = "low"
	RiskMedium     = "medium"
	RiskHigh       = "high"
)

const (
	riskHalfLife = 4 * time.Hour
	// RiskReach is how far apart in event time an anchor and an investigation may lie before it
	// says nothing about the other's risk.
	RiskReach = 24 * time.Hour
	// maxOwners bounds the hosts and accounts of one investigation that risk is kept of.
	maxOwners = 8
)

// Weight is what one anchor weighs on a host or account, in millionths of a bit.
type Weight struct {
	At   time.Time
	Bits int64
}

// Risk sums the weights on one host or account as of a time, each halved for every four hours
// between, before or after: what happened on the host a moment later says as much about the
// alert as what happened before. Each is rounded, so that the sum does not depend on its order.
func Risk(weights []Weight, at time.Time) (bits float64) {
	sum := int64(0)
	for _, w := range weights {
		if d := at.Sub(w.At).Abs(); d <= RiskReach {
			sum += int64(math.Round(float64(w.Bits) * math.Exp2(-float64(d)/float64(riskHalfLife))))
		}
	}
	return float64(sum) / 1e6
}

// RiskState names a risk of which something is known.
func RiskState(bits float64) string {
	switch {
	case bits >= 6:
		return RiskHigh
	case bits >= 3:
		return RiskMedium
	}
	return RiskLow
}

// Owners lists the principal hosts and accounts. They are part of the fingerprint, so that they
// are the same whichever alerts are folded.
func (inv *Investigation) Owners() (list []*alert.Entity) {
	for i := range inv.Entities {
		e := &inv.Entities[i]
		if e.Principal && (e.Type == alert.Host || e.Type == alert.Account) && len(list) < maxOwners {
			list = append(list, e)
		}
	}
	return list
}
