package demo

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/asset"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/ingest/adapters"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
	"github.com/aluskort/aluskort/internal/knowledge/taxonomy"
)

var seeds = []uint64{Published, 2, 3, 4, 5, 6, 7, 8, 9, 10}

func once(events []Event) []Event {
	return slices.DeleteFunc(slices.Clone(events), func(e Event) bool { return e.Repeat })
}

func TestCounts(t *testing.T) {
	for _, seed := range seeds {
		events := once(Story(seed))
		kinds, steps, alone := map[string]int{}, map[string]int{}, 0
		for _, e := range events {
			if !e.Attack {
				kinds[e.Step]++
				continue
			}
			steps[e.Step]++
			if e.Alone {
				alone++
			}
		}
		total := 0
		for k, n := range Counts {
			if total += n; kinds[k] != n {
				t.Errorf("seed %d: %d alerts of %s, want %d", seed, kinds[k], k, n)
			}
		}
		attacks := len(events) - total
		if len(kinds) != len(Counts) || total < 280 || len(events) < 320 || len(events) > 400 || attacks < 48 || attacks > 60 || len(steps) != 12 || alone < 15 {
			t.Errorf("seed %d: %d alerts, %d noise of %d kinds, %d attack in %d steps of which %d harmless alone", seed, len(events), total, len(kinds), attacks, len(steps), alone)
		}
	}
}

func TestIdentities(t *testing.T) {
	for _, seed := range seeds {
		seen, repeats := map[string]int{}, 0
		for _, e := range Story(seed) {
			if seen[e.Source+e.ID]++; e.Repeat {
				repeats++
				if seen[e.Source+e.ID] != 2 {
					t.Errorf("seed %d: the repeat of %s comes before it", seed, e.ID)
				}
			} else if seen[e.Source+e.ID] > 1 {
				t.Errorf("seed %d: two alerts of %s have the id %s", seed, e.Source, e.ID)
			}
		}
		if repeats != 1 {
			t.Errorf("seed %d: %d alerts are delivered twice, want 1", seed, repeats)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, seed := range seeds {
		w := newWorld(seed)
		late := 0
		for _, e := range Story(seed) {
			if e.At.Before(w.start) || e.At.After(w.start.Add(Length)) {
				t.Errorf("seed %d: %s %s at %s is outside the story", seed, e.Step, e.ID, e.At)
			}
			wait := e.Arrives.Sub(e.At)
			switch {
			case e.Late:
				late++
				if !e.Attack || wait < 20*time.Minute {
					t.Errorf("seed %d: %s is late by %s", seed, e.ID, wait)
				}
			case !e.Repeat && (wait < 0 || wait > 5*time.Minute):
				t.Errorf("seed %d: %s arrives after %s", seed, e.ID, wait)
			}
		}
		if late != 2 {
			t.Errorf("seed %d: %d alerts come late, want 2", seed, late)
		}
	}
	if w := newWorld(0); w.start.Format("15:04") != "06:50" || w.start.Add(Length).Format("15:04") != "08:50" {
		t.Errorf("the published story starts at %s", w.start)
	}
}

// TestSilence finds the one source that says nothing for twelve minutes.
func TestSilence(t *testing.T) {
	for _, seed := range seeds {
		last, gap := map[string]time.Time{}, map[string]time.Duration{}
		for _, e := range Story(seed) {
			if at, ok := last[e.Source]; ok {
				gap[e.Source] = max(gap[e.Source], e.Arrives.Sub(at))
			}
			last[e.Source] = e.Arrives
		}
		for source, g := range gap {
			if (g >= 12*time.Minute) != (source == "elastic") {
				t.Errorf("seed %d: %s is silent for %s", seed, source, g)
			}
		}
		if len(gap) != 4 {
			t.Errorf("seed %d: %d sources", seed, len(gap))
		}
	}
}

// TestInterleaving counts noise on an attacked host or account within ten minutes of an attack
// alert there, and looks for stretches of attack without noise.
func TestInterleaving(t *testing.T) {
	for _, seed := range seeds {
		events := once(Story(seed))
		on, run, longest := 0, 0, 0
		for i := range events {
			if events[i].Attack {
				run++
				longest = max(longest, run)
				continue
			}
			run = 0
			if slices.ContainsFunc(events, func(a Event) bool {
				near := events[i].At.Sub(a.At).Abs() <= 10*time.Minute
				return a.Attack && near && (a.Host != "" && a.Host == events[i].Host || a.User != "" && short(a.User) == short(events[i].User))
			}) {
				on++
			}
		}
		if on < 12 || longest > 12 {
			t.Errorf("seed %d: %d noise alerts on attacked hosts and accounts in the attack's minutes, want 12; longest run of attack alerts %d", seed, on, longest)
		}
	}
}

func short(user string) string {
	name, _, _ := strings.Cut(user, "@")
	return name
}

func TestInjection(t *testing.T) {
	for _, seed := range seeds {
		n := 0
		for _, e := range Story(seed) {
			has := bytes.Contains(e.Raw, []byte("note to automated triage"))
			if has != e.Injected {
				t.Errorf("seed %d: %s: injected %v, truth says %v", seed, e.ID, has, e.Injected)
			}
			if has {
				n++
				if !e.Attack {
					t.Errorf("seed %d: the injection stands in noise", seed)
				}
			}
		}
		if n != 1 {
			t.Errorf("seed %d: %d injections", seed, n)
		}
	}
}

// TestNative reads every alert with the adapter of its source, found by content alone.
func TestNative(t *testing.T) {
	registry := ingest.New(adapters.All()...)
	tax, err := taxonomy.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	for _, seed := range seeds {
		small, large := 1<<20, 0
		shared := map[alert.LinkKind]map[string]int{}
		for i, e := range Story(seed) {
			if !json.Valid(e.Raw) || bytes.ContainsRune(e.Raw, '\n') {
				t.Fatalf("seed %d: record %d is no line of JSON", seed, i)
			}
			small, large = min(small, len(e.Raw)), max(large, len(e.Raw))
			a, err := registry.Normalise(ingest.Record{File: AlertsFile, Index: i, Raw: e.Raw}, "auto", "default", e.Arrives)
			if err != nil {
				t.Fatalf("seed %d: record %d (%s, %s): %v", seed, i, e.Source, e.Step, err)
			}
			if a.Source != e.Source || a.ID != e.ID {
				t.Errorf("seed %d: record %d is read as %s %s, want %s %s", seed, i, a.Source, a.ID, e.Source, e.ID)
			}
			if at, _ := a.EventTime(); at.Sub(e.At).Abs() > 4*time.Minute && !(e.Late && e.Source != "sentinel") {
				t.Errorf("seed %d: record %d (%s) happened at %s, read as %s", seed, i, e.Source, e.At, at)
			}
			if len(a.Missing) > 1 {
				t.Errorf("seed %d: record %d (%s) lacks %q", seed, i, e.Source, a.Missing)
			}
			if _, unknown := tax.Resolve(a.Techniques); len(unknown) > 0 {
				t.Errorf("seed %d: record %d has unknown techniques %q", seed, i, unknown)
			}
			if e.Attack && !e.Repeat {
				for _, l := range a.Links {
					if shared[l.Kind] == nil {
						shared[l.Kind] = map[string]int{}
					}
					shared[l.Kind][l.Value]++
				}
			}
		}
		if small < 1000 || large > 4096 {
			t.Errorf("seed %d: records have %d to %d bytes, want 1000 to 4096", seed, small, large)
		}
		for _, kind := range []alert.LinkKind{alert.LinkProcess, alert.LinkSession, alert.LinkSource, alert.LinkHash, alert.LinkMessage, alert.LinkToken, alert.LinkKey} {
			if !slices.ContainsFunc(sortedValues(shared[kind]), func(n int) bool { return n > 1 }) {
				t.Errorf("seed %d: no two alerts of the intrusion share a %s", seed, kind)
			}
		}
	}
}

func sortedValues(m map[string]int) (out []int) {
	for _, n := range m {
		out = append(out, n)
	}
	return out
}

// TestTechniques holds the names in this package against those of the shipped taxonomy.
func TestTechniques(t *testing.T) {
	tax, err := taxonomy.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	for id, name := range techniques {
		found, ok := tax.Find(id)
		if !ok || found.Name != name.name && tax.Name(id) != name.name && !strings.HasSuffix(found.Name, ": "+name.name) {
			t.Errorf("%s is %q here and %q in the taxonomy", id, name.name, found.Name)
		}
	}
}

// TestSeeds: another seed leaves nothing that could be learned by heart from the published one.
func TestSeeds(t *testing.T) {
	if !bytes.Equal(Alerts(Story(0)), Alerts(Story(1))) || !bytes.Equal(Alerts(Story(3)), Alerts(Story(3))) {
		t.Error("a seed does not give the same story twice")
	}
	w := newWorld(1)
	for _, seed := range seeds[1:] {
		text := string(Alerts(Story(seed)))
		other := newWorld(seed)
		for _, name := range []string{w.company, upper(w.company), w.victimPC.name + `"`, w.awsAccount, w.sid(w.victim.sam()), w.processGUID(&process{name: "x", host: w.victimPC})[:9], w.hostingIP + `"`} {
			if strings.Contains(text, name) {
				t.Errorf("seed %d still mentions %s", seed, name)
			}
		}
		if other.start.Equal(w.start) || other.start.Weekday() != w.start.Weekday() {
			t.Errorf("seed %d starts at %s", seed, other.start)
		}
		if seed != 2 && text == string(Alerts(Story(2))) {
			t.Errorf("seeds %d and 2 tell the same", seed)
		}
	}
}

// TestPublished compares the files in the repository with what the generator writes.
func TestPublished(t *testing.T) {
	files, err := Files(Published)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", "..", "demo", name))
		if err != nil {
			t.Errorf("%v; run: go generate ./internal/demo", err)
			continue
		}
		if !bytes.Equal(got, want) {
			t.Errorf("demo/%s is not what the generator writes; run: go generate ./internal/demo", name)
		}
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	if err := Write(dir, 3); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, AlertsFile))
	if err != nil || bytes.Count(got, []byte("\n")) != len(Story(3)) {
		t.Errorf("wrote %d bytes, %v", len(got), err)
	}
	if err := Write(filepath.Join(dir, AlertsFile), 3); err == nil {
		t.Error("a file was taken for a folder")
	}
}

// TestOrganisation loads org.yaml and asks it about the tool that both sides use.
func TestOrganisation(t *testing.T) {
	registry := ingest.New(adapters.All()...)
	for _, seed := range seeds {
		text, err := Organisation(seed)
		if err != nil {
			t.Fatal(err)
		}
		org, err := asset.Load(bytes.NewReader(text), OrganisationFile)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		if w := org.Warnings(); len(w) > 0 {
			t.Errorf("seed %d: %v", seed, w)
		}
		w, asked := newWorld(seed), 0
		for _, e := range Story(seed) {
			a, err := registry.Normalise(ingest.Record{Raw: e.Raw}, "auto", "default", e.Arrives)
			if err != nil {
				t.Fatal(err)
			}
			path := a.Fields.First("process_path", "_source.process.executable", "process.executable")
			if !strings.HasSuffix(path, "PsExec64.exe") {
				continue
			}
			asked++
			host := a.Fields.First("dest", "host.name")
			if got := org.Holds("admin_account", w.logon(adm(w.helpdesk)), &a) && org.Holds("admin_host", host, &a) && org.Holds("admin_tool", path, &a); got == e.Attack {
				t.Errorf("seed %d: PsExec on %s by %s is known administration: %v, attack: %v", seed, host, e.User, got, e.Attack)
			}
		}
		if asked < 5 {
			t.Errorf("seed %d: PsExec was started %d times", seed, asked)
		}
		sample, err := registry.Normalise(ingest.Record{Raw: Story(seed)[0].Raw}, "auto", "default", w.start)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			predicate, value string
			want             bool
		}{
			{"scanner", w.scan.ip, true}, {"scanner", w.hostingIP, false}, {"backup_server", w.backup.name, true}, {"build_server", w.buildEgress, true}, {"build_server", w.fileServer.name, false},
			{"nat_or_proxy", w.egress, true}, {"mail_gateway", w.fqdn(w.mail), true}, {"management_server", w.config.ip, true}, {"admin_account", w.logon(w.victim.sam()), false},
		} {
			if got := org.Holds(c.predicate, c.value, &sample); got != c.want {
				t.Errorf("seed %d: %s(%s) is %v", seed, c.predicate, c.value, got)
			}
		}
	}
}

// TestIntel reads intel.csv and finds the intruder in it.
func TestIntel(t *testing.T) {
	for _, seed := range seeds {
		table, err := Intel(seed)
		if err != nil {
			t.Fatal(err)
		}
		w, values := newWorld(seed), map[string]bool{}
		rep, err := intel.Read(bytes.NewReader(table), intel.Options{}, func(i intel.Indicator) error {
			values[i.Value] = true
			return nil
		})
		if err != nil || rep.Refused > 0 || rep.Accepted < 20 {
			t.Fatalf("seed %d: %+v, %v", seed, rep, err)
		}
		raw := string(Alerts(Story(seed)))
		for _, v := range []string{w.hostingIP, w.phishIP, w.phishDomain, w.digest("sha256/winupd64.exe", 64)} {
			if !values[v] || !strings.Contains(raw, v) {
				t.Errorf("seed %d: %s is an indicator: %v, in the story: %v", seed, v, values[v], strings.Contains(raw, v))
			}
		}
	}
}

func BenchmarkStory(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Story(Published)
	}
}
