package fp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/aluskort/aluskort/internal/alert"
)

// Thresholds and terms (REFERENCE 10.1, 10.2, 10.4).
const (
	// DefaultThreshold is the confidence from which a pattern matches.
	DefaultThreshold = 0.90
	// RaisedThreshold applies under drift and while the secondary provider answers.
	RaisedThreshold = 0.95
	// ExecutorFloor is the confidence below which the executor never closes anything.
	ExecutorFloor = 0.85
	// Term is how long an approval or a reaffirmation lasts.
	Term = 90 * 24 * time.Hour
	// MinShadowDecisions and MaxShadowDisagreement are what a shadow pattern must show before it
	// may be promoted.
	MinShadowDecisions    = 50
	MaxShadowDisagreement = 0.05
)

// Status is where a pattern stands in its life.
type Status string

// The statuses. Only an active pattern closes anything; a shadow pattern is only recorded.
const (
	PendingReview Status = "pending_review"
	Approved      Status = "approved" // by the first of two
	Active        Status = "active"
	Shadow        Status = "shadow"
	Deprecated    Status = "deprecated" // rejected before it was ever in force
	Expired       Status = "expired"
	Revoked       Status = "revoked" // withdrawn; what it closed is re-opened
)

// Op says how a condition compares. All comparisons ignore case.
type Op string

// The comparisons. A glob has * for any text and ? for one character; a CIDR is for addresses.
const (
	Equals Op = "equals"
	Prefix Op = "prefix"
	Glob   Op = "glob"
	CIDR   Op = "cidr"
)

// Text is one comparison with a text.
type Text struct {
	Op    Op     `json:"op"`
	Value string `json:"value"`
}

// EntityCondition is satisfied by an entity of that type (and role, when given) that the source
// itself states. Entities that were only found in text never satisfy one: whoever writes the
// text could put them there. A host without a role in the condition is not satisfied by the
// name that a remote client gives itself (role source).
type EntityCondition struct {
	Type alert.EntityType `json:"type"`
	Role alert.Role       `json:"role,omitempty"`
	Text
}

// PayloadCondition is satisfied when a leaf of the native record with that path compares. All
// payload conditions of a pattern must be satisfied.
type PayloadCondition struct {
	Path string `json:"path"`
	Text
}

// Scope bounds where a pattern may match.
type Scope struct {
	// RuleFamily is an analytic or its beginning up to a ':', '/' or '.'.
	RuleFamily string `json:"rule_family,omitempty"`
	// AssetClass is a class that every host of the alert has in the organisation's context: a role
	// ("backup_server"), a criticality ("test") or a zone ("zone:office"). A pattern with one
	// matches only where the class is known.
	AssetClass string `json:"asset_class,omitempty"`
}

// Definition is what people approve: it never changes once proposed.
type Definition struct {
	Name   string `json:"name"`
	Tenant string `json:"tenant"`
	Scope  Scope  `json:"scope,omitzero"`
	// AlertNames: one of them must match the title. Empty: the analytics decide alone.
	AlertNames []Text `json:"alert_names,omitempty"`
	// Analytics: one of them must be the alert's analytic. Empty: the names decide alone.
	Analytics []string           `json:"analytics,omitempty"`
	Entities  []EntityCondition  `json:"entities,omitempty"`
	Payload   []PayloadCondition `json:"payload,omitempty"`
	// Threshold is the confidence needed, from 0.90 to 1.
	Threshold float64 `json:"threshold"`
	// Shadow asks that the approved pattern is first only recorded.
	Shadow bool `json:"shadow,omitempty"`
	// Justification says why this is known to be harmless.
	Justification string `json:"justification"`
}

// Digest identifies the exact definition that was shown and approved.
func (d *Definition) Digest() string {
	b, err := json.Marshal(d, json.Deterministic(true))
	if err != nil { // text that is not UTF-8: Check refuses it, the digest stays distinct
		b = fmt.Appendf(nil, "%#v", *d)
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Pattern is a definition with its life.
type Pattern struct {
	ID string `json:"pattern_id"`
	Definition
	Status          Status    `json:"status"`
	Proposer        string    `json:"proposer"`
	ApprovedBy1     string    `json:"approved_by_1,omitempty"`
	ApprovalReason1 string    `json:"approval_reason_1,omitempty"`
	ApprovedBy2     string    `json:"approved_by_2,omitempty"`
	ApprovalReason2 string    `json:"approval_reason_2,omitempty"`
	CreatedAt       time.Time `json:"created_at"`
	ApprovedAt      time.Time `json:"approval_date,omitzero"`
	Expiry          time.Time `json:"expiry_date,omitzero"`
	ReaffirmedBy    string    `json:"reaffirmed_by,omitempty"`
	ReaffirmedAt    time.Time `json:"reaffirmed_date,omitzero"`
	// EndedBy rejected or revoked the pattern, or is "expiry".
	EndedBy     string    `json:"ended_by,omitempty"`
	EndedReason string    `json:"ended_reason,omitempty"`
	EndedAt     time.Time `json:"ended_date,omitzero"`
	// Occurrences counts the investigations that the pattern closed.
	Occurrences         int64     `json:"occurrences"`
	LastOccurrence      time.Time `json:"last_occurrence,omitzero"`
	ShadowDecisions     int64     `json:"shadow_decisions,omitempty"`
	ShadowDisagreements int64     `json:"shadow_disagreements,omitempty"`
	// Version fences concurrent changes of the standing; counters do not move it.
	Version int64 `json:"version"`
}

// InForce reports whether the pattern is to be matched at that time.
func (p *Pattern) InForce(at time.Time) bool {
	return (p.Status == Active || p.Status == Shadow) && at.Before(p.Expiry)
}
