package api

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
)

// Native is one record of an input with the bytes it was made of, also when they are no
// usable record.
type Native struct {
	ingest.Record
	// Size is how many bytes the record has in the input; Raw is empty when that is above
	// alert.MaxRecord, or when the bytes are part of a wrapper that was read before.
	Size int64
}

// ReadRecords calls fn for every record of an input, in order. Unlike the reader of package
// ingest it keeps the bytes of what is broken.
func ReadRecords(reader *ingest.Reader, in io.Reader, name string, fn func(Native) error) error {
	text, err := plainText(in)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	t := &tape{in: text}
	var held *ingest.Record // broken: where it ends is known when the next begins
	var start int64         // of held, or behind the record before
	release := func(end int64) error {
		if held == nil {
			return nil
		}
		rec := *held
		held = nil
		rec.Raw = t.cut(start, end)
		return fn(Native{Record: rec, Size: max(0, end-start)})
	}
	err = reader.Read(t, name, func(rec ingest.Record) error {
		broken := rec.Err != nil && len(rec.Raw) == 0
		begin := rec.Offset
		if broken {
			begin = t.lineStart(start, rec.Offset)
			if held != nil {
				begin = t.lineStart(held.Offset+1, rec.Offset)
			}
		}
		if err := release(begin); err != nil {
			return err
		}
		t.drop(begin)
		start = begin
		if broken {
			held = &rec
			return nil
		}
		start += int64(len(rec.Raw))
		return fn(Native{Record: rec, Size: int64(len(rec.Raw))})
	})
	if err != nil {
		return err
	}
	return release(t.read)
}

// tape keeps what was read of an input since a place in it.
type tape struct {
	in   io.Reader
	base int64 // offset of buf[0]
	buf  []byte
	lost bool // bytes were let go since base
	read int64
}

// maxTape bounds what is kept: one record and the reader's look-ahead.
const maxTape = alert.MaxRecord + 1<<20

func (t *tape) Read(p []byte) (int, error) {
	n, err := t.in.Read(p)
	t.read += int64(n)
	if t.lost || len(t.buf)+n > maxTape {
		t.buf, t.lost = nil, true
	} else {
		t.buf = append(t.buf, p[:n]...)
	}
	return n, err
}

// lineStart guesses where a broken record begins. The reader tells the offset of the fault,
// which is the beginning or some place within: it is the last line between from and at that
// opens an object, else the last line, else from.
func (t *tape) lineStart(from, at int64) int64 {
	from = max(from, t.base)
	if t.lost || from >= at || at > t.base+int64(len(t.buf)) {
		return at
	}
	line := from
	for i := at; i > from; i-- {
		if t.buf[i-1-t.base] != '\n' {
			continue
		}
		if i == at || i < t.base+int64(len(t.buf)) && t.buf[i-t.base] == '{' {
			return i
		}
		if line == from {
			line = i
		}
	}
	return line
}

// drop forgets everything in front of an offset. What was lost stays lost up to here.
func (t *tape) drop(offset int64) {
	if t.lost {
		t.lost, t.buf, t.base = false, nil, t.read
		return
	}
	if n := offset - t.base; n > 0 {
		n = min(n, int64(len(t.buf)))
		t.buf = append(t.buf[:0], t.buf[n:]...)
		t.base += n
	}
}

// cut returns a copy of the bytes from one offset to another, nil when they are not all here
// or are more than a record may have.
func (t *tape) cut(from, to int64) []byte {
	if t.lost || from < t.base || to < from || to > t.base+int64(len(t.buf)) || to-from > alert.MaxRecord {
		return nil
	}
	return bytes.Trim(bytes.Clone(t.buf[from-t.base:to-t.base]), " \t\r\n,")
}

// plainText undoes gzip, UTF-16 and byte order marks, so that the offsets that the reader
// tells are offsets into what it is given.
func plainText(in io.Reader) (io.Reader, error) {
	br := bufio.NewReaderSize(in, 64<<10)
	if head, _ := br.Peek(2); len(head) == 2 && head[0] == 0x1f && head[1] == 0x8b {
		zr, err := gzip.NewReader(br)
		if err != nil {
			return nil, fmt.Errorf("gzip header: %w", err)
		}
		br = bufio.NewReaderSize(zr, 64<<10)
	}
	head, err := br.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	opening := func(c byte) bool { return c == '{' || c == '[' }
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, err := br.Discard(3)
		return br, err
	case bytes.HasPrefix(head, []byte("\xff\xfe")), len(head) > 1 && opening(head[0]) && head[1] == 0:
		return transform.NewReader(br, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder()), nil
	case bytes.HasPrefix(head, []byte("\xfe\xff")), len(head) > 1 && head[0] == 0 && opening(head[1]):
		return transform.NewReader(br, unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewDecoder()), nil
	}
	return br, nil
}
