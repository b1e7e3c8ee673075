package sigma

import (
	"strings"
	"time"
)

// Rule is one Sigma rule. It is immutable once loaded and may be part of several sets.
type Rule struct {
	Title string
	// ID is the rule's id; a rule without one gets "sha256:" and a hash of its content.
	ID             string
	Name           string
	Taxonomy       string
	Status         string
	Description    string
	License        string
	Author         string
	Date, Modified string
	References     []string
	Tags           []string
	Fields         []string
	FalsePositives []string
	Scope          []string
	Related        []Related
	// Level is informational, low, medium, high or critical; empty when the rule has none.
	Level     string
	Logsource Logsource
	// Techniques and Tactics are read from the tags: "T1059.001", "AML.T0051", "execution".
	Techniques []string
	Tactics    []string
	// Extra holds the top-level keys that the specification does not name.
	Extra map[string]any

	// Stance says which way a match speaks; Weight is its size in bits, never negative. Rules
	// that state no weight get one by level. Use Bits for the signed weight of a match.
	Stance Stance
	Weight float64
	// Kind names the sort of evidence, for the Voids of benign rules; Group what it was read
	// from. Both may be empty.
	Kind  string
	Group string
	// Refines lists kinds of evidence whose rules name a family of techniques; this malicious rule
	// says which of them it was, so theirs are not named beside its own.
	Refines []string
	// Voids lists kinds of evidence that this benign rule does not survive.
	Voids []string
	// Expected marks a benign rule that proves authorised activity.
	Expected bool
	// RequiresOrg is a predicate over the organisation's context that must hold beside the
	// match; empty for none. This package does not evaluate it.
	RequiresOrg string
	// TrustedFields are fields that an unprivileged attacker cannot write.
	TrustedFields []string
	// Count asks for repetition; nil when one match is enough. This package does not count.
	Count *Count
	// Statement says in words what a match means, with {Field} placeholders; see Set.Statement.
	Statement string
	// Tests are the rule's own examples; see RunTests.
	Tests Tests

	// File and Line say where the rule was read from.
	File string
	Line int

	root *expr
	// deferred is the detection of a rule with placeholders, built when their table is known.
	deferred *detectionSource
}

// Related is a reference to another rule.
type Related struct{ ID, Type string }

// Logsource names the kind of log a rule reads, or an event comes from; empty parts are open.
type Logsource struct {
	Product, Category, Service string
	// Definition is for readers only.
	Definition string
}

// Stance says which way a match speaks.
type Stance string

// The stances.
const (
	Malicious Stance = "malicious"
	Benign    Stance = "benign"
)

// Count is repetition as evidence: at least AtLeast matches, or distinct values of Distinct,
// that share the values of Key within Window.
type Count struct {
	Key      []string
	Window   time.Duration
	AtLeast  int
	Distinct string
}

// Tests are the examples a rule carries.
type Tests struct {
	Match, NoMatch []Example
}

// Example is one event by Sigma field names. Logsource defaults to the rule's own.
type Example struct {
	Event     []ExampleField
	Logsource Logsource
	Line      int
}

// ExampleField is one value of an example; a field with several values stands several times.
type ExampleField struct {
	Name, Value string
	Null        bool
}

var levelWeights = map[string]float64{
	"informational": 0.5, "low": 1, "": 1, "medium": 1.5, "high": 3, "critical": 5,
}

// untrustedBenignBits caps benign rules that an unprivileged attacker could satisfy alone.
const untrustedBenignBits = 1

// Bits is the signed weight of one match in bits: positive for malicious, negative for benign.
// A benign match that does not rest on two fields, one of them trusted, counts at most -1; a
// condition on the organisation's context counts as a trusted field.
func (r *Rule) Bits(h Hits) float64 {
	if r.Stance != Benign {
		return r.Weight
	}
	if r.restsOnTrusted(h) {
		return -r.Weight
	}
	return -min(r.Weight, untrustedBenignBits)
}

func (r *Rule) restsOnTrusted(h Hits) bool {
	fields, trusted := 0, 0
	if r.RequiresOrg != "" {
		fields, trusted = 1, 1
	}
	for i := range h {
		if containsHit(h[:i], h[i].Field) {
			continue
		}
		fields++
		for _, t := range r.TrustedFields {
			if t == h[i].Field {
				trusted++
				break
			}
		}
	}
	return fields >= 2 && trusted >= 1
}

func containsHit(h Hits, field string) bool {
	for i := range h {
		if h[i].Field == field {
			return true
		}
	}
	return false
}

// readTags fills Techniques and Tactics.
func (r *Rule) readTags() {
	for _, tag := range r.Tags {
		space, rest, _ := strings.Cut(strings.ToLower(tag), ".")
		switch {
		case space == "attack" && isTechnique(rest):
			r.Techniques = append(r.Techniques, strings.ToUpper(rest))
		case space == "atlas" && isTechnique(strings.TrimPrefix(rest, "aml.")):
			r.Techniques = append(r.Techniques, "AML."+strings.ToUpper(strings.TrimPrefix(rest, "aml.")))
		case space == "attack" && tactics[strings.ReplaceAll(rest, "_", "-")]:
			r.Tactics = append(r.Tactics, strings.ReplaceAll(rest, "_", "-"))
		}
	}
}

// tactics are the names of the ATT&CK enterprise tactics as tags spell them.
var tactics = map[string]bool{
	"reconnaissance": true, "resource-development": true, "initial-access": true, "execution": true,
	"persistence": true, "privilege-escalation": true, "defense-evasion": true, "stealth": true,
	"defense-impairment": true, "credential-access": true, "discovery": true, "lateral-movement": true,
	"collection": true, "command-and-control": true, "exfiltration": true, "impact": true,
}

// isTechnique reports whether s has the form t1234 or t1234.001.
func isTechnique(s string) bool {
	if len(s) != 5 && (len(s) != 9 || s[5] != '.') || s[0] != 't' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if i != 5 && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}
