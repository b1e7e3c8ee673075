package intel

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
)

// realData is a folder of published feeds beside the repository; tests skip without it.
var realData = filepath.Join("..", "..", "..", "..", "shared", "data", "ti")

// TestPublishedFeeds reads files as their publishers wrote them. The counts are those of the
// files; a change of a reader that moves one has to be explained.
func TestPublishedFeeds(t *testing.T) {
	if _, err := os.Stat(realData); err != nil {
		t.Skip("no published feeds beside the repository")
	}
	golden := map[string][3]int{ // accepted, refused, skipped
		"ipsum/level4.txt": {5354, 0, 0},
		"kev/known_exploited_vulnerabilities.json.gz": {1404, 0, 0},
		"maltrail/generic_stealer.txt":                {832, 98, 0},
		"maltrail/lockbit.txt":                        {294, 6, 0},
		"maltrail/qakbot.txt":                         {8241, 567, 0},
		"misp/cloudmensis.misp.json":                  {9, 3, 10},
		"misp/misp-dukes-operation-ghost-event.json":  {87, 0, 14},
		"misp/misp-machete-event.json":                {333, 56, 7},
		"misp/misp-ramsay.json":                       {63, 8, 10},
	}
	stix := 0
	err := filepath.WalkDir(realData, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(realData, path)
		name := filepath.ToSlash(rel)
		rep, err := readFile(t, path)
		t.Logf("%s: %s accepted %d refused %d skipped %d %v", name, rep.Format, rep.Accepted, rep.Refused, rep.Skipped, rep.Reasons)
		switch {
		case strings.HasPrefix(name, "warninglists/"):
			if !errors.Is(err, ErrWarningList) {
				t.Errorf("%s: %v", name, err)
			}
			return nil
		case strings.HasSuffix(name, "_schema.json"):
			if !errors.Is(err, ErrUnknownFormat) {
				t.Errorf("%s: %v", name, err)
			}
			return nil
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case strings.HasPrefix(name, "stix_"):
			stix += rep.Accepted
			if rep.Refused > 0 {
				t.Errorf("%s: refused %v", name, rep.Refusals)
			}
			return nil
		}
		if got := [3]int{rep.Accepted, rep.Refused, rep.Skipped}; got != golden[name] {
			t.Errorf("%s: %v, want %v", name, got, golden[name])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if stix != 399 {
		t.Errorf("%d indicators in STIX reports, want 399", stix)
	}
}

func readFile(t *testing.T, path string) (Report, error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	return Read(f, Options{Feed: "test"}, func(i Indicator) error {
		if _, v, err := ParseAs(i.Type, i.Value); err != nil || v != i.Value {
			t.Errorf("%s: %s %q is not canonical: %q %v", path, i.Type, i.Value, v, err)
		}
		return nil
	})
}

// TestPublishedFeedsInStore imports every feed and looks up what it names.
func TestPublishedFeedsInStore(t *testing.T) {
	if _, err := os.Stat(realData); err != nil {
		t.Skip("no published feeds beside the repository")
	}
	s, _ := openStore(t)
	total := 0
	err := filepath.WalkDir(realData, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		rep, err := s.Import(t.Context(), SharedTenant, f, Options{Feed: filepath.Base(filepath.Dir(path)), Now: now})
		if err != nil && !errors.Is(err, ErrWarningList) && !errors.Is(err, ErrUnknownFormat) {
			return err
		}
		total += rep.Accepted
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	x, err := s.Index(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows became %d distinct indicators", total, x.Len())
	if x.Len() < 15_000 || x.Len() > total {
		t.Errorf("%d indicators of %d rows", x.Len(), total)
	}
	for _, c := range []struct {
		kind  alert.IndicatorType
		value string
		want  bool
	}{
		{alert.IndicatorIPv4, "77.90.185.20", true}, {alert.IndicatorDomain, "www.lufyfeo.org", true},
		{alert.IndicatorCVE, "CVE-2025-48384", true}, {alert.IndicatorURL, "https://horaot.org/vl.php?x=1", true},
		{alert.IndicatorDomain, "example.com", false}, {alert.IndicatorIPv4, "192.0.2.1", false},
	} {
		if _, ok := x.Lookup("acme", c.kind, c.value, now); ok != c.want {
			t.Errorf("%s: %v", c.value, ok)
		}
	}
}
