package auditlog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/engine/store"
)

// An audit message, version 1, is
//
//	"ALAU" version(1) from(8) to(8) origin(2+n) tenant(2+n) { event(4+n) } crc32c(4)
//
// with big-endian integers. The checksum covers everything before it, so that a header that
// passed it can be believed even when the events cannot.
const (
	magic       = "ALAU"
	wireVersion = 1
	fixedHead   = len(magic) + 1 + 8 + 8
	fromOffset  = len(magic) + 1
	sumSize     = 4

	// maxMessage bounds one message.
	maxMessage = store.MaxPayload
	// maxOrigin bounds the name of an origin in bytes.
	maxOrigin = 128
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Message is a decoded audit message.
type Message struct {
	Origin, Tenant string
	From, To       int64 // numbers of the first and last event, from 1
	Events         []MessageEvent
}

// MessageEvent is one event of a message: ready to be sealed, or what was wrong with it.
type MessageEvent struct {
	View audit.View
	Wire string
	Err  error
}

// appendHead starts a message; the numbers are set by finish.
func appendHead(dst []byte, origin, tenant string) []byte {
	dst = append(dst, magic...)
	dst = append(dst, wireVersion)
	dst = append(dst, make([]byte, 16)...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(origin)))
	dst = append(dst, origin...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(tenant)))
	return append(dst, tenant...)
}

// finish numbers a message that lacks its checksum and returns it complete.
func finish(msg []byte, from, to int64) []byte {
	binary.BigEndian.PutUint64(msg[fromOffset:], uint64(from))
	binary.BigEndian.PutUint64(msg[fromOffset+8:], uint64(to))
	return binary.BigEndian.AppendUint32(msg, crc32.Checksum(msg, castagnoli))
}

// DecodeMessage reads an audit message. Three things can come back: a message whose events are
// all there, though each may carry an error of its own; with ErrMessage, a message with its
// header only, when the checksum is right and the events cannot be told apart; and ErrMessage
// with a zero message, when nothing can be believed.
func DecodeMessage(payload []byte) (Message, error) {
	if len(payload) < fixedHead+4+sumSize || string(payload[:len(magic)]) != magic {
		return Message{}, fmt.Errorf("%w: %d bytes without its mark", ErrMessage, len(payload))
	}
	if v := payload[len(magic)]; v != wireVersion {
		return Message{}, fmt.Errorf("%w: version %d; this program reads %d", ErrMessage, v, wireVersion)
	}
	body := payload[:len(payload)-sumSize]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(payload[len(body):]) {
		return Message{}, fmt.Errorf("%w: checksum does not match", ErrMessage)
	}
	text := string(body) // the views share it
	from := binary.BigEndian.Uint64(body[fromOffset:])
	to := binary.BigEndian.Uint64(body[fromOffset+8:])
	rest := text[fixedHead:]
	origin, rest, okOrigin := cut(rest, 2)
	tenant, rest, okTenant := cut(rest, 2)
	switch {
	case !okOrigin || !okTenant || origin == "" || len(origin) > maxOrigin || audit.CheckTenant(tenant) != nil:
		return Message{}, fmt.Errorf("%w: origin or tenant", ErrMessage)
	case from < 1 || to < from || to > math.MaxInt64 || to-from >= maxMessage:
		return Message{}, fmt.Errorf("%w: events %d to %d", ErrMessage, from, to)
	}
	m := Message{Origin: origin, Tenant: tenant, From: int64(from), To: int64(to)}
	n := int(to - from + 1)
	if n > len(rest)/4 {
		return m, fmt.Errorf("%w: %d events in %d bytes", ErrMessage, n, len(rest))
	}
	m.Events = make([]MessageEvent, n)
	for i := range m.Events {
		e := &m.Events[i]
		var ok bool
		if e.Wire, rest, ok = cut(rest, 4); !ok {
			m.Events = nil
			return m, fmt.Errorf("%w: cut short at event %d of %d", ErrMessage, i+1, n)
		}
		e.Err = e.View.Decode(e.Wire)
	}
	if rest != "" {
		m.Events = nil
		return m, fmt.Errorf("%w: %d bytes after event %d", ErrMessage, len(rest), n)
	}
	return m, nil
}

// cut takes a text with a length of size bytes before it off s.
func cut(s string, size int) (text, rest string, ok bool) {
	if len(s) < size {
		return "", "", false
	}
	n := 0
	for i := range size {
		n = n<<8 | int(s[i])
	}
	if s = s[size:]; n > len(s) {
		return "", "", false
	}
	return s[:n], s[n:], true
}
