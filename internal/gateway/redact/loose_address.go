package redact

import "strings"

var (
	units = words(`apt apartment suite ste unit box room flat floor psc`)

	streetWords = words(`street st road rd avenue ave av boulevard blvd drive dr lane ln way court ct place pl square sq terrace
		crescent close parkway pkwy highway hwy route alley circle trail loop ridge grove hill gardens mews plaza
		rue via calle avenida avenue rua rúa praça travessa chemin allée impasse quai corso viale piazza strada
		ul ulica aleja plac ulice straße strasse weg gasse platz allee utca u út tér körút ulitsa str streets courts coves
		terrasse gate gata gatan vej gade katu tie tee pst mnt`)

	// The post of armed forces: a ship or unit, and a post office of its own.
	ships     = words(`uss usns uscgc usnv hms`)
	fieldPost = words(`apo fpo dpo bfpo`)

	// Streets of one word: Hauptstraße, Søndergade, Kiannonkatu.
	streetEndings = [...]string{
		"straße", "strasse", "gasse", "platz", "allee", "damm", "ufer", "straat", "laan", "plein", "gracht", "gade", "vej", "vænget", "gata",
		"gatan", "gaten", "veien", "vegen", "vägen", "väg", "katu", "tie", "kuja", "polku", "utca", "út", "ulica", "brücke", "stræde", "torv", "braut", "stígur", "toften", "parken", "bakken",
	}

	// cueWords come before an address in a sentence.
	addressCues = words(`address addresses live lives living lived located location moved deliver delivered delivery ship shipped sent
		send statement taxi office offices meet restaurant letter arrived enter station stop street corner billing shipping
		residence residing resides home house driver`)

	endsAddress = words(`and please is was are it the my i to for with this that which who because but so last serves call when if
		where what how can could would will we you he she they has have had or on then thanks thank`)
)

// street reports whether a token names a street.
func (p *prose) street(i int) bool {
	w := strings.ToLower(p.word(i))
	if streetWords.has(w) && (p.list[i].capital || w == "str" || w == "ul" || p.list[i].shout) {
		return true
	}
	for _, s := range streetEndings {
		if len(w) > len(s)+1 && strings.HasSuffix(w, s) {
			return true
		}
	}
	return false
}

// addresses finds addresses from their anchor: a number beside a street or a unit, or a number
// and a name behind a word that announces an address. From there it goes on over what belongs
// to an address.
func (p *prose) addresses() {
	done := -1
	for i := range p.list {
		if i <= done {
			continue
		}
		t := &p.list[i]
		if strings.EqualFold(p.word(i), "zip") || strings.EqualFold(p.word(i), "postcode") || strings.EqualFold(p.word(i), "postal") {
			p.postcode(i)
			continue
		}
		if p.taken(t) || !p.anchor(i) {
			continue
		}
		done = p.address(i)
	}
}

// postcode finds the code behind "zip code is".
func (p *prose) postcode(i int) {
	for n := i + 1; n < len(p.list) && n <= i+4; n++ {
		if !p.list[n].number {
			continue
		}
		end := n
		if n+1 < len(p.list) && p.list[n+1].number && len(p.gap(n+1)) == 1 {
			end++
		}
		p.add(Address, p.list[n].start, p.list[end].end)
		return
	}
}

// anchor reports whether an address begins at i.
func (p *prose) anchor(i int) bool {
	t := &p.list[i]
	w := p.word(i)
	next := i+1 < len(p.list) && p.joined(i+1)
	switch {
	case ships.has(w) && (fieldPost.has(p.word(i+2)) || fieldPost.has(p.word(i+3))):
		return true
	case units.has(w) && next && p.list[i+1].number && (t.capital || t.shout || p.cued(i)):
		return true
	case t.number && t.end-t.start <= 6 && next && strings.HasSuffix(p.gap(i+1), " "):
		return p.numbered(i)
	case strings.EqualFold(w, "corner") && strings.EqualFold(p.word(i+1), "of"):
		return p.gap(i+2) == " " && i+2 < len(p.list)
	case t.capital || p.lowerCase() && p.cued(i) && !endsAddress.has(w) && !addressCues.has(w):
		return p.named(i)
	}
	return false
}

// joined reports whether a token follows the one before as words of an address do.
func (p *prose) joined(i int) bool {
	g := p.gap(i)
	return len(g) <= 12 && strings.Trim(g, " .,\n\r\t>-/") == "" && strings.Count(g, "\n") <= 2
}

// numbered reports an address that begins with a number: one of a house, or a postal code.
func (p *prose) numbered(i int) bool {
	n := i + 1
	if n < len(p.list) && p.list[n].number && p.joined(n) {
		n++
	}
	capitals := 0
	for ; n < len(p.list) && n <= i+6 && p.joined(n) && p.list[n].line == p.list[i].line; n++ {
		t := &p.list[n]
		switch {
		case p.street(n), units.has(p.word(n)) && n > i+1:
			return capitals > 0 || p.street(n) && n > i
		case t.number && capitals > 0:
			return true // a name and the number of a house
		case t.capital || t.shout || particles.has(p.word(n)):
			capitals++
		case p.cued(i):
			capitals++
		default:
			return false
		}
	}
	return capitals > 0 && p.cued(i)
}

// named reports an address that begins with the name of a street and has a number behind it.
func (p *prose) named(i int) bool {
	street := p.street(i)
	for n := i + 1; n < len(p.list) && n <= i+4; n++ {
		if !p.joined(n) || p.list[n].line != p.list[i].line || strings.Contains(p.gap(n), ",") {
			return false
		}
		t := &p.list[n]
		if t.number {
			return t.end-t.start <= 4 && (street || p.cued(i)) && !months.has(p.word(n-1))
		}
		if !t.capital && !particles.has(p.word(n)) && !p.street(n) {
			return false
		}
		street = street || p.street(n)
	}
	return false
}

// cued reports whether one of the last words announces an address.
func (p *prose) cued(i int) bool {
	for n := i - 1; n >= 0 && n >= i-7; n-- {
		if strings.ContainsAny(p.gap(n+1), "?!") && n < i-1 {
			return false
		}
		if addressCues.has(p.word(n)) {
			return true
		}
	}
	return false
}

// address emits what belongs to the address that begins at i and returns its last token.
func (p *prose) address(i int) int {
	last, lines := i, 0
	for n := i + 1; n < len(p.list); n++ {
		if !p.joined(n) {
			break
		}
		newLine := p.list[n].line != p.list[n-1].line
		if newLine {
			if lines++; lines > 5 || !p.addressLine(n) {
				break
			}
		}
		t := &p.list[n]
		w := p.word(n)
		sentence := strings.Contains(p.gap(n), ". ") && !units.has(p.word(n-1)) && !streetWords.has(p.word(n-1)) && utf8Len(p.word(n-1)) > 2
		if sentence && !newLine {
			break
		}
		plain := !t.capital && !t.shout && !t.number && chars[w[0]]&cDigit == 0
		if plain && endsAddress.has(w) && !(strings.EqualFold(w, "and") && p.streetAhead(n)) {
			break
		}
		if plain && !particles.has(w) && !p.street(n) && !units.has(w) && !newLine && !strings.EqualFold(w, "and") && !strings.EqualFold(w, "of") && !strings.EqualFold(w, "the") && !p.lowerCase() {
			break
		}
		last = n
	}
	start := p.list[i].start
	if strings.EqualFold(p.word(i), "corner") && strings.EqualFold(p.word(i-1), "the") {
		start = p.list[i-1].start
	}
	end := p.list[last].end
	p.add(Address, start, end)
	return last
}

func utf8Len(s string) int { return len([]rune(s)) }

// lowerCase reports a text without any capital, in which case says nothing.
func (p *prose) lowerCase() bool { return !p.capitals }

// streetAhead reports whether a street follows within a few words.
func (p *prose) streetAhead(n int) bool {
	for k := n + 1; k < len(p.list) && k <= n+5 && p.list[k].line == p.list[n].line; k++ {
		if p.street(k) || p.list[k].number {
			return true
		}
		if !p.list[k].capital {
			return false
		}
	}
	return n+1 < len(p.list) && p.list[n+1].capital && p.cued(n)
}

// addressLine reports whether the line that begins at token n can go on with an address: short,
// and no sentence.
func (p *prose) addressLine(n int) bool {
	if fieldPost.has(p.word(n)) {
		return true
	}
	count := 0
	for k := n; k < len(p.list) && p.list[k].line == p.list[n].line; k++ {
		if sep := p.gap(k); k > n && strings.ContainsAny(sep, ":?!@/\"") || k > n && strings.Contains(sep, ". ") {
			break
		}
		t := &p.list[k]
		if !t.number && !t.capital && !t.shout && !particles.has(p.word(k)) && !p.lowerCase() && utf8Len(p.word(k)) > 3 && count == 0 {
			return false
		}
		count++
	}
	if end := p.lineTail(n); strings.Contains(end, ":") {
		return false
	}
	return count <= 6
}

// lineTail is the text of the line from a token on.
func (p *prose) lineTail(n int) string {
	tail := p.text[p.list[n].start:]
	if at := strings.IndexByte(tail, '\n'); at >= 0 {
		tail = tail[:at]
	}
	return tail
}
