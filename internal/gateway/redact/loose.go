package redact

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"
)

// token is a word or number of prose.
type token struct {
	start, end int
	capital    bool // begins with a capital and goes on in small letters, or is one capital
	shout      bool // several capitals and nothing else
	number     bool
	line       int
}

// prose is a text as the loose detectors see it.
type prose struct {
	*walker
	list  []token
	small map[string]bool // words that the text has in small letters
	found []bool          // for each byte, whether something was found there
	// capitals is set when a word of the text has a capital.
	capitals bool
}

// loose runs the detectors that go by context and lists.
func (w *walker) loose() {
	p := prose{walker: w, small: make(map[string]bool), found: make([]bool, len(w.text))}
	for i := range w.personal {
		p.mark(w.personal[i].Start, w.personal[i].End)
	}
	p.cut()
	p.ages()
	p.licences()
	p.dates()
	p.addresses()
	p.names()
}

// cut makes the list of tokens.
func (p *prose) cut() {
	line := 0
	for i := 0; i < len(p.text); {
		r, n := utf8.DecodeRuneInString(p.text[i:])
		if r == '\n' {
			line++
		}
		if !isWordRune(r) {
			i += n
			continue
		}
		t := token{start: i, line: line, number: true, capital: unicode.IsUpper(r), shout: unicode.IsUpper(r)}
		small := false
		for i < len(p.text) {
			r, n := utf8.DecodeRuneInString(p.text[i:])
			if !isWordRune(r) {
				break
			}
			t.number = t.number && unicode.IsDigit(r)
			small = small || unicode.IsLower(r)
			t.shout = t.shout && !unicode.IsLower(r)
			i += n
		}
		t.end = i
		one := utf8.RuneCountInString(p.text[t.start:t.end]) == 1
		t.shout = t.shout && !one && !t.number
		t.capital = t.capital && (small || one)
		p.capitals = p.capitals || t.capital || t.shout
		if !t.capital && !t.shout && !t.number {
			p.small[p.text[t.start:t.end]] = true
		}
		p.list = append(p.list, t)
	}
}

func (p *prose) word(i int) string {
	if i < 0 || i >= len(p.list) {
		return ""
	}
	return p.text[p.list[i].start:p.list[i].end]
}

// gap is what stands between a token and the one before it.
func (p *prose) gap(i int) string {
	switch {
	case i < 0 || i > len(p.list):
		return ""
	case i == 0 && len(p.list) > 0:
		return p.text[:p.list[0].start]
	case i == len(p.list):
		if i == 0 {
			return p.text
		}
		return p.text[p.list[i-1].end:]
	}
	return p.text[p.list[i-1].end:p.list[i].start]
}

// add emits a finding and remembers its place.
func (p *prose) add(c Class, start, end int) {
	p.walker.add(c, start, end)
	p.mark(start, end)
}

func (p *prose) mark(start, end int) {
	for i := start; i < end; i++ {
		p.found[i] = true
	}
}

// taken reports whether something else was found at a token already.
func (p *prose) taken(t *token) bool { return p.found[t.start] || p.found[t.end-1] }

// ages finds "79 year old", "38-year-old", "age of 61", "turned 60".
func (p *prose) ages() {
	for i := range p.list {
		t := &p.list[i]
		if !t.number || t.end-t.start > 3 {
			continue
		}
		next, before := strings.ToLower(p.word(i+1)), strings.ToLower(p.word(i-1))
		if strings.HasPrefix(next, "year") && (strings.EqualFold(p.word(i+2), "old") || before == "is" || before == "turned") ||
			before == "aged" || before == "age" || before == "turned" || before == "of" && strings.EqualFold(p.word(i-2), "age") ||
			before == "is" && strings.EqualFold(p.word(i-2), "age") {
			p.add(Trait, t.start, t.end)
		}
	}
}

// licences finds what follows the word for a driver's licence and has digits in it.
func (p *prose) licences() {
	for i := range p.list {
		if w := p.word(i); !strings.EqualFold(w, "license") && !strings.EqualFold(w, "licence") && !strings.EqualFold(w, "licenses") {
			continue
		}
		for n := i + 1; n < len(p.list) && n <= i+5; n++ {
			end := n
			for end+1 < len(p.list) && p.gap(end+1) == "-" {
				end++
			}
			s := p.text[p.list[n].start:p.list[end].end]
			if len(s) >= 6 && len(s) <= 20 && strings.ContainsAny(s, "0123456789") {
				p.add(National, p.list[n].start, p.list[end].end)
				break
			}
		}
	}
}

var (
	weekdays = words(`monday tuesday wednesday thursday friday saturday sunday`)
	months   = words(`january february march april may june july august september october november december
		jan feb mar apr jun jul aug sep sept oct nov dec`)
	beforeYear = words(`in a an the since from of year by until till and during around before after late early`)
)

// dates finds dates in digits, week days, months with a day, and years behind a preposition.
func (p *prose) dates() {
	for i := 0; i < len(p.list); i++ {
		t := &p.list[i]
		switch {
		case weekdays.has(p.word(i)) && t.capital:
			p.add(Date, t.start, t.end)
		case months.has(p.word(i)) && (t.capital || t.shout) && i+1 < len(p.list) && p.list[i+1].number && p.gap(i+1) == " ":
			end := i + 1
			if end+1 < len(p.list) && p.list[end+1].number && strings.Trim(p.gap(end+1), ", ") == "" {
				end++
			}
			p.add(Date, t.start, p.list[end].end)
			i = end
		case t.number:
			i = p.date(i)
		}
	}
}

// date reads a date that begins with the number at i and returns the last token that it used.
func (p *prose) date(i int) int {
	t := &p.list[i]
	size := t.end - t.start
	if i+2 < len(p.list) && p.list[i+1].number && p.list[i+2].number {
		sep := p.gap(i + 1)
		last := p.list[i+2].end - p.list[i+2].start
		if len(sep) == 1 && strings.IndexByte("-/.", sep[0]) >= 0 && p.gap(i+2) == sep && p.list[i+1].end-p.list[i+1].start <= 2 &&
			(size == 4 && last <= 2 || size <= 2 && (last == 4 || last == 2 && sep == "/")) {
			end := i + 2
			for _, want := range [...]string{" ", ":", ":"} {
				if end+1 >= len(p.list) || !p.list[end+1].number || p.gap(end+1) != want || want == " " && p.gap(end+2) != ":" {
					break
				}
				end++
			}
			p.add(Date, t.start, p.list[end].end)
			return end
		}
	}
	if size == 4 && (strings.HasPrefix(p.word(i), "19") || strings.HasPrefix(p.word(i), "20")) && beforeYear.has(p.word(i-1)) && strings.Trim(p.gap(i), " (") == "" {
		p.add(Date, t.start, t.end)
	}
	return i
}

// loosePhone accepts numbers in groups, as telephone numbers are written, where nothing says
// that they are anything else.
func (w *walker) loosePhone(f *figures) bool {
	if f.n == 1 {
		return f.total >= 7 && f.total <= 11 && w.cue(f.start, cueContact)
	}
	if f.n < 2 || f.total < 7 || f.total > 13 || w.dateLike(f) {
		return false
	}
	for k, g := range f.groups[:f.n] {
		if n := g.end - g.start; n > 8 || n < 2 || k > 0 && f.seps[k] == '/' {
			return false
		}
	}
	if f.n > 2 {
		return true
	}
	// Two groups may be the number of a house and a postal code, or of an order and its part.
	return (w.cue(f.start, cueContact) || w.introduced(f.start)) && f.groups[1].end-f.groups[1].start >= 4 && !(w.byteAt(f.end) == ' ' && wordAt(w.text, f.end+1))
}

// introduced reports a colon, the beginning of a line, or a word after which a number may come.
func (w *walker) introduced(i int) bool {
	for i > 0 && w.text[i-1] == ' ' {
		i--
	}
	if i == 0 || strings.IndexByte(":\n>", w.text[i-1]) >= 0 {
		return true
	}
	for _, word := range [...]string{" to", " on", " at", " is", " me", " us"} {
		if strings.HasSuffix(w.text[:i], word) {
			return true
		}
	}
	return false
}

// publicDomains finds URLs, when the policy wants names of the Internet.
func (w *walker) publicDomains() {
	for at := 0; ; {
		n := strings.Index(w.text[at:], "://")
		if n < 0 {
			return
		}
		at += n
		start := at
		for start > 0 && chars[w.text[start-1]]&cLetter != 0 {
			start--
		}
		end := at + 3
		for end < len(w.text) && w.text[end] > ' ' && strings.IndexByte("<>\"'`", w.text[end]) < 0 {
			end++
		}
		for end > at+3 && strings.IndexByte(".,;:!?)]}", w.text[end-1]) >= 0 {
			end--
		}
		if start < at && end > at+3 {
			w.add(Domain, start, end)
		}
		at = max(end, at+3)
	}
}

// publicName handles a dotted name whose last label is text[i:j].
func (w *walker) publicName(i, j int) {
	start := w.hostStart(i)
	if start >= i-1 || w.byteAt(start-1) == '@' {
		return
	}
	name := strings.ToLower(w.text[start:j])
	suffix, icann := publicsuffix.PublicSuffix(name)
	if !icann || suffix == name || fileTypes.has(name[strings.LastIndexByte(name, '.')+1:]) {
		return
	}
	w.add(Domain, start, j)
}
