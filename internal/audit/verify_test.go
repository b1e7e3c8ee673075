package audit_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/aluskort/aluskort/internal/audit"
)

// row is a stored record: the number it is stored under, its bytes and the stored hash.
type row struct {
	column int64
	bytes  []byte
	hash   audit.Hash
}

func rowsOf(records []audit.Record) []row {
	rows := make([]row, len(records))
	for i, r := range records {
		rows[i] = row{r.Sequence, slices.Clone(r.Bytes), r.Hash}
	}
	return rows
}

func verifyRows(rows []row, opt audit.VerifyOptions) audit.Report {
	v := audit.NewVerifier(opt)
	for _, r := range rows {
		v.Add(r.column, r.bytes, r.hash[:])
	}
	return v.Finish()
}

// forged returns record n of another chain that follows the same predecessor.
func forged(t *testing.T, records []audit.Record, n int) row {
	t.Helper()
	c, err := audit.NewChain("acme", audit.Head{Sequence: int64(n - 1), Hash: records[n-1].Hash})
	if err != nil {
		t.Fatal(err)
	}
	e, err := sampleEvent(new(audit.Object), 9999)
	if err != nil {
		t.Fatal(err)
	}
	v := view(t, e)
	_, r, err := c.Seal(nil, &v, start)
	if err != nil {
		t.Fatal(err)
	}
	return row{r.Sequence, r.Bytes, r.Hash}
}

func TestVerifierNamesWhatIsWrong(t *testing.T) {
	records := chainOf(t, "acme", 20)
	other := chainOf(t, "globex", 20)
	rewritten := func() []row { // the same numbers, other contents, consistent in itself
		c, genesis := newChain(t, "acme")
		rows := []row{{0, genesis.Bytes, genesis.Hash}}
		for i := 1; i < 20; i++ {
			e, err := sampleEvent(new(audit.Object), 1000+i)
			if err != nil {
				t.Fatal(err)
			}
			v := view(t, e)
			_, r, err := c.Seal(nil, &v, start)
			if err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row{r.Sequence, r.Bytes, r.Hash})
		}
		return rows
	}
	noColumn := func(rows []row) []row {
		for i := range rows {
			rows[i].column = audit.NoColumn
		}
		return rows
	}
	tests := []struct {
		name   string
		mutate func(rows []row) []row
		want   string // findings without details, in order
		first  int64
	}{
		{"untouched", func(r []row) []row { return r }, "[]", -1},
		{"untouched without numbers", noColumn, "[]", -1},
		{"A7 content changed", func(r []row) []row { r[7].bytes[300] ^= 1; return r }, "[content_changed at 7]", 7},
		{"A7 content of the head changed", func(r []row) []row { r[19].bytes[300] ^= 1; return r }, "[content_changed at 19]", 19},
		{"A7 content of genesis changed", func(r []row) []row { r[0].bytes[20] ^= 1; return r }, "[content_changed at 0]", 0},
		{"A7 stored hash changed", func(r []row) []row { r[7].hash[3] ^= 1; return r }, "[hash_changed at 7]", 7},
		{"A7 stored hash of the head changed", func(r []row) []row { r[19].hash[3] ^= 1; return r }, "[hash_changed at 19]", 19},
		{"neighbours changed", func(r []row) []row { r[7].bytes[300] ^= 1; r[8].bytes[300] ^= 1; return r },
			"[content_changed at 7 content_changed at 8]", 7},
		{"record replaced with a fitting hash", func(r []row) []row { r[7] = forged(t, records, 7); return r }, "[link_changed at 8]", 8},
		{"head replaced with a fitting hash", func(r []row) []row { r[19] = forged(t, records, 19); return r }, "[replaced at 19]", 19},
		{"A8 deleted", func(r []row) []row { return slices.Delete(r, 7, 8) }, "[gap at 7]", 7},
		{"A8 range deleted", func(r []row) []row { return slices.Delete(r, 7, 12) }, "[gap at 7 to 11]", 7},
		{"A8 genesis deleted", func(r []row) []row { return slices.Delete(r, 0, 1) }, "[gap at 0]", 0},
		{"A8 deleted and renumbered", func(r []row) []row {
			r = slices.Delete(r, 17, 18)
			for i := 17; i < len(r); i++ {
				r[i].column = int64(i)
			}
			return r
		}, "[number_mismatch at 17 number_mismatch at 18 truncated at 19]", 17},
		{"A8 repeated", func(r []row) []row { return slices.Insert(r, 8, r[7]) }, "[duplicate at 7]", 7},
		{"A8 inserted after the true one", func(r []row) []row { return slices.Insert(r, 8, forged(t, records, 7)) }, "[duplicate at 7]", 7},
		{"A8 inserted before the true one", func(r []row) []row { return slices.Insert(r, 7, forged(t, records, 7)) }, "[duplicate at 7]", 7},
		{"A8 repeated much later", func(r []row) []row { return append(r, r[7]) }, "[duplicate at 7]", 7},
		{"A8 two rows swapped in place", func(r []row) []row {
			r[7].bytes, r[8].bytes = r[8].bytes, r[7].bytes
			r[7].hash, r[8].hash = r[8].hash, r[7].hash
			return r
		}, "[number_mismatch at 7 number_mismatch at 8]", 7},
		{"A8 two lines swapped", func(r []row) []row { r = noColumn(r); r[7], r[8] = r[8], r[7]; return r }, "[reordered at 7]", 7},
		{"A8 line moved to the end", func(r []row) []row {
			r = noColumn(r)
			moved := r[7]
			return append(slices.Delete(r, 7, 8), moved)
		}, "[reordered at 7]", 7},
		{"A8 lines of a range reversed", func(r []row) []row { slices.Reverse(noColumn(r)[7:11]); return r },
			"[reordered at 9 reordered at 8 reordered at 7]", 7},
		{"A8 moved to the end and replaced", func(r []row) []row {
			r = noColumn(r)
			f := forged(t, records, 7)
			f.column = audit.NoColumn
			return append(slices.Delete(r, 7, 8), f)
		}, "[reordered at 7 link_changed at 8]", 7},
		{"A8 tail cut by one", func(r []row) []row { return r[:19] }, "[truncated at 19]", 19},
		{"A8 tail cut", func(r []row) []row { return r[:12] }, "[truncated at 12 to 19]", 12},
		{"A8 everything cut", func(r []row) []row { return nil }, "[truncated at 0 to 19]", 0},
		{"A8 whole log replaced", func([]row) []row { return rewritten() }, "[replaced at 19]", 19},
		{"A8 whole log replaced by a shorter one", func([]row) []row { return rewritten()[:10] }, "[truncated at 10 to 19]", 10},
		{"record of another tenant", func(r []row) []row { r[19] = rowsOf(other)[19]; return r },
			"[wrong_tenant at 19 link_changed at 19 replaced at 19]", 19},
		{"not a record", func(r []row) []row {
			return append(r[:7:7], append([]row{hashed(7, "{}")}, r[8:]...)...)
		}, "[malformed at 7]", 7},
		{"not a record, no number", func(r []row) []row {
			r = noColumn(r)
			return append(r[:7:7], append([]row{hashed(audit.NoColumn, "{}")}, r[8:]...)...)
		}, "[malformed at 7]", 7},
		{"a line between", func(r []row) []row { return slices.Insert(noColumn(r), 7, hashed(audit.NoColumn, "{}")) }, "[malformed at 7]", 7},
		{"changed and deleted", func(r []row) []row { r[3].bytes[300] ^= 1; return slices.Delete(r, 7, 8) },
			"[content_changed at 3 gap at 7]", 3},
	}
	head := audit.Head{Sequence: 19, Hash: records[19].Hash}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			report := verifyRows(tc.mutate(rowsOf(records)), audit.VerifyOptions{Tenant: "acme", Heads: []audit.Head{head}})
			got := make([]string, 0, len(report.Findings))
			for _, f := range report.Findings {
				f.Detail = ""
				got = append(got, f.String())
			}
			if fmt.Sprint(got) != tc.want {
				t.Errorf("found %v\nwant  %s", report.Findings, tc.want)
			}
			if report.FirstBad != tc.first || report.OK() != (tc.first < 0) {
				t.Errorf("first bad %d, ok %t; want %d", report.FirstBad, report.OK(), tc.first)
			}
		})
	}
}

func hashed(column int64, text string) row {
	var hash audit.Hash
	if err := hash.UnmarshalText([]byte(audit.Digest([]byte(text))[len("sha256:"):])); err != nil {
		panic(err)
	}
	return row{column, []byte(text), hash}
}

// TestA7EveryBitOfARecord flips each bit of one record and of its stored hash.
func TestA7EveryBitOfARecord(t *testing.T) {
	records := chainOf(t, "acme", 6)
	head := audit.Head{Sequence: 5, Hash: records[5].Hash}
	rows := rowsOf(records)
	check := func(b []byte, want audit.Kind) {
		for i := range b {
			for bit := range 8 {
				b[i] ^= 1 << bit
				for _, column := range []int64{3, audit.NoColumn} {
					rows[3].column = column
					report := verifyRows(rows, audit.VerifyOptions{Tenant: "acme", Heads: []audit.Head{head}})
					if len(report.Findings) != 1 || report.Findings[0].Kind != want || report.FirstBad != 3 {
						t.Fatalf("byte %d, bit %d, stored under %d: found %v", i, bit, column, report.Findings)
					}
				}
				b[i] ^= 1 << bit
			}
		}
	}
	check(rows[3].bytes, audit.KindContentChanged)
	check(rows[3].hash[:], audit.KindHashChanged)
}

func TestA7NoFalseAlarmOnGoodRecords(t *testing.T) {
	const n = 100_000
	records := chainOf(t, "acme", n)
	report := verifyRows(rowsOf(records), audit.VerifyOptions{Heads: []audit.Head{{Sequence: n - 1, Hash: records[n-1].Hash}}})
	if len(report.Findings) > 0 || report.Records != n || report.Head.Sequence != n-1 || report.Tenant != "acme" {
		t.Errorf("report %+v", report)
	}
}

func TestA11VerifyFromTheMiddle(t *testing.T) {
	records := chainOf(t, "acme", 20)
	previous := records[9].Hash
	if r := verifyRows(rowsOf(records[10:]), audit.VerifyOptions{From: 10, Previous: &previous}); !r.OK() || r.Records != 10 {
		t.Errorf("with the right hash before: %v", r.Findings)
	}
	if r := verifyRows(rowsOf(records[10:]), audit.VerifyOptions{From: 10}); !r.OK() {
		t.Errorf("without the hash before: %v", r.Findings)
	}
	previous[0] ^= 1
	if r := verifyRows(rowsOf(records[10:]), audit.VerifyOptions{From: 10, Previous: &previous}); r.FirstBad != 10 || r.Counts[audit.KindLinkChanged] != 1 {
		t.Errorf("with a wrong hash before: %v", r.Findings)
	}
	if r := verifyRows(rowsOf(records), audit.VerifyOptions{Heads: []audit.Head{{Sequence: 9, Hash: records[9].Hash}}}); !r.OK() {
		t.Errorf("a chain that has grown beyond the trusted head: %v", r.Findings)
	}
}

func TestFindingsAreBoundedAndCounted(t *testing.T) {
	rows := rowsOf(chainOf(t, "acme", 300))
	for i := 10; i < 300; i++ {
		rows[i].bytes[300] ^= 1
	}
	r := verifyRows(rows, audit.VerifyOptions{MaxFindings: 5})
	if len(r.Findings) != 5 || r.Counts[audit.KindContentChanged] != 290 || r.FirstBad != 10 {
		t.Errorf("%d findings, counts %v, first %d", len(r.Findings), r.Counts, r.FirstBad)
	}
}

// TestAnyMutationIsFound: whatever is done to the rows, it is found, and never before its place.
func TestAnyMutationIsFound(t *testing.T) {
	records := chainOf(t, "acme", 30)
	head := audit.Head{Sequence: 29, Hash: records[29].Hash}
	rapid.Check(t, func(rt *rapid.T) {
		rows := rowsOf(records)
		i := rapid.IntRange(0, len(rows)-1).Draw(rt, "row")
		place := int64(i)
		switch rapid.IntRange(0, 4).Draw(rt, "what") {
		case 0:
			rows[i].bytes[rapid.IntRange(0, len(rows[i].bytes)-1).Draw(rt, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		case 1:
			rows = slices.Delete(rows, i, rapid.IntRange(i+1, len(rows)).Draw(rt, "to"))
		case 2:
			j := rapid.IntRange(0, len(rows)-1).Filter(func(j int) bool { return j != i }).Draw(rt, "with")
			rows[i], rows[j] = rows[j], rows[i]
			place = int64(min(i, j))
		case 3:
			rows = slices.Insert(rows, rapid.IntRange(i+1, len(rows)).Draw(rt, "at"), rows[i])
		default:
			rows = rows[:i]
		}
		if rapid.Bool().Draw(rt, "no column") {
			for i := range rows {
				rows[i].column = audit.NoColumn
			}
		}
		if r := verifyRows(rows, audit.VerifyOptions{Heads: []audit.Head{head}}); r.FirstBad != place {
			rt.Fatalf("first bad %d, want %d: %v", r.FirstBad, place, r.Findings)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	rows := rowsOf(chainOf(b, "acme", 2000))
	size := 0
	for _, r := range rows {
		size += len(r.bytes)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if r := verifyRows(rows, audit.VerifyOptions{}); !r.OK() {
			b.Fatal(r.Findings)
		}
	}
	b.ReportMetric(float64(b.N*len(rows))/b.Elapsed().Seconds(), "records/s")
}
