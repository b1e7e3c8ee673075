package redact

import (
	"strings"
	"unicode/utf8"
)

// walker is one pass over one text. Detectors may find overlapping places; merge sorts them out.
type walker struct {
	r                *Redactor
	known            *lexicon
	text             string
	personal, secret []Finding

	numbers int // numbers are looked at from here on
	runs    int // tokens of issuers and home directories are looked for from here on
	keyEnd  int // of the last private key
	colon   int // the last one, or 0
	// at signs before userinfo belong to the user and password of a URL
	userinfo int
	line     tool

	// The last value and the last rest of a line that were read: what begins inside ends there too,
	// so a text full of names of secrets is not read again for each of them.
	operandStart, operandEnd int
	lineStart, lineStop      int
}

func (w *walker) add(c Class, start, end int) {
	if c != Mark && !w.r.policy.Classes.Has(c) {
		return
	}
	if len(w.r.keep) > 0 && w.r.keep[strings.ToLower(w.text[start:end])] {
		return
	}
	w.personal = append(w.personal, Finding{Class: c, Start: start, End: end})
}

func (w *walker) hide(k SecretKind, start, end int) {
	if start < end {
		w.secret = append(w.secret, Finding{Start: start, End: end, IsSecret: true, Secret: k})
	}
}

// byteAt returns the byte at i, 0 outside the text.
func (w *walker) byteAt(i int) byte {
	if i < 0 || i >= len(w.text) {
		return 0
	}
	return w.text[i]
}

func (w *walker) run() {
	text := w.text
	for i := 0; i < len(text); {
		c := chars[text[i]]
		if c&cWord == 0 {
			if c&cTrigger != 0 {
				w.punct(i)
			} else if text[i] == '\n' {
				w.line = tool{}
			}
			i++
			continue
		}
		j, h, acc := i, hashSeed, charClass(0)
		for j < len(text) {
			b := text[j]
			c := chars[b]
			if c&cWord == 0 {
				break
			}
			acc |= c
			h = (h ^ uint64(lower[b])) * hashPrime
			j++
		}
		if acc&cHigh != 0 {
			w.mixed(i, j)
		} else {
			w.word(i, j, h, acc)
		}
		i = j
	}
}

// mixed cuts a run with bytes beyond ASCII at everything that is no letter or digit, such as
// typographic quotes.
func (w *walker) mixed(i, end int) {
	for i < end {
		j, high, acc := i, false, charClass(0)
		for j < end {
			if b := w.text[j]; b < utf8.RuneSelf {
				acc |= chars[b]
				j++
				continue
			}
			r, n := utf8.DecodeRuneInString(w.text[j:end])
			if !isWordRune(r) {
				break
			}
			high = true
			j += n
		}
		switch {
		case i == j:
		case high:
			w.lookUp(i, hashRunes(w.text[i:j]))
		default:
			w.word(i, j, hashWord(w.text[i:j]), acc)
		}
		if i = j; i < end {
			_, n := utf8.DecodeRuneInString(w.text[i:end])
			i += n
		}
	}
}

// word handles the letters and digits text[i:j]. Most words are nothing: what may come of one is
// told apart by a filter over its hash, by what it is made of and by what comes after it.
func (w *walker) word(i, j int, h uint64, acc charClass) {
	text := w.text
	may := w.known.first.may(h)
	before, next := w.byteAt(i-1), w.byteAt(j)
	if len(w.known.entries) > 0 {
		if may {
			w.lookUp(i, h)
		}
		if before == '\\' || before == '%' {
			w.escaped(i, j)
		}
	}
	if chars[text[i]]&cDigit != 0 {
		w.number(i, j, acc)
	}
	if acc&cLetter != 0 {
		if may {
			if v, ok := keywords.find(h, text[i:j]); ok {
				w.keyword(keyword(v), i, j)
			}
		}
		if assigns[next] || next == ' ' && (w.byteAt(j+1) == '=' || w.byteAt(j+1) == ':') {
			w.assigned(i, j)
		}
		if w.line.active && (before == '-' || before == '/') && w.byteAt(i-2) <= ' ' {
			w.toolFlag(i, j)
		}
		if j-i >= minFormat || chars[next]&cJoin != 0 || next == '+' || next == '/' || next == '=' {
			w.prefixed(i)
		}
	}
	if next == '-' || next == ':' || next == '.' {
		w.separated(i, j, acc, next)
	}
	if acc&cDigit != 0 && acc&cLetter != 0 && j-i >= 4 {
		w.accountNumber(i)
	}
	if before == '.' && chars[next]&cWord == 0 {
		w.domainEnd(i, j)
	}
}

// accountNumber tries the word at i as an IBAN, which begins with two letters and two digits.
func (w *walker) accountNumber(i int) {
	if chars[w.text[i]]&cLetter != 0 && chars[w.text[i+1]]&cLetter != 0 && chars[w.text[i+2]]&cDigit != 0 && chars[w.text[i+3]]&cDigit != 0 {
		w.iban(i)
	}
}

// separated tries what a word before a separator may begin by its form alone.
func (w *walker) separated(i, j int, acc charClass, next byte) {
	hex := acc&^(cDigit|cHex|cLetter) == 0 && w.hex(i, j)
	switch {
	case next == '-' && hex && j-i == 8:
		w.guid(i)
	case next == '-' && j-i == 1 && lower[w.text[i]] == 's':
		w.sid(i, j)
	case next == ':' && hex && j-i <= 4, next == '-' && hex && j-i == 2:
		if !w.mac(i) && next == ':' {
			w.ipv6(i)
		}
	case next == '.' && hex && j-i == 4:
		w.ciscoMAC(i)
	case next == ':' && hex && j-i >= 16:
		w.hashPair(i, j)
	}
}

func (w *walker) hex(i, j int) bool {
	if j-i > 64 {
		return false
	}
	for ; i < j; i++ {
		if chars[w.text[i]]&cHex == 0 {
			return false
		}
	}
	return true
}

// punct handles punctuation at which something may begin.
func (w *walker) punct(i int) {
	switch w.text[i] {
	case '@':
		w.mail(i, i+1)
	case '%':
		if w.byteAt(i+1) == '4' && w.byteAt(i+2) == '0' {
			w.mail(i, i+3)
		}
	case '\\':
		w.backslash(i)
	case '/':
		w.slash(i)
	case '+':
		w.international(i)
	case '(':
		if chars[w.byteAt(i+1)]&cDigit != 0 {
			w.groups(i)
		}
	case '$':
		w.crypt(i)
	case ':':
		w.colon = i
		if w.byteAt(i+1) == '/' && w.byteAt(i+2) == '/' {
			w.authority(i)
		} else if w.byteAt(i+1) == ':' && !wordBefore(w.text, i) && w.byteAt(i-1) != ':' {
			w.ipv6(i)
		}
	}
}

// lookUp emits the longest known value that begins at i.
func (w *walker) lookUp(i int, h uint64) {
	b := w.known.bucket(h)
	if b.n == 0 {
		return
	}
	e, end := w.known.longest(b, w.text, i, func(e *entry, end int) bool { return !e.weak || w.nameExpected(i, end) })
	if e == nil {
		return
	}
	if e.class == Domain && w.byteAt(i-1) == '.' {
		w.labels(i, end)
	}
	w.add(e.class, i, end)
}

// nameExpected reports whether a value between i and end stands where a name does, rather than
// in a sentence or as the key of a field.
func (w *walker) nameExpected(i, end int) bool {
	if i == 0 && end == len(w.text) {
		return true
	}
	switch w.byteAt(i - 1) {
	case '\\', '/', '=':
		return true
	case '"', '\'':
		after := end
		for w.byteAt(after) == '\\' {
			after++
		}
		return w.byteAt(after) == w.byteAt(i-1) && w.byteAt(after+1) != ':'
	}
	return false
}

// escaped looks for known values behind an escape of JSON or of a URL, the last letters of which
// stick to the word: \nada, \u0027ada, %5Cada.
func (w *walker) escaped(i, j int) {
	skip := 0
	switch b := w.text[i]; {
	case w.text[i-1] == '%':
		skip = 2
	case b == 'n' || b == 'r' || b == 't' || b == 'b' || b == 'f':
		skip = 1
	case b == 'u':
		skip = 5
	}
	if skip == 0 || j-i <= skip {
		return
	}
	w.lookUp(i+skip, hashWord(w.text[i+skip:j]))
}

// labels handles the host name before the internal domain at i: the first label is the host, and
// the domain begins behind it.
func (w *walker) labels(i, end int) {
	start := w.hostStart(i)
	if start >= i-1 || w.byteAt(start-1) == '@' {
		return
	}
	dot := start + strings.IndexByte(w.text[start:end], '.')
	w.add(Host, start, dot)
	if dot+1 < i {
		w.add(Domain, dot+1, end)
	}
}

// hostStart returns where the host name begins whose label begins at i.
func (w *walker) hostStart(i int) int {
	start := i
	for start > 0 && start > i-maxName {
		if b := w.text[start-1]; chars[b]&(cLetter|cDigit) == 0 && b != '.' && b != '-' && b != '_' {
			break
		}
		start--
	}
	if w.byteAt(start-1) == '\\' && start < i && strings.IndexByte("nrt", w.text[start]) >= 0 {
		start++
	}
	for start < i && (w.text[start] == '.' || w.text[start] == '-' || w.text[start] == '_') {
		start++
	}
	return start
}

const maxName = 253

// domainEnd handles a word that may be the last label of a name in a private top-level domain.
func (w *walker) domainEnd(i, j int) {
	if i < 2 || w.text[i-1] != '.' || !wordBefore(w.text, i-1) {
		return
	}
	if w.byteAt(j) == '.' && wordAt(w.text, j+1) || w.byteAt(j) == '-' || w.byteAt(j) == '_' || w.byteAt(j) == '(' {
		return
	}
	word := w.text[i:j]
	if w.r.policy.PublicDomains {
		w.publicName(i, j)
	}
	if !privateTLDs.has(word) && !(equalFold(word, "arpa") && strings.HasSuffix(strings.ToLower(w.text[max(0, i-5):i]), "home.")) {
		return
	}
	start := w.hostStart(i)
	if start >= i-1 || w.byteAt(start-1) == '@' {
		return
	}
	w.name(start, j)
}

// name emits an internal host name: host and domain, or the domain alone when it has no host.
func (w *walker) name(start, end int) {
	text := w.text[start:end]
	dot := strings.IndexByte(text, '.')
	if dot < 0 {
		w.add(Host, start, end)
		return
	}
	if w.known.domains[strings.ToLower(text)] || strings.Count(text, ".") == 1 {
		if w.byteAt(start-1) != '@' && !w.known.domains[strings.ToLower(text)] {
			w.add(Host, start, start+dot)
			w.add(Domain, start+dot+1, end)
			return
		}
		w.add(Domain, start, end)
		return
	}
	w.add(Host, start, start+dot)
	w.add(Domain, start+dot+1, end)
}
