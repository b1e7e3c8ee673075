package redact

import (
	"strings"
	"unicode/utf8"
)

// backslashes returns how many stand at i.
func (w *walker) backslashes(i int) int {
	n := 0
	for w.byteAt(i+n) == '\\' {
		n++
	}
	return n
}

// backslash handles the first of a run of backslashes: a UNC path, the home directory below
// Users, or an account after its domain.
func (w *walker) backslash(i int) {
	if w.byteAt(i-1) == '\\' {
		return
	}
	run := w.backslashes(i)
	after := i + run
	if run >= 2 && !wordBefore(w.text, i) && w.byteAt(i-1) != ':' && w.byteAt(i-1) != '.' && w.byteAt(i-1) != '%' {
		w.unc(i, run)
		return
	}
	for _, dir := range [...]string{"users", "documents and settings"} {
		if end := matchFold(w.text, after, dir); end >= 0 && w.byteAt(end) == '\\' {
			w.home(end+w.backslashes(end), '\\')
			return
		}
	}
	if run <= 4 {
		w.domainUser(i, after)
	}
}

// nativeRoots begin paths of the kernel; with doubled backslashes they look like UNC paths.
var nativeRoots = words(`device systemroot registry dosdevices basenamedobjects windows users program programdata
	global sessions pipe harddiskvolume1 harddiskvolume2 harddiskvolume3 unc microsoft`)

// unc handles \\HOST\share.
func (w *walker) unc(i, run int) {
	start := i + run
	end := w.domainAfter(start)
	if end == start || w.byteAt(end) != '\\' && w.byteAt(end) != '@' {
		return
	}
	if next := w.backslashes(end); run == 2 && next == 2 || nativeRoots.has(w.text[start:end]) {
		return // a single backslash, doubled by an encoding
	}
	w.hostName(start, end)
}

// hostName handles text that must be the name of a host, as a UNC path begins with.
func (w *walker) hostName(start, end int) {
	name := strings.ToLower(w.text[start:end])
	digit := chars[name[0]]&cDigit != 0
	switch {
	case len(name) == 1 || name == "localhost" || plainNumber(name) || digit && strings.Count(name, ".") == 3 && !hasLetter(name):
	case !strings.Contains(name, "."):
		if !everyday.has(name) {
			w.add(Host, start, end)
		}
	case w.known.internal(name):
		w.name(start, end)
	}
}

// homeless are directories beside those of users.
var homeless = words(`public default all shared administrator admin guest defaultapppool localservice networkservice
	systemprofile defaultuser0 name username user users lost`)

// home handles the directory of a user, which begins at i.
func (w *walker) home(i int, sep byte) {
	if i >= len(w.text) || i < w.runs {
		return
	}
	end, space := i, -1
	for end < len(w.text) && end < i+64 {
		b := w.text[end]
		if b == sep || b == '\\' || b == '/' || b < ' ' || strings.IndexByte("\"'<>|*?:;,)]}&=%$`", b) >= 0 {
			break
		}
		if b == ' ' {
			if space < 0 {
				space = end
			} else if strings.Count(w.text[space:end], " ") > 2 {
				break
			}
		}
		end++
	}
	if b := w.byteAt(end); space >= 0 && b != '\\' && (b != '/' || sep != '/') {
		end = space // a name with spaces needs the path to go on
	} else if space >= 0 && sep == '/' {
		end = space
	}
	for end > i && (w.text[end-1] == '.' || w.text[end-1] == ' ') {
		end--
	}
	name := w.text[i:end]
	if name == "" || homeless.has(name) || wellKnownAccount(name) || matchFold(name, 0, "all users") >= 0 || matchFold(name, 0, "default user") >= 0 || !hasLetter(name) {
		return
	}
	w.runs = end
	w.add(User, i, end)
}

// slash handles a slash: a home directory of Unix or, as some tools write it, of Windows.
func (w *walker) slash(i int) {
	for _, dir := range [...]string{"home/", "users/"} {
		end := matchFold(w.text, i+1, dir)
		if end < 0 {
			continue
		}
		// A web path such as example.com/users/list is no home directory.
		drive := w.byteAt(i-2) == '/' || w.byteAt(i-1) == ':'
		if dir == "users/" && (wordBefore(w.text, i) && !drive || w.byteAt(i+1) != 'U') || dir == "home/" && wordBefore(w.text, i) && !w.mounted(i) {
			return
		}
		w.home(end, '/')
		return
	}
}

// mounted reports whether a home directory below another directory is one of Unix.
func (w *walker) mounted(i int) bool {
	for _, dir := range [...]string{"/export", "/usr", "/mnt", "/var", "/data", "/host"} {
		if strings.HasSuffix(w.text[:i], dir) {
			return true
		}
	}
	return false
}

// domainUser handles DOMAIN\user around the backslashes text[i:after].
func (w *walker) domainUser(i, after int) {
	start := i
	for start > 0 && start > i-maxName {
		b := w.text[start-1]
		if chars[b]&(cLetter|cDigit) == 0 && b != '-' && b != '.' && b != '_' {
			break
		}
		start--
	}
	// Behind a path, a variable or a drive it is a part of a path. Behind the colon of a field or of
	// an option it may be an account.
	switch before := w.byteAt(start - 1); {
	case start == i, before == '\\', before == '%', before == '/' && !w.line.active, before == ':' && !wordBefore(w.text, start-1):
		return
	}
	domain := w.text[start:i]
	if wellKnownDomain(domain) || w.systemPhrase(start, i) || matchFold(domain, 0, "hk") >= 0 || matchFold(domain, 0, "registry") >= 0 {
		return
	}
	end := w.accountEnd(after)
	if end == after || w.byteAt(end) == '\\' && !w.endsInEscape(end) {
		return
	}
	name := w.text[after:end]
	if dot := strings.LastIndexByte(name, '.'); dot >= 0 && fileTypes.has(name[dot+1:]) {
		return
	}
	known := w.known.users[strings.ToLower(name)] || w.known.domains[strings.ToLower(domain)]
	if !known && (!netBIOS(domain) || !w.accountLike(name) || w.byteAt(after-2) != '\\' && after-i == 1 && isEscape(name)) {
		return
	}
	if strings.Contains(domain, ".") {
		w.name(start, i)
	} else {
		w.add(Domain, start, i)
	}
	if !wellKnownAccount(name) {
		w.add(User, after, end)
	}
}

// systemPhrase reports system domains of two words, the last of which is text[start:end].
func (w *walker) systemPhrase(start, end int) bool {
	first := start - 1
	for first > 0 && first > start-8 && chars[w.text[first-1]]&cWord != 0 {
		first--
	}
	return w.byteAt(start-1) == ' ' && first >= 0 && wellKnownDomain(w.text[first:end])
}

// isEscape reports text that is more likely the rest of an escape than a name: \n, \r, \t.
func isEscape(name string) bool {
	return len(name) == 1 && strings.IndexByte("nrt", name[0]) >= 0
}

// endsInEscape reports whether the backslash at i begins an escape such as \" or \n rather than a
// further element of a path.
func (w *walker) endsInEscape(i int) bool {
	n := w.backslashes(i)
	switch w.byteAt(i + n) {
	case '"', '\'':
		return true
	case 'n', 'r', 't':
		return n == 1 && !wordAt(w.text, i+n+1) || n == 1 && w.byteAt(i+2) == '\\' || n == 1 && chars[w.byteAt(i+2)]&cUpper != 0
	}
	return false
}

// netBIOS reports names that can be domains: capitals and digits, as Windows shows them.
func netBIOS(s string) bool {
	letter := false
	for i := range len(s) {
		if chars[s[i]]&cLower != 0 {
			return false
		}
		letter = letter || chars[s[i]]&cUpper != 0
	}
	return letter && len(s) >= 2 && len(s) <= 15
}

// accountLike reports names that can be accounts.
func (w *walker) accountLike(s string) bool {
	return len(s) <= 64 && hasLetter(s) && s[0] != '.'
}

// accountEnd returns where the account name that begins at i ends.
func (w *walker) accountEnd(i int) int {
	end := i
	for end < len(w.text) && end < i+64 {
		b := w.text[end]
		if b >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(w.text[end:])
			if !isWordRune(r) {
				break
			}
			end += n
			continue
		}
		if chars[b]&cWord == 0 && strings.IndexByte("._-$", b) < 0 {
			break
		}
		end++
	}
	for end > i && (w.text[end-1] == '.' || w.text[end-1] == '-') {
		end--
	}
	return end
}

// guid handles the GUID that may begin at i: one in a field, path or phrase that says it is that
// of a device, a tenant or the like. Others name interfaces, providers and processes, and stay.
func (w *walker) guid(i int) {
	if !guidAt(w.text, i) || wordBefore(w.text, i) {
		return
	}
	w.numbers = i + 36
	if strings.Trim(w.text[i:i+36], "0-") == "" {
		return
	}
	if idName(w.nameBefore(i)) {
		w.add(ID, i, i+36)
	}
}

// nameBefore returns the identifier before a value, the few signs between them left out.
func (w *walker) nameBefore(i int) string {
	p := i
	for p > 0 && p > i-12 && strings.IndexByte("\"'\\:= {/\t([", w.text[p-1]) >= 0 {
		p--
	}
	if p == i {
		return ""
	}
	start := p
	for start > 0 && start > p-48 && (chars[w.text[start-1]]&cWord != 0 || strings.IndexByte("_-. ", w.text[start-1]) >= 0) {
		start--
	}
	return w.text[start:p]
}

var idSuffixes = [...]string{
	"tenantid", "tenant", "subscriptionid", "subscriptions", "subscription", "deviceid", "device", "machineid", "machine",
	"objectid", "userid", "accountobjectid", "useroid", "aadid", "computerid", "workspaceid", "customerid", "hostid", "agentid",
	"principalid", "accountid", "directoryid", "organizationid", "ownerid", "sensorid", "endpointid", "microsoftonlinecom",
}

// idName reports whether a field of that name holds the id of somebody or something of the
// organisation.
func idName(name string) bool {
	var buf [48]byte
	n := plainName(name, buf[:])
	for _, s := range idSuffixes {
		if len(n) >= len(s) && string(n[len(n)-len(s):]) == s { // no copy, unlike strings.HasSuffix
			return true
		}
	}
	return false
}

// plainName writes the end of a name in lower case without the signs that join its parts.
func plainName(name string, buf []byte) []byte {
	n := 0
	if len(name) > len(buf) {
		name = name[len(name)-len(buf):]
	}
	for i := range len(name) {
		if b := name[i]; chars[b]&cWord != 0 {
			buf[n] = lower[b]
			n++
		}
	}
	return buf[:n]
}
