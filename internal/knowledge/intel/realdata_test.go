package intel

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// realData is a folder of published feeds beside the repository; tests skip without it.
var realData = filepath.Join("..", "..", "..", "..", "shared", "data", "ti")

func readFile(t *testing.T, path string, o Options) ([]Indicator, Report, error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var out []Indicator
	rep, err := Read(f, o, func(i Indicator) error { out = append(out, i); return nil })
	return out, rep, err
}

func TestPublishedFeeds(t *testing.T) {
	if _, err := os.Stat(realData); err != nil {
		t.Skip("no published feeds beside the repository")
	}
	err := filepath.WalkDir(realData, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rows, rep, err := readFile(t, path, Options{Feed: "test"})
		name, _ := filepath.Rel(realData, path)
		t.Logf("%-70s %-5s accepted %d refused %d skipped %d %v %v", name, rep.Format, rep.Accepted, rep.Refused, rep.Skipped, rep.Reasons, err)
		_ = rows
		for i, r := range rep.Refusals {
			if i < 6 {
				t.Log("   ", r)
			}
		}
		_ = errors.Is
		_ = maps.Keys(rep.Reasons)
		_ = slices.Sort[[]string]
		_ = strings.Contains
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
