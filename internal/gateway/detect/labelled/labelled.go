// Package labelled reads labelled lines and turns them into samples for the injection sensor,
// so that near copies and the same payload stay together.
package labelled

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/aluskort/aluskort/internal/gateway/detect"
	"github.com/aluskort/aluskort/internal/gateway/detect/corpus"
)

// Line is one labelled text.
type Line struct {
	Text   string `json:"text"`
	Label  string `json:"label"`
	Source string `json:"source"`
}

// Attack reports whether the line is labelled as an attack.
func (l *Line) Attack() bool { return l.Label == "attack" }

// Family is the first part of the source.
func (l *Line) Family() string {
	f, _, _ := strings.Cut(l.Source, "/")
	return f
}

// Strict reports whether the string alone can show what the line is.
func (l *Line) Strict() bool {
	return !strings.HasSuffix(l.Source, "/semantic") && !strings.HasSuffix(l.Source, "/context-only")
}

const maxLine = 16 << 20

// Read reads JSON lines. A line that cannot be read, or with another label than attack and
// benign, is an error that names it.
func Read(r io.Reader) ([]Line, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxLine)
	var out []Line
	for n := 1; sc.Scan(); n++ {
		if strings.TrimSpace(sc.Text()) == "" {
			continue
		}
		var l Line
		if err := json.Unmarshal(sc.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if l.Label != "attack" && l.Label != "benign" {
			return nil, fmt.Errorf("line %d: label %q; want attack or benign", n, l.Label)
		}
		out = append(out, l)
	}
	if err := sc.Err(); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, errors.New("no lines")
	}
	return out, nil
}

// Samples turns lines into samples for training. What the string alone cannot show counts
// little: it would teach that plain requests are attacks.
func Samples(lines []Line) []detect.Sample {
	group := groups(lines)
	out := make([]detect.Sample, len(lines))
	for i := range lines {
		out[i] = detect.Sample{Text: lines[i].Text, Attack: lines[i].Attack(), Weight: 1, Group: group[i]}
		if !lines[i].Strict() {
			out[i].Weight = 0.1
		}
	}
	return out
}

// WithCorpus adds the samples that ship with the program, in groups of their own.
func WithCorpus(samples []detect.Sample) []detect.Sample {
	next := 0
	for i := range samples {
		next = max(next, samples[i].Group+1)
	}
	out := slices.Clone(samples)
	for _, s := range corpus.Samples() {
		s.Group += next
		out = append(out, s)
	}
	return out
}
