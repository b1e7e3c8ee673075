package demo

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

var elasticRisk = map[string]int{"low": 21, "medium": 47, "high": 73, "critical": 99}

// elastic tells a detection alert of Elastic Security about an event of a data set.
func (s *story) elastic(sig signature, at time.Time, dataset string, doc object, t Truth) {
	ruleUUID := fixedGUID("elastic/uuid/" + sig.id)
	name := fmt.Sprint("elastic/", sig.id, "/", at.UnixMilli(), "/", t.Host, t.User)
	delay := time.Duration(s.number("delay/"+name, 20, 100)) * time.Second
	if t.Late {
		delay = 20 * time.Minute
	}
	seen, id := at.Add(delay), s.digest(name, 64)
	event, _ := doc["event"].(object)
	event = merge(object{"dataset": dataset, "ingested": iso(at.Add(3 * time.Second)), "created": iso(at.Add(time.Second))}, event, object{"kind": "signal"})
	alert := object{
		"kibana.alert.uuid": id, "kibana.alert.rule.name": sig.title, "kibana.alert.rule.description": sig.text, "kibana.alert.rule.rule_id": fixedGUID("elastic/" + sig.id),
		"kibana.alert.rule.uuid": ruleUUID, "kibana.alert.rule.category": "Custom Query Rule", "kibana.alert.rule.producer": "siem",
		"kibana.alert.rule.rule_type_id": "siem.queryRule", "kibana.alert.rule.revision": 2, "kibana.alert.rule.execution.uuid": s.guid("run/" + name),
		"kibana.alert.rule.tags": []string{s.company, "Use Case: Threat Detection"},
		"kibana.alert.severity":  sig.severity, "kibana.alert.risk_score": elasticRisk[sig.severity], "kibana.alert.status": "active", "kibana.alert.workflow_status": "open", "kibana.alert.depth": 1,
		"kibana.alert.original_time": iso(at), "kibana.alert.original_event.kind": "event", "kibana.alert.original_event.dataset": dataset, "kibana.alert.original_event.action": event["action"],
		"kibana.alert.ancestors": []object{{"id": s.digest("doc/"+name, 20), "type": "event", "index": ".ds-logs-" + dataset + "-default-2026.10.01-000004", "depth": 0}},
		"kibana.alert.reason":    sig.title + " created " + sig.severity + " alert.",
		"kibana.space_ids":       []string{"default"}, "ecs": object{"version": "8.11.0"}, "@timestamp": iso(seen), "event": event,
		"data_stream": object{"type": "logs", "dataset": dataset, "namespace": "default"},
	}
	if threat := threat(sig); len(threat) > 0 {
		alert["kibana.alert.rule.threat"] = threat
	}
	for k, v := range doc {
		if k != "event" {
			alert[k] = v
		}
	}
	s.tell("elastic", id, at, delay, line(object{"_index": ".internal.alerts-security.alerts-default-000007", "_id": id, "_source": alert}), t)
}

func threat(sig signature) []object {
	var out []object
	for _, id := range sig.techniques {
		t := techniques[id]
		parent := object{"id": id[:5], "reference": "https://attack.mitre.org/techniques/" + id[:5] + "/"}
		if len(id) > 5 {
			parent["subtechnique"] = []object{{"id": id, "name": t.name}}
		} else {
			parent["name"] = t.name
		}
		out = append(out, object{"framework": "MITRE ATT&CK", "tactic": object{"id": t.tacticID, "name": t.tactic}, "technique": []object{parent}})
	}
	return out
}

func (s *story) ecsHost(h *host) object {
	os := object{"type": h.os, "family": h.os, "platform": h.os, "name": "Windows 11 Enterprise", "version": "10.0"}
	switch {
	case h.os == "linux":
		os["name"], os["version"], os["platform"] = "Ubuntu", "24.04.1 LTS", "ubuntu"
	case !strings.Contains(h.name, "-WS-"):
		os["name"] = "Windows Server 2022 Datacenter"
	}
	return object{"name": h.name, "hostname": h.name, "ip": []string{h.ip}, "id": s.guid("hostid/" + h.name), "os": os}
}

func (s *story) agent(h *host, kind string) object {
	return object{"type": kind, "id": s.guid("agent/" + h.name), "name": h.name, "version": "8.15.2"}
}

func ecsUser(account string) object {
	u := object{"name": bare(account)}
	if len(account) > len(bare(account)) {
		u["domain"] = account[:len(account)-len(bare(account))-1]
	}
	return u
}

func (s *story) ecsProcess(p *process) object {
	o := object{
		"entity_id": s.processGUID(p), "pid": s.pid(p), "name": base(p.image), "executable": p.image, "command_line": p.cmd, "start": iso(p.at), "working_directory": or(p.cwd, sys32),
		"hash": object{"sha256": s.sha256(p)}, "pe": object{"original_file_name": p.compiled()}, "Ext": object{"token": object{"integrity_level_name": p.level()}},
	}
	if p.signer != "" {
		o["code_signature"] = object{"exists": true, "status": "trusted", "subject_name": p.signer, "trusted": true, "valid": true}
		o["pe"] = object{"original_file_name": p.compiled(), "company": p.signer, "product": p.product}
	} else {
		o["code_signature"] = object{"exists": false}
	}
	if q := p.parent; q != nil {
		o["parent"] = object{"entity_id": s.processGUID(q), "pid": s.pid(q), "name": base(q.image), "executable": q.image, "command_line": q.cmd}
	}
	return o
}

// winlog is what Winlogbeat keeps of the Windows event itself.
func (s *story) winlog(h *host, provider, id string, data eventdata) object {
	s.records[h.name]++
	return object{
		"channel": channel[provider], "provider_name": provider, "event_id": id, "computer_name": s.fqdn(h),
		"record_id": fmt.Sprint(s.number("record/"+h.name, 100000, 900000) + s.records[h.name]), "event_data": data,
	}
}

// elasticProcess tells an alert on a process start: the Sysmon event that Winlogbeat ships.
func (s *story) elasticProcess(sig signature, p *process, t Truth) {
	data := eventdata{"LogonId": s.logonID(p), "IntegrityLevel": p.level(), "TerminalSessionId": p.terminal(), "RuleName": "-"}
	if p.parent != nil {
		data["ParentUser"] = p.parent.account()
	}
	user := ecsUser(p.account())
	user["id"] = "S-1-5-18"
	if p.user != "" {
		user["id"] = s.sid(bare(p.user))
	}
	s.elastic(sig, p.at, "windows.sysmon_operational", object{
		"event":   object{"category": []string{"process"}, "type": []string{"start"}, "action": "Process Create (rule: ProcessCreate)", "code": "1", "module": "windows", "provider": sysmon},
		"process": s.ecsProcess(p), "user": user, "host": s.ecsHost(p.host), "agent": s.agent(p.host, "winlogbeat"), "winlog": s.winlog(p.host, sysmon, "1", data),
	}, t.on(p.host, bare(p.account())))
}

// elasticWindows tells an alert on a Windows event that has no fields of its own in ECS.
func (s *story) elasticWindows(sig signature, h *host, at time.Time, provider, id, action, outcome string, data eventdata, more object, t Truth) {
	dataset := "system.security"
	if provider == scm {
		dataset = "system.system"
	} else if provider == sysmon {
		dataset = "windows.sysmon_operational"
	}
	s.elastic(sig, at, dataset, merge(object{
		"event": object{"category": []string{"configuration"}, "type": []string{"info"}, "action": action, "outcome": outcome, "code": id, "module": "system", "provider": provider},
		"host":  s.ecsHost(h), "agent": s.agent(h, "winlogbeat"), "winlog": s.winlog(h, provider, id, data),
	}, more), t.on(h, userOf(data)))
}

// elasticCloudTrail tells an alert on a call of the AWS API.
func (s *story) elasticCloudTrail(sig signature, at time.Time, c call, t Truth) {
	outcome := "success"
	if c.failure != "" {
		outcome = "failure"
	}
	identity := object{"type": c.kind(), "arn": c.arn(s.world), "access_key_id": c.key, "account_id": s.awsAccount}
	if c.role != "" {
		identity["session_context"] = object{"session_issuer": object{"type": "Role", "arn": "arn:aws:iam::" + s.awsAccount + ":role/" + c.role, "user_name": c.role}, "mfa_authenticated": "false"}
	}
	trail := object{
		"event_version": "1.09", "event_type": "AwsApiCall", "event_category": "Management", "recipient_account_id": s.awsAccount, "request_id": s.guid(fmt.Sprint("request", c.event, at)),
		"request_parameters": text(c.request), "response_elements": text(c.response), "user_identity": identity, "read_only": c.response == nil,
		"flattened": object{"request_parameters": c.request},
	}
	if c.failure != "" {
		trail["error_code"] = c.failure
	}
	s.elastic(sig, at, "aws.cloudtrail", object{
		"event": object{"category": []string{"iam"}, "type": []string{"change"}, "action": c.event, "outcome": outcome, "provider": c.service + ".amazonaws.com", "module": "aws", "id": s.guid(fmt.Sprint("event", c.event, at))},
		"aws":   object{"cloudtrail": trail}, "user": object{"name": c.user}, "cloud": object{"provider": "aws", "region": c.region(), "account": object{"id": s.awsAccount}},
		"source": source(c.ip), "user_agent": object{"original": c.agent}, "agent": object{"type": "filebeat", "name": "collector-01", "version": "8.15.2"},
	}, t.on(nil, c.user))
}

func source(ip string) object {
	o := object{"ip": ip, "address": ip}
	if a, err := netip.ParseAddr(ip); err == nil && !a.IsPrivate() {
		o["as"] = object{"number": 64500 + int(a.As4()[2])%40, "organization": object{"name": network(ip)}}
	}
	return o
}
