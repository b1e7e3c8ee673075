package redact

import "slices"

// Finding is a place in a text that is replaced.
type Finding struct {
	Class Class
	// Start and End bound it, in bytes.
	Start, End int
	// IsSecret is set when it is removed for good, as a Secret of that kind.
	IsSecret bool
	Secret   SecretKind
}

// scratch is the memory of one pass, reused.
type scratch struct {
	walker                walker
	personal, secret, out []Finding
}

// Find returns what the policy replaces in a text, in its order and without overlaps.
func (r *Redactor) Find(text string) []Finding {
	var s scratch
	return r.find(&s, r.compile(nil), "", text)
}

func (r *Redactor) find(s *scratch, known *lexicon, field, text string) []Finding {
	w := &s.walker
	*w = walker{r: r, known: known, text: text, personal: s.personal[:0], secret: s.secret[:0]}
	w.run()
	if field != "" {
		w.field(field)
	}
	if r.policy.PublicDomains {
		w.publicDomains()
	}
	if r.policy.Loose {
		w.loose()
	}
	w.marks()
	s.personal, s.secret = w.personal, w.secret
	s.out = merge(s.out[:0], w.secret, w.personal)
	*w = walker{} // it holds no text longer than it needs
	return s.out
}

// merge makes one list without overlaps. Secrets win; of others the one that begins first wins,
// then the longer one, and what is left of a loser is replaced as well: nothing that was found
// stays readable in part.
func merge(out, secret, personal []Finding) []Finding {
	order(secret)
	order(personal)
	at, next := 0, 0
	for i := range personal {
		f := personal[i]
		for next < len(secret) && secret[next].Start <= f.Start {
			out, at = take(out, secret[next], at)
			next++
		}
		for n := next; n < len(secret) && secret[n].Start < f.End; n++ {
			part := f
			part.End = secret[n].Start
			out, at = take(out, part, at)
			out, at = take(out, secret[n], at)
			next = n + 1
		}
		out, at = take(out, f, at)
	}
	for ; next < len(secret); next++ {
		out, at = take(out, secret[next], at)
	}
	return out
}

// take appends what of f lies at or after at.
func take(out []Finding, f Finding, at int) ([]Finding, int) {
	f.Start = max(f.Start, at)
	if f.Start >= f.End {
		return out, at
	}
	return append(out, f), f.End
}

func order(list []Finding) {
	slices.SortFunc(list, func(a, b Finding) int {
		switch {
		case a.Start != b.Start:
			return a.Start - b.Start
		case a.End != b.End:
			return b.End - a.End
		default:
			return int(a.Class) - int(b.Class)
		}
	})
}

// marks finds text that has the form of a token or of the beginning of one. Beginnings are
// included because a token that follows could complete them.
func (w *walker) marks() {
	for from := 0; ; {
		s, ok := nextShape(w.text, from)
		if !ok {
			return
		}
		w.add(Mark, s.start, s.end)
		from = s.end
	}
}
