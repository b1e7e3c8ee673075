package sigma

import (
	"math"

	"github.com/aluskort/aluskort/internal/alert"
)

// mark makes a rule a candidate if its log source fits.
func (m *run) mark(rule int32) {
	if m.marked[rule] == m.epoch {
		return
	}
	m.marked[rule] = m.epoch
	if m.allows(m.set.rules[rule].logsource) {
		m.candidates = append(m.candidates, rule)
	}
}

func (m *run) allows(ls int32) bool {
	if m.logs[ls]>>1 != m.epoch {
		m.logs[ls] = m.epoch << 1
		if m.origin.allows(m.set.logsources[ls]) {
			m.logs[ls] |= 1
		}
	}
	return m.logs[ls]&1 == 1
}

// findCandidates marks the rules without clues and those of which a clue occurs.
func (m *run) findCandidates() {
	for _, r := range m.set.always {
		m.mark(r)
	}
	keywords := false
	for _, ls := range m.set.keywordLogs {
		if m.allows(ls) {
			keywords = true
			break
		}
	}
	for i := 0; i < len(m.values); i++ { // decoded commands join at the end
		m.scanValue(int32(i), keywords)
	}
}

func (m *run) scanValue(i int32, keywords bool) {
	if m.kind(i) == alert.KindNull || m.kind(i) == alert.KindEmpty {
		return
	}
	scan := keywords
	for _, b := range m.values[i].binds {
		if !m.active(b) {
			continue
		}
		f := &m.set.fields[b.field]
		scan = scan || f.scanned
		if f.command || f.equal != nil {
			m.prepare(i)
		}
		if f.equal != nil {
			m.lookUp(i, f)
		}
	}
	if !scan {
		return
	}
	m.prepare(i)
	for k := m.values[i].from; k < m.values[i].to; k++ {
		text := m.bytes(m.variants[k].lower)
		if g := m.set.grams[0]; g != nil {
			m.scanText(g, text, i)
		}
		if g := m.set.grams[1]; g != nil {
			m.scanText(g, text, i)
		}
	}
}

// lookUp finds the postings of the value as a whole.
func (m *run) lookUp(i int32, f *field) {
	for k := m.values[i].from; k < m.values[i].to; k++ {
		text := m.bytes(m.variants[k].lower)
		if len(text) > f.maxEqual {
			continue
		}
		if p, ok := f.equal[string(text)]; ok {
			for _, r := range m.set.posts[p].rules {
				m.mark(r)
			}
		}
	}
}

// scanText slides the window of the index over the text.
func (m *run) scanText(g *gramIndex, text []byte, i int32) {
	if len(text) < g.n || len(text) > math.MaxInt32 {
		return
	}
	var w uint32
	for k := range g.n - 1 {
		w = w<<8 | uint32(text[k])
	}
	bits, shift, mask := g.bits, g.shift, g.mask
	for k := g.n - 1; k < len(text); k++ {
		w = w<<8 | uint32(text[k])
		key := w & mask
		h := key * gramPrime
		bit := h >> shift
		if bits[bit>>6]>>(bit&63)&1 == 0 {
			continue
		}
		m.probe(g, key, h, text, k+1, i)
	}
}

func (m *run) probe(g *gramIndex, key, h uint32, text []byte, end int, i int32) {
	entries := g.find(key, h)
	for e := range entries {
		start, ok := entries[e].occurs(text, end)
		if !ok {
			continue
		}
		for _, p := range entries[e].posts {
			if m.posted[p] != m.epoch {
				m.hitPosting(p, start, len(entries[e].lit), len(text), i)
			}
		}
	}
}

func (m *run) hitPosting(p int32, start, n, size int, i int32) {
	post := &m.set.posts[p]
	if post.kind == litPrefix && start != 0 || post.kind == litSuffix && start+n != size {
		return
	}
	if post.field != anyField && !m.bound(i, post.field) {
		return
	}
	m.posted[p] = m.epoch
	for _, r := range post.rules {
		m.mark(r)
	}
}

func (m *run) bound(i, field int32) bool {
	for _, b := range m.values[i].binds {
		if b.field == field {
			return m.active(b)
		}
	}
	return false
}
