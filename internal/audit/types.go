package audit

// Version is the version of the list of event types and of the record layout.
const Version = "1.0"

// Type names what happened. The list is closed and versioned: a producer may emit only the
// types of Types; a record of an unknown type (written by a newer program) is kept and its
// verification gives a warning.
type Type string

// Category groups types by the question that a reader asks.
type Category uint8

// The categories. The zero value is invalid.
const (
	CategoryDecision Category = iota + 1
	CategoryAction
	CategoryApproval
	CategorySecurity
	CategorySystem
)

var categoryNames = [...]string{"", "decision", "action", "approval", "security", "system"}

// String returns the name that records carry, or "" for an invalid value.
func (c Category) String() string { return name(categoryNames[:], int(c)) }

// Severity is how urgently a person should read the record; the zero value is SeverityInfo.
type Severity uint8

// The severities of a record.
const (
	SeverityInfo Severity = iota
	SeverityWarning
	SeverityCritical
)

var severityNames = [...]string{"info", "warning", "critical"}

// String returns the name that records carry, or "" for an invalid value.
func (s Severity) String() string { return name(severityNames[:], int(s)) }

// ActorType says who acted. The zero value is invalid: an event without an actor is refused.
type ActorType uint8

// The kinds of actor.
const (
	ActorAgent ActorType = iota + 1
	ActorHuman
	ActorSystem
	ActorScheduler
)

var actorNames = [...]string{"", "agent", "human", "system", "scheduler"}

// String returns the name that records carry, or "" for an invalid value.
func (a ActorType) String() string { return name(actorNames[:], int(a)) }

func name(names []string, i int) string {
	if i >= len(names) {
		return ""
	}
	return names[i]
}

// Event types, category decision.
const (
	AlertClassified         Type = "alert.classified"
	AlertAutoClosed         Type = "alert.auto_closed"
	AlertEscalated          Type = "alert.escalated"
	AlertShortCircuited     Type = "alert.short_circuited"
	AlertFolded             Type = "alert.folded"
	AlertRejected           Type = "alert.rejected"
	InvestigationState      Type = "investigation.state_changed"
	InvestigationEnriched   Type = "investigation.enriched"
	InvestigationReopened   Type = "investigation.reopened"
	InvestigationFailed     Type = "investigation.failed"
	InvestigationRevised    Type = "investigation.revised"
	PlaybookSelected        Type = "playbook.selected"
	PlaybookGenerated       Type = "playbook.generated"
	ExposureScored          Type = "ctem.exposure_scored"
	AtlasDetectionFired     Type = "atlas.detection_fired"
	RoutingTierSelected     Type = "routing.tier_selected"
	RoutingProviderFailover Type = "routing.provider_failover"
	CanaryPromoted          Type = "canary.promoted"
	CanaryRolledBack        Type = "canary.rolled_back"
	ShadowDecisionLogged    Type = "shadow.decision_logged"
)

// Event types, category action.
const (
	ResponsePrepared    Type = "response.prepared"
	ResponseIntended    Type = "response.intended"
	ResponseExecuted    Type = "response.executed"
	ResponseReconciled  Type = "response.reconciled"
	ResponseRolledBack  Type = "response.rolled_back"
	ResponseGenerated   Type = "response.generated"
	IOCEnriched         Type = "ioc.enriched"
	PatternCreated      Type = "fp_pattern.created"
	PatternActivated    Type = "fp_pattern.activated"
	PatternExpired      Type = "fp_pattern.expired"
	RemediationAssigned Type = "ctem.remediation_assigned"
	RemediationVerified Type = "ctem.remediation_verified"
	KnowledgeIndexed    Type = "knowledge.indexed"
	EmbeddingReindexed  Type = "embedding.reindexed"
)

// Event types, category approval: what a person was asked and answered.
const (
	ApprovalRequested    Type = "approval.requested"
	ApprovalGranted      Type = "approval.granted"
	ApprovalDenied       Type = "approval.denied"
	ApprovalTimedOut     Type = "approval.timed_out"
	ApprovalEscalated    Type = "approval.escalated"
	PatternApproved      Type = "fp_pattern.approved"
	PatternRevoked       Type = "fp_pattern.revoked"
	ShadowGoLiveApproved Type = "shadow.go_live_approved"
	FeedbackSubmitted    Type = "feedback.submitted"
)

// Event types, category security.
const (
	InjectionDetected    Type = "injection.detected"
	InjectionQuarantined Type = "injection.quarantined"
	TechniqueQuarantined Type = "technique.quarantined"
	AccumulationBreached Type = "accumulation.threshold_breached"
	SpendSoftLimit       Type = "spend.soft_limit"
	SpendHardLimit       Type = "spend.hard_limit"
	PatternSafetyBlock   Type = "fp.safety_block"
)

// Event types, category system.
const (
	DegradationEntered    Type = "degradation.entered"
	DegradationExited     Type = "degradation.exited"
	KillSwitchActivated   Type = "kill_switch.activated"
	KillSwitchDeactivated Type = "kill_switch.deactivated"
	ConfigChanged         Type = "config.changed"
	CircuitBreakerOpened  Type = "circuit_breaker.opened"
	CircuitBreakerClosed  Type = "circuit_breaker.closed"
	Genesis               Type = "system.genesis"
	AuditRejected         Type = "audit.rejected"
	AuditReanchored       Type = "audit.reanchored"
	AuditKeyRotated       Type = "audit.key_rotated"
)

// registry is the closed list, in the order in which Types returns it.
var registry = []struct {
	category Category
	types    []Type
}{
	{CategoryDecision, []Type{
		AlertClassified, AlertAutoClosed, AlertEscalated, AlertShortCircuited,
		InvestigationState, InvestigationEnriched, PlaybookSelected, PlaybookGenerated,
		ExposureScored, AtlasDetectionFired, RoutingTierSelected, RoutingProviderFailover,
		CanaryPromoted, CanaryRolledBack, ShadowDecisionLogged,
		AlertFolded, AlertRejected, InvestigationReopened, InvestigationFailed, InvestigationRevised,
	}},
	{CategoryAction, []Type{
		ResponsePrepared, ResponseExecuted, ResponseRolledBack, ResponseGenerated,
		IOCEnriched, PatternCreated, PatternActivated, RemediationAssigned, RemediationVerified,
		KnowledgeIndexed, EmbeddingReindexed,
		PatternExpired, ResponseIntended, ResponseReconciled,
	}},
	{CategoryApproval, []Type{
		ApprovalRequested, ApprovalGranted, ApprovalDenied, ApprovalTimedOut, ApprovalEscalated,
		PatternApproved, PatternRevoked, ShadowGoLiveApproved,
		FeedbackSubmitted,
	}},
	{CategorySecurity, []Type{
		InjectionDetected, InjectionQuarantined, TechniqueQuarantined, AccumulationBreached,
		SpendSoftLimit, SpendHardLimit,
		PatternSafetyBlock,
	}},
	{CategorySystem, []Type{
		DegradationEntered, DegradationExited, KillSwitchActivated, KillSwitchDeactivated,
		ConfigChanged, CircuitBreakerOpened, CircuitBreakerClosed, Genesis,
		AuditRejected, AuditReanchored, AuditKeyRotated,
	}},
}

// categories is registry by name; it is never written after it was made.
var categories = func() map[Type]Category {
	m := make(map[Type]Category, 64)
	for _, group := range registry {
		for _, t := range group.types {
			m[t] = group.category
		}
	}
	return m
}()

// Valid reports whether t is in the closed list.
func Valid(t Type) bool { return categories[t] != 0 }

// CategoryOf returns the category of t, and false when t is not in the list.
func CategoryOf(t Type) (Category, bool) {
	c, ok := categories[t]
	return c, ok
}

// Types returns the closed list, grouped by category. The caller owns the slice.
func Types() []Type {
	out := make([]Type, 0, len(categories))
	for _, group := range registry {
		out = append(out, group.types...)
	}
	return out
}
