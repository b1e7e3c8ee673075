package ingest

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// Layouts without a zone are UTC: the products concerned write UTC there (Log Analytics, the
// exports of OpenSearch and of Microsoft's portals).
var layouts = [...]string{
	"1/2/2006, 3:04:05.999999999 PM",
	"1/2/2006 3:04:05 PM",
	"01/02/2006 15:04:05",
	"Jan 2, 2006 @ 15:04:05.999999999",
	"Mon Jan 2 15:04:05 2006",
	"2006-01-02T15:04Z07:00",
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
	if t, ok = parseISO(s); !ok {
		if t, ok = parseOther(s); !ok {
			return time.Time{}, false
		}
	}
	if y := t.UTC().Year(); y < 1980 || y > 2200 {
		return time.Time{}, false
	}
	return t.UTC().Truncate(time.Microsecond), true
}

// parseISO reads YYYY-MM-DD, T or a space, hh:mm:ss, a fraction, and a zone: none, Z, UTC or an
// offset with or without colon and space.
func parseISO(s string) (time.Time, bool) {
	if len(s) < 19 || s[4] != '-' || s[7] != '-' || s[10] != 'T' && s[10] != ' ' || s[13] != ':' || s[16] != ':' {
		return time.Time{}, false
	}
	var v [6]int
	for i, at := range [...][2]int{{0, 4}, {5, 7}, {8, 10}, {11, 13}, {14, 16}, {17, 19}} {
		n, ok := digits(s[at[0]:at[1]])
		if !ok {
			return time.Time{}, false
		}
		v[i] = n
	}
	rest, nanos := s[19:], 0
	if len(rest) > 1 && (rest[0] == '.' || rest[0] == ',') {
		i, unit := 1, 100_000_000
		for ; i < len(rest) && isDigit(rest[i]); i++ {
			nanos += int(rest[i]-'0') * unit
			unit /= 10
		}
		rest = rest[i:]
	}
	offset, ok := zone(strings.TrimPrefix(rest, " "))
	if !ok || v[1] < 1 || v[1] > 12 || v[2] < 1 || v[2] > 31 || v[3] > 23 || v[4] > 59 || v[5] > 60 {
		return time.Time{}, false
	}
	t := time.Date(v[0], time.Month(v[1]), v[2], v[3], v[4], v[5], nanos, time.UTC)
	if t.Day() != v[2] && v[5] < 60 {
		return time.Time{}, false // a day that the month does not have
	}
	return t.Add(-offset), true
}

func digits(s string) (int, bool) {
	n := 0
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

func zone(s string) (time.Duration, bool) {
	switch s {
	case "", "Z", "z", "UTC", "GMT":
		return 0, true
	}
	if s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	clock := strings.Replace(s[1:], ":", "", 1)
	n, ok := digits(clock)
	switch {
	case !ok:
		return 0, false
	case len(clock) == 2:
		n *= 100
	case len(clock) != 4:
		return 0, false
	}
	d := time.Duration(n/100)*time.Hour + time.Duration(n%100)*time.Minute
	if s[0] == '-' {
		d = -d
	}
	return d, n/100 <= 15 && n%100 < 60
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
