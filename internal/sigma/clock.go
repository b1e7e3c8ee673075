package sigma

import (
	"strconv"
	"strings"
	"time"
)

type clockPart uint8

const (
	partNone clockPart = iota
	partMinute
	partHour
	partDay
	partWeek
	partMonth
	partYear
)

var clockParts = map[string]clockPart{
	"minute": partMinute, "hour": partHour, "day": partDay,
	"week": partWeek, "month": partMonth, "year": partYear,
}

func (p clockPart) of(t time.Time) float64 {
	switch p {
	case partMinute:
		return float64(t.Minute())
	case partHour:
		return float64(t.Hour())
	case partDay:
		return float64(t.Day())
	case partWeek:
		_, week := t.ISOWeek()
		return float64(week)
	case partMonth:
		return float64(t.Month())
	default:
		return float64(t.Year())
	}
}

// parseTime reads the local numbers of a time as written; zones are left out, as the
// specification asks. Epochs are seconds, milliseconds, microseconds or nanoseconds by size.
func parseTime(s string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseFloat(s, 64); err == nil && len(s) >= 9 {
		for n > 1e11 {
			n /= 1000
		}
		if n < 0 {
			return time.Time{}, false
		}
		return time.Unix(int64(n), 0).UTC(), true
	}
	for _, layout := range [...]string{
		"2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006/01/02 15:04:05",
		"2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02",
	} {
		if len(s) < len(layout) {
			continue
		}
		if t, err := time.Parse(layout, s[:len(layout)]); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// parseNumber reads a decimal or, with 0x, a hexadecimal number.
func parseNumber(s string) (float64, bool) {
	s = strings.TrimSpace(s)
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return f, true
	}
	if i, err := strconv.ParseInt(s, 0, 64); err == nil {
		return float64(i), true
	}
	return 0, false
}
