package intel

import (
	"bufio"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/knowledge/feed"
)

// stixObject is the union of what is read of the objects of STIX 2.0 and 2.1.
type stixObject struct {
	Type        feed.Text   `json:"type"`
	ID          feed.Text   `json:"id"`
	Name        feed.Text   `json:"name"`
	Description feed.Text   `json:"description"`
	Modified    feed.Text   `json:"modified"`
	Labels      []feed.Text `json:"labels"`          // 2.0: the kinds of an indicator
	Kinds       []feed.Text `json:"indicator_types"` // 2.1
	Confidence  feed.Text   `json:"confidence"`
	Revoked     feed.Text   `json:"revoked"`
	Pattern     feed.Text   `json:"pattern"`
	PatternType feed.Text   `json:"pattern_type"`
	ValidFrom   feed.Text   `json:"valid_from"`
	ValidUntil  feed.Text   `json:"valid_until"`
	References  []extRef    `json:"external_references"`
	KillChain   []struct {
		Phase feed.Text `json:"phase_name"`
	} `json:"kill_chain_phases"`
	// Relationships.
	Relationship feed.Text `json:"relationship_type"`
	Source       feed.Text `json:"source_ref"`
	Target       feed.Text `json:"target_ref"`
	// Reports list their objects; observed data of 2.0 holds them.
	ObjectRefs []feed.Text               `json:"object_refs"`
	Objects    map[string]jsontext.Value `json:"objects"`
	First      feed.Text                 `json:"first_observed"`
	Last       feed.Text                 `json:"last_observed"`
	// Observables.
	Value  feed.Text            `json:"value"`
	Key    feed.Text            `json:"key"`
	Hashes map[string]feed.Text `json:"hashes"`
}

type extRef struct {
	Source feed.Text `json:"source_name"`
	ID     feed.Text `json:"external_id"`
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
	dec := jsontext.NewDecoder(br, feed.Lenient()...)
	found := dec.PeekKind() == '['
	var err error
	if found {
		err = feed.EachElement(dec, b.collect)
	} else {
		err = feed.EachMember(dec, func(name string) error {
			if name != "objects" {
				return feed.Skip(dec)
			}
			found = true
			return feed.EachElement(dec, b.collect)
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
	if err := json.Unmarshal(raw, &o, feed.Lenient()...); err != nil {
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
		if err := json.Unmarshal(o.Objects[k], &child, feed.Lenient()...); err != nil {
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
