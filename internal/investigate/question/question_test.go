package question

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/reason"
)

var update = flag.Bool("update", false, "write the golden files")

var at = time.Date(2026, 3, 2, 7, 30, 0, 0, time.UTC)

type part func(*investigate.Investigation)

func entity(t alert.EntityType, value string, role alert.Role) part {
	return func(inv *investigate.Investigation) {
		inv.Entities = append(inv.Entities, alert.Entity{Type: t, Value: value, Role: role, Confidence: 1})
	}
}

func item(kind string, weight float64, techniques ...string) part {
	return func(inv *investigate.Investigation) {
		e := evidence.Evidence{ID: "rule:" + kind, Kind: kind, Weight: weight, Stance: evidence.For, Statement: kind, Techniques: techniques}
		if weight < 0 {
			e.Stance = evidence.Against
		}
		inv.Evidence = append(inv.Evidence, e)
	}
}

func link(k alert.LinkKind, v, ref string) part {
	return func(inv *investigate.Investigation) {
		inv.Links = append(inv.Links, investigate.LinkKey{Kind: k, Value: v, Ref: ref, First: at, Last: at})
	}
}

// open makes an investigation of high severity that has been decided.
func open(title string, parts ...part) *investigate.Investigation {
	inv := &investigate.Investigation{ID: "i", TenantID: "default", Title: title, SourceSeverity: alert.High, FirstSeen: at, LastSeen: at.Add(10 * time.Minute)}
	for _, p := range parts {
		p(inv)
	}
	slices.SortFunc(inv.Entities, func(a, b alert.Entity) int { return strings.Compare(a.Key(), b.Key()) })
	inv.Verdict = reason.Decide(reason.SeverityPrior(alert.High), inv.Evidence, alert.High, nil, reason.DefaultThresholds())
	return inv
}

const sum = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func process() []part {
	return []part{
		entity(alert.Host, "ws-7.example.com", alert.RoleDevice), entity(alert.Account, `EXAMPLE\ada`, alert.RoleSubject),
		entity(alert.Process, "curl.exe", alert.RoleSubject), entity(alert.Process, "winword.exe", alert.RoleParent),
		entity(alert.FileHash, strings.ToUpper(sum), alert.RoleNone), item("transfer.download", 1.5, "T1105"),
	}
}

// situations are alerts of every source, in the words of which the queries are golden.
var situations = []struct {
	name, language string
	inv            *investigate.Investigation
	want           []string // a part of each question, in order
}{
	{"sentinel_process", "KQL", open("Office application started a downloader", process()...), []string{"connect to a public", "alerts of another kind", "on other days"}},
	{"sentinel_signin", "KQL", open("Unfamiliar sign-in", entity(alert.Account, "ada@example.com", alert.RoleSubject),
		entity(alert.IP, "203.0.113.9", alert.RoleSource), link(alert.LinkToken, "0f0e0d0c-1111-4222-8333-444455556666", "/Entities/3/SessionId"), item("identity.anonymiser", 1.5, "T1078.004")),
		[]string{"used from another address", "alerts of another kind", "sign in from"}},
	{"sentinel_mail", "KQL", open("Malicious link in a message", entity(alert.Mailbox, "bo@example.com", alert.RoleTarget), entity(alert.Account, "bo@example.com", alert.RoleNone),
		entity(alert.URL, "https://login.example.net/a?b=\"c\"", alert.RoleNone), item("mail.phish_delivered", 1.5, "T1566.002")), []string{"open the address", "alerts of another kind", "confirm"}},
	{"sentinel_role", "KQL", open("Member added to a privileged role", entity(alert.Account, "cy@example.com", alert.RoleSubject), item("identity.privileged_role", 2, "T1098.003")), nil},
	{"splunk_guessing", "SPL", open("Many failed logons", entity(alert.Host, "srv-1", alert.RoleDestination), entity(alert.Account, `EXAMPLE\ada`, alert.RoleSubject),
		entity(alert.IP, "198.51.100.7", alert.RoleSource), item("credential.guessing", 2, "T1110.001")), []string{"sign in from", "succeed during the failures"}},
	{"splunk_service", "SPL", open("Service installed from a share", entity(alert.Host, "srv-1", alert.RoleDestination), entity(alert.File, `C:\Windows\qx.exe`, alert.RoleTarget), item("lateral.service", 2, "T1543.003")), []string{"written by", "service's program"}},
	{"elastic_process", "ES|QL", open("Office application started a downloader", process()...), nil},
	{"elastic_key", "ES|QL", open("Access key created a user", entity(alert.Account, "deploy", alert.RoleSubject), entity(alert.IP, "203.0.113.20", alert.RoleSource),
		link(alert.LinkKey, "akiaexample000000001", "/aws/cloudtrail/user_identity/access_key_id"), item("cloud.credential_created", 2, "T1098.001")), []string{"as a duty", "on other days", "access key"}},
	{"wazuh_guessing", "Wazuh", open("sshd: brute force", entity(alert.Host, "web-2", alert.RoleDevice), entity(alert.IP, "198.51.100.7", alert.RoleSource), item("credential.guessing", 2, "T1110")), []string{"any account"}},
	{"wazuh_file", "Wazuh", open("Integrity checksum changed", entity(alert.Host, "web-2", alert.RoleDevice), entity(alert.File, "/usr/bin/ls", alert.RoleTarget), item("rootkit.changed_program", 2, "T1554")), []string{"package manager"}},
	{"wazuh_process", "Wazuh", open("Downloader", process()...), nil},
	{"wazuh_dns", "Wazuh", open("Name of a new domain", entity(alert.Host, "ws-7", alert.RoleDevice), entity(alert.DNS, "cdn.example.net", alert.RoleDestination), item("command.domain", 2, "T1071.004")), nil},
	{"nothing_known", "SPL", open(`Custom "rule" | x`, item("rule", 1.5)), []string{"raised on most days"}},
	{"no_language", "", open("Downloader", process()...), nil},
}

func TestGolden(t *testing.T) {
	for _, tt := range situations {
		t.Run(tt.name, func(t *testing.T) {
			got := Ask(tt.inv, reason.DefaultThresholds(), tt.language)
			var b strings.Builder
			for i, q := range got {
				fmt.Fprintf(&b, "%d. %s\n%s\n%s\n\n", i+1, q.Text, q.Why, q.Query)
			}
			for i, w := range tt.want {
				if i >= len(got) || !strings.Contains(strings.ToLower(got[i].Text), strings.ToLower(w)) {
					t.Errorf("question %d is not about %q", i+1, w)
				}
			}
			file := filepath.Join("testdata", tt.name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", b.String(), want)
			}
		})
	}
}

func TestEveryQueryIsBounded(t *testing.T) {
	for _, tt := range situations {
		qs := Ask(tt.inv, reason.DefaultThresholds(), tt.language)
		if len(qs) == 0 || len(qs) > Max {
			t.Errorf("%s: %d questions", tt.name, len(qs))
		}
		for _, q := range qs {
			bounds := map[string][]string{
				"KQL": {"between (datetime(2026-", "top 100 "}, "SPL": {"earliest=17", "latest=17", "| sort 100 "},
				"ES|QL": {"@timestamp >= \"2026-", "@timestamp <= \"2026-", "| LIMIT 100"}, "Wazuh": {`"gte": "2026-`, `"lte": "2026-`, `"size": 100`},
			}[tt.language]
			for _, w := range bounds {
				if !strings.Contains(q.Query, w) {
					t.Errorf("%s: no %q in\n%s", tt.name, w, q.Query)
				}
			}
			if (q.Query == "") != (tt.language == "") || q.Language != tt.language {
				t.Errorf("%s: query %q, language %q", tt.name, q.Query, q.Language)
			}
			if tt.language == "Wazuh" && !json.Valid([]byte(q.Query)) {
				t.Errorf("%s: no JSON: %s", tt.name, q.Query)
			}
		}
	}
}

func TestAnswersAreScoredLikeEvidence(t *testing.T) {
	inv := open("Downloader", process()...)
	odds := inv.Verdict.Prior + 1.5
	for _, q := range Ask(inv, reason.DefaultThresholds(), "KQL") {
		if q.IfYes*q.IfNo >= 0 {
			t.Errorf("%s: both answers point the same way", q.Text)
		}
		for _, x := range []struct {
			bits float64
			o    Outcome
		}{{q.IfYes, q.AfterYes}, {q.IfNo, q.AfterNo}} {
			if want := reason.Probability(odds + x.bits); math.Abs(x.o.Probability-want) > 1e-9 {
				t.Errorf("%s: %+.1f bits lead to %.4f, want %.4f", q.Text, x.bits, x.o.Probability, want)
			}
			if !strings.Contains(q.Why, string(x.o.Classification)) {
				t.Errorf("%q does not name %s", q.Why, x.o.Classification)
			}
		}
	}
}

func TestAuthorisationLeadsToExpectedActivity(t *testing.T) {
	inv := open("Downloader", process()...)
	for _, q := range Ask(inv, reason.DefaultThresholds(), "KQL") {
		if strings.HasPrefix(q.Text, "Is a change") && q.AfterYes.Classification != evidence.BenignTruePositive {
			t.Errorf("an announced change leads to %s", q.AfterYes.Classification)
		}
	}
}

func TestWhatStandsAsksNothing(t *testing.T) {
	for _, bits := range []float64{6, -6} {
		inv := open("Decided", append(process(), item("x", bits))...)
		if inv.Verdict.Classification.Deferred() {
			t.Fatal("not decided")
		}
		if q := Ask(inv, reason.DefaultThresholds(), "KQL"); q != nil {
			t.Errorf("%s asks %d questions", inv.Verdict.Classification, len(q))
		}
	}
}

func TestAskingChangesNothingAndOrderDoesNotMatter(t *testing.T) {
	parts := append(process(), item("a.one", 1), item("b.two", -1), item("c.three", 1))
	inv := open("Downloader", parts...)
	want := Ask(inv, reason.DefaultThresholds(), "KQL")
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		r.Shuffle(len(inv.Evidence), func(i, j int) { inv.Evidence[i], inv.Evidence[j] = inv.Evidence[j], inv.Evidence[i] })
		before := slices.Clone(inv.Evidence)
		if got := Ask(inv, reason.DefaultThresholds(), "KQL"); !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		if !reflect.DeepEqual(before, inv.Evidence) {
			t.Fatal("the evidence changed")
		}
	}
}

func TestFactsFitTheSituation(t *testing.T) {
	host, account := entity(alert.Host, "srv-1", alert.RoleDevice), entity(alert.Account, "ada", alert.RoleSubject)
	for _, tt := range []struct {
		name, asked, not string
		inv              *investigate.Investigation
	}{
		{"a failed logon by its title", "succeed during the failures", "as a duty", open("Logon Failure - unknown user", host, account, item("x", 1.5, "T1531"))},
		{"a service that runs a shell", `program ("services.exe")`, "cmd.exe", open("Service", host, entity(alert.File, `C:\Windows\System32\cmd.exe`, alert.RoleTarget), item("x", 1.5, "T1543.003"))},
		{"a name without a domain", "alerts of another kind", "looked up", open("Name", host, entity(alert.DNS, "win11client", alert.RoleDestination), item("x", 1.5))},
		{"an account of the system", "alerts of another kind", "SYSTEM", open("Logon failed", host, entity(alert.Account, `NT AUTHORITY\SYSTEM`, alert.RoleSubject), item("x", 1.5))},
		{"an address of the host itself", "alerts of another kind", "10.0.0.7", open("Something", host, account, entity(alert.IP, "10.0.0.7", alert.RoleDevice), item("x", 1.5))},
	} {
		var all strings.Builder
		for _, q := range Ask(tt.inv, reason.DefaultThresholds(), "KQL") {
			all.WriteString(q.Text + "\n")
		}
		if !strings.Contains(all.String(), tt.asked) || strings.Contains(all.String(), tt.not) {
			t.Errorf("%s: asks\n%s", tt.name, all.String())
		}
	}
}

func TestAnsweredFactsAreNotAsked(t *testing.T) {
	expected := func(inv *investigate.Investigation) { inv.Evidence[len(inv.Evidence)-1].Expected = true }
	inv := open("Downloader", append(process(), item("benign.known_admin", -0.5), expected)...)
	for _, q := range Ask(inv, reason.DefaultThresholds(), "KQL") {
		if strings.Contains(q.Text, "announced") {
			t.Errorf("asked although it is known: %s", q.Text)
		}
	}
}

// TestHostileValuesKeepTheQuery holds each query against one with harmless values: with the
// literals taken out, they are the same.
func TestHostileValuesKeepTheQuery(t *testing.T) {
	scene := func(v string) *investigate.Investigation {
		return open("t"+v, entity(alert.Host, "h"+v, alert.RoleDevice), entity(alert.Account, "a"+v, alert.RoleSubject), entity(alert.Process, "p"+v, alert.RoleSubject),
			entity(alert.Process, "q"+v, alert.RoleParent), entity(alert.File, "f"+v, alert.RoleTarget), item("credential.guessing", 1.5, "T1110"), item("x", 0.5, "T1543"))
	}
	bare := func(text, language string) string {
		var b strings.Builder
		for text != "" {
			read := readKQL
			if language == "ES|QL" {
				read = readESQL
			}
			if _, rest, ok := read(text); ok {
				b.WriteString(`""`)
				text = rest
				continue
			}
			b.WriteByte(text[0])
			text = text[1:]
		}
		return b.String()
	}
	for _, language := range []string{"KQL", "ES|QL"} {
		plain := Ask(scene("x"), reason.DefaultThresholds(), language)
		for _, v := range hostile {
			if strings.ContainsAny(v, `@.\/`) {
				continue // names with parts are written in more than one way
			}
			for i, q := range Ask(scene(v), reason.DefaultThresholds(), language) {
				if got, want := bare(q.Query, language), bare(plain[i].Query, language); got != want {
					t.Errorf("%q: got\n%s\nwant\n%s", v, got, want)
				}
				if strings.ContainsAny(q.Text, "\n\r`\u202E\x00") {
					t.Errorf("%q: text %q", v, q.Text)
				}
			}
		}
	}
}

func BenchmarkAsk(b *testing.B) {
	inv := open("Downloader", process()...)
	t := reason.DefaultThresholds()
	b.ReportAllocs()
	for b.Loop() {
		if len(Ask(inv, t, "KQL")) == 0 {
			b.Fatal("no questions")
		}
	}
}
