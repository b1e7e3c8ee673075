package eval_test

import (
	"bytes"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/eval"
	"github.com/aluskort/aluskort/internal/parse"
	"github.com/aluskort/aluskort/rules"
)

// shippedTexts are the rules and the code that holds weights, by name.
func shippedTexts(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	read := func(root fs.FS, prefix, ext string) {
		err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ext) || strings.HasSuffix(name, "_test.go") {
				return err
			}
			b, err := fs.ReadFile(root, name)
			// Go's own package for lock-free values shares a word with a test kit.
			out[prefix+name] = strings.NewReplacer("sync/atomic", "", "atomic.", "").Replace(strings.ToLower(string(b)))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	read(rules.FS, "rules/", ".yml")
	read(os.DirFS(filepath.Join("..", "reason")), "internal/reason/", ".go")
	if len(out) < 3 {
		t.Fatalf("only %d files of rules and weights were found", len(out))
	}
	return out
}

// Marks of test kits have no place in rules: a rule that knows them knows the exam.
func TestRulesKnowNoTestKit(t *testing.T) {
	marks := regexp.MustCompile(`\batomics?\b|atomic[-_ ]?red|red[-_ ]?canary|\bred[-_ ]?team|invoke-atomic|\bt1\d{3}(\.\d{3})?[ _-](test|atomic)`)
	for name, text := range shippedTexts(t) {
		for i, line := range strings.Split(text, "\n") {
			if m := marks.FindString(line); m != "" {
				t.Errorf("%s:%d: %q is the mark of a test kit: %s", name, i+1, m, strings.TrimSpace(line))
			}
		}
	}
}

// developmentFiles hold the data on which the product is developed, JSON lines each.
var developmentFiles = []string{
	"triage/wazuh_labelled/alerts.jsonl",
	"techniques/sigma_regression.jsonl",
	"alerts/sentinel/secrl_security_alert.jsonl",
}

var (
	hashForm = regexp.MustCompile(`(?i)\b(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32})\b`)
	sidForm  = regexp.MustCompile(`(?i)s-1-5-21-\d+-\d+-\d+`)
	ipForm   = regexp.MustCompile(`\b(?:\d{1,3}\.){3}\d{1,3}\b`)
)

// identities collects who and what the development data names: accounts, hosts, domains, ids,
// addresses, hashes, SIDs, and the rules that fired there.
func identities(t *testing.T, raw []byte, records [][]byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	names, err := eval.CollectNames(records)
	if err != nil {
		t.Fatal(err)
	}
	rename := eval.NewRenamer(names, 1)
	for n, sort := range names.Free {
		// What the renaming leaves alone belongs to everybody: services of vendors, example names.
		plain := []byte(`{"name":"` + n + `"}`)
		if got, err := rename.Rename(plain); err == nil && len(n) >= 4 && !bytes.Equal(got, plain) {
			out[strings.ToLower(n)] = map[eval.Sort]string{eval.User: "account", eval.Host: "host", eval.Domain: "domain", eval.Ident: "id", eval.LogonID: "logon id"}[sort]
		}
	}
	warn := parse.NewWarningLists()
	for _, m := range ipForm.FindAllString(string(raw), -1) {
		ip, err := netip.ParseAddr(m)
		if err == nil && !ip.IsLoopback() && !ip.IsUnspecified() && !ip.IsMulticast() && ip.As4()[0] != 0 && ip.As4()[0] < 224 {
			if why := warn.Warn(alert.IndicatorIPv4, m); why == "" || why == parse.ReasonPrivate {
				out[m] = "address"
			}
		}
	}
	for _, m := range hashForm.FindAllString(string(raw), -1) {
		if strings.Trim(m, m[:1]) != "" {
			out[strings.ToLower(m)] = "hash"
		}
	}
	for _, m := range sidForm.FindAllString(string(raw), -1) {
		out[strings.ToLower(m)] = "SID"
	}
	for _, r := range records {
		var doc struct {
			Source struct {
				Rule struct {
					ID string `json:"id"`
				} `json:"rule"`
			} `json:"_source"`
		}
		if json.Unmarshal(r, &doc, jsontext.AllowDuplicateNames(true)) == nil && len(doc.Source.Rule.ID) >= 5 {
			out[doc.Source.Rule.ID] = "rule of the source"
		}
	}
	return out
}

// A rule that names an account, a host, an address or an id of the development data has learned
// the data and not the behaviour.
func TestRulesNameNobodyOfTheDevelopmentData(t *testing.T) {
	root := filepath.Join("..", "..", "..", "shared", "data")
	texts := shippedTexts(t)
	found := 0
	for _, file := range developmentFiles {
		raw, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
		if err != nil {
			continue
		}
		var records [][]byte
		for line := range bytes.Lines(raw) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				records = append(records, line)
			}
		}
		ids := identities(t, raw, records)
		found += len(ids)
		for name, text := range texts {
			for id, what := range ids {
				if wholeWord(text, id) {
					t.Errorf("%s names the %s %q of %s", name, what, id, file)
				}
			}
		}
	}
	if found == 0 {
		t.Skip("../shared/data is absent: nothing to compare with")
	}
	t.Logf("%d names, addresses and ids compared", found)
}

func wholeWord(text, word string) bool {
	for from := 0; ; {
		at := strings.Index(text[from:], word)
		if at < 0 {
			return false
		}
		at += from
		end := at + len(word)
		if (at == 0 || !wordByte(text[at-1])) && (end == len(text) || !wordByte(text[end])) {
			return true
		}
		from = at + 1
	}
}

func wordByte(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' }
