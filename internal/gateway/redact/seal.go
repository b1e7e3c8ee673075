package redact

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

var (
	// ErrTampered says that bytes are not a map that this key sealed for this investigation, as
	// they are: changed, cut, of another investigation or tenant, or sealed with another key.
	ErrTampered = errors.New("redact: the map was changed or is not of this investigation and key")
	// ErrVersion says that a map was sealed by a newer program.
	ErrVersion = errors.New("redact: the map has a version that this program does not know")
	// ErrConflict says that two maps give one token to different values.
	ErrConflict = errors.New("redact: two maps disagree about a token")
)

// Map is what the tokens of one investigation stand for. It is a value in memory only: what is
// stored is what Seal returns.
type Map struct {
	pairs []pairing
}

type pairing struct {
	class        Class
	token, value string
}

// Map returns the session's map as it is now.
func (s *Session) Map() *Map {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &Map{pairs: make([]pairing, 0, len(s.book.order))}
	for _, t := range s.book.order {
		m.pairs = append(m.pairs, pairing{s.book.classes[t], t, s.book.values[t]})
	}
	return m
}

// Len is the number of tokens.
func (m *Map) Len() int { return len(m.pairs) }

// Union returns a map with the pairs of both; ErrConflict when a token has two values, which
// happens when two sessions met the spellings of a value in different order.
func (m *Map) Union(o *Map) (*Map, error) {
	have := make(map[string]string, len(m.pairs))
	out := &Map{pairs: append([]pairing(nil), m.pairs...)}
	for _, p := range m.pairs {
		have[p.token] = p.value
	}
	for _, p := range o.pairs {
		v, ok := have[p.token]
		if ok && v != p.value {
			return nil, ErrConflict
		}
		if !ok {
			have[p.token] = p.value
			out.pairs = append(out.pairs, p)
		}
	}
	return out, nil
}

// fill puts the pairs into an empty book.
func (m *Map) fill(b *book) {
	for _, p := range m.pairs {
		code := p.token[len(prefixes[p.class])+1:]
		name := strings.ToUpper(p.token)
		folded := fold(p.class, p.value)
		e := b.bases[p.class][folded]
		if e == nil || string(e.code[:]) != strings.ToUpper(code) {
			e = &base{}
			copy(e.code[:], strings.ToUpper(code))
			b.bases[p.class][folded] = e
			b.taken[name] = true
		}
		e.spellings = max(e.spellings, spelling(code)+1)
		b.put(p.class, p.token, p.value)
	}
}

// The sealed form: four bytes of magic, a version, a nonce, and the pairs under AES-256-GCM with
// the head and the name of the investigation as additional data. A pair is its class, its code
// and its value with the length before it.
const (
	magic      = "ARMP"
	mapVersion = 1
	headLen    = len(magic) + 1
	maxValue   = 1 << 20
)

// Seal encrypts the map for storage. investigation binds it to its place; random is read for
// the nonce, crypto/rand.Reader outside of tests.
func (m *Map) Seal(k *TenantKey, investigation string, random io.Reader) ([]byte, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, fmt.Errorf("nonce of a redaction map: %w", err)
	}
	head := append([]byte(magic), mapVersion)
	body := aead.Seal(nil, nonce, m.encode(), additional(head, investigation))
	return slices.Concat(head, nonce, body), nil
}

// OpenMap decrypts what Seal returned.
func OpenMap(k *TenantKey, investigation string, sealed []byte) (*Map, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	if len(sealed) < headLen+aead.NonceSize()+aead.Overhead() || string(sealed[:len(magic)]) != magic {
		return nil, ErrTampered
	}
	if v := sealed[len(magic)]; v != mapVersion {
		return nil, fmt.Errorf("%w: %d", ErrVersion, v)
	}
	head, nonce, body := sealed[:headLen], sealed[headLen:headLen+aead.NonceSize()], sealed[headLen+aead.NonceSize():]
	plain, err := aead.Open(nil, nonce, body, additional(head, investigation))
	if err != nil {
		return nil, ErrTampered
	}
	return decodeMap(plain)
}

func additional(head []byte, investigation string) []byte {
	return append(append([]byte(nil), head...), investigation...)
}

func (m *Map) encode() []byte {
	out := binary.AppendUvarint(nil, uint64(len(m.pairs)))
	for _, p := range m.pairs {
		out = append(out, byte(p.class))
		out = append(out, p.token[len(p.token)-codeLen:]...)
		out = binary.AppendUvarint(out, uint64(len(p.value)))
		out = append(out, p.value...)
	}
	return out
}

func decodeMap(b []byte) (*Map, error) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)) {
		return nil, ErrTampered
	}
	b = b[used:]
	m := &Map{pairs: make([]pairing, 0, n)}
	seen := make(map[string]bool, n)
	for range n {
		if len(b) < 1+codeLen || Class(b[0]) >= numClasses || !isCode(b[1:1+codeLen]) {
			return nil, ErrTampered
		}
		c, code := Class(b[0]), string(b[1:1+codeLen])
		size, used := binary.Uvarint(b[1+codeLen:])
		if used <= 0 || size > maxValue || size > uint64(len(b)-1-codeLen-used) {
			return nil, ErrTampered
		}
		b = b[1+codeLen+used:]
		p := pairing{c, prefixes[c] + "-" + code, string(b[:size])}
		if seen[p.token] {
			return nil, ErrTampered
		}
		seen[p.token] = true
		m.pairs = append(m.pairs, p)
		b = b[size:]
	}
	if len(b) > 0 {
		return nil, ErrTampered
	}
	return m, nil
}

func isCode(b []byte) bool {
	if !isCodeDigit(b[0]) {
		return false
	}
	for _, x := range b[1:] {
		if !isCodeLetter(x) {
			return false
		}
	}
	return true
}

func (k *TenantKey) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.sealing[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
