package asset

import (
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
)

// mention is one place of an alert that names an account.
type mention struct {
	raw    string   // the value as the field has it
	forms  []string // the account in full, as far as fields beside it say more
	sid    string   // folded; "" when none is stated
	acting bool     // the field says who acted, not on whom
	class  string   // not empty for accounts that are no one's
}

// shape says how a field that names an account is told from others: by the last part of its
// path, and which fields beside it complete it.
type shape struct {
	acting bool
	// full fields count only when their value says by its form that it is an account.
	full bool
	// under lists the last but one part of the path, folded; nil means any.
	under         []string
	domains, sids []string
}

// shapes are the fields of the products' schemas that name accounts, by last part, folded:
// Windows event data, ECS, CIM, Wazuh decoders, Sentinel entities, cloud audit logs.
var shapes = map[string]shape{
	"subjectusername":   {acting: true, domains: []string{"subjectDomainName"}, sids: []string{"subjectUserSid"}},
	"targetusername":    {domains: []string{"targetDomainName"}, sids: []string{"targetUserSid", "targetSid"}},
	"user":              {acting: true, domains: []string{"userDomain", "user_domain"}},
	"username":          {acting: true, domains: []string{"userDomain", "domainName"}},
	"user_name":         {acting: true, domains: []string{"user_domain"}},
	"accountname":       {acting: true, domains: []string{"domainName", "accountDomain"}, sids: []string{"userSid", "accountSid"}},
	"account_name":      {acting: true, domains: []string{"account_domain"}, sids: []string{"security_id"}},
	"srcuser":           {acting: true},
	"src_user":          {acting: true, domains: []string{"src_user_domain", "src_nt_domain"}},
	"sourceuser":        {acting: true},
	"uname":             {acting: true},
	"dstuser":           {},
	"dest_user":         {domains: []string{"dest_nt_domain"}},
	"targetuser":        {},
	"parentuser":        {},
	"userprincipalname": {acting: true, full: true},
	"upn":               {acting: true, full: true},
	"user_email":        {acting: true, full: true},
	"useremail":         {acting: true, full: true},
	"principalemail":    {acting: true, full: true},
	"userid":            {acting: true, full: true},
	"caller":            {acting: true, full: true},
	"alternateid":       {acting: true, full: true, under: []string{"actor"}},
	"email":             {acting: true, full: true, under: []string{"user"}},
	"name":              {acting: true, under: []string{"user", "target", "effective", "entities"}, domains: []string{"domain", "NTDomain", "UPNSuffix", "DnsDomain"}, sids: []string{"id", "sid"}},
}

// hostShapes are the fields that name the host on which something happened.
var hostShapes = map[string][]string{
	"computer": nil, "computername": nil, "computer_name": nil, "hostname": nil, "host_name": nil, "fqdn": nil, "netbiosname": nil,
	"dest": nil, "dest_host": nil, "dest_ip": nil, "dvc": nil, "devicename": nil, "devicednsname": nil, "compromisedentity": nil,
	"name": {"agent", "host"}, "ip": {"agent", "host"},
}

// maxMentions bounds the work that one record can cause.
const maxMentions = 64

// last returns the folded last part of a path; "" when it is longer than any part that matters.
func last(p string, buf *[24]byte) []byte {
	leaf := p[strings.LastIndexByte(p, '.')+1:]
	if len(leaf) > len(buf) {
		return nil
	}
	for i := 0; i < len(leaf); i++ {
		c := leaf[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(leaf)]
}

// parentOf returns the folded last but one part of a path.
func parentOf(p string) string {
	i := strings.LastIndexByte(p, '.')
	if i < 0 {
		return ""
	}
	p = p[:i]
	return fold(p[strings.LastIndexByte(p, '.')+1:])
}

func under(list []string, parent string) bool {
	for _, x := range list {
		if x == parent {
			return true
		}
	}
	return list == nil
}

// mentions returns the accounts that an alert names. more is true when there are too many to
// look at: then nothing is certain.
func mentions(f alert.Fields) (list []mention, more bool) {
	var buf [24]byte
	for i := range f {
		s, ok := shapes[string(last(f[i].Path, &buf))]
		if !ok || blank(f[i].Value) {
			continue
		}
		parent := parentOf(f[i].Path)
		if !under(s.under, parent) || parent == "related" { // ECS: related.user lists everyone
			continue
		}
		m, ok := mentionOf(f, i, parent, &s)
		if !ok {
			continue
		}
		if len(list) == maxMentions {
			return list, true
		}
		list = append(list, m)
	}
	return list, false
}

func mentionOf(f alert.Fields, i int, parent string, s *shape) (mention, bool) {
	field := &f[i]
	m := mention{raw: stated(field.Value), acting: s.acting}
	a, ok := parseAccount(m.raw)
	if !ok || s.full && a.sid == "" && a.domain == "" {
		return mention{}, false
	}
	switch {
	case parent == "entities" && !s.full:
		// Files, processes and malware have names as well.
		if !strings.EqualFold(beside(f, field, "Type"), "account") {
			return mention{}, false
		}
	case parent == "target", parent == "effective", strings.Contains(field.Path, "destination.") || strings.Contains(field.Path, "server.") || strings.Contains(field.Path, "parent."):
		m.acting = false
	}
	if a.sid != "" {
		m.sid = a.sid
	}
	for _, name := range s.sids {
		if v := fold(stated(beside(f, field, name))); isSID(v) && m.sid == "" {
			m.sid = v
		}
	}
	m.forms = fullForms(f, field, s, a, m.raw)
	m.class = classOf(m.forms, m.sid)
	return m, true
}

// fullForms completes a bare name by the domains that stand beside it.
func fullForms(f alert.Fields, field *alert.Field, s *shape, a accountName, raw string) []string {
	if a.domain != "" || a.sid != "" {
		return []string{raw}
	}
	var forms []string
	for _, name := range s.domains {
		if d := stated(beside(f, field, name)); !blank(d) && !strings.ContainsAny(d, `\@`) {
			forms = append(forms, d+`\`+raw)
		}
	}
	if forms == nil {
		forms = []string{raw}
	}
	return forms
}

func classOf(forms []string, sid string) string {
	if sid != "" {
		if c := accountClass(accountName{sid: sid}); c != "" {
			return c
		}
	}
	for _, form := range forms {
		if a, ok := parseAccount(form); ok {
			if c := accountClass(a); c != "" {
				return c
			}
		}
	}
	return ""
}

// beside returns the value of the field of that name in the same object.
func beside(f alert.Fields, field *alert.Field, name string) string {
	n := len(field.Path) - 1 - strings.LastIndexByte(field.Path, '.')
	if n > len(field.Pointer) {
		return ""
	}
	prefix := field.Pointer[:len(field.Pointer)-n]
	for i := range f {
		p := f[i].Pointer
		if len(p) == len(prefix)+len(name) && p[:len(prefix)] == prefix && strings.EqualFold(p[len(prefix):], name) {
			return f[i].Value
		}
	}
	return ""
}

// blank knows the words that products write where there is nothing.
func blank(s string) bool {
	switch strings.TrimSpace(s) {
	case "", "-", "N/A", "n/a", "unknown", "null", "None", "(null)":
		return true
	}
	return false
}

// resolve returns the account of a mention. Forms must not contradict each other, and a stated
// SID must be one of the account's where its SIDs are listed.
func (r *Resolver) resolve(m *mention) int {
	id := ambiguous
	for _, form := range m.forms {
		i := r.account(form)
		if i < 0 {
			continue
		}
		if id >= 0 && id != i {
			return ambiguous
		}
		id = i
	}
	if m.sid == "" {
		return id
	}
	if bySID := lookup(r.accounts, m.sid); bySID >= 0 {
		if id >= 0 && id != bySID {
			return ambiguous
		}
		return bySID
	}
	if id >= 0 && len(r.sids[id]) > 0 {
		return ambiguous
	}
	return id
}
