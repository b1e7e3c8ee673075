package sigma

import (
	"bytes"
	"net/netip"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
)

// maxRegexpText is how much of a value a regular expression sees: its cost per byte is high.
const maxRegexpText = 64 << 10

func (m *run) eval(id int32) bool {
	n := &m.set.nodes[id]
	switch n.op {
	case opTest:
		return m.holds(n.test)
	case opNot:
		return !m.eval(n.kids[0])
	case opAnd:
		for _, k := range n.kids {
			if !m.eval(k) {
				return false
			}
		}
		return true
	case opOr:
		for _, k := range n.kids {
			if m.eval(k) {
				return true
			}
		}
		return false
	default:
		left := n.n
		for _, k := range n.kids {
			if m.eval(k) {
				if left--; left == 0 {
					return true
				}
			}
		}
		return false
	}
}

// holds answers a test once per event.
func (m *run) holds(id int32) bool {
	if a := m.answers[id]; a>>1 == m.epoch {
		return a&1 == 1
	}
	a := m.epoch << 1
	if m.ask(&m.set.tests[id]) {
		a |= 1
	}
	m.answers[id] = a
	return a&1 == 1
}

func (m *run) ask(t *compiledTest) bool {
	if t.keyword {
		for i := range m.values {
			if m.matches(t, int32(i)) {
				return true
			}
		}
		return false
	}
	known := false
	for l := m.first(t.field); l >= 0; l = m.links[l].next {
		i := m.links[l].value
		if !m.isNull(i) {
			known = true
		}
		if m.matches(t, i) {
			return !t.not
		}
	}
	if t.not {
		return known
	}
	switch {
	case t.exists || t.missing:
		there := m.first(t.field) >= 0 || m.inside(t.field)
		return there && t.exists || !there && t.missing
	case t.null && !known:
		return m.first(t.field) >= 0 || !m.inside(t.field)
	default:
		return false
	}
}

func (m *run) isNull(i int32) bool {
	k := m.kind(i)
	return k == alert.KindNull || k == alert.KindEmpty
}

// matches reports whether a value meets one of the alternatives.
func (m *run) matches(t *compiledTest, i int32) bool {
	if m.isNull(i) {
		return t.empty && m.kind(i) == alert.KindEmpty
	}
	text := m.text(i)
	if t.empty && text == "" {
		return true
	}
	if len(t.patterns) > 0 && m.matchPatterns(t, i) || len(t.regexps) > 0 && m.matchRegexps(t, i) {
		return true
	}
	if len(t.nets) > 0 && inNets(t, text) || len(t.numbers) > 0 && compares(t, text) || len(t.clocks) > 0 && atTime(t, text) {
		return true
	}
	for k := range t.test.refs {
		if m.refers(&t.test.refs[k], t.refs[k], i) {
			return true
		}
	}
	return false
}

func (m *run) matchPatterns(t *compiledTest, i int32) bool {
	m.prepare(i)
	v := m.values[i]
	for k := v.from; k < v.to; k++ {
		form := &m.variants[k]
		for p := range t.patterns {
			pat := &t.patterns[p]
			if form.decoded && !pat.open() {
				continue
			}
			s := form.lower
			if pat.cased {
				s = form.text
			}
			if pat.match(m.arena[s.lo:s.hi]) {
				return true
			}
		}
	}
	return false
}

func (m *run) matchRegexps(t *compiledTest, i int32) bool {
	m.prepare(i)
	v := m.values[i]
	for k := v.from; k < v.to; k++ {
		text, lower := m.bytes(m.variants[k].text), m.bytes(m.variants[k].lower)
		if len(text) > maxRegexpText {
			text = text[:maxRegexpText]
		}
		for r, re := range t.regexps {
			if l := t.literals[r]; len(l) > 0 && !bytes.Contains(lower, l) {
				continue
			}
			if re.Match(text) {
				return true
			}
		}
	}
	return false
}

func inNets(t *compiledTest, text string) bool {
	addr, err := netip.ParseAddr(strings.TrimSpace(text))
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	for _, n := range t.nets {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}

func compares(t *compiledTest, text string) bool {
	v, ok := parseNumber(text)
	if !ok {
		return false
	}
	for _, c := range t.numbers {
		if c.holds(v) {
			return true
		}
	}
	return false
}

func atTime(t *compiledTest, text string) bool {
	v, ok := parseTime(text)
	if !ok {
		return false
	}
	for _, c := range t.clocks {
		if c.holds(c.part.of(v)) {
			return true
		}
	}
	return false
}

// refers compares a value with those of another field, in all their forms.
func (m *run) refers(ref *reference, field, i int32) bool {
	m.prepare(i)
	for l := m.first(field); l >= 0; l = m.links[l].next {
		j := m.links[l].value
		if m.isNull(j) || m.text(j) == "" {
			continue
		}
		m.prepare(j)
		if m.sameForm(ref, i, j) {
			return true
		}
	}
	return false
}

func (m *run) sameForm(ref *reference, i, j int32) bool {
	a, b := m.values[i], m.values[j]
	for x := a.from; x < a.to; x++ {
		for y := b.from; y < b.to; y++ {
			va, vb := &m.variants[x], &m.variants[y]
			if va.decoded || vb.decoded {
				continue
			}
			p := pattern{kind: ref.kind, lit: m.bytes(vb.lower)}
			text := m.bytes(va.lower)
			if ref.cased {
				p.lit, text = m.bytes(vb.text), m.bytes(va.text)
			}
			if p.match(text) {
				return true
			}
		}
	}
	return false
}

// explain collects the values behind every test that holds, down from a node that holds.
func (m *run) explain(id int32) {
	n := &m.set.nodes[id]
	switch n.op {
	case opNot:
	case opTest:
		m.explainTest(&m.set.tests[n.test])
	default:
		for _, k := range n.written {
			if len(m.hits) < maxHits && m.eval(k) {
				m.explain(k)
			}
		}
	}
}

func (m *run) explainTest(t *compiledTest) {
	if t.keyword {
		for i := range m.values {
			if m.matches(t, int32(i)) {
				m.addHit("", int32(i))
			}
		}
		return
	}
	for l := m.first(t.field); l >= 0; l = m.links[l].next {
		i := m.links[l].value
		if t.not || t.exists || m.matches(t, i) {
			m.addHit(t.test.field, i)
		}
	}
}

func (m *run) addHit(name string, i int32) {
	if len(m.hits) >= maxHits {
		return
	}
	h := Hit{Field: name, Value: m.text(i)}
	at := i
	if m.isDecoded(i) {
		at = m.values[i].carrier
		h.Field = DecodedCommand
	} else if name == "" {
		h.Field = m.event.Fields[i].Path
	}
	h.Pointer = m.event.Fields[at].Pointer
	for k := range m.hits {
		if m.hits[k].Field == h.Field && m.hits[k].Pointer == h.Pointer && m.hits[k].Value == h.Value {
			return
		}
	}
	m.hits = append(m.hits, h)
}
