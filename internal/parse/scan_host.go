package parse

import (
	"strings"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"github.com/aluskort/aluskort/internal/alert"
)

// tldSlots is the size of the direct-mapped memory of top-level domains. A look-up in the
// public suffix list allocates; prose asks for the same few words again and again.
const tldSlots = 1024

type tldEntry struct {
	label string
	icann bool
}

// maxLabel and maxHost are the limits of RFC 1035.
const (
	maxLabel = 63
	maxHost  = 253
)

// isTLD says whether the label, in any case, is a top-level domain of the ICANN section.
func (w *walker) isTLD(label string) bool {
	if len(label) < 2 || len(label) > maxLabel {
		return false
	}
	var buf [maxLabel]byte
	low, hash := buf[:len(label)], uint32(2166136261)
	for i := range low {
		low[i] = lower(label[i])
		hash = (hash ^ uint32(low[i])) * 16777619
	}
	slot := &w.tlds[hash%tldSlots]
	if e := slot.Load(); e != nil && e.label == string(low) {
		return e.icann
	}
	e := &tldEntry{label: string(low)}
	// Some countries have only rules one level down ("*.ck"), so the list is asked for a name.
	suffix, icann := publicsuffix.PublicSuffix("a.b." + e.label)
	e.icann = icann || strings.Contains(suffix, ".")
	slot.Store(e)
	return e.icann
}

// validHost checks the labels of an ASCII host name: lengths, characters, dashes. It reports
// where the last label begins and how many labels there are.
func validHost(s string) (tld, labels int, ok bool) {
	if s == "" || len(s) > maxHost {
		return 0, 0, false
	}
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			if classes[s[i]]&(cDigit|cHex|cLetter|cDash) == 0 {
				return 0, 0, false
			}
			continue
		}
		if i == start || i-start > maxLabel || s[start] == '-' || s[i-1] == '-' {
			return 0, 0, false
		}
		labels++
		tld, start = start, i+1
	}
	return tld, labels, true
}

// domain decides whether tok, which stands at text[i:j], is a domain, and returns it in lower
// case. strong says that the context proves a host name: a URL, a mail address, a defanged
// form. Without it file names, identifiers and run-together sentences are refused.
func (w *walker) domain(tok string, i, j int, strong bool) (string, bool) {
	cut := strings.LastIndexByte(tok, '.')
	if cut < 1 || cut+2 >= len(tok) {
		return "", false
	}
	tld := tok[cut+1:]
	if !tldLetters(tld) || !w.isTLD(tld) {
		return "", false
	}
	_, labels, ok := validHost(tok)
	if !ok || !strong && !w.plausible(tok, tld, labels, i, j) {
		return "", false
	}
	value := strings.ToLower(tok)
	suffix, icann := publicsuffix.PublicSuffix(value)
	if icann && len(suffix) == len(value) {
		return "", false
	}
	if labelBefore := value[:max(0, len(value)-len(suffix)-1)]; icann &&
		strings.IndexByte(labelBefore[strings.LastIndexByte(labelBefore, '.')+1:], '_') >= 0 {
		return "", false
	}
	if !strong && strings.IndexByte(suffix, '.') < 0 && fileSuffixes[suffix] && !serviceName(value) {
		return "", false
	}
	return value, true
}

func tldLetters(s string) bool {
	if foldPrefix(s, "xn--") {
		return true
	}
	for i := 0; i < len(s); i++ {
		if !isUpper(s[i]) && !isLower(s[i]) {
			return false
		}
	}
	return true
}

// plausible refuses words that have the form of a domain and are something else.
func (w *walker) plausible(tok, tld string, labels, i, j int) bool {
	if !w.domainContext(i, j, coreTLD(tld)) {
		return false
	}
	first := tok[:strings.IndexByte(tok, '.')]
	if isUpper(tld[0]) && isLower(tld[len(tld)-1]) && !foldEqual(tld, "com") && !foldEqual(tld, "org") {
		return false // System.Net, "host.In addition"
	}
	if tld == "NET" && (first != strings.ToUpper(first) || len(first) <= 3) {
		return false // Microsoft.NET, ASP.NET
	}
	if labels >= 3 && reverseNames[strings.ToLower(first)] {
		return false // com.example.app
	}
	if !coreTLD(tld) && identifierRoots[strings.ToLower(first)] {
		return false // user.name, event.id
	}
	return labels != 2 || !foldEqual(tld, "com") || !comTools[strings.ToLower(first)]
}

// domainContext looks at the bytes round the word: parts of paths, accounts in their domain,
// assignments and calls are no domains.
func (w *walker) domainContext(i, j int, core bool) bool {
	before, after := w.byteAt(i-1), w.byteAt(j)
	switch before {
	case '\\', '$':
		return false
	case '/':
		if w.byteAt(i-2) != '/' {
			return false
		}
	}
	switch after {
	case '\\':
		return false
	case '(', '=':
		return core
	}
	return true
}

func coreTLD(tld string) bool {
	switch strings.ToLower(tld) {
	case "com", "net", "org", "edu", "gov", "mil":
		return true
	}
	return false
}

// serviceName says whether the first label is one that only hosts have.
func serviceName(value string) bool {
	switch value[:strings.IndexByte(value, '.')] {
	case "www", "www2", "mail", "smtp", "imap", "pop", "mx", "mx1", "mx2", "ns1", "ns2", "ftp", "vpn",
		"api", "cdn", "webmail", "autodiscover", "login", "sso", "portal":
		return true
	}
	return false
}

func set(words string) map[string]bool {
	m := make(map[string]bool)
	for _, s := range strings.Fields(words) {
		m[s] = true
	}
	return m
}

var (
	// fileSuffixes are top-level domains that are far more often the end of a file name, of a
	// field or of an identifier.
	fileSuffixes = set(`zip mov sh py rs pl pm ps md so cc app bz cab dot ml mk mo la as gs tf ph
		pub map data docs name id security management box cat do am tm events exchange
		java link bar src host properties bio`)
	// identifierRoots begin names of fields and objects in queries and code.
	identifierRoots = set(`event user host agent process file rule source destination network dns
		url log winlog data observer cloud kibana signal client server service threat registry email
		geo target this self os sys document window object system microsoft windows message alert
		device container orchestrator group related parent actor session math json`)
	// reverseNames begin package names written the other way round.
	reverseNames = set("com org net io edu gov")
	// comTools are programs of Windows whose file names end in .com.
	comTools = set("command more mode tree chcp format diskcopy diskcomp")
)

// international decides about a word with letters beyond ASCII.
func (w *walker) international(i, j int) int {
	for j > i && (w.text[j-1] == '.' || w.text[j-1] == '-') {
		j--
	}
	tok := w.text[i:j]
	if strings.IndexByte(tok, '.') < 0 || len(tok) > maxHost {
		return j
	}
	if ascii, ok := w.toASCII(tok); ok {
		if value, ok := w.domain(ascii, i, j, true); ok && !fileSuffixes[value[strings.LastIndexByte(value, '.')+1:]] {
			w.emit(alert.IndicatorDomain, value, i, j, false)
		}
	}
	return j
}

func (w *walker) toASCII(host string) (string, bool) {
	ascii, err := idna.Lookup.ToASCII(host)
	return ascii, err == nil && ascii != ""
}

// defanged handles a word that goes on behind a defanged dot: 192[.]0[.]2[.]1, evil(dot)com.
func (w *walker) defanged(i, j int) int {
	host, end := w.refang(i, j)
	if at := w.text[end:]; len(at) > 0 {
		n := 1
		if at[0] != '@' {
			n = defangedAt(at)
		}
		if n > 0 {
			if done := w.mailFrom(host, i, end+n, true); done > 0 {
				return done
			}
		}
	}
	tok := strings.TrimRight(host, ".-")
	end -= len(host) - len(tok)
	if _, ok := parseIPv4(tok); ok {
		w.emit(alert.IndicatorIPv4, tok, i, end, true)
	} else if value, ok := w.domain(tok, i, end, true); ok && w.byteAt(i-1) != '\\' {
		w.emit(alert.IndicatorDomain, value, i, end, true)
	}
	return end
}

// refang reads words joined by defanged dots from i on, the first of which ends at j, and
// returns them joined by plain dots.
func (w *walker) refang(i, j int) (string, int) {
	buf := make([]byte, 0, 64)
	for {
		buf = append(buf, w.text[i:j]...)
		n := defangedDot(w.text[j:])
		if n == 0 || classes[w.byteAt(j+n)]&cToken == 0 || len(buf) > maxHost {
			return string(buf), j
		}
		buf = append(buf, '.')
		i = j + n
		for j = i; j < len(w.text) && classes[w.text[j]]&cToken != 0; {
			j++
		}
	}
}

// defangedDot returns the length of the defanged dot that s begins with: [.] (.) {.} [dot].
func defangedDot(s string) int {
	if len(s) < 3 {
		return 0
	}
	closing, ok := closer(s[0])
	switch {
	case !ok:
	case s[1] == '.' && s[2] == closing:
		return 3
	case len(s) >= 5 && s[4] == closing && foldEqual(s[1:4], "dot"):
		return 5
	}
	return 0
}

func defangedAt(s string) int {
	if len(s) < 3 {
		return 0
	}
	closing, ok := closer(s[0])
	switch {
	case !ok:
	case s[1] == '@' && s[2] == closing:
		return 3
	case len(s) >= 4 && s[3] == closing && foldEqual(s[1:3], "at"):
		return 4
	}
	return 0
}

// defangedColon returns the length of [:]// or [://] or [:// at the start of s.
func defangedColon(s string) int {
	switch {
	case strings.HasPrefix(s, "[:]//"), strings.HasPrefix(s, "[://]"), strings.HasPrefix(s, "(:)//"):
		return 5
	}
	return 0
}

func closer(open byte) (byte, bool) {
	switch open {
	case '[':
		return ']', true
	case '(':
		return ')', true
	case '{':
		return '}', true
	}
	return 0, false
}
