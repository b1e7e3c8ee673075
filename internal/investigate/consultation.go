package investigate

import (
	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/reason/opinion"
)

// Consultation is the history of asking a model about an investigation.
type Consultation struct {
	// Input is opinion.Digest of the evidence that the last job asks about.
	Input string `json:"input"`
	// Asked counts the jobs that were made; Pending says that the last one is not done.
	Asked   int  `json:"asked"`
	Pending bool `json:"pending,omitempty"`
	// Opinion is the one that counts; nil while none was accepted.
	Opinion *opinion.Opinion `json:"opinion,omitempty"`
	// Summary is what a model says happened, where the record has no words of its own.
	Summary string `json:"summary,omitempty"`
	// Failure says why the last job gave no opinion.
	Failure string `json:"failure,omitempty"`
	// Calls counts answers that were paid for; MicroUSD is what they cost, of which Estimated was
	// not measured.
	Calls     int   `json:"calls,omitempty"`
	MicroUSD  int64 `json:"micro_usd,omitempty"`
	Estimated bool  `json:"estimated,omitempty"`
}

// MaxConsultations bounds how often a model is asked about one investigation, each time because
// its own evidence changed.
const MaxConsultations = 3

// Consult notes that a model is to be asked about the evidence as it stands, and reports whether
// that is new: not asked before, and not too often.
func (inv *Investigation) Consult() bool {
	input := opinion.Digest(inv.OwnEvidence())
	c := inv.Consultation
	if c == nil {
		c = &Consultation{}
	}
	if c.Input == input || c.Asked >= MaxConsultations {
		return false
	}
	c.Input, c.Pending = input, true
	c.Asked++
	inv.Consultation = c
	return true
}

// AddIndicators adds what a model read out of text where the parser found nothing. What is known
// already stays as it is.
func (inv *Investigation) AddIndicators(list []alert.Indicator) {
	inv.Indicators = union(inv.Indicators, list, MaxIndicators, indicatorKey, moreConfidentIndicator)
}

// ModelEvidence is what the opinion of a model adds to the other evidence.
func (inv *Investigation) ModelEvidence(items []evidence.Evidence) []evidence.Evidence {
	if inv.Consultation == nil {
		return nil
	}
	return inv.Consultation.Opinion.Evidence(items)
}

// Proposal is what a model proposes to the person who decides, empty when nothing.
func (inv *Investigation) Proposal() string {
	if inv.Consultation == nil {
		return ""
	}
	return inv.Consultation.Opinion.Proposal(&inv.Verdict, inv.Evidence)
}

func (c *Consultation) unknowns() []string {
	var out []string
	if c.Failure != "" {
		out = append(out, "model: "+c.Failure)
	}
	if c.Opinion != nil {
		for _, u := range c.Opinion.Unknowns {
			out = append(out, "the model would like to know: "+u)
		}
	}
	return out
}
