package ingest

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// Layouts without a zone are UTC: the products concerned write UTC there (Sysmon's UtcTime,
// Log Analytics, the exports of OpenSearch and Microsoft portals).
var layouts = [...]string{
	"2006-01-02T15:04:05.999999999Z0700",
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999Z0700",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02 15:04:05.999999999 Z0700",
	"2006-01-02 15:04:05 MST",
	"2006-01-02T15:04Z07:00",
	"1/2/2006, 3:04:05.999999999 PM",
	"1/2/2006 3:04:05 PM",
	"01/02/2006 15:04:05",
	"Jan 2, 2006 @ 15:04:05.999999999",
	"Mon Jan 2 15:04:05 2006",
	"2006-01-02",
}

// ParseTime reads the forms of time that security products write: RFC 3339 and its relatives,
// portal exports, and Unix time in seconds, milliseconds, microseconds or nanoseconds. The
// result is UTC in microseconds. ok is false for anything else and for years outside 1980 to
// 2200, which only broken clocks and forged fields hold.
func ParseTime(s string) (t time.Time, ok bool) {
	s = strings.TrimSpace(s)
	if len(s) < 8 || len(s) > 40 {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t, ok = parseOther(s)
		if !ok {
			return time.Time{}, false
		}
	}
	if y := t.UTC().Year(); y < 1980 || y > 2200 {
		return time.Time{}, false
	}
	return t.UTC().Truncate(time.Microsecond), true
}

func parseOther(s string) (time.Time, bool) {
	if isNumber(s) {
		return parseUnix(s)
	}
	for _, l := range layouts {
		if t, err := time.Parse(l, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

func isNumber(s string) bool {
	for i := 0; i < len(s); i++ {
		if (s[i] < '0' || s[i] > '9') && s[i] != '.' {
			return false
		}
	}
	return true
}

func parseUnix(s string) (time.Time, bool) {
	whole, frac, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	switch {
	case n < 1e11:
		f, err := strconv.ParseFloat("0."+frac+"0", 64)
		if err != nil {
			return time.Time{}, false
		}
		return time.Unix(n, int64(math.Round(f*1e6))*1000), true
	case n < 1e14:
		return time.UnixMilli(n), true
	case n < 1e17:
		return time.UnixMicro(n), true
	default:
		return time.Unix(0, n), true
	}
}

// FirstTime returns the first readable time among the paths, in the order of the paths.
func FirstTime(f alert.Fields, paths ...string) time.Time {
	for _, p := range paths {
		if t, ok := ParseTime(f.Get(p)); ok {
			return t
		}
	}
	return time.Time{}
}
