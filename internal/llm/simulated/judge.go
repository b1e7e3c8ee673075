package simulated

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/aluskort/aluskort/internal/llm"
)

// toJudge returns the text of a request that asks whether a text is an attack: a line in base64.
func toJudge(r *llm.Request) (string, bool) {
	if r.Answer == nil {
		return "", false
	}
	var s schema
	if json.Unmarshal(r.Answer.JSON, &s) != nil || s.Properties["is_attack"] == nil {
		return "", false
	}
	for _, t := range texts(r) {
		for line := range strings.Lines(t) {
			b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
			if err == nil && len(b) > 0 && utf8.Valid(b) {
				return string(b), true
			}
		}
	}
	return "", false
}

// judge takes a text for an attack that orders its reader anything.
func judge(text string) *mind {
	var o orders
	for _, t := range readings([]string{text}, "") {
		o.obey(t)
	}
	m := &mind{verdict: "benign", confidence: 0.9, says: "The text orders nothing."}
	if o.adrift || o.benign || o.closing || o.reveal || o.severity != "" || o.forced != nil {
		m.verdict, m.says = "malicious", "The text gives orders to its reader."
	}
	return m
}
