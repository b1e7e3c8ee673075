package eval

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// leaf is one value of a native record, as a transformation sees it.
type leaf struct {
	// path joins the object keys by dots, without positions in arrays, in lower case.
	path string
	text string
	// number says that the value stands without quotes.
	number bool
}

// key is the last element of the path.
func (l *leaf) key() string { return l.path[strings.LastIndexByte(l.path, '.')+1:] }

var readOptions = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// rewrite replaces strings and numbers of a JSON record by what fn returns for them and keeps
// every other byte. Keys, booleans and nulls stay. A number that fn turns into something else
// becomes a string.
func rewrite(raw []byte, fn func(leaf) string) ([]byte, error) {
	dec := jsontext.NewDecoder(bytes.NewReader(raw), readOptions...)
	out := make([]byte, 0, len(raw)+len(raw)/8)
	copied := 0
	w := walker{}
	for {
		kind := dec.PeekKind()
		if kind != '"' && kind != '0' {
			tok, err := dec.ReadToken()
			if errors.Is(err, io.EOF) {
				return append(out, raw[copied:]...), nil
			}
			if err != nil {
				return nil, fmt.Errorf("rewrite a record, at byte %d: %w", dec.InputOffset(), err)
			}
			w.structure(tok.Kind())
			continue
		}
		v, err := dec.ReadValue()
		if err != nil {
			return nil, fmt.Errorf("rewrite a record, at byte %d: %w", dec.InputOffset(), err)
		}
		end := int(dec.InputOffset())
		l := leaf{text: string(v), number: kind == '0'}
		if !l.number {
			b, err := jsontext.AppendUnquote(nil, v)
			if err != nil && b == nil {
				return nil, fmt.Errorf("rewrite a record, at byte %d: %w", end, err)
			}
			l.text = string(b)
		}
		if w.name(l.text) {
			continue
		}
		l.path = w.path()
		if got := fn(l); got != l.text {
			out = append(out, raw[copied:end-len(v)]...)
			if out, err = appendLeaf(out, got, l.number); err != nil {
				return nil, err
			}
			copied = end
		}
	}
}

// appendLeaf writes a value; what was a number stays one if it can.
func appendLeaf(out []byte, text string, number bool) ([]byte, error) {
	if number && jsontext.Value(text).IsValid() {
		return append(out, text...), nil
	}
	b, err := jsontext.AppendQuote(out, text)
	if err != nil {
		// Invalid UTF-8 becomes the replacement character; the bytes appended are valid.
		return b, nil //nolint:nilerr // AppendQuote reports what it mended
	}
	return b, nil
}

// walker follows the tokens of a record and knows the path of the next value.
type walker struct {
	stack []level
}

type level struct {
	object bool
	key    string
	// hasKey says that the next value belongs to key.
	hasKey bool
}

func (w *walker) structure(k jsontext.Kind) {
	switch k {
	case '{', '[':
		w.stack = append(w.stack, level{object: k == '{'})
	case '}', ']':
		w.stack = w.stack[:len(w.stack)-1]
		w.valueDone()
	default:
		w.valueDone()
	}
}

// name takes a string that is a key of an object and reports whether it was one.
func (w *walker) name(s string) bool {
	if n := len(w.stack); n > 0 && w.stack[n-1].object && !w.stack[n-1].hasKey {
		w.stack[n-1].key, w.stack[n-1].hasKey = s, true
		return true
	}
	return false
}

// path is that of the value just read; it also notes that the value is done.
func (w *walker) path() string {
	var b strings.Builder
	for _, l := range w.stack {
		if !l.object {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(strings.ToLower(l.key))
	}
	w.valueDone()
	return b.String()
}

func (w *walker) valueDone() {
	if n := len(w.stack); n > 0 {
		w.stack[n-1].hasKey = false
	}
}

// each calls fn for every string and number of a record.
func each(raw []byte, fn func(leaf)) error {
	_, err := rewrite(raw, func(l leaf) string {
		fn(l)
		return l.text
	})
	return err
}
