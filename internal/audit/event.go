package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Limits of one event, checked by AppendWire and by DecodeEvent.
const (
	// MaxEvent is the largest encoded event in bytes. What is larger (prompts, payloads) belongs
	// into the object store, and its SHA-256 into the record.
	MaxEvent = 256 << 10
	// MaxName bounds tenant, source service and type in bytes.
	MaxName = 128
)

// ErrEvent is wrapped by every refusal of an event; the text names the field.
var ErrEvent = errors.New("audit: event refused")

// Event is what a producer says: a record without its place in the chain. Times are in
// microseconds since 1970 UTC.
type Event struct {
	Type             Type
	Timestamp        int64
	Severity         Severity
	ActorType        ActorType
	ActorID          string
	ActorPermissions []string
	SourceService    string
	InvestigationID  string // empty when the event belongs to none
	AlertID          string
	EntityIDs        []string
	Context          Fragment // what was known: model, retrieval, taxonomy, risk, environment
	Decision         Fragment // what was decided, and on what basis
	Outcome          Fragment // what came of it
}

// AppendWire appends the wire form of e. The wire form carries everything that sealing needs
// in canonical pieces, so that the audit-service assembles a record without parsing JSON.
// It fails with ErrEvent when a field is missing, too long, not UTF-8 or not in a closed list;
// dst is then returned as it was.
func (e *Event) AppendWire(dst []byte) ([]byte, error) {
	begin := len(dst)
	category, ok := CategoryOf(e.Type)
	switch {
	case !ok:
		return dst, fmt.Errorf("%w: type %q is not in version %s of the list", ErrEvent, e.Type, Version)
	case e.Severity.String() == "":
		return dst, fmt.Errorf("%w: %s: severity %d", ErrEvent, e.Type, e.Severity)
	case e.ActorType.String() == "":
		return dst, fmt.Errorf("%w: %s: actor type %d; set one of the Actor constants", ErrEvent, e.Type, e.ActorType)
	case e.Timestamp < 0 || e.Timestamp > MaxInt:
		return dst, fmt.Errorf("%w: %s: timestamp %d is not in microseconds since 1970", ErrEvent, e.Type, e.Timestamp)
	case e.SourceService == "" || len(e.SourceService) > MaxName:
		return dst, fmt.Errorf("%w: %s: source service of %d bytes; 1 to %d are allowed", ErrEvent, e.Type, len(e.SourceService), MaxName)
	}
	dst = appendText(dst, string(e.Type))
	dst = append(dst, byte(category), byte(e.Severity), byte(e.ActorType))
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.Timestamp))
	for _, s := range [...]struct{ name, text string }{
		{"actor id", e.ActorID}, {"source service", e.SourceService},
		{"investigation id", e.InvestigationID}, {"alert id", e.AlertID},
	} {
		if !utf8.ValidString(s.text) {
			return dst[:begin], fmt.Errorf("%w: %s: %s: %w", ErrEvent, e.Type, s.name, ErrInvalidUTF8)
		}
		dst = appendText(dst, s.text)
	}
	for _, l := range [...]struct {
		name  string
		texts []string
	}{{"actor permissions", e.ActorPermissions}, {"entity ids", e.EntityIDs}} {
		dst = binary.AppendUvarint(dst, uint64(len(l.texts)))
		for _, s := range l.texts {
			if !utf8.ValidString(s) {
				return dst[:begin], fmt.Errorf("%w: %s: %s: %w", ErrEvent, e.Type, l.name, ErrInvalidUTF8)
			}
			dst = appendText(dst, s)
		}
	}
	dst = appendText(dst, e.Context.text)
	dst = appendText(dst, e.Decision.text)
	dst = appendText(dst, e.Outcome.text)
	if n := len(dst) - begin; n > MaxEvent {
		return dst[:begin], fmt.Errorf("%w: %s: %d bytes; at most %d are allowed, larger objects go to the object store", ErrEvent, e.Type, n, MaxEvent)
	}
	return dst, nil
}

func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// View is a decoded event, ready to be sealed. Its strings share the memory of the text that
// it was decoded from. A View comes only from DecodeEvent, which has checked everything that
// sealing relies on.
type View struct {
	Type            Type
	InvestigationID string
	AlertID         string
	Timestamp       int64

	category                   Category
	severity                   Severity
	actor                      ActorType
	actorID, service           string
	permissions, entities      list
	context, decision, outcome Fragment
}

// list is a sequence of length-prefixed texts that was checked.
type list struct {
	n    int
	text string
}

// DecodeEvent reads what AppendWire wrote. It trusts nothing: lengths, enumerations, UTF-8 and
// the canonical form of the fragments are checked. A type that this program does not know is
// accepted, with the producer's category, when it looks like a type: a newer producer's event
// must not be lost. The error wraps ErrEvent.
func DecodeEvent(wire string) (View, error) {
	var v View
	if err := v.Decode(wire); err != nil {
		return View{}, err
	}
	return v, nil
}

// Decode is DecodeEvent into v. After an error v must not be used.
func (v *View) Decode(wire string) error {
	if len(wire) > MaxEvent {
		return fmt.Errorf("%w: %d bytes; at most %d are allowed", ErrEvent, len(wire), MaxEvent)
	}
	r := reader{rest: wire}
	v.Type = Type(r.text())
	head := r.take(3 + 8)
	if r.bad {
		return fmt.Errorf("%w: cut short in the head", ErrEvent)
	}
	v.category, v.severity, v.actor = Category(head[0]), Severity(head[1]), ActorType(head[2])
	stamp := uint64(0)
	for i := 3; i < len(head); i++ {
		stamp = stamp<<8 | uint64(head[i])
	}
	v.Timestamp = int64(stamp)
	v.actorID, v.service = r.utf8(), r.utf8()
	v.InvestigationID, v.AlertID = r.utf8(), r.utf8()
	v.permissions, v.entities = r.list(), r.list()
	context, decision, outcome := r.text(), r.text(), r.text()
	switch {
	case r.bad:
		return fmt.Errorf("%w: cut short or not UTF-8, %d bytes before the end", ErrEvent, len(r.rest))
	case r.rest != "":
		return fmt.Errorf("%w: %d bytes after the end", ErrEvent, len(r.rest))
	}
	if err := v.check(stamp); err != nil {
		return err
	}
	var err error
	if v.context, err = fragment("context", context); err != nil {
		return err
	}
	if v.decision, err = fragment("decision", decision); err != nil {
		return err
	}
	v.outcome, err = fragment("outcome", outcome)
	return err
}

// fragment checks a fragment of the wire form, where the empty text is the empty object.
func fragment(name, text string) (Fragment, error) {
	if text == "" {
		return Fragment{}, nil
	}
	f, err := ParseFragment(text)
	if err != nil {
		return f, fmt.Errorf("%w: %s: %w", ErrEvent, name, err)
	}
	return f, nil
}

func (v *View) check(stamp uint64) error {
	switch {
	case !typeLike(string(v.Type)):
		return fmt.Errorf("%w: type %q", ErrEvent, v.Type)
	case v.category.String() == "" || v.severity.String() == "" || v.actor.String() == "":
		return fmt.Errorf("%w: category %d, severity %d or actor type %d", ErrEvent, v.category, v.severity, v.actor)
	case stamp > MaxInt:
		return fmt.Errorf("%w: timestamp %d", ErrEvent, stamp)
	case v.service == "" || len(v.service) > MaxName:
		return fmt.Errorf("%w: source service of %d bytes", ErrEvent, len(v.service))
	}
	if known, ok := CategoryOf(v.Type); ok && known != v.category {
		return fmt.Errorf("%w: %s is of category %s, not %s", ErrEvent, v.Type, known, v.category)
	}
	return nil
}

// typeLike reports whether s has the form of an event type: words of a-z, 0-9 and _ joined by dots.
func typeLike(s string) bool {
	dot, prev := false, byte('.')
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_':
		case c == '.' && prev != '.':
			dot = true
		default:
			return false
		}
		prev = c
	}
	return dot && prev != '.' && len(s) <= MaxName
}

// reader takes length-prefixed pieces off a string; bad sticks.
type reader struct {
	rest string
	bad  bool
}

func (r *reader) take(n uint64) string {
	if r.bad || n > uint64(len(r.rest)) {
		r.bad = true
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) uvarint() uint64 {
	n := uint64(0)
	for shift := 0; shift < 35 && shift/7 < len(r.rest); shift += 7 {
		b := r.rest[shift/7]
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if b == 0 && shift > 0 {
				break // not the shortest form
			}
			r.rest = r.rest[shift/7+1:]
			return n
		}
	}
	r.bad = true
	return 0
}

func (r *reader) text() string { return r.take(r.uvarint()) }

func (r *reader) utf8() string {
	s := r.text()
	if !utf8.ValidString(s) {
		r.bad = true
	}
	return s
}

func (r *reader) list() list {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.bad = true
		return list{}
	}
	all := r.rest
	for range n {
		r.utf8()
	}
	return list{n: int(n), text: all[:len(all)-len(r.rest)]}
}

// appendJSON appends the list as a JSON array.
func (l list) appendJSON(dst []byte) []byte {
	r := reader{rest: l.text}
	dst = append(dst, '[')
	for i := range l.n {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst, _ = appendQuoted(dst, r.text())
	}
	return append(dst, ']')
}
