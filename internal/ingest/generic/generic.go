// Package generic adapts the alerts of products that have no adapter of their own: by a
// mapping file that says where the canonical fields stand, or, without one, by the names that
// most products use for id, title, severity and time.
package generic

import (
	"strconv"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// Adapter implements ingest.Adapter by a mapping. It is safe for concurrent use.
type Adapter struct {
	descriptor ingest.Descriptor
	root       string
	envelopes  []string
	detect     []condition
	fields     map[string][]string // canonical field to native paths
	constants  map[string]string
	heartbeat  []string
	severity   severities
	payload    *ingest.Payload
	links      []linkPath
}

type condition struct {
	path, equals string
	exists       bool // the path is enough
}

type severities struct {
	table    map[string]alert.Severity // by lower-case word
	bands    []band                    // ascending
	fallback alert.Severity
}

type band struct {
	to  float64 // inclusive
	sev alert.Severity
}

type linkPath struct {
	kind       alert.LinkKind
	path, host string
}

// The canonical fields a mapping may name.
var canonical = []string{
	"id", "timestamp", "title", "description", "severity", "tactics", "techniques", "product", "source_tenant", "event_start", "event_end", "analytic", "entities",
}

// detected is the score of a record that meets every condition of a mapping: a person wrote
// them, so they win over what the built-in adapters guess.
const detected = 101

// Descriptor implements ingest.Adapter.
func (a *Adapter) Descriptor() *ingest.Descriptor { return &a.descriptor }

// EnvelopePaths implements ingest.Envelope.
func (a *Adapter) EnvelopePaths() []string { return a.envelopes }

// View implements ingest.Viewer: fields stand under the mapping's root.
func (a *Adapter) View(f alert.Fields) alert.Fields {
	if a.root == "" {
		return f
	}
	return ingest.TrimRoot(f, a.root)
}

// Detect implements ingest.Adapter. Conditions hold for the record as it came or below root.
func (a *Adapter) Detect(native alert.Fields) int {
	if len(a.detect) == 0 {
		return 0
	}
	for _, c := range a.detect {
		if !c.holds(native, c.path) && (a.root == "" || !c.holds(native, a.root+"."+c.path)) {
			return 0
		}
	}
	return detected
}

func (c condition) holds(f alert.Fields, path string) bool {
	if c.exists {
		return f.Has(path)
	}
	x := f.Find(path)
	return x != nil && x.Value == c.equals
}

func (s *severities) of(word string) (alert.Severity, bool) {
	word = strings.ToLower(strings.TrimSpace(word))
	if sev, ok := s.table[word]; ok {
		return sev, true
	}
	if n, err := strconv.ParseFloat(word, 64); err == nil {
		for _, b := range s.bands {
			if n <= b.to {
				return b.sev, true
			}
		}
	}
	if len(s.table) == 0 && len(s.bands) == 0 {
		if sev, ok := alert.ParseSeverity(word); ok && word != "unknown" && word != "none" {
			return sev, true
		}
	}
	return s.fallback, false
}

func (a *Adapter) get(f alert.Fields, field string) string {
	if v := f.First(a.fields[field]...); v != "" {
		return v
	}
	return a.constants[field]
}

// list gathers every value of a field that may have several.
func (a *Adapter) list(f alert.Fields, field string) []string {
	var out []string
	for _, p := range a.fields[field] {
		out = append(out, f.All(p)...)
	}
	if c := a.constants[field]; c != "" && len(out) == 0 {
		out = append(out, c)
	}
	return out
}

// Normalise implements ingest.Adapter. A record that has none of the mapped fields is not what
// the mapping describes, and is rejected.
func (a *Adapter) Normalise(raw []byte, native alert.Fields) (alert.Alert, error) {
	f := a.View(native)
	title := a.get(f, "title")
	if a.isHeartbeat(title) {
		return alert.Alert{}, ingest.ErrHeartbeat
	}
	if !a.describes(f) {
		return alert.Alert{}, &ingest.RejectError{Source: a.descriptor.Name, Place: "/",
			Reason: "the record has none of the mapped fields (keys: " + ingest.TopKeys(native) + "); check the paths of the mapping"}
	}
	sev, known := a.severity.of(a.get(f, "severity"))
	out := alert.Alert{
		ID:             a.get(f, "id"),
		Source:         a.descriptor.Name,
		Timestamp:      ingest.FirstTime(f, a.fields["timestamp"]...),
		Title:          title,
		Description:    a.get(f, "description"),
		Severity:       sev,
		NativeSeverity: a.get(f, "severity"),
		Tactics:        ingest.Tactics(a.list(f, "tactics")...),
		Techniques:     ingest.Techniques(a.list(f, "techniques")...),
		EntitiesRaw:    a.entities(raw, f),
		Product:        a.get(f, "product"),
		SourceTenant:   a.get(f, "source_tenant"),
		EventStart:     ingest.FirstTime(f, a.fields["event_start"]...),
		EventEnd:       ingest.FirstTime(f, a.fields["event_end"]...),
		Analytic:       a.get(f, "analytic"),
		Discriminator:  a.payload.Of(f),
		Links:          a.linkKeys(f),
		Fields:         f,
	}
	out.Missing = ingest.Lack(out.Missing, "title", title)
	if !known {
		out.Missing = append(out.Missing, "severity")
	}
	if out.Timestamp.IsZero() {
		out.Missing = append(out.Missing, "timestamp")
	}
	if out.Title == "" {
		out.Title = strings.TrimSpace(a.descriptor.Title + " alert " + firstOf(out.Analytic, out.ID))
	}
	return out, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func (a *Adapter) isHeartbeat(title string) bool {
	for _, h := range a.heartbeat {
		if strings.EqualFold(h, strings.TrimSpace(title)) {
			return true
		}
	}
	return ingest.IsHeartbeat(title)
}

func (a *Adapter) describes(f alert.Fields) bool {
	for _, paths := range a.fields {
		if f.First(paths...) != "" {
			return true
		}
	}
	return false
}

// entities is the source's own list, given as JSON text or as an array.
func (a *Adapter) entities(raw []byte, f alert.Fields) string {
	for _, p := range a.fields["entities"] {
		if v := strings.TrimSpace(f.Get(p)); strings.HasPrefix(v, "[") {
			return v
		}
		path := p
		if a.root != "" {
			path = a.root + "." + p
		}
		if v := ingest.RawAt(raw, strings.Split(path, ".")...); len(v) > 0 && v[0] == '[' {
			return string(v)
		}
	}
	return "[]"
}

func (a *Adapter) linkKeys(f alert.Fields) []alert.Link {
	var l ingest.Links
	for _, p := range a.links {
		x := f.Find(p.path)
		if x == nil {
			continue
		}
		switch p.kind {
		case alert.LinkProcess:
			l.Process(x.Value, "", x.Pointer)
		case alert.LinkSession:
			l.Session(f.Get(p.host), x.Value, "", x.Pointer)
		case alert.LinkSource:
			l.Source(x.Value, x.Pointer)
		case alert.LinkHash:
			l.Hash(x.Value, "", x.Pointer)
		case alert.LinkMessage:
			l.Message(x.Value, x.Pointer)
		case alert.LinkToken:
			l.Token(x.Value, x.Pointer)
		case alert.LinkKey:
			l.Key(x.Value, x.Pointer)
		}
	}
	return l.List()
}
