package llm

// Task is what a model is asked for. The router knows which tier and which abilities it needs.
type Task string

// The tasks (REFERENCE section 11.1), and two of our own: judging a field that looks like an
// injection, and the probe of a configured model.
const (
	IOCExtraction       Task = "ioc_extraction"
	LogSummarisation    Task = "log_summarisation"
	EntityNormalisation Task = "entity_normalisation"
	FPSuggestion        Task = "fp_suggestion"
	AlertClassification Task = "alert_classification"
	SeverityAssessment  Task = "severity_assessment"

	Investigation      Task = "investigation"
	CTEMCorrelation    Task = "ctem_correlation"
	ATLASReasoning     Task = "atlas_reasoning"
	AttackPathAnalysis Task = "attack_path_analysis"
	IncidentReport     Task = "incident_report"
	PlaybookSelection  Task = "playbook_selection"

	FPPatternTraining       Task = "fp_pattern_training"
	PlaybookGeneration      Task = "playbook_generation"
	AgentRedTeam            Task = "agent_red_team"
	DetectionRuleGeneration Task = "detection_rule_generation"
	RetrospectiveAnalysis   Task = "retrospective_analysis"
	ThreatLandscapeSummary  Task = "threat_landscape_summary"

	InjectionJudge Task = "injection_judge"
	Probe          Task = "probe"
)
