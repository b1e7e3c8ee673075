package redact

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrKey says that a key cannot be used.
var ErrKey = errors.New("redact: unusable key")

const keyBytes = 32

// TenantKey is the secret of one tenant. It never prints.
type TenantKey struct {
	sealing, naming [keyBytes]byte
}

// NewTenantKey makes a key of 32 secret bytes or more.
func NewTenantKey(secret []byte) (*TenantKey, error) {
	if len(secret) < keyBytes {
		return nil, fmt.Errorf("%w: %d bytes, at least %d are needed", ErrKey, len(secret), keyBytes)
	}
	k := &TenantKey{}
	for _, x := range []struct {
		use string
		to  *[keyBytes]byte
	}{{"aluskort redaction map v1", &k.sealing}, {"aluskort redaction token v1", &k.naming}} {
		b, err := hkdf.Key(sha256.New, secret, nil, x.use, keyBytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrKey, err)
		}
		copy(x.to[:], b)
	}
	return k, nil
}

// Session returns the key for the tokens of an investigation.
func (k *TenantKey) Session(investigation string) (Key, error) {
	b, err := hkdf.Key(sha256.New, k.naming[:], nil, "investigation "+investigation, keyBytes)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return Key(b), nil
}

// String keeps keys out of logs.
func (*TenantKey) String() string { return "key of a tenant" }

// GoString keeps keys out of logs.
func (*TenantKey) GoString() string { return "redact.TenantKey" }

// Keys keeps one key file per tenant in a directory. Whoever deletes a tenant's file makes the
// maps of that tenant unreadable for good.
type Keys struct {
	dir    string
	random io.Reader
}

// NewKeys returns the keys in a directory, which must exist, such as keys/ of a state directory.
// random is read for new keys, crypto/rand.Reader outside of tests.
func NewKeys(dir string, random io.Reader) *Keys { return &Keys{dir: dir, random: random} }

// Tenant returns the key of a tenant. A file with mode 0600 is made when there is none.
func (k *Keys) Tenant(tenant string) (*TenantKey, error) {
	// The name of a tenant may hold anything, so the file is named by its digest.
	sum := sha256.Sum256([]byte(tenant))
	path := filepath.Join(k.dir, "redaction-"+hex.EncodeToString(sum[:8])+".key")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := k.create(path); err != nil {
			return nil, fmt.Errorf("redaction key: %w", err)
		}
		b, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("redaction key: %w", err)
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(secret) != keyBytes {
		return nil, fmt.Errorf("%w: %s does not hold %d hex digits", ErrKey, path, 2*keyBytes)
	}
	return NewTenantKey(secret)
}

// create writes a new key under another name and links it into place, so that neither a crash
// nor a second process can leave half a key or two of them.
func (k *Keys) create(path string) error {
	secret := make([]byte, keyBytes)
	if _, err := io.ReadFull(k.random, secret); err != nil {
		return err
	}
	f, err := os.CreateTemp(k.dir, ".redaction-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(hex.EncodeToString(secret) + "\n")
	if err = errors.Join(err, f.Sync(), f.Chmod(0o600), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
