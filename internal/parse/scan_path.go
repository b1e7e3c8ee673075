package parse

import (
	"strings"
	"unicode/utf8"

	"github.com/aluskort/aluskort/internal/alert"
)

// maxPath bounds one path or registry key, in bytes.
const maxPath = 2048

// drive tries a Windows path with a drive letter, the word text[i:j]: C:\x, C:\\x, C:/x.
func (w *walker) drive(i, j int) int {
	if i+1 != j || classes[w.text[i]]&(cHex|cLetter) == 0 || w.text[i] == '_' {
		return 0
	}
	if before := w.byteAt(i - 1); w.wordBefore(i) || before == '.' || before == '-' {
		return 0
	}
	p := j + 1
	if w.text[p] == '/' && (w.byteAt(p+1) == '/' || classes[w.byteAt(p+1)]&cToken == 0) {
		return 0
	}
	return w.windows(alert.IndicatorPath, i, p)
}

// backslash tries what begins with backslashes: UNC, device and kernel paths.
func (w *walker) backslash(i int) int {
	if before := w.byteAt(i - 1); w.wordBefore(i) || before == '.' || before == '\\' || before == ':' || before == '%' {
		return 0
	}
	p := i
	for p < len(w.text) && w.text[p] == '\\' {
		p++
	}
	rest := w.text[p:]
	switch n := p - i; {
	case n <= 2 && foldPrefix(rest, `registry\`):
		return w.windows(alert.IndicatorRegistry, p-1, p+len(`registry`))
	case n <= 2 && foldPrefix(rest, `device\`):
		return w.windows(alert.IndicatorPath, p-1, p+len(`device`))
	case n <= 2 && foldPrefix(rest, `systemroot\`):
		return w.windows(alert.IndicatorPath, p-1, p+len(`systemroot`))
	case n == 2 || n == 4:
		server := 0
		for server < len(rest) && classes[rest[server]]&(cDigit|cHex|cLetter|cDash|cDot) != 0 {
			server++
		}
		at := p + server
		if server < 2 || w.byteAt(at) != '\\' || rest[0] == '.' {
			return 0
		}
		for w.byteAt(at) == '\\' {
			at++
		}
		if classes[w.byteAt(at)]&cToken == 0 && w.byteAt(at) != '$' {
			return 0
		}
		return w.windows(alert.IndicatorPath, i, p+server)
	}
	return 0
}

// envPath tries a path that begins with an environment variable: %APPDATA%\x.
func (w *walker) envPath(i int) int {
	k := i + 1
	for k < len(w.text) && k-i < 32 && (isWord(w.text[k]) && w.text[k] < 0x80 || w.text[k] == '(' || w.text[k] == ')') {
		k++
	}
	if k-i < 3 || w.byteAt(k) != '%' || w.byteAt(k+1) != '\\' || isDigit(w.text[i+1]) {
		return 0
	}
	return w.windows(alert.IndicatorPath, i, k+1)
}

// hives are the roots of the registry in their usual spellings.
var hives = map[string]bool{
	"hklm": true, "hkcu": true, "hkcr": true, "hku": true, "hkcc": true,
	"hkey_local_machine": true, "hkey_current_user": true, "hkey_classes_root": true,
	"hkey_users": true, "hkey_current_config": true, "hkey_performance_data": true,
}

// registry tries a registry key whose root is the word text[i:j] and whose first backslash
// stands at p: HKLM\x, HKLM:\x.
func (w *walker) registry(i, j, p int) int {
	const longest = len("hkey_performance_data")
	if j-i < 3 || j-i > longest || lower(w.text[i]) != 'h' || w.wordBefore(i) {
		return 0
	}
	var buf [longest]byte
	for k := i; k < j; k++ {
		buf[k-i] = lower(w.text[k])
	}
	if !hives[string(buf[:j-i])] {
		return 0
	}
	return w.windows(alert.IndicatorRegistry, i, p)
}

// windows reads the components of a Windows path or registry key that starts at i and whose
// first separator is at p, emits it, and returns its end, or 0 when no component follows.
func (w *walker) windows(t alert.IndicatorType, i, p int) int {
	end := w.components(p)
	if q := w.byteAt(i - 1); q == '"' || q == '\'' {
		if quoted := w.quoted(p, q); quoted > end {
			end = quoted
		}
	}
	for end > p && strings.IndexByte(" .,;:)]}'!=\\/", w.text[end-1]) >= 0 && !w.opened(p, end) {
		end--
	}
	k := p
	for k < end && (w.text[k] == '\\' || w.text[k] == '/') {
		k++
	}
	if k == end {
		return 0
	}
	value := collapse(w.text[i:end])
	w.emit(t, value, i, end, false)
	return end
}

// opened says whether the closing bracket that ends text[p:end] was opened in it.
func (w *walker) opened(p, end int) bool {
	var open byte
	switch w.text[end-1] {
	case ')':
		open = '('
	case ']':
		open = '['
	case '}':
		open = '{'
	default:
		return false
	}
	return strings.IndexByte(w.text[p:end], open) >= 0
}

// components reads names and separators. A space belongs to the path when the name goes on to
// another separator, as in Program Files.
func (w *walker) components(p int) int {
	limit := min(len(w.text), p+maxPath)
	for p < limit {
		b := w.text[p]
		switch {
		case b == '\\', b == '/':
			p++
		case b >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(w.text[p:])
			if !isWordRune(r) {
				return p
			}
			p += n
		case b == ' ':
			next := w.spaced(p, limit)
			if next == 0 {
				return p
			}
			p = next
		case b == '+' && hasFileSuffix(lastName(w.text[:p])):
			return p // an offset into a module, as in a call trace
		case b == ',' && classes[w.byteAt(p+1)]&cToken != 0:
			p++
		case b == ',' || b == ';' || b == '`' || b == '\'':
			return p
		case classes[b]&cName != 0:
			p++
		default:
			return p
		}
	}
	return p
}

// spaced says whether the name with a space at p goes on to a backslash: at most three words,
// each of which begins like a word of a name. It returns the place of the backslash or 0.
func (w *walker) spaced(p, limit int) int {
	if hasFileSuffix(lastName(w.text[:p])) {
		return 0
	}
	words := 0
	for p < limit && w.text[p] == ' ' {
		p++
		if words++; words > 3 || p >= limit || !startsName(w.text[p:]) {
			return 0
		}
		for p < limit && classes[w.text[p]]&cName != 0 && w.text[p] != ' ' && w.text[p] != '\'' {
			r, n := utf8.DecodeRuneInString(w.text[p:])
			if n > 1 && !isWordRune(r) || r == utf8.RuneError {
				return 0
			}
			p += n
		}
	}
	if p < limit && w.text[p] == '\\' {
		return p
	}
	if last := lastName(w.text[:p]); words > 0 && fileNames[strings.ToLower(last[strings.LastIndexByte(last, '.')+1:])] {
		return p
	}
	return 0
}

// lastName is the end of what follows the last separator of a path: enough to see a suffix.
func lastName(s string) string {
	low := max(0, len(s)-16)
	for i := len(s); i > low; i-- {
		if s[i-1] == '\\' || s[i-1] == '/' {
			return s[i:]
		}
	}
	return s[low:]
}

// fileNames are suffixes that let a last name with spaces belong to a path.
var fileNames = set(`exe dll sys lnk txt pdf doc docx docm xls xlsx xlsm ppt pptx rtf zip rar iso img
	ps1 bat cmd vbs js hta scr msi log ini dat json xml html htm tmp eml msg`)

func startsName(s string) bool {
	return isUpper(s[0]) || isDigit(s[0]) || s[0] == '(' || s[0] >= 0x80 ||
		strings.HasPrefix(s, "and ") || strings.HasPrefix(s, "of ") || strings.HasPrefix(s, "for ")
}

// hasFileSuffix says whether a name ends like a program or a document, so that what follows a
// space is an argument.
func hasFileSuffix(name string) bool {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return false
	}
	n := len(name) - dot - 1
	return n >= 2 && n <= 4 && classes[name[dot+1]]&(cHex|cLetter) != 0
}

// quoted returns the end of a path in quotes when the quotes hold nothing but the path.
func (w *walker) quoted(p int, quote byte) int {
	limit := min(len(w.text), p+maxPath)
	for k := p; k < limit; {
		b := w.text[k]
		if b == quote {
			return k
		}
		if b >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(w.text[k:])
			if !isWordRune(r) {
				return 0
			}
			k += n
			continue
		}
		switch {
		case b == ' ' && strings.IndexByte("-/%\"", w.byteAt(k+1)) >= 0:
			return 0
		case b == ' ' && hasFileSuffix(w.text[p:k]):
			return 0
		case b != '\\' && b != '/' && classes[b]&cName == 0:
			return 0
		}
		k++
	}
	return 0
}

// collapse turns runs of backslashes into one, and those at the start into at most two: logs
// that were escaped twice show every backslash doubled.
func collapse(s string) string {
	if strings.LastIndex(s, `\\`) <= 0 {
		return s
	}
	lead := 0
	for lead < len(s) && s[lead] == '\\' {
		lead++
	}
	buf := make([]byte, 0, len(s))
	buf = append(buf, s[:min(lead, 2)]...)
	for i := lead; i < len(s); i++ {
		if s[i] == '\\' && i > lead && s[i-1] == '\\' {
			continue
		}
		buf = append(buf, s[i])
	}
	return string(buf)
}

// unixRoots are the directories at the root of Unix systems.
var unixRoots = set(`bin boot dev etc home lib lib32 lib64 media mnt opt proc root run sbin srv sys
	tmp usr var Users Applications Library System private Volumes snap nix`)

// unixPath tries the absolute path whose first slash is at p; it starts at i (a tilde or p).
// Only known roots count: anything else may be the path of a URL or a switch of a command.
func (w *walker) unixPath(i, p int) int {
	if b := w.byteAt(i - 1); b != 0 && (w.wordBefore(i) || strings.IndexByte("./\\)]}@%-", b) >= 0) {
		return 0
	}
	k := p + 1
	for k < len(w.text) && isAlnum(w.text[k]) && w.text[k] < 0x80 {
		k++
	}
	if i == p && (w.byteAt(k) != '/' || !unixRoots[w.text[p+1:k]]) {
		return 0
	}
	end := p + 1
	for end < len(w.text) && end-i < maxPath && classes[w.text[end]]&cPath != 0 {
		r, n := utf8.DecodeRuneInString(w.text[end:])
		if n > 1 && !isWordRune(r) || r == utf8.RuneError {
			break
		}
		end += n
	}
	for end > p && strings.IndexByte("./:,=#~%-", w.text[end-1]) >= 0 {
		end--
	}
	if colon := strings.IndexByte(w.text[p:end], ':'); colon >= 0 {
		end = p + colon
	}
	if end <= k && i == p || end <= p+1 {
		return 0
	}
	w.emit(alert.IndicatorPath, w.text[i:end], i, end, false)
	return end
}
