package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/api/token"
)

const question = `{"task":"investigation","investigation_id":"inv-1","severity":"high",
	"facts":[{"name":"title","value":"A tool ran on ws-7"}],
	"evidence":[{"id":"rule-1","kind":"credential.dump","bits":3,"statement":"memory is read on ws-7"}],
	"fields":[{"ref":"/data/cmd","text":"tool.exe -o out"}],
	"entities":[{"type":"host","value":"ws-7"}],
	"actions":[{"action":"isolate_host","target":"ws-7"}]}`

func TestAskingAModel(t *testing.T) {
	a := shared.call(t, token.Admin, http.MethodPost, "/v1/llm/complete", strings.NewReader(question))
	if a.code != http.StatusOK {
		t.Fatalf("%d %s", a.code, a.body)
	}
	ans := decodeInto[api.ModelAnswer](t, a)
	if ans.Opinion == nil || ans.Calls == 0 || ans.CostUSD <= 0 || len(ans.Opinion.Citations) == 0 {
		t.Errorf("answer %+v", ans)
	}
	for _, act := range ans.Opinion.Actions {
		if act.Action != "isolate_host" || act.Target != "ws-7" {
			t.Errorf("action %+v was not offered", act)
		}
	}
}

func TestStreamEndsWithTheCheckedAnswer(t *testing.T) {
	a := shared.call(t, token.Admin, http.MethodPost, "/v1/llm/stream", strings.NewReader(question))
	if a.code != http.StatusOK || strings.Count(a.body, "event: answer\n") != 1 || !strings.HasSuffix(a.body, "\n\n") {
		t.Errorf("%d %s", a.code, a.body)
	}
}

func TestRouteExplainsItself(t *testing.T) {
	a := shared.call(t, token.Admin, http.MethodPost, "/v1/route", strings.NewReader(`{"task":"log_summarisation","tenant":"","severity":"low"}`))
	if a.code != http.StatusOK || !strings.Contains(a.body, `"tier":"T0"`) || !strings.Contains(a.body, "base_tier") {
		t.Errorf("%d %s", a.code, a.body)
	}
}

func TestModelStatus(t *testing.T) {
	a := shared.call(t, token.AuditReader, http.MethodGet, "/api/v1/models", nil)
	if a.code != http.StatusOK || !strings.Contains(a.body, `"degradation_level":"full_capability"`) {
		t.Errorf("%d %s", a.code, a.body)
	}
}

func TestBadQuestionsAreRefused(t *testing.T) {
	for name, body := range map[string]string{
		"no JSON":             `{`,
		"unknown member":      `{"task":"investigation","investigation_id":"i","severity":"low","model":"x"}`,
		"no investigation":    `{"task":"investigation","severity":"low"}`,
		"no such task":        `{"task":"poetry","investigation_id":"i","severity":"low"}`,
		"entity without type": `{"task":"investigation","investigation_id":"i","severity":"low","entities":[{"type":"ghost","value":"x"}]}`,
		"endless bits":        `{"task":"investigation","investigation_id":"i","severity":"low","evidence":[{"id":"e","kind":"k","bits":1e300,"statement":"s"}]}`,
	} {
		if a := shared.call(t, token.Admin, http.MethodPost, "/v1/llm/complete", strings.NewReader(body)); a.code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
	}
}
