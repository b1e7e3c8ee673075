package parse

import (
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/aluskort/aluskort/internal/alert"
)

// Match is one indicator found in a text.
type Match struct {
	Type alert.IndicatorType
	// Value is the indicator refanged and normalised: host names, hashes and mail addresses in
	// lower case, addresses in their shortest form, doubled backslashes single.
	Value string
	// Start and End bound the match in the text, in bytes.
	Start, End int
	// Defanged is set when the text had it in a form that cannot be clicked, like evil[.]com.
	Defanged bool
}

// Confidence is the trust in a value of that type that was found in free text, from 0 to 1.
func Confidence(t alert.IndicatorType) float64 {
	switch t {
	case alert.IndicatorCVE:
		return 0.9
	case alert.IndicatorURL, alert.IndicatorEmail, alert.IndicatorSHA256:
		return 0.8
	case alert.IndicatorIPv4, alert.IndicatorIPv6, alert.IndicatorSHA1:
		return 0.7
	case alert.IndicatorDomain, alert.IndicatorMD5, alert.IndicatorRegistry:
		return 0.6
	default:
		return 0.5
	}
}

// Scanner finds indicators in text in one pass without regular expressions: addresses,
// domains under a public suffix, URLs, mail addresses, hashes, CVE ids, paths and registry
// keys, defanged forms included. Matches never overlap and come in the order of the text. A
// Scanner is safe for concurrent use; share one, since it remembers top-level domains.
type Scanner struct {
	tlds [tldSlots]atomic.Pointer[tldEntry]
}

// NewScanner returns a Scanner.
func NewScanner() *Scanner { return &Scanner{} }

// Scan calls fn for every indicator in text.
func (s *Scanner) Scan(text string, fn func(Match)) {
	w := walker{tlds: &s.tlds, text: text, each: fn}
	w.run()
}

// Append appends the indicators in text to dst and returns it.
func (s *Scanner) Append(dst []Match, text string) []Match {
	s.Scan(text, func(m Match) { dst = append(dst, m) })
	return dst
}

// scan calls fn until it returns false.
func (s *Scanner) scan(text string, fn func(Match) bool) {
	w := walker{tlds: &s.tlds, text: text, until: fn}
	w.run()
}

// walker is one pass over one text.
type walker struct {
	tlds    *[tldSlots]atomic.Pointer[tldEntry]
	text    string
	each    func(Match)      // called for every match, or
	until   func(Match) bool // called until it returns false
	last    int              // end of the last match: nothing may begin before it
	stopped bool
}

func (w *walker) emit(t alert.IndicatorType, value string, start, end int, defanged bool) {
	w.last = end
	m := Match{Type: t, Value: value, Start: start, End: end, Defanged: defanged}
	switch {
	case w.each != nil:
		w.each(m)
	case !w.stopped:
		w.stopped = !w.until(m)
	}
}

// wordBefore says whether a letter, digit or underscore ends right before i.
func (w *walker) wordBefore(i int) bool {
	if b := w.byteAt(i - 1); b < utf8.RuneSelf {
		return b != 0 && isWord(b)
	}
	r, _ := utf8.DecodeLastRuneInString(w.text[max(0, i-utf8.UTFMax):i])
	return isWordRune(r)
}

// wordAfter says whether a letter, digit or underscore begins at i.
func (w *walker) wordAfter(i int) bool {
	if b := w.byteAt(i); b < utf8.RuneSelf {
		return isWord(b)
	}
	r, _ := utf8.DecodeRuneInString(w.text[i:])
	return isWordRune(r)
}

func isWordRune(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r))
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
	for i := 0; i < len(text) && !w.stopped; {
		c := classes[text[i]]
		if c&cToken == 0 {
			if c&cStart != 0 {
				i = w.punct(i)
			} else {
				i++
			}
			continue
		}
		j, acc := i+1, c
		for j < len(text) {
			c = classes[text[j]]
			if c&cToken == 0 {
				break
			}
			acc |= c
			j++
		}
		if acc&(cDot|cHigh) == 0 && (j == len(text) || c&cFollow == 0) &&
			j-i < 32 && (acc&cDash == 0 || j-i < minCVE) {
			i = j
			continue
		}
		if acc&cHigh != 0 {
			i = w.mixed(i, j, acc)
		} else {
			i = w.token(i, j, acc)
		}
	}
}

// mixed handles a word with bytes beyond ASCII: it cuts it at everything that is no letter or
// digit, such as typographic quotes and dashes.
func (w *walker) mixed(i, j int, acc class) int {
	if acc&(cDot|cDigit) == 0 && classes[w.byteAt(j)]&cFollow == 0 {
		return j
	}
	for i < j {
		start, high := i, false
		var piece class
		for i < j {
			b := w.text[i]
			if b < utf8.RuneSelf {
				piece |= classes[b]
				i++
				continue
			}
			r, n := utf8.DecodeRuneInString(w.text[i:j])
			if !isWordRune(r) {
				break
			}
			high = true
			i += n
		}
		end := i
		switch {
		case start == end:
		case high:
			i = max(i, w.international(start, end))
		default:
			i = max(i, w.token(start, end, piece))
		}
		if i >= j || w.stopped {
			return max(i, j)
		}
		if i == end { // the rune that ended the piece
			_, n := utf8.DecodeRuneInString(w.text[i:j])
			i += n
		}
	}
	return i
}

// token handles the word text[i:j] of ASCII, and returns where to go on.
func (w *walker) token(i, j int, acc class) int {
	for i < j && (w.text[i] == '.' || w.text[i] == '-') {
		i++
	}
	if i == j {
		return j
	}
	next := w.byteAt(j)
	if classes[next]&cFollow != 0 {
		if end := w.follow(i, j, next, acc); end > 0 {
			return end
		}
	}
	if acc&cDot != 0 {
		if end := w.tagged(j, next); end > 0 {
			return end
		}
		if w.dotted(i, j, acc) {
			return j
		}
	}
	if j-i >= 32 {
		w.hashes(i, j)
	}
	if acc&cDash != 0 && j-i >= minCVE {
		w.cves(i, j)
	}
	return j
}

// follow tries what the byte behind a word makes possible. It returns 0 when there is nothing.
func (w *walker) follow(i, j int, next byte, acc class) int {
	switch next {
	case '@':
		return w.mail(i, j, j+1, false)
	case ':':
		return w.colon(i, j, acc)
	case '\\':
		return w.registry(i, j, j)
	}
	rest := w.text[j:]
	if n := defangedDot(rest); n > 0 {
		if classes[w.byteAt(j+n)]&cToken != 0 {
			return w.defanged(i, j)
		}
		return 0
	}
	if n := defangedAt(rest); n > 0 {
		return w.mail(i, j, j+n, true)
	}
	if n := defangedColon(rest); n > 0 {
		return w.scheme(i, j, j+n, true)
	}
	return 0
}

func (w *walker) colon(i, j int, acc class) int {
	after := w.byteAt(j + 1)
	switch {
	case after == '/' && w.byteAt(j+2) == '/':
		if end := w.scheme(i, j, j+3, false); end > 0 {
			return end
		}
	case after == '\\':
		if end := w.registry(i, j, j+1); end > 0 {
			return end
		}
	}
	if after == '\\' || after == '/' {
		return w.drive(i, j)
	}
	if j-i <= 4 && acc&(cLetter|cDot|cDash) == 0 {
		return w.ipv6(i)
	}
	return 0
}

// dotted handles a word that has dots in it: an address, a host name, or neither.
func (w *walker) dotted(i, j int, acc class) bool {
	for j > i && (w.text[j-1] == '.' || w.text[j-1] == '-') {
		j--
	}
	if acc&(cHex|cLetter) == 0 {
		return w.numeric(i, j)
	}
	value, ok := w.domain(w.text[i:j], i, j, false)
	if ok {
		w.emit(alert.IndicatorDomain, value, i, j, false)
	}
	return ok
}

// punct handles a byte outside words that may begin an indicator.
func (w *walker) punct(i int) int {
	end := 0
	switch w.text[i] {
	case '\\':
		end = w.backslash(i)
	case '/':
		end = w.unixPath(i, i)
	case '~':
		if w.byteAt(i+1) == '/' {
			end = w.unixPath(i, i+1)
		}
	case '%':
		end = w.envPath(i)
	case '@': // behind a word it was tried already; a local part may end in other bytes
		end = w.mail(i, i, i+1, false)
	case ':':
		if w.byteAt(i+1) == ':' && w.byteAt(i-1) != ']' && w.byteAt(i-1) != ':' {
			end = w.ipv6(i)
		}
	}
	if end > i {
		return end
	}
	if w.text[i] == '\\' { // a run of backslashes is looked at once
		for i < len(w.text) && w.text[i] == '\\' {
			i++
		}
		return i
	}
	return i + 1
}
