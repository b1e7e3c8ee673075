// Package id makes identifiers: random time-ordered ones (UUIDv7, RFC 9562) for things that
// happen once, and derived ones (UUIDv5) for things that must get the same id again when the
// same input is seen again.
package id

import (
	"crypto/rand"
	"io"
	"sync"

	"github.com/google/uuid"
)

// Source makes time-ordered random ids. It is safe for concurrent use.
type Source struct {
	mu sync.Mutex
	r  io.Reader
}

// NewSource returns a source that draws its random bits from r; nil means crypto/rand.
func NewSource(r io.Reader) *Source {
	if r == nil {
		r = rand.Reader
	}
	return &Source{r: r}
}

// New returns a UUIDv7. It fails only when the random source fails.
func (s *Source) New() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, err := uuid.NewV7FromReader(s.r)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// namespace is the fixed UUID under which ALUSKORT derives ids; changing it changes every id.
var namespace = uuid.MustParse("6b1f2f7e-3c0a-5d54-9a51-0b8f4a6d2c11")

// Derive returns the UUIDv5 of the parts, joined by a zero byte, in ALUSKORT's namespace.
func Derive(parts ...string) string {
	n := len(parts)
	for _, p := range parts {
		n += len(p)
	}
	buf := make([]byte, 0, n)
	for i, p := range parts {
		if i > 0 {
			buf = append(buf, 0)
		}
		buf = append(buf, p...)
	}
	return uuid.NewSHA1(namespace, buf).String()
}
