package alert

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// Kind is the JSON kind of a leaf.
type Kind uint8

// The kinds of leaves.
const (
	KindString Kind = iota
	KindNumber
	KindBool
	KindNull
	// KindEmpty is an empty object or array: the key exists and holds nothing.
	KindEmpty
)

// Field is one leaf of a native record.
type Field struct {
	// Path joins the object keys by dots; positions in arrays are left out, so the members of
	// an array share a path: {"rule":{"id":[7]}} has the path "rule.id". A key that contains
	// dots itself reads like nested keys, as in ECS.
	Path string
	// Pointer is the JSON pointer (RFC 6901) of the leaf.
	Pointer string
	// Value is the text of the leaf: a string unescaped, numbers and booleans as written,
	// null and empty containers as the empty string.
	Value string
	Kind  Kind
}

// Fields is a flattened native record in document order.
type Fields []Field

// Get returns the value of the first leaf with that path, or "".
func (f Fields) Get(path string) string {
	if x := f.Find(path); x != nil {
		return x.Value
	}
	return ""
}

// Find returns the first leaf with that path, or nil.
func (f Fields) Find(path string) *Field {
	for i := range f {
		if f[i].Path == path {
			return &f[i]
		}
	}
	return nil
}

// First returns the first non-empty value among the paths, in the order of the paths.
func (f Fields) First(paths ...string) string {
	for _, p := range paths {
		if v := f.Get(p); v != "" {
			return v
		}
	}
	return ""
}

// All returns the non-empty values of every leaf with that path.
func (f Fields) All(path string) []string {
	var out []string
	for i := range f {
		if f[i].Path == path && f[i].Value != "" {
			out = append(out, f[i].Value)
		}
	}
	return out
}

// Has reports whether a leaf has that path or lies below it.
func (f Fields) Has(path string) bool {
	for i := range f {
		p := f[i].Path
		if len(p) >= len(path) && p[:len(path)] == path && (len(p) == len(path) || p[len(path)] == '.') {
			return true
		}
	}
	return false
}

// Limits of a native record. They bound the work that one hostile record can cause.
const (
	MaxDepth  = 64      // levels of nesting
	MaxFields = 20_000  // leaves
	MaxRecord = 8 << 20 // bytes
)

var (
	// ErrTooDeep says that a record is nested deeper than MaxDepth.
	ErrTooDeep = fmt.Errorf("alert: record is nested deeper than %d levels", MaxDepth)
	// ErrTooManyFields says that a record has more than MaxFields leaves.
	ErrTooManyFields = fmt.Errorf("alert: record has more than %d values", MaxFields)
	// ErrTooLarge says that a record is larger than MaxRecord.
	ErrTooLarge = fmt.Errorf("alert: record is larger than %d bytes", MaxRecord)
	// ErrNotObject says that a record is valid JSON but no object.
	ErrNotObject = errors.New("alert: record is not a JSON object")
)

// Flattener turns JSON records into Fields. Paths and pointers are built once per shape of
// record and shared, so a stream of like records costs two allocations each. A Flattener is
// safe for concurrent use.
type Flattener struct{ pool sync.Pool }

// maxNodes bounds the memory that keys chosen by an attacker can pin in one pooled worker.
const maxNodes = 8192

type node struct {
	path, pointer string
	keys          map[string]*node
	items         []*node
}

type flattenWorker struct {
	dec   jsontext.Decoder
	buf   bytes.Buffer
	root  *node
	nodes int
	arena []byte
	ends  []int
	out   []Field
}

// Flatten reads one JSON object. The Fields do not refer to raw. Errors name the byte offset.
func (f *Flattener) Flatten(raw []byte) (Fields, error) {
	if len(raw) > MaxRecord {
		return nil, ErrTooLarge
	}
	w, _ := f.pool.Get().(*flattenWorker)
	if w == nil || w.nodes > maxNodes {
		w = &flattenWorker{root: &node{}}
	}
	defer f.pool.Put(w)
	return w.flatten(raw)
}

func (w *flattenWorker) flatten(raw []byte) (Fields, error) {
	w.buf = *bytes.NewBuffer(raw)
	w.dec.Reset(&w.buf, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	w.arena, w.ends, w.out = w.arena[:0], w.ends[:0], w.out[:0]
	defer func() { w.buf = bytes.Buffer{} }()
	if k := w.dec.PeekKind(); k != '{' {
		if _, err := w.dec.ReadValue(); err != nil {
			return nil, w.wrap(err)
		}
		return nil, ErrNotObject
	}
	if err := w.value(w.root, 0); err != nil {
		return nil, w.wrap(err)
	}
	if _, err := w.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("alert: more data after the record, at byte %d", w.dec.InputOffset())
	}
	text := string(w.arena)
	fields := make(Fields, len(w.out))
	start := 0
	for i, x := range w.out {
		x.Value = text[start:w.ends[i]]
		start = w.ends[i]
		fields[i] = x
	}
	return fields, nil
}

func (w *flattenWorker) wrap(err error) error {
	if errors.Is(err, ErrTooDeep) || errors.Is(err, ErrTooManyFields) {
		return fmt.Errorf("%w, at byte %d", err, w.dec.InputOffset())
	}
	return fmt.Errorf("alert: not valid JSON: %w", err)
}

func (w *flattenWorker) value(n *node, depth int) error {
	if depth > MaxDepth {
		return ErrTooDeep
	}
	switch k := w.dec.PeekKind(); k {
	case '{':
		return w.object(n, depth)
	case '[':
		return w.array(n, depth)
	default:
		v, err := w.dec.ReadValue()
		if err != nil {
			return err
		}
		return w.leaf(n, k, v)
	}
}

func (w *flattenWorker) object(n *node, depth int) error {
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	empty := true
	for w.dec.PeekKind() != '}' {
		empty = false
		key, err := w.dec.ReadValue()
		if err != nil {
			return err
		}
		child, err := w.child(n, key)
		if err != nil {
			return err
		}
		if err := w.value(child, depth+1); err != nil {
			return err
		}
	}
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	if empty {
		return w.add(n, KindEmpty)
	}
	return nil
}

func (w *flattenWorker) array(n *node, depth int) error {
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	i := 0
	for w.dec.PeekKind() != ']' {
		if err := w.value(w.item(n, i), depth+1); err != nil {
			return err
		}
		i++
	}
	if _, err := w.dec.ReadToken(); err != nil {
		return err
	}
	if i == 0 {
		return w.add(n, KindEmpty)
	}
	return nil
}

func (w *flattenWorker) leaf(n *node, k jsontext.Kind, v jsontext.Value) error {
	kind := KindString
	switch k {
	case '"':
		b, err := jsontext.AppendUnquote(w.arena, v)
		if err != nil && !isUTF8Error(err) {
			return err
		}
		w.arena = b
	case '0':
		kind = KindNumber
		w.arena = append(w.arena, v...)
	case 't', 'f':
		kind = KindBool
		w.arena = append(w.arena, v...)
	default:
		kind = KindNull
	}
	return w.add(n, kind)
}

// isUTF8Error tells an invalid encoding, which AppendUnquote replaces by U+FFFD, from a
// syntax error, which it cannot mend.
func isUTF8Error(err error) bool { return strings.Contains(err.Error(), "UTF-8") }

func (w *flattenWorker) add(n *node, k Kind) error {
	if len(w.out) >= MaxFields {
		return ErrTooManyFields
	}
	w.out = append(w.out, Field{Path: n.path, Pointer: n.pointer, Kind: k})
	w.ends = append(w.ends, len(w.arena))
	return nil
}

func (w *flattenWorker) child(n *node, quoted jsontext.Value) (*node, error) {
	if c := n.keys[string(quoted)]; c != nil {
		return c, nil
	}
	b, err := jsontext.AppendUnquote(nil, quoted)
	if err != nil && !isUTF8Error(err) {
		return nil, err
	}
	key := string(b)
	c := &node{path: key, pointer: n.pointer + "/" + pointerEscaper.Replace(key)}
	if n.path != "" {
		c.path = n.path + "." + key
	}
	if w.nodes <= maxNodes {
		if n.keys == nil {
			n.keys = make(map[string]*node)
		}
		n.keys[string(quoted)] = c
	}
	w.nodes++
	return c, nil
}

func (w *flattenWorker) item(n *node, i int) *node {
	if i < len(n.items) {
		return n.items[i]
	}
	c := &node{path: n.path, pointer: n.pointer + "/" + strconv.Itoa(i)}
	if i == len(n.items) && w.nodes <= maxNodes {
		n.items = append(n.items, c)
	}
	w.nodes++
	return c
}

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")
