package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// ErrRecord is wrapped by every refusal of the bytes of a record.
var ErrRecord = errors.New("audit: not a record")

// Fields are the members of a record. Context, Decision and Outcome are canonical JSON.
type Fields struct {
	ActorID         string
	ActorType       string
	Permissions     string // canonical JSON array
	AlertID         string
	AuditID         string
	Context         string
	Decision        string
	EntityIDs       string // canonical JSON array
	Category        string
	Type            Type
	IngestedAt      int64
	InvestigationID string
	Outcome         string
	Previous        Hash
	RecordVersion   string
	Sequence        int64
	Severity        string
	SourceService   string
	Tenant          string
	Timestamp       int64
}

// ParseRecord reads the members of a record and checks that its bytes are canonical and complete.
// It does not check the hash. The error wraps ErrRecord and names the member.
func ParseRecord(record []byte) (Fields, error) {
	var f Fields
	p := parser{checker: checker{s: string(record)}}
	var typ, previous string
	p.text(`{"actor_id":`, &f.ActorID)
	p.raw(`,"actor_permissions":`, &f.Permissions)
	p.text(`,"actor_type":`, &f.ActorType)
	p.text(`,"alert_id":`, &f.AlertID)
	p.text(`,"audit_id":`, &f.AuditID)
	p.raw(`,"context":`, &f.Context)
	p.raw(`,"decision":`, &f.Decision)
	p.raw(`,"entity_ids":`, &f.EntityIDs)
	p.text(`,"event_category":`, &f.Category)
	p.text(`,"event_type":`, &typ)
	p.number(`,"ingested_at":`, &f.IngestedAt)
	p.text(`,"investigation_id":`, &f.InvestigationID)
	p.raw(`,"outcome":`, &f.Outcome)
	p.text(`,"previous_hash":`, &previous)
	p.text(`,"record_version":`, &f.RecordVersion)
	p.number(`,"sequence_number":`, &f.Sequence)
	p.text(`,"severity":`, &f.Severity)
	p.text(`,"source_service":`, &f.SourceService)
	p.text(`,"tenant_id":`, &f.Tenant)
	p.number(`,"timestamp":`, &f.Timestamp)
	if p.failed == "" && (!p.eat('}') || p.i != len(record)) {
		p.failed = "the end"
	}
	if p.failed == "" && f.Previous.UnmarshalText([]byte(previous)) != nil {
		p.failed = "previous_hash"
	}
	if p.failed != "" {
		return Fields{}, fmt.Errorf("%w: at %s, byte %d of %d", ErrRecord, p.failed, p.i, len(record))
	}
	f.Type = Type(typ)
	return f, nil
}

// parser reads members of known names in a known order.
type parser struct {
	checker
	failed string
}

// raw reads a key and its value as it stands.
func (p *parser) raw(key string, to *string) {
	if p.failed != "" {
		return
	}
	if !p.literal(key) {
		p.failed = key
		return
	}
	start := p.i
	if !p.value(0) {
		p.failed = key
		return
	}
	*to = p.s[start:p.i]
}

func (p *parser) text(key string, to *string) {
	var raw string
	if p.raw(key, &raw); p.failed != "" {
		return
	}
	if raw[0] != '"' || json.Unmarshal([]byte(raw), to) != nil {
		p.failed = key
	}
}

func (p *parser) number(key string, to *int64) {
	var raw string
	if p.raw(key, &raw); p.failed != "" {
		return
	}
	n, err := strconv.ParseInt(raw, 10, 64)
	if err != nil {
		p.failed = key
	}
	*to = n
}

// link is what verification reads of every record.
type link struct {
	previous Hash
	sequence int64
	tenant   []byte // with its quotes
}

var (
	recordStart = []byte(`{"actor_id":"`)
	previousKey = []byte(`,"previous_hash":"`)
	versionKey  = []byte(`","record_version":"`)
	sequenceKey = []byte(`","sequence_number":`)
	severityKey = []byte(`,"severity":`)
	serviceKey  = []byte(`,"source_service":`)
	tenantKey   = []byte(`,"tenant_id":`)
	stampKey    = []byte(`,"timestamp":`)
	typeKey     = []byte(`,"event_type":"`)
	afterType   = []byte(`","ingested_at":`)
)

// scanner reads the members that chain a record without decoding the rest. They are the last
// seven of a record, and none of them is an object: a place from which all seven can be read up
// to the very end is the right one, since whatever is nested ends before.
type scanner struct {
	tail int // distance of previous_hash from the end in the record before, most often the same
}

func (s *scanner) link(b []byte) (link, bool) {
	if !bytes.HasPrefix(b, recordStart) {
		return link{}, false
	}
	if at := len(b) - s.tail; s.tail > 0 && at > 0 {
		if l, ok := readTail(b[at:]); ok {
			return l, true
		}
	}
	at := bytes.LastIndex(b, previousKey)
	if at < 0 {
		return link{}, false
	}
	s.tail = len(b) - at
	return readTail(b[at:])
}

// readTail reads a record from the comma before previous_hash to its end.
func readTail(b []byte) (l link, ok bool) {
	if b, ok = bytes.CutPrefix(b, previousKey); !ok || len(b) < 64 || !l.previous.decode(b[:64]) {
		return l, false
	}
	if b, ok = bytes.CutPrefix(b[64:], versionKey); !ok {
		return l, false
	}
	i := bytes.IndexByte(b, '"')
	if i < 0 || !bytes.HasPrefix(b[i:], sequenceKey) {
		return l, false
	}
	if l.sequence, b, ok = cutInt(b[i+len(sequenceKey):]); !ok {
		return l, false
	}
	for _, key := range [...][]byte{severityKey, serviceKey, tenantKey} {
		if b, ok = bytes.CutPrefix(b, key); !ok {
			return l, false
		}
		if l.tenant, b, ok = cutString(b); !ok {
			return l, false
		}
	}
	if b, ok = bytes.CutPrefix(b, stampKey); !ok {
		return l, false
	}
	_, b, ok = cutInt(b)
	return l, ok && len(b) == 1 && b[0] == '}'
}

// cutString takes a JSON string, quotes included, off b.
func cutString(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, false
	}
	for i := 1; ; {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			return nil, nil, false
		}
		i += j + 1
		slashes := 0
		for b[i-2-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return b[:i], b[i:], true
		}
	}
}

func cutInt(b []byte) (int64, []byte, bool) {
	n, i := int64(0), 0
	for ; i < len(b) && i < 17 && b[i]-'0' <= 9; i++ {
		n = n*10 + int64(b[i]-'0')
	}
	return n, b[i:], i > 0 && n <= MaxInt && (b[0] != '0' || i == 1)
}

// unhex is the value of a lower-case hexadecimal digit, 0xff for any other byte.
var unhex = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = byte(i)
	}
	return t
}()

// decode reads 64 lower-case hexadecimal digits; upper case is not canonical.
func (h *Hash) decode(text []byte) bool {
	if len(text) != 2*len(h) {
		return false
	}
	bad := byte(0)
	for i := range h {
		hi, lo := unhex[text[2*i]], unhex[text[2*i+1]]
		bad |= hi | lo
		h[i] = hi<<4 | lo
	}
	return bad < 0x10
}

// scanType returns the event type of a record, found by the key that follows it. It serves a
// warning only: a nested object made to look alike could mislead it, ParseRecord could not.
func scanType(b []byte) []byte {
	const skip = len(`,"e`) // the search begins with a byte that is rarer than comma and quote
	for {
		i := bytes.Index(b, typeKey[skip:])
		if i < skip {
			return nil
		}
		found := bytes.HasPrefix(b[i-skip:], typeKey)
		b = b[i-skip+len(typeKey):]
		if end := bytes.IndexByte(b, '"'); found && end >= 0 && bytes.HasPrefix(b[end:], afterType) {
			return b[:end]
		}
	}
}

// unquote returns the text of a JSON string, or the string as it stands when it is not one.
func unquote(quoted []byte) string {
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return string(quoted)
	}
	return s
}
