package intel

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/knowledge/feed"
)

// The MISP core format (draft-dulaunoy-misp-core-format), as far as indicators need it.
type mispEvent struct {
	Info        feed.Text        `json:"info"`
	Date        feed.Text        `json:"date"`
	ThreatLevel feed.Text        `json:"threat_level_id"`
	Timestamp   feed.Text        `json:"timestamp"`
	Orgc        jsontext.Value   `json:"Orgc"`
	Attributes  []jsontext.Value `json:"Attribute"`
	Objects     []jsontext.Value `json:"Object"`
	Tags        []mispTag        `json:"Tag"`
	Galaxies    []mispGalaxy     `json:"Galaxy"`
}

type mispAttribute struct {
	Type      feed.Text    `json:"type"`
	Category  feed.Text    `json:"category"`
	Value     feed.Text    `json:"value"`
	Comment   feed.Text    `json:"comment"`
	Timestamp feed.Text    `json:"timestamp"`
	FirstSeen feed.Text    `json:"first_seen"`
	LastSeen  feed.Text    `json:"last_seen"`
	ToIDs     feed.Text    `json:"to_ids"`
	Deleted   feed.Text    `json:"deleted"`
	Tags      []mispTag    `json:"Tag"`
	Galaxies  []mispGalaxy `json:"Galaxy"`
	// Event stands in the answers of attribute searches.
	Event *mispEvent `json:"Event"`
}

type mispObject struct {
	Name       feed.Text        `json:"name"`
	Deleted    feed.Text        `json:"deleted"`
	Attributes []jsontext.Value `json:"Attribute"`
}

type mispTag struct {
	Name feed.Text `json:"name"`
}

type mispGalaxy struct {
	Type     feed.Text `json:"type"`
	Clusters []struct {
		Value feed.Text `json:"value"`
	} `json:"GalaxyCluster"`
}

// readMISP takes an event, an array of events, and the answers of the API: a member
// "response" with events or with attributes.
func (s *sink) readMISP(br *bufio.Reader) error {
	dec := jsontext.NewDecoder(br, feed.Lenient()...)
	if dec.PeekKind() == '[' {
		return s.mispEvents(dec, "")
	}
	return feed.EachMember(dec, func(name string) error {
		switch {
		case name == "Event":
			return feed.EachElement(dec, func(_ int, raw jsontext.Value) error { return s.mispEvent("Event", raw) })
		case name == "response" && dec.PeekKind() == '[':
			return s.mispEvents(dec, "response")
		case name == "response" && dec.PeekKind() == '{':
			return feed.EachMember(dec, func(name string) error {
				if name == "Attribute" {
					return s.mispBare(dec, "response.Attribute")
				}
				return feed.Skip(dec)
			})
		case name == "Attribute":
			return s.mispBare(dec, "Attribute")
		}
		return feed.Skip(dec)
	})
}

func (s *sink) mispEvents(dec *jsontext.Decoder, at string) error {
	return feed.EachElement(dec, func(i int, raw jsontext.Value) error {
		place := fmt.Sprintf("%s[%d]", at, i)
		var wrapped struct {
			Event jsontext.Value `json:"Event"`
		}
		if err := json.Unmarshal(raw, &wrapped, feed.Lenient()...); err != nil {
			s.refuse(place, "", fmt.Errorf("not a MISP event: %w", err))
			return nil
		}
		if wrapped.Event == nil {
			return s.mispEvent(place, raw)
		}
		return s.mispEvent(place+".Event", wrapped.Event)
	})
}

func (s *sink) mispBare(dec *jsontext.Decoder, at string) error {
	return feed.EachElement(dec, func(i int, raw jsontext.Value) error {
		return s.mispAttribute(fmt.Sprintf("%s[%d]", at, i), raw, &mispEvent{})
	})
}

func (s *sink) mispEvent(place string, raw jsontext.Value) error {
	var e mispEvent
	if err := json.Unmarshal(raw, &e, feed.Lenient()...); err != nil {
		s.refuse(place, "", fmt.Errorf("not a MISP event: %w", err))
		return nil
	}
	for i, a := range e.Attributes {
		if err := s.mispAttribute(fmt.Sprintf("%s.Attribute[%d]", place, i), a, &e); err != nil {
			return err
		}
	}
	for i, rawObject := range e.Objects {
		at := fmt.Sprintf("%s.Object[%d]", place, i)
		var o mispObject
		if err := json.Unmarshal(rawObject, &o, feed.Lenient()...); err != nil {
			s.refuse(at, "", fmt.Errorf("not a MISP object: %w", err))
			continue
		}
		if o.Deleted.True() {
			s.skip("deleted by the feed")
			continue
		}
		for j, a := range o.Attributes {
			if err := s.mispAttribute(at+".Attribute["+strconv.Itoa(j)+"]", a, &e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *sink) mispAttribute(place string, raw jsontext.Value, e *mispEvent) error {
	var a mispAttribute
	if err := json.Unmarshal(raw, &a, feed.Lenient()...); err != nil {
		s.refuse(place, "", fmt.Errorf("not a MISP attribute: %w", err))
		return nil
	}
	if a.Event != nil {
		e = a.Event
	}
	if a.Deleted.True() {
		s.skip("deleted by the feed")
		return nil
	}
	kinds, ok := mispKinds[string(a.Type)]
	if !ok || (a.Type == "email-dst" && !a.ToIDs.True()) {
		s.skip("MISP type " + cut(clean(string(a.Type)), 40) + " is no supported indicator")
		return nil
	}
	ind := s.mispIndicator(&a, e)
	parts := []string{string(a.Value)}
	if len(kinds) > 1 {
		parts = strings.SplitN(parts[0], "|", len(kinds))
		if len(parts) != len(kinds) {
			s.refuse(place, string(a.Value), refuse("", "a value of type %s has %d parts", a.Type, len(kinds)))
			return nil
		}
	}
	for i, kind := range kinds {
		if kind == mispOther {
			ind.Context = strings.Trim(parts[i]+"; "+ind.Context, "; ")
		}
	}
	for i, kind := range kinds {
		if kind == mispOther {
			continue
		}
		if err := s.add(place, kind, parts[i], ind); err != nil {
			return err
		}
	}
	return nil
}

// mispOther is a part of a composite value that is no indicator alone.
const mispOther alert.IndicatorType = "other"

var mispKinds = map[string][]alert.IndicatorType{
	"ip-src": {alert.IndicatorIPv4}, "ip-dst": {alert.IndicatorIPv4},
	"ip-src|port": {alert.IndicatorIPv4, mispOther}, "ip-dst|port": {alert.IndicatorIPv4, mispOther},
	"domain": {alert.IndicatorDomain}, "hostname": {alert.IndicatorDomain},
	"hostname|port": {alert.IndicatorDomain, mispOther}, "domain|ip": {alert.IndicatorDomain, alert.IndicatorIPv4},
	"url": {alert.IndicatorURL},
	"md5": {alert.IndicatorMD5}, "sha1": {alert.IndicatorSHA1}, "sha256": {alert.IndicatorSHA256},
	"filename|md5": {mispOther, alert.IndicatorMD5}, "filename|sha1": {mispOther, alert.IndicatorSHA1},
	"filename|sha256": {mispOther, alert.IndicatorSHA256}, "malware-sample": {mispOther, alert.IndicatorMD5},
	"filename": {alert.IndicatorPath},
	"email":    {alert.IndicatorEmail}, "email-src": {alert.IndicatorEmail}, "email-reply-to": {alert.IndicatorEmail},
	"email-dst": {alert.IndicatorEmail}, "user-agent": {alert.IndicatorUserAgent},
	"vulnerability": {alert.IndicatorCVE}, "regkey": {alert.IndicatorRegistry},
	"regkey|value": {alert.IndicatorRegistry, mispOther},
}

func (s *sink) mispIndicator(a *mispAttribute, e *mispEvent) Indicator {
	ind := s.base()
	ind.FirstSeen, ind.LastSeen = parseTime(string(a.FirstSeen)), parseTime(string(a.LastSeen))
	if ind.FirstSeen.IsZero() {
		ind.FirstSeen = parseTime(string(e.Date))
	}
	if ind.LastSeen.IsZero() {
		ind.LastSeen = later(parseTime(string(a.Timestamp)), ind.FirstSeen)
	}
	ind.Context = strings.Trim(string(e.Info)+"; "+string(a.Comment), "; ")
	if a.Category != "" {
		ind.Tags = append(ind.Tags, "category:"+string(a.Category))
	}
	ind.Confidence += 25
	if !a.ToIDs.True() {
		ind.Confidence -= 35
	}
	switch e.ThreatLevel {
	case "1":
		ind.Severity = alert.High
		ind.Confidence += 10
	case "2":
		ind.Severity = alert.Medium
	case "3":
		ind.Severity = alert.Low
		ind.Confidence -= 10
	}
	var org struct {
		Name feed.Text `json:"name"`
	}
	if len(e.Orgc) > 0 && json.Unmarshal(e.Orgc, &org, feed.Lenient()...) == nil && org.Name != "" {
		ind.Tags = append(ind.Tags, "org:"+string(org.Name))
	}
	ind.mispLabels(e.Tags, e.Galaxies)
	ind.mispLabels(a.Tags, a.Galaxies)
	return ind
}

func (i *Indicator) mispLabels(tags []mispTag, galaxies []mispGalaxy) {
	for _, t := range tags {
		name := string(t.Name)
		rest, ok := strings.CutPrefix(name, "misp-galaxy:")
		if !ok {
			i.Tags = append(i.Tags, name)
			if level, found := strings.CutPrefix(name, `misp:confidence-level="`); found {
				i.Confidence = mispConfidence(strings.TrimSuffix(level, `"`), i.Confidence)
			}
			continue
		}
		if kind, value, ok := strings.Cut(rest, "="); ok {
			i.galaxy(kind, strings.Trim(value, `"`))
		}
	}
	for _, g := range galaxies {
		for _, c := range g.Clusters {
			i.galaxy(string(g.Type), string(c.Value))
		}
	}
}

func mispConfidence(level string, otherwise int) int {
	switch level {
	case "completely-confident":
		return 95
	case "usually-confident":
		return 75
	case "fairly-confident":
		return 55
	case "rarely-confident":
		return 30
	case "unconfident":
		return 10
	}
	return otherwise
}

// galaxy files the name of a cluster. Clusters of ATT&CK end in the id: "PowerShell - T1059.001".
func (i *Indicator) galaxy(kind, value string) {
	name, id := value, ""
	if at := strings.LastIndex(value, " - "); at >= 0 {
		name, id = value[:at], value[at+3:]
	}
	switch {
	case alert.IsTechniqueID(id):
		i.Techniques = append(i.Techniques, id)
	case strings.Contains(kind, "actor") || strings.Contains(kind, "intrusion-set"):
		i.Groups = append(i.Groups, name)
	case strings.Contains(kind, "malware") || kind == "ransomware" || kind == "tool" || kind == "botnet" ||
		kind == "rat" || kind == "malpedia" || kind == "banker" || kind == "stealer" || kind == "backdoor":
		i.Campaigns = append(i.Campaigns, name)
	default:
		i.Tags = append(i.Tags, kind+":"+value)
	}
}
