package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// Bounds of one audit record about refused records.
const (
	maxReasons = 10
	maxDigests = 16
	maxRefused = 200 // bytes of one reason
)

// Rejections sums up records that did not become alerts, so that one audit record of bounded
// size stands for any number of them. The zero value is empty.
type Rejections struct {
	count   int
	other   int            // with a reason that has no room
	reasons map[string]int // by reason
	sources map[string]int
	digests []string // SHA-256 of the first records' bytes
}

// Add counts one record. raw is empty where its bytes could not be told apart.
func (t *Rejections) Add(source, reason string, raw []byte) {
	if len(raw) == 0 {
		t.add(Bounded(reason), Bounded(source), 1)
		return
	}
	sum := sha256.Sum256(raw)
	t.add(Bounded(reason), Bounded(source), 1, hex.EncodeToString(sum[:]))
}

func (t *Rejections) add(reason, source string, n int, digests ...string) {
	if t.reasons == nil {
		t.reasons, t.sources = map[string]int{}, map[string]int{}
	}
	t.count += n
	if _, known := t.reasons[reason]; known || len(t.reasons) < maxReasons {
		t.reasons[reason] += n
	} else {
		t.other += n
	}
	t.from(source, n)
	t.digests = append(t.digests, digests[:min(len(digests), maxDigests-len(t.digests))]...)
}

// Count is how many records were counted.
func (t *Rejections) Count() int { return t.count }

// Merge adds what another sum holds; o must not be used again.
func (t *Rejections) Merge(o *Rejections) {
	if t.count == 0 {
		*t = *o
		return
	}
	digests := o.digests
	for _, reason := range slices.Sorted(maps.Keys(o.reasons)) {
		t.add(reason, "", o.reasons[reason], digests...)
		digests = nil
	}
	t.count += o.other
	t.other += o.other
	for _, source := range slices.Sorted(maps.Keys(o.sources)) {
		t.from(source, o.sources[source])
	}
}

func (t *Rejections) from(source string, n int) {
	if _, known := t.sources[source]; source != "" && (known || len(t.sources) < maxReasons) {
		t.sources[source] += n
	}
}

// Event is the audit event of the sum, as service reports it.
func (t *Rejections) Event(service string, now time.Time) (Event, error) {
	var o Object
	o.Strs("sha256", t.digests).Strs("sources", slices.Sorted(maps.Keys(t.sources)))
	known, err := o.Finish()
	o.Reset()
	o.Int("count", int64(t.count)).OpenArray("reasons")
	for _, reason := range slices.Sorted(maps.Keys(t.reasons)) {
		o.OpenItem().Int("count", int64(t.reasons[reason])).Str("reason", reason).Close()
	}
	o.Close().Int("with_other_reasons", int64(t.other))
	outcome, err2 := o.Finish()
	return Event{
		Type: AlertRejected, Timestamp: now.UnixMicro(), Severity: SeverityWarning,
		ActorType: ActorSystem, ActorID: service, SourceService: service, Context: known, Outcome: outcome,
	}, errors.Join(err, err2)
}

// Bounded is text that others wrote, fit for a record: cut where it is too long, and valid UTF-8.
func Bounded(s string) string {
	if len(s) > maxRefused {
		s = s[:maxRefused] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
