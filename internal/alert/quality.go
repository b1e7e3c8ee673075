package alert

import "strings"

// Quality scores how complete an alert is, from 1 (nothing missing) down to 0 (REFERENCE 2.4),
// and names what is missing. It never rejects: a poor record becomes a verdict with unknowns.
func Quality(a *Alert, entities int) (score float64, missing []string) {
	score = 1
	lack := func(what string, cost float64) {
		score -= cost
		missing = append(missing, what)
	}
	if a.ID == "" || strings.HasPrefix(a.ID, "sha256:") {
		lack("alert id", 0.3)
	}
	if a.Title == "" {
		lack("title", 0.3)
	}
	if a.Timestamp.IsZero() {
		lack("timestamp", 0.3)
	}
	if a.Source == "" {
		lack("source", 0.1)
	}
	if entities == 0 {
		lack("entities", 0.2)
	}
	if !strings.HasPrefix(strings.TrimSpace(a.EntitiesRaw), "[") {
		lack("entity list", 0.1)
	}
	if len(a.Tactics) == 0 && len(a.Techniques) == 0 {
		lack("tactics and techniques", 0.1)
	}
	for _, m := range a.Missing {
		lack(m, 0.05)
	}
	return max(0, score), missing
}
