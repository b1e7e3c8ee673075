package embedded

import (
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"

	"github.com/aluskort/aluskort/internal/engine/vector"
)

// The tags of values in a stored payload.
const (
	tagString byte = iota + 1
	tagStrings
	tagInteger
	tagFloat
	tagFalse
	tagTrue
)

var errPayload = errors.New("payload is damaged")

// appendPayload encodes a checked payload: count, then key, tag and value, ordered by key.
func appendPayload(b []byte, p vector.Payload) []byte {
	b = binary.AppendUvarint(b, uint64(len(p)))
	for _, key := range slices.Sorted(maps.Keys(p)) {
		b = appendString(b, key)
		switch v := p[key].(type) {
		case string:
			b = appendString(append(b, tagString), v)
		case []string:
			b = binary.AppendUvarint(append(b, tagStrings), uint64(len(v)))
			for _, s := range v {
				b = appendString(b, s)
			}
		case int64:
			b = binary.AppendVarint(append(b, tagInteger), v)
		case float64:
			b = binary.LittleEndian.AppendUint64(append(b, tagFloat), math.Float64bits(v))
		case bool:
			if v {
				b = append(b, tagTrue)
			} else {
				b = append(b, tagFalse)
			}
		}
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// reader takes values off an encoded payload; after the first failure it gives zero values.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() { r.b, r.bad = nil, true }

func (r *reader) number() uint64 {
	n, used := binary.Uvarint(r.b)
	if used <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[used:]
	return n
}

// count is a number of things of at least one byte each.
func (r *reader) count() int {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.b) {
		r.fail()
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) text() string { return string(r.bytes(r.count())) }

func (r *reader) value() any {
	tag := r.bytes(1)
	if r.bad {
		return nil
	}
	switch tag[0] {
	case tagString:
		return r.text()
	case tagStrings:
		out := make([]string, r.count())
		for i := range out {
			out[i] = r.text()
		}
		return out
	case tagInteger:
		n, used := binary.Varint(r.b)
		if used <= 0 {
			r.fail()
			return nil
		}
		r.b = r.b[used:]
		return n
	case tagFloat:
		if b := r.bytes(8); !r.bad {
			return math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
		return nil
	case tagFalse, tagTrue:
		return tag[0] == tagTrue
	}
	r.fail()
	return nil
}

// decodePayload reads what appendPayload wrote.
func decodePayload(b []byte) (vector.Payload, error) {
	r := reader{b: b}
	n := r.count()
	out := make(vector.Payload, n)
	for range n {
		key := r.text()
		out[key] = r.value()
	}
	if r.bad || len(r.b) != 0 {
		return nil, errPayload
	}
	return out, nil
}
