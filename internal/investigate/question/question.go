// Package question says what a person should find out next about an investigation that the
// evidence did not decide: the two or three facts that would, the bits that either answer is
// worth, and a ready query in the language of the alert's source. It is pure: the same
// investigation gives the same questions, at any time.
package question

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
	"github.com/aluskort/aluskort/internal/reason"
)

// Max is the number of questions that one investigation asks.
const Max = 3

// Outcome is where an answer would leave the verdict.
type Outcome struct {
	Classification evidence.Classification `json:"classification"`
	// Probability is P(malicious) after the answer.
	Probability float64 `json:"malicious_probability"`
}

// Question is a fact that is not known and would move the verdict.
type Question struct {
	// Text can be answered by yes or no.
	Text string `json:"text"`
	// IfYes and IfNo are log-odds in bits: above 0 the answer speaks for malicious.
	IfYes float64 `json:"if_yes"`
	IfNo  float64 `json:"if_no"`
	// AfterYes and AfterNo are the verdicts that would follow.
	AfterYes Outcome `json:"after_yes"`
	AfterNo  Outcome `json:"after_no"`
	// Query finds the answer: bounded in time, at most 100 rows, every value escaped. It is empty
	// when the language has no shipped queries.
	Query string `json:"query,omitempty"`
	// Language is that of the query as it was asked for: KQL, SPL, ES|QL, Wazuh.
	Language string `json:"language,omitempty"`
	// Why says what the answer would change.
	Why string `json:"why"`
}

// candidate is a question with how far it would decide.
type candidate struct {
	Question
	topic topic
	// decides is the probability that the answer moves the verdict to another rung; informs is
	// the expected weight of the answer in bits.
	decides, informs float64
}

// Ask returns the questions of a deferred verdict, the most decisive first; none for a verdict
// that stands. The language is one of ingest.Descriptor.QueryLanguage; in any other the
// questions come without a query. The investigation is only read.
func Ask(inv *investigate.Investigation, t reason.Thresholds, language string) []Question {
	if !inv.Verdict.Classification.Deferred() {
		return nil
	}
	render, known := renderer(language)
	s := read(inv)
	var list []candidate
	for i := range facts {
		f := &facts[i]
		text, why, q, ok := f.ask(s)
		if !ok {
			continue
		}
		c := candidate{topic: f.topic, Question: Question{Text: text, IfYes: f.yes, IfNo: f.no, Language: language}}
		if known {
			if c.Query, ok = render(&q); !ok {
				continue // the source does not record what the fact rests on
			}
		}
		c.weigh(inv, t, f)
		c.Why = why + " " + c.says(&inv.Verdict)
		list = append(list, c)
	}
	return pick(list)
}

// weigh finds what either answer would lead to. The weights of the two answers are log
// likelihood ratios, which fix how likely each answer is: with a = P(yes|malicious) and
// b = P(yes|harmless), a/b = 2^yes and (1-a)/(1-b) = 2^no.
func (c *candidate) weigh(inv *investigate.Investigation, t reason.Thresholds, f *fact) {
	now := inv.Verdict.Classification
	c.AfterYes, c.AfterNo = after(inv, t, f.yes, f.expected), after(inv, t, f.no, false)
	yes, no := math.Exp2(f.yes), math.Exp2(f.no)
	b := (1 - no) / (yes - no)
	p := inv.Verdict.Probability
	pYes := p*b*yes + (1-p)*b
	c.decides = pYes*moves(now, c.AfterYes.Classification) + (1-pYes)*moves(now, c.AfterNo.Classification)
	c.informs = pYes*math.Abs(f.yes) + (1-pYes)*math.Abs(f.no)
}

// moves is 1 for a step out of the deferred verdicts, a quarter for a step among them: it changes
// the place in the queue and decides nothing.
func moves(from, to evidence.Classification) float64 {
	switch {
	case !to.Deferred():
		return 1
	case to != from:
		return 0.25
	}
	return 0
}

// after decides again with the answer as one more item, so that groups, caps and void
// explanations count as they would.
func after(inv *investigate.Investigation, t reason.Thresholds, bits float64, expected bool) Outcome {
	answer := evidence.Evidence{ID: "answer", Kind: "answer", Stance: evidence.For, Weight: bits, Expected: expected, Group: "answer"}
	if bits < 0 {
		answer.Stance = evidence.Against
	}
	items := make([]evidence.Evidence, 0, len(inv.Evidence)+1)
	items = append(append(items, inv.Evidence...), answer)
	v := reason.Decide(reason.Prior{Bits: inv.Verdict.Prior}, items, inv.Verdict.Severity, nil, t)
	return Outcome{Classification: v.Classification, Probability: v.Probability}
}

func (c *candidate) says(v *evidence.Verdict) string {
	return fmt.Sprintf("It stands at %.0f %% (%s): yes (%+g bits) leads to %.0f %% (%s), no (%+g bits) to %.0f %% (%s).",
		100*v.Probability, v.Classification, c.IfYes, 100*c.AfterYes.Probability, c.AfterYes.Classification,
		c.IfNo, 100*c.AfterNo.Probability, c.AfterNo.Classification)
}

// pick takes the most decisive questions, one of a topic: two ways to ask how common something
// is would share most of their answer. Topics repeat only to make two.
func pick(list []candidate) []Question {
	slices.SortStableFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.decides, a.decides), cmp.Compare(b.informs, a.informs))
	})
	var first, rest []candidate
	seen := map[topic]bool{}
	for _, c := range list {
		if seen[c.topic] {
			rest = append(rest, c)
			continue
		}
		seen[c.topic] = true
		first = append(first, c)
	}
	if len(first) < 2 {
		first = append(first, rest[:min(len(rest), 2-len(first))]...)
	}
	out := make([]Question, 0, Max)
	for _, c := range first[:min(len(first), Max)] {
		out = append(out, c.Question)
	}
	return out
}
