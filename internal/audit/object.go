package audit

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// ErrUse is returned for an Object that was built wrongly: a repeated or invalid key, a missing
// or superfluous Close, nesting beyond 16.
var ErrUse = errors.New("audit: object built wrongly")

// Object builds one canonical JSON object by appending, without maps. Keys may be given in any
// order; sorted order is the fast one. Errors stick: every method may be called after a failure,
// and Finish returns the first one.
//
// The zero value is ready. An Object may be reused after Reset and is not safe for concurrent use.
type Object struct {
	buf     []byte
	scratch []byte
	fields  []field
	levels  []level
	err     error
}

// field is where a member lies in buf: [start,end) with the key at [start+1,key).
type field struct{ start, key, end int32 }

// level is an open object or array.
type level struct {
	begin  int32 // offset of the first byte after the bracket
	fields int32 // index of its first field
	array  bool
	filled bool
	mixed  bool // keys came out of order
}

// Reset empties the object and keeps its memory.
func (o *Object) Reset() {
	o.buf, o.fields, o.levels, o.err = o.buf[:0], o.fields[:0], o.levels[:0], nil
}

// Str adds a string member; invalid UTF-8 fails with ErrInvalidUTF8.
func (o *Object) Str(key, value string) *Object {
	if o.key(key) {
		o.str(key, value)
	}
	return o
}

// Int adds an integer member; beyond ±MaxInt fails with ErrRange.
func (o *Object) Int(key string, value int64) *Object {
	if o.key(key) {
		o.int(key, value)
	}
	return o
}

// Bool adds a boolean member.
func (o *Object) Bool(key string, value bool) *Object {
	if o.key(key) {
		o.buf = strconv.AppendBool(o.buf, value)
	}
	return o
}

// Strs adds an array of strings.
func (o *Object) Strs(key string, values []string) *Object {
	o.OpenArray(key)
	for _, v := range values {
		o.Item(v)
	}
	return o.Close()
}

// Fragment adds a member that is an object made before.
func (o *Object) Fragment(key string, value Fragment) *Object {
	if o.key(key) {
		o.buf = append(o.buf, value.String()...)
	}
	return o
}

// Open begins an object member; Close ends it.
func (o *Object) Open(key string) *Object {
	if o.key(key) {
		o.open('{')
	}
	return o
}

// OpenArray begins an array member, filled by Item, ItemInt and OpenItem; Close ends it.
func (o *Object) OpenArray(key string) *Object {
	if o.key(key) {
		o.open('[')
	}
	return o
}

// Item adds a string to the open array.
func (o *Object) Item(value string) *Object {
	if o.item() {
		o.str("an array", value)
	}
	return o
}

// ItemInt adds an integer to the open array.
func (o *Object) ItemInt(value int64) *Object {
	if o.item() {
		o.int("an array", value)
	}
	return o
}

// OpenItem begins an object inside the open array; Close ends it.
func (o *Object) OpenItem() *Object {
	if o.item() {
		o.open('{')
	}
	return o
}

// Close ends the object or array that was opened last.
func (o *Object) Close() *Object {
	if o.err != nil {
		return o
	}
	if len(o.levels) < 2 {
		return o.fail(fmt.Errorf("%w: Close without Open", ErrUse))
	}
	o.close()
	return o
}

// Finish returns what was built as a Fragment of its own memory, or the first error. The
// Object must be Reset before it is used again.
func (o *Object) Finish() (Fragment, error) {
	o.root()
	if o.err != nil {
		return Fragment{}, o.err
	}
	if len(o.levels) != 1 {
		return Fragment{}, fmt.Errorf("%w: %d objects or arrays left open", ErrUse, len(o.levels)-1)
	}
	o.close()
	if o.err != nil {
		return Fragment{}, o.err
	}
	return Fragment{string(o.buf)}, nil
}

// root opens the outermost object of an Object that was not used yet.
func (o *Object) root() {
	if len(o.levels) == 0 && o.err == nil {
		o.open('{')
	}
}

func (o *Object) fail(err error) *Object {
	if o.err == nil {
		o.err = err
	}
	return o
}

func (o *Object) str(key, value string) {
	var ok bool
	if o.buf, ok = appendQuoted(o.buf, value); !ok {
		o.fail(fmt.Errorf("%w: in %s", ErrInvalidUTF8, key))
	}
}

func (o *Object) int(key string, value int64) {
	if value > MaxInt || value < -MaxInt {
		o.fail(fmt.Errorf("%w: %d in %s", ErrRange, value, key))
		return
	}
	o.buf = strconv.AppendInt(o.buf, value, 10)
}

func (o *Object) open(bracket byte) {
	if len(o.levels) == maxDepth {
		o.fail(fmt.Errorf("%w: nested deeper than %d", ErrUse, maxDepth))
		return
	}
	o.buf = append(o.buf, bracket)
	o.levels = append(o.levels, level{begin: int32(len(o.buf)), fields: int32(len(o.fields)), array: bracket == '['})
}

// key starts a member and reports whether its value may follow.
func (o *Object) key(key string) bool {
	o.root()
	if o.err != nil {
		return false
	}
	top := &o.levels[len(o.levels)-1]
	if top.array || !validKey(key) {
		o.fail(fmt.Errorf("%w: key %q in an array or not printable ASCII", ErrUse, key))
		return false
	}
	if top.filled {
		prev := &o.fields[len(o.fields)-1]
		prev.end = int32(len(o.buf))
		if string(o.buf[prev.start+1:prev.key]) >= key {
			top.mixed = true
		}
		o.buf = append(o.buf, ',')
	}
	top.filled = true
	start := int32(len(o.buf))
	o.buf = append(o.buf, '"')
	o.buf = append(o.buf, key...)
	o.fields = append(o.fields, field{start: start, key: int32(len(o.buf))})
	o.buf = append(o.buf, '"', ':')
	return true
}

func (o *Object) item() bool {
	o.root()
	if o.err != nil {
		return false
	}
	top := &o.levels[len(o.levels)-1]
	if !top.array {
		o.fail(fmt.Errorf("%w: item outside an array", ErrUse))
		return false
	}
	if top.filled {
		o.buf = append(o.buf, ',')
	}
	top.filled = true
	return true
}

func (o *Object) close() {
	top := o.levels[len(o.levels)-1]
	o.levels = o.levels[:len(o.levels)-1]
	if top.array {
		o.buf = append(o.buf, ']')
		return
	}
	if top.mixed {
		o.fields[len(o.fields)-1].end = int32(len(o.buf))
		o.sort(top)
	}
	o.fields = o.fields[:top.fields]
	o.buf = append(o.buf, '}')
}

// sort puts the members of a level into the order of their keys.
func (o *Object) sort(l level) {
	fields := o.fields[l.fields:]
	slices.SortStableFunc(fields, func(a, b field) int {
		return slices.Compare(o.buf[a.start+1:a.key], o.buf[b.start+1:b.key])
	})
	o.scratch = o.scratch[:0]
	for i, f := range fields {
		if i > 0 {
			o.scratch = append(o.scratch, ',')
			if prev := fields[i-1]; string(o.buf[prev.start:prev.key]) == string(o.buf[f.start:f.key]) {
				o.fail(fmt.Errorf("%w: key %q twice", ErrUse, o.buf[f.start+1:f.key]))
				return
			}
		}
		o.scratch = append(o.scratch, o.buf[f.start:f.end]...)
	}
	o.buf = append(o.buf[:l.begin], o.scratch...)
}
