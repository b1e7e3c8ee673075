package eval

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Label is the truth about one alert.
type Label uint8

// The labels. Alerts without one are judged but not scored.
const (
	Unlabelled Label = iota
	Negative
	Positive
)

// Truth is one row of a file of labels.
type Truth struct {
	Label Label
	// Step names the part of the attack or the kind of noise, where the file says so.
	Step string
}

// LabelError says which line of a file of labels is wrong, and how to mend it.
type LabelError struct {
	Line   int
	Reason string
}

// Error implements error.
func (e *LabelError) Error() string { return fmt.Sprintf("labels, line %d: %s", e.Line, e.Reason) }

var labelWords = map[string]Label{
	"tp": Positive, "true": Positive, "malicious": Positive, "1": Positive, "true_positive": Positive, "attack": Positive, "positive": Positive,
	"fp": Negative, "false": Negative, "benign": Negative, "0": Negative, "false_positive": Negative, "benign_true_positive": Negative,
	"noise": Negative, "negative": Negative,
}

// ReadLabels reads CSV with a header that names a column id (or alert_id) and a column label
// (TP or FP, true or false, malicious or benign, 1 or 0). A column step is kept; others are
// ignored. Errors are *LabelError, or those of reading.
func ReadLabels(r io.Reader) (map[string]Truth, error) {
	c := csv.NewReader(r)
	c.FieldsPerRecord, c.TrimLeadingSpace = -1, true
	head, err := c.Read()
	if err != nil {
		return nil, labelError(err)
	}
	head[0] = strings.TrimPrefix(head[0], "\ufeff")
	id, label, step := column(head, "id", "alert_id"), column(head, "label"), column(head, "step")
	if id < 0 || label < 0 {
		return nil, &LabelError{1, fmt.Sprintf("the header %q names no column id (or alert_id) or no column label", strings.Join(head, ","))}
	}
	out := map[string]Truth{}
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, labelError(err)
		}
		line, _ := c.FieldPos(0)
		if err := addLabel(out, row, id, label, step, line); err != nil {
			return nil, err
		}
	}
}

func addLabel(out map[string]Truth, row []string, id, label, step, line int) error {
	if max(id, label) >= len(row) {
		return &LabelError{line, "the row is shorter than the header"}
	}
	key := strings.TrimSpace(row[id])
	if key == "" {
		return &LabelError{line, "the id is empty"}
	}
	l, ok := labelWords[strings.ToLower(strings.TrimSpace(row[label]))]
	if !ok {
		return &LabelError{line, fmt.Sprintf("label %q: write TP or FP, true or false, malicious or benign, 1 or 0", row[label])}
	}
	if have, ok := out[key]; ok && have.Label != l {
		return &LabelError{line, fmt.Sprintf("the id %q has two different labels; remove one", key)}
	}
	t := Truth{Label: l}
	if step >= 0 && step < len(row) {
		t.Step = row[step]
	}
	out[key] = t
	return nil
}

func column(head []string, names ...string) int {
	for _, n := range names {
		i := slices.IndexFunc(head, func(h string) bool { return strings.EqualFold(strings.TrimSpace(h), n) })
		if i >= 0 {
			return i
		}
	}
	return -1
}

func labelError(err error) error {
	if errors.Is(err, io.EOF) {
		return &LabelError{1, "the file is empty; write a header with id and label"}
	}
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return &LabelError{parse.Line, "not CSV: " + parse.Err.Error() + "; write a header with id and label, then one row per alert"}
	}
	return fmt.Errorf("read labels: %w", err)
}
