package parse

import (
	"errors"
	"strconv"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
)

// maxDenseID is the largest numeric $id that is looked up by position.
const maxDenseID = 4096

// graph walks the entity graph of an alert: a JSON array of objects with Type, where an
// object with $ref stands for the one with that $id, before or behind it. Objects nested in
// others count as well. References are followed one at a time and never while walking, so
// cycles cost nothing.
type graph struct {
	tree
	c     *collector
	dense []int32
	named map[string]int32
	place []byte
}

// parse adds the entities of raw and says whether raw was a JSON array at all.
func (g *graph) parse(raw string, c *collector) bool {
	g.c = c
	err := g.load(raw)
	if errors.Is(err, errNotArray) {
		return false
	}
	if err != nil {
		c.note("/Entities", err.Error())
	}
	if g.deep {
		c.note("/Entities", "nested deeper than "+strconv.Itoa(maxGraphDepth)+" levels, the deeper part is left out")
	}
	g.index()
	for id := range g.nodes {
		if g.nodes[id].kind == kindObject && !c.fullE {
			g.object(int32(id))
		}
	}
	return true
}

// index remembers where every $id is. Of two equal ids the first counts.
func (g *graph) index() {
	g.dense = g.dense[:0]
	clear(g.named)
	for id := range g.nodes {
		if g.nodes[id].kind != kindObject {
			continue
		}
		ref := g.bytes(g.child(int32(id), "$id"))
		if len(ref) == 0 && g.child(int32(id), "kind") != none {
			ref = g.bytes(g.child(int32(id), "name")) // as the management interface names them
		}
		if len(ref) == 0 {
			continue
		}
		if n, ok := smallNumber(ref); ok {
			for len(g.dense) <= n {
				g.dense = append(g.dense, none)
			}
			if g.dense[n] == none {
				g.dense[n] = int32(id)
			}
			continue
		}
		if g.named == nil {
			g.named = make(map[string]int32)
		}
		if _, ok := g.named[string(ref)]; !ok {
			g.named[string(ref)] = int32(id)
		}
	}
}

func smallNumber(b []byte) (int, bool) {
	if len(b) == 0 || len(b) > 4 || b[0] == '0' && len(b) > 1 {
		return 0, false
	}
	n := 0
	for _, d := range b {
		if !isDigit(d) {
			return 0, false
		}
		n = n*10 + int(d-'0')
	}
	return n, n <= maxDenseID
}

// resolve follows $ref to the object it names, a few steps at most.
func (g *graph) resolve(id int32) int32 {
	for step := 0; id != none && step < 8; step++ {
		ref := g.bytes(g.child(id, "$ref"))
		if len(ref) == 0 {
			return id
		}
		next := none
		if n, ok := smallNumber(ref); ok {
			if n < len(g.dense) {
				next = g.dense[n]
			}
		} else if to, ok := g.named[string(ref)]; ok {
			next = to
		}
		id = next
	}
	return none
}

// impliedTypes are the entities that stand under a key of their own and may leave Type out.
var impliedTypes = map[string]string{
	"imagefile": "file", "parentprocess": "process", "filehashes": "filehash",
	"host": "host", "account": "account",
}

// object adds the entity that the object is, if it is one.
func (g *graph) object(id int32) {
	if g.child(id, "$ref") != none {
		return
	}
	stated := g.bytes(g.child(id, "Type"))
	if len(stated) == 0 {
		if stated = g.bytes(g.child(id, "kind")); len(stated) == 0 || g.child(id, "properties") == none {
			stated = g.implied(id)
		}
	}
	if len(stated) == 0 || len(stated) > 64 {
		return
	}
	var buf [64]byte
	name := buf[:0]
	for _, b := range stated {
		if b != '-' && b != '_' && b != ' ' {
			name = append(name, lower(b))
		}
	}
	if build, ok := builders[string(name)]; ok {
		build(g, id)
		return
	}
	if !otherTypes[string(name)] && g.topLevel(id) {
		g.c.note(g.where(id), "unknown entity type "+strconv.Quote(clean(string(stated), plainText)))
	}
}

// implied is the type that the key of an object gives away; those under an array have none.
func (g *graph) implied(id int32) []byte {
	parent := g.nodes[id].parent
	if parent == none {
		return nil
	}
	key := g.key(id)
	if g.nodes[parent].kind == kindArray {
		key = g.key(parent)
	}
	if len(key) > 16 {
		return nil
	}
	var buf [16]byte
	low := buf[:len(key)]
	for i, b := range key {
		low[i] = lower(b)
	}
	if t, ok := impliedTypes[string(low)]; ok {
		return []byte(t)
	}
	return nil
}

// topLevel says whether the object is an element of the graph's own array.
func (g *graph) topLevel(id int32) bool { return g.nodes[id].parent == 0 }

// where is the place of an object: by its id when it has one, else by its path.
func (g *graph) where(id int32) string {
	if ref := g.bytes(g.child(id, "$id")); len(ref) > 0 {
		return "/Entities#" + clean(string(ref), plainText)
	}
	g.place = g.place[:0]
	g.path(id)
	return "/Entities" + string(g.place)
}

func (g *graph) path(id int32) {
	parent := g.nodes[id].parent
	if parent == none {
		return
	}
	g.path(parent)
	g.place = append(g.place, '/')
	if g.nodes[parent].kind == kindArray {
		g.place = strconv.AppendInt(g.place, int64(g.nodes[id].index), 10)
		return
	}
	for _, b := range g.key(id) {
		switch b {
		case '~':
			g.place = append(g.place, "~0"...)
		case '/':
			g.place = append(g.place, "~1"...)
		default:
			g.place = append(g.place, b)
		}
	}
}

// field finds a value of an entity: in the object, or in its "properties" as the management
// interface of the source returns it.
func (g *graph) field(id int32, keys ...string) int32 {
	if v := g.child(id, keys...); v != none {
		return v
	}
	if p := g.child(id, "properties"); p != none && g.nodes[p].kind == kindObject {
		return g.child(p, keys...)
	}
	return none
}

// text is a field as a clean string; "" when it is absent or no scalar.
func (g *graph) text(id int32, set charset, keys ...string) string {
	b := g.bytes(g.field(id, keys...))
	if len(b) == 0 {
		return ""
	}
	return clean(string(b), set)
}

// linked is the object that a field holds or refers to, or none.
func (g *graph) linked(id int32, keys ...string) int32 {
	v := g.field(id, keys...)
	if v == none {
		return none
	}
	switch g.nodes[v].kind {
	case kindObject:
		return g.resolve(v)
	case kindString: // the management interface refers by plain id
		if to, ok := g.named[string(g.bytes(v))]; ok {
			return to
		}
	}
	return none
}

// each calls fn for every element of a field that is an array, or for the field itself.
func (g *graph) each(id int32, fn func(int32), keys ...string) {
	v := g.field(id, keys...)
	if v == none {
		return
	}
	if g.nodes[v].kind != kindArray {
		fn(v)
		return
	}
	for e := g.nodes[v].first; e != none; e = g.nodes[e].next {
		fn(e)
	}
}

// entity starts an entity that the graph states.
func (g *graph) entity(id int32, t alert.EntityType, value string) alert.Entity {
	e := alert.Entity{Type: t, Value: value, Confidence: 1, Ref: g.where(id)}
	e.SourceID = strings.TrimPrefix(e.Ref, "/Entities#")
	if e.SourceID == e.Ref {
		e.SourceID = g.text(id, plainText, "id")
	}
	if b := g.key(id); len(b) == len("ParentProcess") && foldBytes(b, "ParentProcess") {
		e.Role = alert.RoleParent
	}
	return e
}

func (g *graph) put(e alert.Entity) {
	g.c.stated(e.Type, e.Value, e.Confidence, e.Ref)
	g.c.add(e)
}

// missing notes that an entity has nothing to be known by.
func (g *graph) missing(id int32, what string) { g.c.note(g.where(id), what) }
