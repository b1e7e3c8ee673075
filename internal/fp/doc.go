// Package fp holds false-positive patterns, kill switches and the gate that may close an
// investigation without a person (DESIGN section 6 "Auto-close", MECHANICS 4, REFERENCE 10).
//
// # Parts
//
// A Definition says what a pattern matches; ParseDefinition reads one from YAML and Check
// refuses what must not become a pattern. A Backtest holds it against stored investigations.
// Store runs the life of a Pattern (proposal, two approvals, expiry, revocation) and the kill
// switches, in SQL with audit events in the same transaction. Matcher is the immutable index
// of the patterns in force, Switches the snapshot of the kill switches; both are replaced
// whole by Store.Refresh. Gate joins them into one pure decision.
//
// # How the orchestrator uses it
//
// Before the batch's transaction, after the local evidence sources have run:
//
//	d := gate.Decide(&fp.Input{Tenant: …, Alert: …, Entities: …, Evidence: own, Checked: true,
//		Techniques: …, Severity: …, Degradation: string(level), At: clock.Now()})
//
// d.Close asks for the path received → parsing → closed with classification false_positive,
// reason "logic" and confidence d.Confidence, and for the events alert.short_circuited and
// alert.auto_closed; d.SafetyBlock asks for fp.safety_block; d.Shadow for
// shadow.decision_logged and Store.RecordShadow. Everything else goes on as if there were no
// patterns: d.Why is for the log.
//
// Inside the transaction, before the first closure is written:
//
//	if err := patterns.Current(tx, gate); err != nil { … } // ErrStale: somebody revoked or switched meanwhile
//	err = patterns.RecordClosures(tx, closures)
//
// On ErrStale the batch closes nothing by pattern; after Refresh it may decide again.
//
// A ticker calls Store.Refresh every few seconds and Store.ExpireDue every minute. When Refresh
// fails for MaxSwitchAge, every Decide answers "no" until it succeeds again. After Revoke the
// investigations of Store.PendingReopen go back to parsing, each marked by MarkReopened in the
// transaction that re-opens it; the list survives a crash.
package fp
