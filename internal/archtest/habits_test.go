package archtest

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// clockFree are the packages that may read the machine's clock.
var clockFree = []string{"internal/clock", "internal/bench", "internal/archtest"}

const (
	initReason = "what an init function does happens in an order that nobody wrote down, in every program and test that links the package; call it from where its result is needed"
	timeReason = "a part that reads the machine's clock cannot be tested at another time; take a clock.Clock"
	docReason  = "one comment says what a package is for; two disagree sooner or later, and none leaves the reader to guess"
	pathReason = "a path of the machine on which a file was written means nothing elsewhere and tells strangers about it"
)

func checkHabits(p *pkg) []string {
	var out []string
	for _, c := range p.calls {
		switch {
		case c.what == "func init" && below(p.path, "internal"):
			out = append(out, breach("no init functions", initReason, c.at, p.path+" has a func init"))
		case (c.what == "time.Now" || c.what == "time.Since" || c.what == "time.Sleep") &&
			below(p.path, "internal") && !below(p.path, clockFree...) && !suite(p.path):
			out = append(out, breach("time comes in as a parameter", timeReason, c.at, p.path+" uses "+c.what))
		}
	}
	return append(out, checkDoc(p)...)
}

func checkDoc(p *pkg) []string {
	if !p.hasCode {
		return nil
	}
	const name = "every package has one doc comment"
	if len(p.docs) != 1 {
		at := p.path
		if len(p.docs) > 1 {
			at = p.docs[1].at
		}
		return []string{breach(name, docReason, at, fmt.Sprintf("%s has %d doc comments", p.path, len(p.docs)))}
	}
	want := "Package " + p.name + " "
	if p.name == "main" {
		want = "Command "
	}
	if d := p.docs[0]; !strings.HasPrefix(d.text, want) {
		return []string{breach(name, docReason, d.at, fmt.Sprintf("the doc comment of %s does not begin with %q", p.path, want))}
	}
	return nil
}

func TestHabits(t *testing.T) {
	for _, p := range load(t) {
		for _, b := range checkHabits(p) {
			t.Error(b)
		}
	}
}

func TestHabitsCanFail(t *testing.T) {
	one := []doc{{text: "Package x is a package.\n"}}
	for _, c := range []struct {
		name string
		p    pkg
		want string
	}{
		{"good", pkg{path: "internal/x", name: "x", hasCode: true, docs: one}, ""},
		{"good command", pkg{path: "cmd/x", name: "main", hasCode: true, docs: []doc{{text: "Command x does x."}}, calls: []call{{what: "time.Now"}}}, ""},
		{"only tests", pkg{path: "internal/x"}, ""},
		{"timers are no reading", pkg{path: "internal/x", name: "x", hasCode: true, docs: one, calls: []call{{what: "time.NewTimer"}}}, ""},
		{"init", pkg{path: "internal/x", name: "x", hasCode: true, docs: one, calls: []call{{what: "func init"}}}, "no init functions"},
		{"clock", pkg{path: "internal/x", name: "x", hasCode: true, docs: one, calls: []call{{what: "time.Now"}}}, "time comes in"},
		{"no doc", pkg{path: "internal/x", name: "x", hasCode: true}, "0 doc comments"},
		{"two docs", pkg{path: "internal/x", name: "x", hasCode: true, docs: append(one[:1:1], one...)}, "2 doc comments"},
		{"form", pkg{path: "internal/y", name: "y", hasCode: true, docs: one}, "does not begin with"},
	} {
		got := strings.Join(checkHabits(&c.p), "\n")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestNoMachinePaths looks for the folder of this checkout, and of its neighbours, in every
// text file. The paths are known only at run time: written here, they would be found.
func TestNoMachinePaths(t *testing.T) {
	dir := root(t)
	var places []string
	for _, p := range []string{dir, filepath.Join(filepath.Dir(dir), "shared")} {
		if strings.Count(filepath.ToSlash(p), "/") >= 2 { // "/src" could be anything
			places = append(places, p)
		}
	}
	if len(places) == 0 {
		t.Skipf("%s is too short a path to look for", dir)
	}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == ".git" || d.Name() == "bin" || d.Name() == "dist" {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > 4<<20 {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil || !utf8.Valid(b) {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		for _, b := range machinePaths(filepath.ToSlash(rel), b, places) {
			t.Error(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func machinePaths(file string, text []byte, places []string) []string {
	var out []string
	for _, p := range places {
		if i := bytes.Index(text, []byte(p)); i >= 0 {
			at := fmt.Sprintf("%s:%d", file, 1+bytes.Count(text[:i], []byte("\n")))
			out = append(out, breach("no paths of this machine", pathReason, at, "mentions "+p))
		}
	}
	return out
}

func TestMachinePathsCanFail(t *testing.T) {
	places := []string{filepath.Join("builds", "checkout")}
	if got := machinePaths("README.md", []byte("first\nsee builds/checkout/x\n"), places); len(got) != 1 || !strings.HasPrefix(got[0], "README.md:2:") {
		t.Errorf("a path was not found: %q", got)
	}
	if got := machinePaths("README.md", []byte("see docs/rules.md\n"), places); got != nil {
		t.Errorf("found %q", got)
	}
}
