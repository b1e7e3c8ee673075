package redact

import (
	"net/netip"
	"strings"
)

// number handles a word that begins with a digit.
func (w *walker) number(i, j int, acc charClass) {
	if i < w.numbers {
		return
	}
	before := w.byteAt(i - 1)
	if acc&cLetter != 0 {
		w.lettered(i, j)
		return
	}
	if j-i <= 3 && (w.byteAt(j) == '.' || w.byteAt(j) == '[') && (before != '.' || chars[w.byteAt(i-2)]&cDigit == 0) && w.ipv4(i) {
		return
	}
	if chars[before]&cWord != 0 || before == '.' || before == '_' || before == '-' && wordBefore(w.text, i-1) {
		w.numbers = j
		return
	}
	if j-i < 6 && !w.more(j) {
		w.numbers = j // too short to be anybody's number
		return
	}
	w.groups(i)
}

// more reports whether a number that ends at j goes on after a separator.
func (w *walker) more(j int) bool {
	for n := 0; n < 3; n++ {
		switch b := w.byteAt(j + n); {
		case chars[b]&cDigit != 0:
			return n > 0
		case b != ' ' && b != '-' && b != '.' && b != '/' && b != '(' && b != ')':
			return false
		}
	}
	return false
}

// ipv4 reads an address in dotted or defanged form and reports whether there was one.
func (w *walker) ipv4(i int) bool {
	var a [4]byte
	p := i
	for n := range 4 {
		start, v := p, 0
		for p < len(w.text) && p < start+3 && chars[w.text[p]]&cDigit != 0 {
			v = v*10 + int(w.text[p]-'0')
			p++
		}
		if p == start || v > 255 || p-start > 1 && w.text[start] == '0' {
			return false
		}
		a[n] = byte(v)
		if n == 3 {
			break
		}
		switch {
		case w.byteAt(p) == '.':
			p++
		case strings.HasPrefix(w.text[p:], "[.]"):
			p += 3
		default:
			return false
		}
	}
	if wordAt(w.text, p) || w.byteAt(p) == '.' && chars[w.byteAt(p+1)]&cDigit != 0 {
		return false
	}
	w.numbers = p
	if matchFold(w.text, p, ".in-addr.arpa") >= 0 {
		a[0], a[1], a[2], a[3] = a[3], a[2], a[1], a[0]
	}
	if w.r.hides(netip.AddrFrom4(a)) {
		w.add(IP, i, p)
	}
	return true
}

// lettered handles a word of digits and letters: national ids that have a letter.
func (w *walker) lettered(i, j int) {
	if wordBefore(w.text, i) || w.byteAt(i-1) == '-' || w.byteAt(i-1) == '.' {
		return
	}
	s := w.text[i:j]
	if len(s) == 9 && chars[s[8]]&cUpper != 0 {
		if n, ok := digits(s[:8]); ok && dniLetters[n%23] == s[8] && w.byteAt(j) != '-' {
			w.add(National, i, j)
		}
		return
	}
	// The mark of the century of a Finnish id is a letter for those born after 1999.
	if len(s) == 11 && chars[s[6]]&cUpper != 0 {
		w.hetu(i, j)
	}
}

// hetu checks text[i:j] of eleven characters as a Finnish personal id.
func (w *walker) hetu(i, j int) bool {
	s := w.text[i:j]
	day, ok1 := digits(s[:6])
	serial, ok2 := digits(s[7:10])
	if !ok1 || !ok2 || !plausibleDay(day/10000, day/100%100) || hetuMarks[(day*1000+serial)%31] != s[10] {
		return false
	}
	w.add(National, i, j)
	return true
}

func digits(s string) (n int, ok bool) {
	for i := range len(s) {
		if chars[s[i]]&cDigit == 0 {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, len(s) > 0
}

// group is a run of digits inside a longer number.
type group struct{ start, end int }

const maxGroups = 8

// figures is a number written in groups.
type figures struct {
	start, end int
	groups     [maxGroups]group
	n          int
	seps       [maxGroups]byte // before each group: 0 space - . / or ) for the end of an area code
	digits     [24]byte
	total      int
	plus       bool
}

// groups reads the number that begins at i, with an opening parenthesis or plus sign where it
// has one, and decides what it is.
func (w *walker) groups(i int) {
	if i < w.numbers {
		return
	}
	f := w.figures(i)
	if f.n == 0 {
		return
	}
	if chars[w.text[i]]&cDigit != 0 {
		w.numbers = f.groups[0].end
	}
	end, c, ok := w.decide(&f)
	if ok {
		w.add(c, f.start, end)
		w.numbers = end
	}
}

func (w *walker) figures(i int) figures {
	f := figures{start: i}
	p := i
	if w.byteAt(p) == '+' {
		f.plus = true
		p++
	}
	open := false
	for f.n < maxGroups {
		q := p
		var sep byte
		if f.n > 0 {
			for q < len(w.text) && q < p+2 && strings.IndexByte(" -./", w.text[q]) >= 0 {
				sep = w.text[q]
				q++
			}
			if sep == 0 && w.byteAt(q) != '(' && f.seps[f.n-1] != ')' && w.byteAt(p-1) != ')' {
				break
			}
		}
		if w.byteAt(q) == '(' {
			open = true
			q++
		}
		start := q
		for q < len(w.text) && chars[w.text[q]]&cDigit != 0 {
			if f.total < len(f.digits) {
				f.digits[f.total] = w.text[q] - '0'
			}
			f.total++
			q++
		}
		if q == start || f.total > len(f.digits) {
			break
		}
		if wordAt(w.text, q) && !(lower[w.text[q]] == 'x' && chars[w.byteAt(q+1)]&cDigit != 0) {
			f.total -= q - start
			break
		}
		f.groups[f.n], f.seps[f.n] = group{start, q}, sep
		f.n++
		f.end = q
		p = q
		if open {
			if w.byteAt(q) != ')' {
				f.n, f.end = f.n-1, start
				f.total -= q - start
				break
			}
			open = false
			p++
			f.end = p
			if chars[w.byteAt(p)]&cDigit != 0 || w.byteAt(p) == ' ' || w.byteAt(p) == '-' {
				continue
			}
		}
	}
	f.total = min(f.total, len(f.digits))
	return f
}

// same reports whether the groups from the first on have these lengths and one separator.
func (f *figures) same(sep string, lens ...int) bool {
	if f.n < len(lens) {
		return false
	}
	for k, l := range lens {
		if f.groups[k].end-f.groups[k].start != l || k > 0 && strings.IndexByte(sep, f.seps[k]) < 0 {
			return false
		}
	}
	return true
}

func (f *figures) firstDigits(groups int) []byte {
	n := 0
	for _, g := range f.groups[:groups] {
		n += g.end - g.start
	}
	return f.digits[:min(n, len(f.digits))]
}

// decide says what a number is and where it ends.
func (w *walker) decide(f *figures) (end int, c Class, ok bool) {
	if end, ok := w.card(f); ok {
		return end, Card, true
	}
	if end, ok := w.national(f); ok {
		return end, National, true
	}
	if end, ok := w.phone(f); ok {
		return end, Phone, true
	}
	return 0, 0, false
}

func (w *walker) card(f *figures) (int, bool) {
	if f.plus || w.text[f.start] == '(' {
		return 0, false
	}
	first := f.groups[0].end - f.groups[0].start
	if first >= 12 {
		d := f.digits[:min(first, len(f.digits))]
		ok, sure := cardNumber(d)
		if ok && sure || first <= 19 && luhn(d) && (w.r.policy.Loose || w.cue(f.start, cueCard)) {
			return f.groups[0].end, true
		}
		return 0, false
	}
	for _, lens := range [...][]int{{4, 4, 4, 4}, {4, 6, 5}, {4, 6, 4}} {
		if f.same(" -", lens...) {
			if ok, _ := cardNumber(f.firstDigits(len(lens))); ok {
				return f.groups[len(lens)-1].end, true
			}
		}
	}
	return 0, false
}

func (w *walker) national(f *figures) (int, bool) {
	if f.plus || w.text[f.start] == '(' {
		return 0, false
	}
	first := f.groups[0]
	switch {
	case f.same("- ", 3, 2, 4) && f.n == 3 && (ssn(f.digits[:]) || w.cue(f.start, cueNational)):
		return f.groups[2].end, true
	case f.same(".-", 3, 3, 3, 2) && f.seps[3] == '-' && cpf(f.firstDigits(4)):
		return f.groups[3].end, true
	case f.same("- ", 3, 3, 3) && f.n == 3 && luhn(f.firstDigits(3)) && w.cue(f.start, cueNational):
		return f.groups[2].end, true
	case f.same("-", 6, 4) && plausibleDay(pair(f.digits[:], 4)%60, pair(f.digits[:], 2)) && luhn(f.firstDigits(2)),
		f.same("-", 8, 4) && plausibleDay(pair(f.digits[:], 6)%60, pair(f.digits[:], 4)) && luhn(f.firstDigits(2)[2:]):
		return f.groups[1].end, true
	case first.end-first.start == 6 && w.byteAt(first.end) == '-' && first.end+5 <= len(w.text) && !wordAt(w.text, first.end+5) &&
		w.hetu(first.start, first.end+5):
		return first.end + 5, true
	case f.n == 1 && f.total == 11 && pesel(f.digits[:11]):
		return first.end, true
	case f.n == 1 && f.total >= 9 && f.total <= 12 && w.cue(f.start, cueNational):
		return first.end, true
	}
	return 0, false
}

// international handles a plus sign, which begins a telephone number when it stands alone.
func (w *walker) international(i int) {
	if chars[w.byteAt(i+1)]&cDigit == 0 || wordBefore(w.text, i) || w.byteAt(i-1) == ')' {
		return
	}
	w.groups(i)
}

// phone decides by the form: with a country code, or as in North America, or any plausible
// grouping when the words before it say so.
func (w *walker) phone(f *figures) (int, bool) {
	end := f.end
	n := f.total
	if n < 6 || n > 15 {
		return 0, false
	}
	ok := false
	switch {
	case f.plus:
		ok = n >= 8 && (f.n > 1 || n >= 10)
	case w.text[f.start] == '(' && f.same(" -.\x00", 3, 3, 4):
		ok = f.n == 3
	case f.n == 3 && f.same("-", 3, 3, 4), f.n == 3 && f.same(".", 3, 3, 4),
		f.n == 4 && f.same("-", 1, 3, 3, 4) && f.digits[0] == 1,
		f.n == 4 && f.same("-", 3, 1, 3, 3, 4):
		ok = true
	case n >= 7 && w.cue(f.start, cuePhone):
		ok = !w.dateLike(f)
	case w.r.policy.Loose:
		ok = w.loosePhone(f)
	}
	if !ok {
		return 0, false
	}
	end = w.extension(end)
	return end, true
}

// extension returns the end of an extension behind a telephone number: x12, ext. 12.
func (w *walker) extension(end int) int {
	p := end
	if w.byteAt(p) == ' ' {
		p++
	}
	mark := p
	for _, m := range [...]string{"ext. ", "ext.", "ext ", "x"} {
		if q := matchFold(w.text, p, m); q >= 0 {
			mark = q
			break
		}
	}
	q := mark
	for q < len(w.text) && q < mark+6 && chars[w.text[q]]&cDigit != 0 {
		q++
	}
	if mark == p || q == mark || wordAt(w.text, q) {
		return end
	}
	return q
}

// dateLike reports numbers that are dates or times rather than telephone numbers.
func (w *walker) dateLike(f *figures) bool {
	if w.byteAt(f.end) == ':' {
		return true
	}
	if f.n < 3 {
		return false
	}
	a, b, c := f.groups[0].end-f.groups[0].start, f.groups[1].end-f.groups[1].start, f.groups[2].end-f.groups[2].start
	if f.seps[1] != f.seps[2] || f.seps[1] == ' ' {
		return false
	}
	year := f.digits[0] == 1 && f.digits[1] == 9 || f.digits[0] == 2 && f.digits[1] == 0
	return a == 4 && year && b <= 2 && c <= 2 || a <= 2 && b <= 2 && c == 4
}

// ipv6 reads an address that begins at i.
func (w *walker) ipv6(i int) bool {
	if wordBefore(w.text, i) || w.byteAt(i-1) == '.' {
		return false
	}
	end, colons, double := i, 0, false
	for end < len(w.text) && end < i+46 {
		b := w.text[end]
		if b == ':' {
			colons++
			double = double || w.byteAt(end+1) == ':'
		} else if chars[b]&cHex == 0 && b != '.' {
			break
		}
		end++
	}
	for end > i && w.text[end-1] == '.' {
		end--
	}
	if end > i+1 && w.text[end-1] == ':' && w.text[end-2] != ':' {
		end--
		colons--
	}
	if colons < 2 || !double && colons != 7 && colons != 6 || wordAt(w.text, end) {
		return false
	}
	a, err := netip.ParseAddr(w.text[i:end])
	if err != nil || !a.Is6() {
		return false
	}
	w.numbers = end
	if w.r.hides(a) || strings.IndexByte(w.text[i:end], '.') > 0 && w.r.hides(lastFour(a)) {
		w.add(IP, i, end)
	}
	return true
}

// lastFour is the IPv4 address that is written at the end of an IPv6 address.
func lastFour(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom4([4]byte(b[12:]))
}

// mac reads a hardware address of six pairs with colons or dashes.
func (w *walker) mac(i int) bool {
	const size = 17
	if i+size > len(w.text) || wordAt(w.text, i+size) || wordBefore(w.text, i) {
		return false
	}
	sep := w.text[i+2]
	if sep != ':' && sep != '-' {
		return false
	}
	zeros, ones := true, true
	for n := range size {
		b := w.text[i+n]
		if n%3 == 2 {
			if b != sep {
				return false
			}
			continue
		}
		if chars[b]&cHex == 0 {
			return false
		}
		zeros, ones = zeros && b == '0', ones && lower[b] == 'f'
	}
	if b := w.byteAt(i + size); b == sep || w.byteAt(i-1) == sep {
		return false
	}
	w.numbers = i + size
	if !zeros && !ones {
		w.add(MAC, i, i+size)
	}
	return true
}

// ciscoMAC reads a hardware address of three groups of four hex digits with dots.
func (w *walker) ciscoMAC(i int) {
	const size = 14
	if i+size > len(w.text) || wordAt(w.text, i+size) || wordBefore(w.text, i) || w.byteAt(i-1) == '.' || w.byteAt(i+size) == '.' {
		return
	}
	letter := false
	for n := range size {
		b := w.text[i+n]
		if n%5 == 4 {
			if b != '.' {
				return
			}
			continue
		}
		if chars[b]&cHex == 0 {
			return
		}
		letter = letter || chars[b]&cLetter != 0
	}
	if letter {
		w.add(MAC, i, i+size)
	}
}

// sid reads a security identifier whose S ends at j.
func (w *walker) sid(i, j int) {
	end, dashes := j, 0
	for end < len(w.text) && end < i+190 {
		b := w.text[end]
		if b == '-' {
			if chars[w.byteAt(end+1)]&cDigit == 0 {
				break
			}
			dashes++
		} else if chars[b]&cDigit == 0 {
			break
		}
		end++
	}
	if dashes < 3 || wordAt(w.text, end) {
		return
	}
	w.numbers = max(w.numbers, end)
	if personalSID(w.text[i:end]) {
		w.add(SID, i, end)
	}
}

// iban reads a bank account number that begins at i, together or in groups of four.
func (w *walker) iban(i int) {
	if wordBefore(w.text, i) {
		return
	}
	want, ok := ibanLengths[strings.ToUpper(w.text[i:i+2])]
	if !ok {
		return
	}
	var buf [34]byte
	n, p := 0, i
	for p < len(w.text) && n < want {
		b := w.text[p]
		switch {
		case chars[b]&(cLetter|cDigit) != 0:
			buf[n] = b
			n++
		case (b == ' ' || b == '-') && n%4 == 0:
		default:
			return
		}
		p++
	}
	if n != want || wordAt(w.text, p) || !mod97(string(buf[:n])) {
		return
	}
	w.add(IBAN, i, p)
	w.numbers = max(w.numbers, p)
}
