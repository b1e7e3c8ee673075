package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	maxTenant = 200
	maxName   = 600
	maxPart   = 200
)

// EscapeTenant returns a tenant in a form that is safe as one element of a path or key and
// different for different tenants. A tenant is 1 to 200 bytes; ErrInvalid otherwise.
func EscapeTenant(tenant string) (string, error) {
	if tenant == "" || len(tenant) > maxTenant {
		return "", fmt.Errorf("%w: tenant %q; 1 to %d bytes are allowed", ErrInvalid, tenant, maxTenant)
	}
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(tenant) {
		c := tenant[i]
		if plain(c) && (c != '.' || i > 0) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	if b.Len() > maxTenant { // longer than file systems take; no other form begins with a tilde
		sum := sha256.Sum256([]byte(tenant))
		return "~" + hex.EncodeToString(sum[:]), nil
	}
	return b.String(), nil
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
}

// CheckName returns ErrInvalid when name is not the name of an object: parts of 1 to 200 letters,
// digits and "-", "_", "=", ".", none beginning with a dot, joined by slashes; at most 600 bytes.
func CheckName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("%w: name %q; 1 to %d bytes are allowed", ErrInvalid, name, maxName)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || len(part) > maxPart || part[0] == '.' {
			return fmt.Errorf("%w: name %q has an empty, hidden or too long part", ErrInvalid, name)
		}
		for i := range len(part) {
			if !plain(part[i]) && part[i] != '=' {
				return fmt.Errorf("%w: name %q: %q is not allowed", ErrInvalid, name, part[i])
			}
		}
	}
	return nil
}

// CheckList returns ErrInvalid when the arguments of Archive.List are none.
func CheckList(prefix, after string, limit int) error {
	if limit < 1 {
		return fmt.Errorf("%w: a list of %d", ErrInvalid, limit)
	}
	for _, s := range [...]string{prefix, after} {
		if len(s) > maxName || strings.HasPrefix(s, "/") || strings.Contains(s, "//") || strings.Contains(s, "..") {
			return fmt.Errorf("%w: %q begins no name", ErrInvalid, s)
		}
	}
	return nil
}
