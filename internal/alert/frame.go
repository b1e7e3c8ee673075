package alert

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/go-json-experiment/json"
)

// Message is what travels between ALUSKORT's own stages: the canonical alert, what the entity
// parser made of it, and the native bytes, which are never escaped or parsed for transport.
type Message struct {
	Alert Alert `json:"alert"`
	// Entities and Fingerprint are set from the entity parser on.
	Entities    Entities `json:"entities,omitzero"`
	Fingerprint string   `json:"fingerprint,omitempty"`
	// RawRef is the object id of the native bytes when they are too large to travel along.
	RawRef string `json:"raw_ref,omitempty"`
}

// ErrFrame is wrapped by every error about a frame that cannot be read.
var ErrFrame = errors.New("alert: not a readable frame")

// A frame is the four bytes "ALF1", the length of the header as an unsigned varint, the
// header (the Message as JSON), the length of the native bytes, and the native bytes.
const frameMagic = "ALF1"

// AppendFrame appends the frame of m to b.
func AppendFrame(b []byte, m *Message) ([]byte, error) {
	head, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("alert: encode frame of %s: %w", m.Alert.ID, err)
	}
	b = append(b, frameMagic...)
	b = binary.AppendUvarint(b, uint64(len(head)))
	b = append(b, head...)
	b = binary.AppendUvarint(b, uint64(len(m.Alert.RawPayload)))
	return append(b, m.Alert.RawPayload...), nil
}

// DecodeFrame reads one frame. Alert.RawPayload refers to b; Alert.Fields stays empty.
func DecodeFrame(b []byte) (*Message, error) {
	rest, ok := cutPrefix(b, frameMagic)
	if !ok {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrFrame, frameMagic)
	}
	head, rest, err := cutPart(rest)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	raw, rest, err := cutPart(rest)
	if err != nil {
		return nil, fmt.Errorf("native bytes: %w", err)
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after its end", ErrFrame, len(rest))
	}
	m := new(Message)
	if err := json.Unmarshal(head, m); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrFrame, err)
	}
	m.Alert.RawPayload = raw
	return m, nil
}

func cutPrefix(b []byte, prefix string) ([]byte, bool) {
	if len(b) < len(prefix) || string(b[:len(prefix)]) != prefix {
		return nil, false
	}
	return b[len(prefix):], true
}

func cutPart(b []byte) (part, rest []byte, err error) {
	n, w := binary.Uvarint(b)
	if w <= 0 || n > math.MaxInt32 || uint64(len(b)-w) < n {
		return nil, nil, fmt.Errorf("%w: cut short", ErrFrame)
	}
	return b[w : w+int(n)], b[w+int(n):], nil
}
