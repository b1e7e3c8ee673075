package demo

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// provider is a product behind Microsoft Sentinel, as its columns name it.
type provider struct{ name, product, component string }

var (
	defender   = provider{"MDATP", "Microsoft Defender Advanced Threat Protection", ""}
	identity   = provider{"Azure Advanced Threat Protection", "Azure Advanced Threat Protection", ""}
	protection = provider{"IPC", "Azure Active Directory Identity Protection", ""}
	cloudApps  = provider{"MCAS", "Microsoft Cloud App Security", ""}
	office     = provider{"OATP", "Office 365 Advanced Threat Protection", ""}
	xdr        = provider{"MTP", "Microsoft 365 Defender", ""}
	scheduled  = provider{"ASI Scheduled Alerts", "Azure Sentinel", "Scheduled Alerts"}
)

// entity is one object of the Entities column; links to others by $ref are made by graph.
type entity = object

// sentinel tells a row of the table SecurityAlert. kind is the provider's AlertType; for
// scheduled rules it is made of the rule's id.
func (s *story) sentinel(sig signature, at time.Time, from provider, kind, compromised string, props object, entities []entity, t Truth) {
	name := fmt.Sprint("sentinel/", sig.id, "/", at.UnixMilli(), "/", compromised, t.Host, t.User)
	delay := time.Duration(s.number("delay/"+name, 100, 240)) * time.Second
	if t.Late {
		delay = 20 * time.Minute
	}
	seen := at.Add(delay)
	id, original := s.guid(name), s.guid("vendor/"+name)
	var base, sub, tactics []string
	for _, x := range sig.techniques {
		base = append(base, x[:5])
		if len(x) > 5 {
			sub = append(sub, x)
		}
		tactics = append(tactics, strings.ReplaceAll(techniques[x].tactic, " ", ""))
	}
	if from == scheduled {
		rule := fixedGUID("sentinel/" + sig.id)
		kind = s.guid("workspace") + "_" + rule
		props = merge(object{
			"Query": "// query of the rule", "Query Period": "01:00:00", "Trigger Operator": "GreaterThan", "Trigger Threshold": "0", "Search Query Results Overall Count": "1",
			"Analytic Rule Ids": text([]string{rule}), "Analytic Rule Name": sig.title, "Event Grouping": "AlertPerResult", "ProcessedBySentinel": "True",
		}, props)
	} else {
		props = merge(object{"ProcessedBySentinel": "True", "Alert generation status": "Full alert created"}, props)
	}
	title := map[string]string{"informational": "Informational", "low": "Low", "medium": "Medium", "high": "High"}[sig.severity]
	row := object{
		"TenantId": s.guid("workspace"), "TimeGenerated": micro(seen), "DisplayName": sig.title, "AlertName": sig.title, "AlertSeverity": title, "Description": sig.text, "ProviderName": from.name,
		"VendorName": "Microsoft", "VendorOriginalId": original, "SystemAlertId": id, "ResourceId": "", "SourceComputerId": "", "AlertType": kind, "ConfidenceLevel": "Unknown", "ConfidenceScore": nil, "IsIncident": false,
		"StartTime": micro(at), "EndTime": micro(at), "ProcessingEndTime": micro(seen), "RemediationSteps": text([]string{"Review the activity with the owner of the account or device."}),
		"ExtendedProperties": text(props), "Entities": text(graph(entities)), "SourceSystem": "Detection", "WorkspaceSubscriptionId": s.guid("subscription"), "WorkspaceResourceGroup": "rg-" + s.company + "-soc",
		"ExtendedLinks": "", "ProductName": from.product, "ProductComponentName": from.component, "AlertLink": "https://portal." + s.domain + "/alerts/" + original, "Status": "New",
		"CompromisedEntity": compromised, "Tactics": strings.Join(unique(tactics), ", "), "Techniques": text(unique(base)), "SubTechniques": text(sub), "Type": "SecurityAlert",
	}
	s.tell("sentinel", id, at, delay, line(row), t)
}

func micro(t time.Time) string { return t.Format("2006-01-02T15:04:05.000000Z") }

func unique(list []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, v := range list {
		if v != "" && !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// graph numbers the entities as the portal does and writes the second mention of an object as
// a reference to the first.
func graph(list []entity) []any {
	next, ids := 2, map[string]string{}
	var number func(v any) any
	number = func(v any) any {
		switch v := v.(type) {
		case []entity:
			out := make([]any, len(v))
			for i := range v {
				out[i] = number(v[i])
			}
			return out
		case entity:
			key := text(v)
			if id, ok := ids[key]; ok && len(v) > 1 {
				return object{"$ref": id}
			}
			id := strconv.Itoa(next)
			next++
			ids[key] = id
			out := object{"$id": id}
			for _, k := range sortedKeys(v) {
				out[k] = number(v[k])
			}
			return out
		}
		return v
	}
	out := make([]any, len(list))
	for i := range list {
		out[i] = number(list[i])
	}
	return out
}

func (s *story) accountOf(p person) entity {
	return entity{"Type": "account", "Name": p.sam(), "UPNSuffix": s.domain, "NTDomain": s.netbios, "Sid": s.sid(p.sam()), "AadUserId": s.guid("aad/" + p.sam()), "AadTenantId": s.guid("tenant"), "IsDomainJoined": true, "DisplayName": p.display()}
}

func (s *story) domainAccount(sam string) entity {
	return entity{"Type": "account", "Name": sam, "NTDomain": s.netbios, "Sid": s.sid(sam), "IsDomainJoined": true, "DnsDomain": s.domain}
}

func (s *story) hostEntity(h *host) entity {
	return entity{"Type": "host", "HostName": h.name, "NetBiosName": h.name, "DnsDomain": s.domain, "OSFamily": strings.ToUpper(h.os[:1]) + h.os[1:], "IsDomainJoined": true}
}

func ipEntity(ip string) entity {
	e := entity{"Type": "ip", "Address": ip}
	if !strings.HasPrefix(ip, "10.") {
		e["Location"] = entity{"CountryCode": country(ip), "Asn": 64500, "Carrier": network(ip)}
	}
	return e
}

func (s *story) cloudSession(name string, agent string, who entity) entity {
	return entity{"Type": "cloud-logon-session", "SessionId": s.guid("session/" + name), "UserAgent": agent, "Account": who}
}

// processEntity is a process as Defender for Endpoint tells it, with its parent.
func (s *story) processEntity(p *process) entity {
	e := entity{
		"Type": "process", "ProcessId": fmt.Sprint(s.pid(p)), "CommandLine": p.cmd, "CreationTimeUtc": p.at.Format("2006-01-02T15:04:05.0000000Z"), "Host": s.hostEntity(p.host), "ElevationToken": "Default",
		"ImageFile": s.fileEntity(dir(p.image), base(p.image), p.fileName()),
	}
	if p.user != "" {
		e["Account"] = s.domainAccount(bare(p.user))
	}
	if q := p.parent; q != nil {
		e["ParentProcess"] = entity{
			"Type": "process", "ProcessId": fmt.Sprint(s.pid(q)), "CommandLine": q.cmd, "CreationTimeUtc": q.at.Format("2006-01-02T15:04:05.0000000Z"), "Host": s.hostEntity(q.host),
			"ImageFile": entity{"Type": "file", "Directory": dir(q.image), "Name": base(q.image)},
		}
	}
	return e
}

func (s *story) fileEntity(dir, name, hashOf string) entity {
	return entity{"Type": "file", "Directory": dir, "Name": name, "FileHashes": []entity{
		{"Type": "filehash", "Algorithm": "SHA1", "Value": s.digest("sha1/"+hashOf, 40)}, {"Type": "filehash", "Algorithm": "SHA256", "Value": s.digest("sha256/"+hashOf, 64)},
	}}
}

// defenderProcess tells an alert of Defender for Endpoint about a process.
func (s *story) defenderProcess(sig signature, p *process, category string, more object, t Truth) {
	list := []entity{s.hostEntity(p.host)}
	if p.user != "" {
		list = append(list, s.domainAccount(bare(p.user)))
	}
	list = append(list, s.fileEntity(dir(p.image), base(p.image), p.fileName()), s.processEntity(p))
	props := merge(object{
		"MicrosoftDefenderAtp.Category": category, "MicrosoftDefenderAtp.InvestigationId": s.digits("inv/"+sig.id+p.name, 5), "MicrosoftDefenderAtp.InvestigationState": "Queued",
		"MitreTechniques": strings.Join(sig.techniques, ";"), "LastUpdated": micro(p.at.Add(time.Minute)), "IncidentId": s.digits("incident/"+p.host.name, 4), "DetectionSource": "WindowsDefenderAtp",
	}, more)
	s.sentinel(sig, p.at, defender, "WindowsDefenderAtp", s.fqdn(p.host), props, list, t.on(p.host, bare(p.account())))
}
