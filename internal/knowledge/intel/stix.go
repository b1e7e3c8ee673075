package intel

import (
	"bufio"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/aluskort/aluskort/internal/alert"
)

// stixObject is the union of what is read of the objects of STIX 2.0 and 2.1.
type stixObject struct {
	Type        text     `json:"type"`
	ID          text     `json:"id"`
	Name        text     `json:"name"`
	Description text     `json:"description"`
	Modified    text     `json:"modified"`
	Labels      []text   `json:"labels"`          // 2.0: the kinds of an indicator
	Kinds       []text   `json:"indicator_types"` // 2.1
	Confidence  text     `json:"confidence"`
	Revoked     text     `json:"revoked"`
	Pattern     text     `json:"pattern"`
	PatternType text     `json:"pattern_type"`
	ValidFrom   text     `json:"valid_from"`
	ValidUntil  text     `json:"valid_until"`
	References  []extRef `json:"external_references"`
	KillChain   []struct {
		Phase text `json:"phase_name"`
	} `json:"kill_chain_phases"`
	// Relationships.
	Relationship text `json:"relationship_type"`
	Source       text `json:"source_ref"`
	Target       text `json:"target_ref"`
	// Reports list their objects; observed data of 2.0 holds them.
	ObjectRefs []text                    `json:"object_refs"`
	Objects    map[string]jsontext.Value `json:"objects"`
	First      text                      `json:"first_observed"`
	Last       text                      `json:"last_observed"`
	// Observables.
	Value  text            `json:"value"`
	Key    text            `json:"key"`
	Hashes map[string]text `json:"hashes"`
}

type extRef struct {
	Source text `json:"source_name"`
	ID     text `json:"external_id"`
}

// stixBundle collects the objects of a bundle: what an indicator is related to may stand
// before or after it.
type stixBundle struct {
	s          *sink
	indicators []stixRow
	observed   []stixRow
	names      map[string]stixName
	related    map[string][]string
	reports    map[string]string // object → name of the report that lists it
}

type stixRow struct {
	place string
	obj   stixObject
}

type stixName struct{ kind, name, technique string }

// maxRelated bounds what one hostile bundle can attach to one indicator.
const maxRelated = 64

func (s *sink) readSTIX(br *bufio.Reader) error {
	b := &stixBundle{s: s, names: map[string]stixName{}, related: map[string][]string{}, reports: map[string]string{}}
	dec := jsontext.NewDecoder(br, lenient...)
	found := dec.PeekKind() == '['
	var err error
	if found {
		err = eachElement(dec, b.collect)
	} else {
		err = eachMember(dec, func(name string) error {
			if name != "objects" {
				return skipValue(dec)
			}
			found = true
			return eachElement(dec, b.collect)
		})
	}
	if emitErr := b.flush(); emitErr != nil {
		return emitErr
	}
	if err == nil && !found {
		return fmt.Errorf("%w: a STIX bundle has the member objects", ErrUnknownFormat)
	}
	return err
}

func (b *stixBundle) collect(i int, raw jsontext.Value) error {
	place := "objects[" + strconv.Itoa(i) + "]"
	var o stixObject
	if err := json.Unmarshal(raw, &o, lenient...); err != nil {
		b.s.refuse(place, "", fmt.Errorf("not a STIX object: %w", err))
		return nil
	}
	id := string(o.ID)
	switch o.Type {
	case "indicator":
		b.indicators = append(b.indicators, stixRow{place, o})
	case "malware", "tool", "campaign", "intrusion-set", "threat-actor", "attack-pattern":
		b.names[id] = stixName{kind: string(o.Type), name: string(o.Name), technique: o.technique()}
	case "relationship":
		source := string(o.Source)
		if len(b.related[source]) < maxRelated {
			b.related[source] = append(b.related[source], string(o.Target))
		}
	case "report", "grouping":
		for _, ref := range o.ObjectRefs {
			b.reports[string(ref)] = string(o.Name)
		}
	case "observed-data":
		b.observedData(place, &o)
	case "ipv4-addr", "ipv6-addr", "domain-name", "url", "email-addr", "file", "artifact", "windows-registry-key":
		b.observed = append(b.observed, stixRow{place, o})
	default:
		b.s.skip("STIX type " + cut(clean(string(o.Type)), 40) + " is no indicator")
	}
	return nil
}

// technique is the ATT&CK or ATLAS id of an attack pattern.
func (o *stixObject) technique() string {
	for _, r := range o.References {
		if strings.HasPrefix(string(r.Source), "mitre") && alert.IsTechniqueID(string(r.ID)) {
			return string(r.ID)
		}
	}
	if name, _, _ := strings.Cut(string(o.Name), " "); alert.IsTechniqueID(strings.TrimRight(name, ":")) {
		return strings.TrimRight(name, ":")
	}
	return ""
}

func (b *stixBundle) observedData(place string, o *stixObject) {
	keys := make([]string, 0, len(o.Objects))
	for k := range o.Objects {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		at := place + ".objects[" + strconv.Quote(cut(k, 40)) + "]"
		var child stixObject
		if err := json.Unmarshal(o.Objects[k], &child, lenient...); err != nil {
			b.s.refuse(at, "", fmt.Errorf("not an observable: %w", err))
			continue
		}
		child.First, child.Last = o.First, o.Last
		b.observed = append(b.observed, stixRow{at, child})
	}
}

func (b *stixBundle) flush() error {
	for i := range b.indicators {
		if err := b.indicator(b.indicators[i].place, &b.indicators[i].obj); err != nil {
			return err
		}
	}
	for i := range b.observed {
		if err := b.observable(b.observed[i].place, &b.observed[i].obj); err != nil {
			return err
		}
	}
	return nil
}

func (b *stixBundle) indicator(place string, o *stixObject) error {
	switch {
	case truth(o.Revoked):
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
func stixSeverity(kinds []text, otherwise alert.Severity) (sev alert.Severity, ok bool) {
	sev, stated := alert.Informational, false
	for _, k := range kinds {
		found := alert.Informational
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
