package feed

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// SyntaxError says where a JSON document stops being one.
type SyntaxError struct {
	Offset int64 // bytes from the beginning, after decompression
	Err    error
}

// Error implements error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("not valid JSON at byte %d: %v", e.Offset, e.Err)
}

// Unwrap implements errors.Unwrap.
func (e *SyntaxError) Unwrap() error { return e.Err }

// Lenient are the options under which JSON of other people is decoded: duplicate names and
// broken text are theirs to answer for and no reason to lose the rest.
func Lenient() []json.Options {
	return []json.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
}

// MaxElement bounds one element of an array in bytes.
const MaxElement = 64 << 20

// Text is a JSON value of which only the text matters: exports disagree on whether ids and
// times are strings or numbers.
type Text string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (t *Text) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	raw, err := dec.ReadValue()
	if err != nil {
		return err
	}
	switch raw.Kind() {
	case '"':
		b, err := jsontext.AppendUnquote(nil, raw)
		*t = Text(b)
		if len(b) > 0 {
			return nil // invalid UTF-8 was replaced
		}
		return err
	case '0', 't', 'f':
		*t = Text(raw)
	default:
		*t = ""
	}
	return nil
}

// EachMember reads an object and calls fn at the value of every member; fn consumes it.
func EachMember(dec *jsontext.Decoder, fn func(name string) error) error {
	if dec.PeekKind() != '{' {
		return jsonError(dec, errors.New("an object was expected"))
	}
	if _, err := dec.ReadToken(); err != nil {
		return jsonError(dec, err)
	}
	for dec.PeekKind() == '"' {
		key, err := dec.ReadToken()
		if err != nil {
			return jsonError(dec, err)
		}
		if err := fn(key.String()); err != nil {
			return err
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return jsonError(dec, err)
	}
	return nil
}

// EachElement reads an array and calls fn with every element, or with the value itself when
// it is none. The bytes are valid during the call.
func EachElement(dec *jsontext.Decoder, fn func(i int, raw jsontext.Value) error) error {
	if dec.PeekKind() != '[' {
		raw, err := dec.ReadValue()
		if err != nil {
			return jsonError(dec, err)
		}
		return fn(0, raw)
	}
	if _, err := dec.ReadToken(); err != nil {
		return jsonError(dec, err)
	}
	for i := 0; dec.PeekKind() != ']'; i++ {
		raw, err := dec.ReadValue()
		if err != nil {
			return jsonError(dec, err)
		}
		if len(raw) > MaxElement {
			return jsonError(dec, fmt.Errorf("an element is larger than %d bytes", MaxElement))
		}
		if err := fn(i, raw); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return jsonError(dec, err)
}

// jsonError gives a syntax error its place once; other errors pass.
func jsonError(dec *jsontext.Decoder, err error) error {
	if err == nil || errors.Is(err, ErrTooLarge) {
		return err
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return &SyntaxError{Offset: dec.InputOffset(), Err: err}
}

// Skip consumes a value of no interest.
func Skip(dec *jsontext.Decoder) error { return jsonError(dec, dec.SkipValue()) }

// True reports whether the text is one of the ways to say so.
func (t Text) True() bool { return t == "true" || t == "1" }
