package fp

import (
	"cmp"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// index is the immutable set of patterns in force. A pattern is looked for in two steps, each
// of which can only offer too many candidates, never too few; evaluate decides.
//
// First by what names the detection: the analytic, else the title or its fixed beginning. Then,
// in a bucket of many, by pivots: of the conditions that a match cannot all miss, one more than
// may fail. So an alert meets only patterns that share a name and a value with it.
type index struct {
	tenants  map[string]*tenantIndex
	byID     map[string]*compiled
	revision int64
}

type tenantIndex struct {
	analytics map[uint64]*bucket
	titles    map[uint64]*bucket
	starts    startMap
}

// startMap finds buckets by the beginning of a text. Beginnings are cut at maxStart bytes.
type startMap struct {
	lengths uint64 // bit n: there are keys of n bytes
	m       map[uint64]*bucket
}

const maxStart = 32

// smallBucket is up to how many patterns are tried one by one.
const smallBucket = 8

type bucket struct {
	open    []*compiled // tried always
	exact   map[uint64][]*compiled
	nets    *bart.Table[[]*compiled]
	lengths uint64
	starts  map[uint64][]*compiled
	paths   map[string]struct{} // of the records' leaves that exact knows
}

func buildIndex(list []*compiled, revision int64) *index {
	x := &index{tenants: map[string]*tenantIndex{}, byID: make(map[string]*compiled, len(list)), revision: revision}
	for _, c := range list {
		x.byID[c.id] = c
		t := x.tenants[c.tenant]
		if t == nil {
			t = &tenantIndex{analytics: map[uint64]*bucket{}, titles: map[uint64]*bucket{}, starts: startMap{m: map[uint64]*bucket{}}}
			x.tenants[c.tenant] = t
		}
		t.add(c)
	}
	for _, t := range x.tenants {
		for _, m := range []map[uint64]*bucket{t.analytics, t.titles, t.starts.m} {
			for _, b := range m {
				b.arrange()
			}
		}
	}
	return x
}

func (t *tenantIndex) add(c *compiled) {
	for _, a := range c.analytics {
		put(t.analytics, hashText(hashStart, a), c)
	}
	if len(c.analytics) > 0 {
		return
	}
	for i := range c.names {
		if c.names[i].Op == Equals {
			put(t.titles, hashText(hashStart, c.names[i].Value), c)
			continue
		}
		s := c.names[i].start()
		s = s[:min(len(s), maxStart)]
		t.starts.lengths |= 1 << len(s)
		put(t.starts.m, hashText(hashStart, s), c)
	}
}

func put(m map[uint64]*bucket, key uint64, c *compiled) {
	b := m[key]
	if b == nil {
		b = new(bucket)
		m[key] = b
	}
	if n := len(b.open); n > 0 && b.open[n-1] == c {
		return // two of its names share the key
	}
	b.open = append(b.open, c)
}

// arrange splits a large bucket by pivots, preferring the values that few patterns share.
func (b *bucket) arrange() {
	if len(b.open) <= smallBucket {
		return
	}
	all := b.open
	b.open = nil
	shared := map[uint64]int{}
	for _, c := range all {
		for i := range c.entities {
			shared[c.entities[i].key()]++
		}
		for i := range c.payload {
			shared[c.payload[i].key()]++
		}
	}
	for _, c := range all {
		if !b.pivot(c, shared) {
			b.open = append(b.open, c)
		}
	}
}

// pivot lists c under conditions of which a match satisfies at least one; false when it has none.
func (b *bucket) pivot(c *compiled, shared map[uint64]int) bool {
	entities, load := c.entityPivots(shared)
	var leaf *payloadCheck
	for i := range c.payload {
		if p := &c.payload[i]; p.Op == Equals && (load < 0 || shared[p.key()] < load) {
			leaf, load = p, shared[p.key()]
		}
	}
	if leaf != nil {
		if b.paths == nil {
			b.paths = map[string]struct{}{}
		}
		b.paths[leaf.path] = struct{}{}
		b.addExact(leaf.key(), c)
		return true
	}
	for _, e := range entities {
		b.addPivot(e, c)
	}
	return len(entities) > 0
}

// entityPivots chooses one condition more than may fail, and says how many patterns share them;
// -1 when there are not as many that can be looked up.
func (c *compiled) entityPivots(shared map[uint64]int) (pivots []*entityCheck, load int) {
	need := allowedMisses(len(c.entities), c.threshold) + 1
	for i := range c.entities {
		if e := &c.entities[i]; e.cost() < unlisted {
			pivots = append(pivots, e)
		}
	}
	if need < 1 || len(pivots) < need {
		return nil, -1
	}
	slices.SortStableFunc(pivots, func(a, b *entityCheck) int {
		return cmp.Or(cmp.Compare(shared[a.key()], shared[b.key()]), cmp.Compare(a.cost(), b.cost()))
	})
	pivots = pivots[:need]
	for _, e := range pivots {
		load += shared[e.key()]
	}
	return pivots, load
}

// key tells conditions that ask for the same value.
func (e *entityCheck) key() uint64 {
	switch e.Op {
	case Equals:
		return e.hash
	case CIDR:
		return hashText(hashStart, e.net.String())
	}
	s := e.start()
	return entityHash(e.kind, s[:min(len(s), maxStart)])
}

func (c *payloadCheck) key() uint64 { return leafHash(c.path, c.Value) }

// cost orders conditions by how well they can be looked up.
func (e *entityCheck) cost() int {
	switch {
	case e.Op == Equals:
		return 0
	case e.Op == CIDR:
		return 1
	case e.start() != "":
		return 2
	}
	return unlisted
}

// unlisted is the cost of a condition that cannot be looked up.
const unlisted = 3

func (b *bucket) addExact(key uint64, c *compiled) {
	if b.exact == nil {
		b.exact = map[uint64][]*compiled{}
	}
	b.exact[key] = append(b.exact[key], c)
}

func (b *bucket) addPivot(e *entityCheck, c *compiled) {
	switch e.cost() {
	case 0:
		b.addExact(e.hash, c)
	case 1:
		if b.nets == nil {
			b.nets = new(bart.Table[[]*compiled])
		}
		list, _ := b.nets.Get(e.net)
		b.nets.Insert(e.net, append(list, c))
	default:
		if b.starts == nil {
			b.starts = map[uint64][]*compiled{}
		}
		b.lengths |= 1 << min(len(e.start()), maxStart)
		key := e.key()
		b.starts[key] = append(b.starts[key], c)
	}
}

func leafHash[T string | []byte](path string, value T) uint64 {
	return hashText(hashByte(hashText(hashStart, path), 1), value)
}

// candidates gathers into p.cand everything that may match, some of it more than once.
func (t *tenantIndex) candidates(p *probe) {
	if len(p.analytic) > 0 {
		p.visit(t.analytics[hashText(hashStart, p.analytic)])
	}
	p.visit(t.titles[hashText(hashStart, p.title)])
	eachStart(hashStart, t.starts.lengths, p.title, func(h uint64) { p.visit(t.starts.m[h]) })
}

// eachStart calls fn with the hash of each beginning of text whose length is in lengths.
func eachStart(h, lengths uint64, text []byte, fn func(uint64)) {
	done := 0
	for lengths != 0 {
		n := bits.TrailingZeros64(lengths)
		lengths &^= 1 << n
		if n > len(text) {
			return
		}
		h = hashText(h, text[done:n])
		done = n
		fn(h)
	}
}

func (p *probe) visit(b *bucket) {
	if b == nil {
		return
	}
	p.cand = append(p.cand, b.open...)
	for i := range p.ents {
		e := &p.ents[i]
		if b.exact != nil {
			p.cand = append(p.cand, b.exact[e.hash]...)
		}
		if b.nets != nil && e.addr.IsValid() {
			for _, list := range b.nets.Supernets(netip.PrefixFrom(e.addr, e.addr.BitLen())) {
				p.cand = append(p.cand, list...)
			}
		}
		if b.starts != nil {
			h := hashByte(hashText(hashStart, string(e.kind)), 0)
			eachStart(h, b.lengths, p.value(e), func(h uint64) { p.cand = append(p.cand, b.starts[h]...) })
		}
	}
	if len(b.paths) > 0 {
		p.visitLeaves(b)
	}
}

func (p *probe) visitLeaves(b *bucket) {
	fields := p.subject.Alert.Fields
	if len(fields) > maxFields {
		return
	}
	for i := range fields {
		f := &fields[i]
		if _, ok := b.paths[f.Path]; !ok || len(f.Value) > maxSubject {
			continue
		}
		p.scratch = appendFold(p.scratch[:0], f.Value)
		p.cand = append(p.cand, b.exact[leafHash(f.Path, p.scratch)]...)
	}
}
