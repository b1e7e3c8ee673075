// Package corpus writes the texts on which the injection sensor is trained beside the labelled
// lines of others: attacks in every place where an attacker can write, and harmless texts in
// the same places, so that a place by itself means nothing.
//
// The texts are grammars. They are expanded with a fixed seed, so that the corpus is always
// the same.
package corpus

import (
	_ "embed" // the grammars
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"

	"github.com/aluskort/aluskort/internal/gateway/detect"
)

var (
	//go:embed slots.txt
	slotsText string
	//go:embed attacks.txt
	attacksText string
	//go:embed benign.txt
	benignText string
	//go:embed carriers.txt
	carriersText string
)

const (
	perAttack  = 9
	perCarrier = 14
	perLine    = 9
	// weight is what a generated sample counts against a labelled line: they resemble each other.
	weight = 0.1
)

// grammar expands texts with alternatives.
type grammar struct {
	slots map[string]string
	rng   *rand.Rand
}

// carrier is a place where an attacker can write.
type carrier struct{ fill, form string }

// Samples returns the corpus. Texts of one grammar line have the same group.
func Samples() []detect.Sample {
	g := &grammar{slots: map[string]string{}, rng: rand.New(rand.NewPCG(7, 11))}
	for _, l := range lines(slotsText) {
		name, alternatives, _ := strings.Cut(l, " = ")
		g.slots[name] = alternatives
	}
	var carriers []carrier
	for _, l := range lines(carriersText) {
		fill, form, _ := strings.Cut(l, " ")
		carriers = append(carriers, carrier{fill, form})
	}
	var out []detect.Sample
	group := 0
	for _, l := range lines(attacksText) {
		for n := range perAttack {
			text := g.expand(l, 0)
			switch {
			case n%9 == 7:
				text = g.disguise(text)
			case n%3 != 0:
				text = g.carry(carriers[g.rng.IntN(len(carriers))], text)
			}
			out = append(out, detect.Sample{Text: text, Attack: true, Weight: weight, Group: group, Generated: true})
		}
		group++
	}
	return append(out, g.harmless(carriers, group)...)
}

func (g *grammar) harmless(carriers []carrier, group int) []detect.Sample {
	fills := map[string][]string{}
	var out []detect.Sample
	for _, l := range lines(benignText) {
		kind, text, _ := strings.Cut(l, " ")
		if kind != "line" {
			fills[kind] = append(fills[kind], text)
			continue
		}
		for range perLine {
			out = append(out, detect.Sample{Text: g.expand(text, 0), Weight: weight, Group: group, Generated: true})
		}
		group++
	}
	for _, c := range carriers {
		for range perCarrier {
			fill := fills[c.fill]
			text := g.carry(c, g.expand(fill[g.rng.IntN(len(fill))], 0))
			out = append(out, detect.Sample{Text: text, Weight: weight, Group: group, Generated: true})
		}
		group++
	}
	return out
}

func (g *grammar) carry(c carrier, text string) string {
	before, after, _ := strings.Cut(c.form, "%s")
	if c.fill == "host" && strings.ContainsAny(text, " ") && len(text) < 60 {
		text = strings.Trim(strings.ReplaceAll(strings.ToLower(text), " ", "-"), ".")
	} else if c.fill == "name" && g.rng.IntN(3) == 0 && len(text) < 60 {
		text = strings.ReplaceAll(text, " ", "_")
	}
	return g.expand(before, 0) + text + g.expand(after, 0)
}

// disguise encodes a text as attackers do.
func (g *grammar) disguise(text string) string {
	switch g.rng.IntN(4) {
	case 0:
		return fmt.Sprintf("echo %s | base64 -d", base64.StdEncoding.EncodeToString([]byte(text)))
	case 1:
		return "GET /?q=" + url.QueryEscape(text)
	case 2:
		return "data=" + hex.EncodeToString([]byte(text))
	}
	return "Subject: " + strings.ToUpper(text)
}

func lines(text string) []string {
	var out []string
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); l != "" && (l[0] != '#' || strings.HasPrefix(l, "##")) {
			out = append(out, l)
		}
	}
	return out
}

const maxDepth = 8

// expand chooses among alternatives. {name} is a slot, {a|b} is one of them, and a brace that
// holds neither stays a brace.
func (g *grammar) expand(s string, depth int) string {
	if depth > maxDepth {
		return s
	}
	var sb strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '{' {
			sb.WriteByte(s[i])
			continue
		}
		end := matching(s, i)
		if end < 0 {
			sb.WriteByte(s[i])
			continue
		}
		inner := s[i+1 : end]
		body, isSlot := g.slots[inner]
		if !isSlot {
			body = inner
		}
		choices := split(body)
		if len(choices) == 1 && !isSlot {
			// A brace of JSON or of a product's notation.
			sb.WriteString("{" + g.expand(inner, depth+1) + "}")
		} else {
			pick := choices[g.rng.IntN(len(choices))]
			if _, ok := g.slots[pick]; ok {
				pick = "{" + pick + "}"
			}
			sb.WriteString(g.expand(pick, depth+1))
		}
		i = end
	}
	return sb.String()
}

// matching returns the brace that closes the one at i, -1 when there is none.
func matching(s string, i int) int {
	depth := 0
	for k := i; k < len(s); k++ {
		switch s[k] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return k
			}
		}
	}
	return -1
}

// split separates alternatives at the bars outside inner braces.
func split(s string) []string {
	var out []string
	depth, from := 0, 0
	for k := 0; k < len(s); k++ {
		switch s[k] {
		case '{':
			depth++
		case '}':
			depth--
		case '|':
			if depth == 0 {
				out = append(out, s[from:k])
				from = k + 1
			}
		}
	}
	return append(out, s[from:])
}
