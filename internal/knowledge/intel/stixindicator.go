package intel

import (
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/knowledge/feed"
)

func (b *stixBundle) indicator(place string, o *stixObject) error {
	switch {
	case o.Revoked.True():
		b.s.skip("revoked by the feed")
		return nil
	case o.PatternType != "" && o.PatternType != "stix":
		b.s.skip("patterns of type " + cut(clean(string(o.PatternType)), 40) + " are not supported")
		return nil
	}
	severity, ok := stixSeverity(append(slices.Clone(o.Labels), o.Kinds...), b.s.o.Severity)
	if !ok {
		b.s.refuse(place, string(o.Name), refuse("", "the feed calls it benign"))
		return nil
	}
	terms, err := parsePattern(string(o.Pattern))
	if err != nil {
		b.s.refuse(place, string(o.Pattern), err)
		return nil
	}
	ind := b.describe(o, severity)
	for i := range terms {
		if err := b.term(place, &terms[i], ind); err != nil {
			return err
		}
	}
	return nil
}

func (b *stixBundle) term(place string, t *term, ind Indicator) error {
	if t.negated || (t.op != "=" && t.op != "IN" && t.op != "ISSUBSET" && t.op != "LIKE") {
		b.s.skip("a comparison with " + negation(t.negated) + t.op + " names no value")
		return nil
	}
	kind, ok := t.kind()
	if !ok {
		b.s.skip("STIX property " + cut(clean(t.object+":"+strings.Join(t.path, ".")), 80) + " is no supported indicator")
		return nil
	}
	if t.partial {
		ind.Confidence = min(ind.Confidence, 40)
		ind.Tags = append(ind.Tags, "partial-pattern")
	}
	for _, v := range t.values {
		if t.op == "LIKE" && strings.ContainsAny(v, "%_") {
			b.s.skip("a comparison with LIKE names no value")
			continue
		}
		if err := b.s.add(place, kind, v, ind); err != nil {
			return err
		}
	}
	return nil
}

func negation(not bool) string {
	if not {
		return "NOT "
	}
	return ""
}

// kind maps an object path to the type of indicator that its value is.
func (t *term) kind() (alert.IndicatorType, bool) {
	path := strings.Join(t.path, ".")
	switch t.object {
	case "ipv4-addr", "ipv6-addr":
		return alert.IndicatorIPv4, path == "value"
	case "domain-name":
		return alert.IndicatorDomain, path == "value"
	case "url":
		return alert.IndicatorURL, path == "value"
	case "email-addr":
		return alert.IndicatorEmail, path == "value"
	case "email-message":
		return alert.IndicatorEmail, path == "from_ref.value" || path == "sender_ref.value"
	case "network-traffic":
		if strings.HasSuffix(path, "request_header.user-agent") {
			return alert.IndicatorUserAgent, true
		}
		return "", path == "dst_ref.value" || path == "src_ref.value"
	case "windows-registry-key":
		return alert.IndicatorRegistry, path == "key"
	case "vulnerability":
		return alert.IndicatorCVE, path == "name"
	case "file", "artifact":
		if algorithm, ok := strings.CutPrefix(path, "hashes."); ok {
			kind, known := typeWords[word(algorithm)]
			return kind, known && kind != ""
		}
		return alert.IndicatorPath, path == "name"
	}
	return "", false
}

func (b *stixBundle) describe(o *stixObject, severity alert.Severity) Indicator {
	ind := b.s.base()
	ind.Severity = severity
	if o.Confidence != "" {
		ind.Confidence = parseConfidence(string(o.Confidence), ind.Confidence)
	}
	ind.FirstSeen, ind.Expiry = parseTime(string(o.ValidFrom)), parseTime(string(o.ValidUntil))
	ind.LastSeen = later(parseTime(string(o.Modified)), ind.FirstSeen)
	ind.Context = firstText(string(o.Description), string(o.Name))
	if report := b.reports[string(o.ID)]; report != "" {
		ind.Context += " (report " + report + ")"
	}
	for _, k := range o.KillChain {
		ind.Tags = append(ind.Tags, "phase:"+string(k.Phase))
	}
	for _, l := range append(slices.Clone(o.Labels), o.Kinds...) {
		ind.Tags = append(ind.Tags, string(l))
	}
	if id := o.technique(); id != "" {
		ind.Techniques = append(ind.Techniques, id)
	}
	b.relate(&ind, string(o.ID))
	return ind
}

func (b *stixBundle) relate(ind *Indicator, id string) {
	for _, target := range b.related[id] {
		n, ok := b.names[target]
		switch {
		case !ok:
		case n.kind == "attack-pattern":
			if n.technique != "" {
				ind.Techniques = append(ind.Techniques, n.technique)
			}
		case n.kind == "intrusion-set" || n.kind == "threat-actor":
			ind.Groups = append(ind.Groups, n.name)
		default:
			ind.Campaigns = append(ind.Campaigns, n.name)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func firstText(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// stixSeverity goes by the kinds of the indicator; ok is false for a benign one.
func stixSeverity(kinds []feed.Text, otherwise alert.Severity) (sev alert.Severity, ok bool) {
	sev, stated := alert.Informational, false
	for _, k := range kinds {
		var found alert.Severity
		switch strings.ToLower(string(k)) {
		case "malicious-activity", "compromised":
			found = alert.High
		case "anomalous-activity", "attribution":
			found = alert.Medium
		case "anonymization":
			found = alert.Low
		case "benign":
			if len(kinds) == 1 {
				return alert.Low, false
			}
			continue
		default:
			continue
		}
		sev, stated = max(sev, found), true
	}
	if !stated {
		return otherwise, true
	}
	return sev, true
}

// observable imports what was seen beside an attack: weaker than an indicator, which says
// that the value is bad.
func (b *stixBundle) observable(place string, o *stixObject) error {
	ind := b.describe(o, b.s.o.Severity)
	ind.Confidence = min(ind.Confidence, 40)
	ind.FirstSeen, ind.LastSeen = parseTime(string(o.First)), later(ind.LastSeen, parseTime(string(o.Last)))
	ind.Tags = append(ind.Tags, "observable")
	value, property := string(o.Value), "value"
	if o.Type == "windows-registry-key" {
		value, property = string(o.Key), "key"
	}
	if len(o.Hashes) > 0 {
		return b.hashes(place, o, ind)
	}
	t := term{object: string(o.Type), path: []string{property}}
	kind, ok := t.kind()
	if !ok || value == "" {
		b.s.skip("STIX observable " + cut(clean(string(o.Type)), 40) + " is no supported indicator")
		return nil
	}
	return b.s.add(place, kind, value, ind)
}

func (b *stixBundle) hashes(place string, o *stixObject, ind Indicator) error {
	ind.Context = firstText(ind.Context, string(o.Name))
	names := make([]string, 0, len(o.Hashes))
	for algorithm := range o.Hashes {
		names = append(names, algorithm)
	}
	slices.Sort(names)
	for _, algorithm := range names {
		kind, ok := typeWords[word(algorithm)]
		if !ok || kind == "" {
			b.s.skip("hashes of type " + cut(clean(algorithm), 40) + " are not supported")
			continue
		}
		if err := b.s.add(place, kind, string(o.Hashes[algorithm]), ind); err != nil {
			return err
		}
	}
	return nil
}
