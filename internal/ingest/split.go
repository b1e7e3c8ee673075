package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/go-json-experiment/json/jsontext"
)

// maxNesting bounds the containers the splitter keeps track of; records deeper than
// alert.MaxDepth are refused later with their own reason.
const maxNesting = 1000

// splitter cuts a stream of JSON into top-level objects without parsing it: it follows
// strings and brackets only. Arrays at the top are entered, so their length does not matter.
//
// A broken record must not take its successors with it. It ends at the first line that opens
// a record at its first column where the syntax allows no object. Where the syntax would allow
// one (an unfinished array), the lines are read on, and when that fails they are read a
// second time strictly, each such line as a record of its own.
type splitter struct {
	br  *bufio.Reader
	buf []byte // unread input; buf[pos:] is next
	pos int
	eof bool

	line   int   // of buf[pos]
	offset int64 // of buf[pos]
	column int64 // bytes since the start of the line

	arrays int // arrays at the top that are open
	strict int64
}

// chunk is one top-level object, or the reason why there is none.
type chunk struct {
	raw    []byte
	line   int
	offset int64
	reason string
	size   int64
}

func newSplitter(br *bufio.Reader) *splitter { return &splitter{br: br, line: 1} }

func (s *splitter) fill() error {
	if s.eof {
		return io.EOF
	}
	s.buf, s.pos = s.buf[:0], 0
	if cap(s.buf) < 64<<10 || cap(s.buf) > 1<<20 {
		s.buf = make([]byte, 0, 64<<10)
	}
	n, err := s.br.Read(s.buf[:cap(s.buf)])
	s.buf = s.buf[:n]
	switch {
	case n > 0:
		return nil
	case err == nil:
		return s.fillSlowly()
	}
	s.eof = errors.Is(err, io.EOF)
	return err
}

// fillSlowly bears with readers that return nothing for a while, as io.Reader allows.
func (s *splitter) fillSlowly() error {
	b, err := s.br.ReadByte()
	if err != nil {
		s.eof = errors.Is(err, io.EOF)
		return err
	}
	s.buf = append(s.buf, b)
	return nil
}

func (s *splitter) peek() (byte, error) {
	if s.pos == len(s.buf) {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	return s.buf[s.pos], nil
}

func (s *splitter) step() {
	s.offset++
	s.column++
	if s.buf[s.pos] == '\n' {
		s.line++
		s.column = 0
	}
	s.pos++
}

// next returns the next object or broken part, or io.EOF.
func (s *splitter) next() (chunk, error) {
	for {
		c, err := s.peek()
		if err != nil {
			return chunk{}, err
		}
		switch c {
		case ' ', '\t', '\r', '\n', ',', 0x1e, 0: // 0x1e: RFC 7464 record separator
			s.step()
		case '[':
			s.arrays++
			s.step()
		case ']':
			if s.arrays == 0 {
				return s.skipLine("a ] closes no array; remove it or restore the line before it")
			}
			s.arrays--
			s.step()
		case '{':
			return s.object()
		default:
			return s.skipLine("not a JSON object; each record must be an object in braces")
		}
	}
}

// skipLine passes over the rest of the line. Inside a minified array the whole array may be
// one line, so it stops before an object too.
func (s *splitter) skipLine(reason string) (chunk, error) {
	ch := chunk{line: s.line, offset: s.offset, reason: reason}
	for {
		c, err := s.peek()
		if errors.Is(err, io.EOF) {
			return ch, nil
		}
		if err != nil {
			return chunk{}, err
		}
		if c == '\n' || s.arrays > 0 && (c == '{' || c == ']' && ch.size > 0) {
			return ch, nil
		}
		ch.size++
		s.step()
	}
}

// scan is the state while one object is read.
type scan struct {
	stack   []byte // open brackets
	inText  bool
	escaped bool
	last    byte // last byte that is not white space, outside strings
	lineTop bool // the next byte is the first of its line
	reread  int  // place in raw of the first line that may be a record of its own, or 0
	line    int  // of that place
	offset  int64
	column  int64 // where the object began in its line
}

func (s *splitter) object() (chunk, error) {
	ch := chunk{line: s.line, offset: s.offset}
	st := scan{column: s.column}
	for {
		if _, err := s.peek(); errors.Is(err, io.EOF) {
			return s.broken(ch, &st, "the record does not end; the input seems cut off"), nil
		} else if err != nil {
			return chunk{}, err
		}
		n, done, reason := st.advance(s, &ch)
		s.consume(&ch, n)
		switch {
		case reason != "":
			return s.broken(ch, &st, reason), nil
		case done:
			return s.finish(ch), nil
		}
	}
}

// consume moves n bytes of the buffer into the chunk.
func (s *splitter) consume(ch *chunk, n int) {
	b := s.buf[s.pos : s.pos+n]
	if ch.size < MaxEnvelope {
		ch.raw = append(ch.raw, b...)
	}
	ch.size += int64(n)
	s.pos += n
	s.offset += int64(n)
	if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
		s.line += bytes.Count(b, []byte{'\n'})
		s.column = int64(n - i - 1)
	} else {
		s.column += int64(n)
	}
}

// advance follows the buffer to its end, to the end of the object, or to what cannot be.
func (st *scan) advance(s *splitter, ch *chunk) (n int, done bool, reason string) {
	b := s.buf[s.pos:]
	for i := 0; i < len(b); i++ {
		c := b[i]
		if st.inText && !st.escaped {
			for c != '"' && c != '\\' && c != '\n' {
				if i++; i == len(b) {
					return i, false, ""
				}
				c = b[i]
			}
		}
		if st.lineTop && c == '{' && !st.inText && st.reread == 0 {
			st.reread, st.offset = len(ch.raw)+i, s.offset+int64(i)
			st.line = s.line + bytes.Count(b[:i], []byte{'\n'})
		}
		if reason := st.refuses(c, st.lineTop, s.offset+int64(i) < s.strict); reason != "" {
			return i, false, reason
		}
		st.lineTop = c == '\n'
		if st.take(c) {
			return i + 1, true, ""
		}
	}
	return len(b), false, ""
}

func (s *splitter) finish(ch chunk) chunk {
	if ch.size > MaxEnvelope {
		ch.raw = nil
		ch.reason = "the record is larger than 64 MiB; split the export or write JSON lines"
	}
	return ch
}

// refuses says why c cannot stand here, where that is certain without parsing.
func (st *scan) refuses(c byte, newLine, strict bool) string {
	if st.inText {
		if c == '\n' {
			return "a string does not end on its line; close the quote or escape the line break"
		}
		return ""
	}
	switch {
	case len(st.stack) >= maxNesting:
		return "the record is nested too deep; flatten it below 64 levels"
	case c == '{' && newLine && (strict || st.stack[len(st.stack)-1] == '{' || st.last != '[' && st.last != ','):
		return "the record does not end before the next one begins; the line seems cut off"
	case c == '}' && len(st.stack) > 0 && st.stack[len(st.stack)-1] != '{',
		c == ']' && len(st.stack) > 0 && st.stack[len(st.stack)-1] != '[':
		return "a closing bracket does not match the one that was opened; mend the record"
	}
	return ""
}

// take moves the state over c and reports whether the object is complete.
func (st *scan) take(c byte) bool {
	if st.inText {
		switch {
		case st.escaped:
			st.escaped = false
		case c == '\\':
			st.escaped = true
		case c == '"':
			st.inText = false
			st.last = c
		}
		return false
	}
	switch c {
	case '"':
		st.inText = true
	case '{', '[':
		st.stack = append(st.stack, c)
	case '}', ']':
		st.stack = st.stack[:len(st.stack)-1]
	case ' ', '\t', '\r', '\n':
		return false
	}
	st.last = c
	return len(st.stack) == 0
}

// broken reports the chunk as unusable and finds the place where reading goes on.
func (s *splitter) broken(ch chunk, st *scan, reason string) chunk {
	ch.reason = reason
	if st.reread > 0 && ch.size <= MaxEnvelope && st.offset >= s.strict {
		s.strict = s.offset
		s.buf = append(append([]byte(nil), ch.raw[st.reread:]...), s.buf[s.pos:]...)
		s.pos, s.line, s.offset, s.column = 0, st.line, st.offset, 0
		ch.raw = nil
		return ch
	}
	ch.raw = nil
	s.resync(st.column)
	return ch
}

// resync moves to the next line that opens a record no deeper than the broken one began.
func (s *splitter) resync(column int64) {
	blank := s.column == 0
	for {
		c, err := s.peek()
		switch {
		case err != nil, blank && isOpening(c) && s.column <= column:
			return
		case c == '\n':
			blank = true
		case c != ' ' && c != '\t' && c != '\r':
			blank = false
		}
		s.step()
	}
}

// json reads a stream of JSON.
func (r *run) json(br *bufio.Reader) error {
	s := newSplitter(br)
	for {
		ch, err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if ch.reason != "" {
			err = r.reject(ch.line, ch.offset, ch.reason)
		} else {
			err = r.object(ch.raw, ch.line, ch.offset, 0)
		}
		if err != nil {
			return err
		}
	}
}

// object passes on one object, or what it wraps.
func (r *run) object(raw []byte, line int, offset int64, depth int) error {
	if err := check(raw); err != nil {
		var syn *jsontext.SyntacticError
		at := offset
		if errors.As(err, &syn) {
			at += syn.ByteOffset
			line += bytes.Count(raw[:min(int(syn.ByteOffset), len(raw))], []byte("\n"))
		}
		return r.reject(line, at, "not valid JSON: "+syntaxReason(err))
	}
	if depth < maxWrapping {
		done, err := r.unwrap(raw, line, offset, depth)
		if done || err != nil {
			return err
		}
	}
	if len(raw) > alert.MaxRecord {
		return r.reject(line, offset, "the record is larger than 8 MiB; raise the limit at its source or split it")
	}
	return r.emit(raw, line, offset, nil)
}

var checkOptions = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

func check(raw []byte) error {
	if jsontext.Value(raw).IsValid(checkOptions...) {
		return nil
	}
	_, err := jsontext.NewDecoder(bytes.NewReader(raw), checkOptions...).ReadValue()
	if err == nil {
		err = errors.New("more than one value")
	}
	return err
}

func syntaxReason(err error) string {
	var syn *jsontext.SyntacticError
	if errors.As(err, &syn) && syn.Err != nil {
		return syn.Err.Error()
	}
	return err.Error()
}
