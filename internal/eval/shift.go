package eval

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Span is a stretch of time. The zero value holds nothing.
type Span struct{ From, To time.Time }

// near reports whether t lies in the span or within some days of it: what tells a Unix time
// from any other number of as many digits.
func (s Span) near(t time.Time) bool {
	const margin = 3 * 24 * time.Hour
	return !s.From.IsZero() && t.After(s.From.Add(-margin)) && t.Before(s.To.Add(margin))
}

func (s Span) with(t time.Time) Span {
	if s.From.IsZero() || t.Before(s.From) {
		s.From = t
	}
	if s.To.IsZero() || t.After(s.To) {
		s.To = t
	}
	return s
}

// The forms of time that records hold. Groups are the parts that change; what stands around
// them (zone, brackets) stays.
var (
	isoTime    = regexp.MustCompile(`(\d{4})([-/.])(\d\d)([-/.])(\d\d)([T t]|\\t)(\d\d):(\d\d):(\d\d)([.,]\d+)?`)
	apacheTime = regexp.MustCompile(`\b\d\d/(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/\d{4}:\d\d:\d\d:\d\d\b`)
	syslogTime = regexp.MustCompile(`(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-3]?\d \d\d:\d\d:\d\d\b`)
	usTime     = regexp.MustCompile(`\b\d{1,2}/\d{1,2}/\d{4}[ -]\d{1,2}:\d\d:\d\d(?: [AP]M)?`)
	portalTime = regexp.MustCompile(`\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{1,2}, \d{4} @ \d\d:\d\d:\d\d`)
	dateOnly   = regexp.MustCompile(`\b\d{4}([-./_])\d\d([-./_])\d\d\b`)
	compact    = regexp.MustCompile(`(?:^|[^0-9])(\d{14})(?:[^0-9]|$)`)
	unixTime   = regexp.MustCompile(`(?:^|[^0-9A-Za-z.]|\\[nrt])(1\d{9}|1\d{12}|1\d{15}|1\d{18})(?:[^0-9A-Za-z]|$)`)
)

// TimesIn widens the span by the ISO times of a record: those that products write as the
// times of events.
func TimesIn(raw []byte, s Span) (Span, error) {
	err := each(raw, func(l leaf) {
		if l.number || len(l.text) > 40 {
			return
		}
		if m := isoTime.FindString(l.text); m != "" && strings.HasPrefix(l.text, m) {
			if t, err := time.Parse("2006-01-02 15:04:05", m[:10]+" "+m[11:19]); err == nil {
				s = s.with(t)
			}
		}
	})
	return s, err
}

// ShiftTimes moves every time in a record by d, in whatever form it is written: ISO with and
// without zone, the forms of syslog, Apache and portals, Unix time in seconds to nanoseconds,
// the date in the name of an index. Zones and fractions stay as written. around tells times
// from other numbers and is the span of the whole set.
func ShiftTimes(raw []byte, d time.Duration, around Span) ([]byte, error) {
	if d%time.Second != 0 {
		return nil, fmt.Errorf("eval: a shift of %s is not one of whole seconds", d)
	}
	return rewrite(raw, func(l leaf) string {
		if strings.Contains(l.key(), "version") {
			return l.text
		}
		return shiftText(l.text, d, around)
	})
}

// shiftText handles one form after the other; what one has moved is set aside, so that the
// next does not move it again.
func shiftText(s string, d time.Duration, around Span) string {
	var done []string
	aside := func(s string) string {
		done = append(done, s)
		return "\x00" + strconv.Itoa(len(done)-1) + "\x00"
	}
	s = isoTime.ReplaceAllStringFunc(s, func(m string) string {
		sep, at := m[4:5], 11
		if m[10] == '\\' {
			at = 12
		}
		return shiftAs(m, m[:at+8], "2006"+sep+"01"+m[7:8]+"02"+m[10:at]+"15:04:05", d, aside)
	})
	for _, f := range [...]struct {
		re     *regexp.Regexp
		layout []string
	}{
		{apacheTime, []string{"02/Jan/2006:15:04:05"}},
		{portalTime, []string{"Jan 2, 2006 @ 15:04:05"}},
		{usTime, []string{"1/2/2006 3:04:05 PM", "01/02/2006-15:04:05", "01/02/2006 15:04:05", "1/2/2006 15:04:05"}},
	} {
		s = f.re.ReplaceAllStringFunc(s, func(m string) string {
			for _, layout := range f.layout {
				if t, err := time.Parse(layout, m); err == nil {
					return aside(t.Add(d).Format(layout))
				}
			}
			return m
		})
	}
	s = syslogTime.ReplaceAllStringFunc(s, func(m string) string { return aside(shiftSyslog(m, d, around)) })
	s = shiftGroup(compact, s, aside, func(m string) (string, bool) {
		t, err := time.Parse("20060102150405", m)
		return t.Add(d).Format("20060102150405"), err == nil && around.near(t)
	})
	s = dateOnly.ReplaceAllStringFunc(s, func(m string) string {
		// Noon, so that a shift of hours does not move the date of most events wrongly.
		t, err := time.Parse("2006-01-02", m[:4]+"-"+m[5:7]+"-"+m[8:])
		if err != nil || !around.near(t) {
			return m
		}
		t = t.Add(12*time.Hour + d)
		return aside(t.Format("2006") + m[4:5] + t.Format("01") + m[7:8] + t.Format("02"))
	})
	s = shiftGroup(unixTime, s, aside, func(m string) (string, bool) { return shiftUnix(m, d, around) })
	for i := len(done) - 1; i >= 0; i-- {
		s = strings.Replace(s, "\x00"+strconv.Itoa(i)+"\x00", done[i], 1)
	}
	return s
}

func shiftAs(whole, part, layout string, d time.Duration, aside func(string) string) string {
	t, err := time.Parse(layout, part)
	if err != nil {
		return whole
	}
	return aside(t.Add(d).Format(layout) + whole[len(part):])
}

// shiftGroup replaces the first group of each match. Matches may share the character between
// them, so it looks again from the end of the group.
func shiftGroup(re *regexp.Regexp, s string, aside func(string) string, fn func(string) (string, bool)) string {
	var b strings.Builder
	for {
		m := re.FindStringSubmatchIndex(s)
		if m == nil {
			b.WriteString(s)
			return b.String()
		}
		text := s[m[2]:m[3]]
		b.WriteString(s[:m[2]])
		if got, ok := fn(text); ok {
			text = aside(got)
		}
		b.WriteString(text)
		s = s[m[3]:]
	}
}

// shiftSyslog moves a time without a year: it takes that of the set.
func shiftSyslog(m string, d time.Duration, around Span) string {
	layout := "Jan 02 15:04:05"
	if m[4] == ' ' {
		layout = "Jan _2 15:04:05"
	} else if m[5] == ' ' {
		layout = "Jan 2 15:04:05"
	}
	t, err := time.Parse("2006 "+layout, strconv.Itoa(max(around.From.Year(), 1970))+" "+m)
	if err != nil {
		return m
	}
	return t.Add(d).Format(layout)
}

func shiftUnix(m string, d time.Duration, around Span) (string, bool) {
	n, err := strconv.ParseInt(m, 10, 64)
	if err != nil {
		return m, false
	}
	unit := time.Second
	for range (len(m) - 10) / 3 {
		unit /= 1000
	}
	if !around.near(time.Unix(0, 0).Add(time.Duration(n) * unit)) {
		return m, false
	}
	return strconv.FormatInt(n+int64(d/unit), 10), true
}
