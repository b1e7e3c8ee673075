package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/api/token"
	"github.com/aluskort/aluskort/internal/investigate"
)

func (w *world) planOf(t *testing.T, id string) api.Plan {
	t.Helper()
	list := decodeInto[api.PlanList](t, w.call(t, token.Analyst, "GET", "/api/v1/plans", nil))
	for _, p := range list.Plans {
		if slices.ContainsFunc(p.Members, func(m api.PlanMember) bool { return m.ID == id }) {
			return p
		}
	}
	t.Fatalf("%s is in no plan: %+v", id, list)
	return api.Plan{}
}

// sameHost is another alert of the same attack on the same host, or of another attack there.
func sameHost(t *testing.T, raw, volume, attack string) string {
	t.Helper()
	out := strings.ReplaceAll(raw, "/all /quiet", "/for="+volume+" /quiet")
	out = strings.Replace(out, `"_id":"test-`, `"_id":"test-`+volume[:1]+attack, 1)
	if attack != "" {
		out = strings.ReplaceAll(out, "7c1f02aa", attack)
	}
	if out == raw {
		t.Fatal("the alert is the same")
	}
	return out
}

func seenPlans(members []api.PlanMember) []api.SeenPlan {
	out := []api.SeenPlan{}
	for _, m := range members {
		out = append(out, api.SeenPlan{ID: m.ID, Version: m.Version, PlanHash: m.PlanHash})
	}
	return out
}

func planBody(t *testing.T, reason string, members []api.SeenPlan) string {
	t.Helper()
	b, err := json.Marshal(api.PlanRequest{Reason: reason, Members: members})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// One approval covers the investigations of an attack that ask for the same; what is of another
// attack, on another host, or changed, keeps waiting.
func TestOneApprovalCoversWhatAsksForTheSame(t *testing.T) {
	first := needsApproval(t)
	ids := shared.take(t, first, sameHost(t, first, "d:", ""), sameHost(t, first, "e:", "9999beef"), needsApproval(t))
	p := shared.planOf(t, ids[0])
	if len(p.Members) != 2 || shared.planOf(t, ids[1]).Key != p.Key {
		t.Fatalf("two investigations of one attack on one host wait apart: %+v", p)
	}
	for i, id := range ids[2:] {
		if shared.planOf(t, id).Key == p.Key {
			t.Errorf("investigation %d is of another attack or host and in the same plan", i+2)
		}
	}
	path := "/api/v1/plans/" + p.Key + "/approve"
	good := seenPlans(p.Members)
	other := slices.Clone(good)
	for i := range other {
		other[i].PlanHash = "00ff"
	}
	older := slices.Clone(good)
	for i := range older {
		older[i].Version += 7
	}
	stranger := []api.SeenPlan{{ID: ids[3], Version: 1, PlanHash: shared.planOf(t, ids[3]).Members[0].PlanHash}}
	for name, c := range map[string]struct {
		role       token.Role
		path, body string
		code       api.Code
	}{
		"by an analyst":   {token.Analyst, path, planBody(t, "yes", good), api.CodeForbidden},
		"nothing seen":    {token.SeniorAnalyst, path, planBody(t, "yes", nil), api.CodePrecondition},
		"no version":      {token.SeniorAnalyst, path, planBody(t, "yes", []api.SeenPlan{{ID: ids[0], PlanHash: good[0].PlanHash}}), api.CodePrecondition},
		"no reason":       {token.SeniorAnalyst, path, planBody(t, " ", good), api.CodeInvalid},
		"another plan":    {token.SeniorAnalyst, path, planBody(t, "yes", other), api.CodeChanged},
		"another version": {token.SeniorAnalyst, path, planBody(t, "yes", older), api.CodeChanged},
		"another's":       {token.SeniorAnalyst, path, planBody(t, "yes", stranger), api.CodeChanged},
		"unknown plan":    {token.SeniorAnalyst, "/api/v1/plans/00/approve", planBody(t, "yes", good), api.CodeNotFound},
	} {
		if got := shared.post(t, c.role, c.path, c.body).problem(t); got.Code != c.code {
			t.Errorf("%s: %+v, want %s", name, got, c.code)
		}
	}
	a := shared.post(t, token.SeniorAnalyst, path, planBody(t, "contained", good))
	got := decodeInto[api.Approved](t, a)
	if a.code != http.StatusOK || len(got.Approved) != 2 || len(got.Left) != 0 {
		t.Fatalf("%d %s", a.code, a.body)
	}
	for i, id := range ids {
		d, _ := shared.detail(t, id)
		want := investigate.Responding
		if i > 1 {
			want = investigate.AwaitingHuman
		}
		if d.State != want {
			t.Errorf("investigation %d is %s, want %s", i, d.State, want)
		}
		if i < 2 && (len(d.Decisions) != 1 || d.Decisions[0].Reason != "contained" || len(d.Tasks) == 0) {
			t.Errorf("investigation %d: decisions %+v, tasks %+v", i, d.Decisions, d.Tasks)
		}
	}
	if p := shared.post(t, token.SeniorAnalyst, path, planBody(t, "again", good)).problem(t); p.Code != api.CodeNotFound {
		t.Errorf("a second approval: %+v", p)
	}
}

// A member that is left out keeps waiting, and so does one that another person decided on.
func TestMembersThatWereNotMeantKeepWaiting(t *testing.T) {
	first := needsApproval(t)
	ids := shared.take(t, first, sameHost(t, first, "d:", ""), sameHost(t, first, "f:", ""))
	p := shared.planOf(t, ids[0])
	if len(p.Members) != 3 {
		t.Fatalf("%+v", p)
	}
	reject := shared.post(t, token.SeniorAnalyst, "/api/v1/investigations/"+p.Members[2].ID+"/reject", `{"reason":"a test of ours"}`)
	if reject.code != http.StatusOK {
		t.Fatalf("%d %s", reject.code, reject.body)
	}
	meant := seenPlans([]api.PlanMember{p.Members[0], p.Members[2]})
	a := shared.post(t, token.SeniorAnalyst, "/api/v1/plans/"+p.Key+"/approve", planBody(t, "real", meant))
	got := decodeInto[api.Approved](t, a)
	if a.code != http.StatusOK || fmt.Sprint(got.Approved) != fmt.Sprint([]string{p.Members[0].ID}) || len(got.Left) != 1 || got.Left[0].ID != p.Members[2].ID {
		t.Fatalf("%d %s", a.code, a.body)
	}
	if d, _ := shared.detail(t, p.Members[1].ID); d.State != investigate.AwaitingHuman || d.WaitReason != investigate.WaitApproval {
		t.Errorf("the one that nobody named is %s", d.State)
	}
}
