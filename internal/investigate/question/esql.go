package question

import (
	"fmt"
	"strings"
)

const (
	endpointProcess = "logs-endpoint.events.process-*, logs-windows.sysmon_operational-*, winlogbeat-*"
	endpointNetwork = "logs-endpoint.events.network-*, logs-windows.sysmon_operational-*, winlogbeat-*"
	endpointFile    = "logs-endpoint.events.file-*, logs-windows.sysmon_operational-*, winlogbeat-*"
	everything      = "logs-*, filebeat-*, winlogbeat-*"
)

// esqlTables are the data streams of Elastic's integrations, in the Elastic Common Schema.
var esqlTables = map[dataset]table{
	processes: {from: endpointProcess, columns: map[field][]column{
		fHost: cols("host.name"), fAccount: cols("user.name"), fProcess: cols("process.name"), fParent: cols("process.parent.name"), fCommand: cols("process.command_line"),
		fHash: cols("process.hash.sha256", "process.hash.sha1", "process.hash.md5"),
	}},
	network: {from: endpointNetwork, filters: []string{`NOT CIDR_MATCH(destination.ip, "` + strings.Join(privateNets, `", "`) + `")`}, columns: map[field][]column{
		fHost: cols("host.name"), fProcess: cols("process.name"), fDestination: shaped(address, "destination.ip"), fDomain: cols("destination.domain"),
	}},
	lookups: {from: endpointNetwork, columns: map[field][]column{
		fHost: cols("host.name"), fProcess: cols("process.name"), fDomain: cols("dns.question.name"),
	}},
	cloudSignIns: esqlLogons, logons: esqlLogons,
	files: {from: endpointFile, columns: map[field][]column{
		fHost: cols("host.name"), fAccount: cols("user.name"), fProcess: cols("process.name"), fFile: cols("file.path"), fAction: cols("event.action"),
	}},
	alerts: {from: ".alerts-security.alerts-*", columns: map[field][]column{
		fTitle: cols("kibana.alert.rule.name"), fSeverity: cols("kibana.alert.severity"), fHost: cols("host.name"), fAccount: cols("user.name"), fSource: shaped(address, "source.ip"),
	}},
	mails: {from: everything, columns: map[field][]column{
		fMessage: cols("email.message_id"), fRecipient: cols("email.to.address"), fAccount: cols("email.from.address"), fAction: cols("event.action"),
	}},
	clicks: {from: everything, columns: map[field][]column{
		fURL: cols("url.full", "url.original"), fAccount: cols("user.name"), fSource: shaped(address, "source.ip"), fAction: cols("event.action"),
	}},
	changes: esqlChanges, roles: esqlChanges,
	cloudCalls: {from: "logs-aws.cloudtrail-*, filebeat-*", columns: map[field][]column{
		fKey: cols("aws.cloudtrail.user_identity.access_key_id"), fSource: shaped(address, "source.ip"), fAction: cols("event.action"),
	}},
	sessions: {from: everything, columns: map[field][]column{fSource: shaped(address, "source.ip"), fAccount: cols("user.name")}},
}

// A record may have several categories, and a comparison with several values is no answer: the
// rows are spread by category first.
var esqlLogons = table{from: everything, filters: []string{`event.outcome == "success"`, `event.category == "authentication"`}, columns: map[field][]column{
	fHost: cols("host.name"), fAccount: cols("user.name", "user.email"), fSource: shaped(address, "source.ip"), fAction: cols("event.action"),
}}

var esqlChanges = table{from: everything, filters: []string{`event.category == "iam"`}, columns: map[field][]column{
	fHost: cols("host.name"), fAccount: cols("user.name", "user.email"), fTarget: cols("user.target.name"), fAction: cols("event.action"),
}}

// esql writes a query for Elastic.
func esql(s *search) (string, bool) {
	t, ok := esqlTables[s.data]
	if !ok || !s.complete(&t) {
		return "", false
	}
	var b strings.Builder
	fmt.Fprintf(&b, "FROM %s\n| WHERE @timestamp >= \"%s\" AND @timestamp <= \"%s\"", t.from, stamp(s.from), stamp(s.to))
	for i := range s.where {
		b.WriteString("\n| WHERE " + esqlCondition(&s.where[i], s.columns(&t, s.where[i].field)))
	}
	for _, f := range t.filters {
		if strings.HasPrefix(f, "event.category ") {
			b.WriteString("\n| MV_EXPAND event.category")
		}
		b.WriteString("\n| WHERE " + f)
	}
	if len(s.by) > 0 {
		fmt.Fprintf(&b, "\n| STATS events = COUNT(*), first = MIN(@timestamp), last = MAX(@timestamp) BY %s\n| SORT events DESC\n| LIMIT %d",
			strings.Join(s.counted(&t), ", "), rows)
		return b.String(), true
	}
	fmt.Fprintf(&b, "\n| KEEP %s\n| SORT @timestamp ASC\n| LIMIT %d", strings.Join(append([]string{"@timestamp"}, s.shown(&t)...), ", "), rows)
	return b.String(), true
}

func esqlCondition(c *condition, columns []column) string {
	var parts []string
	for _, col := range columns {
		for _, v := range c.values {
			name := "TO_LOWER(" + col.name + ")"
			switch {
			case col.shape == address:
				parts = append(parts, col.name+" == TO_IP("+esqlString(v)+")")
			case c.field == fHost:
				h := short(v)
				parts = append(parts, name+" == "+esqlString(h), "STARTS_WITH("+name+", "+esqlString(h+".")+")")
			default:
				parts = append(parts, name+" == "+esqlString(strings.ToLower(v)))
			}
		}
	}
	return negated(c, "("+strings.Join(parts, " OR ")+")", "NOT COALESCE(%s, false)")
}
