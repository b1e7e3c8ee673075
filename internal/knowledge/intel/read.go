package intel

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/knowledge/feed"
)

// Format is a way in which intelligence is published.
type Format string

// The formats.
const (
	FormatAuto Format = ""
	FormatList Format = "list" // one value per line
	FormatCSV  Format = "csv"  // with a header, or rows of type and value
	FormatMISP Format = "misp"
	FormatSTIX Format = "stix"
	FormatKEV  Format = "kev"
)

// Limits of one import.
const (
	DefaultMaxBytes = 1 << 30 // after decompression
	maxRefusals     = 100     // refusals kept with their place; all are counted
)

// SyntaxError says where a JSON document stops being one.
type SyntaxError = feed.SyntaxError

var (
	// ErrUnknownFormat says that a file is none of the formats.
	ErrUnknownFormat = errors.New("intel: the file is none of CSV, a plain list, MISP, STIX 2.x or KEV")
	// ErrWarningList says that a file lists harmless values.
	ErrWarningList = errors.New("intel: the file is a MISP warning list: its values are harmless and not indicators")
	// ErrTooLarge says that a file passed Options.MaxBytes.
	ErrTooLarge = feed.ErrTooLarge
)

// Options say how to read a feed. The zero value reads any format.
type Options struct {
	// Feed is the name under which the rows are kept; empty means the format's name.
	Feed string
	// Format is FormatAuto to recognise it by content.
	Format Format
	// Confidence is for rows whose feed states none; 0 means DefaultConfidence.
	Confidence int
	// Severity is for rows whose feed states none; Informational, the zero value, means medium.
	Severity alert.Severity
	// Now lets rows be refused that are expired already; zero keeps them.
	Now time.Time
	// MaxBytes bounds the file after decompression; 0 means DefaultMaxBytes.
	MaxBytes int64
}

// Report counts what became of the rows of one file.
type Report struct {
	Format Format `json:"format"`
	// Accepted, Refused and Skipped count indicators. Skipped values are no indicators and
	// nothing is wrong with them: references, descriptions, kinds that are not supported.
	Accepted int `json:"accepted"`
	Refused  int `json:"refused"`
	Skipped  int `json:"skipped"`
	// Reasons counts the refused and the skipped by reason.
	Reasons map[string]int `json:"reasons,omitempty"`
	// Refusals are the first hundred refused rows.
	Refusals []Refusal `json:"refusals,omitempty"`
}

// Refusal is one refused row.
type Refusal struct {
	// Place is a line ("line 12") or a path into the document ("objects[3]").
	Place  string `json:"place"`
	Value  string `json:"value"`
	Reason string `json:"reason"`
}

// Read reads one file, gzipped or not, and hands every usable indicator to emit in the order
// of the file. Rows that are not usable are counted in the report. The error is of emit, of
// the reader, or says why the file as a whole cannot be read: ErrUnknownFormat,
// ErrWarningList, ErrTooLarge, or a syntax error with its place. What was emitted before an
// error stays valid, and the report counts it.
func Read(r io.Reader, o Options, emit func(Indicator) error) (Report, error) {
	if o.Confidence == 0 {
		o.Confidence = DefaultConfidence
	}
	if o.Severity == alert.Informational {
		o.Severity = alert.Medium
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	br, err := feed.Open(r, o.MaxBytes)
	if err != nil {
		return Report{}, err
	}
	if o.Format == FormatAuto {
		if o.Format, err = detect(br); err != nil {
			return Report{}, err
		}
	}
	if o.Feed == "" {
		o.Feed = string(o.Format)
	}
	s := &sink{o: o, emit: emit, report: Report{Format: o.Format, Reasons: map[string]int{}}}
	switch o.Format {
	case FormatList:
		err = s.readList(br)
	case FormatCSV:
		err = s.readCSV(br)
	case FormatMISP:
		err = s.readMISP(br)
	case FormatSTIX:
		err = s.readSTIX(br)
	case FormatKEV:
		err = s.readKEV(br)
	default:
		err = fmt.Errorf("%w: format %q", ErrUnknownFormat, o.Format)
	}
	return s.report, err
}

// sink is where the readers put rows; it canonicalises, bounds, counts and emits.
type sink struct {
	o      Options
	emit   func(Indicator) error
	report Report
}

func (s *sink) skip(reason string) {
	s.report.Skipped++
	s.report.Reasons[reason]++
}

func (s *sink) refuse(place, value string, err error) {
	s.report.Refused++
	reason := err.Error()
	if v, ok := errors.AsType[*ValueError](err); ok {
		reason = v.Reason
	}
	s.report.Reasons[cut(reason, 120)]++
	if len(s.report.Refusals) < maxRefusals {
		s.report.Refusals = append(s.report.Refusals,
			Refusal{Place: place, Value: cut(clean(value), 120), Reason: cut(reason, 200)})
	}
}

// add takes a value of a stated kind, or of any kind when t is empty, with the rest of the
// row in ind. The error is that of emit and ends the import.
func (s *sink) add(place string, t alert.IndicatorType, raw string, ind Indicator) error {
	var err error
	if t == "" {
		ind.Type, ind.Value, err = Parse(raw)
	} else {
		ind.Type, ind.Value, err = ParseAs(t, raw)
	}
	if err == nil && !ind.Expiry.IsZero() && !s.o.Now.IsZero() && !ind.Expiry.After(s.o.Now) {
		err = refuse(raw, "it expired before the import")
	}
	if err != nil {
		s.refuse(place, raw, err)
		return nil
	}
	ind.Sources = append(slices.Clone(ind.Sources), s.o.Feed)
	ind.bound()
	if err := s.emit(ind); err != nil {
		return err
	}
	s.report.Accepted++
	return nil
}

// base is the row that a feed adds to.
func (s *sink) base() Indicator {
	return Indicator{Confidence: s.o.Confidence, Severity: s.o.Severity}
}

// parseTime reads the notations that feeds use; zero when it is none of them.
func parseTime(v string) time.Time {
	v = strings.TrimSpace(v)
	if v == "" {
		return time.Time{}
	}
	if digits(v) && len(v) >= 9 {
		n, err := strconv.ParseInt(v, 10, 64)
		switch {
		case err != nil || n <= 0:
			return time.Time{}
		case len(v) <= 10:
			return time.Unix(n, 0).UTC()
		case len(v) == 13:
			return time.UnixMilli(n).UTC()
		}
		return time.Time{}
	}
	for _, layout := range [...]string{
		time.RFC3339Nano, "2006-01-02", "2006-01-02 15:04:05", "2006-01-02 15:04:05 MST",
		"2006-01-02T15:04:05", "2006-01-02T15:04:05.999999999", "2006/01/02", "2006/01/02 15:04:05",
	} {
		if t, err := time.Parse(layout, v); err == nil && t.Year() >= 1970 && t.Year() < 2100 {
			return t.UTC()
		}
	}
	return time.Time{}
}
