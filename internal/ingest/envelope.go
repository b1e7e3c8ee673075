package ingest

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/go-json-experiment/json/jsontext"
)

// maxWrapping bounds envelopes inside envelopes.
const maxWrapping = 4

// unwrap passes on the records that raw wraps, and reports whether it is an envelope. An
// object that is itself an alert is none, whatever arrays it holds.
func (r *run) unwrap(raw []byte, line int, offset int64, depth int) (bool, error) {
	if !r.reader.mayWrap(raw) {
		return false, nil
	}
	if cols, rows, ok := tabular(raw); ok && !r.reader.isAlert(raw) {
		return true, r.table(cols, rows, line, offset)
	}
	for _, path := range r.reader.Envelopes {
		items, at, ok := arrayAt(raw, path)
		if !ok || len(items) > 0 && !slices.ContainsFunc(items, isObject) {
			continue
		}
		if r.reader.isAlert(raw) {
			return false, nil
		}
		return true, r.items(raw, items, at, line, offset, depth)
	}
	return false, nil
}

func isObject(v jsontext.Value) bool { return v.Kind() == '{' }

func (r *run) items(raw []byte, items []jsontext.Value, at []int64, line int, offset int64, depth int) error {
	seen := 0
	for i, item := range items {
		line += bytes.Count(raw[seen:at[i]], []byte("\n"))
		seen = int(at[i])
		var err error
		if item.Kind() == '{' {
			err = r.object(item, line, offset+at[i], depth+1)
		} else {
			err = r.reject(line, offset+at[i], "not a JSON object; each record must be an object in braces")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mayWrap is the cheap test that spares ordinary records a second parse.
func (r *Reader) mayWrap(raw []byte) bool {
	for _, path := range r.Envelopes {
		if opensArray(raw, path[strings.LastIndexByte(path, '.')+1:]) {
			return true
		}
	}
	return opensArray(raw, "columns") || opensArray(raw, "fields")
}

func opensArray(raw []byte, key string) bool {
	for {
		i := bytes.Index(raw, []byte(key))
		if i < 0 {
			return false
		}
		rest := raw[i+len(key):]
		if i > 0 && raw[i-1] == '"' && len(rest) > 0 && rest[0] == '"' {
			rest = bytes.TrimLeft(rest[1:], " \t\r\n")
			if len(rest) > 0 && rest[0] == ':' {
				rest = bytes.TrimLeft(rest[1:], " \t\r\n")
				if len(rest) > 0 && rest[0] == '[' {
					return true
				}
			}
		}
		raw = raw[i+len(key):]
	}
}

func (r *Reader) isAlert(raw []byte) bool {
	if r.Recognised == nil || len(raw) > alert.MaxRecord {
		return false
	}
	f, err := r.flat.Flatten(raw)
	return err == nil && r.Recognised(f)
}

// arrayAt returns the members of the array at a dotted path of raw, with the place of each.
func arrayAt(raw []byte, path string) ([]jsontext.Value, []int64, bool) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(raw), checkOptions...)
	key, rest, more := strings.Cut(path, ".")
	for {
		if !enter(dec, key) {
			return nil, nil, false
		}
		if !more {
			break
		}
		key, rest, more = strings.Cut(rest, ".")
	}
	if dec.PeekKind() != '[' {
		return nil, nil, false
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, nil, false
	}
	var items []jsontext.Value
	var at []int64
	for dec.PeekKind() != ']' {
		v, err := dec.ReadValue()
		if err != nil {
			return nil, nil, false
		}
		at = append(at, dec.InputOffset()-int64(len(v)))
		items = append(items, slices.Clone(v))
	}
	return items, at, true
}

// enter moves the decoder into the object that follows, to the value of key.
func enter(dec *jsontext.Decoder, key string) bool {
	if dec.PeekKind() != '{' {
		return false
	}
	if _, err := dec.ReadToken(); err != nil {
		return false
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return false
		}
		if name.String() == key {
			return true
		}
		if dec.SkipValue() != nil {
			return false
		}
	}
	return false
}

// tabular recognises answers that hold column names and rows apart: Log Analytics tables,
// ES|QL, Splunk's json_rows.
func tabular(raw []byte) (cols []string, rows []jsontext.Value, ok bool) {
	for _, form := range [...]struct{ cols, rows string }{
		{"columns", "rows"}, {"columns", "values"}, {"fields", "rows"},
	} {
		c, _, ok := arrayAt(raw, form.cols)
		if !ok || len(c) == 0 {
			continue
		}
		rows, _, ok := arrayAt(raw, form.rows)
		if !ok || len(rows) > 0 && rows[0].Kind() != '[' {
			continue
		}
		if cols := columnNames(c); cols != nil {
			return cols, rows, true
		}
	}
	return nil, nil, false
}

func columnNames(values []jsontext.Value) []string {
	names := make([]string, len(values))
	for i, v := range values {
		if v.Kind() == '{' {
			dec := jsontext.NewDecoder(bytes.NewBuffer(v), checkOptions...)
			if !enter(dec, "name") {
				return nil
			}
			var err error
			if v, err = dec.ReadValue(); err != nil {
				return nil
			}
		}
		if v.Kind() != '"' {
			return nil
		}
		b, err := jsontext.AppendUnquote(nil, v)
		if err != nil && len(b) == 0 {
			return nil
		}
		names[i] = string(b)
	}
	return names
}

func (r *run) table(cols []string, rows []jsontext.Value, line int, offset int64) error {
	for n, row := range rows {
		var cells []jsontext.Value
		dec := jsontext.NewDecoder(bytes.NewBuffer(row), checkOptions...)
		if dec.PeekKind() == '[' {
			if _, err := dec.ReadToken(); err != nil {
				return err
			}
			for dec.PeekKind() != ']' {
				v, err := dec.ReadValue()
				if err != nil {
					return err
				}
				cells = append(cells, slices.Clone(v))
			}
		}
		var err error
		if len(cells) != len(cols) {
			err = r.reject(line, offset, "row "+strconv.Itoa(n)+" has "+strconv.Itoa(len(cells))+
				" values for "+strconv.Itoa(len(cols))+" columns; export the table again")
		} else {
			err = r.emit(rowObject(cols, cells), line, offset, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func rowObject(cols []string, cells []jsontext.Value) []byte {
	out := []byte{'{'}
	for i, name := range cols {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendQuoted(out, name)
		out = append(out, ':')
		out = append(out, cells[i]...)
	}
	return append(out, '}')
}

// appendQuoted appends s as a JSON string; invalid UTF-8 becomes U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	out, err := jsontext.AppendQuote(dst, strings.ToValidUTF8(s, "\uFFFD"))
	if err != nil {
		return append(dst, '"', '"')
	}
	return out
}

// RawAt returns the bytes of the value that lies under the keys, or nil. They alias raw.
func RawAt(raw []byte, keys ...string) []byte {
	dec := jsontext.NewDecoder(bytes.NewBuffer(raw), checkOptions...)
	for _, key := range keys {
		if !enter(dec, key) {
			return nil
		}
	}
	v, err := dec.ReadValue()
	if err != nil {
		return nil
	}
	end := dec.InputOffset()
	return raw[end-int64(len(v)) : end]
}
