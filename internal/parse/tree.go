package parse

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of an entity graph. They bound the work and memory that one alert can cause.
const (
	maxNodes      = 60_000
	maxGraphDepth = 64
)

var (
	errNotArray   = errors.New("not a JSON array")
	errGraphLarge = errors.New("more than 60000 values, the rest is left out")
)

type nodeKind uint8

const (
	kindNull nodeKind = iota
	kindString
	kindScalar // numbers and booleans, as written
	kindObject
	kindArray
)

// jnode is one JSON value. Its texts are spans of the tree's arena; children are a chain.
type jnode struct {
	key, keyEnd uint32
	val, valEnd uint32
	first, next int32
	parent      int32
	index       int32 // position among the elements of an array
	kind        nodeKind
}

// none is the index of no node; the root is 0.
const none int32 = -1

// tree is a JSON document in two slices that are used again and again.
type tree struct {
	nodes []jnode
	arena []byte
	dec   jsontext.Decoder
	src   strings.Reader
	deep  bool // something was nested too deeply and left out
}

func (t *tree) reset() {
	t.nodes, t.arena, t.deep = t.nodes[:0], t.arena[:0], false
}

// load reads a JSON array. After an error the values before it are there all the same: log
// stores cut long columns off.
func (t *tree) load(raw string) error {
	t.reset()
	raw = strings.TrimLeft(raw, " \t\r\n\ufeff")
	if raw == "" || raw[0] != '[' {
		return errNotArray
	}
	t.src.Reset(raw)
	t.dec.Reset(&t.src, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	defer t.src.Reset("")
	if err := t.value(none, 0); err != nil {
		return err
	}
	if _, err := t.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("more data behind the array")
	}
	return nil
}

// value reads the next value and hangs it under parent. It returns only errors.
func (t *tree) value(parent int32, depth int) error {
	_, err := t.read(parent, depth)
	return err
}

func (t *tree) read(parent int32, depth int) (int32, error) {
	if len(t.nodes) >= maxNodes {
		return none, errGraphLarge
	}
	k := t.dec.PeekKind()
	if depth > maxGraphDepth && (k == '{' || k == '[') {
		t.deep = true
		return none, t.dec.SkipValue()
	}
	id := int32(len(t.nodes))
	t.nodes = append(t.nodes, jnode{parent: parent, first: none, next: none})
	switch k {
	case '{':
		t.nodes[id].kind = kindObject
		return id, t.object(id, depth)
	case '[':
		t.nodes[id].kind = kindArray
		return id, t.array(id, depth)
	}
	v, err := t.dec.ReadValue()
	if err != nil {
		t.nodes = t.nodes[:id]
		return none, err
	}
	n := &t.nodes[id]
	switch k {
	case '"':
		n.kind = kindString
		n.val, n.valEnd = t.unquote(v)
	case 'n':
	default:
		n.kind = kindScalar
		n.val = uint32(len(t.arena))
		t.arena = append(t.arena, v...)
		n.valEnd = uint32(len(t.arena))
	}
	return id, nil
}

// unquote appends the text of a JSON string; bad encoding becomes U+FFFD.
func (t *tree) unquote(v jsontext.Value) (start, end uint32) {
	start = uint32(len(t.arena))
	if inner := v[1 : len(v)-1]; bytes.IndexByte(inner, '\\') < 0 && isASCII(inner) {
		t.arena = append(t.arena, inner...)
	} else {
		t.arena, _ = jsontext.AppendUnquote(t.arena, v)
	}
	return start, uint32(len(t.arena))
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

func (t *tree) object(id int32, depth int) error {
	if _, err := t.dec.ReadToken(); err != nil {
		return err
	}
	last := none
	for t.dec.PeekKind() != '}' {
		name, err := t.dec.ReadValue()
		if err != nil {
			return err
		}
		key, keyEnd := t.unquote(name)
		child, err := t.read(id, depth+1)
		if child != none {
			t.nodes[child].key, t.nodes[child].keyEnd = key, keyEnd
			t.hang(id, &last, child)
		}
		if err != nil {
			return err
		}
	}
	_, err := t.dec.ReadToken()
	return err
}

func (t *tree) array(id int32, depth int) error {
	if _, err := t.dec.ReadToken(); err != nil {
		return err
	}
	last := none
	for i := int32(0); t.dec.PeekKind() != ']'; i++ {
		child, err := t.read(id, depth+1)
		if child != none {
			t.nodes[child].index = i
			t.hang(id, &last, child)
		}
		if err != nil {
			return err
		}
	}
	_, err := t.dec.ReadToken()
	return err
}

func (t *tree) hang(parent int32, last *int32, child int32) {
	if *last == none {
		t.nodes[parent].first = child
	} else {
		t.nodes[*last].next = child
	}
	*last = child
}

func (t *tree) key(id int32) []byte {
	n := &t.nodes[id]
	return t.arena[n.key:n.keyEnd]
}

// bytes is the text of a string, number or boolean; nothing for other kinds.
func (t *tree) bytes(id int32) []byte {
	if id == none {
		return nil
	}
	n := &t.nodes[id]
	return t.arena[n.val:n.valEnd]
}

// child returns the value of the first of the keys that the object has, compared without
// case, or none. Null counts as absent.
func (t *tree) child(id int32, keys ...string) int32 {
	for _, k := range keys {
		for c := t.nodes[id].first; c != none; c = t.nodes[c].next {
			if n := &t.nodes[c]; n.kind != kindNull && int(n.keyEnd-n.key) == len(k) && foldBytes(t.key(c), k) {
				return c
			}
		}
	}
	return none
}

func foldBytes(b []byte, s string) bool {
	for i := range b {
		if b[i] != s[i] && lower(b[i]) != lower(s[i]) {
			return false
		}
	}
	return true
}
