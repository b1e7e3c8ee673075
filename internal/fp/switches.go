package fp

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// MaxSwitchAge is how old the last successful reading of the switches may be. Beyond it nobody
// knows what was switched off, so nothing is allowed.
const MaxSwitchAge = time.Minute

// Dimension is what a kill switch stops.
type Dimension string

// The four dimensions.
const (
	DimensionTenant     Dimension = "tenant" // "*" is every tenant
	DimensionPattern    Dimension = "pattern"
	DimensionTechnique  Dimension = "technique" // a technique stands for its sub-techniques too
	DimensionDatasource Dimension = "datasource"
)

// Dimensions lists the four.
func Dimensions() []Dimension {
	return []Dimension{DimensionTenant, DimensionPattern, DimensionTechnique, DimensionDatasource}
}

// Switch is a kill switch that is on.
type Switch struct {
	Dimension   Dimension `json:"dimension"`
	Value       string    `json:"value"`
	ActivatedBy string    `json:"activated_by"`
	Reason      string    `json:"reason"`
	ActivatedAt time.Time `json:"activated_at"`
}

type switchKey struct {
	dimension Dimension
	value     string // in lower case
}

// switchSet is one immutable reading of the switches. A nil one has none on.
type switchSet struct {
	on       map[switchKey]Switch
	revision int64
	read     time.Time
}

func (s *switchSet) get(d Dimension, value string) (Switch, bool) {
	if s == nil || len(s.on) == 0 {
		return Switch{}, false
	}
	sw, ok := s.on[switchKey{d, strings.ToLower(value)}]
	return sw, ok
}

func (s *switchSet) pattern(id string) bool {
	_, on := s.get(DimensionPattern, id)
	return on
}

// Switches is the snapshot of the kill switches that decisions read. The zero value has never
// been loaded and allows nothing. Safe for concurrent use.
type Switches struct {
	// MaxAge is how old the snapshot may be; 0 means MaxSwitchAge. Set it before use.
	MaxAge  time.Duration
	current atomic.Pointer[switchSet]
}

// Replace puts a reading into force that was taken at the time read. revision orders readings:
// an older one than that in force is ignored, so a slow reader cannot take a switch back.
func (s *Switches) Replace(list []Switch, revision int64, read time.Time) {
	next := &switchSet{on: make(map[switchKey]Switch, len(list)), revision: revision, read: read}
	for _, sw := range list {
		next.on[switchKey{sw.Dimension, strings.ToLower(sw.Value)}] = sw
	}
	for {
		old := s.current.Load()
		if old != nil && (revision < old.revision || revision == old.revision && read.Before(old.read)) {
			return
		}
		if s.current.CompareAndSwap(old, next) {
			return
		}
	}
}

// Revision is the number of the reading in force; -1 before the first.
func (s *Switches) Revision() int64 {
	if x := s.current.Load(); x != nil {
		return x.revision
	}
	return -1
}

// Allowed reports whether patterns may close alerts of this tenant, source and these
// techniques at the time at, by the pattern named (empty for any). It fails closed: false with
// the reason when a switch is on, when the switches were never read, and when the last reading
// is older than MaxAge or from the future.
func (s *Switches) Allowed(at time.Time, tenant, pattern, source string, techniques []string) (ok bool, why string) {
	set, why := s.reading(at)
	if why != "" {
		return false, why
	}
	if why := set.blocks(tenant, source, techniques); why != "" {
		return false, why
	}
	if sw, on := set.get(DimensionPattern, pattern); on && pattern != "" {
		return false, sw.why()
	}
	return true, ""
}

// reading returns the snapshot in force, or why there is none to be trusted.
func (s *Switches) reading(at time.Time) (*switchSet, string) {
	set := s.current.Load()
	if set == nil {
		return nil, "the kill switches have not been read"
	}
	limit := s.MaxAge
	if limit <= 0 {
		limit = MaxSwitchAge
	}
	if age := at.Sub(set.read); age > limit || age < -limit {
		return nil, "the kill switches have not been read for too long"
	}
	return set, ""
}

func (s *switchSet) blocks(tenant, source string, techniques []string) string {
	if len(s.on) == 0 {
		return ""
	}
	for _, t := range [...]string{"*", tenant} {
		if sw, on := s.get(DimensionTenant, t); on {
			return sw.why()
		}
	}
	if sw, on := s.get(DimensionDatasource, source); on {
		return sw.why()
	}
	for _, t := range techniques {
		if sw, on := s.get(DimensionTechnique, t); on {
			return sw.why()
		}
		if i := strings.LastIndexByte(t, '.'); i > len("AML.") {
			if sw, on := s.get(DimensionTechnique, t[:i]); on {
				return sw.why()
			}
		}
	}
	return ""
}

func (sw *Switch) why() string {
	return fmt.Sprintf("kill switch on %s %s: %s", sw.Dimension, sw.Value, sw.Reason)
}
