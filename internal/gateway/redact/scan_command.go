package redact

import "strings"

// toolFlag handles an option text[i:j] of the program of the line.
func (w *walker) toolFlag(i, j int) {
	t := &tools[w.line.index]
	word := w.text[i:j]
	has := func(list, flag string) bool {
		for f := range strings.FieldsSeq(list) {
			if f == flag {
				return true
			}
		}
		return false
	}
	switch {
	case w.byteAt(j) == ':' && has(t.separate, word):
		if v := w.operand(j + 1); !v.empty() && !placeholder(w.text[v.start:v.end]) {
			w.hide(Password, v.start, v.end)
		}
	case w.byteAt(j) == ' ' && has(t.separate, word):
		if v := w.argument(j); w.argLike(v) {
			w.hide(Password, v.start, v.end)
		}
	case w.byteAt(j) == ' ' && has(t.pair, word):
		v := w.argument(j)
		if at := strings.IndexAny(w.text[v.start:v.end], ":%"); at > 0 && v.start+at+1 < v.end {
			w.hide(Password, v.start+at+1, v.end)
			w.accountAt(span{v.start, v.start + at, v.quoted})
		}
	case t.attached != "":
		for f := range strings.FieldsSeq(t.attached) {
			if strings.HasPrefix(word, f) && j-i >= len(f) {
				if v := w.attached(i + len(f)); w.argLike(v) {
					w.hide(Password, v.start, v.end)
				}
				return
			}
		}
	}
}

// attached reads the rest of an option; nothing when a space follows.
func (w *walker) attached(p int) span {
	if b := w.byteAt(p); b == 0 || b <= ' ' {
		return span{}
	}
	return w.argument(p)
}

// argLike leaves out options, ports and paths.
func (w *walker) argLike(v span) bool {
	s := w.text[v.start:v.end]
	if s == "" || placeholder(s) {
		return false
	}
	return v.quoted || s[0] != '-' && s[0] != '/' && strings.Trim(s, "0123456789,-:") != ""
}

// net handles "net user NAME PASSWORD" and "net use \\host\share PASSWORD /user:NAME".
func (w *walker) net(j int) {
	if end := matchFold(w.text, j, ".exe"); end >= 0 {
		j = end
	}
	for b := w.byteAt(j); b == '"' || b == '\''; b = w.byteAt(j) {
		j++
	}
	verb := w.argument(j)
	what := w.text[verb.start:verb.end]
	if !equalFold(what, "user") && !equalFold(what, "use") || chars[what[0]]&cUpper != 0 && chars[what[1]]&cLower != 0 {
		return // the name of a rule, "Net User Command", rather than a command
	}
	var args [3]span
	n := 0
	for p := verb.end; n < len(args); n++ {
		v := w.argument(p)
		if v.empty() || w.text[v.start] == '|' || w.text[v.start] == '&' || w.byteAt(p) == '\n' {
			break
		}
		args[n] = v
		p = v.end
		if v.quoted {
			p++
		}
	}
	at := 0
	if n > 0 && equalFold(what, "use") && len(w.text[args[0].start:args[0].end]) == 2 {
		at = 1 // a drive
	}
	if at >= n || w.text[args[at].start] == '/' {
		return
	}
	if equalFold(what, "user") {
		w.accountAt(args[at])
	}
	if at+1 < n && w.text[args[at+1].start] != '/' && w.text[args[at+1].start] != '*' && w.passwordLike(args[at+1]) {
		w.hide(Password, args[at+1].start, args[at+1].end)
	}
}

// flagValue handles /user:NAME, --user NAME and the like.
func (w *walker) flagValue(i, j int) {
	word := w.text[i:j]
	if !equalFold(word, "user") && !equalFold(word, "username") {
		return
	}
	switch w.byteAt(j) {
	case ':', '=':
		w.accountAt(w.operand(j + 1))
	case ' ':
		v := w.argument(j)
		if v.empty() || w.text[v.start] == '-' || w.text[v.start] == '/' {
			return
		}
		if w.line.active && tools[w.line.index].pair != "" {
			if at := strings.IndexByte(w.text[v.start:v.end], ':'); at > 0 {
				w.hide(Password, v.start+at+1, v.end)
				v.end = v.start + at
			}
		}
		w.accountAt(v)
	}
}

// userValue handles the value of a field that holds an account.
func (w *walker) userValue(v span) {
	for _, p := range [...]string{"nt authority", "nt service", "window manager", "font driver host", "iis apppool"} {
		if matchFold(w.text, v.start, p) >= 0 {
			return
		}
	}
	if !v.quoted {
		v.end = min(v.end, max(v.start, w.accountSpan(v.start)))
	}
	w.accountAt(v)
}

// accountSpan returns the end of an account in any form.
func (w *walker) accountSpan(i int) int {
	end := w.accountEnd(i)
	if w.byteAt(end) == '\\' && !w.endsInEscape(end) {
		end = w.accountEnd(end + w.backslashes(end))
	}
	return end
}

// accountAt emits what is written as an account: DOMAIN\user, a name, a person.
func (w *walker) accountAt(v span) {
	s := w.text[v.start:v.end]
	if cut := strings.LastIndexByte(s, '\\'); cut >= 0 {
		domain := strings.TrimRight(s[:cut], `\`)
		if wellKnownDomain(domain) || strings.HasPrefix(strings.ToUpper(s), "HK") {
			return
		}
		if len(domain) >= 2 && len(domain) <= 64 && !strings.ContainsAny(domain, `\/:`) {
			if strings.Contains(domain, ".") {
				w.name(v.start, v.start+len(domain))
			} else {
				w.add(Domain, v.start, v.start+len(domain))
			}
		}
		v.start += cut + 1
		s = s[cut+1:]
	}
	if s == "" || len(s) > 64 || wellKnownAccount(s) || plainNumber(s) || !hasLetter(s) || proseWords.has(s) ||
		strings.ContainsAny(s, "@/{}[]()<>=,;:|\"\n\t") || isGUID(s) || strings.HasPrefix(s, "S-1-") || strings.HasPrefix(s, "0x") {
		return
	}
	if strings.Contains(s, " ") {
		if strings.Count(s, " ") <= 3 && capitalised(s) {
			w.add(Person, v.start, v.end)
		} else if v.quoted && strings.Count(s, " ") <= 3 {
			w.add(User, v.start, v.end)
		}
		return
	}
	w.add(User, v.start, v.end)
}

// capitalised reports whether every word begins with a capital or something else than a letter.
func capitalised(s string) bool {
	for f := range strings.FieldsSeq(s) {
		if chars[f[0]]&cLower != 0 {
			return false
		}
	}
	return true
}

// hostValue handles the value of a field that holds the name of a machine.
func (w *walker) hostValue(v span) {
	if end := w.domainAfter(v.start); end < v.end {
		if v.quoted && w.byteAt(end) != '$' {
			return
		}
		v.end = end
	}
	s := strings.ToLower(w.text[v.start:max(v.start, v.end)])
	if s == "" || s == "-" || s == "localhost" || len(s) == 1 || everyday.has(s) || proseWords.has(s) || plainNumber(s) || !hasLetter(s) || isGUID(s) {
		return
	}
	if strings.Contains(s, ".") {
		if w.known.internal(s) {
			w.name(v.start, v.end)
		}
		return
	}
	w.add(Host, v.start, v.end)
}

// attempts are the words before "for" in messages about logons.
var attempts = words(`password publickey hostbased gssapi interactive pam failure failures authentication session opened
	closed login logon logins attempt attempts challenge token credentials`)

// attempt reports whether the word before i is one of a message about a logon.
func (w *walker) attempt(i int) bool {
	end := i
	for end > 0 && w.text[end-1] == ' ' {
		end--
	}
	start := end
	for start > 0 && start > end-16 && chars[w.text[start-1]]&cLetter != 0 {
		start--
	}
	return start < end && attempts.has(w.text[start:end])
}

// sentence handles "for alice from" and "user alice by", as services log it.
func (w *walker) sentence(j int) {
	p := j
	for _, skip := range [...]string{" invalid user ", " illegal user ", " user "} {
		if end := matchFold(w.text, p, skip); end >= 0 {
			p = end - 1
			break
		}
	}
	if w.byteAt(p) != ' ' {
		return
	}
	start := p + 1
	end := w.accountSpan(start)
	if end == start {
		return
	}
	after := end
	if w.byteAt(after) == '(' { // alice(uid=1000)
		for after < len(w.text) && after < end+20 && w.text[after] != ')' {
			after++
		}
		after++
	}
	if matchFold(w.text, after, " from ") < 0 && matchFold(w.text, after, " by ") < 0 && matchFold(w.text, after, " logged ") < 0 && matchFold(w.text, after, " signed ") < 0 {
		return
	}
	w.accountAt(span{start: start, end: end})
}

// domainValue handles the value of a field that holds a NetBIOS domain.
func (w *walker) domainValue(v span) {
	if !v.quoted {
		v.end = min(v.end, max(v.start, w.domainAfter(v.start)))
	}
	if s := w.text[v.start:v.end]; netBIOS(s) && !wellKnownDomain(s) && !matchesPhrase(w.text, v.start) {
		w.add(Domain, v.start, v.end)
	}
}

// matchesPhrase reports the beginning of a system domain of two words.
func matchesPhrase(text string, i int) bool {
	return matchFold(text, i, "nt authority") >= 0 || matchFold(text, i, "nt service") >= 0
}

// arn handles a name of AWS: arn:partition:service:region:account:resource.
func (w *walker) arn(j int) {
	p := j
	for range 3 {
		n := strings.IndexByte(w.text[p+1:min(len(w.text), p+33)], ':')
		if n < 0 {
			return
		}
		p += n + 1
	}
	start := p + 1
	end := start
	for chars[w.byteAt(end)]&cDigit != 0 {
		end++
	}
	if end-start != 12 || w.byteAt(end) != ':' {
		return
	}
	w.add(ID, start, end)
	resource := end + 1
	if q := matchFold(w.text, resource, "user/"); q >= 0 {
		w.accountAt(span{start: q, end: w.accountEnd(q)})
	} else if q := matchFold(w.text, resource, "assumed-role/"); q >= 0 {
		if n := strings.IndexByte(w.text[q:min(len(w.text), q+80)], '/'); n >= 0 {
			w.accountAt(span{start: q + n + 1, end: w.accountEnd(q + n + 1)})
		}
	}
}

// builtInGroups begin the names of groups that every directory has.
var builtInGroups = words(`domain enterprise schema group backup remote server account print cert dns dnsadmins key protected
	read allowed denied hyper network performance distributed event incoming replicator cryptographic iis storage
	system configuration users computers builtin guests administrators operators`)

// distinguished handles the name at the head of an LDAP name, as in CN=Ada Lovelace,OU=Staff.
// Subjects of certificates have other parts.
func (w *walker) distinguished(p int) {
	end := p
	for end < len(w.text) && end < p+64 && w.text[end] != ',' && w.text[end] >= ' ' && strings.IndexByte("\"<>;=\\", w.text[end]) < 0 {
		end++
	}
	if matchFold(w.text, end, ",ou=") < 0 && matchFold(w.text, end, ",cn=users,") < 0 && matchFold(w.text, end, ",dc=") < 0 {
		return
	}
	if !builtInGroups.has(firstWord(strings.ToLower(w.text[p:end]))) {
		w.accountAt(span{start: p, end: end, quoted: true})
	}
}

// ipName handles names of machines that are made of their private address: ip-10-0-2-14.
func (w *walker) ipName(i, j int) {
	if wordBefore(w.text, i) {
		return
	}
	end, parts := j, 0
	for parts < 4 && w.byteAt(end) == '-' && chars[w.byteAt(end+1)]&cDigit != 0 {
		for end++; chars[w.byteAt(end)]&cDigit != 0; end++ {
		}
		parts++
	}
	if parts == 4 && !wordAt(w.text, end) {
		w.add(Host, i, end)
	}
}

// field judges the text as a whole by the name of the field that it comes from.
func (w *walker) field(name string) {
	var buf [48]byte
	n := string(plainName(name, buf[:]))
	whole := span{0, len(w.text), true}
	if idName(n) && len(w.text) >= 16 && len(w.text) <= 64 && (guidAt(w.text, 0) || w.hex(0, len(w.text))) {
		w.add(ID, 0, len(w.text))
		return
	}
	for i := range endings {
		if !strings.HasSuffix(n, endings[i].end) {
			continue
		}
		switch endings[i].kind {
		case kwPassword:
			if w.passwordLike(whole) {
				w.hide(Password, 0, len(w.text))
			}
		case kwSecret:
			if w.tokenLike(whole) && !strings.HasSuffix(n, "publickeytoken") {
				w.hide(Token, 0, len(w.text))
			}
		case kwSession:
			if len(w.text) >= 12 {
				w.hide(Cookie, 0, len(w.text))
			}
		case kwUser:
			w.accountAt(whole)
		case kwHostField:
			w.hostValue(whole)
		case kwDomainField:
			w.domainValue(whole)
		}
		return
	}
	switch {
	case strings.HasSuffix(n, "managername") || strings.HasSuffix(n, "agentname") || strings.HasSuffix(n, "sensorname"):
		w.hostValue(whole)
	case strings.HasSuffix(n, "displayname") && strings.Contains(n, "user"):
		w.accountAt(whole)
	case strings.HasSuffix(n, "cookie") && len(w.text) >= 8:
		w.hide(Cookie, 0, len(w.text))
	case strings.HasSuffix(n, "authorization") && len(w.text) >= 8:
		w.hide(Credential, 0, len(w.text))
	}
}
