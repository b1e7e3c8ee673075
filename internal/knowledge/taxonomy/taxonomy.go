package taxonomy

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
)

// Framework is one of the two bodies of techniques.
type Framework string

// The frameworks.
const (
	ATTACK Framework = "attack"
	ATLAS  Framework = "atlas"
)

// FrameworkOf tells the framework by the form of an id.
func FrameworkOf(id string) Framework {
	if strings.HasPrefix(id, "AML.") {
		return ATLAS
	}
	return ATTACK
}

// Technique is a technique or sub-technique.
type Technique struct {
	ID   string
	Name string
	// Tactics are the short names of the tactics, sorted: "initial-access".
	Tactics []string
	// Deprecated techniques are no longer maintained. Revoked ones were replaced.
	Deprecated bool
	Revoked    bool
	// ReplacedBy is the id that took the place of a revoked technique, "" when none did.
	ReplacedBy string
	// Description and Platforms come with an import only.
	Description string
	Platforms   []string
}

// Parent is the id of the technique that a sub-technique belongs to, "" for a technique.
func (t *Technique) Parent() string { return parentID(t.ID) }

func parentID(id string) string {
	i := strings.LastIndexByte(id, '.')
	if i < 0 || strings.HasPrefix(id[i+1:], "T") {
		return ""
	}
	return id[:i]
}

// Versions are the versions of the parts, by their name: "enterprise", "ics", "mobile", "atlas".
type Versions map[string]string

// String reads "ATT&CK enterprise 18.1, ics 18.1; ATLAS 5.6.0".
func (v Versions) String() string {
	var attack, atlas []string
	for _, part := range slices.Sorted(maps.Keys(v)) {
		if part == string(ATLAS) {
			atlas = append(atlas, v[part])
			continue
		}
		attack = append(attack, part+" "+v[part])
	}
	var out []string
	if len(attack) > 0 {
		out = append(out, "ATT&CK "+strings.Join(attack, ", "))
	}
	if len(atlas) > 0 {
		out = append(out, "ATLAS "+strings.Join(atlas, ", "))
	}
	return strings.Join(out, "; ")
}

// Taxonomy is an immutable set of techniques, safe for concurrent use.
type Taxonomy struct {
	byID     map[string]*Technique
	versions Versions
}

// New returns a taxonomy of the techniques. Of two with one id the later stays.
func New(techniques []Technique, versions Versions) *Taxonomy {
	t := &Taxonomy{byID: make(map[string]*Technique, len(techniques)), versions: maps.Clone(versions)}
	for i := range techniques {
		c := techniques[i]
		t.byID[c.ID] = &c
	}
	return t
}

// Over returns t laid over base: what t does not have is taken from base.
func (t *Taxonomy) Over(base *Taxonomy) *Taxonomy {
	out := &Taxonomy{byID: maps.Clone(base.byID), versions: maps.Clone(base.versions)}
	maps.Copy(out.byID, t.byID)
	if out.versions == nil {
		out.versions = Versions{}
	}
	maps.Copy(out.versions, t.versions)
	return out
}

// Len is the number of techniques, deprecated and revoked ones included.
func (t *Taxonomy) Len() int { return len(t.byID) }

// Versions returns a copy of the versions of the parts.
func (t *Taxonomy) Versions() Versions { return maps.Clone(t.versions) }

// Version is the versions in words.
func (t *Taxonomy) Version() string { return t.versions.String() }

// Find returns the technique of an id, in any case.
func (t *Taxonomy) Find(id string) (Technique, bool) {
	if c, ok := t.byID[id]; ok {
		return *c, true
	}
	if c, ok := t.byID[strings.ToUpper(strings.TrimSpace(id))]; ok {
		return *c, true
	}
	return Technique{}, false
}

// Known reports whether the id exists, deprecated and revoked ones included.
func (t *Taxonomy) Known(id string) bool {
	_, ok := t.Find(id)
	return ok
}

// Name is the name of the technique, "" for an unknown id. A sub-technique is named after
// its technique: "Command and Scripting Interpreter: PowerShell".
func (t *Taxonomy) Name(id string) string {
	c, ok := t.Find(id)
	if !ok {
		return ""
	}
	if p, found := t.byID[c.Parent()]; found {
		return p.Name + ": " + c.Name
	}
	return c.Name
}

// Deprecated reports whether the id is deprecated or revoked, and the id in force in its
// place; replacement is "" when there is none.
func (t *Taxonomy) Deprecated(id string) (replacement string, deprecated bool) {
	c, ok := t.Find(id)
	if !ok || !c.Deprecated && !c.Revoked {
		return "", false
	}
	for range 8 { // a replacement may have been replaced itself
		next, found := t.byID[c.ReplacedBy]
		if !found {
			return "", true
		}
		if !next.Deprecated && !next.Revoked {
			return next.ID, true
		}
		c = *next
	}
	return "", true
}

// Tactics are the tactics of the technique, nil for an unknown id. They are not to be changed.
func (t *Taxonomy) Tactics(id string) []string {
	c, ok := t.Find(id)
	if !ok {
		return nil
	}
	if len(c.Tactics) == 0 {
		if p, found := t.byID[c.Parent()]; found {
			return p.Tactics
		}
	}
	return c.Tactics
}

// Resolve sorts ids into techniques in force and quarantined ids, each once and in order. A
// revoked id becomes what replaced it.
func (t *Taxonomy) Resolve(ids []string) (known []Technique, quarantined []string) {
	for _, id := range ids {
		c, ok := t.Find(id)
		if !ok {
			if !slices.Contains(quarantined, id) {
				quarantined = append(quarantined, id)
			}
			continue
		}
		if next, deprecated := t.Deprecated(c.ID); deprecated && next != "" {
			c = *t.byID[next]
		}
		if !slices.ContainsFunc(known, func(k Technique) bool { return k.ID == c.ID }) {
			known = append(known, c)
		}
	}
	return known, quarantined
}

// All returns every technique, sorted by id.
func (t *Taxonomy) All() []Technique {
	out := make([]Technique, 0, len(t.byID))
	for _, c := range t.byID {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b Technique) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// check bounds a technique that was read and says why it cannot be used.
func (t *Technique) check() string {
	switch {
	case !alert.IsTechniqueID(t.ID):
		return "its id is not that of a technique"
	case strings.TrimSpace(t.Name) == "":
		return "it has no name"
	case len(t.Name) > maxName:
		return "its name is too long"
	case strings.ContainsFunc(t.Name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }):
		return "its name has control characters"
	case t.ReplacedBy != "" && !alert.IsTechniqueID(t.ReplacedBy):
		return "its replacement is not the id of a technique"
	}
	slices.Sort(t.Tactics)
	t.Tactics = slices.Compact(t.Tactics)
	if len(t.Tactics) > maxTactics {
		return "it has too many tactics"
	}
	for _, tactic := range t.Tactics {
		if !slug(tactic) {
			return "a tactic has an unusual name"
		}
	}
	return ""
}

const (
	maxName    = 200
	maxTactics = 20
)

func slug(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 60
}
