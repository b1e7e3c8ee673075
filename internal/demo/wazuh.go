package demo

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// wazuhLevel is a level of the middle of each band.
var wazuhLevel = map[string]int{"informational": 3, "low": 5, "medium": 8, "high": 12, "critical": 15}

// compliance is what Wazuh's rules say about standards.
var compliance = map[string][]string{
	"gdpr": {"IV_35.7.d"}, "hipaa": {"164.312.b"}, "nist_800_53": {"AU.14", "AC.7", "SI.4"}, "pci_dss": {"10.2.4", "10.2.5", "11.4"}, "tsc": {"CC6.1", "CC6.8", "CC7.2", "CC7.3"}, "gpg13": {"7.1"},
}

// wazuh tells an alert as the indexer of Wazuh 4 holds it.
func (s *story) wazuh(sig signature, h *host, at time.Time, decoder, location string, source object, t Truth) {
	s.fired[sig.id]++
	delay := time.Duration(s.number(fmt.Sprint("delay/", sig.id, s.fired[sig.id], at.Unix()), 900, 14000)) * time.Millisecond
	if t.Late {
		delay = 20 * time.Minute
	}
	seen := at.Add(delay)
	level := wazuhLevel[sig.severity]
	rule := object{
		"id": sig.id, "level": level, "description": sig.title, "groups": sig.groups, "firedtimes": s.fired[sig.id], "mail": level >= 12,
	}
	for standard, parts := range compliance {
		rule[standard] = parts
	}
	if len(sig.techniques) > 0 {
		var names []string
		for _, id := range sig.techniques {
			names = append(names, techniques[id].name)
		}
		rule["mitre"] = object{"id": sig.techniques, "tactic": sig.tactics(), "technique": names}
	}
	name := fmt.Sprint("wazuh/", sig.id, "/", s.fired[sig.id])
	agent := object{"id": h.agent, "name": h.name}
	if h.agent != "000" {
		agent["ip"] = h.ip
	}
	src := merge(object{
		"@timestamp": iso(seen), "timestamp": seen.Format("2006-01-02T15:04:05.000+0000"), "input": object{"type": "log"}, "agent": agent,
		"manager": object{"name": s.manager.name}, "cluster": object{"name": s.company, "node": "node01"}, "rule": rule, "location": location,
		"decoder": object{"name": decoder}, "id": fmt.Sprintf("%d.%s", seen.Unix(), s.digits(name, 7)),
	}, source)
	id := s.digest(name, 20)
	s.tell("wazuh", id, at, delay, line(object{"_index": "wazuh-alerts-4.x-" + seen.Format("2006.01.02"), "_id": id, "_score": nil, "_source": src}), t)
}

var providerGUIDs = map[string]string{
	"Microsoft-Windows-Sysmon":            "{5770385f-c22a-43e0-bf4c-06f5698ffbd9}",
	"Microsoft-Windows-Security-Auditing": "{54849625-5478-4994-a5ba-3e3b0328c30d}",
	"Service Control Manager":             "{555908d1-a6d7-4695-8e1e-26931d2012f4}",
}

// channel is the event log of a provider.
var channel = map[string]string{
	"Microsoft-Windows-Sysmon": "Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Security-Auditing": "Security", "Service Control Manager": "System",
}

// Providers of Windows events.
const (
	sysmon   = "Microsoft-Windows-Sysmon"
	security = "Microsoft-Windows-Security-Auditing"
	scm      = "Service Control Manager"
)

// eventdata is the data of a Windows event by the names of the event's template.
type eventdata map[string]string

// wazuhWindows tells an alert on a Windows event. Wazuh writes backslashes twice and the names
// of the data in camel case.
func (s *story) wazuhWindows(sig signature, h *host, at time.Time, provider, eventID, message string, data eventdata, t Truth) {
	twice := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	out := object{}
	for k, v := range data {
		out[strings.ToLower(k[:1])+k[1:]] = twice.Replace(v)
	}
	s.records[h.name]++
	sys := object{
		"providerName": provider, "providerGuid": providerGUIDs[provider], "eventID": eventID, "version": "2", "level": "4", "task": eventID, "opcode": "0",
		"keywords": "0x8020000000000000", "systemTime": at.Format("2006-01-02T15:04:05.0000000Z"), "eventRecordID": fmt.Sprint(s.number("record/"+h.name, 100000, 900000) + s.records[h.name]),
		"processID": fmt.Sprint(s.number("collector/"+h.name, 600, 4000)), "threadID": fmt.Sprint(s.number("thread/"+h.name, 600, 6000)), "channel": channel[provider],
		"computer": s.fqdn(h), "severityValue": "INFORMATION", "message": `"` + message + `:` + told(data) + `"`,
	}
	if strings.Contains(strings.ToLower(message), "fail") {
		sys["severityValue"], sys["keywords"], sys["level"] = "AUDIT_FAILURE", "0x8010000000000000", "0"
	} else if provider == security {
		sys["severityValue"], sys["level"] = "AUDIT_SUCCESS", "0"
	}
	s.wazuh(sig, h, at, "windows_eventchannel", "EventChannel", object{"data": object{"win": object{"system": sys, "eventdata": out}}}, t.on(h, userOf(data)))
}

// told is the message of an event as Windows renders it.
func told(data eventdata) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(data)) {
		fmt.Fprintf(&b, "\r\n%s: %s", k, data[k])
	}
	return b.String()
}

func userOf(data eventdata) string {
	for _, k := range [...]string{"User", "TargetUserName", "SubjectUserName"} {
		if v := data[k]; v != "" && v != "-" {
			return bare(v)
		}
	}
	return ""
}

func (s *story) sysmonProcess(p *process) eventdata {
	d := eventdata{
		"RuleName": "-", "UtcTime": p.at.Format("2006-01-02 15:04:05.000"), "ProcessGuid": s.processGUID(p), "ProcessId": fmt.Sprint(s.pid(p)), "Image": p.image,
		"FileVersion": "-", "Description": "-", "Product": p.product, "Company": p.signer, "OriginalFileName": p.compiled(), "CommandLine": p.cmd, "CurrentDirectory": or(p.cwd, sys32),
		"User": p.account(), "LogonGuid": "{" + s.guid("logonguid/"+p.host.name+p.session) + "}", "LogonId": s.logonID(p), "TerminalSessionId": p.terminal(),
		"IntegrityLevel": p.level(), "Hashes": s.hashes(p),
	}
	if p.signer == windows {
		d["Company"], d["Product"] = microsoft, "Microsoft® Windows® Operating System"
	}
	if p.signer == "" {
		d["Company"], d["Product"] = "-", "-"
	}
	if q := p.parent; q != nil {
		d["ParentProcessGuid"], d["ParentProcessId"], d["ParentImage"], d["ParentCommandLine"], d["ParentUser"] = s.processGUID(q), fmt.Sprint(s.pid(q)), q.image, q.cmd, q.account()
	}
	return d
}

func (p *process) terminal() string {
	if p.user == "" {
		return "0"
	}
	return "2"
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// wazuhProcess tells an alert on a process start that Sysmon logged.
func (s *story) wazuhProcess(sig signature, p *process, t Truth) {
	s.wazuhWindows(sig, p.host, p.at, sysmon, "1", "Process Create", s.sysmonProcess(p), t)
}

// wazuhFile tells an alert on a file that p wrote.
func (s *story) wazuhFile(sig signature, p *process, path string, at time.Time, t Truth) {
	s.wazuhWindows(sig, p.host, at, sysmon, "11", "File created", eventdata{
		"RuleName": "-", "UtcTime": at.Format("2006-01-02 15:04:05.000"), "ProcessGuid": s.processGUID(p), "ProcessId": fmt.Sprint(s.pid(p)), "Image": p.image,
		"TargetFilename": path, "CreationUtcTime": at.Format("2006-01-02 15:04:05.000"), "User": p.account(),
	}, t)
}

// wazuhService tells an alert on a new service: event 7045 of the service control manager.
func (s *story) wazuhService(sig signature, h *host, at time.Time, name, path, start, account string, t Truth) {
	s.wazuhWindows(sig, h, at, scm, "7045", "A service was installed in the system", eventdata{
		"ServiceName": name, "ImagePath": path, "ServiceType": "user mode service", "StartType": start, "AccountName": account,
	}, t)
}

// logonEvent is the data of events 4624 and 4625.
func (s *story) logonEvent(h *host, user, kind, pack, workstation, ip, session string) eventdata {
	d := eventdata{
		"SubjectUserSid": "S-1-0-0", "SubjectUserName": "-", "SubjectDomainName": "-", "SubjectLogonId": "0x0", "TargetUserSid": s.sid(user), "TargetUserName": user,
		"TargetDomainName": s.netbios, "LogonType": kind, "LogonProcessName": "NtLmSsp", "AuthenticationPackageName": pack, "WorkstationName": workstation,
		"TransmittedServices": "-", "LmPackageName": "-", "KeyLength": "0", "ProcessId": "0x0", "ProcessName": "-", "IpAddress": ip,
		"IpPort": fmt.Sprint(s.number("port/"+h.name+user+session+ip, 49200, 65000)),
	}
	if pack == "Kerberos" {
		d["LogonProcessName"], d["WorkstationName"] = "Kerberos", "-"
	}
	if kind == "10" {
		d["LogonProcessName"] = "User32"
	}
	if session != "" {
		d["TargetLogonId"], d["LogonGuid"], d["ImpersonationLevel"], d["ElevatedToken"], d["VirtualAccount"] = s.session(h, session), "{"+s.guid("logonguid/"+h.name+session)+"}", "%%1833", "%%1842", "%%1843"
	}
	return d
}

// informs is what publishers of signatures write beside the priority.
var informs = map[int]string{1: "Major", 2: "Minor", 3: "Informational"}

// suricata tells an alert of the intrusion detection system that Wazuh carries.
func (s *story) suricata(sensor *host, sid int, name, category string, priority int, at time.Time, src string, sport int, dst string, dport int, proto, app string, more object, t Truth) {
	flow := object{"pkts_toserver": s.number(fmt.Sprint(src, dst, at, "p"), 3, 40), "pkts_toclient": s.number(fmt.Sprint(src, dst, at, "q"), 2, 60), "bytes_toserver": s.number(fmt.Sprint(src, dst, at), 400, 9000),
		"bytes_toclient": s.number(fmt.Sprint(dst, src, at), 300, 90000), "start": at.Add(-2 * time.Second).Format("2006-01-02T15:04:05.000000+0000")}
	data := merge(object{
		"timestamp": at.Format("2006-01-02T15:04:05.000000+0000"), "flow_id": s.digits(fmt.Sprint("flow", src, dst, sport, at), 16), "in_iface": "ens192", "event_type": "alert",
		"src_ip": src, "src_port": fmt.Sprint(sport), "dest_ip": dst, "dest_port": fmt.Sprint(dport), "proto": proto, "app_proto": app, "flow": flow,
		"alert": object{"action": "allowed", "gid": "1", "signature_id": fmt.Sprint(sid), "rev": "3", "signature": name, "category": category, "severity": fmt.Sprint(priority),
			"metadata": object{"signature_severity": []string{informs[priority]}, "attack_target": []string{"Client_and_Server"}, "deployment": []string{"Perimeter", "Internal"}, "created_at": []string{"2024_03_11"}, "updated_at": []string{"2026_02_04"}}},
	}, more)
	s.wazuh(signature{id: "86601", title: "Suricata: Alert - " + name, severity: "informational", groups: []string{"ids", "suricata"}}, sensor, at, "json", "/var/log/suricata/eve.json", object{"data": data}, t.on(sensor, ""))
}

// cloudTrail tells an alert on a call of the AWS API that Wazuh carries.
func (s *story) cloudTrail(sig signature, at time.Time, c call, t Truth) {
	aws := merge(c.trail(s.world, at), object{
		"source": "cloudtrail", "aws_account_id": s.awsAccount,
		"log_info": object{"aws_account_alias": s.company + "-prod", "log_file": "AWSLogs/" + s.awsAccount + "/CloudTrail/" + c.region() + at.Format("/2006/01/02/") + s.digest("log"+c.event, 12) + ".json.gz", "s3bucket": s.company + "-cloudtrail"},
	})
	s.wazuh(sig, s.manager, at, "json", "Wazuh-AWS", object{"data": object{"integration": "aws", "aws": aws}}, t.on(nil, c.user))
}

// office365 tells an alert on a record of the Office 365 audit log that Wazuh carries.
func (s *story) office365(sig signature, at time.Time, operation, workload, user, ip string, record object, t Truth) {
	data := merge(object{
		"Id": s.guid(fmt.Sprint("o365/", operation, at)), "CreationTime": at.Format("2006-01-02T15:04:05"), "Operation": operation, "Workload": workload, "UserId": user, "UserKey": s.digest("userkey"+user, 16),
		"ClientIP": ip, "OrganizationId": s.guid("tenant"), "RecordType": "1", "ResultStatus": "True", "UserType": "0", "Version": "1", "Subscription": "Audit." + workload,
	}, record)
	s.wazuh(sig, s.manager, at, "json", "office365", object{"data": object{"integration": "office365", "office365": data}}, t.on(nil, user))
}
