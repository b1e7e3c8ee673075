package demo

import (
	"fmt"
	"strings"
	"time"
)

// splunk tells a notable event of a correlation search. fields are what the search passed on.
func (s *story) splunk(sig signature, at time.Time, domain string, fields object, t Truth) {
	name := fmt.Sprint("splunk/", sig.id, "/", at.UnixMilli(), "/", fields["dest"], fields["user"], fields["src"])
	delay := time.Duration(s.number("delay/"+name, 35, 150)) * time.Second
	if t.Late {
		delay = 20 * time.Minute
	}
	seen := at.Add(delay)
	rule := strings.ToUpper(domain[:1]) + domain[1:] + " - " + sig.title + " - Rule"
	id := strings.ToUpper(s.guid("notable/"+name)) + "@@notable@@" + s.digest("notable/"+name, 32)
	sid := fmt.Sprintf("scheduler__admin__%s__RMD5%s_at_%d_%d", "U0EtRW5kcG9pbnRQcm90ZWN0aW9u", fixedGUID("sid/" + sig.id)[:16], seen.Unix()/60*60, s.number("sid"+name, 1000, 99999))
	var tactics []string
	for _, x := range sig.tactics() {
		tactics = append(tactics, strings.ToLower(strings.ReplaceAll(x, " ", "-")))
	}
	o := merge(object{
		"_time": seen.Format("2006-01-02T15:04:05.000+00:00"), "event_id": id, "event_hash": s.digest("notable/"+name, 32), "rule_id": id, "search_name": rule, "source": rule, "rule_name": sig.title, "rule_title": sig.title,
		"rule_description": sig.text, "security_domain": domain, "severity": sig.severity, "urgency": sig.severity, "priority": "medium", "index": "notable", "sourcetype": "stash", "host": "es-sh-01",
		"splunk_server": "idx-0" + s.digits(name, 1)[:1], "owner": "unassigned", "owner_realname": "unassigned", "status": "1", "status_label": "New", "status_group": "New", "notable_type": "notable",
		"orig_time": fmt.Sprint(at.Unix()), "info_min_time": fmt.Sprint(at.Unix() - 600), "info_max_time": fmt.Sprint(seen.Unix()), "info_search_time": fmt.Sprintf("%d.412", seen.Unix()), "orig_sid": sid, "orig_rid": "0",
		"drilldown_name": "View the contributing events", "drilldown_search": `| from datamodel:"` + strings.ToUpper(domain[:1]) + domain[1:] + `" | search dest="$dest$" user="$user$"`,
		"linecount": "1", "_cd": fmt.Sprintf("%d:%s", s.number(name, 20, 90), s.digits("cd"+name, 7)), "_bkt": "notable~" + s.digits("bkt"+name, 2) + "~" + strings.ToUpper(s.guid("index")),
		"_indextime": fmt.Sprint(seen.Unix() + 1), "timestartpos": "0", "eventtype": []string{"modnotable_results", "notable"}, "tag": []string{"modaction_result"},
		"disposition": "disposition:6", "disposition_label": "Undetermined", "review_time": nil, "savedsearch_description": sig.text,
	}, fields)
	if len(sig.techniques) > 0 {
		o["annotations"] = text(object{"mitre_attack": sig.techniques})
		o["annotations.mitre_attack"], o["annotations.mitre_attack.mitre_technique_id"], o["annotations.mitre_attack.mitre_tactic"] = sig.techniques, sig.techniques, tactics
		o["annotations._frameworks"] = "mitre_attack"
	}
	s.tell("splunk", id, at, delay, line(o), t)
}

// splunkProcess tells a notable on a process start: Sysmon's event through the Endpoint data
// model.
func (s *story) splunkProcess(sig signature, p *process, t Truth) {
	f := object{
		"dest": p.host.name, "dest_nt_host": p.host.name, "dest_ip": p.host.ip, "user": bare(p.account()), "user_id": p.account(), "process": p.cmd, "process_name": base(p.image), "process_path": p.image,
		"process_exec": base(p.image), "process_guid": s.processGUID(p), "process_id": fmt.Sprint(s.pid(p)), "process_hash": s.hashes(p), "process_integrity_level": strings.ToLower(p.level()),
		"original_file_name": p.compiled(), "process_current_directory": or(p.cwd, sys32), "vendor_product": "Microsoft Sysmon", "orig_sourcetype": "XmlWinEventLog:Microsoft-Windows-Sysmon/Operational",
		"EventCode": "1", "action": "allowed", "Company": p.signer, "logon_id": s.logonID(p), "count": "1",
	}
	if p.signer == windows {
		f["Company"] = microsoft
	}
	if q := p.parent; q != nil {
		f["parent_process"], f["parent_process_name"], f["parent_process_path"], f["parent_process_guid"], f["parent_process_id"] = q.cmd, base(q.image), q.image, s.processGUID(q), fmt.Sprint(s.pid(q))
	}
	s.splunk(sig, p.at, "endpoint", f, t.on(p.host, bare(p.account())))
}
