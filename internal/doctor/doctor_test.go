package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
	"github.com/aluskort/aluskort/internal/statedir"
)

// expect runs one check and compares its worst status and a part of its words.
func expect(t *testing.T, c Check, want Status, words string) {
	t.Helper()
	found := Run(t.Context(), []Check{c})
	if len(found) == 0 {
		t.Fatalf("%s found nothing at all", c.Name)
	}
	rank := map[Status]int{OK: 0, Warn: 1, Fail: 2}
	worst := found[0]
	for _, f := range found {
		if rank[f.Status] > rank[worst.Status] {
			worst = f
		}
	}
	if worst.Status != want || !strings.Contains(worst.Found, words) {
		t.Errorf("%s: %s %q, want %s with %q", c.Name, worst.Status, worst.Found, want, words)
	}
	if want == Fail && worst.Mend == "" {
		t.Errorf("%s fails without saying how to mend it", c.Name)
	}
}

func TestStateDirectory(t *testing.T) {
	root := filepath.Join(t.TempDir(), "state")
	expect(t, StateDir(root), Warn, "does not exist")
	d, err := statedir.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, StateDir(root), OK, "private")
	expect(t, Lock(root, func(pid int) bool { return pid == os.Getpid() }), OK, "runs")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, Lock(root, func(int) bool { return false }), OK, "free")
	if permissionsMatter {
		secret := filepath.Join(root, "keys", "tokens.json")
		if err := os.WriteFile(secret, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		expect(t, StateDir(root), OK, "private")
		if err := os.Chmod(secret, 0o644); err != nil {
			t.Fatal(err)
		}
		expect(t, StateDir(root), Fail, "tokens.json")
		if err := os.Remove(secret); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "FORMAT"), []byte("99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, StateDir(root), Fail, "format 99")
	file := filepath.Join(root, "FORMAT")
	expect(t, StateDir(file), Fail, "no directory")
}

func TestConfigurationDiskClockAddress(t *testing.T) {
	good := config.Default()
	expect(t, Configuration(good, nil), OK, "usable")
	bad := good
	bad.Listen, bad.Log.Level = "nowhere", "loud"
	found := Configuration(bad, bad.Check()).Run(t.Context())
	if len(found) != 2 || found[0].Status != Fail || !strings.Contains(found[0].Found, "listen") || !strings.Contains(found[1].Found, "log.level") {
		t.Errorf("one finding for each mistake: %+v", found)
	}

	expect(t, Disk(filepath.Join(t.TempDir(), "not", "there", "yet")), OK, "free")

	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	birth := now.AddDate(0, -1, 0)
	root := t.TempDir()
	expect(t, Clock(clock.Fixed(now), birth, root), OK, "2026-06-01")
	expect(t, Clock(clock.Fixed(birth.AddDate(-30, 0, 0)), birth, root), Fail, "before this program")
	lock := filepath.Join(root, "LOCK")
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(lock, now.Add(time.Hour), now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	expect(t, Clock(clock.Fixed(now), birth, root), Fail, "written at")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	expect(t, Address(address, func() (int, bool) { return 0, false }), Fail, "in use")
	expect(t, Address(address, func() (int, bool) { return 7, true }), OK, "process 7")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, Address(address, func() (int, bool) { return 0, false }), OK, "is free")
}

func TestTopics(t *testing.T) {
	table := []string{"a", "b"}
	check := func(names, differences []string, err error) Check {
		return Topics(table, func(context.Context) (*Bus, error) {
			if names == nil {
				return nil, err
			}
			return &Bus{Names: names, Differences: differences}, err
		})
	}
	cluster := func(err error, names ...string) Check {
		return Topics(table, func(context.Context) (*Bus, error) { return &Bus{Place: "kafka:9092", Names: names}, err })
	}
	expect(t, cluster(nil, "a", "b", "someone else's"), OK, "all 2")
	expect(t, cluster(nil, "a"), Fail, "missing on kafka:9092: b")
	expect(t, cluster(errors.New("refused")), Fail, "kafka:9092 does not answer: refused")
	expect(t, check(nil, nil, nil), OK, "no bus yet")
	expect(t, check([]string{"b", "a"}, nil, nil), OK, "all 2")
	expect(t, check([]string{"b"}, nil, nil), Warn, "missing: a")
	expect(t, check([]string{"a", "b", "c"}, nil, nil), Warn, "unknown: c")
	expect(t, check([]string{"a", "b"}, []string{"a keeps records for ever"}, nil), Warn, "for ever")
	expect(t, check(nil, nil, errors.New("unreadable")), Fail, "unreadable")
}

func TestServices(t *testing.T) {
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	check := func(left time.Duration, err error) Check {
		return Services(clock.Fixed(now), func() (time.Time, error) { return now.Add(left), err })
	}
	expect(t, check(90*24*time.Hour, nil), OK, "2026-08-30")
	expect(t, check(3*24*time.Hour, nil), Warn, "72h")
	expect(t, check(0, errors.New("key_file is missing")), Fail, "key_file")
}

func TestKnowledge(t *testing.T) {
	rules := func(used int, problems ...string) Check {
		return Rules(func() (RuleReport, error) { return RuleReport{used, problems}, nil })
	}
	expect(t, rules(200), OK, "200 used")
	expect(t, rules(200, "x.yml: no detection"), Warn, "x.yml")
	expect(t, rules(0), Fail, "no rule")
	expect(t, Rules(func() (RuleReport, error) { return RuleReport{}, errors.New("gone") }), Fail, "gone")

	taxonomy := func(n int, shipped bool, err error) Check {
		return Taxonomy(func(context.Context) (string, int, bool, error) { return "ATT&CK 18.1", n, shipped, err })
	}
	expect(t, taxonomy(1100, true, nil), OK, "shipped")
	expect(t, taxonomy(0, true, nil), Fail, "no technique")
	expect(t, taxonomy(0, false, errors.New("unreadable")), Fail, "unreadable")

	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	indicators := func(n int, ages ...time.Duration) Check {
		return Indicators(clock.Fixed(now), func(context.Context) (int, []intel.Imported, error) {
			var list []intel.Imported
			for _, a := range ages {
				list = append(list, intel.Imported{At: now.Add(-a)})
			}
			return n, list, nil
		})
	}
	expect(t, indicators(0), Warn, "none were ever imported")
	expect(t, indicators(5, 48*time.Hour, time.Hour), OK, "1h0m0s ago")
	expect(t, indicators(5, 30*24*time.Hour), Warn, "720h")
	expect(t, indicators(0, time.Hour), Warn, "expired")
}

func TestChain(t *testing.T) {
	chain := func(err error, reports ...audit.Report) Check {
		return Chain(func(context.Context, int64) ([]audit.Report, error) { return reports, err })
	}
	expect(t, chain(nil), OK, "nothing has been recorded")
	expect(t, chain(nil, audit.Report{Tenant: "t", Records: 5, FirstBad: -1}), OK, "tenant t")
	expect(t, chain(nil, audit.Report{Tenant: "t", Findings: []audit.Finding{{}}, FirstBad: 3}), Fail, "record 3")
	expect(t, chain(errors.New("unreadable")), Fail, "unreadable")
}

func TestACheckThatPanicsIsAFailure(t *testing.T) {
	expect(t, Check{"x", func(context.Context) []Finding { panic("boom") }}, Fail, "boom")
}

func TestWrite(t *testing.T) {
	list := []Finding{{"disk", OK, "75 GB free", ""}, {"rules", Warn, "1 cannot be used", "correct it"}, {"lock", Fail, "unreadable", "chmod"}}
	var b strings.Builder
	if err := Write(&b, list); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ok    disk", "→ correct it", "1 ok, 1 to look at, 1 failed"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := WriteJSON(&b, list); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Findings []Finding
		Failed   bool
	}
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil || len(got.Findings) != 3 || !got.Failed {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestObjects(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	look := func(s ObjectStore) Check {
		s.Place = "bucket evidence"
		return Objects(clock.Fixed(now), func(context.Context) ObjectStore { return s })
	}
	expect(t, look(ObjectStore{}), OK, "bucket evidence can be used, nothing waits")
	expect(t, look(ObjectStore{Trouble: errors.New("no route")}), Fail, "bucket evidence cannot be used: no route")
	expect(t, look(ObjectStore{Objects: 3, Bytes: 5 << 20, Since: now.Add(-time.Hour)}), Warn, "3 objects, 5 MB, wait for bucket evidence, the oldest for 1h0m0s")
	expect(t, look(ObjectStore{Uncounted: errors.New("no such table")}), Warn, "cannot be counted: no such table")
	both := look(ObjectStore{Trouble: errors.New("no route"), Objects: 1, Since: now})
	expect(t, both, Fail, "no route")
	if found := both.Run(t.Context()); len(found) != 2 {
		t.Errorf("a store that is away hides what waits for it: %v", found)
	}
}
