package taxonomy

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/dbtest"
	"github.com/aluskort/aluskort/internal/engine/store/schema"
	"github.com/aluskort/aluskort/internal/evidence"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func mustShipped(t testing.TB) *Taxonomy {
	t.Helper()
	x, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestShippedTable(t *testing.T) {
	x := mustShipped(t)
	if len(shipped) > 120<<10 || !strings.Contains(shipped, Attribution) {
		t.Errorf("the table has %d bytes or lacks the attribution", len(shipped))
	}
	if x.Version() != "ATT&CK enterprise 18.1, ics 18.1; ATLAS 5.6.0" {
		t.Errorf("version %q", x.Version())
	}
	attack, atlas := 0, 0
	for _, c := range x.All() {
		if FrameworkOf(c.ID) == ATLAS {
			atlas++
		} else {
			attack++
		}
		if p := c.Parent(); p != "" && !x.Known(p) {
			t.Errorf("%s has no parent %s", c.ID, p)
		}
		if c.ReplacedBy != "" && !x.Known(c.ReplacedBy) {
			t.Errorf("%s was replaced by the unknown %s", c.ID, c.ReplacedBy)
		}
		if !c.Deprecated && !c.Revoked && len(x.Tactics(c.ID)) == 0 {
			t.Errorf("%s has no tactic", c.ID)
		}
	}
	if attack != 930 || atlas != 170 {
		t.Errorf("%d ATT&CK and %d ATLAS ids, want 930 and 170", attack, atlas)
	}
	var b bytes.Buffer
	if err := WriteTable(&b, x); err != nil || b.String() != shipped {
		t.Errorf("the table does not survive reading and writing: %v", err)
	}
}

func TestTaxonomy(t *testing.T) {
	x := mustShipped(t)
	if got := x.Name("T1059.001"); got != "Command and Scripting Interpreter: PowerShell" {
		t.Errorf("name %q", got)
	}
	if got := x.Name("AML.T0051.001"); got != "LLM Prompt Injection: Indirect" {
		t.Errorf("name %q", got)
	}
	if !x.Known("t1059") || x.Known("T9999") || x.Name("T9999") != "" || x.Tactics("T9999") != nil {
		t.Error("unknown and known ids are mixed up")
	}
	if !slices.Contains(x.Tactics("T1078"), "initial-access") {
		t.Errorf("tactics %v", x.Tactics("T1078"))
	}
	if next, old := x.Deprecated("T1086"); next != "T1059.001" || !old {
		t.Errorf("T1086 is now %q %v", next, old)
	}
	if next, old := x.Deprecated("T0850"); next != "" || !old {
		t.Errorf("T0850: %q %v", next, old)
	}
	if _, old := x.Deprecated("T1059"); old {
		t.Error("T1059 is in force")
	}
	known, quarantined := x.Resolve([]string{"T1086", "T9999", "T1059.001", "AML.T0051", "T9999", "T1059.999"})
	var ids []string
	for _, k := range known {
		ids = append(ids, k.ID)
	}
	if !slices.Equal(ids, []string{"T1059.001", "AML.T0051"}) || !slices.Equal(quarantined, []string{"T9999", "T1059.999"}) {
		t.Errorf("known %v, quarantined %v", ids, quarantined)
	}
	loop := New([]Technique{{ID: "T0001", Name: "a", Revoked: true, ReplacedBy: "T0002"}, {ID: "T0002", Name: "b", Revoked: true, ReplacedBy: "T0001"}}, nil)
	if next, old := loop.Deprecated("T0001"); next != "" || !old {
		t.Errorf("a circle of replacements: %q %v", next, old)
	}
}

const bundle = `{"type":"bundle","id":"bundle--1","objects":[
	{"type":"x-mitre-collection","x_mitre_version":"99.1","name":"Enterprise ATT&CK"},
	{"type":"attack-pattern","id":"attack-pattern--1","name":"New Way","description":"words","x_mitre_domains":["enterprise-attack"],"x_mitre_platforms":["Linux"],
		"kill_chain_phases":[{"kill_chain_name":"mitre-attack","phase_name":"execution"}],
		"external_references":[{"source_name":"capec","external_id":"CAPEC-1"},{"source_name":"mitre-attack","external_id":"T9001"}]},
	{"type":"attack-pattern","id":"attack-pattern--2","name":"Old Way","revoked":true,"external_references":[{"source_name":"mitre-attack","external_id":"T9002"}]},
	{"type":"relationship","relationship_type":"revoked-by","source_ref":"attack-pattern--2","target_ref":"attack-pattern--1"},
	{"type":"attack-pattern","id":"attack-pattern--3","name":"No id"},
	{"type":"attack-pattern","id":"attack-pattern--4","name":"Bad\u0000name","external_references":[{"source_name":"mitre-attack","external_id":"T9003"}]},
	{"type":"malware","name":"ignored"}, 7]}`

const atlasYAML = `---
id: ATLAS
version: 9.9.0
matrices:
- tactics:
  - {id: AML.TA0001, name: AI Model Access}
  techniques:
  - {id: AML.T9000, name: Top, tactics: [AML.TA0001]}
  - {id: AML.T9000.001, name: Below, subtechnique-of: AML.T9000}
  - {id: nonsense, name: Bad}
`

func TestRead(t *testing.T) {
	b, err := Read(strings.NewReader(bundle), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if b.Part != "enterprise" || b.Version != "99.1" || len(b.Techniques) != 2 || len(b.Refused) != 3 {
		t.Errorf("%+v", b)
	}
	if c := b.Techniques[0]; c.ID != "T9001" || c.Description != "words" || c.Tactics[0] != "execution" || c.Platforms[0] != "Linux" {
		t.Errorf("%+v", c)
	}
	if b.Techniques[1].ReplacedBy != "T9001" {
		t.Errorf("%+v", b.Techniques[1])
	}

	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write([]byte(atlasYAML))
	_ = w.Close()
	b, err = Read(&zipped, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if b.Part != "atlas" || b.Version != "9.9.0" || len(b.Techniques) != 2 || len(b.Refused) != 1 ||
		!slices.Equal(b.Techniques[1].Tactics, []string{"ai-model-access"}) {
		t.Errorf("%+v", b)
	}

	for _, c := range []struct {
		text string
		want error
	}{
		{"", ErrUnknownFormat}, {"<html>", ErrUnknownFormat}, {`{"type":"bundle"}`, ErrUnknownFormat},
		{`{"objects":[]}`, ErrNoTechniques}, {"---\nid: other\n", ErrUnknownFormat},
		{bundle[:len(bundle)-200], nil}, {"---\nid: [", nil},
	} {
		_, err := Read(strings.NewReader(c.text), Options{})
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%.30q: %v, want %v", c.text, err, c.want)
		}
	}
	if _, err := Read(strings.NewReader(bundle), Options{MaxBytes: 100}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("limit: %v", err)
	}
	bomb := "---\nid: ATLAS\na: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		p := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+p+",", 9) + "]\n"
	}
	if _, err := Read(strings.NewReader(bomb+"matrices: [{techniques: [{name: *j}]}]\n"), Options{}); err == nil {
		t.Error("a bomb of aliases passed")
	}
}

func TestTableErrors(t *testing.T) {
	for _, bad := range []string{"T1059\tname\texecution", "x\tname\texecution\t", "T1059\t\texecution\t", "T1059\tname\tExec!\t", "T1059\tname\texecution\tgone"} {
		if _, err := ReadTable(strings.NewReader("# c\n" + bad + "\n")); !errors.Is(err, ErrTable) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(bundle)
	f.Add(atlasYAML)
	f.Fuzz(func(t *testing.T, s string) {
		b, err := Read(strings.NewReader(s), Options{MaxBytes: 1 << 20})
		if err != nil {
			return
		}
		var out bytes.Buffer
		x := b.Taxonomy()
		if err := WriteTable(&out, x); err != nil {
			t.Fatal(err)
		}
		for _, c := range x.All() {
			if !alert.IsTechniqueID(c.ID) || c.Name == "" {
				t.Fatalf("%+v", c)
			}
		}
	})
}

func FuzzReadTable(f *testing.F) {
	f.Add("# c\nversion\tics\t1\nT1059\tn\texecution,impact\trevoked:T1060\n")
	f.Fuzz(func(_ *testing.T, s string) { _, _ = ReadTable(strings.NewReader(s)) })
}

// TestChangedByAClockThatIsBehind imports another part by a process whose clock is slow.
func TestChangedByAClockThatIsBehind(t *testing.T) {
	s, ctx := NewStore(dbtest.MustOpen(t, dbtest.Config{Migrations: schema.FS, SQLiteDir: schema.SQLiteDir, PostgresDir: schema.PostgresDir})), t.Context()
	before, err := s.Changed(ctx)
	if err != nil || before != 0 {
		t.Fatal(before, err)
	}
	for i, text := range []string{bundle, atlasYAML} {
		if _, err := s.Import(ctx, strings.NewReader(text), Options{}, now.Add(-time.Duration(i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
		after, err := s.Changed(ctx)
		if err != nil || after == before {
			t.Errorf("import %d is not seen: %v", i, err)
		}
		before = after
	}
}

func TestStore(t *testing.T) {
	db := dbtest.MustOpen(t, dbtest.Config{Migrations: schema.FS, SQLiteDir: schema.SQLiteDir, PostgresDir: schema.PostgresDir})
	s, ctx, base := NewStore(db), t.Context(), mustShipped(t)
	if x, err := s.Load(ctx, base); err != nil || x.Len() != base.Len() || x.Version() != base.Version() {
		t.Fatalf("nothing imported: %v", err)
	}
	for range 2 {
		if _, err := s.Import(ctx, strings.NewReader(bundle), Options{}, now); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Import(ctx, strings.NewReader(atlasYAML), Options{}, now); err != nil {
		t.Fatal(err)
	}
	x, err := s.Load(ctx, base)
	if err != nil {
		t.Fatal(err)
	}
	if x.Version() != "ATT&CK enterprise 99.1, ics 18.1; ATLAS 9.9.0" || x.Len() != base.Len()+4 {
		t.Errorf("%s, %d techniques", x.Version(), x.Len())
	}
	if next, _ := x.Deprecated("T9002"); next != "T9001" || x.Name("AML.T9000.001") != "Top: Below" || !x.Known("T1059") {
		t.Error("what was imported or what was shipped is missing")
	}
	smaller := strings.Replace(bundle, `"T9002"`, `"T9004"`, 1)
	if _, err := s.Import(ctx, strings.NewReader(smaller), Options{}, now); err != nil {
		t.Fatal(err)
	}
	if x, err = s.Load(ctx, base); err != nil || x.Known("T9002") || !x.Known("T9004") {
		t.Errorf("a part must be replaced as a whole: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(ctx, base); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

func TestSource(t *testing.T) {
	live := new(Live)
	src := NewSource(live)
	s := evidence.Subject{Alert: &alert.Alert{
		Timestamp: now, Techniques: []string{"T1086", "T9999", "T1078", "T1086"},
		Fields: alert.Fields{{Path: "rule.mitre.id", Pointer: "/rule/mitre/id/0", Value: "T1086"}},
	}}
	got, err := src.Gather(t.Context(), []evidence.Subject{s})
	if err != nil || got[0].Blind == "" {
		t.Errorf("without a taxonomy the source is blind: %+v %v", got, err)
	}
	live.Swap(mustShipped(t))
	got, err = src.Gather(t.Context(), []evidence.Subject{s, {}})
	if err != nil || len(got) != 2 || len(got[0].Items) != 3 || got[0].Blind != "" {
		t.Fatalf("%+v %v", got, err)
	}
	e := got[0].Items[0]
	if e.Statement != "The source names the technique T1086, which is now T1059.001 Command and Scripting Interpreter: PowerShell (execution)" ||
		e.Stance != evidence.Context || e.Weight != 0 || e.Techniques[0] != "T1059.001" || e.Refs[0] != "/rule/mitre/id/0" {
		t.Errorf("%+v", e)
	}
	if q := got[0].Items[1]; q.Kind != KindQuarantined || q.Techniques != nil || !strings.Contains(q.Statement, "T9999") {
		t.Errorf("%+v", q)
	}
}

// TestPublishedFiles reads the files of MITRE where they lie beside the repository.
func TestPublishedFiles(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "..", "shared", "data", "attack")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no files of MITRE beside the repository")
	}
	all := New(nil, nil)
	for _, c := range []struct {
		file, part, version string
		techniques          int
	}{
		{"enterprise-attack-v18.1-stix20.json.gz", "enterprise", "unknown", 835},
		{"ics-attack-18.1.json.gz", "ics", "18.1", 95},
		{"stix-atlas.json", "atlas", "", 170},
		{"ATLAS.yaml", "atlas", "5.6.0", 170},
	} {
		f, err := os.Open(filepath.Join(dir, c.file))
		if err != nil {
			t.Fatal(err)
		}
		b, err := Read(f, Options{})
		_ = f.Close()
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		if b.Part != c.part || c.version != "" && b.Version != c.version || len(b.Techniques) != c.techniques || len(b.Refused) != 0 {
			t.Errorf("%s: %s %s, %d techniques, refused %v", c.file, b.Part, b.Version, len(b.Techniques), b.Refused)
		}
		all = b.Taxonomy().Over(all)
	}
	x := mustShipped(t)
	for _, c := range x.All() {
		if got, ok := all.Find(c.ID); !ok || got.Name != c.Name || got.ReplacedBy != c.ReplacedBy || !slices.Equal(got.Tactics, c.Tactics) {
			t.Errorf("shipped %+v, published %+v", c, got)
		}
	}
}
