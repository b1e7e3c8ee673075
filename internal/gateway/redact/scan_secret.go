package redact

import (
	"math"
	"strings"
)

// keyword is a word after which something may follow.
type keyword uint16

const (
	kwPassword keyword = iota + 1
	kwSecret           // keys and tokens
	kwAuthorization
	kwBearer
	kwCookie
	kwSession
	kwHash // password hashes and tickets as arguments
	kwSecureString
	kwBegin
	kwIdentified
	kwUser
	kwFor
	kwHostField
	kwDomainField
	kwNet
	kwARN
	kwCN
	kwKey
	kwIPName
	kwTool // and above: index into tools
)

// tool is the program whose command line is being read.
type tool struct {
	active bool
	index  int
}

// tools take a password with a flag of one letter or so, which says nothing elsewhere: separate
// flags take the next argument, attached ones the rest of the word. pair takes user:password.
var tools = [...]struct {
	names              string
	separate, attached string
	pair               string
}{
	{names: "mysql mysqldump mysqladmin mariadb mysqlimport", attached: "p"},
	{names: "psexec psexec64 paexec hydra medusa ncrack evil kerbrute mongo mongosh mongodump zip unzip rdesktop certipy bloodhound wmiexec smbexec secretsdump", separate: "p"},
	{names: "crackmapexec cme nxc netexec sshpass smbmap", separate: "p", attached: "p"},
	{names: "sqlcmd bcp osql isql tsql", separate: "P", attached: "P"},
	{names: "plink pscp psftp putty", separate: "pw"},
	{names: "7z 7za 7zr rar winrar", attached: "p hp"},
	{names: "ldapsearch ldapmodify ldapadd ldapwhoami ldapdelete", separate: "w"},
	{names: "curl wget", pair: "u"},
	{names: "redis", separate: "a"},
	{names: "schtasks", separate: "rp"},
	{names: "xfreerdp wfreerdp cmdkey rubeus winrs dsmod dsadd adfind mimikatz", separate: "p pwd pass"},
	{names: "smbclient rpcclient", pair: "U"},
}

var keywords = newWordTable(keywordList())

func keywordList() map[string]uint16 {
	m := make(map[string]uint16)
	put := func(k keyword, list string) {
		for _, w := range strings.Fields(list) {
			m[w] = uint16(k)
		}
	}
	put(kwPassword, "password passwd pwd passphrase passcode passwort pass pw rp")
	put(kwSecret, "secret token apikey accesskey secretkey accountkey privatekey sharedaccesskey clientsecret accesstoken refreshtoken authtoken idtoken sig signature credential credentials")
	put(kwAuthorization, "authorization")
	put(kwBearer, "bearer")
	put(kwCookie, "cookie")
	put(kwSession, "jsessionid phpsessid sessionid sessid aspsessionid connect")
	put(kwHash, "hashes ntlm rc4 aes256 aes128 aeskey ticket ntlmhash nthash lmhash h des")
	put(kwSecureString, "securestring")
	put(kwBegin, "begin")
	put(kwIdentified, "identified")
	put(kwUser, "user username account logon login runas")
	put(kwFor, "for")
	put(kwHostField, "hostname computername computer workstation workstationname devicename machinename host")
	put(kwNet, "net net1")
	put(kwARN, "arn")
	put(kwCN, "cn")
	put(kwKey, "key")
	put(kwIPName, "ip")
	for i := range tools {
		put(kwTool+keyword(i), tools[i].names)
	}
	return m
}

// assigns are the bytes that may stand between a name and its value.
var assigns = assignTable()

func assignTable() (t [256]bool) {
	for _, b := range []byte("=:\"'\\") {
		t[b] = true
	}
	return t
}

// span is a value: what stands between its quotes.
type span struct {
	start, end int
	quoted     bool
}

func (s span) empty() bool { return s.start >= s.end }

// value reads what is assigned to the name that ends at j: name=value, name: value,
// "name": "value", at any depth of escaping.
func (w *walker) value(j int) (span, bool) {
	p := j
	for w.byteAt(p) == '\\' && p < j+16 {
		p++
	}
	if b := w.byteAt(p); b == '"' || b == '\'' || b == ']' {
		p++
	} else {
		p = j
	}
	p = w.blanks(p)
	if b := w.byteAt(p); b != '=' && b != ':' {
		return span{}, false
	}
	p++
	if b := w.byteAt(p); b == '=' || b == '>' {
		p++
	}
	return w.operand(w.blanks(p)), true
}

// blanks skips spaces and tabs, escaped ones included.
func (w *walker) blanks(p int) int {
	for limit := p + 64; p < limit; {
		switch b := w.byteAt(p); {
		case b == ' ' || b == '\t':
			p++
		case b == '\\' && w.byteAt(p+1) == 't' && (w.byteAt(p+2) == '\\' || p+2 == len(w.text) || w.byteAt(p-1) == 't' || w.byteAt(p-1) == ':'):
			p += 2
		default:
			return p
		}
	}
	return p
}

// operand reads the value at p, in quotes or to the next separator.
func (w *walker) operand(p int) span {
	q := p + w.backslashes(p)
	if b := w.byteAt(q); b == '"' || b == '\'' || b == '`' {
		return w.quoted(q+1, b, q-p)
	}
	if p > w.operandStart && p < w.operandEnd {
		return span{start: p, end: w.operandEnd}
	}
	end := p
	for end < len(w.text) && end < p+maxSecret {
		b := w.text[end]
		if b <= ' ' || b == '"' || b == '\'' || b == '&' || b == ';' || b == '<' || b == '>' || b == '|' || b == '`' {
			break
		}
		if b == '\\' {
			if w.endsInEscape(end) {
				break
			}
		}
		if (b == ',' || b == ')' || b == ']' || b == '}') && !wordAt(w.text, end+1) {
			break
		}
		end++
	}
	w.operandStart, w.operandEnd = p, end
	return span{start: p, end: end}
}

// maxSecret bounds how much is read as one value.
const maxSecret = 8192

// quoted reads up to a closing quote that has as many backslashes before it as the opening one.
func (w *walker) quoted(start int, quote byte, depth int) span {
	slashes := 0
	for p := start; p < len(w.text) && p < start+maxSecret; p++ {
		switch b := w.text[p]; {
		case b == '\\':
			slashes++
			continue
		case b == quote && slashes <= depth:
			return span{start, p - slashes, true}
		case b == '\n' && depth == 0:
			return span{start, p, true}
		}
		slashes = 0
	}
	return span{start, min(len(w.text), start+maxSecret), true}
}

// assigned handles an identifier that ends at j and has, or may have, a value.
func (w *walker) assigned(i, j int) {
	kind, ok := w.suffix(i, j)
	if !ok {
		return
	}
	v, ok := w.value(j)
	if !ok || v.empty() {
		return
	}
	switch kind {
	case kwPassword:
		if w.passwordLike(v) {
			w.hide(Password, v.start, v.end)
		}
	case kwSecret:
		if w.tokenLike(v) {
			w.hide(Token, v.start, v.end)
		}
	case kwSession:
		if v.end-v.start >= 12 {
			w.hide(Cookie, v.start, v.end)
		}
	case kwHash:
		if w.hex(v.start, min(v.end, v.start+32)) && v.end-v.start >= 32 {
			w.hide(PasswordHash, v.start, v.end)
		}
	case kwUser:
		w.userValue(v)
	case kwHostField:
		w.hostValue(v)
	case kwDomainField:
		w.domainValue(v)
	}
}

// endings tell what an identifier names by how it ends, joined parts written together.
var endings = [...]struct {
	end  string
	kind keyword
}{
	{"password", kwPassword}, {"passwd", kwPassword}, {"pwd", kwPassword}, {"passphrase", kwPassword}, {"passwort", kwPassword},
	{"secret", kwSecret}, {"token", kwSecret}, {"apikey", kwSecret}, {"accesskey", kwSecret}, {"secretkey", kwSecret},
	{"accountkey", kwSecret}, {"privatekey", kwSecret}, {"secretaccesskey", kwSecret}, {"authkey", kwSecret}, {"encryptionkey", kwSecret},
	{"sessionid", kwSession}, {"sessid", kwSession}, {"connectsid", kwSession},
	{"ntlmhash", kwHash}, {"nthash", kwHash}, {"lmhash", kwHash},
	{"username", kwUser}, {"accountname", kwUser}, {"user", kwUser}, {"logonname", kwUser}, {"samaccountname", kwUser},
	{"loginname", kwUser}, {"useraccount", kwUser}, {"initiatedby", kwUser}, {"userprincipalname", kwUser},
	{"hostname", kwHostField}, {"computername", kwHostField}, {"workstationname", kwHostField}, {"devicename", kwHostField},
	{"desthost", kwHostField}, {"dsthost", kwHostField}, {"srchost", kwHostField}, {"sourcehost", kwHostField}, {"targethost", kwHostField}, {"dvchost", kwHostField},
	{"accountdomain", kwDomainField}, {"userdomain", kwDomainField}, {"ntdomain", kwDomainField}, {"domainname", kwDomainField},
	{"assignedto", kwUser}, {"assignee", kwUser}, {"owner", kwUser}, {"createdby", kwUser}, {"modifiedby", kwUser}, {"requestedby", kwUser},
	{"machinename", kwHostField}, {"computer", kwHostField}, {"workstation", kwHostField}, {"agentname", kwHostField},
}

// endingsBy holds the endings by their last byte.
var endingsBy = func() (t [256][]int) {
	for k := range endings {
		last := endings[k].end[len(endings[k].end)-1]
		t[last] = append(t[last], k)
	}
	return t
}()

// endingPairs holds their last two bytes: at the last but one, a bit for the last.
var endingPairs = func() (t [256]uint32) {
	for k := range endings {
		e := endings[k].end
		t[e[len(e)-2]] |= 1 << (e[len(e)-1] - 'a')
	}
	return t
}()

// suffix reads the whole identifier that ends at j and decides by its end.
func (w *walker) suffix(i, j int) (keyword, bool) {
	if last := lower[w.text[j-1]] - 'a'; j-i >= 2 && (last >= 26 || endingPairs[lower[w.text[j-2]]]>>last&1 == 0) {
		return 0, false
	}
	start := i
	for start > 0 && start > j-40 {
		if c := chars[w.text[start-1]]; c&(cLetter|cDigit|cJoin) == 0 && !(w.text[start-1] == ' ' && start == i && w.accountPhrase(i, j)) {
			break
		}
		start--
	}
	var buf [48]byte
	n := plainName(w.text[start:j], buf[:])
	if len(n) < 3 {
		return 0, false
	}
	for _, k := range endingsBy[n[len(n)-1]] {
		e := &endings[k]
		if len(n) >= len(e.end) && string(n[len(n)-len(e.end):]) == e.end {
			if e.end == "token" && strings.HasSuffix(string(n), "publickeytoken") {
				return 0, false
			}
			return e.kind, true
		}
	}
	return 0, false
}

// accountPhrase reports the names of fields that Windows writes in two words.
func (w *walker) accountPhrase(i, j int) bool {
	word := w.text[i:j]
	if equalFold(word, "domain") {
		return i >= 8 && matchFold(w.text, i-8, "account domain") == j
	}
	return equalFold(word, "name") && i >= 8 && (matchFold(w.text, i-8, "account name") == j || i >= 12 && matchFold(w.text, i-12, "workstation name") == j ||
		i >= 9 && matchFold(w.text, i-9, "computer name") == j)
}

// keyword handles a word of the list.
func (w *walker) keyword(k keyword, i, j int) {
	flag := w.flag(i)
	next := w.byteAt(j)
	switch {
	case k >= kwTool:
		w.line = tool{true, int(k - kwTool)}
	case k == kwNet && next == ' ', k == kwNet && next == '.':
		w.net(j)
	case k == kwARN && next == ':':
		w.arn(j)
	case k == kwCN && next == '=':
		w.distinguished(j + 1)
	case k == kwKey && next == ' ':
		if kind, ok := w.suffix(i, j); ok && kind == kwSecret {
			if v := w.argument(j); v.end-v.start >= 32 && w.tokenLike(v) {
				w.hide(Token, v.start, v.end)
			}
		}
	case k == kwIPName && next == '-':
		w.ipName(i, j)
	case k == kwAuthorization:
		w.authorization(j)
	case k == kwBearer && next == ' ':
		if v := w.operand(w.blanks(j)); v.end-v.start >= 16 && strings.IndexByte(w.text[v.start:v.end], '=') != 0 {
			w.hide(Credential, v.start, v.end)
		}
	case k == kwCookie && next == ':':
		w.header(j+1, Cookie)
	case k == kwCookie && assigns[next]:
		if v, ok := w.value(j); ok && v.end-v.start >= 8 {
			w.hide(Cookie, v.start, v.end)
		}
	case k == kwBegin:
		w.privateKey(i)
	case k == kwSecureString && next == ' ':
		w.secureString(j)
	case k == kwIdentified:
		if end := matchFold(w.text, j, " by "); end >= 0 {
			if v := w.operand(w.blanks(end)); v.quoted {
				w.hide(Password, v.start, v.end)
			}
		}
	case k == kwFor && w.attempt(i), k == kwUser && next == ' ':
		w.sentence(j)
	case k == kwPassword || k == kwSecret:
		w.passwordWord(k, i, j, flag)
	case k == kwHash && flag:
		w.hashFlag(j)
	case k == kwHash && equalFold(w.text[i:j], "ntlm"):
		if v, ok := w.value(j); ok && v.end-v.start >= 32 && w.hex(v.start, v.start+32) {
			w.hide(PasswordHash, v.start, v.end)
		}
	}
	if flag && k != kwHash {
		w.flagValue(i, j)
	}
}

// flag reports whether a word is an option: -word, --word or /word after a space or a quote.
func (w *walker) flag(i int) bool {
	b := w.byteAt(i - 1)
	if b != '-' && b != '/' {
		return false
	}
	p := i - 1
	if b == '-' && w.byteAt(p-1) == '-' {
		p--
	}
	before := w.byteAt(p - 1)
	return before == 0 || before <= ' ' || before == '"' || before == '\'' || before == '[' || before == ','
}

// argument reads the next argument of a command line.
func (w *walker) argument(p int) span {
	p = w.blanks(p)
	q := p + w.backslashes(p)
	if b := w.byteAt(q); b == '"' || b == '\'' {
		return w.quoted(q+1, b, q-p)
	}
	end := p
	for end < len(w.text) && end < p+maxSecret && w.text[end] > ' ' && w.text[end] != '"' && w.text[end] != '\'' {
		if w.text[end] == '\\' && w.endsInEscape(end) {
			break
		}
		end++
	}
	return span{start: p, end: end}
}

// passwordWord handles a word for a secret that is no part of a longer name.
func (w *walker) passwordWord(k keyword, i, j int, flag bool) {
	word := w.text[i:j]
	switch {
	case flag && w.byteAt(j) == ' ' && len(word) > 3:
		v := w.argument(j)
		if v.empty() || !v.quoted && (w.text[v.start] == '-' || w.text[v.start] == '(') || !w.passwordLike(v) {
			return
		}
		w.hide(secretKind(k), v.start, v.end)
	case flag && w.byteAt(j) == ':' || flag && w.byteAt(j) == '=':
		if v := w.operand(j + 1); !v.empty() && w.passwordLike(v) {
			w.hide(secretKind(k), v.start, v.end)
		}
	case w.byteAt(j) == '=' && (equalFold(word, "pass") || equalFold(word, "sig") || equalFold(word, "credential")):
		if v := w.operand(j + 1); v.end-v.start >= 4 && w.passwordLike(v) {
			w.hide(secretKind(k), v.start, v.end)
		}
	case w.byteAt(j) == ':' && (equalFold(word, "pw") || equalFold(word, "pass")):
		if v := w.operand(w.blanks(j + 1)); !v.empty() && hasLetter(w.text[v.start:v.end]) && w.passwordLike(v) {
			w.hide(Password, v.start, v.end)
		}
	case k == kwPassword && (matchFold(w.text, j, " is ") >= 0 || matchFold(w.text, j, " was ") >= 0):
		v := w.operand(w.blanks(matchFold(w.text, j, " is ") + matchFold(w.text, j, " was ") + 1))
		if v.quoted && w.passwordLike(v) || hasLetter(w.text[v.start:v.end]) && strings.ContainsAny(w.text[v.start:v.end], "0123456789") {
			w.hide(Password, v.start, v.end)
		}
	}
}

func secretKind(k keyword) SecretKind {
	if k == kwSecret {
		return Token
	}
	return Password
}

// passwordLike leaves out what is a placeholder, a variable, or the rest of a sentence.
func (w *walker) passwordLike(v span) bool {
	s := w.text[v.start:v.end]
	if s == "" || placeholder(s) {
		return false
	}
	if s[0] == '/' && strings.LastIndexByte(s, '/') > 0 {
		return false // PWD is a directory
	}
	return v.quoted || !(len(s) < 20 && proseWords.has(strings.TrimRight(s, ".,!?"))) && !(s[0] == '/' && len(s) > 1 && s[1] != '/') && !windowsPath(s)
}

func windowsPath(s string) bool {
	return len(s) > 2 && s[1] == ':' && (s[2] == '\\' || s[2] == '/')
}

// placeholder reports what stands in place of a value.
func placeholder(s string) bool {
	if strings.Trim(s, "*") == "" || strings.Trim(s, "xX") == "" || strings.Trim(s, ".-") == "" {
		return true
	}
	switch s[0] {
	case '$':
		return len(s) > 1 && (s[1] == '{' || s[1] == '(' || chars[s[1]]&cLetter != 0)
	case '%':
		return len(s) > 1 && (s[len(s)-1] == '%' || s[1] == '%' || s[1] == 's')
	case '<', '{', '@':
		return len(s) > 1 && (s[0] != '@' || s[1] == '{')
	}
	return strings.HasPrefix(s, "SECRET_") || equalFold(s, "null") || equalFold(s, "true") || equalFold(s, "false") || equalFold(s, "none")
}

// tokenLike asks for length and disorder, as keys have them and words have not.
func (w *walker) tokenLike(v span) bool {
	s := w.text[v.start:v.end]
	s = s[:min(len(s), 64)] // enough to judge by
	if len(s) < 8 || placeholder(s) || strings.ContainsAny(s, " \t[(") {
		return false
	}
	digit := strings.ContainsAny(s, "0123456789")
	return digit && hasLetter(s) && entropy(s) >= 2.5 || len(s) >= 20 && entropy(s) >= 3.5 || v.quoted && len(s) >= 16 && entropy(s) >= 3
}

// entropy is that of the bytes of s, of which there are at most 64, in bits each.
func entropy(s string) float64 {
	s = s[:min(len(s), len(plogp)-1)]
	var counts [256]uint8
	for i := range len(s) {
		counts[s[i]]++
	}
	sum := 0.0
	for i := range len(s) {
		if n := counts[s[i]]; n > 0 {
			sum += plogp[n]
			counts[s[i]] = 0
		}
	}
	return math.Log2(float64(len(s))) - sum/float64(len(s))
}

// plogp holds n times the logarithm of n.
var plogp = func() (t [65]float64) {
	for n := 1; n < len(t); n++ {
		t[n] = float64(n) * math.Log2(float64(n))
	}
	return t
}()

// authorization handles the value of the header.
func (w *walker) authorization(j int) {
	v, ok := w.value(j)
	if !ok || v.empty() {
		return
	}
	line := span{v.start, w.lineEnd(v.start), false}
	if v.quoted {
		line.end = v.end
	}
	s := w.text[line.start:line.end]
	scheme, rest, two := strings.Cut(s, " ")
	if !two {
		if w.tokenLike(line) {
			w.hide(Credential, line.start, line.end)
		}
		return
	}
	start := line.start + len(scheme) + 1
	end := line.end
	if equalFold(scheme, "basic") || equalFold(scheme, "bearer") || equalFold(scheme, "token") || equalFold(scheme, "apikey") {
		if at := strings.IndexByte(rest, ' '); at > 0 {
			end = start + at
		}
	}
	if end-start >= 4 {
		w.hide(Credential, start, end)
	}
}

// header hides the rest of a line.
func (w *walker) header(p int, k SecretKind) {
	p = w.blanks(p)
	if end := w.lineEnd(p); end-p >= 4 {
		w.hide(k, p, end)
	}
}

// lineEnd returns the end of the line, or of the quoted or escaped text in which it stands.
func (w *walker) lineEnd(p int) int {
	if p > w.lineStart && p < w.lineStop {
		return w.lineStop
	}
	end := p
	for end < len(w.text) && end < p+maxSecret {
		b := w.text[end]
		if b == '\n' || b == '\r' || b == '"' || b == '\'' || b == '\\' && w.endsInEscape(end) {
			break
		}
		end++
	}
	w.lineStart, w.lineStop = p, end
	return end
}

// privateKey hides a key in PEM form, whose BEGIN is at i.
func (w *walker) privateKey(i int) {
	if i < 5 || i < w.keyEnd || w.text[i-5:i] != "-----" {
		return
	}
	head := w.text[i:min(len(w.text), i+48)]
	if !strings.Contains(head, "PRIVATE KEY") {
		return
	}
	end := len(w.text)
	if at := strings.Index(w.text[i:], "-----END"); at >= 0 {
		end = i + at + len("-----END")
		if tail := strings.Index(w.text[end:min(len(w.text), end+48)], "-----"); tail >= 0 {
			end += tail + 5
		}
	}
	w.hide(PrivateKey, i-5, end)
	w.keyEnd = end
}

// secureString handles ConvertTo-SecureString and its text.
func (w *walker) secureString(j int) {
	v := w.argument(j)
	if matchFold(w.text, v.start, "-string") >= 0 {
		v = w.argument(v.end)
	}
	if !v.empty() && w.text[v.start] != '-' && w.passwordLike(v) {
		w.hide(Password, v.start, v.end)
	}
}

// hashFlag handles options that take a password hash or a ticket.
func (w *walker) hashFlag(j int) {
	var v span
	switch w.byteAt(j) {
	case ':', '=':
		v = w.operand(j + 1)
	case ' ':
		v = w.argument(j)
	default:
		return
	}
	n := v.end - v.start
	if n < 32 {
		return
	}
	s := w.text[v.start:v.end]
	if w.hex(v.start, v.start+32) || s[0] == ':' && n > 32 && w.hex(v.start+1, v.start+33) || n >= 100 && strings.HasPrefix(s, "doI") {
		w.hide(PasswordHash, v.start, v.end)
	}
}

// hashPair handles LM:NT and the answers to a challenge, as tools print them.
func (w *walker) hashPair(i, j int) {
	n := j - i
	if n != 32 && n != 16 || wordBefore(w.text, i) {
		return
	}
	end := j
	for parts := 0; parts < 3 && w.byteAt(end) == ':'; parts++ {
		p := end + 1
		for p < len(w.text) && chars[w.text[p]]&cHex != 0 {
			p++
		}
		if p-end-1 < 32 {
			break
		}
		end = p
	}
	if end > j {
		w.hide(PasswordHash, i, end)
	}
}

// crypt handles hashes that begin with a dollar sign.
func (w *walker) crypt(i int) {
	if w.byteAt(i-1) == '$' || wordBefore(w.text, i) {
		return
	}
	for _, p := range [...]string{"$krb5", "$6$", "$5$", "$1$", "$2a$", "$2b$", "$2y$", "$y$", "$argon2", "$apr1$", "$dcc2$", "$nt$", "$dpapi"} {
		if matchFold(w.text, i, p) < 0 {
			continue
		}
		end := i
		for end < len(w.text) && end < i+maxSecret && w.text[end] > ' ' && strings.IndexByte("\"'`<>,;\\", w.text[end]) < 0 {
			if w.text[end] == ':' && p != "$krb5" {
				break
			}
			end++
		}
		if end-i >= 20 {
			w.hide(PasswordHash, i, end)
		}
		return
	}
}

// authority handles the user and password of a URL, whose scheme ends at i.
func (w *walker) authority(i int) {
	start := i + 3
	end := start
	at := -1
	for end < len(w.text) && end < start+512 {
		b := w.text[end]
		if b <= ' ' || b == '/' || b == '?' || b == '#' || b == '"' || b == '\'' || b == '<' || b == '>' || b == '\\' {
			break
		}
		if b == '@' {
			at = end
		}
		end++
	}
	if at < 0 {
		return
	}
	w.userinfo = at + 1
	user, _, ok := strings.Cut(w.text[start:at], ":")
	if !ok {
		return
	}
	w.hide(Credential, start+len(user)+1, at)
	if user != "" && !wellKnownAccount(user) && w.known.users[strings.ToLower(user)] {
		w.add(User, start, start+len(user))
	}
}

// secretBefore handles user:password@host without a scheme, as tools for remote commands take
// it, and reports whether the text at the at sign is that and no mail address.
func (w *walker) secretBefore(at int, host string) bool {
	if w.colon == 0 || at-w.colon > 128 {
		return false
	}
	p := at
	for p > 0 && p > at-128 {
		b := w.text[p-1]
		if b <= ' ' || b == '"' || b == '\'' || b == ':' || b == '/' && p > 1 && w.text[p-2] == '/' {
			break
		}
		p--
	}
	if w.byteAt(p-1) != ':' || p == at || p < 2 || chars[w.byteAt(p-2)]&cWord == 0 {
		return false
	}
	if !w.line.active && !hostLike(host) && !w.known.internal(host) {
		return false
	}
	name := p - 1
	for name > 0 && (isLocal(w.text[name-1]) || w.text[name-1] == '/' || w.text[name-1] == '\\') {
		name--
	}
	if w.text[name:p-1] == "" || w.text[name] == '/' || w.text[name] == '-' || matchFold(w.text, name, "mailto") >= 0 || w.byteAt(p) == '/' {
		return false
	}
	w.hide(Password, p, at)
	if cut := strings.LastIndexAny(w.text[name:p-1], `\/`); cut >= 0 {
		if !wellKnownDomain(w.text[name : name+cut]) {
			w.add(Domain, name, name+cut)
		}
		name += cut + 1
	}
	if user := w.text[name : p-1]; user != "" && !wellKnownAccount(user) {
		w.add(User, name, p-1)
	}
	return true
}

// hostLike reports addresses and names without a dot, to which people connect.
func hostLike(s string) bool {
	return s != "" && (!hasLetter(s) || !strings.Contains(s, "."))
}

// formats are tokens that issuers made recognisable.
var formats = [...]struct {
	prefix string
	min    int
	kind   SecretKind
}{
	{"AKIA", 20, CloudKey}, {"ASIA", 20, CloudKey}, {"AIza", 39, CloudKey}, {"AGE-SECRET-KEY-", 40, PrivateKey},
	{"dop_v1_", 40, CloudKey}, {"dckr_pat_", 20, Token}, {"EAACEdEose0cBA", 30, Token}, {"eyJ", 30, Token},
	{"ghp_", 36, Token}, {"gho_", 36, Token}, {"ghu_", 36, Token}, {"ghs_", 36, Token}, {"ghr_", 36, Token},
	{"github_pat_", 30, Token}, {"glpat-", 20, Token}, {"gldt-", 20, Token}, {"glrt-", 20, Token}, {"hf_", 30, Token}, {"hvs.", 24, Token},
	{"lin_api_", 30, Token}, {"LTAI", 20, CloudKey}, {"npm_", 36, Token}, {"nvapi-", 40, Token}, {"pypi-", 50, Token}, {"pk_live_", 24, Token},
	{"rk_live_", 24, Token}, {"sk_live_", 24, Token}, {"sk_test_", 24, Token}, {"sk-", 24, Token}, {"SG.", 50, Token},
	{"shpat_", 32, Token}, {"sq0csp-", 30, Token}, {"whsec_", 24, Token}, {"xapp-", 20, Token}, {"xoxb-", 20, Token}, {"xoxp-", 20, Token},
	{"xoxa-", 20, Token}, {"xoxr-", 20, Token}, {"xoxs-", 20, Token}, {"xoxe", 20, Token}, {"ya29.", 20, Token}, {"doI", 100, PasswordHash},
}

// formatStart holds the first two bytes of each prefix.
var formatStart = formatTable()

func formatTable() map[[2]byte][]int {
	m := make(map[[2]byte][]int)
	for i := range formats {
		k := [2]byte{formats[i].prefix[0], formats[i].prefix[1]}
		m[k] = append(m[k], i)
	}
	return m
}

// formatFirst holds the first bytes, to pass most words without a look into the map.
var formatFirst = func() (t [256][256 / 64]uint64) {
	for k := range formatTable() {
		t[k[0]][k[1]/64] |= 1 << (k[1] % 64)
	}
	return t
}()

// minFormat is the length of the shortest of the formats. They are longer than a word only with
// something in them that joins.
const minFormat = 20

// prefixed handles tokens with a prefix of their issuer.
func (w *walker) prefixed(i int) {
	if i < w.runs || i+2 > len(w.text) || w.byteAt(i+1) == 0 {
		return
	}
	a, b := w.text[i], w.text[i+1]
	if formatFirst[a][b/64]&(1<<(b%64)) == 0 {
		return
	}
	for _, n := range formatStart[[2]byte{a, b}] {
		f := &formats[n]
		if !strings.HasPrefix(w.text[i:], f.prefix) {
			continue
		}
		end := i + len(f.prefix)
		digit, letter := false, false
		for end < len(w.text) {
			c := chars[w.text[end]]
			if c&(cLetter|cDigit) == 0 && w.text[end] != '_' && w.text[end] != '-' && (w.text[end] != '.' || !wordAt(w.text, end+1)) &&
				(f.kind != PasswordHash || strings.IndexByte("+/=", w.text[end]) < 0) {
				break
			}
			digit, letter = digit || c&cDigit != 0, letter || c&cLetter != 0
			end++
		}
		w.runs = end // a run that is no token has none inside
		if end-i >= f.min && letter && (digit || end-i > 60) && entropy(w.text[i:end]) >= 2.5 {
			w.hide(f.kind, i, end)
			return
		}
	}
}
