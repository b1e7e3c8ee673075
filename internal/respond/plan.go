// Package respond plans what to do about a verdict. Actions are typed and come from a shipped
// table; parameters come from extracted entities, never from free text. Tier 2 and 3 always
// need a person, whatever the confidence.
package respond

import (
	"bytes"
	_ "embed"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
)

// Action is one recommended step against one target.
type Action struct {
	Action string           `json:"action"`
	Type   alert.EntityType `json:"target_type,omitempty"`
	Target string           `json:"target"`
	// Tier: 0 automatic, 1 automatic with notice, 2 human approval always, 3 emergency access.
	Tier          int    `json:"tier"`
	NeedsApproval bool   `json:"needs_approval"`
	Reason        string `json:"reason,omitempty"`
	// Instead names the actions that this manual task stands for, because nothing of ours may act
	// where the target stands: see Confine. It is empty for all other actions.
	Instead string `json:"instead,omitempty"`
	// Zone and Owner are where the target of a manual task stands and who answers for it, and
	// Alternative what can be done in the network around it.
	Zone        string `json:"zone,omitempty"`
	Owner       string `json:"owner,omitempty"`
	Alternative string `json:"alternative,omitempty"`
}

// rule is one row of the shipped table.
type rule struct {
	Action          string                    `yaml:"action"`
	Tier            int                       `yaml:"tier"`
	Target          string                    `yaml:"target"`
	Roles           []alert.Role              `yaml:"roles"`
	Classifications []evidence.Classification `yaml:"classifications"`
	Techniques      []string                  `yaml:"techniques"`
	Reason          string                    `yaml:"reason"`
	AtBoundary      string                    `yaml:"at_boundary"`
}

//go:embed actions.yaml
var shipped []byte

// Planner recommends actions. It is immutable and safe for concurrent use.
type Planner struct{ rules []rule }

// NewPlanner returns a planner with the shipped table.
func NewPlanner() (*Planner, error) { return parsePlanner(shipped) }

func parsePlanner(table []byte) (*Planner, error) {
	var doc struct {
		Actions []rule `yaml:"actions"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(table))
	dec.KnownFields(true)
	if err := dec.Decode(&doc); err != nil {
		return nil, fmt.Errorf("respond: action table: %w", err)
	}
	for i, r := range doc.Actions {
		if r.Action == "" || r.Tier < 0 || r.Tier > 3 || len(r.Classifications) == 0 ||
			r.Target != "investigation" && !alert.EntityType(r.Target).Valid() {
			return nil, fmt.Errorf("respond: action table: row %d (%q) needs an action, a tier from 0 to 3, classifications and a target", i+1, r.Action)
		}
		if r.Target == string(alert.Host) && r.AtBoundary == "" {
			return nil, fmt.Errorf("respond: action table: row %d (%q) acts on hosts and needs at_boundary: what is done in the network where nothing may act on the host", i+1, r.Action)
		}
	}
	return &Planner{rules: doc.Actions}, nil
}

// maxTargets bounds how many entities of an alert one row of the table may act on; past it the
// plan would be a sweep that a person must design.
const maxTargets = 5

// Plan recommends actions for a verdict on these entities and techniques, strongest tier last.
// The investigation's id is the target of actions that concern no entity.
func (p *Planner) Plan(id string, v *evidence.Verdict, entities []alert.Entity, techniques []string) []Action {
	var out []Action
	for i := range p.rules {
		r := &p.rules[i]
		if !slices.Contains(r.Classifications, v.Classification) || !r.techniqueMatches(techniques) {
			continue
		}
		if r.Target == "investigation" {
			out = append(out, r.on("", id))
			continue
		}
		n := 0
		for j := range entities {
			e := &entities[j]
			if n == maxTargets || !r.fits(e) {
				continue
			}
			a := r.on(e.Type, target(e))
			if !slices.ContainsFunc(out, func(b Action) bool { return a.Action == b.Action && sameTarget(e.Type, a.Target, b.Target) }) {
				out = append(out, a)
				n++
			}
		}
	}
	return out
}

// MaxTier returns the highest tier of the actions, -1 without any.
func MaxTier(actions []Action) int {
	tier := -1
	for _, a := range actions {
		tier = max(tier, a.Tier)
	}
	return tier
}

func (r *rule) on(t alert.EntityType, target string) Action {
	return Action{Action: r.Action, Type: t, Target: target, Tier: r.Tier, NeedsApproval: r.Tier >= 2, Reason: r.Reason}
}

// atBoundary is what is done in the network in place of an action on a host.
func (p *Planner) atBoundary(action string) string {
	for i := range p.rules {
		if r := &p.rules[i]; r.Action == action {
			return r.AtBoundary
		}
	}
	return ""
}

func (r *rule) techniqueMatches(techniques []string) bool {
	if len(r.Techniques) == 0 {
		return true
	}
	return slices.ContainsFunc(techniques, func(id string) bool {
		base, _, _ := strings.Cut(id, ".")
		return slices.Contains(r.Techniques, id) || slices.Contains(r.Techniques, base)
	})
}

// fits reports whether the entity may be a target: stated by the source, of the right type and
// role, and nothing that many share.
func (r *rule) fits(e *alert.Entity) bool {
	if string(e.Type) != r.Target || e.Confidence < 1 {
		return false
	}
	if len(r.Roles) > 0 && !slices.Contains(r.Roles, e.Role) {
		return false
	}
	switch e.Type {
	case alert.IP:
		return public(e.Value) && e.Role != alert.RoleDevice
	case alert.Account:
		return !builtin(e.Value)
	}
	return true
}

// target is what an action names: the sign-in name of an account where the source states it
// beside a display name.
func target(e *alert.Entity) string {
	if upn := e.Properties["upn"]; e.Type == alert.Account && upn != "" {
		return upn
	}
	return e.Value
}

// sameTarget reports whether two targets are one: a host goes by its short and its full name.
func sameTarget(t alert.EntityType, a, b string) bool {
	if t == alert.Host {
		a, _, _ = strings.Cut(a, ".")
		b, _, _ = strings.Cut(b, ".")
	}
	return strings.EqualFold(a, b)
}

func public(s string) bool {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return false
	}
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !netip.MustParsePrefix("100.64.0.0/10").Contains(a)
}

// builtin reports accounts that are part of the system and cannot be disabled without breaking it.
func builtin(account string) bool {
	name := strings.ToLower(account)
	if i := strings.LastIndexByte(name, '\\'); i >= 0 {
		name = name[i+1:]
	}
	switch name {
	case "system", "local service", "network service", "localsystem", "root", "anonymous logon", "nobody", "trustedinstaller", "-", "":
		return true
	}
	return strings.HasSuffix(name, "$") || strings.HasPrefix(name, "dwm-") || strings.HasPrefix(name, "umfd-")
}
