package demo

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Names of the files that Write makes.
const (
	AlertsFile       = "alerts.jsonl"
	TruthFile        = "truth.csv"
	OrganisationFile = "org.yaml"
	IntelFile        = "intel.csv"
)

// Alerts is the story as a file of native records, one a line, in order of arrival.
func Alerts(events []Event) []byte {
	var b bytes.Buffer
	for i := range events {
		b.Write(events[i].Raw)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// Files returns everything that belongs to the story of a seed, by name.
func Files(seed uint64) (map[string][]byte, error) {
	events := Story(seed)
	truth, err := TruthTable(events)
	if err != nil {
		return nil, err
	}
	intel, err := Intel(seed)
	if err != nil {
		return nil, err
	}
	org, err := Organisation(seed)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{AlertsFile: Alerts(events), TruthFile: truth, OrganisationFile: org, IntelFile: intel}, nil
}

// Write writes the files of a seed into a folder, which it makes.
func Write(dir string, seed uint64) error {
	files, err := Files(seed)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // example data for everyone to read
		return err
	}
	var errs []error
	for name, content := range files {
		errs = append(errs, os.WriteFile(filepath.Join(dir, name), content, 0o644)) //nolint:gosec // example data for everyone to read
	}
	return errors.Join(errs...)
}

// TruthTable says for each alert what it really was: a table for `eval triage --labels`, with
// one row per alert whose label is TP or FP. The product never reads it.
func TruthTable(events []Event) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{{"id", "label", "step", "why", "source", "time", "host", "account", "alone", "notes"}}
	for i := range events {
		e := &events[i]
		if e.Repeat {
			continue
		}
		label, looks := "FP", ""
		if e.Attack {
			label = "TP"
			if looks = "suspicious"; e.Alone {
				looks = "harmless"
			}
		}
		rows = append(rows, []string{e.ID, label, e.Step, e.Why, e.Source, e.At.Format(time.RFC3339), e.Host, e.User, looks, notes(events, e)})
	}
	if err := w.WriteAll(rows); err != nil {
		return nil, fmt.Errorf("demo: truth: %w", err)
	}
	return b.Bytes(), nil
}

func notes(events []Event, e *Event) string {
	var out []string
	if e.Late {
		out = append(out, "late")
	}
	if e.Injected {
		out = append(out, "injected")
	}
	for i := range events {
		if events[i].Repeat && events[i].ID == e.ID {
			out = append(out, "repeated")
		}
	}
	return strings.Join(out, " ")
}

// Intel is the threat intelligence of the story as `intel import` reads it: some of what the
// intruder uses, and what has nothing to do with him.
func Intel(seed uint64) ([]byte, error) {
	w := newWorld(seed)
	before := func(days int) string { return w.start.AddDate(0, 0, -days).Format(time.DateOnly) }
	rows := [][]string{
		{"type", "value", "confidence", "severity", "campaign", "technique", "first_seen", "last_seen", "source", "description"},
		{"ipv4", w.hostingIP, "85", "high", "Lantern Relay", "T1557", before(9), before(1), "sector exchange", "sends replayed sessions after a relay page"},
		{"ipv4", w.phishIP, "85", "high", "Lantern Relay", "T1566.002", before(6), before(1), "sector exchange", "serves relay pages"},
		{"domain", w.phishDomain, "92", "high", "Lantern Relay", "T1566.002", before(3), before(1), "sector exchange", "relay page that copies a company's sign-in"},
		{"sha256", w.digest("sha256/winupd64.exe", 64), "95", "critical", "Blakken", "T1486", before(20), before(2), "vendor feed", "encrypts files"},
		{"sha256", w.digest("sha256/adx.exe", 64), "60", "medium", "", "T1018", before(200), before(12), "vendor feed", "directory query tool, also used by administrators"},
	}
	// What a feed holds beside: a shared address of low confidence, which noise meets, and others.
	rows = append(rows, []string{"ipv4", "198.51.100.118", "30", "low", "", "", before(80), before(60), "open list", "was on a list of file sharing services"})
	for i := range 12 {
		rows = append(rows, []string{"sha256", w.digest(fmt.Sprint("other malware ", i), 64), fmt.Sprint(50 + 4*i), "medium", ring([]string{"Tallowmoth", "Greyferry"}, i), "T1204", before(40 + i), before(3 + i), "vendor feed", "loader"},
			[]string{"ipv4", fmt.Sprintf("203.0.113.%d", 200+i), fmt.Sprint(45 + 4*i), "medium", "", "T1071", before(50 + i), before(2 + i), "open list", "control server"})
	}
	var b bytes.Buffer
	if err := csv.NewWriter(&b).WriteAll(rows); err != nil {
		return nil, fmt.Errorf("demo: intelligence: %w", err)
	}
	return b.Bytes(), nil
}
