package parse

import (
	"strings"
	"unicode/utf8"

	"github.com/aluskort/aluskort/internal/alert"
)

// schemes maps the schemes that are indicators, defanged spellings included, to the real ones.
var schemes = map[string]string{
	"http": "http", "https": "https", "ftp": "ftp", "ftps": "ftps", "sftp": "sftp",
	"ws": "ws", "wss": "wss", "ldap": "ldap", "ldaps": "ldaps", "rmi": "rmi",
	"hxxp": "http", "hxxps": "https", "htxp": "http", "hxtp": "http", "htxps": "https",
	"hxtps": "https", "fxp": "ftp", "fxps": "ftps",
}

const (
	maxScheme = 5
	maxURL    = 8192 // bytes of one URL; longer ones end here
)

// scheme tries the URL whose scheme is the end of the word text[i:j] and whose authority
// begins at p. It returns the end of the URL or 0.
func (w *walker) scheme(i, j, p int, defanged bool) int {
	for k := j - 1; k >= i; k-- {
		if b := w.text[k]; b == '.' || b == '-' || b == '_' {
			i = k + 1
			break
		}
	}
	if j-i > maxScheme || j == i {
		return 0
	}
	var buf [maxScheme]byte
	for k := i; k < j; k++ {
		buf[k-i] = lower(w.text[k])
	}
	real, ok := schemes[string(buf[:j-i])]
	if !ok {
		return 0
	}
	u := urlReader{w: w, start: i, defanged: defanged || real != string(buf[:j-i])}
	u.plain = !u.defanged && w.text[i:j] == real
	return u.read(real, p)
}

// urlReader reads one URL and remembers whether its text can be the value as it stands.
type urlReader struct {
	w        *walker
	start    int
	plain    bool
	defanged bool
}

func (u *urlReader) read(scheme string, p int) int {
	w := u.w
	hostAt := u.userinfo(p)
	host, end, ok := u.host(hostAt)
	if !ok {
		return 0
	}
	userinfo := w.text[p:hostAt]
	tail := end
	if n := portLen(w.text[end:]); n > 0 {
		tail = end + n
	}
	port := w.text[end:tail]
	rest, stop := u.rest(tail)
	if u.plain && stop-u.start <= maxURL {
		w.emit(alert.IndicatorURL, w.text[u.start:stop], u.start, stop, false)
		return stop
	}
	value := scheme + "://" + userinfo + host + port + rest
	w.emit(alert.IndicatorURL, value, u.start, stop, u.defanged)
	return stop
}

// userinfo returns where the host begins: behind an '@' in the authority, else at p.
func (u *urlReader) userinfo(p int) int {
	text := u.w.text
	for k := p; k < len(text) && k-p < 256; k++ {
		switch b := text[k]; {
		case b == '@':
			return k + 1
		case isAlnum(b), strings.IndexByte("-._~%!$&'*+;=:,", b) >= 0:
		default:
			return p
		}
	}
	return p
}

// host reads an address in brackets, an IPv4 address or a name with plain or defanged dots.
func (u *urlReader) host(p int) (host string, end int, ok bool) {
	w := u.w
	if w.byteAt(p) == '[' && defangedDot(w.text[p:]) == 0 {
		k := strings.IndexByte(w.text[p:min(len(w.text), p+48)], ']')
		if k < 0 {
			return "", 0, false
		}
		addr, ok := parseIPv6(w.text[p+1 : p+k])
		host = "[" + addr.String() + "]"
		u.plain = u.plain && host == w.text[p:p+k+1]
		return host, p + k + 1, ok
	}
	j := p
	for j < len(w.text) && classes[w.text[j]]&cToken != 0 {
		j++
	}
	if j == p {
		return "", 0, false
	}
	host, end = w.refang(p, j)
	if end != j {
		u.defanged, u.plain = true, false
	}
	next := w.byteAt(end)
	if trimmed := strings.TrimRight(host, ".-_"); trimmed != host {
		if next != '/' && next != ':' {
			end -= len(host) - len(trimmed)
		}
		u.plain = u.plain && next != '/' && next != ':'
		host = trimmed
	}
	high := false
	for k := 0; k < len(host); k++ {
		high = high || classes[host[k]]&cHigh != 0
		u.plain = u.plain && !isUpper(host[k])
	}
	if high {
		host, end = u.internationalHost(p, end, host)
	}
	host = strings.ToLower(host)
	if _, labels, valid := validHost(host); !valid || labels == 4 && onlyDigits(host) && !isIPv4(host) {
		return "", 0, false
	}
	return host, end, true
}

// internationalHost turns a name with letters beyond ASCII into its ASCII form. When it is no
// such name, the host ends before the first byte beyond ASCII, as behind typographic quotes.
func (u *urlReader) internationalHost(p, end int, host string) (string, int) {
	if ascii, ok := u.w.toASCII(host); ok {
		u.plain = false
		return ascii, end
	}
	if u.defanged {
		return "", end
	}
	k := 0
	for k < len(host) && classes[host[k]]&cHigh == 0 {
		k++
	}
	trimmed := strings.TrimRight(host[:k], ".-_")
	return trimmed, p + len(trimmed)
}

func onlyDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) && s[i] != '.' {
			return false
		}
	}
	return true
}

func isIPv4(s string) bool { _, ok := parseIPv4(s); return ok }

func portLen(s string) int {
	n := 1
	for n < len(s) && n < 7 && isDigit(s[n]) {
		n++
	}
	if s == "" || s[0] != ':' || n == 1 || n > 6 {
		return 0
	}
	return n
}

// rest reads path, query and fragment. Punctuation at the end belongs to the sentence, and a
// closing bracket to the text unless the URL opened it.
func (u *urlReader) rest(p int) (string, int) {
	w := u.w
	if b := w.byteAt(p); b != '/' && b != '?' && b != '#' {
		return "", p
	}
	var buf []byte
	refanged := false
	good, goodLen := p, 0
	round, square := 0, 0
	k := p
	for k < len(w.text) && k-u.start < maxURL {
		b := w.text[k]
		step, out := 1, b
		if b == '[' {
			if w.byteAt(k+1) == '[' {
				break
			}
			if n := defangedDot(w.text[k:]); n > 0 {
				if !refanged {
					refanged, buf = true, append(buf, w.text[p:k]...)
				}
				step, out = n, '.'
			}
		}
		if out == b && (classes[b]&cURL == 0 || w.closes(u.start, b, round, square)) {
			break
		}
		if refanged {
			buf = append(buf, out)
		}
		k += step
		if endsURL(out, &round, &square) {
			good, goodLen = k, len(buf)
		}
	}
	if !refanged {
		return w.text[p:good], good
	}
	u.plain, u.defanged = false, true
	return string(buf[:goodLen]), good
}

// closes says whether b closes what the text opened before the URL: a bracket that the URL
// did not open, or the apostrophe in front of it.
func (w *walker) closes(start int, b byte, round, square int) bool {
	switch b {
	case ')':
		return round == 0
	case ']':
		return square == 0
	case '\'':
		return w.byteAt(start-1) == '\''
	}
	return false
}

// endsURL says whether a URL may end with b, and counts brackets.
func endsURL(b byte, round, square *int) bool {
	switch b {
	case '.', ',', ';', ':', '!', '?', '\'', '*', '[', '(':
		switch b {
		case '(':
			*round++
		case '[':
			*square++
		}
		return false
	case ')':
		*round--
	case ']':
		*square--
	}
	return true
}

// maxLocal is the limit of RFC 5321 for what stands before the @.
const maxLocal = 64

// isLocal says whether a byte may stand in the local part of a mail address, as they are used.
func isLocal(b byte) bool {
	return isWord(b) && b < utf8.RuneSelf || b == '+' || b == '%' || b == '.' || b == '-'
}

// mail tries the mail address with the local part before text[j], the end of a word that
// begins at i, and the domain from p on. It returns its end or 0.
func (w *walker) mail(i, j, p int, defanged bool) int {
	low := max(w.last, j-maxLocal)
	for i > low && isLocal(w.text[i-1]) {
		i--
	}
	for i < j && !isAlnum(w.text[i]) && w.text[i] != '_' {
		i++
	}
	if i >= 2 && w.text[i-1] == '/' && w.text[i-2] == '/' {
		return 0
	}
	return w.mailFrom(w.text[i:j], i, p, defanged)
}

// tagged tries a mail address whose local part goes on behind the word that ends at j, as in
// first.last+list@example.org: before the word is taken for a host name.
func (w *walker) tagged(j int, next byte) int {
	if next != '+' && next != '%' {
		return 0
	}
	limit := min(len(w.text), j+maxLocal)
	for j < limit && isLocal(w.text[j]) {
		j++
	}
	if w.byteAt(j) != '@' {
		return 0
	}
	return w.mail(j, j, j+1, false)
}

// mailFrom tries local, which began at start, as the local part before the domain from p on.
func (w *walker) mailFrom(local string, start, p int, defanged bool) int {
	if local == "" || len(local) > maxLocal || local[len(local)-1] == '.' {
		return 0
	}
	for k := range len(local) {
		if !isLocal(local[k]) {
			return 0
		}
	}
	j := p
	for j < len(w.text) && classes[w.text[j]]&cToken != 0 && classes[w.text[j]]&cHigh == 0 {
		j++
	}
	if j == p {
		return 0
	}
	host, end := w.refang(p, j)
	defanged = defanged || end != j
	trimmed := strings.TrimRight(host, ".-_")
	end -= len(host) - len(trimmed)
	value, ok := w.domain(trimmed, p, end, true)
	if !ok {
		return 0
	}
	if strings.HasSuffix(value, ".prod.outlook.com") {
		return end // the id of a message, made by a mail server
	}
	w.emit(alert.IndicatorEmail, strings.ToLower(local)+"@"+value, start, end, defanged)
	return end
}
