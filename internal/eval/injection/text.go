package injection

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/aluskort/aluskort/internal/gateway/detect/labelled"
)

// WriteText prints the report for people. With verbose it lists the lines that were judged
// wrongly, made inert.
func (r *Report) WriteText(w io.Writer, lines []labelled.Line, verbose bool) error {
	fmt.Fprintf(w, "%d lines, %d of them attacks; %.0f µs for a line (99%%: %.0f µs)\n\n", r.N, r.Positives, r.LatencyUS.P50, r.LatencyUS.P99)
	fmt.Fprintf(w, "%-42s %8s %8s %8s %9s\n", "", "recall", "strict", "false+", "precision")
	row := func(name string, f *Figures) {
		fmt.Fprintf(w, "%-42s %7.1f%% %7.1f%% %7.2f%% %8.1f%%\n", name, 100*f.Recall, 100*f.RecallStrict, 100*f.FalsePositiveRate, 100*f.Precision)
	}
	row("shipped weights", &r.Figures)
	if r.Folds != nil {
		row(fmt.Sprintf("weights that never saw the line, %d folds", r.Folds.Parts), &r.Folds.Figures)
	}
	if r.Sources != nil {
		row("weights that never saw the source", &r.Sources.Figures)
	}
	fmt.Fprintf(w, "\nflagged lines by source\n%-42s %6s %8s", "", "lines", "shipped")
	if r.Folds != nil {
		fmt.Fprintf(w, " %8s", "folds")
	}
	if r.Sources != nil {
		fmt.Fprintf(w, " %8s", "sources")
	}
	fmt.Fprintln(w)
	for _, name := range slices.Sorted(maps.Keys(r.ByGroup)) {
		fmt.Fprintf(w, "%-42s %6d %8d", name, r.ByGroup[name].N, r.ByGroup[name].Hit)
		if r.Folds != nil {
			fmt.Fprintf(w, " %8d", r.Folds.ByGroup[name].Hit)
		}
		if r.Sources != nil {
			fmt.Fprintf(w, " %8d", r.Sources.ByGroup[name].Hit)
		}
		fmt.Fprintln(w)
	}
	if !verbose {
		return nil
	}
	flags := r.Flags
	if r.Folds != nil {
		flags = r.Folds.Flags
	}
	_, err := fmt.Fprintln(w, "\njudged wrongly")
	for i := range lines {
		if flags[i] != lines[i].Attack() {
			_, err = fmt.Fprintf(w, "%-7s %-40s %s\n", lines[i].Label, strconv.QuoteToASCII(lines[i].Source), strconv.QuoteToASCII(cut(lines[i].Text, 160)))
		}
	}
	return err
}

func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}
