package ingest

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aluskort/aluskort/internal/alert"
)

// CleanWindows undoes one layer of escaping in text that an agent escaped before it became
// JSON, so that C:\\Windows and \"a b\" arrive where C:\Windows and "a b" were meant. Text in
// which any backslash stands alone was not escaped and is returned as it is, and so is text
// whose only backslashes are the two that begin a network name.
func CleanWindows(s string) string {
	i := strings.IndexByte(s, '\\')
	if i < 0 || !escapedOnce(s[i:]) || isNetworkName(s, i) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		b.WriteByte(s[i+1])
		s = s[i+2:]
	}
}

func isNetworkName(s string, i int) bool {
	return s[i+1] == '\\' && (i == 0 || strings.IndexByte(" \t\"'=,(", s[i-1]) >= 0) && strings.IndexByte(s[i+2:], '\\') < 0
}

func escapedOnce(s string) bool {
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			return true
		}
		if i+1 == len(s) || s[i+1] != '\\' && s[i+1] != '"' {
			return false
		}
		s = s[i+2:]
	}
}

// maxDiscriminator bounds one normalised value.
const maxDiscriminator = 2048

// NormaliseText brings a command line, path or URL into the form in which repeats of one
// activity are equal: lower case, single spaces, and placeholders for what differs from run
// to run: GUIDs, numbers of five digits and more, hex of sixteen and more, and random names
// in temporary folders.
func NormaliseText(s string) string {
	s = strings.ToLower(s)
	if len(s) > maxDiscriminator {
		s = cutText(s, maxDiscriminator)
	}
	out := make([]byte, 0, len(s))
	space, temp := false, false
	for i := 0; i < len(s); {
		if !isWord(s[i]) {
			r, n := utf8.DecodeRuneInString(s[i:])
			if unicode.IsSpace(r) {
				space = len(out) > 0
			} else {
				out = spaced(out, &space)
				out = append(out, s[i:i+n]...)
				if r == '\\' || r == '/' {
					temp = inTemp(out)
				}
			}
			i += n
			continue
		}
		j := i
		for j < len(s) && isWord(s[j]) {
			j++
		}
		out = spaced(out, &space)
		if n := guidLen(s[i:]); n > 0 {
			out, j = append(out, "<guid>"...), i+n
		} else {
			out = appendWord(out, s[i:j], temp)
		}
		i = j
	}
	return string(out)
}

func spaced(out []byte, space *bool) []byte {
	if *space {
		*space = false
		return append(out, ' ')
	}
	return out
}

func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func isWord(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' }

const guidForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"

func guidLen(s string) int {
	if len(s) < len(guidForm) {
		return 0
	}
	for i := 0; i < len(guidForm); i++ {
		if guidForm[i] == '-' && s[i] != '-' || guidForm[i] == 'x' && !isHex(s[i]) {
			return 0
		}
	}
	return len(guidForm)
}

// appendWord appends a run of letters and digits with its variable parts replaced.
func appendWord(out []byte, w string, temp bool) []byte {
	digits, hex := 0, true
	for i := 0; i < len(w); i++ {
		if isDigit(w[i]) {
			digits++
		}
		hex = hex && isHex(w[i])
	}
	switch {
	case len(w) <= 10 && strings.HasPrefix(w, "0x"): // a code, not an address
		return append(out, w...)
	case len(w) >= 16 && hex && digits > 0:
		return append(out, "<hex>"...)
	case temp && len(w) >= 5 && digits > 0 && digits < len(w):
		return append(out, "<tmp>"...)
	case digits < 5:
		return append(out, w...)
	}
	for i := 0; i < len(w); {
		j := i
		for j < len(w) && isDigit(w[j]) == isDigit(w[i]) {
			j++
		}
		if isDigit(w[i]) && j-i >= 5 {
			out = append(out, "<n>"...)
		} else {
			out = append(out, w[i:j]...)
		}
		i = j
	}
	return out
}

var tempFolders = [...]string{`\temp\`, `\tmp\`, "/tmp/", "/temp/", "/var/folders/", "/dev/shm/"}

func inTemp(path []byte) bool {
	tail := path[max(0, len(path)-16):]
	for _, t := range tempFolders {
		if strings.HasSuffix(string(tail), t) {
			return true
		}
	}
	return false
}

// PathClass names the kind of place a file lies in, for rules that carry every change of a
// file: "system", "startup", "cron", "ssh", "web", "temp", "user", "program", "config", "other".
func PathClass(path string) string {
	p := strings.ReplaceAll(strings.ToLower(CleanWindows(path)), `\`, "/")
	for _, c := range pathClasses {
		for _, part := range c.parts {
			if strings.Contains(p, part) {
				return c.class
			}
		}
	}
	return "other"
}

var pathClasses = [...]struct {
	class string
	parts []string
}{
	{"startup", []string{"/startup/", "currentversion/run", "/etc/init.d/", "/etc/rc", "/systemd/system/", "/launchagents/", "/launchdaemons/", "/services/"}},
	{"cron", []string{"/cron", "/system32/tasks/"}},
	{"ssh", []string{"/.ssh/", "/etc/ssh/"}},
	{"account", []string{"/etc/passwd", "/etc/shadow", "/etc/group", "/etc/sudoers", "/etc/pam.d/", "/config/sam"}},
	{"web", []string{"/www/", "/htdocs/", "/inetpub/", "/webapps/", "/nginx/html/"}},
	{"temp", []string{"/tmp/", "/temp/", "/dev/shm/", "/users/public/"}},
	{"system", []string{"/windows/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/boot/"}},
	{"program", []string{"/program files", "/programdata/", "/opt/", "/usr/"}},
	{"user", []string{"/users/", "/home/", "/root/"}},
	{"registry", []string{"hkey_"}},
	{"config", []string{"/etc/"}},
}

// maxNames bounds the techniques and the tactics of one alert.
const maxNames = 256

// Techniques returns the distinct ATT&CK and ATLAS ids among the values; a value may hold
// several, separated by anything but letters, digits and dots.
func Techniques(values ...string) []string {
	var out []string
	for _, v := range values {
		for _, w := range strings.FieldsFunc(v, notTechnique) {
			if len(out) == maxNames {
				return out
			}
			if w = strings.ToUpper(w); alert.IsTechniqueID(w) {
				out = addDistinct(out, w)
			}
		}
	}
	return out
}

func notTechnique(r rune) bool {
	return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && r != '.'
}

// Tactics splits lists of tactics at commas and semicolons and drops duplicates and the words
// that products write for none.
func Tactics(values ...string) []string {
	var out []string
	for _, v := range values {
		for _, w := range strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(",;[]\"\n", r) }) {
			if len(out) == maxNames {
				return out
			}
			w = strings.TrimSpace(w)
			switch strings.ToLower(w) {
			case "", "unknown", "none", "null", "n/a":
			default:
				out = addDistinct(out, w)
			}
		}
	}
	return out
}

func addDistinct(list []string, s string) []string {
	for _, x := range list {
		if x == s {
			return list
		}
	}
	return append(list, s)
}

// IsHeartbeat reports whether a title says only that the source is alive.
func IsHeartbeat(title string) bool {
	switch strings.ToLower(strings.TrimSpace(title)) {
	case "heartbeat", "test alert", "health check", "endpoint heartbeat", "system health monitor":
		return true
	}
	return false
}
