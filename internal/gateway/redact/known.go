package redact

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"

	"github.com/aluskort/aluskort/internal/alert"
)

// Known is a value that is to be found wherever it stands, in any case, as a word of its own.
type Known struct {
	// Type is the type of the entity that has the value; it decides the class.
	Type  alert.EntityType
	Value string
	// Properties are those of the entity: names, ids and domains are taken from them.
	Properties map[string]string
}

// KnownOf returns what an alert's entities say about people and machines. Addresses and SIDs are
// left to their shape.
func KnownOf(list []alert.Entity) []Known {
	var out []Known
	for i := range list {
		switch e := &list[i]; e.Type {
		case alert.Account, alert.Host, alert.Mailbox, alert.MailMessage:
			out = append(out, Known{e.Type, e.Value, e.Properties})
		case alert.DNS:
			// A name without a domain is asked for in the own network alone: it is a machine's.
			if !strings.Contains(e.Value, ".") {
				out = append(out, Known{alert.Host, e.Value, nil})
			}
		}
	}
	return out
}

// entry is a value to look for.
type entry struct {
	class Class
	low   string // in lower case; begins with a letter or digit
	// weak values are everyday words: they count only where a name is expected.
	weak bool
}

// lexicon finds the known values by their first word.
type lexicon struct {
	mask    uint64
	slots   []bucket
	entries []entry // by first word, then by value
	first   filter  // of the first words, and of the keywords

	domains  map[string]bool // internal, lower case
	suffixes map[string]bool // of the accounts' UPNs: kept apart, since they may belong to guests
	users    map[string]bool // lower case
}

// bucket is the entries of one first word; n is 0 in an empty slot.
type bucket struct {
	hash     uint64
	first, n int32
	longest  int
}

// build collects entries.
type build struct {
	r    *Redactor
	lex  *lexicon
	seen map[string]bool
}

func (r *Redactor) compile(known []Known) *lexicon {
	b := build{r: r, seen: make(map[string]bool), lex: &lexicon{
		domains: make(map[string]bool), suffixes: make(map[string]bool), users: make(map[string]bool),
	}}
	for _, d := range r.domains {
		b.domain(d)
	}
	for i := range known {
		b.known(&known[i])
	}
	b.lex.index()
	return b.lex
}

func (b *build) known(k *Known) {
	p := k.Properties
	switch k.Type {
	case alert.Account:
		b.account(k.Value)
		b.account(p["name"])
		b.account(p["nt_name"])
		b.account(p["upn"])
		b.ntDomain(p["nt_domain"])
		b.person(p["display_name"])
		b.identifier(p["aad_user_id"])
		b.identifier(p["aad_tenant_id"])
		b.suffix(p["upn_suffix"])
		b.hostDomain(p["dns_domain"])
	case alert.Host:
		b.host(k.Value)
		b.host(p["netbios_name"])
		b.host(p["fqdn"])
		b.hostDomain(p["dns_domain"])
		b.ntDomain(p["nt_domain"])
		b.identifier(p["aad_device_id"])
		b.identifier(p["edr_device_id"])
	case alert.Mailbox:
		b.account(k.Value)
		b.account(p["upn"])
		b.person(p["display_name"])
	case alert.MailMessage:
		b.account(p["recipient"])
	}
}

// account takes any form in which an account is written.
func (b *build) account(v string) {
	v = strings.TrimSpace(v)
	if v == "" {
		return
	}
	if at := strings.LastIndexByte(v, '@'); at > 0 {
		b.user(v[:at])
		b.suffix(v[at+1:])
		b.add(Mail, v)
		return
	}
	if at := strings.LastIndexAny(v, `\/`); at >= 0 {
		b.ntDomain(v[:at])
		v = v[at+1:]
	}
	switch {
	case strings.HasPrefix(v, "S-1-"): // found by its shape
	case isGUID(v):
		b.identifier(v)
	case strings.ContainsRune(v, ' '):
		b.person(v)
	default:
		b.user(v)
	}
}

func (b *build) user(v string) {
	if wellKnownAccount(v) || plainNumber(v) {
		return
	}
	b.lex.users[strings.ToLower(trimEdges(v))] = true
	b.add(User, v)
}

func (b *build) host(v string) {
	v = strings.TrimSuffix(strings.TrimSpace(v), "$")
	if _, err := netip.ParseAddr(v); err == nil || v == "" {
		return
	}
	label, domain, dotted := strings.Cut(v, ".")
	if strings.EqualFold(label, "localhost") || plainNumber(label) {
		return
	}
	if dotted {
		b.hostDomain(domain)
	}
	b.add(Host, label)
}

// hostDomain learns that the domain of a known host belongs to the organisation, with what was
// registered of it. Domains of clouds, under which everybody has hosts, are public suffixes.
func (b *build) hostDomain(v string) {
	v = strings.ToLower(strings.Trim(v, ". "))
	if v == "" || !strings.Contains(v, ".") {
		b.ntDomain(v)
		return
	}
	if suffix, _ := publicsuffix.PublicSuffix(v); suffix == v {
		return
	}
	b.domain(v)
	if d, err := publicsuffix.EffectiveTLDPlusOne(v); err == nil {
		b.domain(d)
	}
}

func (b *build) domain(v string) {
	b.lex.domains[v] = true
	b.add(Domain, v)
}

func (b *build) ntDomain(v string) {
	v = strings.Trim(v, `\. `)
	if len(v) < 2 || wellKnownDomain(v) {
		return
	}
	if strings.Contains(v, ".") {
		b.hostDomain(v)
		return
	}
	b.add(Domain, v)
}

func (b *build) suffix(v string) {
	if v = strings.ToLower(strings.Trim(v, ". ")); v != "" && !providerDomains[v] {
		b.lex.suffixes[v] = true
	}
}

func (b *build) person(v string) {
	v = strings.Join(strings.Fields(v), " ")
	if utf8.RuneCountInString(v) < 3 || wellKnownAccount(v) || strings.ContainsAny(v, `@\/`) {
		return
	}
	if !strings.Contains(v, " ") {
		b.user(v)
		return
	}
	b.add(Person, v)
	if last, first, ok := strings.Cut(v, ", "); ok {
		b.add(Person, first+" "+last)
	} else if at := strings.LastIndexByte(v, ' '); at > 0 {
		b.add(Person, v[at+1:]+", "+v[:at])
	}
}

func (b *build) identifier(v string) {
	v = strings.Trim(v, "{} ")
	if len(v) >= 8 && strings.Trim(v, "0-") != "" {
		b.add(ID, v)
	}
}

func (b *build) add(c Class, v string) {
	v = strings.ToLower(trimEdges(v))
	if utf8.RuneCountInString(v) < 2 || !b.r.policy.Classes.Has(c) || b.r.keep[v] || b.seen[string(rune(c))+v] {
		return
	}
	b.seen[string(rune(c))+v] = true
	if strings.Contains(v, "ß") {
		b.add(c, strings.ReplaceAll(v, "ß", "ss")) // has no capital that all systems know
	}
	weak := everyday.has(v) || utf8.RuneCountInString(v) < 3
	b.lex.entries = append(b.lex.entries, entry{class: c, low: v, weak: weak})
}

// trimEdges takes off what is neither letter nor digit at both ends: a value is found from its
// first word on.
func trimEdges(v string) string {
	return strings.TrimFunc(v, func(r rune) bool { return !isWordRune(r) })
}

func plainNumber(v string) bool {
	for i := range len(v) {
		if chars[v[i]]&cDigit == 0 {
			return false
		}
	}
	return len(v) < 6
}

func firstWord(low string) string {
	for i, r := range low {
		if !isWordRune(r) {
			return low[:i]
		}
	}
	return low
}

// index builds the table.
func (l *lexicon) index() {
	slices.SortFunc(l.entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(firstWord(a.low), firstWord(b.low)), cmp.Compare(a.low, b.low), cmp.Compare(a.class, b.class))
	})
	size := 16
	for size < 4*len(l.entries) {
		size *= 2
	}
	l.mask, l.slots = uint64(size-1), make([]bucket, size)
	l.first.add(keywords)
	for n := 0; n < len(l.entries); {
		word := firstWord(l.entries[n].low)
		b := bucket{hash: hashRunes(word), first: int32(n)}
		for ; n < len(l.entries) && firstWord(l.entries[n].low) == word; n++ {
			b.n++
			b.longest = max(b.longest, len(l.entries[n].low))
		}
		i := b.hash & l.mask
		for l.slots[i].n > 0 {
			i = (i + 1) & l.mask
		}
		l.slots[i] = b
		l.first.set(b.hash)
	}
}

// hashRunes is hashWord for text beyond ASCII.
func hashRunes(s string) uint64 {
	h := hashSeed
	var buf [utf8.UTFMax]byte
	for _, r := range s {
		n := utf8.EncodeRune(buf[:], unicode.ToLower(r))
		for _, b := range buf[:n] {
			h = (h ^ uint64(b)) * hashPrime
		}
	}
	return h
}

// bucket returns the entries whose first word has the hash; none when n is 0.
func (l *lexicon) bucket(h uint64) *bucket {
	for i := h & l.mask; ; i = (i + 1) & l.mask {
		if b := &l.slots[i]; b.n == 0 || b.hash == h {
			return b
		}
	}
}

// fewEntries are looked at one by one.
const fewEntries = 8

// longest returns the longest entry of a bucket that stands in the text at i as a word of its
// own, and where it ends. ok is asked about each candidate.
func (l *lexicon) longest(b *bucket, text string, i int, ok func(e *entry, end int) bool) (*entry, int) {
	list := l.entries[b.first : b.first+b.n]
	if len(list) <= fewEntries {
		var best *entry
		bestEnd := 0
		for n := range list {
			if end := matchFold(text, i, list[n].low); end > bestEnd && !wordAt(text, end) && ok(&list[n], end) {
				best, bestEnd = &list[n], end
			}
		}
		return best, bestEnd
	}
	// The entries that the text begins with precede it in their order, the longest last. What is
	// between shares a shorter beginning with it.
	head := strings.ToLower(text[i:min(len(text), i+b.longest+utf8.UTFMax)])
	for head != "" {
		n, found := slices.BinarySearchFunc(list, head, func(e entry, s string) int { return cmp.Compare(e.low, s) })
		if !found {
			n--
		}
		if n < 0 {
			break
		}
		e := &list[n]
		if strings.HasPrefix(head, e.low) {
			if end := matchFold(text, i, e.low); end >= 0 && !wordAt(text, end) && ok(e, end) {
				return e, end
			}
			head = head[:len(e.low)-1]
			continue
		}
		head = head[:common(head, e.low)]
	}
	return nil, 0
}

func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// internal reports whether a host name in lower case lies in a domain of the organisation.
func (l *lexicon) internal(name string) bool {
	if internalTLD(name) {
		return true
	}
	for {
		if l.domains[name] {
			return true
		}
		_, parent, ok := strings.Cut(name, ".")
		if !ok {
			return false
		}
		name = parent
	}
}

// internalTLD reports names under domains that nobody can own on the Internet.
func internalTLD(name string) bool {
	if strings.HasSuffix(name, ".home.arpa") {
		return true
	}
	at := strings.LastIndexByte(name, '.')
	return at > 0 && privateTLDs.has(name[at+1:])
}
