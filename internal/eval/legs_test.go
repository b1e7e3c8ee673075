package eval_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/eval"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/sigma"
	"github.com/aluskort/aluskort/rules"
)

// decisiveBits is what one benign item must weigh to carry a benign verdict.
const decisiveBits = 3

// publicRange reports whether text is a range of addresses that somebody in particular owns.
func publicRange(text string) bool {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return false
	}
	a := p.Addr()
	return !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.IsMulticast()
}

// Where an address belongs is no proof of what came from there, and a set whose addresses were
// renamed no longer shows it: no benign rule that decides by itself may rest on public ranges.
func TestNoBenignVerdictHangsOnPublicAddresses(t *testing.T) {
	all, report, err := sigma.LoadDir(rules.FS)
	if err != nil || len(report.Problems) > 0 {
		t.Fatal(err, report.Problems)
	}
	weights := map[string]float64{}
	for _, r := range all {
		weights[r.Title] = r.Weight
	}
	seen := 0
	for _, r := range benignRules(t) {
		ranges := 0
		for _, list := range r.fields {
			for _, l := range list {
				if strings.HasPrefix(l.modifier, "cidr") && publicRange(l.text) {
					ranges++
				}
			}
		}
		if ranges == 0 {
			continue
		}
		seen++
		if w := weights[r.title]; w <= -decisiveBits || w == 0 {
			t.Errorf("%q weighs %v bits and rests on %d public ranges", r.title, w, ranges)
		}
	}
	if seen == 0 {
		t.Error("no rule with ranges was found: the test looks at nothing")
	}
}

const updateAlert = `{"_id":"%s","_source":{"agent":{"ip":"192.168.7.2","name":"sensor-1","id":"004"},"manager":{"name":"mgr"},
"data":{"app_proto":"http","src_ip":"%s","src_port":"80","dest_ip":"192.168.7.30","dest_port":"50112","proto":"TCP","event_type":"alert",
"alert":{"severity":"3","signature_id":"2014819","gid":"1","signature":"ET INFO Packed Executable Download","category":"Misc activity","action":"allowed"},
"http":{"hostname":"%s","http_method":"GET","protocol":"HTTP/1.1","status":"206","http_user_agent":"Microsoft-Delivery-Optimization/10.1",
"url":"/d/msdownload/update/software/defu/2026/11/am_delta_9.9.9.exe?cacheHostOrigin=au.download.windowsupdate.com"}},
"rule":{"level":3,"description":"Suricata: Alert - ET INFO Packed Executable Download","groups":["ids","suricata"],"id":"86601"},
"location":"/var/log/suricata/eve.json","decoder":{"name":"json"},"id":"%s","timestamp":"2026-11-03T08:18:42.520+0000"}}`

const packageAlert = `{"_id":"%s","_source":{"agent":{"ip":"192.168.7.2","name":"sensor-1","id":"004"},"manager":{"name":"mgr"},
"data":{"app_proto":"http","src_ip":"192.168.7.31","src_port":"50200","dest_ip":"%s","dest_port":"80","proto":"TCP","event_type":"alert",
"alert":{"severity":"3","signature_id":"2013504","gid":"1","signature":"ET POLICY GNU/Linux APT User-Agent Outbound likely related to package management","category":"Not Suspicious Traffic","action":"allowed"},
"http":{"hostname":"%s","http_method":"GET","protocol":"HTTP/1.1","status":"200","http_user_agent":"Debian APT-HTTP/1.3","url":"/ubuntu/dists/x/InRelease"}},
"rule":{"level":3,"description":"Suricata: Alert - package management","groups":["ids","suricata"],"id":"86601"},
"location":"/var/log/suricata/eve.json","decoder":{"name":"json"},"id":"%s","timestamp":"2026-11-03T08:19:42.520+0000"}}`

// The same traffic from the networks of the vendor and from others has the same verdict, and
// the words that the client writes itself call no download of a packed program harmless.
func TestVerdictsDoNotHangOnWhoseAddressItIs(t *testing.T) {
	var records [][]byte
	for i, ip := range []string{"13.107.4.50", "203.0.113.8"} {
		records = append(records, fmt.Appendf(nil, updateAlert, fmt.Sprint("upd", i), ip, ip, fmt.Sprint("1.", i)))
	}
	for i, ip := range []string{"185.125.190.36", "203.0.113.9"} {
		records = append(records, fmt.Appendf(nil, packageAlert, fmt.Sprint("apt", i), ip, ip, fmt.Sprint("2.", i)))
	}
	got := classesOf(t, records, true)
	if got[0] != got[1] || got[2] != got[3] {
		t.Errorf("the address decides: updates %v, packages %v", got[:2], got[2:])
	}
	if got[0].Benign() {
		t.Errorf("an executable is called %s for what its client wrote", got[0])
	}
	if got[2] != evidence.FalsePositive {
		t.Errorf("package management, not suspicious by its publisher, is %s", got[2])
	}
}

func classesOf(t *testing.T, records [][]byte, alone bool) []evidence.Classification {
	t.Helper()
	judged, err := judge(t)(t.Context(), records, alone)
	if err != nil {
		t.Fatal(err)
	}
	var out []evidence.Classification
	for i := range judged {
		if judged[i].Line.Result == nil {
			t.Fatalf("record %d was rejected: %+v", i, judged[i].Line.Rejection)
		}
		out = append(out, judged[i].Line.Investigation.Classification)
	}
	return out
}

const sysmonAlert = `{"_id":"%[1]s","_source":{"agent":{"ip":"192.168.7.40","name":"ws-40","id":"040"},"manager":{"name":"mgr"},
"data":{"win":{"eventdata":{"image":"C:\\\\Windows\\\\System32\\\\WindowsPowerShell\\\\v1.0\\\\powershell.exe","processGuid":"{%[2]s}","processId":"4711",
"utcTime":"2026-11-03 08:20:0%[3]d.100","user":"EXAMPLE\\\\ada"%[4]s},"system":{"channel":"Microsoft-Windows-Sysmon/Operational","providerName":"Microsoft-Windows-Sysmon",
"computer":"ws-40.example.com","eventID":"%[5]s","systemTime":"2026-11-03T08:20:0%[3]d.1000000Z"}}},
"rule":{"level":%[6]d,"description":"%[7]s","groups":["sysmon"],"id":"9%[1]s"},"location":"EventChannel","decoder":{"name":"windows_eventchannel"},
"id":"3.%[1]s","timestamp":"2026-11-03T08:20:0%[3]d.520+0000"}}`

func asksDirectory(id, process string) []byte {
	return fmt.Appendf(nil, sysmonAlert, id, process, 1, `,"initiated":"true","protocol":"tcp","sourceIp":"192.168.7.40","destinationIp":"192.168.7.5","destinationPort":"389"`,
		"3", 6, "Script host speaks LDAP")
}

func packsArchive(id, process string) []byte {
	return fmt.Appendf(nil, sysmonAlert, id, process, 3, `,"targetFilename":"C:\\\\Users\\\\ada\\\\AppData\\\\Local\\\\Temp\\\\inventory.zip"`, "11", 10, "Archive by a script host")
}

// Asking the directory and packing an archive are each dual use. By one process they are the
// collection of a directory, whatever the archive is called; by two processes they are not.
func TestDirectoryCollectionNeedsBothHalves(t *testing.T) {
	const one, two = "5f1d2c7a-90b1-6923-1402-000000000b00", "5f1d2c7a-90b1-6923-1502-000000000b00"
	for _, c := range []struct {
		name    string
		records [][]byte
		found   bool
	}{
		{"both by one process", [][]byte{asksDirectory("11", one), packsArchive("12", one)}, true},
		{"the other order", [][]byte{packsArchive("12", one), asksDirectory("11", one)}, true},
		{"two processes", [][]byte{asksDirectory("11", one), packsArchive("12", two)}, false},
		{"asks twice", [][]byte{asksDirectory("11", one), asksDirectory("13", one)}, false},
		{"packs alone", [][]byte{packsArchive("12", one)}, false},
	} {
		for i, got := range classesOf(t, c.records, false) {
			if (got == evidence.TruePositive) != c.found {
				t.Errorf("%s: alert %d is %s", c.name, i, got)
			}
		}
	}
}

// What a rule counts over several alerts hangs on that rule like what it finds in one.
func TestAblationCountsRepetition(t *testing.T) {
	const one = "5f1d2c7a-90b1-6923-1402-000000000b00"
	records := [][]byte{asksDirectory("11", one), packsArchive("12", one)}
	labels := map[string]eval.Truth{"11": {Label: eval.Positive}, "12": {Label: eval.Positive}}
	rep, err := eval.Triage(t.Context(), judge(t), records, labels, eval.Options{Ablate: true, Rescore: eval.NewRescorer()})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Ablation.Unreproduced > 0 || len(rep.Ablation.Worst) == 0 || rep.Ablation.Worst[0].RecallPoints > -99 {
		t.Errorf("both verdicts hang on the counted rule: %+v", rep.Ablation)
	}
}
