package bus

import (
	"slices"
	"strings"
	"time"
)

// Names of the topics that code refers to. The whole table is Topics.
const (
	AlertsRaw         = "alerts.raw"
	AlertsNormalized  = "alerts.normalized"
	IncidentsEnriched = "incidents.enriched"
	ActionsPending    = "actions.pending"
	AuditEvents       = "audit.events"

	// The lane of alerts that their source calls critical: they do not wait behind the others.
	AlertsRawUrgent        = "alerts.raw.urgent"
	AlertsNormalizedUrgent = "alerts.normalized.urgent"
	// The lane of alerts beyond their sender's share: nobody else waits behind them.
	AlertsRawBulk        = "alerts.raw.bulk"
	AlertsNormalizedBulk = "alerts.normalized.bulk"

	JobsCritical = "jobs.llm.priority.critical"
	JobsHigh     = "jobs.llm.priority.high"
	JobsNormal   = "jobs.llm.priority.normal"
	JobsLow      = "jobs.llm.priority.low"

	CTEMNormalized = "ctem.normalized"

	KnowledgeMITREUpdated    = "knowledge.mitre.updated"
	KnowledgePlaybookUpdated = "knowledge.playbook.updated"
	KnowledgeFPApproved      = "knowledge.fp.approved"
	KnowledgeIOCNew          = "knowledge.ti.ioc.new"
	KnowledgeReportNew       = "knowledge.ti.report.new"
	KnowledgeIncidentStored  = "knowledge.incident.stored"
)

// Names of the consumer groups.
const (
	GroupEntityParser   = "aluskort.entity-parser"
	GroupEnrichment     = "aluskort.enrichment"
	GroupPriorityRouter = "aluskort.priority-router"
	GroupOrchestrator   = "aluskort.orchestrator"
	GroupCTEMNormaliser = "aluskort.ctem-normaliser"
	GroupResponseAgent  = "aluskort.response-agent"
	GroupAuditService   = "aluskort.audit-service"
	// GroupReplay holds, per dead-letter partition, which letters were replayed.
	GroupReplay = "aluskort.dlq-replay"
)

// Family says which part of the product a topic belongs to.
type Family string

// The families of topics.
const (
	Core      Family = "core"
	CTEM      Family = "ctem"
	Knowledge Family = "knowledge"
	DLQ       Family = "dlq"
	Telemetry Family = "telemetry"
)

// Topic is one row of the topic table.
type Topic struct {
	Name   string
	Family Family
	// Partitions in production; an embedded bus has one partition per topic.
	Partitions int32
	// Retention in production and embedded, counted from a record's timestamp.
	Retention         time.Duration
	EmbeddedRetention time.Duration
	// Priority of a job topic, 1 for critical to 4 for low; 0 for all others.
	Priority int
}

const day = 24 * time.Hour

// Topics returns the topic table: the 35 topics of the product (13 core, 9 CTEM, 6 knowledge,
// 7 dead-letter) and 10 of telemetry. The slice is the caller's.
func Topics() []Topic {
	var ts []Topic
	add := func(f Family, partitions int32, keep time.Duration, names ...string) {
		for _, n := range names {
			ts = append(ts, Topic{Name: n, Family: f, Partitions: partitions, Retention: keep, EmbeddedRetention: embeddedRetention(n, keep)})
		}
	}
	add(Core, 4, 7*day, AlertsRaw, AlertsNormalized, IncidentsEnriched, AlertsRawUrgent, AlertsNormalizedUrgent, AlertsRawBulk, AlertsNormalizedBulk)
	add(Core, 2, 7*day, ActionsPending)
	add(Core, 4, 90*day, AuditEvents)
	add(Core, 4, 3*day, JobsCritical, JobsHigh)
	add(Core, 4, 7*day, JobsNormal)
	add(Core, 2, 14*day, JobsLow)

	add(CTEM, 4, 30*day, "ctem.raw.wiz")
	add(CTEM, 2, 30*day, "ctem.raw.snyk", "ctem.raw.garak", "ctem.raw.art", "ctem.raw.burp", "ctem.raw.custom")
	add(CTEM, 2, 90*day, "ctem.raw.validation", "ctem.raw.remediation")
	add(CTEM, 4, 30*day, CTEMNormalized)

	add(Knowledge, 1, 7*day, KnowledgeMITREUpdated, KnowledgePlaybookUpdated, KnowledgeFPApproved)
	add(Knowledge, 2, 7*day, KnowledgeIOCNew, KnowledgeReportNew, KnowledgeIncidentStored)

	for _, n := range ownDeadLetters {
		add(DLQ, 2, 30*day, n+dlqSuffix)
	}

	add(Telemetry, 8, 7*day, "telemetry.orbital.inference", "telemetry.orbital.api")
	add(Telemetry, 4, 7*day, "telemetry.orbital.physics", "telemetry.edge.health", "telemetry.partner.api", "telemetry.opcua.sensors")
	add(Telemetry, 4, 30*day, "telemetry.orbital.nlquery", "telemetry.databricks.audit")
	add(Telemetry, 2, 30*day, "telemetry.modelregistry.events", "telemetry.cicd.audit")

	for i := range ts {
		ts[i].Priority = 1 + slices.Index(priorities, ts[i].Name)
	}
	return ts
}

var priorities = []string{JobsCritical, JobsHigh, JobsNormal, JobsLow}

// PriorityTopics returns the job topics in the order in which workers drain them.
func PriorityTopics() []string { return slices.Clone(priorities) }

// embeddedRetention is shorter where the volume of alerts goes through: one disk holds the bus,
// the database and the objects, and the database has what matters after a day.
func embeddedRetention(name string, production time.Duration) time.Duration {
	switch name {
	case AlertsRaw, AlertsNormalized, AlertsRawUrgent, AlertsNormalizedUrgent, AlertsRawBulk, AlertsNormalizedBulk, IncidentsEnriched, AuditEvents:
		return day
	}
	return production
}

const dlqSuffix = ".dlq"

// besides are the topics whose dead letters lie with those of another: the lanes beside the regular one.
var besides = map[string]string{
	AlertsRawUrgent: AlertsRaw, AlertsRawBulk: AlertsRaw,
	AlertsNormalizedUrgent: AlertsNormalized, AlertsNormalizedBulk: AlertsNormalized,
}

// ownDeadLetters are the topics of the table that have dead letters of their own.
var ownDeadLetters = []string{
	AlertsRaw, AlertsNormalized, CTEMNormalized,
	JobsCritical, JobsHigh, JobsNormal, JobsLow,
}

// DeadLetterTopic returns the topic where dead letters of topic go:
//
//   - its own (alerts.raw to alerts.raw.dlq) where the table has one;
//   - the urgent and the bulk lane to those of the regular one;
//   - ctem.raw.* to ctem.normalized.dlq, the stage they feed;
//   - telemetry.* to alerts.raw.dlq, since its detections enter there;
//   - incidents.enriched, actions.pending and knowledge.* to alerts.normalized.dlq, the stage that
//     writes them;
//   - a topic outside the table to its own name with .dlq.
//
// The letter names its original topic, so sharing loses nothing. audit.events has none (what
// cannot be decoded is appended to the audit trail as rejected), and neither has a dead-letter
// topic: both are ErrNoDeadLetters.
func DeadLetterTopic(topic string) (string, error) {
	switch {
	case topic == AuditEvents, strings.HasSuffix(topic, dlqSuffix), topic == "":
		return "", &TopicError{Topic: topic, Err: ErrNoDeadLetters}
	case slices.Contains(ownDeadLetters, topic):
		return topic + dlqSuffix, nil
	case besides[topic] != "":
		return besides[topic] + dlqSuffix, nil
	case strings.HasPrefix(topic, "ctem.raw."):
		return CTEMNormalized + dlqSuffix, nil
	case strings.HasPrefix(topic, "telemetry."):
		return AlertsRaw + dlqSuffix, nil
	case topic == IncidentsEnriched, topic == ActionsPending, strings.HasPrefix(topic, "knowledge."):
		return AlertsNormalized + dlqSuffix, nil
	}
	return topic + dlqSuffix, nil
}
