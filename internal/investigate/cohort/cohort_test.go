package cohort

import (
	"slices"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
)

// expected is an investigation that a fact of the organisation explains.
func expected(analytic string, spoil ...func(*investigate.Investigation)) *investigate.Investigation {
	inv := &investigate.Investigation{
		ID: "id-" + analytic, TenantID: "default", Source: "wazuh", Analytic: analytic,
		Verdict: evidence.Verdict{Classification: evidence.BenignTruePositive, Severity: alert.High},
		Evidence: []evidence.Evidence{
			{ID: "rule:ids-" + analytic, Kind: "benign.scanner", Weight: -5, Counted: -5, Expected: true, Cites: []string{"scanner: scan-1.example.com"}},
			{ID: "rule:probe", Kind: "network.port_scan", Weight: 1.5, Counted: 1.5},
		},
		Entities: []alert.Entity{{Type: alert.IP, Value: "192.0.2.40", Principal: true}},
	}
	for _, f := range spoil {
		f(inv)
	}
	return inv
}

// One fact of the organisation explains alerts of many analytics: a person confirms the fact.
func TestExpectedActivityIsGroupedByItsCitation(t *testing.T) {
	a, b := expected("scan"), expected("probe", func(inv *investigate.Investigation) { inv.Source = "splunk" })
	if Key(a) != Key(b) || !slices.Equal(Citations(a), []string{"scanner: scan-1.example.com"}) {
		t.Errorf("the listed scanner is asked about twice: %v, %v", Citations(a), Citations(b))
	}
}

// What is not explained by that fact alone stays with its own kind.
func TestOutliersAreNotConfirmedByACitation(t *testing.T) {
	plain := Key(expected("scan"))
	for name, spoil := range map[string]func(*investigate.Investigation){
		"another fact": func(inv *investigate.Investigation) { inv.Evidence[0].Cites = []string{"scanner: scan-2.example.com"} },
		"a further fact": func(inv *investigate.Investigation) {
			inv.Evidence[0].Cites = append(inv.Evidence[0].Cites, "exercise: test")
		},
		"another tenant":     func(inv *investigate.Investigation) { inv.TenantID = "acme" },
		"critical":           func(inv *investigate.Investigation) { inv.Verdict.Severity = alert.Critical },
		"evidence of attack": func(inv *investigate.Investigation) { inv.Evidence[1].Counted = 3 },
		"a false positive":   func(inv *investigate.Investigation) { inv.Verdict.Classification = evidence.FalsePositive },
		"not proof":          func(inv *investigate.Investigation) { inv.Evidence[0].Expected = false },
		"explained besides": func(inv *investigate.Investigation) {
			inv.Evidence = append(inv.Evidence, evidence.Evidence{ID: "rule:other", Weight: -3, Counted: -3})
		},
		"no citation": func(inv *investigate.Investigation) { inv.Evidence[0].Cites = nil },
	} {
		if Key(expected("scan", spoil)) == plain {
			t.Errorf("%s: confirmed together with plain activity of the scanner", name)
		}
	}
	voided := expected("scan", func(inv *investigate.Investigation) { inv.Evidence[0].Counted = 0 })
	if len(Citations(voided)) > 0 {
		t.Error("a citation that counts nothing explains")
	}
}

// Without a citation, analytic, explanation and class of entities make the group.
func TestOtherProposalsAreGroupedByExplanation(t *testing.T) {
	base := func(spoil ...func(*investigate.Investigation)) *investigate.Investigation {
		all := append([]func(*investigate.Investigation){func(inv *investigate.Investigation) {
			inv.Verdict.Classification = evidence.FalsePositive
			inv.Entities = append(inv.Entities, alert.Entity{Type: alert.Account, Value: `NT AUTHORITY\SYSTEM`, Principal: true})
		}}, spoil...)
		return expected("update", all...)
	}
	plain := Key(base())
	for name, c := range map[string]struct {
		same  bool
		spoil func(*investigate.Investigation)
	}{
		"another host":        {true, func(inv *investigate.Investigation) { inv.Entities[0].Value = "192.0.2.41" }},
		"a machine account":   {false, func(inv *investigate.Investigation) { inv.Entities[1].Value = "WS-07$" }},
		"a person":            {false, func(inv *investigate.Investigation) { inv.Entities[1].Value = `EXAMPLE\ada` }},
		"another analytic":    {false, func(inv *investigate.Investigation) { inv.Analytic = "other" }},
		"another explanation": {false, func(inv *investigate.Investigation) { inv.Evidence[0].ID = "rule:other" }},
		"order of evidence":   {true, func(inv *investigate.Investigation) { slices.Reverse(inv.Evidence) }},
	} {
		if got := Key(base(c.spoil)) == plain; got != c.same {
			t.Errorf("%s: together %v, want %v", name, got, c.same)
		}
	}
}
