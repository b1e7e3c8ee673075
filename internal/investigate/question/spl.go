package question

import (
	"fmt"
	"strings"
)

// splTables are the events that Splunk's Common Information Model tags.
var splTables = map[dataset]table{
	processes: {from: "index=* tag=process tag=report", columns: map[field][]column{
		fHost: cols("dest"), fAccount: cols("user"), fProcess: cols("process_name"), fParent: cols("parent_process_name"), fCommand: cols("process"), fHash: shaped(within, "process_hash"),
	}},
	network: {from: "index=* tag=network tag=communicate", filters: splPublic("dest_ip"), columns: map[field][]column{
		fHost: cols("dvc", "src"), fProcess: cols("process_name"), fDestination: cols("dest_ip"), fDomain: cols("dest_host"),
	}},
	lookups: {from: "index=* tag=network tag=resolution tag=dns", columns: map[field][]column{
		fHost: cols("src"), fDomain: cols("query"),
	}},
	cloudSignIns: splLogons, logons: splLogons,
	files: {from: "index=* tag=endpoint tag=filesystem", columns: map[field][]column{
		fHost: cols("dest"), fAccount: cols("user"), fProcess: cols("process_name"), fFile: cols("file_path"), fAction: cols("action"),
	}},
	alerts: {from: "index=notable", columns: map[field][]column{
		fTitle: cols("rule_title", "search_name"), fSeverity: cols("urgency"), fHost: cols("dest"), fAccount: cols("user"), fSource: cols("src"),
	}},
	mails: {from: "index=* tag=email", columns: map[field][]column{
		fMessage: cols("message_id", "internal_message_id"), fRecipient: cols("recipient"), fAccount: cols("src_user"), fAction: cols("action"),
	}},
	clicks: {from: "index=* tag=web", columns: map[field][]column{
		fURL: cols("url"), fAccount: cols("user"), fSource: cols("src"), fAction: cols("action"),
	}},
	changes: splChanges, roles: splChanges,
	cloudCalls: {from: `index=* sourcetype="aws:cloudtrail"`, columns: map[field][]column{
		fKey: cols("userIdentity.accessKeyId"), fSource: cols("sourceIPAddress"), fAction: cols("eventName"),
	}},
	sessions: {from: "index=* tag=authentication", columns: map[field][]column{
		fToken: cols("session_id"), fSource: cols("src"), fAccount: cols("user"),
	}},
}

var splLogons = table{from: "index=* tag=authentication action=success", columns: map[field][]column{
	fHost: cols("dest"), fAccount: cols("user"), fSource: cols("src"), fAction: cols("app"),
}}

var splChanges = table{from: "index=* tag=change tag=account", columns: map[field][]column{
	fHost: cols("dest"), fAccount: cols("src_user"), fTarget: cols("user"), fAction: cols("action"),
}}

func splPublic(column string) []string {
	var parts []string
	for _, n := range privateNets {
		parts = append(parts, fmt.Sprintf("cidrmatch(\"%s\", %s)", n, column))
	}
	return []string{"NOT (" + strings.Join(parts, " OR ") + ")"}
}

// privateNets are the addresses that a connection to the internet does not go to.
var privateNets = []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16"}

// spl writes a search. Plain values are compared by the search itself, which uses the index;
// others by expressions after it, where a value can be written in percent encoding.
func spl(s *search) (string, bool) {
	t, ok := splTables[s.data]
	if !ok || !s.complete(&t) {
		return "", false
	}
	var b, where strings.Builder
	fmt.Fprintf(&b, "search %s earliest=%d latest=%d", t.from, s.from.Unix(), s.to.Unix()+1)
	for _, f := range t.filters {
		where.WriteString("\n| where " + f)
	}
	for i := range s.where {
		c := &s.where[i]
		if text, ok := splTerms(c, s.columns(&t, c.field)); ok {
			b.WriteString(" " + text)
			continue
		}
		where.WriteString("\n| where " + splCondition(c, s.columns(&t, c.field)))
	}
	b.WriteString(where.String())
	if len(s.by) > 0 {
		fmt.Fprintf(&b, "\n| stats count AS events, min(_time) AS first, max(_time) AS last BY %s\n| sort %d - events\n| convert ctime(first) ctime(last)",
			strings.Join(s.counted(&t), ", "), rows)
		return b.String(), true
	}
	fmt.Fprintf(&b, "\n| sort %d _time\n| table %s", rows, strings.Join(append([]string{"_time"}, s.shown(&t)...), ", "))
	return b.String(), true
}

// splTerms compares in the search; false when a value is not plain.
func splTerms(c *condition, columns []column) (string, bool) {
	var parts []string
	for _, col := range columns {
		for _, v := range c.values {
			if c.field == fHost {
				v = short(v)
			}
			if !splPlain(v) {
				return "", false
			}
			switch {
			case col.shape == within:
				parts = append(parts, fmt.Sprintf(`%s="*%s*"`, col.name, v))
			case c.field == fHost:
				parts = append(parts, fmt.Sprintf(`%s="%s"`, col.name, v), fmt.Sprintf(`%s="%s.*"`, col.name, v))
			default:
				parts = append(parts, fmt.Sprintf(`%s="%s"`, col.name, v))
			}
		}
	}
	text := "(" + strings.Join(parts, " OR ") + ")"
	return negated(c, text, "NOT %s"), true
}

func splCondition(c *condition, columns []column) string {
	var parts []string
	for _, col := range columns {
		name := col.name
		if strings.Contains(name, ".") {
			name = "'" + name + "'"
		}
		for _, v := range c.values {
			v = strings.ToLower(v)
			if c.field == fHost {
				v = short(v)
				dotted := v + "."
				parts = append(parts, fmt.Sprintf("substr(lower(%s), 1, %d)=%s", name, len([]rune(dotted)), splString(dotted)))
			}
			parts = append(parts, fmt.Sprintf("lower(%s)=%s", name, splString(v)))
		}
	}
	// A field that is absent compares as neither; it is not the value either.
	return negated(c, "("+strings.Join(parts, " OR ")+")", "NOT coalesce(%s, false())")
}
