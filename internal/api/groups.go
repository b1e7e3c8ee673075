package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/investigate/cohort"
	"github.com/aluskort/aluskort/internal/orchestrate"
)

// Group is a set of investigations that the product proposes to close as benign for the same
// reasons, with their spread: what a person must see before confirming all of them at once.
// With Citations the reason is what the organisation says about itself, and source, analytic,
// entity class and explanation are those of one member; Differs has the others.
type Group struct {
	Key            string                  `json:"key"`
	Source         string                  `json:"source"`
	Analytic       string                  `json:"analytic"`
	Classification evidence.Classification `json:"classification"`
	EntityClass    string                  `json:"entity_class"`
	Citations      []string                `json:"citations,omitempty"`
	// Explanation are the benign items that count, the same in every member of a group without
	// citations.
	Explanation []Explanation `json:"explanation"`
	Count       int           `json:"count"`
	Alerts      int           `json:"alerts"`
	FirstSeen   time.Time     `json:"first_seen"`
	LastSeen    time.Time     `json:"last_seen"`
	Severity    string        `json:"highest_severity"`
	Hosts       Values        `json:"hosts"`
	Users       Values        `json:"users"`
	// Differs lists what is not the same in all members, most different first.
	Differs []Difference `json:"differs"`
	Members []Member     `json:"members"`
}

// Explanation is one benign item.
type Explanation struct {
	ID        string `json:"id"`
	Statement string `json:"statement"` // of one member; values in it may differ in the others
}

// Values are distinct values; More counts those that are left out.
type Values struct {
	Values []string `json:"values"`
	More   int      `json:"more,omitempty"`
}

// Difference is a property in which the members differ, with how many have each value.
type Difference struct {
	What   string         `json:"what"`
	Values map[string]int `json:"values"`
	More   int            `json:"more,omitempty"`
}

// Member is one investigation of a group.
type Member struct {
	ID          string    `json:"id"`
	Title       string    `json:"title"`
	Alerts      int       `json:"alerts"`
	Severity    string    `json:"severity"`
	Probability float64   `json:"malicious_probability"`
	FirstSeen   time.Time `json:"first_seen"`
	LastSeen    time.Time `json:"last_seen"`
	Version     int64     `json:"version"`
}

// GroupList is the view "Proposed benign". AsOf is what a confirmation names: members that
// changed or came later are not part of what was seen.
type GroupList struct {
	AsOf   time.Time `json:"as_of"`
	Groups []Group   `json:"groups"`
	// Truncated says that more wait than are looked at in one answer.
	Truncated bool `json:"truncated,omitempty"`
}

// Bounds of the view.
const (
	maxProposed = 5000 // investigations looked at
	maxValues   = 25   // distinct values shown
	maxDiffers  = 12
)

// groups serves GET /api/v1/groups.
func (a *API) groups(w http.ResponseWriter, r *http.Request) error {
	list, err := a.proposed(r.Context(), caller(r.Context()).Tenant)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, list)
}

// proposed groups what waits for a person as proposed benign, the largest group first.
func (a *API) proposed(ctx context.Context, tenant string) (*GroupList, error) {
	out := &GroupList{AsOf: a.cfg.Clock.Now(), Groups: []Group{}}
	members := map[string][]*investigate.Investigation{}
	seen := 0
	for _, class := range []evidence.Classification{evidence.FalsePositive, evidence.BenignTruePositive} {
		f := orchestrate.Filter{State: investigate.AwaitingHuman, WaitReason: investigate.WaitVerdict, Classification: string(class), Limit: 500}
		for {
			page, next, err := a.cfg.Investigations.List(ctx, tenant, f)
			if err != nil {
				return nil, err
			}
			for i := range page {
				if seen++; seen > maxProposed {
					out.Truncated = true
					break
				}
				inv, err := a.cfg.Investigations.Get(ctx, tenant, page[i].ID)
				if err != nil && !errors.Is(err, orchestrate.ErrNotFound) {
					return nil, err
				}
				if err == nil && proposedBenign(inv) {
					key := cohort.Key(inv)
					members[key] = append(members[key], inv)
				}
			}
			if next == 0 || out.Truncated {
				break
			}
			f.Before = next
		}
	}
	for key, list := range members {
		out.Groups = append(out.Groups, groupOf(key, list))
	}
	slices.SortFunc(out.Groups, func(a, b Group) int { return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Key, b.Key)) })
	return out, nil
}

func proposedBenign(inv *investigate.Investigation) bool {
	return inv.State == investigate.AwaitingHuman && inv.WaitReason == investigate.WaitVerdict && inv.Verdict.Classification.Benign() && !inv.DecidedByPerson()
}

// explanation lists the benign items that count, by id.
func explanation(inv *investigate.Investigation) []Explanation {
	var out []Explanation
	for i := range inv.Evidence {
		if e := &inv.Evidence[i]; e.Counted < 0 {
			out = append(out, Explanation{e.ID, e.Statement})
		}
	}
	slices.SortFunc(out, func(a, b Explanation) int { return strings.Compare(a.ID, b.ID) })
	return slices.CompactFunc(out, func(a, b Explanation) bool { return a.ID == b.ID })
}

func groupOf(key string, list []*investigate.Investigation) Group {
	slices.SortFunc(list, func(a, b *investigate.Investigation) int {
		return cmp.Or(a.FirstSeen.Compare(b.FirstSeen), strings.Compare(a.ID, b.ID))
	})
	head := list[0]
	g := Group{
		Key: key, Source: head.Source, Analytic: head.Analytic, Classification: head.Verdict.Classification, EntityClass: cohort.EntityClass(head), Citations: cohort.Citations(head),
		Explanation: explanation(head), Count: len(list), FirstSeen: head.FirstSeen, LastSeen: head.LastSeen,
	}
	highest := head.Verdict.Severity
	tally := map[string]map[string]int{}
	count := func(what string, values ...string) {
		if tally[what] == nil {
			tally[what] = map[string]int{}
		}
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			tally[what][v]++
		}
	}
	for _, inv := range list {
		g.Alerts += inv.Alerts
		if inv.FirstSeen.Before(g.FirstSeen) {
			g.FirstSeen = inv.FirstSeen
		}
		if inv.LastSeen.After(g.LastSeen) {
			g.LastSeen = inv.LastSeen
		}
		highest = max(highest, inv.Verdict.Severity)
		g.Members = append(g.Members, memberOf(inv))
		count("title", inv.Title)
		count("severity", inv.Verdict.Severity.String())
		count("source", inv.Source)
		count("analytic", inv.Analytic)
		count("explanation", ids(explanation(inv))...)
		for kind, values := range entityValues(inv) {
			count(kind, values...)
		}
		count("other evidence", otherEvidence(inv)...)
	}
	g.Severity = highest.String()
	g.Hosts, g.Users = distinct(tally[string(alert.Host)]), distinct(tally[string(alert.Account)])
	g.Differs = differences(tally, len(list))
	return g
}

func memberOf(inv *investigate.Investigation) Member {
	return Member{
		ID: inv.ID, Title: inv.Title, Alerts: inv.Alerts, Severity: inv.Verdict.Severity.String(), Probability: inv.Verdict.Probability,
		FirstSeen: inv.FirstSeen, LastSeen: inv.LastSeen, Version: inv.Version,
	}
}

func ids(list []Explanation) []string {
	var out []string
	for _, e := range list {
		out = append(out, e.ID)
	}
	return out
}

func entityValues(inv *investigate.Investigation) map[string][]string {
	out := map[string][]string{}
	for i := range inv.Entities {
		e := &inv.Entities[i]
		out[string(e.Type)] = append(out[string(e.Type)], alert.FoldValue(e.Type, e.Value))
	}
	return out
}

// otherEvidence lists what an investigation has beside the explanation.
func otherEvidence(inv *investigate.Investigation) []string {
	var out []string
	for i := range inv.Evidence {
		if e := &inv.Evidence[i]; e.Counted > 0 {
			out = append(out, e.ID)
		}
	}
	return out
}

func distinct(counts map[string]int) Values {
	all := make([]string, 0, len(counts))
	for v := range counts {
		all = append(all, v)
	}
	slices.Sort(all)
	n := min(len(all), maxValues)
	return Values{Values: all[:n], More: len(all) - n}
}

// differences keeps the properties that are not the same in all members.
func differences(tally map[string]map[string]int, members int) []Difference {
	out := []Difference{}
	for what, counts := range tally {
		same := true
		for _, n := range counts {
			same = same && n == members
		}
		if same {
			continue
		}
		d := Difference{What: what, Values: map[string]int{}}
		shown := distinct(counts)
		for _, v := range shown.Values {
			d.Values[v] = counts[v]
		}
		d.More = shown.More
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(len(b.Values)+b.More, len(a.Values)+a.More), strings.Compare(a.What, b.What))
	})
	return out[:min(len(out), maxDiffers)]
}

// ConfirmRequest is the body of POST /api/v1/groups/{key}/confirm.
type ConfirmRequest struct {
	Reason string `json:"reason"`
	// AsOf is that of the list that was looked at. Required.
	AsOf time.Time `json:"as_of"`
	// Except are members that do not fit and stay open.
	Except []string `json:"except,omitempty"`
}

// Confirmed says which members were concluded and which were left, and why.
type Confirmed struct {
	Key            string                  `json:"key"`
	Classification evidence.Classification `json:"classification"`
	Concluded      []string                `json:"concluded"`
	Left           []Left                  `json:"left"`
}

// Left is a member that stays open.
type Left struct {
	ID  string `json:"id"`
	Why string `json:"why"`
}

// confirm concludes the members of a group that were seen, each in a transaction of its own:
// what a failure leaves stays in the group and the same call goes on with it.
func (a *API) confirm(r *http.Request) (any, error) {
	var req ConfirmRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	if err := checkReason(req.Reason); err != nil {
		return nil, err
	}
	if req.AsOf.IsZero() {
		return nil, problem(CodePrecondition, "send as_of, from the list of groups that was looked at: what came later is not confirmed")
	}
	who := caller(r.Context())
	list, err := a.proposed(r.Context(), who.Tenant)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list.Groups, func(g Group) bool { return g.Key == r.PathValue("key") })
	if i < 0 {
		return nil, problem(CodeNotFound, "no group has this key; it may have been confirmed already")
	}
	g := &list.Groups[i]
	for _, id := range req.Except {
		if !slices.ContainsFunc(g.Members, func(m Member) bool { return m.ID == id }) {
			return nil, problem(CodeInvalid, "except: %.60q is no member of the group; nothing was confirmed", id)
		}
	}
	out := &Confirmed{Key: g.Key, Classification: g.Classification, Concluded: []string{}, Left: []Left{}}
	d := orchestrate.HumanDecision{Actor: who.Who(), Role: string(who.Highest()), Reason: req.Reason}
	for _, m := range g.Members {
		why, err := a.conclude(r.Context(), who.Tenant, m.ID, g, req, d)
		switch {
		case err != nil:
			return nil, err
		case why != "":
			out.Left = append(out.Left, Left{m.ID, why})
		default:
			out.Concluded = append(out.Concluded, m.ID)
		}
	}
	if len(out.Concluded) == 0 {
		return nil, problem(CodeChanged, "no member is as it was at %s; look at the group again", req.AsOf.Format(time.RFC3339))
	}
	return out, nil
}

// conclude confirms one member, or says why not.
func (a *API) conclude(ctx context.Context, tenant, id string, g *Group, req ConfirmRequest, d orchestrate.HumanDecision) (why string, err error) {
	if slices.Contains(req.Except, id) {
		return "left out on request", nil
	}
	inv, err := a.cfg.Investigations.Get(ctx, tenant, id)
	if err != nil {
		return "", err
	}
	if inv.UpdatedAt.After(req.AsOf) || !proposedBenign(inv) || cohort.Key(inv) != g.Key {
		return "changed since it was looked at", nil
	}
	d.Version = inv.Version
	_, err = a.cfg.Investigations.Conclude(ctx, tenant, id, g.Classification, d)
	if errors.Is(err, orchestrate.ErrConflict) {
		return "changed since it was looked at", nil
	}
	return "", err
}
