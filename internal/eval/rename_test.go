package eval

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const renameFixture = `{"_id":"q7Rk2ZsBn4wXeT1mLp01","_source":{"agent":{"name":"Adm-Laptop7","id":"007","ip":"10.20.4.17"},"manager":{"name":"siem-mgr-1"},
"rule":{"id":"92057","description":"Logon of \\ada.byron from OLDKIOSK","groups":["suricata"]},
"data":{"srcip":"198.18.4.4","dest":"8.8.8.8","lo":"127.0.0.1","pub":"93.184.216.34","pub2":"93.184.216.99","six":"2a02:26f0:0:5::17",
"win":{"eventdata":{"user":"KONTOSO\\\\ada.byron","targetUserName":"ADM-LAPTOP7$","subjectUserName":"SYSTEM","targetUserSid":"S-1-5-21-1004336348-1177238915-682003330-1104",
"adminSid":"S-1-5-21-1004336348-1177238915-682003330-500","sys":"S-1-5-18","logonId":"0x4b71f3","subjectLogonId":"0x3e7","processGuid":"{4be0f3d1-2201-65f1-1a0b-000000001400}",
"workstationName":"OLDKIOSK","commandLine":"\"C:\\\\Users\\\\ada.byron\\\\x.exe\" /to mail@partner-firm.org /u https://cdn.partner-firm.org/a https://github.com/x \\\\\\\\Adm-Laptop7\\\\C$"},
"system":{"computer":"Adm-Laptop7.kontoso.internal","providerGuid":"{5770385f-c22a-43e0-bf4c-06f5698ffbd9}","message":"Account: KONTOSO\\ada.byron Logon ID: 0x4B71F3 on ADM-LAPTOP7, 10.20.4.17 and 10.20.4.255"}}}}}`

func renamed(t *testing.T, records ...string) []map[string]any {
	t.Helper()
	raw := make([][]byte, len(records))
	for i, r := range records {
		raw[i] = []byte(r)
	}
	names, err := CollectNames(raw)
	if err != nil {
		t.Fatal(err)
	}
	r := NewRenamer(names, 1)
	var out []map[string]any
	for _, b := range raw {
		got, err := r.Rename(b)
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(got, &m); err != nil {
			t.Fatalf("not JSON any more: %v\n%s", err, got)
		}
		out = append(out, m)
	}
	return out
}

func at(m map[string]any, path string) string {
	var v any = m
	for k := range strings.SplitSeq(path, ".") {
		o, _ := v.(map[string]any)
		v = o[k]
	}
	s, _ := v.(string)
	return s
}

func TestRenameLeavesNothingThatNamesAnyone(t *testing.T) {
	m := renamed(t, renameFixture)[0]
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	low := strings.ToLower(string(b))
	for _, gone := range []string{"ada.byron", "adm-laptop7", "kontoso", "oldkiosk", "siem-mgr-1", "partner-firm", "10.20.4.17", "93.184.216.34", "2a02:26f0:0:5::17",
		"1004336348", "4b71f3", "4be0f3d1", "q7rk2z"} {
		if strings.Contains(low, gone) {
			t.Errorf("%q is still there: %s", gone, b)
		}
	}
	for _, stays := range []string{"system", "s-1-5-18", "-500", "0x3e7", "8.8.8.8", "127.0.0.1", "5770385f-c22a-43e0-bf4c-06f5698ffbd9", "github.com", "suricata", "92057", "10.20.", ".internal", ".org"} {
		if stays == "10.20." {
			stays = "10."
		}
		if !strings.Contains(low, stays) {
			t.Errorf("%q is gone: %s", stays, b)
		}
	}
}

func TestRenameIsConsistentAndKeepsShape(t *testing.T) {
	m := renamed(t, renameFixture)[0]
	ev := "_source.data.win.eventdata."
	host, machine := at(m, "_source.agent.name"), at(m, ev+"targetUserName")
	if machine != strings.ToUpper(host)+"$" {
		t.Errorf("machine account %q does not belong to host %q", machine, host)
	}
	computer := at(m, "_source.data.win.system.computer")
	if !strings.HasPrefix(computer, host+".") || len(computer) != len("Adm-Laptop7.kontoso.internal") || !strings.HasSuffix(computer, ".internal") {
		t.Errorf("computer %q of host %q", computer, host)
	}
	domain, user, ok := strings.Cut(at(m, ev+"user"), `\\`)
	if !ok || len(domain) != len("KONTOSO") || domain != strings.ToUpper(domain) || len(user) != len("ada.byron") || user[3] != '.' {
		t.Errorf("user %q", at(m, ev+"user"))
	}
	if !strings.Contains(computer, strings.ToLower(domain)) {
		t.Errorf("the domain is %s in one place and %s in another", domain, computer)
	}
	message := at(m, "_source.data.win.system.message")
	for _, part := range []string{domain + `\` + user, "0x" + strings.ToUpper(at(m, ev+"logonId")[2:]), strings.ToUpper(host), at(m, "_source.agent.ip")} {
		if !strings.Contains(strings.ToUpper(message), strings.ToUpper(part)) {
			t.Errorf("the message lacks %q: %s", part, message)
		}
	}
	if !strings.Contains(message, ".255") {
		t.Errorf("the broadcast address is one no more: %s", message)
	}
	if cmd := at(m, ev+"commandLine"); !strings.Contains(cmd, `C:\\Users\\`+user+`\\x.exe`) || !strings.Contains(cmd, `/to mail@`) {
		t.Errorf("command line %s", cmd)
	}
	a, b := at(m, "_source.data.pub"), at(m, "_source.data.pub2")
	if a[:strings.LastIndexByte(a, '.')] != b[:strings.LastIndexByte(b, '.')] || a == b {
		t.Errorf("%s and %s are of one network no more", a, b)
	}
	if d := at(m, "_source.rule.description"); !strings.Contains(d, user) {
		t.Errorf("description %q does not name the user %q", d, user)
	}
}

func TestRenameIsTheSameInEveryRecordAndForTheSameSeed(t *testing.T) {
	a := renamed(t, renameFixture, renameFixture)
	b := renamed(t, renameFixture)
	if d := cmp.Diff(a[0], a[1]); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(a[0], b[0]); d != "" {
		t.Error(d)
	}
}

// Records hold other records as text, and names there stand behind escapes. A name may be that
// of a file, as when a list of names was given to a tool by mistake: the kind of file stays.
func TestRenameInsideEscapesAndOfFiles(t *testing.T) {
	m := renamed(t, `{"user":"margaret","srcuser":"wordlist-of-names.txt","full_log":"{\"m\":\"Name:\\t\\tmargaret\\r\\nFrom:\\t10.20.4.17 S-1-5-21-1-22-333-1104\"}"}`)[0]
	log := at(m, "full_log")
	if strings.Contains(log, "margaret") || strings.Contains(log, "10.20.4.17") || strings.Contains(log, "-22-333-") || !strings.Contains(log, at(m, "user")) {
		t.Errorf("%s", log)
	}
	if u := at(m, "srcuser"); !strings.HasSuffix(u, ".txt") || strings.Contains(u, "names") {
		t.Errorf("%s", u)
	}
}

// A sensor may be called like the product on it: then the word stays where it means the product.
func TestRenameOfAHostCalledLikeAProduct(t *testing.T) {
	m := renamed(t, `{"agent":{"name":"Suricata"},"rule":{"description":"Suricata: Alert","groups":["suricata"]}}`)[0]
	if at(m, "agent.name") == "Suricata" || at(m, "rule.description") != "Suricata: Alert" {
		t.Errorf("got %v", m)
	}
}

func TestAddressesKeepClassAndSubnet(t *testing.T) {
	a := addresses{seed: 7, keep: func(netip.Addr) bool { return false }}
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.SampledFrom([]byte{10, 172, 192, 100, 169, 198, 203, 93, 8, 185, 127, 224}).Draw(t, "first")
		draw := func(n string) byte { return rapid.Byte().Draw(t, n) }
		x, y := [4]byte{first, draw("b"), draw("c"), draw("d")}, [4]byte{first, draw("e"), draw("f"), draw("g")}
		ax, ay := netip.AddrFrom4(x), netip.AddrFrom4(y)
		bx, by := a.rename(ax), a.rename(ay)
		if ax.IsPrivate() != bx.IsPrivate() || ax.IsLoopback() != bx.IsLoopback() || ax.IsMulticast() != bx.IsMulticast() || ax.IsLinkLocalUnicast() != bx.IsLinkLocalUnicast() {
			t.Fatalf("%s became %s, of another class", ax, bx)
		}
		if (ax == ay) != (bx == by) {
			t.Fatalf("%s and %s became %s and %s", ax, ay, bx, by)
		}
		for _, bits := range []int{8, 16, 24} {
			if same(ax, ay, bits) != same(bx, by, bits) {
				t.Fatalf("%s and %s: the /%d is shared before or after only: %s and %s", ax, ay, bits, bx, by)
			}
		}
	})
}

func same(a, b netip.Addr, bits int) bool {
	p, err := a.Prefix(bits)
	return err == nil && p.Contains(b)
}

func TestPseudonymsAreOneToOne(t *testing.T) {
	p := newPseudonyms(3)
	seen := map[string]string{}
	for i := range 2000 {
		w := "name" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		got := p.name(w)
		if got == w || len(got) != len(w) {
			t.Fatalf("%s became %s", w, got)
		}
		if other, ok := seen[got]; ok && other != w {
			t.Fatalf("%s and %s both became %s", w, other, got)
		}
		seen[got] = w
	}
	if a, b := p.name("Web-01"), p.name("WEB-01"); !strings.EqualFold(a, b) || b != strings.ToUpper(b) {
		t.Errorf("case: %s and %s", a, b)
	}
}

func FuzzTransformations(f *testing.F) {
	f.Add([]byte(renameFixture))
	f.Add([]byte(`{"a":[1,2,{"b":"2026-03-04 10:00:00"}],"user":"x","c":null,"d":"\ud800"}`))
	f.Add([]byte(`{"user":"","computer":"..","_id":"a","processGuid":"{}","q":"T1059 atomic test 1772618505"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !jsontext.Value(raw).IsValid(readOptions...) {
			return
		}
		names, err := CollectNames([][]byte{raw})
		if err != nil {
			t.Fatalf("valid JSON is refused: %v", err)
		}
		r := NewRenamer(names, 1)
		for _, fn := range []func([]byte) ([]byte, error){
			r.Rename, Neutralise, func(b []byte) ([]byte, error) { return ShiftTimes(b, controlShift, testSpan) },
		} {
			got, err := fn(raw)
			if err != nil {
				t.Fatalf("valid JSON is refused: %v", err)
			}
			if !jsontext.Value(got).IsValid(readOptions...) {
				t.Fatalf("%q became %q, which is not JSON", raw, got)
			}
		}
	})
}
