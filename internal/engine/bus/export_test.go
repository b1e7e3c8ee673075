package bus

import "github.com/twmb/franz-go/pkg/kfake"

// Cluster is the embedded broker, for injecting faults.
func (b *Bus) Cluster() *kfake.Cluster { return b.embedded.cluster }
