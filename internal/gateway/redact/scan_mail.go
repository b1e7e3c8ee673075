package redact

import (
	"net/netip"
	"strings"
	"unicode/utf8"
)

func isLocal(b byte) bool {
	return chars[b]&cWord != 0 || strings.IndexByte("._+-'", b) >= 0
}

// mail handles the at sign text[at:after].
func (w *walker) mail(at, after int) {
	if at < w.userinfo {
		return
	}
	start := w.localStart(at)
	end := w.domainAfter(after)
	if end == after {
		return
	}
	domain := w.text[after:end]
	numeric := !hasLetter(domain)
	if !numeric {
		domain = strings.ToLower(domain)
	}
	if w.secretBefore(at, domain) || start == at {
		return
	}
	local := w.text[start:at]
	if _, err := netip.ParseAddr(domain); numeric && err == nil {
		if !wellKnownAccount(local) {
			w.add(User, start, at)
		}
		return
	}
	inside := w.known.internal(domain)
	dot := strings.LastIndexByte(domain, '.')
	if dot < 0 {
		if w.byteAt(end) == ':' && strings.IndexByte("/~.", w.byteAt(end+1)) >= 0 && end+1 < len(w.text) { // ada@ws-07:/tmp
			if !wellKnownAccount(local) {
				w.add(User, start, at)
			}
			w.hostName(after, end)
			return
		}
		if inside && !wellKnownAccount(local) {
			w.add(User, start, at)
			w.add(Domain, after, end)
		}
		return
	}
	if tld := domain[dot+1:]; len(tld) < 2 || !hasLetter(tld) || fileTypes.has(tld) {
		return
	}
	if inside || w.known.users[strings.ToLower(local)] && w.known.suffixes[domain] {
		if !wellKnownAccount(local) {
			w.add(User, start, at)
		}
		w.add(Domain, after, end)
		return
	}
	w.add(Mail, start, end)
}

func (w *walker) localStart(at int) int {
	start := at
	for start > 0 && start > at-64 {
		b := w.text[start-1]
		if !isLocal(b) {
			break
		}
		if b >= utf8.RuneSelf {
			r, n := utf8.DecodeLastRuneInString(w.text[max(0, start-utf8.UTFMax):start])
			if !isWordRune(r) {
				break
			}
			start -= n
			continue
		}
		start--
	}
	if w.byteAt(start-1) == '\\' && start+1 < at && strings.IndexByte("nrt", w.text[start]) >= 0 {
		start++
	}
	for start < at && (w.text[start] == '.' || w.text[start] == '\'' || w.text[start] == '-' || w.text[start] == '+') {
		start++
	}
	return start
}

// domainAfter returns the end of the host name that begins at i.
func (w *walker) domainAfter(i int) int {
	end := i
	for end < len(w.text) && end < i+maxName {
		b := w.text[end]
		if b >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(w.text[end:])
			if !isWordRune(r) {
				break
			}
			end += n
			continue
		}
		if chars[b]&(cLetter|cDigit) == 0 && b != '.' && b != '-' {
			break
		}
		end++
	}
	for end > i && (w.text[end-1] == '.' || w.text[end-1] == '-') {
		end--
	}
	return end
}

func hasLetter(s string) bool {
	for i := range len(s) {
		if chars[s[i]]&(cLetter|cHigh) != 0 {
			return true
		}
	}
	return false
}
