package intel

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/knowledge/feed"
)

// column says what stands in a column of a table.
type column int

const (
	colNone column = iota
	colType
	colValue
	colTyped // a value of the kind that the column is named after
	colConfidence
	colSeverity
	colCampaign
	colGroup
	colTechnique
	colFirst
	colLast
	colExpiry
	colSource
	colTags
	colContext
)

var columnWords = map[string]column{
	"type": colType, "indicator_type": colType, "ioc_type": colType, "observable_type": colType, "kind": colType,
	"value": colValue, "indicator": colValue, "ioc": colValue, "ioc_value": colValue, "indicator_value": colValue,
	"observable": colValue, "observable_value": colValue, "artifact": colValue,
	"confidence": colConfidence, "confidence_level": colConfidence, "score": colConfidence, "certainty": colConfidence,
	"severity": colSeverity, "threat_level": colSeverity, "risk": colSeverity,
	"campaign": colCampaign, "campaigns": colCampaign, "malware": colCampaign, "malware_printable": colCampaign,
	"malware_family": colCampaign, "family": colCampaign, "signature": colCampaign, "associated_campaigns": colCampaign,
	"group": colGroup, "groups": colGroup, "actor": colGroup, "threat_actor": colGroup, "threat_actors": colGroup,
	"associated_groups": colGroup,
	"technique":         colTechnique, "techniques": colTechnique, "mitre": colTechnique, "mitre_techniques": colTechnique,
	"attack_id": colTechnique, "mitre_attack": colTechnique,
	"first_seen": colFirst, "first_seen_utc": colFirst, "firstseen": colFirst, "dateadded": colFirst,
	"date_added": colFirst, "date": colFirst, "created": colFirst, "valid_from": colFirst, "timestamp": colFirst,
	"last_seen": colLast, "last_seen_utc": colLast, "lastseen": colLast, "last_online": colLast, "modified": colLast,
	"expiry": colExpiry, "expires": colExpiry, "expiration": colExpiry, "valid_until": colExpiry,
	"source": colSource, "sources": colSource, "feed": colSource, "provider": colSource,
	"tags": colTags, "tag": colTags, "labels": colTags,
	"context": colContext, "description": colContext, "comment": colContext, "comments": colContext,
	"reference": colContext, "references": colContext, "note": colContext, "notes": colContext, "threat": colContext,
}

// header is the meaning of the columns of a table.
type header struct {
	comma   rune
	columns []column
	kinds   []alert.IndicatorType // of colTyped columns
	inRows  bool                  // the header is a row of the table, not a comment
}

// findHeader looks for a header in the first lines of a text: a row, or a comment as the
// exports of abuse.ch have it. Rows of "type,value" need none. It returns nil for a list.
func findHeader(text string) *header {
	for i := 0; i < 100 && text != ""; i++ {
		line, rest, _ := strings.Cut(text, "\n")
		text = rest
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		comment := strings.HasPrefix(line, "#")
		h := parseHeader(strings.TrimSpace(strings.TrimLeft(line, "# ")))
		switch {
		case h != nil && (!comment || len(h.columns) > 1):
			h.inRows = !comment
			return h
		case !comment:
			return typedRows(line)
		}
	}
	return nil
}

func parseHeader(line string) *header {
	for _, comma := range [...]rune{',', ';', '\t', '|'} {
		names := strings.Split(line, string(comma))
		h := &header{comma: comma}
		values, known := 0, 0
		for _, name := range names {
			if _, _, err := Parse(strings.Trim(name, `" `)); err == nil {
				return nil // a row of values
			}
			c, kind := columnOf(word(name))
			h.columns = append(h.columns, c)
			h.kinds = append(h.kinds, kind)
			if c != colNone {
				known++
			}
			if c == colValue || c == colTyped {
				values++
			}
		}
		if values > 0 && known*3 >= len(names) {
			return h
		}
	}
	return nil
}

func columnOf(name string) (column, alert.IndicatorType) {
	if c, ok := columnWords[name]; ok {
		return c, ""
	}
	if kind, ok := typeWords[name]; ok {
		return colTyped, kind
	}
	return colNone, ""
}

// typedRows accepts a table without header whose first column names a kind.
func typedRows(line string) *header {
	for _, comma := range [...]rune{',', ';', '\t', '|'} {
		parts := strings.Split(line, string(comma))
		if len(parts) < 2 {
			continue
		}
		if _, ok := typeWords[word(parts[0])]; ok {
			return &header{comma: comma, columns: []column{colType, colValue, colContext}, kinds: make([]alert.IndicatorType, 3)}
		}
	}
	return nil
}

func (s *sink) readCSV(br *bufio.Reader) error {
	head, _ := br.Peek(feed.PeekSize)
	h := findHeader(string(head))
	if h == nil {
		return fmt.Errorf("%w: no header with a column of values (value, indicator, ip, domain, url, sha256, ...)", ErrUnknownFormat)
	}
	r := csv.NewReader(br)
	r.Comma, r.Comment, r.LazyQuotes, r.FieldsPerRecord = h.comma, '#', true, -1
	r.TrimLeadingSpace, r.ReuseRecord = true, true
	for skipHeader := h.inRows; ; {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if pe, ok := errors.AsType[*csv.ParseError](err); ok {
				s.refuse("line "+strconv.Itoa(pe.Line), "", pe.Err)
				continue
			}
			return fmt.Errorf("intel: read CSV: %w", err)
		}
		if skipHeader {
			skipHeader = false
			continue
		}
		line, _ := r.FieldPos(0)
		if err := s.csvRow("line "+strconv.Itoa(line), h, row); err != nil {
			return err
		}
	}
}

func (s *sink) csvRow(place string, h *header, row []string) error {
	ind := s.base()
	var kind, value string
	for i, cell := range row {
		if i >= len(h.columns) {
			break
		}
		cell = strings.TrimSpace(cell)
		switch h.columns[i] {
		case colType:
			kind = cell
		case colValue:
			if value == "" {
				value = cell
			}
		default:
			ind.cell(h.columns[i], cell)
		}
	}
	found := false
	if value != "" {
		found = true
		if err := s.csvValue(place, kind, value, ind); err != nil {
			return err
		}
	}
	for i, cell := range row {
		if i >= len(h.columns) || h.columns[i] != colTyped {
			continue
		}
		if cell = strings.TrimSpace(cell); absent(cell) {
			continue
		}
		found = true
		if err := s.add(place, h.kinds[i], cell, ind); err != nil {
			return err
		}
	}
	if !found {
		s.refuse(place, strings.Join(row, ","), refuse("", "the row has no value"))
	}
	return nil
}

func (s *sink) csvValue(place, kind, value string, ind Indicator) error {
	if kind == "" {
		return s.add(place, "", value, ind)
	}
	t, ok := typeWords[word(kind)]
	if !ok {
		s.refuse(place, value, refuse(value, "indicators of type %q are not supported", cut(clean(kind), 40)))
		return nil
	}
	return s.add(place, t, value, ind)
}

func absent(cell string) bool {
	switch strings.ToLower(cell) {
	case "", "-", "n/a", "na", "null", "none":
		return true
	}
	return false
}

// cell sets the member that a column stands for.
func (i *Indicator) cell(c column, v string) {
	if absent(v) {
		return
	}
	switch c {
	case colConfidence:
		i.Confidence = parseConfidence(v, i.Confidence)
	case colSeverity:
		if sev, ok := alert.ParseSeverity(v); ok {
			i.Severity = sev
		}
	case colCampaign:
		i.Campaigns = append(i.Campaigns, splitCell(v)...)
	case colGroup:
		i.Groups = append(i.Groups, splitCell(v)...)
	case colTechnique:
		i.Techniques = append(i.Techniques, splitCell(v)...)
	case colTags:
		i.Tags = append(i.Tags, splitCell(v)...)
	case colSource:
		i.Sources = append(i.Sources, splitCell(v)...)
	case colFirst:
		i.FirstSeen = parseTime(v)
	case colLast:
		i.LastSeen = parseTime(v)
	case colExpiry:
		i.Expiry = parseTime(v)
	case colContext:
		i.Context = strings.TrimSpace(i.Context + " " + v)
	}
}

func splitCell(v string) []string {
	parts := strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ';' || r == '|' })
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// parseConfidence reads 0 to 100, a fraction below 1 with a point, a percentage, or a word.
func parseConfidence(v string, otherwise int) int {
	v = strings.TrimSuffix(strings.TrimSpace(v), "%")
	if f, err := strconv.ParseFloat(v, 64); err == nil {
		switch {
		case !(f >= 0 && f <= 100): // also refuses NaN
			return otherwise
		case f <= 1 && strings.Contains(v, "."):
			return int(f*100 + 0.5)
		}
		return int(f + 0.5)
	}
	switch strings.ToLower(v) {
	case "confirmed", "very high", "very-high":
		return 95
	case "high":
		return 85
	case "medium", "moderate":
		return 60
	case "low":
		return 30
	}
	return otherwise
}
