package ingest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Limits of an input. They bound memory and the work that a hostile file can cause.
const (
	// MaxEnvelope bounds an object that wraps records. Larger exports must be arrays or JSON
	// lines, which are read as a stream of any length.
	MaxEnvelope = 64 << 20
	// MaxInflated and MaxRatio bound what a gzip file may unpack to; the ratio counts once
	// inflateSlack bytes have come out.
	MaxInflated  = 1 << 30
	MaxRatio     = 500
	inflateSlack = 16 << 20
)

// ErrInflate says that a gzip input unpacks to more than MaxInflated or MaxRatio allow.
var ErrInflate = errors.New("ingest: gzip input unpacks beyond the limits; unpack it and read the file itself")

// Record is one native record of an input.
type Record struct {
	File  string
	Index int // position among the records of the input, from 0
	Line  int // line where the record begins, from 1
	// Offset is the byte where the record begins, after decompression and decoding to UTF-8.
	Offset int64
	// Raw holds the native bytes exactly as received. Rows of CSV and of columnar answers have
	// no bytes of their own: Raw is then a JSON object of the column names and values, in
	// column order. Raw belongs to the receiver.
	Raw []byte
	// Err says why the record is unusable, naming the place; Raw may then be empty.
	Err error
}

// Reader finds the records in files, envelopes and streams: JSON objects (pretty-printed,
// concatenated or one a line), arrays, envelopes, columnar answers and CSV; UTF-8 or UTF-16,
// plain or gzip. It is safe for concurrent use.
type Reader struct {
	// Envelopes are the dotted paths under which a wrapper holds an array of records.
	Envelopes []string
	// Recognised reports whether an object is itself an alert, and so no envelope. Nil means never.
	Recognised func(alert.Fields) bool

	flat alert.Flattener
}

// Read calls fn for every record of r in order. name is used in Record.File only. It returns
// the error of fn, or one of reading; a record that cannot be used is passed to fn with
// Record.Err set, and reading goes on behind it.
func (r *Reader) Read(in io.Reader, name string, fn func(Record) error) error {
	text, err := decode(in)
	if err != nil {
		return fmt.Errorf("ingest: read %s: %w", name, err)
	}
	run := &run{reader: r, name: name, fn: fn}
	if isCSV(text) {
		err = run.csv(text)
	} else {
		err = run.json(text)
	}
	var own *callbackError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own.err
	default:
		return fmt.Errorf("ingest: read %s: %w", name, err)
	}
}

// callbackError carries the error of the caller's function through the reading code.
type callbackError struct{ err error }

func (e *callbackError) Error() string { return e.err.Error() }

type run struct {
	reader *Reader
	name   string
	fn     func(Record) error
	index  int
}

func (r *run) emit(raw []byte, line int, offset int64, err error) error {
	rec := Record{File: r.name, Index: r.index, Line: line, Offset: offset, Raw: raw, Err: err}
	r.index++
	if err := r.fn(rec); err != nil {
		return &callbackError{err}
	}
	return nil
}

func (r *run) reject(line int, offset int64, reason string) error {
	return r.emit(nil, line, offset, &RejectError{Place: place(line, offset), Reason: reason})
}

func place(line int, offset int64) string { return fmt.Sprintf("line %d, byte %d", line, offset) }

// decode undoes compression and encoding: what it returns is UTF-8 without byte order mark.
func decode(in io.Reader) (*bufio.Reader, error) {
	br := bufio.NewReaderSize(in, 64<<10)
	if head, _ := br.Peek(2); len(head) == 2 && head[0] == 0x1f && head[1] == 0x8b {
		counted := &countingReader{r: br}
		zr, err := gzip.NewReader(counted)
		if err != nil {
			return nil, fmt.Errorf("gzip header: %w", err)
		}
		br = bufio.NewReaderSize(&inflater{zr: zr, in: counted}, 64<<10)
	}
	head, err := br.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, err := br.Discard(3)
		return br, err
	case bytes.HasPrefix(head, []byte("\xff\xfe")), len(head) > 1 && isOpening(head[0]) && head[1] == 0:
		return decode16(br, unicode.LittleEndian), nil
	case bytes.HasPrefix(head, []byte("\xfe\xff")), len(head) > 1 && head[0] == 0 && isOpening(head[1]):
		return decode16(br, unicode.BigEndian), nil
	}
	return br, nil
}

func isOpening(c byte) bool { return c == '{' || c == '[' }

func decode16(r io.Reader, order unicode.Endianness) *bufio.Reader {
	dec := unicode.UTF16(order, unicode.UseBOM).NewDecoder()
	return bufio.NewReaderSize(transform.NewReader(r, dec), 64<<10)
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

type inflater struct {
	zr  io.Reader
	in  *countingReader
	out int64
}

func (z *inflater) Read(p []byte) (int, error) {
	n, err := z.zr.Read(p)
	z.out += int64(n)
	if z.out > MaxInflated || z.out > inflateSlack && z.out > z.in.n*MaxRatio {
		return 0, ErrInflate
	}
	return n, err
}

// isCSV tells CSV from JSON by the first two lines: a header of at least two names, and no
// JSON under it.
func isCSV(br *bufio.Reader) bool {
	head, _ := br.Peek(br.Size())
	head = bytes.TrimLeft(head, " \t\r\n")
	if len(head) == 0 || isOpening(head[0]) {
		return false
	}
	line, rest, _ := bytes.Cut(head, []byte("\n"))
	if bytes.ContainsAny(line, "{}[]:") && !strings.Contains(string(line), "[UTC]") {
		return false
	}
	rest = bytes.TrimLeft(rest, " \t\r\n")
	if len(rest) > 0 && isOpening(rest[0]) {
		return false
	}
	return bytes.IndexByte(line, delimiter(line)) > 0
}
