package question

import (
	"bytes"
	"encoding/json"
	"strings"
)

// object is a JSON object; its keys are written in order.
type object map[string]any

const eventdata = "data.win.eventdata."

// wazuhTables are the fields of alerts in the Wazuh indexer. Their filters are JSON.
var wazuhTables = map[dataset]table{
	processes: {filters: []string{
		`{"bool":{"should":[` + terms("data.win.system.eventID", `"1"`, `"4688"`) + `,{"exists":{"field":"data.audit.exe"}}],"minimum_should_match":1}}`,
	}, columns: map[field][]column{
		fHost: cols("agent.name"), fAccount: cols(eventdata+"user", eventdata+"subjectUserName", "data.audit.auid"),
		fProcess: shaped(path, eventdata+"image", eventdata+"newProcessName", "data.audit.exe"), fParent: shaped(path, eventdata+"parentImage", eventdata+"parentProcessName"),
		fCommand: cols(eventdata+"commandLine", "data.audit.command"), fHash: shaped(within, eventdata+"hashes"),
	}},
	network: {filters: []string{
		terms("data.win.system.eventID", `"3"`),
		`{"bool":{"must_not":{"regexp":{"` + eventdata + `destinationIp":"(10|127|192\\.168|169\\.254|172\\.(1[6-9]|2[0-9]|3[01]))\\..*"}}}}`,
	}, columns: map[field][]column{
		fHost: cols("agent.name"), fProcess: shaped(path, eventdata+"image"), fDestination: cols(eventdata + "destinationIp"), fDomain: cols(eventdata + "destinationHostname"),
	}},
	lookups: {filters: []string{terms("data.win.system.eventID", `"22"`)}, columns: map[field][]column{
		fHost: cols("agent.name"), fProcess: shaped(path, eventdata+"image"), fDomain: cols(eventdata + "queryName"),
	}},
	cloudSignIns: wazuhLogons, logons: wazuhLogons,
	files: {columns: map[field][]column{
		fHost: cols("agent.name"), fAccount: cols("syscheck.audit.user.name", "syscheck.uname_after", eventdata+"user"), fProcess: shaped(path, "syscheck.audit.process.name", eventdata+"image"),
		fFile: cols("syscheck.path", eventdata+"targetFilename"), fAction: cols("syscheck.event"),
	}},
	alerts: {filters: []string{`{"range":{"rule.level":{"gte":7}}}`}, columns: map[field][]column{
		fTitle: cols("rule.description"), fSeverity: cols("rule.level"), fHost: cols("agent.name"), fAccount: wazuhLogons.columns[fAccount], fSource: wazuhLogons.columns[fSource],
	}},
	mails: {columns: map[field][]column{
		fMessage: cols("data.office365.InternetMessageId", "data.office365.NetworkMessageId", "data.office365.MessageId"), fRecipient: cols("data.office365.Recipients"),
		fAccount: cols("data.office365.UserId"), fAction: cols("data.office365.Operation"),
	}},
	clicks: {columns: map[field][]column{
		fURL: cols("data.url", "data.office365.Url"), fAccount: cols("data.office365.UserId", "data.srcuser"), fSource: cols("data.srcip"), fAction: cols("data.action"),
	}},
	changes: wazuhChanges, roles: {columns: map[field][]column{
		fAccount: cols("data.office365.UserId"), fTarget: cols("data.office365.ObjectId"), fAction: cols("data.office365.Operation"),
	}},
	cloudCalls: {columns: map[field][]column{
		fKey: cols("data.aws.userIdentity.accessKeyId"), fSource: cols("data.aws.sourceIPAddress"), fAction: cols("data.aws.eventName"),
	}},
	sessions: {columns: map[field][]column{
		fSource: cols("data.office365.ClientIP"), fAccount: cols("data.office365.UserId"),
	}},
}

var wazuhLogons = table{filters: []string{terms("rule.groups", `"authentication_success"`)}, columns: map[field][]column{
	fHost: cols("agent.name"), fAccount: cols(eventdata+"targetUserName", "data.dstuser", "data.office365.UserId"),
	fSource: cols("data.srcip", eventdata+"ipAddress", "data.office365.ClientIP"), fAction: cols("rule.description", eventdata+"logonType"),
}}

var wazuhChanges = table{filters: []string{terms("data.win.system.eventID", `"4720"`, `"4722"`, `"4724"`, `"4728"`, `"4732"`, `"4738"`, `"4756"`)}, columns: map[field][]column{
	fHost: cols("agent.name"), fAccount: cols(eventdata + "subjectUserName"), fTarget: cols(eventdata+"targetUserName", eventdata+"memberName"), fAction: cols("rule.description"),
}}

func terms(field string, values ...string) string {
	return `{"terms":{"` + field + `":[` + strings.Join(values, ",") + `]}}`
}

// wazuh writes the body of a search of wazuh-alerts-*, and of wazuh-archives-* where they are
// kept. Values stand in term queries alone, never in the language of query strings.
func wazuh(s *search) (string, bool) {
	t, ok := wazuhTables[s.data]
	if !ok || !s.complete(&t) {
		return "", false
	}
	filter := []any{object{"range": object{"timestamp": object{"gte": stamp(s.from), "lte": stamp(s.to)}}}}
	var not []any
	for _, f := range t.filters {
		filter = append(filter, json.RawMessage(f))
	}
	for i := range s.where {
		c := &s.where[i]
		if q := wazuhCondition(c, s.columns(&t, c.field)); c.not {
			not = append(not, q)
		} else {
			filter = append(filter, q)
		}
	}
	q := object{"filter": filter}
	if len(not) > 0 {
		q["must_not"] = not
	}
	body := object{"query": object{"bool": q}, "size": rows, "sort": []any{object{"timestamp": "asc"}}}
	if len(s.by) > 0 {
		body["size"] = 0
		delete(body, "sort")
		body["aggs"] = aggregations(s.columns(&t, s.by[0]))
	} else {
		body["_source"] = append([]string{"timestamp"}, s.shown(&t)...)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", " ")
	if err := enc.Encode(body); err != nil {
		return "", false
	}
	return strings.TrimSuffix(b.String(), "\n"), true
}

// aggregations count by each of the columns, since a record fills one of them.
func aggregations(columns []column) object {
	span := object{"first": object{"min": object{"field": "timestamp"}}, "last": object{"max": object{"field": "timestamp"}}}
	out := object{}
	for _, c := range columns {
		out[c.name] = object{"terms": object{"field": c.name, "size": rows}, "aggs": span}
	}
	return out
}

func wazuhCondition(c *condition, columns []column) any {
	var should []any
	add := func(kind, field, v string) {
		should = append(should, object{kind: object{field: object{"value": v, "case_insensitive": true}}})
	}
	for _, col := range columns {
		for _, v := range c.values {
			switch {
			case col.shape == within:
				add("wildcard", col.name, "*"+wildcard(v)+"*")
			case col.shape == path:
				add("term", col.name, v)
				add("wildcard", col.name, `*\\`+wildcard(v))
				add("wildcard", col.name, "*/"+wildcard(v))
			case c.field == fHost:
				h := short(v)
				add("term", col.name, h)
				add("prefix", col.name, h+".")
			default:
				add("term", col.name, v)
			}
		}
	}
	return object{"bool": object{"should": should, "minimum_should_match": 1}}
}
