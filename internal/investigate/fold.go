package investigate

import (
	"strconv"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/id"
)

// DefaultWindow is the length of the tumbling window in which repeats fold together.
const DefaultWindow = time.Hour

// maxFuture is how far ahead of its arrival an event time may lie and still be believed.
const maxFuture = 24 * time.Hour

// FoldTime returns the time by which an alert is assigned to a window, and a note when the
// alert's own time was missing or implausible and its arrival was taken instead.
func FoldTime(a *alert.Alert) (t time.Time, note string) {
	t, ok := a.EventTime()
	switch {
	case !ok:
		return a.IngestedAt, "the alert has no readable event time; its arrival was used"
	case t.After(a.IngestedAt.Add(maxFuture)) && !a.IngestedAt.IsZero():
		return a.IngestedAt, "the alert's event time lies more than 24 h in the future; its arrival was used"
	case t.Year() < 1980:
		return a.IngestedAt, "the alert's event time lies before 1980; its arrival was used"
	}
	return t, ""
}

// WindowStart returns the start of the tumbling window of the given length that holds t.
func WindowStart(t time.Time, window time.Duration) time.Time {
	us, w := t.UnixMicro(), window.Microseconds()
	start := us - us%w
	if us < 0 && us%w != 0 {
		start -= w
	}
	return time.UnixMicro(start).UTC()
}

// ID derives the id of the investigation that holds every alert of one fingerprint and window.
func ID(tenant, fingerprint string, windowStart time.Time) string {
	return id.Derive(tenant, fingerprint, micros(windowStart))
}

func micros(t time.Time) string { return strconv.FormatInt(t.UnixMicro(), 10) }

// Reopens reports whether a fold must reopen an investigation that had ended: the new alert is
// more severe than anything before it, or it brought a kind of evidence for malicious that was
// not there. A repeat that says the same again only counts.
func Reopens(state State, before, after alert.Severity, newKindsFor bool) bool {
	if state != Closed && state != Failed {
		return false
	}
	return after > before || newKindsFor
}
