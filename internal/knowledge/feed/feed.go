// Package feed opens files that others publish, compressed or not, and walks their JSON
// element by element, so that a large or hostile file costs little memory.
package feed

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// PeekSize is how far ahead a reader made by Open can look.
const PeekSize = 64 << 10

// ErrTooLarge says that a file passed its limit.
var ErrTooLarge = errors.New("the file is too large")

// Open returns a reader of the plain bytes of a file that may be gzipped and may start with a
// byte order mark. Reading more than limit plain bytes fails with ErrTooLarge.
func Open(r io.Reader, limit int64) (*bufio.Reader, error) {
	br := bufio.NewReader(r)
	if magic, _ := br.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		zr, err := gzip.NewReader(br)
		if err != nil {
			return nil, fmt.Errorf("open gzip: %w", err)
		}
		r = zr
	} else {
		r = br
	}
	out := bufio.NewReaderSize(&limited{r: r, left: limit}, PeekSize)
	if bom, _ := out.Peek(3); string(bom) == "\xef\xbb\xbf" {
		_, _ = out.Discard(3)
	}
	return out, nil
}

// limited fails where io.LimitReader would pretend that the file ended.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		var one [1]byte
		if n, _ := l.r.Read(one[:]); n == 0 {
			return 0, io.EOF
		}
		return 0, ErrTooLarge
	}
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.r.Read(p)
	l.left -= int64(n)
	return n, err
}
