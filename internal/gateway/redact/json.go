package redact

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrJSON says that bytes are not JSON.
var ErrJSON = errors.New("redact: not JSON")

// maxNested is how deep JSON inside strings of JSON is followed.
const maxNested = 4

// RedactJSON redacts the strings of a JSON document, keys included, knowing the field that each
// stands in, and JSON inside of strings as well. A number that must go becomes a string. All else
// stays as it is, to the byte.
func (s *Session) RedactJSON(raw []byte) ([]byte, error) {
	return s.redactJSON(raw, 0)
}

func (s *Session) redactJSON(raw []byte, depth int) ([]byte, error) {
	var name string
	return eachLiteral(raw, func(out, literal []byte, kind jsontext.Kind, isKey bool) ([]byte, error) {
		if kind == '0' {
			text := string(literal)
			if got := s.RedactField(name, text); got != text {
				return jsontext.AppendQuote(out, got)
			}
			return append(out, literal...), nil
		}
		text, err := unquote(literal)
		if err != nil {
			return nil, err
		}
		var got string
		switch {
		case isKey:
			name = text
			got = s.Redact(text)
		case depth < maxNested && looksLikeJSON(text):
			inner, err := s.redactJSON([]byte(text), depth+1)
			if err != nil {
				got = s.RedactField(name, text)
			} else {
				got = string(inner)
			}
		default:
			got = s.RedactField(name, text)
		}
		if got == text {
			return append(out, literal...), nil
		}
		return jsontext.AppendQuote(out, got)
	})
}

func looksLikeJSON(s string) bool {
	s = strings.TrimSpace(s)
	return len(s) >= 2 && (s[0] == '{' && s[len(s)-1] == '}' || s[0] == '[' && s[len(s)-1] == ']')
}

// RestoreJSON restores inside the strings of a JSON document and escapes what it puts there.
// JSON inside of strings is not looked into: values are escaped once. Bytes of a value that are
// not UTF-8 cannot stand in JSON and become U+FFFD.
func (s *Session) RestoreJSON(raw []byte) (restored []byte, unknown []string, err error) {
	restored, err = eachLiteral(raw, func(out, literal []byte, kind jsontext.Kind, _ bool) ([]byte, error) {
		if kind == '0' || bytes.IndexByte(literal, '-') < 0 && bytes.IndexByte(literal, '\\') < 0 {
			return append(out, literal...), nil
		}
		text, err := unquote(literal)
		if err != nil {
			return nil, err
		}
		got, odd := s.Restore(text)
		for _, t := range odd {
			if len(unknown) < maxUnknown {
				unknown = append(unknown, t)
			}
		}
		if got == text {
			return append(out, literal...), nil
		}
		return jsontext.AppendQuote(out, strings.ToValidUTF8(got, "\uFFFD"))
	})
	return restored, unique(unknown), err
}

func unique(list []string) []string {
	var out []string
	seen := make(map[string]bool, len(list))
	for _, v := range list {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

func unquote(literal []byte) (string, error) {
	text, err := jsontext.AppendUnquote(nil, literal)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrJSON, err)
	}
	return string(text), nil
}

// eachLiteral copies a document and lets write replace its strings and numbers.
func eachLiteral(raw []byte, write func(out, literal []byte, kind jsontext.Kind, isKey bool) ([]byte, error)) ([]byte, error) {
	d := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	out := make([]byte, 0, len(raw)+len(raw)/8)
	at := int64(0)
	for {
		before := d.StackDepth()
		kind, count := d.StackIndex(before)
		token := d.PeekKind()
		if token == 0 || token == '{' || token == '[' || token == '}' || token == ']' {
			if _, err := d.ReadToken(); err != nil {
				if errors.Is(err, io.EOF) && before == 0 && d.InputOffset() > 0 && count > 0 {
					return append(out, raw[at:]...), nil
				}
				return nil, fmt.Errorf("%w: %w", ErrJSON, err)
			}
			continue
		}
		v, err := d.ReadValue()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrJSON, err)
		}
		if token != '"' && token != '0' {
			continue
		}
		end := d.InputOffset()
		start := end - int64(len(v))
		out = append(out, raw[at:start]...)
		if out, err = write(out, raw[start:end], token, kind == '{' && count%2 == 0); err != nil {
			return nil, err
		}
		at = end
	}
}
