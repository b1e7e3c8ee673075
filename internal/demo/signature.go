package demo

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// signature is a detection of a product.
type signature struct {
	id, title, text string
	// severity is informational, low, medium, high or critical.
	severity   string
	techniques []string
	groups     []string // of Wazuh
}

// object is JSON; encoding/json writes its members in order of their names.
type object = map[string]any

// line writes a record as one line, with < and & as they are.
func line(o object) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(o); err != nil {
		panic("demo: " + err.Error()) // o holds strings, numbers, lists and objects
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// text is JSON as products put it into a column of text.
func text(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("demo: " + err.Error())
	}
	return strings.TrimRight(b.String(), "\n")
}

func iso(t time.Time) string { return t.Format("2006-01-02T15:04:05.000Z") }

func merge(into object, from ...object) object {
	for _, f := range from {
		for k, v := range f {
			into[k] = v
		}
	}
	return into
}

// technique is what products print beside an id. Names are those of ATT&CK.
type technique struct{ name, tactic, tacticID string }

var techniques = map[string]technique{
	"T1003.001": {"LSASS Memory", "Credential Access", "TA0006"},
	"T1003.006": {"DCSync", "Credential Access", "TA0006"},
	"T1018":     {"Remote System Discovery", "Discovery", "TA0007"},
	"T1021.001": {"Remote Desktop Protocol", "Lateral Movement", "TA0008"},
	"T1021.002": {"SMB/Windows Admin Shares", "Lateral Movement", "TA0008"},
	"T1033":     {"System Owner/User Discovery", "Discovery", "TA0007"},
	"T1046":     {"Network Service Discovery", "Discovery", "TA0007"},
	"T1053.005": {"Scheduled Task", "Persistence", "TA0003"},
	"T1059.001": {"PowerShell", "Execution", "TA0002"},
	"T1059.004": {"Unix Shell", "Execution", "TA0002"},
	"T1069.002": {"Domain Groups", "Discovery", "TA0007"},
	"T1078":     {"Valid Accounts", "Initial Access", "TA0001"},
	"T1078.004": {"Cloud Accounts", "Initial Access", "TA0001"},
	"T1087.002": {"Domain Account", "Discovery", "TA0007"},
	"T1098":     {"Account Manipulation", "Persistence", "TA0003"},
	"T1098.001": {"Additional Cloud Credentials", "Persistence", "TA0003"},
	"T1098.003": {"Additional Cloud Roles", "Persistence", "TA0003"},
	"T1098.005": {"Device Registration", "Persistence", "TA0003"},
	"T1105":     {"Ingress Tool Transfer", "Command and Control", "TA0011"},
	"T1110":     {"Brute Force", "Credential Access", "TA0006"},
	"T1110.001": {"Password Guessing", "Credential Access", "TA0006"},
	"T1114.002": {"Remote Email Collection", "Collection", "TA0009"},
	"T1133":     {"External Remote Services", "Initial Access", "TA0001"},
	"T1135":     {"Network Share Discovery", "Discovery", "TA0007"},
	"T1136.003": {"Cloud Account", "Persistence", "TA0003"},
	"T1190":     {"Exploit Public-Facing Application", "Initial Access", "TA0001"},
	"T1204.001": {"Malicious Link", "Execution", "TA0002"},
	"T1213.002": {"Sharepoint", "Collection", "TA0009"},
	"T1219":     {"Remote Access Tools", "Command and Control", "TA0011"},
	"T1482":     {"Domain Trust Discovery", "Discovery", "TA0007"},
	"T1486":     {"Data Encrypted for Impact", "Impact", "TA0040"},
	"T1489":     {"Service Stop", "Impact", "TA0040"},
	"T1490":     {"Inhibit System Recovery", "Impact", "TA0040"},
	"T1543.003": {"Windows Service", "Persistence", "TA0003"},
	"T1547.001": {"Registry Run Keys / Startup Folder", "Persistence", "TA0003"},
	"T1550.004": {"Web Session Cookie", "Lateral Movement", "TA0008"},
	"T1556.006": {"Multi-Factor Authentication", "Persistence", "TA0003"},
	"T1557":     {"Adversary-in-the-Middle", "Credential Access", "TA0006"},
	"T1564.008": {"Email Hiding Rules", "Defense Evasion", "TA0005"},
	"T1566.002": {"Spearphishing Link", "Initial Access", "TA0001"},
	"T1569.002": {"Service Execution", "Execution", "TA0002"},
	"T1570":     {"Lateral Tool Transfer", "Lateral Movement", "TA0008"},
	"T1580":     {"Cloud Infrastructure Discovery", "Discovery", "TA0007"},
	"T1595.002": {"Vulnerability Scanning", "Reconnaissance", "TA0043"},
}

func (s *signature) tactics() []string {
	var out []string
	for _, id := range s.techniques {
		out = append(out, techniques[id].tactic)
	}
	return out
}

func upper(s string) string { return strings.ToUpper(s) }
