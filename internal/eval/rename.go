package eval

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/parse"
)

// Renamer renames users, hosts, domains, addresses and ids in native records, each the same
// everywhere and in every record, and keeps the shape of each: length and class of characters,
// the "$" of machine accounts, the public suffix of domains, the class and subnet of addresses.
// Names that every installation has stay: built-in accounts, well-known SIDs, services of
// vendors, special addresses. It is not safe for concurrent use: it learns words as it goes.
type Renamer struct {
	names *Names
	words *pseudonyms
	addr  addresses
	warn  *parse.WarningLists
	free  []entry
	bound map[string]string
}

type entry struct {
	name string // lower-case, but for ids whose capitals count
	to   string
	sort Sort
	fold bool
}

// NewRenamer prepares the renaming of what was collected. Equal seeds rename equally.
func NewRenamer(names *Names, seed uint64) *Renamer {
	warn := parse.NewWarningLists()
	r := &Renamer{names: names, words: newPseudonyms(seed), warn: warn, bound: map[string]string{}}
	r.addr = addresses{seed: seed, keep: func(ip netip.Addr) bool {
		switch warn.Warn(alert.IndicatorIPv4, ip.String()) {
		case parse.ReasonResolver, parse.ReasonPlatform, parse.ReasonWellKnown:
			return true
		}
		return false
	}}
	for name, sort := range names.Free {
		r.free = append(r.free, entry{name: name, to: r.pseudonym(name, sort), sort: sort, fold: name == strings.ToLower(name)})
	}
	// The longest first, so that a name inside another does not cut it.
	slices.SortFunc(r.free, func(a, b entry) int {
		return cmp.Or(cmp.Compare(len(b.name), len(a.name)), cmp.Compare(a.name, b.name))
	})
	for name := range names.Bound {
		r.bound[name] = r.words.name(name)
	}
	return r
}

func (r *Renamer) pseudonym(name string, sort Sort) string {
	switch {
	case sort == LogonID:
		return "0x" + r.words.scramble(strings.TrimPrefix(name, "0x"), true)
	case sort == Ident:
		return r.words.scramble(name, guidForm.MatchString(name))
	case sort == Domain && strings.Contains(name, "."):
		return r.domain(name)
	}
	// What is given as a name may be a file's: then its kind is part of the shape.
	kind := fileKind.FindString(name)
	return r.words.name(strings.TrimSuffix(name, kind)) + kind
}

// domain keeps the public suffix, and the names below which strangers do not register.
func (r *Renamer) domain(name string) string {
	own, err := publicsuffix.EffectiveTLDPlusOne(name)
	if err != nil || platforms[name] || platforms[own] {
		return name
	}
	suffix := own
	if !keepDomain(r.warn, own) {
		_, suffix, _ = strings.Cut(own, ".")
	} else if r.warn.Warn(alert.IndicatorDomain, name) == parse.ReasonWellKnown {
		return name
	}
	labels, ok := strings.CutSuffix(name, "."+suffix)
	if !ok {
		return name
	}
	parts := strings.Split(labels, ".")
	for i, p := range parts {
		if !builtin[p] {
			parts[i] = r.words.name(p)
		}
	}
	return strings.Join(parts, ".") + "." + suffix
}

// Rename returns the record with everything renamed.
func (r *Renamer) Rename(raw []byte) ([]byte, error) {
	return rewrite(raw, func(l leaf) string {
		if l.number {
			return l.text
		}
		if to, ok := r.bound[strings.ToLower(l.text)]; ok && boundField(l.path) {
			return likeCase(to, l.text)
		}
		return r.text(l.text, !strings.Contains(l.key(), "version"))
	})
}

func boundField(path string) bool {
	l := leaf{path: path}
	key := strings.NewReplacer("-", "", ".", "").Replace(l.key())
	return userKeys[key] || hostKeys[key] || domainKeys[key] || nameOf(path, "agent", "host", "manager", "observer", "device")
}

var (
	sidForm  = regexp.MustCompile(`(?:^|[^0-9A-Za-z]|\\[nrt])(S-1-5-21-\d+-\d+-\d+-\d+)`)
	ipv4Form = regexp.MustCompile(`(?:^|[^0-9A-Za-z.]|\\[nrt])((?:\d{1,3}\.){3}\d{1,3})(?:[^0-9A-Za-z.]|\.[^0-9]|\.$|$)`)
	ipv6Form = regexp.MustCompile(`(?i)(?:^|[^0-9a-z:.]|\\[nrt])((?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?:%[0-9a-z]+)?)(?:[^0-9a-z:]|$)`)
	fileKind = regexp.MustCompile(`(?i)\.(?:txt|csv|log|lst|exe|dll|com|bat|cmd|ps1|vbs|js|sh|py|pl|php|asp|aspx|jsp|zip|gz|tar|conf|cfg|ini|xml|json|html?)$`)
	macForm  = regexp.MustCompile(`(?i)\b([0-9a-f]{2}[:-][0-9a-f]{2}[:-][0-9a-f]{2})([:-][0-9a-f]{2}[:-][0-9a-f]{2}[:-][0-9a-f]{2})\b`)
)

func (r *Renamer) text(s string, addressesToo bool) string {
	s = r.replaceNames(s)
	same := func(s string) string { return s }
	s = shiftGroup(sidForm, s, same, func(m string) (string, bool) { return r.sid(m), true })
	if !addressesToo || !strings.ContainsAny(s, ".:-") {
		return s
	}
	s = shiftGroup(ipv4Form, s, same, r.address)
	s = shiftGroup(ipv6Form, s, same, r.address)
	return macForm.ReplaceAllStringFunc(s, func(m string) string {
		if strings.Trim(m, "0fF:-") == "" {
			return m
		}
		return m[:8] + r.words.scramble(m[8:], true) // the vendor's half stays
	})
}

func (r *Renamer) address(m string) (string, bool) {
	ip, err := netip.ParseAddr(m)
	if err != nil {
		return m, false
	}
	to := r.addr.rename(ip)
	if ip.Is4In6() {
		return "::ffff:" + to.String(), true
	}
	return to.String(), to != ip
}

// sid renames the machine or domain of a SID, and the number of an account that somebody made.
func (r *Renamer) sid(m string) string {
	p := strings.Split(m, "-")
	authority := strings.Join(p[4:7], "-")
	for i := 4; i < 7; i++ {
		p[i] = r.number(authority+strconv.Itoa(i), p[i])
	}
	if len(p[7]) >= 4 { // below 1000 are those that every domain has
		p[7] = strconv.FormatUint(1000+(hash(r.words.seed, "rid")+parseUint(p[7]))%1_000_000, 10)
	}
	return strings.Join(p, "-")
}

func parseUint(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// number is another number below 2^32 with as many digits.
func (r *Renamer) number(key, digits string) string {
	low := uint64(1)
	for range len(digits) - 1 {
		low *= 10
	}
	high := min(low*10, 1<<32)
	return strconv.FormatUint(low+hash(r.words.seed, key+digits)%max(1, high-low), 10)
}

// replaceNames replaces whole names: what stands on either side is no letter or digit.
func (r *Renamer) replaceNames(s string) string {
	low := asciiLower(s)
	var found []hit
	taken := make([]bool, len(s)+1)
	for i := range r.free {
		e := &r.free[i]
		in := low
		if !e.fold {
			in = s
		}
		for from := 0; ; {
			at := strings.Index(in[from:], e.name)
			if at < 0 {
				break
			}
			at += from
			end := at + len(e.name)
			from = at + 1
			if !begins(s, at) || end < len(s) && alphanumeric(s[end]) || slices.Contains(taken[at:end], true) {
				continue
			}
			for j := at; j < end; j++ {
				taken[j] = true
			}
			found = append(found, hit{at, end, e})
			from = end
		}
	}
	if len(found) == 0 {
		return s
	}
	slices.SortFunc(found, func(a, b hit) int { return cmp.Compare(a.at, b.at) })
	var b strings.Builder
	done := 0
	for _, h := range found {
		b.WriteString(s[done:h.at])
		to := h.e.to
		if h.e.fold {
			to = likeCase(to, s[h.at:h.end])
		}
		b.WriteString(to)
		done = h.end
	}
	return b.String() + s[done:]
}

type hit struct {
	at, end int
	e       *entry
}

// begins reports whether a word can begin at a place: at the start, behind what is no letter or
// digit, or behind an escape of JSON inside a string ("\\tname").
func begins(s string, at int) bool {
	if at == 0 || !alphanumeric(s[at-1]) {
		return true
	}
	return at > 1 && s[at-2] == '\\' && (s[at-1] == 'n' || s[at-1] == 'r' || s[at-1] == 't')
}

// asciiLower keeps the length, unlike strings.ToLower, so that places stay.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
