package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/gateway"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
	"github.com/aluskort/aluskort/internal/reason/opinion"
)

// policyOf turns the configuration into a policy.
func (n *Node) policyOf() opinion.Policy {
	a := n.opts.Config.Models.Ask
	return opinion.Policy{
		Critical: opinion.When(a.Critical), High: opinion.When(a.High), Medium: opinion.When(a.Medium),
		Low: opinion.When(a.Low), Informational: opinion.When(a.Informational),
	}
}

// maxRelated bounds what one look-up lists.
const maxRelated = 8

// tools are the look-ups that a model may use about an investigation. All are read-only, answer
// about things that the investigation holds, and say what is not known.
func (n *Node) tools(inv *investigate.Investigation) []gateway.Tool {
	return []gateway.Tool{
		{Name: "indicator", Description: "What threat intelligence says about an address, domain, web address, mail address or file hash of the data.",
			Call: func(s string) (string, error) { return n.lookupIndicator(inv.TenantID, s) }},
		{Name: "asset_context", Description: "What the organisation says about a machine or account of the data: role, worth, what is expected of it.",
			Call: func(s string) (string, error) { return n.lookupAsset(inv, s) }},
		{Name: "entity_history", Description: "Which other investigations of the last days name a machine, account or address of the data, and how they ended.",
			Call: func(s string) (string, error) { return n.lookupHistory(inv, s) }},
	}
}

func (n *Node) lookupIndicator(tenant, value string) (string, error) {
	index, blind := n.liveIntel.Index()
	if blind != "" {
		return "", fmt.Errorf("threat intelligence: %s", blind)
	}
	if !index.Imported(tenant) {
		return "No threat intelligence was imported: nothing is known, neither good nor bad.", nil
	}
	for _, t := range []alert.IndicatorType{
		alert.IndicatorIPv4, alert.IndicatorIPv6, alert.IndicatorDomain, alert.IndicatorURL, alert.IndicatorEmail,
		alert.IndicatorMD5, alert.IndicatorSHA1, alert.IndicatorSHA256,
	} {
		if hit, ok := index.Lookup(tenant, t, value, n.opts.Clock.Now()); ok {
			return describeHit(hit), nil
		}
	}
	return "No feed lists it. That is no proof of harmlessness.", nil
}

func describeHit(h intel.Hit) string {
	return fmt.Sprintf("Listed, confidence %d of 100.", h.Confidence)
}

func (n *Node) lookupAsset(inv *investigate.Investigation, value string) (string, error) {
	var subject []alert.Entity
	for _, e := range inv.Entities {
		if strings.EqualFold(e.Value, value) {
			subject = append(subject, e)
		}
	}
	severity, why := organisation{n}.Adjust(inv.TenantID, alert.Medium, subject, inv.FirstSeen)
	if why == "" {
		return "The organisation says nothing about it.", nil
	}
	return fmt.Sprintf("An alert of medium severity about it counts as %s: %s.", severity, why), nil
}

func (n *Node) lookupHistory(inv *investigate.Investigation, value string) (string, error) {
	related, err := n.Engine.Related(context.Background(), inv, value, maxRelated)
	if err != nil {
		return "", err
	}
	if len(related) == 0 {
		return "No linked investigation names it.", nil
	}
	var b strings.Builder
	for _, r := range related {
		fmt.Fprintf(&b, "%s, %s: %s, %.0f %% malicious, %s.\n", r.FirstSeen.Format("2006-01-02 15:04"), r.Title, r.Verdict.Classification, 100*r.Verdict.Probability, r.State)
	}
	return b.String(), nil
}
