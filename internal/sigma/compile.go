package sigma

import (
	"fmt"
	"slices"
	"strings"
)

// Compile builds a set. Rules that need placeholders which the options lack are left out and
// named by Problems.
func Compile(rules []*Rule, o Options) *Set {
	c := &compiler{
		set:   &Set{fieldMap: o.Fields, ids: make(map[string]int32)},
		tests: make(map[string]int32),
		logs:  make(map[Logsource]int32),
		plan:  planner{fieldOf: make(map[*test]int32), popular: make(map[clue]int), memo: make(map[*expr]plan)},
		posts: make(map[clue]int32),
	}
	for _, names := range [][]string{originFields, commandFields, {DecodedCommand}} {
		for _, n := range names {
			c.field(n)
		}
	}
	for _, n := range commandFields {
		c.set.fields[c.field(n)].command = true
	}
	for _, r := range rules {
		c.add(r, o)
	}
	c.index()
	c.stats()
	return c.set
}

type compiler struct {
	set   *Set
	tests map[string]int32
	logs  map[Logsource]int32
	roots []*expr
	plan  planner
	posts map[clue]int32
	// nodes and efforts are those of the rule at hand.
	nodes   map[*expr]int32
	efforts map[*expr]int
}

func (c *compiler) field(name string) int32 {
	id, ok := c.set.ids[name]
	if !ok {
		id = int32(len(c.set.fields))
		c.set.ids[name] = id
		c.set.fields = append(c.set.fields, field{name: name})
	}
	return id
}

func (c *compiler) add(r *Rule, o Options) {
	root := r.root
	if r.deferred != nil {
		var p *problem
		if root, _, p = buildDetection(r.deferred.node, o.Placeholders, false); p != nil {
			c.set.problems = append(c.set.problems, p.in(r.File, r))
			return
		}
	}
	key := r.Logsource
	key.Definition = ""
	ls, ok := c.logs[key]
	if !ok {
		ls = int32(len(c.set.logsources))
		c.logs[key] = ls
		c.set.logsources = append(c.set.logsources, key)
	}
	c.nodes, c.efforts = make(map[*expr]int32), make(map[*expr]int)
	c.set.rules = append(c.set.rules, compiledRule{rule: r, root: c.node(root), logsource: ls})
	c.roots = append(c.roots, root)
	c.plan.count(root)
}

func (c *compiler) node(e *expr) int32 {
	if id, ok := c.nodes[e]; ok {
		return id
	}
	n := node{op: e.op, n: int32(e.n)}
	if e.op == opTest {
		n.test = c.test(e.test)
	}
	for _, k := range e.kids {
		n.written = append(n.written, c.node(k))
	}
	n.kids = n.written
	if len(e.kids) > 1 {
		sorted := slices.Clone(e.kids)
		slices.SortStableFunc(sorted, func(a, b *expr) int { return c.effort(a) - c.effort(b) })
		n.kids = make([]int32, len(sorted))
		for i, k := range sorted {
			n.kids[i] = c.nodes[k]
		}
	}
	id := int32(len(c.set.nodes))
	c.set.nodes = append(c.set.nodes, n)
	c.nodes[e] = id
	return id
}

// effort estimates what evaluating costs, so that cheap tests go first.
func (c *compiler) effort(e *expr) int {
	if n, ok := c.efforts[e]; ok {
		return n
	}
	n := 1
	if e.test != nil {
		n = e.test.effort()
	}
	for _, k := range e.kids {
		n = min(n+c.effort(k), 1<<20)
	}
	c.efforts[e] = n
	return n
}

func (t *test) effort() int {
	n := 1 + len(t.numbers)*2 + (len(t.nets)+len(t.clocks)+len(t.refs))*10 + len(t.regexps)*200
	for i := range t.patterns {
		switch t.patterns[i].kind {
		case matchContains:
			n += 4
		case matchGlob:
			n += 8
		default:
			n++
		}
	}
	if t.keyword {
		n *= 30
	}
	return n
}

// test interns a test, so that rules that ask the same of an event share the answer.
func (c *compiler) test(t *test) int32 {
	f := anyField
	if !t.keyword {
		f = c.field(t.field)
	}
	c.plan.fieldOf[t] = f
	key := t.key()
	if id, ok := c.tests[key]; ok {
		return id
	}
	ct := compiledTest{test: t, field: f}
	for _, r := range t.refs {
		ct.refs = append(ct.refs, c.field(r.field))
	}
	id := int32(len(c.set.tests))
	c.set.tests = append(c.set.tests, ct)
	c.tests[key] = id
	return id
}

func (t *test) key() string {
	var b strings.Builder
	w := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format, args...) }
	w("%q %t %t %t %t %t %t", t.field, t.keyword, t.not, t.null, t.empty, t.exists, t.missing)
	for i := range t.patterns {
		p := &t.patterns[i]
		w(" p%d%t%t%t%q", p.kind, p.cased, p.head, p.tail, p.lit)
		for _, seg := range p.segs {
			w("[")
			for _, e := range seg {
				w("%d%q", e.kind, e.lit)
			}
			w("]")
		}
	}
	for _, re := range t.regexps {
		w(" r%q", re.String())
	}
	for _, n := range t.nets {
		w(" n%s", n)
	}
	for _, n := range t.numbers {
		w(" c%d:%g", n.op, n.num)
	}
	for _, n := range t.clocks {
		w(" t%d:%d:%g", n.part, n.op, n.num)
	}
	for _, r := range t.refs {
		w(" f%q%d%t", r.field, r.kind, r.cased)
	}
	return b.String()
}

// index chooses each rule's clues and puts them into the indexes.
func (c *compiler) index() {
	s := c.set
	c.plan.rules = float64(max(len(s.rules), 1))
	byLength := [2]map[string][]int32{{}, {}}
	keywordLogs := make(map[int32]bool)
	for i, root := range c.roots {
		p := c.plan.choose(root)
		if len(p.clues) == 0 {
			s.always = append(s.always, int32(i))
			continue
		}
		for _, cl := range p.clues {
			if cl.field == anyField {
				keywordLogs[s.rules[i].logsource] = true
			}
			c.post(cl, int32(i), byLength)
		}
	}
	for ls := range keywordLogs {
		s.keywordLogs = append(s.keywordLogs, ls)
	}
	slices.Sort(s.keywordLogs)
	s.grams = [2]*gramIndex{newGramIndex(4, byLength[0]), newGramIndex(3, byLength[1])}
}

func (c *compiler) post(cl clue, rule int32, byLength [2]map[string][]int32) {
	s := c.set
	id, ok := c.posts[cl]
	if !ok {
		id = int32(len(s.posts))
		c.posts[cl] = id
		s.posts = append(s.posts, posting{field: cl.field, kind: cl.kind})
		switch {
		case cl.kind == litEqual:
			f := &s.fields[cl.field]
			if f.equal == nil {
				f.equal = make(map[string]int32)
			}
			f.equal[cl.text] = id
			f.maxEqual = max(f.maxEqual, len(cl.text))
		default:
			texts := byLength[0]
			if len(cl.text) == shortest {
				texts = byLength[1]
			}
			texts[cl.text] = append(texts[cl.text], id)
			if cl.field != anyField {
				s.fields[cl.field].scanned = true
			}
		}
	}
	p := &s.posts[id]
	if last := len(p.rules) - 1; last < 0 || p.rules[last] != rule {
		p.rules = append(p.rules, rule)
	}
}

func (c *compiler) stats() {
	s := c.set
	s.stats = Stats{
		Rules: len(s.rules), Always: len(s.always), Literals: len(s.posts),
		Fields: len(s.fields), Tests: len(s.tests), Logsources: len(s.logsources),
	}
}
