package consult

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/gateway"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/orchestrate"
	"github.com/aluskort/aluskort/internal/reason/opinion"
	"github.com/aluskort/aluskort/internal/respond"
)

var now = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

// asker answers in turn and keeps the questions.
type asker struct {
	answers []func(*gateway.Question) (gateway.Answer, error)
	asked   []gateway.Question
}

func (a *asker) Ask(_ context.Context, q *gateway.Question) (gateway.Answer, error) {
	a.asked = append(a.asked, *q)
	if len(a.answers) == 0 {
		return gateway.Answer{}, errors.New("asked too often")
	}
	next := a.answers[0]
	a.answers = a.answers[1:]
	return next(q)
}

func thinks(confidence float64) func(*gateway.Question) (gateway.Answer, error) {
	return func(*gateway.Question) (gateway.Answer, error) {
		return gateway.Answer{
			Opinion: &opinion.Opinion{Classification: evidence.Suspicious, Confidence: confidence},
			Account: gateway.Account{Calls: 1, MicroUSD: 10, Tier: "T1"},
		}, nil
	}
}

func fails(err error) func(*gateway.Question) (gateway.Answer, error) {
	return func(*gateway.Question) (gateway.Answer, error) {
		return gateway.Answer{Account: gateway.Account{Calls: 2, MicroUSD: 20}}, err
	}
}

func consultant(t *testing.T, answers ...func(*gateway.Question) (gateway.Answer, error)) (*Consultant, *asker) {
	t.Helper()
	planner, err := respond.NewPlanner()
	if err != nil {
		t.Fatal(err)
	}
	a := &asker{answers: answers}
	c, err := New(Config{Gateway: a, Planner: planner, Clock: clock.Fixed(now),
		Fields: func(string, []byte) (alert.Fields, error) {
			return alert.Fields{{Pointer: "/data/win/commandLine", Value: "tool.exe -x"}, {Pointer: "/id", Value: "abc"},
				{Pointer: "/level", Value: "7", Kind: alert.KindNumber}, {Pointer: "/again", Value: "abc"}, {Pointer: "/cited", Value: "seen here"}}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	return c, a
}

func job(severity alert.Severity) *orchestrate.Job {
	return &orchestrate.Job{
		Input: "digest", Attempts: 1,
		Alert: &alert.Message{Alert: alert.Alert{ID: "1", Title: "t", Source: "wazuh", RawPayload: []byte("{}")}},
		Investigation: &investigate.Investigation{
			ID: "inv", TenantID: "a", Title: "t",
			Verdict:  evidence.Verdict{Classification: evidence.InvestigationRequired, Severity: severity},
			Evidence: []evidence.Evidence{{ID: "r", Statement: "s", Refs: []string{"/cited"}}, {ID: "model:r", Statement: "an older opinion"}},
			Entities: []alert.Entity{{Type: alert.Host, Value: "ws-9", Confidence: 1}, {Type: alert.Host, Value: "ws-1", Confidence: 1, Principal: true}},
		},
	}
}

func TestQuestionSaysWhatMatters(t *testing.T) {
	c, a := consultant(t, thinks(0.9))
	out := c.Ask(t.Context(), job(alert.Medium))
	if out.Opinion == nil || out.Opinion.Input != "digest" || out.Calls != 1 || out.MicroUSD != 10 {
		t.Fatalf("got %+v", out)
	}
	q := a.asked[0]
	var refs []string
	for _, f := range q.Fields {
		refs = append(refs, fmt.Sprint(f.Ref, " ", f.Priority))
	}
	if want := []string{"/data/win/commandLine 1", "/id 0", "/cited 2"}; !slices.Equal(refs, want) {
		t.Errorf("fields %q, want %q: texts once, no numbers, what evidence cites first", refs, want)
	}
	if len(q.Evidence) != 1 || q.Entities[0].Value != "ws-1" {
		t.Errorf("evidence %+v, entities %+v", q.Evidence, q.Entities)
	}
	if !slices.ContainsFunc(q.Choices, func(x opinion.Action) bool { return x.Action == "collect_forensics" && x.Target == "ws-1" }) {
		t.Errorf("choices %+v", q.Choices)
	}
}

func TestUncertainAnswersAboutSevereAlertsGoToAStrongerModel(t *testing.T) {
	for _, c := range []struct {
		name          string
		severity      alert.Severity
		first, second float64
		asked         int
		confidence    float64
		escalated     bool
	}{
		{"sure", alert.Critical, 0.8, 0, 1, 0.8, false},
		{"uncertain and low", alert.Low, 0.3, 0, 1, 0.3, false},
		{"uncertain and high", alert.High, 0.5, 0.9, 2, 0.9, true},
		{"the stronger one is less sure", alert.High, 0.5, 0.4, 2, 0.5, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			con, a := consultant(t, thinks(c.first), thinks(c.second))
			out := con.Ask(t.Context(), job(c.severity))
			if len(a.asked) != c.asked || out.Opinion.Confidence != c.confidence || out.Opinion.Escalated != c.escalated {
				t.Errorf("asked %d times, %+v", len(a.asked), out.Opinion)
			}
			if c.asked == 2 && (a.asked[1].Previous == nil || *a.asked[1].Previous != c.first) {
				t.Error("the router is not told about the first answer")
			}
			if out.Calls != c.asked {
				t.Errorf("%d calls in the account", out.Calls)
			}
		})
	}
}

func TestTroubleWaitsOrGoesToAPerson(t *testing.T) {
	soon := now.Add(5 * time.Minute)
	for _, c := range []struct {
		name        string
		err         error
		later       time.Time
		failure     string
		unavailable bool
	}{
		{"no model", &gateway.Unavailable{Until: soon, Err: errors.New("x")}, soon, "", true},
		{"no model, nobody knows until when", &gateway.Unavailable{Err: errors.New("x")}, now.Add(laterUnknown), "", true},
		{"hourly quota", &gateway.OverBudget{Cap: "quota", Until: soon}, soon, "", false},
		{"month is spent", &gateway.OverBudget{Cap: "month_usd", Until: now.Add(20 * 24 * time.Hour)}, time.Time{}, "not asked: month_usd", false},
		{"bad answers", &gateway.Refusal{Reasons: []string{"one", "two"}}, time.Time{}, "no usable answer: one; two", false},
		{"bad question", gateway.ErrQuestion, time.Time{}, "the question could not be asked", false},
		{"a disk", errors.New("disk"), now.Add(laterUnknown), "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			con, _ := consultant(t, fails(c.err))
			out := con.Ask(t.Context(), job(alert.Medium))
			if out.Opinion != nil || !out.Later.Equal(c.later) || out.Failure != c.failure || out.Unavailable != c.unavailable {
				t.Errorf("got %+v", out)
			}
			if out.Calls != 2 || out.MicroUSD != 20 {
				t.Error("what it cost is lost")
			}
		})
	}
}

func TestGapsAreFilledAndOnlyGaps(t *testing.T) {
	found := func(q *gateway.Question) (gateway.Answer, error) {
		if q.Task != gateway.Extraction || q.Tools != nil || q.Evidence != nil {
			t.Errorf("asked %+v", q)
		}
		return gateway.Answer{Indicators: []alert.Indicator{{Type: alert.IndicatorIPv4, Value: "203.0.113.9"}}}, nil
	}
	told := func(q *gateway.Question) (gateway.Answer, error) { return gateway.Answer{Summary: "a tool ran"}, nil }
	con, _ := consultant(t, found, told, thinks(0.9))
	j := job(alert.Medium)
	j.Alert.Entities.Errors = []string{"unreadable"}
	j.Alert.Alert.Title = ""
	out := con.Ask(t.Context(), j)
	if len(out.Indicators) != 1 || out.Summary != "a tool ran" || out.Opinion == nil {
		t.Errorf("got %+v", out)
	}
	con, a := consultant(t, thinks(0.9))
	if con.Ask(t.Context(), job(alert.Medium)); len(a.asked) != 1 {
		t.Errorf("asked %d questions where nothing was missing", len(a.asked))
	}
}
