package intel

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

const (
	sampleMD5  = "0123456789abcdef0123456789abcdef"
	sampleHash = sampleMD5 + sampleMD5
)

func read(t testing.TB, text string, o Options) ([]Indicator, Report) {
	t.Helper()
	rows, rep, err := tryRead(text, o)
	if err != nil {
		t.Fatal(err)
	}
	return rows, rep
}

func tryRead(text string, o Options) ([]Indicator, Report, error) {
	var out []Indicator
	rep, err := Read(strings.NewReader(text), o, func(i Indicator) error {
		out = append(out, i)
		return nil
	})
	return out, rep, err
}

func brief(rows []Indicator) (out []string) {
	for _, r := range rows {
		out = append(out, fmt.Sprintf("%s %s %d %s", r.Type, r.Value, r.Confidence, r.Severity))
	}
	return out
}

func TestReadFormats(t *testing.T) {
	for _, c := range []struct {
		name, text string
		format     Format
		want       []string
		refused    int
		skipped    int
	}{
		{"plain list", "\ufeff# comment\n198.51.100.1\n\nevil.example,https://report.example/1\r\n// x\n10.0.0.1\n/gate.php\n", FormatList,
			[]string{"ipv4 198.51.100.1 50 medium", "domain evil.example 50 medium"}, 2, 0},
		{"counted list", "198.51.100.1\t1\n198.51.100.4\t4\n198.51.100.9\t11\n", FormatList,
			[]string{"ipv4 198.51.100.1 30 medium", "ipv4 198.51.100.4 70 medium", "ipv4 198.51.100.9 90 medium"}, 0, 0},
		{"hosts file", "0.0.0.0 ads.evil.example\n127.0.0.1\tc2.evil.example # note\n127.0.0.1 localhost\n", FormatList,
			[]string{"domain ads.evil.example 50 medium", "domain c2.evil.example 50 medium"}, 1, 0},
		{"CSV with header", "Type,Value,Confidence,Severity\nip,198.51.100.1,90,high\ndomain,\"evil.example\",0.4,low\nja3,abc,1,low\n", FormatCSV,
			[]string{"ipv4 198.51.100.1 90 high", "domain evil.example 40 low"}, 1, 0},
		{"CSV with a header in a comment", "# export\n# \"first_seen_utc\",\"ioc_value\",\"ioc_type\",\"confidence_level\"\n\"2026-01-02 03:04:05\",\"198.51.100.1:443\",\"ip:port\",\"75\"\n", FormatCSV,
			[]string{"ipv4 198.51.100.1 75 medium"}, 0, 0},
		{"CSV of hashes in columns", "md5;sha256;malware\n" + sampleMD5 + ";" + sampleHash + ";Loader\n;;\n", FormatCSV,
			[]string{"md5 " + sampleMD5 + " 50 medium", "sha256 " + sampleHash + " 50 medium"}, 1, 0},
		{"CSV with a line break in a field", "indicator,description\nevil.example,\"two\nlines\"\nworse.example,one\n", FormatCSV,
			[]string{"domain evil.example 50 medium", "domain worse.example 50 medium"}, 0, 0},
		{"typed rows", "domain,evil.example\nurl,hxxp://evil.example/x\n", FormatCSV,
			[]string{"domain evil.example 50 medium", "url http://evil.example/x 50 medium"}, 0, 0},
		{"KEV", `{"title":"Catalog","catalogVersion":"2026.01.01","vulnerabilities":[
			{"cveID":"CVE-2026-0001","vendorProject":"Example","product":"Box","vulnerabilityName":"Flaw","dateAdded":"2026-01-01","dueDate":"2026-01-22","knownRansomwareCampaignUse":"Known"},
			{"cveID":"CVE-2026-0002","knownRansomwareCampaignUse":"Unknown"}, {"cveID":7}, "x"]}`, FormatKEV,
			[]string{"cve CVE-2026-0001 90 critical", "cve CVE-2026-0002 90 high"}, 2, 0},
		{"MISP", mispSample, FormatMISP, []string{
			"ipv4 198.51.100.1 85 high", "domain evil.example 50 high", "md5 " + sampleMD5 + " 85 high",
			"domain c2.evil.example 85 high", "ipv4 198.51.100.2 85 high", "sha256 " + sampleHash + " 95 high"}, 2, 2},
		{"MISP attribute search", `{"response":{"Attribute":[{"type":"url","value":"http://evil.example/x","to_ids":true,"Event":{"info":"e","threat_level_id":3}}]}}`, FormatMISP,
			[]string{"url http://evil.example/x 65 low"}, 0, 0},
		{"STIX 2.0", `{"id":"bundle--1","objects":[
			{"type":"indicator","id":"indicator--1","labels":["malicious-activity"],"pattern":"[ipv4-addr:value = '198.51.100.1']","valid_from":"2026-01-01T00:00:00Z"},
			{"type":"indicator","id":"indicator--2","labels":["benign"],"pattern":"[domain-name:value = 'good.example']"},
			{"type":"indicator","id":"indicator--3","labels":["anomalous-activity"],"pattern":"[domain-name:value = 'odd.example'"},
			{"type":"observed-data","id":"observed-data--1","objects":{"0":{"type":"domain-name","value":"seen.example"},"1":{"type":"process"}}}],"type":"bundle"}`, FormatSTIX,
			[]string{"ipv4 198.51.100.1 50 high", "domain seen.example 40 medium"}, 2, 1},
		{"STIX 2.1", stixSample, FormatSTIX, []string{
			"sha256 " + sampleHash + " 88 high", "md5 " + sampleMD5 + " 88 high",
			"url http://evil.example/x 40 high", "email bob@evil.example 40 medium"}, 0, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows, rep := read(t, c.text, Options{})
			if rep.Format != c.format || rep.Refused != c.refused || rep.Skipped != c.skipped || rep.Accepted != len(rows) {
				t.Errorf("report %+v, want format %s, refused %d, skipped %d", rep, c.format, c.refused, c.skipped)
			}
			if got := brief(rows); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			for _, r := range rep.Refusals {
				if r.Place == "" || r.Reason == "" {
					t.Errorf("refusal without place or reason: %+v", r)
				}
			}
		})
	}
}

const mispSample = `{"response":[{"Event":{"info":"Campaign X","date":"2026-01-02","threat_level_id":"1",
	"Orgc":{"name":"Example CERT"},
	"Attribute":[
		{"type":"ip-dst","category":"Network activity","value":"198.51.100.1","to_ids":true,"timestamp":"1767484800"},
		{"type":"domain","value":"evil[.]example","to_ids":false},
		{"type":"filename|md5","value":"a.exe|` + sampleMD5 + `","to_ids":true},
		{"type":"domain|ip","value":"c2.evil.example|198.51.100.2","to_ids":true},
		{"type":"ip-src","value":"10.1.1.1","to_ids":true},
		{"type":"text","value":"free words","to_ids":false},
		{"type":"ip-src","deleted":true,"value":"198.51.100.9"},
		"broken"],
	"Object":[{"name":"file","Attribute":[{"type":"sha256","value":"` + sampleHash + `","to_ids":true,
		"Tag":[{"name":"misp:confidence-level=\"completely-confident\""}]}]}],
	"Tag":[{"name":"tlp:green"},{"name":"misp-galaxy:mitre-attack-pattern=\"PowerShell - T1059.001\""}],
	"Galaxy":[{"type":"threat-actor","GalaxyCluster":[{"value":"Group Y"}]},{"type":"mitre-malware","GalaxyCluster":[{"value":"Loader - S9999"}]}]}}]}`

const stixSample = `{"type":"bundle","id":"bundle--2","objects":[
	{"type":"relationship","id":"relationship--1","relationship_type":"indicates","source_ref":"indicator--1","target_ref":"malware--1"},
	{"type":"relationship","id":"relationship--2","relationship_type":"indicates","source_ref":"indicator--1","target_ref":"intrusion-set--1"},
	{"type":"relationship","id":"relationship--3","relationship_type":"indicates","source_ref":"indicator--1","target_ref":"attack-pattern--1"},
	{"type":"indicator","spec_version":"2.1","id":"indicator--1","name":"Loader","indicator_types":["malicious-activity"],"confidence":88,
		"pattern_type":"stix","pattern":"[file:hashes.'SHA-256' = '` + sampleHash + `' OR file:hashes.MD5 = '` + sampleMD5 + `']",
		"valid_from":"2026-01-01T00:00:00Z","valid_until":"2027-01-01T00:00:00Z","kill_chain_phases":[{"kill_chain_name":"k","phase_name":"delivery"}]},
	{"type":"indicator","id":"indicator--2","indicator_types":["malicious-activity"],"pattern_type":"stix",
		"pattern":"[url:value = 'http://evil.example/x'] FOLLOWEDBY [process:name = 'x.exe'] WITHIN 60 SECONDS"},
	{"type":"indicator","id":"indicator--3","pattern_type":"yara","pattern":"rule x {}"},
	{"type":"malware","id":"malware--1","name":"Loader"},
	{"type":"intrusion-set","id":"intrusion-set--1","name":"Group Y"},
	{"type":"attack-pattern","id":"attack-pattern--1","name":"PowerShell","external_references":[{"source_name":"mitre-attack","external_id":"T1059.001"}]},
	{"type":"email-addr","id":"email-addr--1","value":"Bob@evil.example"}]}`

func TestReadKeepsWhatTheFeedSays(t *testing.T) {
	rows, _ := read(t, stixSample, Options{Feed: "vendor"})
	got := rows[0]
	want := Indicator{
		Type: alert.IndicatorSHA256, Value: sampleHash, Confidence: 88, Severity: alert.High,
		Campaigns: []string{"Loader"}, Groups: []string{"Group Y"}, Techniques: []string{"T1059.001"},
		FirstSeen: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), LastSeen: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Sources: []string{"vendor"}, Context: "Loader", Expiry: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		Tags: []string{"malicious-activity", "phase:delivery"},
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("STIX row\n got %+v\nwant %+v", got, want)
	}
	if !slices.Contains(rows[2].Tags, "partial-pattern") {
		t.Errorf("an indicator that needs another one is not marked: %+v", rows[2])
	}

	rows, _ = read(t, mispSample, Options{Feed: "misp-feed"})
	m := rows[0]
	if !slices.Equal(m.Groups, []string{"Group Y"}) || !slices.Equal(m.Campaigns, []string{"Loader"}) ||
		!slices.Equal(m.Techniques, []string{"T1059.001"}) || !slices.Contains(m.Tags, "tlp:green") ||
		!slices.Contains(m.Tags, "org:Example CERT") || m.Context != "Campaign X" ||
		!m.FirstSeen.Equal(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)) || !m.LastSeen.Equal(time.Unix(1767484800, 0)) {
		t.Errorf("MISP row %+v", m)
	}

	rows, _ = read(t, "# Reference: https://report.example/1\n# Reference: https://report.example/2\n\nevil.example\nworse.example\n\n# Reference: https://report.example/3\nthird.example\n", Options{})
	if rows[1].Context != "https://report.example/1" || rows[2].Context != "https://report.example/3" {
		t.Errorf("references: %q, %q", rows[1].Context, rows[2].Context)
	}
}

func TestReadRefusesWholeFiles(t *testing.T) {
	for _, c := range []struct {
		name, text string
		o          Options
		want       error
	}{
		{"empty", " \n", Options{}, ErrUnknownFormat},
		{"other JSON", `{"$schema":"x","type":"object"}`, Options{}, ErrUnknownFormat},
		{"HTML", "<!doctype html><p>denied", Options{}, ErrUnknownFormat},
		{"binary", "PK\x03\x04\x00\x00", Options{}, ErrUnknownFormat},
		{"warning list", `{"description":"harmless","list":["198.51.100.1"],"matching_attributes":["ip-src"],"name":"n","type":"cidr","version":1}`, Options{}, ErrWarningList},
		{"too large", strings.Repeat("198.51.100.1\n", 100), Options{MaxBytes: 500}, ErrTooLarge},
		{"unknown format", "x", Options{Format: "xml"}, ErrUnknownFormat},
	} {
		if _, _, err := tryRead(c.text, c.o); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	_, rep, err := tryRead(`{"type":"bundle","objects":[{"type":"indicator","labels":["malicious-activity"],"pattern":"[domain-name:value = 'evil.example']"},{"type":`, Options{})
	var syntax *SyntaxError
	if !errors.As(err, &syntax) || syntax.Offset == 0 || rep.Accepted != 1 {
		t.Errorf("truncated bundle: accepted %d, %v", rep.Accepted, err)
	}
}

func TestReadGzipAndOptions(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte("evil.example\n"))
	_ = w.Close()
	rows, _, err := tryRead(b.String(), Options{Feed: "f", Confidence: 77, Severity: alert.Critical})
	if err != nil || len(rows) != 1 || rows[0].Confidence != 77 || rows[0].Severity != alert.Critical || rows[0].Sources[0] != "f" {
		t.Errorf("%+v %v", rows, err)
	}
	text := "value,valid_until\nold.example,2025-01-01\nnew.example,2030-01-01\n"
	rows, rep := read(t, text, Options{Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	if len(rows) != 1 || rows[0].Value != "new.example" || rep.Refused != 1 {
		t.Errorf("expired rows: %+v %+v", rows, rep)
	}
	stop := errors.New("stop")
	if _, err := Read(strings.NewReader(stixSample), Options{}, func(Indicator) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the error of emit is lost: %v", err)
	}
}

func TestPattern(t *testing.T) {
	for _, c := range []struct{ pattern, want string }{
		{"[ipv4-addr:value = '198.51.100.1']", "ipv4-addr value = 198.51.100.1"},
		{"[file:hashes.'SHA-256' = 'aa' AND file:name = 'it\\'s']", "file hashes.sha-256 = aa; file name = it's"},
		{"[domain-name:value IN ('a.example','b.example')]", "domain-name value IN a.example,b.example"},
		{"[ipv4-addr:value ISSUBSET '198.51.100.0/24'] AND [url:value LIKE '%x']", "ipv4-addr value ISSUBSET 198.51.100.0/24 partial; url value LIKE %x partial"},
		{"[ipv4-addr:value != '198.51.100.1' OR ipv4-addr:value NOT = 'x']", "ipv4-addr value = 198.51.100.1 not; ipv4-addr value = x not"},
		{"[network-traffic:dst_ref.value = 'x' AND network-traffic:dst_port = 443]", "network-traffic dst_ref.value = x; network-traffic dst_port = 443"},
		{"[domain-name:value = 'x' AND ipv4-addr:value = 'y']", "domain-name value = x partial; ipv4-addr value = y partial"},
		{"([a:b = 'x'] OR [a:b = 'y']) REPEATS 5 TIMES WITHIN 1.5 SECONDS", "a b = x; a b = y"},
		{"[a:b[*].c = 'x'] START t'2026-01-01T00:00:00Z' STOP t'2026-01-02T00:00:00Z'", "a b.c = x"},
		{"[EXISTS a:b AND (a:c > 1.5 OR a:d = true)]", "a b EXISTS ; a c > 1.5; a d = true"},
	} {
		terms, err := parsePattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		var got []string
		for _, x := range terms {
			s := x.object + " " + strings.Join(x.path, ".") + " " + x.op + " " + strings.Join(x.values, ",")
			if x.negated {
				s += " not"
			}
			if x.partial {
				s += " partial"
			}
			got = append(got, s)
		}
		if s := strings.Join(got, "; "); s != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.pattern, s, c.want)
		}
	}
	for _, bad := range []string{
		"", "[", "[]", "[a:b]", "[a = 'x']", "[a:b = 'x", "[a:b = 'x'] AND", "[a:b = 'x']]", "a:b = 'x'", "[a:b ? 'x']",
		"[a:b IN ('x'", strings.Repeat("(", 500) + "[a:b = 'x']", "[a:b = 'x'] WITHIN SECONDS", "[a:b = 'x\\",
	} {
		var pe *PatternError
		if terms, err := parsePattern(bad); !errors.As(err, &pe) {
			t.Errorf("%q passed as %v, %v", cut(bad, 40), terms, err)
		}
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("[file:hashes.'SHA-256' = 'aa' OR (a:b[*].c IN (1, 'x') AND NOT d:e LIKE 'y')] FOLLOWEDBY [EXISTS f:g] WITHIN 5 SECONDS")
	f.Fuzz(func(_ *testing.T, s string) { _, _ = parsePattern(s) })
}

func fuzzRead(f *testing.F, format Format, seeds ...string) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rows, rep, _ := tryRead(s, Options{Format: format, MaxBytes: 1 << 20})
		if rep.Accepted != len(rows) {
			t.Fatalf("accepted %d, emitted %d", rep.Accepted, len(rows))
		}
		for _, r := range rows {
			if _, v, err := ParseAs(r.Type, r.Value); err != nil || v != r.Value || r.Confidence < 0 || r.Confidence > 100 {
				t.Fatalf("row %+v: %q %v", r, v, err)
			}
		}
	})
}

func FuzzReadAuto(f *testing.F) {
	fuzzRead(f, FormatAuto, "evil.example\n", mispSample, stixSample, "type,value\nip,198.51.100.1\n")
}
func FuzzReadList(f *testing.F) { fuzzRead(f, FormatList, "# Reference: x\n198.51.100.1\t5\n") }
func FuzzReadCSV(f *testing.F) {
	fuzzRead(f, FormatCSV, "type,value,confidence,tags\nip,198.51.100.1,90,\"a|b\"\n", "md5;sha256\n;\n")
}
func FuzzReadMISP(f *testing.F) { fuzzRead(f, FormatMISP, mispSample, `{"Event":{"Attribute":[{}]}}`) }
func FuzzReadSTIX(f *testing.F) {
	fuzzRead(f, FormatSTIX, stixSample, `[{"type":"file","hashes":{"MD5":"x"}}]`)
}
func FuzzReadKEV(f *testing.F) {
	fuzzRead(f, FormatKEV, `{"vulnerabilities":[{"cveID":"CVE-2026-0001"}]}`)
}
