package redact_test

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/gateway/redact"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/ingest/adapters"
	"github.com/aluskort/aluskort/internal/parse"
)

// parsed is an alert as the pipeline sees it.
type parsed struct {
	raw      []byte
	fields   alert.Fields
	entities []alert.Entity
}

func readAlerts(t testing.TB, path string) []parsed {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("%s is not here", path)
	}
	reg := ingest.New(adapters.All()...)
	parser := parse.New(func(source string) *ingest.Descriptor {
		if a, ok := reg.Adapter(source); ok {
			d := a.Descriptor()
			return d
		}
		return nil
	})
	var out []parsed
	err = reg.Reader().Read(bytes.NewReader(b), path, func(rec ingest.Record) error {
		if rec.Err != nil {
			return nil
		}
		a, err := reg.Normalise(rec, "auto", "default", time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC))
		if err != nil {
			return nil
		}
		out = append(out, parsed{bytes.Clone(rec.Raw), a.Fields, parser.Parse(&a).List})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatalf("no alerts in %s", path)
	}
	return out
}

// everybody are accounts of every installation, and words that sources put where a name belongs.
var everybody = strings.Fields(`system root administrator admin guest nobody daemon krbtgt localsystem localservice networkservice everyone
	iusr unknown - n/a none null public default localhost www-data ubuntu ec2-user`)

func belongsToEverybody(v string) bool {
	v = strings.ToLower(v)
	for _, e := range everybody {
		if v == e {
			return true
		}
	}
	for _, p := range []string{`nt authority\`, `builtin\`, "dwm-", "umfd-", "local service", "network service", "anonymous logon", `window manager\`, `font driver host\`} {
		if strings.HasPrefix(v, p) {
			return true
		}
	}
	return strings.Trim(v, "0123456789") == ""
}

// personal lists what of the entities must not reach a model, written independently of the
// package's own list.
func personal(list []alert.Entity) map[string]string {
	out := map[string]string{}
	put := func(what, v string) {
		if v = strings.TrimSpace(v); utf8.RuneCountInString(v) > 2 && !belongsToEverybody(v) {
			out[v] = what
		}
	}
	for i := range list {
		e := &list[i]
		p := e.Properties
		switch e.Type {
		case alert.Account:
			v := e.Value
			put("account", v)
			put("account", p["name"])
			put("account", p["nt_name"])
			put("UPN", p["upn"])
			put("display name", p["display_name"])
			put("directory id", p["aad_user_id"])
			if strings.HasPrefix(p["sid"], "S-1-5-21-") || strings.HasPrefix(p["sid"], "S-1-12-1-") {
				put("SID", p["sid"])
			}
			if at := strings.LastIndexAny(v, `\/`); at >= 0 && !belongsToEverybody(v) {
				put("account", v[at+1:])
			}
			if at := strings.IndexByte(v, '@'); at > 0 {
				put("account", v[:at])
			}
		case alert.Host:
			put("host", e.Value)
			put("host", p["netbios_name"])
			put("host", p["fqdn"])
			put("device id", p["aad_device_id"])
			put("device id", p["edr_device_id"])
			if _, err := netip.ParseAddr(e.Value); err != nil {
				label, _, _ := strings.Cut(e.Value, ".")
				put("host", label)
			}
		case alert.Mailbox:
			put("mailbox", e.Value)
			put("UPN", p["upn"])
		case alert.IP:
			if a, err := netip.ParseAddr(e.Value); err == nil && (a.IsPrivate() || a.IsLinkLocalUnicast()) {
				put("private address", e.Value)
			}
		}
	}
	return out
}

// standsIn looks for a value as a word of its own, without case.
func standsIn(text, v string) int {
	v = strings.ToLower(v)
	for at := 0; ; {
		n := strings.Index(text[at:], v)
		if n < 0 {
			return -1
		}
		at += n
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		after, _ := utf8.DecodeRuneInString(text[at+len(v):])
		if !letter(before) && !letter(after) {
			return at
		}
		at += len(v)
	}
}

func letter(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }

func checkAlert(t *testing.T, n int, a *parsed) (values int) {
	t.Helper()
	want := personal(a.entities)
	s := redact.New(redact.DefaultPolicy()).Session(redact.Key{7}, redact.KnownOf(a.entities))
	texts := map[string]string{"text": s.Redact(string(a.raw))}
	doc, err := s.RedactJSON(a.raw)
	if err != nil {
		t.Errorf("alert %d: %v", n, err)
	}
	texts["JSON"] = string(doc)
	var fields strings.Builder
	for i := range a.fields {
		f := &a.fields[i]
		got := s.RedactField(f.Path, f.Value)
		fields.WriteString(f.Path + ": " + got + "\n")
		if back, unknown := s.Restore(got); len(unknown) > 0 || back != f.Value && len(s.Stats().Secrets) == 0 {
			t.Errorf("alert %d: %s came back as %q, unknown %q", n, f.Path, back, unknown)
		}
	}
	texts["fields"] = fields.String()
	for form, text := range texts {
		low := strings.ToLower(text)
		for _, unescape := range []bool{false, true} {
			if unescape {
				low = strings.ReplaceAll(strings.ReplaceAll(low, `\\`, `\`), `\\`, `\`)
			}
			for v, what := range want {
				if at := standsIn(low, v); at >= 0 {
					t.Errorf("alert %d, %s: the %s %q survives: …%s…", n, form, what, v, low[max(0, at-60):min(len(low), at+len(v)+60)])
				}
			}
		}
	}
	if restored, unknown, err := s.RestoreJSON(doc); err != nil || len(unknown) > 0 {
		t.Errorf("alert %d: %v, unknown %q", n, err, unknown)
	} else if len(s.Stats().Secrets) == 0 && !sameJSON(t, restored, a.raw) {
		t.Errorf("alert %d: the document came back changed", n)
	}
	return len(want)
}

// sameJSON compares documents by their fields.
func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y alert.Flattener
	fa, err1 := x.Flatten(a)
	fb, err2 := y.Flatten(b)
	if err1 != nil || err2 != nil || len(fa) != len(fb) {
		return false
	}
	for i := range fa {
		if fa[i].Value != fb[i].Value || fa[i].Path != fb[i].Path {
			return false
		}
	}
	return true
}

func checkFile(t *testing.T, path string) (values int) {
	t.Helper()
	list := readAlerts(t, path)
	for i := range list {
		values += checkAlert(t, i, &list[i])
	}
	t.Logf("%d alerts, %d personal values", len(list), values)
	return values
}

func TestNobodyOfTheDevelopmentAlertsSurvives(t *testing.T) {
	root := filepath.Join("..", "..", "..", "..", "shared", "data")
	files, _ := filepath.Glob(filepath.Join(root, "alerts", "sentinel", "*"))
	files = append(files, filepath.Join(root, "triage", "wazuh_labelled", "alerts.jsonl"))
	values, read := 0, 0
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			values += checkFile(t, f)
			read++
		})
	}
	if read > 0 && values == 0 {
		t.Error("the alerts name nobody: nothing was tested")
	}
}

func TestNobodyOfTheFixturesSurvives(t *testing.T) {
	if checkFile(t, filepath.Join("testdata", "alerts.jsonl")) < 40 {
		t.Error("the fixtures name hardly anybody")
	}
}

func TestNoSecretOfTheFixturesSurvives(t *testing.T) {
	for _, a := range readAlerts(t, filepath.Join("testdata", "alerts.jsonl")) {
		s := redact.New(redact.DefaultPolicy()).Session(redact.Key{7}, redact.KnownOf(a.entities))
		doc, err := s.RedactJSON(a.raw)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"Wint3r!2026", "Tr0ub4dor", "Sommer#26"} {
			if bytes.Contains(doc, []byte(secret)) || strings.Contains(s.Redact(string(a.raw)), secret) {
				t.Errorf("%s survives", secret)
			}
		}
	}
}

// What an investigation is about must reach the model.
func TestIndicatorsOfTheFixturesSurvive(t *testing.T) {
	var all strings.Builder
	for _, a := range readAlerts(t, filepath.Join("testdata", "alerts.jsonl")) {
		s := redact.New(redact.DefaultPolicy()).Session(redact.Key{7}, redact.KnownOf(a.entities))
		doc, err := s.RedactJSON(a.raw)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(doc)
	}
	for _, v := range []string{
		"203.0.113.77", "198.51.100.9", "2f1c8a1e0f4b6d7c9a3e5b8d0c2f4a6e8b1d3f5a7c9e0b2d4f6a8c1e3b5d7f90", "login.example.net", "cmd.exe", "invoice.exe",
		"payroll$", "5770385f-c22a-43e0-bf4c-06f5698ffbd9", "Microsoft-Windows-Sysmon/Operational", "S-1-5-18", "net user", "sc ", "obj=",
		"logonType", "USER=root", "WinRM", "2026-03-02T06:29:59.9871234Z", "0xc000006d",
	} {
		if !strings.Contains(all.String(), v) {
			t.Errorf("%s did not survive", v)
		}
	}
}
