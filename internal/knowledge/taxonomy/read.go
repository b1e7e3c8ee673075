package taxonomy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/knowledge/feed"
)

// Limits of one file.
const (
	DefaultMaxBytes = 256 << 20 // after decompression
	maxYAML         = 16 << 20
	maxTechniques   = 20_000
	maxRelations    = 1_000_000
	maxDescription  = 16 << 10
	maxRefusals     = 100
)

var (
	// ErrUnknownFormat says that a file is neither a STIX bundle of MITRE nor ATLAS.yaml.
	ErrUnknownFormat = errors.New("taxonomy: the file is neither a STIX bundle of ATT&CK or ATLAS nor ATLAS.yaml")
	// ErrNoTechniques says that a file was read and names no technique.
	ErrNoTechniques = errors.New("taxonomy: the file names no technique")
	// ErrTooLarge says that a file passed a limit.
	ErrTooLarge = feed.ErrTooLarge
)

// Options say how to read a file. The zero value reads any file of MITRE.
type Options struct {
	// Version is for bundles that do not state theirs; empty means "unknown".
	Version string
	// MaxBytes bounds the file after decompression; 0 means DefaultMaxBytes.
	MaxBytes int64
}

// Bundle is what one file says.
type Bundle struct {
	// Part is "enterprise", "ics", "mobile" or "atlas".
	Part       string
	Version    string
	Techniques []Technique
	// Refused are objects that should have been techniques, with place and reason, at most 100.
	Refused []string
}

// Taxonomy returns the techniques of the bundle.
func (b *Bundle) Taxonomy() *Taxonomy { return New(b.Techniques, Versions{b.Part: b.Version}) }

func (b *Bundle) refuse(place, why string) {
	if len(b.Refused) < maxRefusals {
		b.Refused = append(b.Refused, place+": "+why)
	}
}

func (b *Bundle) add(place string, t Technique) error {
	if why := t.check(); why != "" {
		b.refuse(place, why)
		return nil
	}
	if len(b.Techniques) >= maxTechniques {
		return fmt.Errorf("%w: more than %d techniques", ErrTooLarge, maxTechniques)
	}
	b.Techniques = append(b.Techniques, t)
	return nil
}

// Read reads a STIX 2.0 or 2.1 bundle of ATT&CK (enterprise, ICS, mobile) or ATLAS, or
// ATLAS.yaml, gzipped or not, recognised by content.
func Read(r io.Reader, o Options) (*Bundle, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Version == "" {
		o.Version = "unknown"
	}
	br, err := feed.Open(r, o.MaxBytes)
	if err != nil {
		return nil, fmt.Errorf("taxonomy: %w", err)
	}
	head, err := br.Peek(feed.PeekSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("taxonomy: %w", err)
	}
	b := &Bundle{Version: o.Version}
	text := strings.TrimLeft(string(head), " \t\r\n")
	switch {
	case strings.HasPrefix(text, "{"):
		err = b.readSTIX(br)
	case strings.HasPrefix(text, "---") || strings.HasPrefix(text, "id:"):
		err = b.readYAML(br)
	default:
		err = ErrUnknownFormat
	}
	if err != nil {
		return nil, err
	}
	if len(b.Techniques) == 0 {
		return nil, ErrNoTechniques
	}
	return b, nil
}

// stixObject is what is read of the objects of MITRE's bundles.
type stixObject struct {
	Type        feed.Text `json:"type"`
	ID          feed.Text `json:"id"`
	Name        feed.Text `json:"name"`
	Description feed.Text `json:"description"`
	Revoked     feed.Text `json:"revoked"`
	Deprecated  feed.Text `json:"x_mitre_deprecated"`
	Version     feed.Text `json:"x_mitre_version"`
	References  []struct {
		Source feed.Text `json:"source_name"`
		ID     feed.Text `json:"external_id"`
	} `json:"external_references"`
	KillChain []struct {
		Chain feed.Text `json:"kill_chain_name"`
		Phase feed.Text `json:"phase_name"`
	} `json:"kill_chain_phases"`
	Domains      []feed.Text `json:"x_mitre_domains"`
	Platforms    []feed.Text `json:"x_mitre_platforms"`
	Relationship feed.Text   `json:"relationship_type"`
	Source       feed.Text   `json:"source_ref"`
	Target       feed.Text   `json:"target_ref"`
}

// stixReader collects what refers to each other across the bundle.
type stixReader struct {
	bundle   *Bundle
	ids      map[string]string // object → technique
	replaced map[string]string // object → object
	parts    map[string]int
}

func (b *Bundle) readSTIX(br *bufio.Reader) error {
	r := &stixReader{bundle: b, ids: map[string]string{}, replaced: map[string]string{}, parts: map[string]int{}}
	dec := jsontext.NewDecoder(br, feed.Lenient()...)
	found := false
	err := feed.EachMember(dec, func(name string) error {
		if name != "objects" {
			return feed.Skip(dec)
		}
		found = true
		return feed.EachElement(dec, r.object)
	})
	if err != nil {
		return fmt.Errorf("taxonomy: read bundle: %w", err)
	}
	if !found {
		return fmt.Errorf("%w: it has no member objects", ErrUnknownFormat)
	}
	r.finish()
	return nil
}

func (r *stixReader) object(i int, raw jsontext.Value) error {
	place := "objects[" + strconv.Itoa(i) + "]"
	var o stixObject
	if err := json.Unmarshal(raw, &o, feed.Lenient()...); err != nil {
		r.bundle.refuse(place, "not a STIX object: "+err.Error())
		return nil
	}
	switch o.Type {
	case "x-mitre-collection":
		if o.Version != "" && len(o.Version) < 40 {
			r.bundle.Version = string(o.Version)
		}
	case "relationship":
		if o.Relationship == "revoked-by" && len(r.replaced) < maxRelations {
			r.replaced[string(o.Source)] = string(o.Target)
		}
	case "attack-pattern":
		return r.technique(place, &o)
	}
	return nil
}

func (r *stixReader) technique(place string, o *stixObject) error {
	t := Technique{
		Name: strings.TrimSpace(string(o.Name)), Deprecated: o.Deprecated.True(), Revoked: o.Revoked.True(),
		Description: cut(string(o.Description), maxDescription),
	}
	for _, ref := range o.References {
		if strings.HasPrefix(string(ref.Source), "mitre-") && alert.IsTechniqueID(string(ref.ID)) {
			t.ID = string(ref.ID)
			break
		}
	}
	for _, k := range o.KillChain {
		t.Tactics = append(t.Tactics, string(k.Phase))
		r.parts[partOf(string(k.Chain))]++
	}
	for _, d := range o.Domains {
		r.parts[partOf(string(d))]++
	}
	for _, p := range o.Platforms {
		t.Platforms = append(t.Platforms, cut(string(p), 100))
	}
	if t.ID != "" {
		r.ids[string(o.ID)] = t.ID
	}
	return r.bundle.add(place, t)
}

// partOf maps the name of a domain or a kill chain.
func partOf(name string) string {
	switch name {
	case "enterprise-attack", "mitre-attack":
		return "enterprise"
	case "ics-attack", "mitre-ics-attack":
		return "ics"
	case "mobile-attack", "mitre-mobile-attack":
		return "mobile"
	case "mitre-atlas", "atlas":
		return string(ATLAS)
	}
	return ""
}

func (r *stixReader) finish() {
	source := make(map[string]string, len(r.ids)) // technique → object
	for object, id := range r.ids {
		source[id] = object
	}
	for i := range r.bundle.Techniques {
		t := &r.bundle.Techniques[i]
		if target, ok := r.replaced[source[t.ID]]; ok && t.Revoked {
			t.ReplacedBy = r.ids[target]
		}
	}
	most := 0
	for _, part := range [...]string{"enterprise", "ics", "mobile", string(ATLAS)} {
		if r.parts[part] > most {
			r.bundle.Part, most = part, r.parts[part]
		}
	}
	if r.bundle.Part == "" && len(r.bundle.Techniques) > 0 {
		r.bundle.Part = "enterprise"
		if FrameworkOf(r.bundle.Techniques[0].ID) == ATLAS {
			r.bundle.Part = string(ATLAS)
		}
	}
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
