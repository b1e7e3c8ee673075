package question

import (
	"fmt"
	"slices"
	"strings"
)

// kqlTables are those of Microsoft Sentinel and of Defender XDR's tables in its workspace.
var kqlTables = map[dataset]table{
	processes: {from: "DeviceProcessEvents", columns: map[field][]column{
		fHost: cols("DeviceName"), fAccount: cols("AccountName", "AccountUpn"), fProcess: cols("FileName"), fParent: cols("InitiatingProcessFileName"),
		fCommand: cols("ProcessCommandLine"), fHash: cols("SHA256", "SHA1", "MD5"),
	}},
	network: {from: "DeviceNetworkEvents", filters: []string{`RemoteIPType == "Public"`}, columns: map[field][]column{
		fHost: cols("DeviceName"), fProcess: cols("InitiatingProcessFileName"), fDestination: cols("RemoteIP"), fDomain: cols("RemoteUrl"),
	}},
	lookups: {from: "DeviceNetworkEvents", columns: map[field][]column{
		fHost: cols("DeviceName"), fProcess: cols("InitiatingProcessFileName"), fDomain: shaped(within, "RemoteUrl"),
	}},
	cloudSignIns: {from: "SigninLogs", filters: []string{`ResultType == "0"`}, columns: map[field][]column{
		fAccount: cols("UserPrincipalName"), fSource: cols("IPAddress"), fAction: cols("AppDisplayName", "ClientAppUsed"),
	}},
	logons: {from: "SecurityEvent", filters: []string{"EventID == 4624"}, columns: map[field][]column{
		fHost: cols("Computer"), fAccount: cols("TargetUserName"), fSource: cols("IpAddress"), fAction: cols("LogonType"),
	}},
	files: {from: "DeviceFileEvents", columns: map[field][]column{
		fHost: cols("DeviceName"), fAccount: cols("InitiatingProcessAccountName"), fProcess: cols("InitiatingProcessFileName"),
		fCommand: cols("InitiatingProcessCommandLine"), fFile: cols("FolderPath"), fAction: cols("ActionType"), fHash: cols("SHA256", "SHA1", "MD5"),
	}},
	alerts: {from: "SecurityAlert", columns: map[field][]column{
		fTitle: cols("AlertName"), fSeverity: cols("AlertSeverity"), fHost: shaped(within, "Entities"), fAccount: shaped(within, "Entities"), fSource: shaped(within, "Entities"),
	}},
	mails: {from: "EmailEvents", columns: map[field][]column{
		fMessage: cols("NetworkMessageId", "InternetMessageId"), fRecipient: cols("RecipientEmailAddress"), fAccount: cols("SenderFromAddress"), fAction: cols("DeliveryAction"),
	}},
	clicks: {from: "UrlClickEvents", columns: map[field][]column{
		fURL: cols("Url"), fAccount: cols("AccountUpn"), fSource: cols("IPAddress"), fAction: cols("ActionType"),
	}},
	changes: {from: "SecurityEvent", filters: []string{"EventID in (4720, 4722, 4724, 4728, 4732, 4738, 4756)"}, columns: map[field][]column{
		fHost: cols("Computer"), fAccount: cols("SubjectUserName"), fTarget: cols("TargetUserName"), fAction: cols("Activity"),
	}},
	roles: {from: "AuditLogs", columns: map[field][]column{
		fAccount: cols("tostring(InitiatedBy.user.userPrincipalName)"), fTarget: cols("tostring(TargetResources[0].displayName)"), fAction: cols("OperationName"),
	}},
	cloudCalls: {from: "AWSCloudTrail", columns: map[field][]column{
		fKey: cols("UserIdentityAccessKeyId"), fSource: cols("SourceIpAddress"), fAction: cols("EventName"),
	}},
	sessions: {from: "union isfuzzy=true SigninLogs, AADNonInteractiveUserSignInLogs", columns: map[field][]column{
		fToken: cols("SessionId"), fSource: cols("IPAddress"), fAccount: cols("UserPrincipalName"),
	}},
}

// kql writes a query for Microsoft Sentinel.
func kql(s *search) (string, bool) {
	t, ok := kqlTables[s.data]
	if !ok || !s.complete(&t) {
		return "", false
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n| where TimeGenerated between (datetime(%s) .. datetime(%s))", t.from, stamp(s.from), stamp(s.to))
	for _, f := range t.filters {
		b.WriteString("\n| where " + f)
	}
	for i := range s.where {
		b.WriteString("\n| where " + kqlCondition(&s.where[i], s.columns(&t, s.where[i].field)))
	}
	if len(s.by) > 0 {
		fmt.Fprintf(&b, "\n| summarize Events = count(), First = min(TimeGenerated), Last = max(TimeGenerated) by %s\n| top %d by Events desc",
			strings.Join(s.counted(&t), ", "), rows)
		return b.String(), true
	}
	fmt.Fprintf(&b, "\n| project %s\n| top %d by TimeGenerated asc", strings.Join(append([]string{"TimeGenerated"}, s.shown(&t)...), ", "), rows)
	return b.String(), true
}

func kqlCondition(c *condition, columns []column) string {
	var parts []string
	for _, col := range columns {
		for _, v := range c.values {
			switch {
			case col.shape == within && c.field == fHost:
				parts = append(parts, col.name+" has "+kqlString(short(v)))
			case col.shape == within && c.field == fAccount:
				// The entities of an alert hold the parts of an account apart.
				name, domain, _ := strings.Cut(sam(v), "@")
				text := col.name + " has " + kqlString(name)
				if domain != "" {
					text = "(" + text + " and " + col.name + " has " + kqlString(domain) + ")"
				}
				if !slices.Contains(parts, text) {
					parts = append(parts, text)
				}
			case col.shape == within:
				parts = append(parts, col.name+" has "+kqlString(v))
			case c.field == fHost:
				h := short(v)
				parts = append(parts, col.name+" =~ "+kqlString(h), col.name+" startswith "+kqlString(h+"."))
			default:
				parts = append(parts, col.name+" =~ "+kqlString(v))
			}
		}
	}
	return negated(c, strings.Join(parts, " or "), "not(%s)")
}

// negated wraps a condition; a form without %s stands for the condition itself.
func negated(c *condition, text, form string) string {
	if !c.not {
		return text
	}
	return fmt.Sprintf(form, text)
}
