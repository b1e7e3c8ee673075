package prior

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/reason"
)

// ErrDamaged says that a stored snapshot cannot be read, or is not what its version says.
var ErrDamaged = errors.New("prior: damaged snapshot")

// severities is the number of severities.
const severities = int(alert.Critical) + 1

// entry is what was learned about one analytic.
type entry struct {
	Tenant    string `json:"tenant"`
	Source    string `json:"source"`
	Analytic  string `json:"analytic"`
	Malicious int    `json:"malicious"`
	Benign    int    `json:"benign"`
	// Bits are the log-odds by severity, lowest first.
	Bits [severities]float64 `json:"bits"`
}

func (e *entry) key() key { return key{e.Tenant, e.Source, e.Analytic} }

// Snapshot is the priors of every analytic that people have judged. It is immutable and safe
// for concurrent use; a nil Snapshot has learned nothing.
type Snapshot struct {
	version string
	fitted  time.Time
	entries []entry // sorted by key
	index   map[key]reasons
}

// reasons are the answers to Prior for one analytic, made once.
type reasons [severities]reason.Prior

func newSnapshot(entries []entry, fitted time.Time) *Snapshot {
	s := &Snapshot{entries: entries, fitted: fitted.UTC(), version: hash(entries), index: make(map[key]reasons, len(entries))}
	for i := range entries {
		e := &entries[i]
		source := fmt.Sprintf("learned from %s, version %s", verdicts(e.Malicious+e.Benign), s.version)
		var r reasons
		for severity, bits := range e.Bits {
			r[severity] = reason.Prior{Bits: bits, Source: source}
		}
		s.index[e.key()] = r
	}
	return s
}

func verdicts(n int) string {
	if n == 1 {
		return "1 verdict"
	}
	return fmt.Sprintf("%d verdicts", n)
}

// hash identifies what was learned, whenever that was. The hash is over JSON with a fixed order
// of members and entries.
func hash(entries []entry) string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	for i := range entries {
		_ = enc.Encode(&entries[i]) // neither the type nor the writer can fail
	}
	return "p1:" + hex.EncodeToString(h.Sum(nil)[:16])
}

// Version identifies the content: "p1:" and 128 bits of a SHA-256. Two snapshots of the same
// version answer alike.
func (s *Snapshot) Version() string {
	if s == nil {
		return hash(nil)
	}
	return s.version
}

// FittedAt is when the snapshot was made.
func (s *Snapshot) FittedAt() time.Time {
	if s == nil {
		return time.Time{}
	}
	return s.fitted
}

// Len is how many analytics it knows.
func (s *Snapshot) Len() int {
	if s == nil {
		return 0
	}
	return len(s.entries)
}

// Learned is what people's verdicts taught about one analytic.
type Learned struct {
	Tenant    string `json:"tenant"`
	Source    string `json:"source"`
	Analytic  string `json:"analytic"`
	Malicious int    `json:"malicious"`
	Benign    int    `json:"benign"`
	// Bits are the prior log-odds by severity, Moved by how much they differ from those of the
	// severity alone.
	Bits  map[string]float64 `json:"bits"`
	Moved map[string]float64 `json:"moved"`
}

// Learned lists what was learned for a tenant, by source and analytic.
func (s *Snapshot) Learned(tenant string) []Learned {
	out := []Learned{}
	if s == nil {
		return out
	}
	for i := range s.entries {
		e := &s.entries[i]
		if e.Tenant != tenant {
			continue
		}
		l := Learned{Tenant: e.Tenant, Source: e.Source, Analytic: e.Analytic, Malicious: e.Malicious, Benign: e.Benign,
			Bits: map[string]float64{}, Moved: map[string]float64{}}
		for severity, bits := range e.Bits {
			level := alert.Severity(severity)
			l.Bits[level.String()], l.Moved[level.String()] = bits, round(bits-reason.SeverityPrior(level).Bits)
		}
		out = append(out, l)
	}
	return out
}

// Prior returns the prior of an analytic: learned where people have judged it, else that of the
// severity. Its Source says which, and names the version.
func (s *Snapshot) Prior(tenant, source, analytic string, severity alert.Severity) reason.Prior {
	if s == nil || severity < alert.Informational || severity > alert.Critical {
		return reason.SeverityPrior(severity)
	}
	r, ok := s.index[key{tenant, source, analytic}]
	if !ok {
		return reason.SeverityPrior(severity)
	}
	return r[severity]
}

// stored is the form of a snapshot in the store.
type stored struct {
	Version  string  `json:"version"`
	FittedAt int64   `json:"fitted_at"` // microseconds UTC
	Entries  []entry `json:"entries"`
}

// Encode returns the snapshot as JSON.
func (s *Snapshot) Encode() ([]byte, error) {
	out := stored{Version: s.Version(), FittedAt: s.FittedAt().UnixMicro(), Entries: []entry{}}
	if s != nil {
		out.Entries = append(out.Entries, s.entries...)
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode priors %s: %w", out.Version, err)
	}
	return b, nil
}

// Decode reads what Encode wrote. It fails with ErrDamaged when the content does not belong to
// its version, or moves a prior further than Fit would.
func Decode(b []byte) (*Snapshot, error) {
	var in stored
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if !slices.IsSortedFunc(in.Entries, func(a, b entry) int { return compareKeys(a.key(), b.key()) }) {
		return nil, fmt.Errorf("%w: %s is not in order", ErrDamaged, in.Version)
	}
	for i := range in.Entries {
		e := &in.Entries[i]
		for severity, bits := range e.Bits {
			// Millionths were rounded on both sides.
			if moved := bits - reason.SeverityPrior(alert.Severity(severity)).Bits; moved > Cap+1e-5 || moved < -Cap-1e-5 {
				return nil, fmt.Errorf("%w: %s moves %q by %+.2f bits, at most %d are allowed", ErrDamaged, in.Version, e.Analytic, moved, Cap)
			}
		}
	}
	s := newSnapshot(in.Entries, time.UnixMicro(in.FittedAt))
	if s.version != in.Version {
		return nil, fmt.Errorf("%w: it says version %s and holds %s", ErrDamaged, in.Version, s.version)
	}
	return s, nil
}

// Current is the snapshot in force. The zero value has learned nothing; it is safe for
// concurrent use.
type Current struct{ p atomic.Pointer[Snapshot] }

// Replace puts a snapshot in force for the verdicts that follow.
func (c *Current) Replace(s *Snapshot) { c.p.Store(s) }

// Snapshot returns the snapshot in force, nil when there is none.
func (c *Current) Snapshot() *Snapshot { return c.p.Load() }

// Prior asks the snapshot in force; it has the form of orchestrate.Config.Prior.
func (c *Current) Prior(tenant, source, analytic string, s alert.Severity) reason.Prior {
	return c.p.Load().Prior(tenant, source, analytic, s)
}

// Guard is the prior to decide with: the learned one, unless it would hold down an alert whose
// evidence for malicious counts t.BenignBits or more. Such an alert is judged from the prior of
// its severity, so that a habit of benign verdicts, honest or planted, never changes what
// strong evidence says. A learned prior above that of the severity stands. The items are only
// read.
func Guard(learned reason.Prior, s alert.Severity, items []evidence.Evidence, t reason.Thresholds) reason.Prior {
	base := reason.SeverityPrior(s)
	if learned.Bits >= base.Bits {
		return learned
	}
	counted := slices.Clone(items)
	reason.Count(counted, t)
	sum := 0.0
	for i := range counted {
		sum += max(0, counted[i].Counted)
	}
	if round(sum) < t.BenignBits {
		return learned
	}
	base.Source = fmt.Sprintf("%s; set aside with %.1f bits for: %s", base.Source, sum, learned.Source)
	return base
}
