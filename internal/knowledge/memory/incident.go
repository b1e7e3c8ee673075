package memory

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/knowledge/embed"
)

// Incident is an investigation that ended, as far as it is worth remembering. It is to
// name no host, account or address.
type Incident struct {
	Tenant string `json:"-"`
	// Investigation is its id, a UUID.
	Investigation string         `json:"-"`
	Source        string         `json:"source"`
	Analytic      string         `json:"analytic"`
	Severity      alert.Severity `json:"severity"`
	// Classes are the types of the entities, Techniques the ids that the taxonomy knows, Evidence the
	// kinds of evidence that counted.
	Classes        []string                `json:"classes,omitempty"`
	Techniques     []string                `json:"techniques,omitempty"`
	Evidence       []string                `json:"evidence,omitempty"`
	Classification evidence.Classification `json:"classification"`
	// By is who decided: a person's account when Person is set, else the reasoner, a pattern or a model.
	By     string    `json:"-"`
	Person bool      `json:"-"`
	At     time.Time `json:"-"`
	// Title is the source's words made Generic, Reason the person's. Both are kept only when a person decided.
	Title  string `json:"title,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Rare marks what must not fade: seldom seen and important.
	Rare bool `json:"rare,omitempty"`
}

// Bounds of what is kept of one incident.
const (
	maxText = 300
	maxList = 32
	maxName = 200
)

// kept is the incident as it is remembered: bounded, in canonical order, and without words that
// nobody looked at.
func (i *Incident) kept() (Incident, error) {
	out := *i
	switch {
	case i.Tenant == "" || i.Investigation == "":
		return out, fmt.Errorf("%w: an incident without tenant or investigation", ErrInvalid)
	case i.Classification == "" || i.At.IsZero() || strings.TrimSpace(i.By) == "":
		return out, fmt.Errorf("%w: incident %s has no verdict, time or author", ErrInvalid, i.Investigation)
	}
	out.Classes, out.Techniques, out.Evidence = list(i.Classes), list(i.Techniques), list(i.Evidence)
	out.Source, out.Analytic = clean(i.Source, maxName), clean(i.Analytic, maxName)
	if i.Person {
		out.Title, out.Reason = clean(i.Title, maxText), clean(i.Reason, maxText)
	} else {
		out.Title, out.Reason = "", ""
	}
	return out, nil
}

func list(in []string) []string {
	out := make([]string, 0, len(in))
	for _, s := range in {
		if s = clean(s, maxName); s != "" {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return out[:min(len(out), maxList)]
}

// clean makes one line of printable text of at most limit runes.
func clean(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsGraphic(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.Join(strings.Fields(s), " ")
	n := 0
	for at := range s {
		if n == limit {
			return s[:at] + "…"
		}
		n++
	}
	return s
}

// text is what is embedded and searched. What the detection is stands twice as often as what the
// source calls it.
func (i *Incident) text() string {
	return strings.Join([]string{
		i.Title, i.Source, i.Analytic, i.Analytic, strings.Join(i.Techniques, " "), strings.Join(i.Classes, " "), strings.Join(i.Evidence, " "),
	}, " ")
}

// Bounds of the search by words.
const (
	wordsKept  = 64
	wordsAsked = 24
)

// rarest returns hashes of the n rarest different words of a text, by rarity and then spelling.
func rarest(text string, n int) []int64 {
	seen := map[string]bool{}
	var words []string
	embed.Words(text, func(w string) {
		if !seen[w] {
			seen[w] = true
			words = append(words, w)
		}
	})
	slices.SortFunc(words, func(a, b string) int {
		if x, y := embed.Rarity(a), embed.Rarity(b); x != y {
			if x > y {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	out := make([]int64, 0, min(n, len(words)))
	for _, w := range words[:min(n, len(words))] {
		out = append(out, embed.WordHash(w))
	}
	slices.Sort(out)
	return slices.Compact(out)
}
