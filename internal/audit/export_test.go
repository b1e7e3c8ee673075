package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/audit"
)

// export writes records, as a part of the chain that ends with end or is all of it.
func export(t testing.TB, records []audit.Record, end ...audit.Record) []byte {
	t.Helper()
	var file bytes.Buffer
	last := records[len(records)-1]
	head := audit.Head{Sequence: last.Sequence, Hash: last.Hash}
	if len(end) > 0 {
		head = audit.Head{Sequence: end[0].Sequence, Hash: end[0].Hash}
	}
	w, err := audit.WriteExport(&file, audit.ExportHeader{
		Tenant: "acme", From: records[0].Sequence, To: last.Sequence,
		Head: head, Origin: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := w.Add(r.Bytes, r.Hash); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestExportKeepsTheExactBytes(t *testing.T) {
	records := chainOf(t, "acme", 50)
	file := export(t, records)
	for _, r := range records {
		if !bytes.Contains(file, r.Bytes) {
			t.Fatalf("record %d is not in the file as it was", r.Sequence)
		}
	}
	head := audit.Head{Sequence: 49, Hash: records[49].Hash}
	for name, trusted := range map[string]*audit.Head{"with a trusted head": &head, "without": nil, "with an older head": {Sequence: 20, Hash: records[20].Hash}} {
		h, report, err := audit.VerifyExport(bytes.NewReader(file), trusted)
		if err != nil || !report.OK() || report.Records != 50 || h.Tenant != "acme" {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
	}
	_, report, err := audit.VerifyExport(bytes.NewReader(export(t, records[10:20], records[49])), &head)
	if err != nil || !report.OK() || report.From != 10 {
		t.Errorf("part of a chain: %+v, %v", report, err)
	}
}

func TestExportFaults(t *testing.T) {
	records := chainOf(t, "acme", 20)
	head := &audit.Head{Sequence: 19, Hash: records[19].Hash}
	lines := bytes.SplitAfter(export(t, records), []byte("\n"))
	lines = lines[:len(lines)-1]
	join := func(parts ...[][]byte) []byte {
		var out []byte
		for _, p := range parts {
			out = append(out, bytes.Join(p, nil)...)
		}
		return out
	}
	whole := join(lines)
	tests := []struct {
		name    string
		file    []byte
		trusted *audit.Head
		want    string
	}{
		{"tail cut, trusted head", join(lines[:15]), head, "[truncated at 14 to 19]"},
		{"tail cut, header only", join(lines[:15]), nil, "[truncated at 14 to 19]"},
		{"cut inside a line", whole[:len(whole)-100], head, "[malformed at 19]"},
		{"line deleted", join(lines[:8], lines[9:]), nil, "[gap at 7]"},
		{"lines merged", bytes.Replace(whole, lines[8], bytes.TrimSuffix(lines[8], []byte("\n")), 1), nil, "[content_changed at 7 gap at 8]"},
		{"lines swapped", join(lines[:8], lines[9:10], lines[8:9], lines[10:]), nil, "[reordered at 7]"},
		{"record respaced", bytes.Replace(whole, []byte(`"alert_id":"alert-7"`), []byte(`"alert_id": "alert-7"`), 1), nil, "[content_changed at 7]"},
		{"wrong trusted head", whole, &audit.Head{Sequence: 19}, "[replaced at 19]"},
		{"chain shorter than the trusted head", whole, &audit.Head{Sequence: 25}, "[truncated at 20 to 25]"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, report, err := audit.VerifyExport(bytes.NewReader(tc.file), tc.trusted)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]string, 0, len(report.Findings))
			for _, f := range report.Findings {
				f.Detail = ""
				got = append(got, f.String())
			}
			if fmt.Sprint(got) != tc.want || report.OK() {
				t.Errorf("found %v, want %s", report.Findings, tc.want)
			}
		})
	}
}

func TestExportEveryByteOfALine(t *testing.T) {
	records := chainOf(t, "acme", 6)
	head := &audit.Head{Sequence: 5, Hash: records[5].Hash}
	file := export(t, records)
	from := bytes.Index(file, records[3].Bytes) - 85
	for i := from; i <= from+85+len(records[3].Bytes)+1; i++ {
		file[i] ^= 4
		_, report, err := audit.VerifyExport(bytes.NewReader(file), head)
		if err != nil || report.OK() || report.FirstBad < 2 || report.FirstBad > 4 {
			t.Fatalf("byte %d: %v, %v", i, report.Findings, err)
		}
		file[i] ^= 4
	}
}

func TestVerifyExportRefusesOtherFiles(t *testing.T) {
	for _, text := range []string{
		"", "{}\n", "not JSON\n", `{"format":"aluskort-audit-export/2","tenant":"acme"}` + "\n",
		`{"format":"aluskort-audit-export/1","tenant":""}` + "\n",
		`{"format":"aluskort-audit-export/1","tenant":"acme","from":5,"to":2}` + "\n",
	} {
		if _, _, err := audit.VerifyExport(strings.NewReader(text), nil); !errors.Is(err, audit.ErrExport) {
			t.Errorf("%q: %v", text, err)
		}
	}
	broken := errors.New("cable pulled")
	file := export(t, chainOf(t, "acme", 3))
	if _, _, err := audit.VerifyExport(io.MultiReader(bytes.NewReader(file), failing{broken}), nil); !errors.Is(err, broken) {
		t.Errorf("reading error: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func FuzzVerifyExport(f *testing.F) {
	f.Add(export(f, chainOf(f, "acme", 3)))
	f.Add([]byte(`{"format":"aluskort-audit-export/1","tenant":"acme","to":0}` + "\n{}\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		_, report, err := audit.VerifyExport(bytes.NewReader(file), nil)
		if err == nil && report.OK() && report.Records > 0 && report.Head.Sequence < report.From {
			t.Errorf("nothing wrong with %+v", report)
		}
	})
}
