package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aluskort/aluskort/internal/alert"
)

// delimiter picks the separator that the header uses most.
func delimiter(line []byte) byte {
	best, most := byte(','), 0
	for _, d := range []byte{',', ';', '\t'} {
		if n := bytes.Count(line, []byte{d}); n > most {
			best, most = d, n
		}
	}
	return best
}

// csvReader reads RFC 4180 rows with bounded memory; encoding/csv would follow a quote that
// never closes to the end of the input.
type csvReader struct {
	br     *bufio.Reader
	comma  byte
	line   int
	offset int64
}

var (
	errRowSize = errors.New("the row is larger than 8 MiB; look for a quote that is not closed")
	errRowOpen = errors.New("a quoted field does not end; close the quote")
)

// row returns the fields of the next row that is not blank. An error other than io.EOF or one
// of the two above is one of reading.
func (c *csvReader) row() (fields []string, line int, offset int64, err error) {
	for {
		line, offset = c.line, c.offset
		fields, err = c.one()
		if err != nil || len(fields) > 1 || fields[0] != "" {
			return fields, line, offset, err
		}
	}
}

func (c *csvReader) one() ([]string, error) {
	var fields []string
	var cell []byte
	quoted, closed, size := false, false, 0
	for {
		b, err := c.br.ReadByte()
		if errors.Is(err, io.EOF) {
			switch {
			case quoted:
				return nil, errRowOpen
			case size == 0:
				return nil, io.EOF
			}
			return append(fields, string(cell)), nil
		}
		if err != nil {
			return nil, err
		}
		size++
		c.offset++
		if b == '\n' {
			c.line++
		}
		if size > alert.MaxRecord {
			return nil, errRowSize
		}
		switch {
		case quoted && b == '"':
			quoted, closed = false, true
		case quoted:
			cell = append(cell, b)
		case b == '"' && closed: // a doubled quote
			cell = append(cell, b)
			quoted, closed = true, false
		case b == '"' && len(cell) == 0:
			quoted = true
		case b == c.comma:
			fields, cell, closed = append(fields, string(cell)), cell[:0], false
		case b == '\n':
			return append(fields, strings.TrimSuffix(string(cell), "\r")), nil
		default:
			closed = false
			cell = append(cell, b)
		}
	}
}

// csv reads a table with a header; each row becomes a JSON object of strings.
func (r *run) csv(br *bufio.Reader) error {
	head, _ := br.Peek(br.Size())
	line, _, _ := bytes.Cut(bytes.TrimLeft(head, " \t\r\n"), []byte("\n"))
	c := &csvReader{br: br, comma: delimiter(line), line: 1}
	header, _, _, err := c.row()
	if err != nil {
		return fmt.Errorf("CSV header: %w", err)
	}
	for i, name := range header {
		header[i] = strings.TrimSpace(name)
		if header[i] == "" {
			header[i] = fmt.Sprintf("column%d", i+1)
		}
	}
	for {
		cells, line, offset, err := c.row()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errRowSize), errors.Is(err, errRowOpen):
			err = r.reject(line, offset, err.Error())
		case err != nil:
			return err
		case len(cells) != len(header):
			err = r.reject(line, offset, fmt.Sprintf("the row has %d fields, the header %d; quote fields that hold the separator",
				len(cells), len(header)))
		default:
			err = r.emit(csvObject(header, cells), line, offset, nil)
		}
		if err != nil {
			return err
		}
	}
}

func csvObject(header, cells []string) []byte {
	out := []byte{'{'}
	for i, name := range header {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendQuoted(out, name)
		out = append(out, ':')
		out = appendQuoted(out, cells[i])
	}
	return append(out, '}')
}
