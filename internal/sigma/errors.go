package sigma

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The kinds of problems a rule can have; a *RuleError unwraps to one of them.
var (
	// ErrInvalid: the rule does not follow the specification, or the file is not YAML.
	ErrInvalid = errors.New("sigma: invalid rule")
	// ErrUnsupported: the rule is valid but uses something this engine cannot do.
	ErrUnsupported = errors.New("sigma: unsupported rule")
	// ErrDuplicate: another rule already has the id.
	ErrDuplicate = errors.New("sigma: duplicate rule id")
	// ErrRetired: the rule says that it was replaced (status "deprecated").
	ErrRetired = errors.New("sigma: retired rule")
)

// RuleError says which rule cannot be used, where it stands, why, and how to mend it.
type RuleError struct {
	File  string
	Line  int // 1-based, 0 when unknown
	Title string
	ID    string
	// Reason says what is wrong; Fix what to write instead, empty when nothing can be done.
	Reason string
	Fix    string
	// Kind is ErrInvalid, ErrUnsupported, ErrDuplicate or ErrRetired.
	Kind error
}

// Error implements error.
func (e *RuleError) Error() string {
	var b strings.Builder
	b.WriteString(e.Place())
	if e.Title != "" {
		fmt.Fprintf(&b, " %q", e.Title)
	}
	b.WriteString(": ")
	b.WriteString(e.Reason)
	if e.Fix != "" {
		b.WriteString("; ")
		b.WriteString(e.Fix)
	}
	return b.String()
}

// Unwrap returns the kind of the problem.
func (e *RuleError) Unwrap() error { return e.Kind }

// Place is the file and line, as far as known.
func (e *RuleError) Place() string {
	switch {
	case e.File == "" && e.Line == 0:
		return "rule"
	case e.File == "":
		return "line " + strconv.Itoa(e.Line)
	case e.Line == 0:
		return e.File
	default:
		return e.File + ":" + strconv.Itoa(e.Line)
	}
}

// problem is an error inside one document, before file and title are known.
type problem struct {
	line        int
	reason, fix string
	kind        error
}

func (p *problem) Error() string { return p.reason }

func invalid(line int, fix, format string, args ...any) *problem {
	return &problem{line: line, reason: fmt.Sprintf(format, args...), fix: fix, kind: ErrInvalid}
}

func unsupported(line int, fix, format string, args ...any) *problem {
	return &problem{line: line, reason: fmt.Sprintf(format, args...), fix: fix, kind: ErrUnsupported}
}

// in completes a problem with the place it was found in.
func (p *problem) in(file string, r *Rule) *RuleError {
	e := &RuleError{File: file, Line: p.line, Reason: p.reason, Fix: p.fix, Kind: p.kind}
	if r != nil {
		e.Title, e.ID = r.Title, r.ID
		if e.Line == 0 {
			e.Line = r.Line
		}
	}
	return e
}
