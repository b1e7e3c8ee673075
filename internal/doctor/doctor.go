// Package doctor examines an installation without changing it: configuration, state directory,
// disk, databases, audit chain, topics, rules, taxonomy, indicators, clock and address. Each
// check says what it found and how to mend it. What needs an engine gets it as a function, so
// that this package names none.
package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Status is the outcome of a check.
type Status string

// The outcomes.
const (
	OK   Status = "ok"
	Warn Status = "warn" // works, but something is missing or will fail
	Fail Status = "fail" // does not work
)

// Finding is what one check found.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	Found  string `json:"found"`
	// Mend says what to do; empty when there is nothing to do.
	Mend string `json:"mend,omitempty"`
}

// Check examines one thing. Run returns one or more findings; their Check may be left empty.
type Check struct {
	Name string
	Run  func(ctx context.Context) []Finding
}

func ok(format string, args ...any) []Finding {
	return []Finding{{Status: OK, Found: fmt.Sprintf(format, args...)}}
}

func warn(mend, format string, args ...any) []Finding {
	return []Finding{{Status: Warn, Found: oneLine(fmt.Sprintf(format, args...)), Mend: mend}}
}

func fail(mend, format string, args ...any) []Finding {
	return []Finding{{Status: Fail, Found: oneLine(fmt.Sprintf(format, args...)), Mend: mend}}
}

// oneLine joins the lines of an error that a driver spread over several, each once.
func oneLine(s string) string {
	lines := strings.Split(s, "\n")
	kept := lines[:0]
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" && !slices.Contains(kept, l) {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, " ")
}

// checkTime bounds one check.
const checkTime = 30 * time.Second

// Run runs the checks in order. One that panics or takes too long is a failure of its own.
func Run(ctx context.Context, checks []Check) []Finding {
	var out []Finding
	for _, c := range checks {
		for _, f := range one(ctx, c) {
			if f.Check == "" {
				f.Check = c.Name
			}
			out = append(out, f)
		}
	}
	return out
}

func one(ctx context.Context, c Check) (found []Finding) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			found = fail("report this as a defect", "the check itself failed: %v", p)
		}
	}()
	return c.Run(ctx)
}

// Failed reports whether any finding is a failure.
func Failed(list []Finding) bool {
	for _, f := range list {
		if f.Status == Fail {
			return true
		}
	}
	return false
}

// Write prints the findings for people.
func Write(w io.Writer, list []Finding) error {
	var b strings.Builder
	count := map[Status]int{}
	for _, f := range list {
		count[f.Status]++
		fmt.Fprintf(&b, "%-4s  %-18s %s\n", f.Status, f.Check, f.Found)
		if f.Mend != "" {
			fmt.Fprintf(&b, "%26s%s\n", "→ ", f.Mend)
		}
	}
	fmt.Fprintf(&b, "%d ok, %d to look at, %d failed\n", count[OK], count[Warn], count[Fail])
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON prints the findings for programs.
func WriteJSON(w io.Writer, list []Finding) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]any{"findings": list, "failed": Failed(list)})
}
