package blob

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Verify returns a reader of r that returns ErrDamaged in place of io.EOF when what was read is
// not size bytes with the SHA-256 digest, in hex. Errors of r wrap ErrUnavailable.
func Verify(r io.ReadCloser, name string, size int64, digest string) io.ReadCloser {
	return &verifier{r: r, name: name, size: size, digest: digest, hash: sha256.New()}
}

type verifier struct {
	r      io.ReadCloser
	name   string
	size   int64
	digest string
	hash   hash.Hash
	read   int64
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	v.read += int64(n)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		if v.read != v.size || hex.EncodeToString(v.hash.Sum(nil)) != v.digest {
			return n, fmt.Errorf("%w: %s", ErrDamaged, v.name)
		}
		return n, io.EOF
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrUnavailable):
		return n, err
	default:
		return n, fmt.Errorf("%w: read %s: %w", ErrUnavailable, v.name, err)
	}
}

func (v *verifier) Close() error { return v.r.Close() }
