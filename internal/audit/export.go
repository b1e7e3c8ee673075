package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ExportFormat names the export file and its version.
const ExportFormat = "aluskort-audit-export/1"

// maxLine bounds one line of an export: the largest record with room for escapes.
const maxLine = 8 << 20

// ErrExport is wrapped when a file is not an export at all; what is wrong with the records of an
// export stands in the Report instead.
var ErrExport = errors.New("audit: not an audit export")

// ExportHeader is the first line of an export. It is a statement of the exporter and proves
// nothing: the trusted head comes from elsewhere.
type ExportHeader struct {
	Format string `json:"format"`
	Tenant string `json:"tenant"`
	From   int64  `json:"from"`
	To     int64  `json:"to"`
	Head   Head   `json:"head"`   // of the chain, at or after To
	Origin string `json:"origin"` // id of the audit database
}

// ExportWriter writes an export: JSON lines, the header first, then for each record
// {"hash":"…","record":…} where the record is byte for byte the one that was sealed.
type ExportWriter struct {
	w    *bufio.Writer
	line []byte
}

// WriteExport writes the header and returns the writer for the records. Format is filled in.
func WriteExport(w io.Writer, h ExportHeader) (*ExportWriter, error) {
	h.Format = ExportFormat
	line, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("audit: export header: %w", err)
	}
	e := &ExportWriter{w: bufio.NewWriterSize(w, 256<<10)}
	if _, err := e.w.Write(append(line, '\n')); err != nil {
		return nil, fmt.Errorf("audit: write export: %w", err)
	}
	return e, nil
}

const (
	hashOpen   = `{"hash":"`
	recordOpen = `","record":`
)

// Add writes one record.
func (e *ExportWriter) Add(record []byte, hash Hash) error {
	e.line = append(e.line[:0], hashOpen...)
	text, _ := hash.MarshalText()
	e.line = append(e.line, text...)
	e.line = append(e.line, recordOpen...)
	e.line = append(e.line, record...)
	e.line = append(e.line, '}', '\n')
	if _, err := e.w.Write(e.line); err != nil {
		return fmt.Errorf("audit: write export: %w", err)
	}
	return nil
}

// Flush writes out what is buffered. It must be called after the last record.
func (e *ExportWriter) Flush() error {
	if err := e.w.Flush(); err != nil {
		return fmt.Errorf("audit: write export: %w", err)
	}
	return nil
}

// VerifyExport checks an export from its first to its last record. trusted is a head of the
// tenant's chain from outside the file; with nil only the file's own statement is checked. A
// trusted head beyond the range of a partial export is not compared. The error is one of
// reading, or wraps ErrExport when the first line is no header.
func VerifyExport(r io.Reader, trusted *Head) (ExportHeader, Report, error) {
	br := bufio.NewReaderSize(r, 1<<20)
	line, _, err := readLine(br, nil)
	if err != nil {
		return ExportHeader{}, Report{}, fmt.Errorf("%w: first line: %w", ErrExport, err)
	}
	var h ExportHeader
	if err := json.Unmarshal(line, &h); err != nil {
		return h, Report{}, fmt.Errorf("%w: first line: %w", ErrExport, err)
	}
	if h.Format != ExportFormat {
		return h, Report{}, fmt.Errorf("%w: format %q; this program reads %s", ErrExport, h.Format, ExportFormat)
	}
	if err := CheckTenant(h.Tenant); err != nil {
		return h, Report{}, fmt.Errorf("%w: %w", ErrExport, err)
	}
	if h.From < 0 || h.To < h.From-1 || h.Head.Sequence < h.To {
		return h, Report{}, fmt.Errorf("%w: records %d to %d of a chain that ends at %d", ErrExport, h.From, h.To, h.Head.Sequence)
	}
	v := NewVerifier(VerifyOptions{Tenant: h.Tenant, From: h.From, Heads: exportHeads(h, trusted)})
	for buf := line[:0]; ; {
		var whole bool
		line, whole, err = readLine(br, buf)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return h, v.Finish(), fmt.Errorf("audit: read export: %w", err)
		}
		buf = line[:0]
		addLine(v, line, whole)
	}
	report := v.Finish()
	v.endAt(&report, h.To)
	return h, report, nil
}

// exportHeads picks the heads that the records of the file can be compared with.
func exportHeads(h ExportHeader, trusted *Head) []Head {
	var heads []Head
	if trusted != nil && trusted.Sequence >= h.From && (trusted.Sequence <= h.To || h.To == h.Head.Sequence) {
		heads = append(heads, *trusted)
	}
	if h.Head.Sequence == h.To && h.To >= h.From && !(len(heads) > 0 && trusted.Sequence >= h.To) {
		heads = append(heads, h.Head)
	}
	return heads
}

// endAt reports records that the header promises and nobody missed so far.
func (v *Verifier) endAt(r *Report, to int64) {
	if first := v.next + v.unread; first <= to && r.Counts[KindTruncated] == 0 {
		v.find(KindTruncated, first, to, "the file promises them")
		*r = v.report
	}
}

func addLine(v *Verifier, line []byte, whole bool) {
	const hashEnd = len(hashOpen) + 64
	var hash Hash
	switch {
	case !whole:
		v.AddUnreadable("line is cut short or longer than 8 MiB")
	case len(line) < hashEnd+len(recordOpen)+3,
		!bytes.HasPrefix(line, []byte(hashOpen)),
		!bytes.HasPrefix(line[hashEnd:], []byte(recordOpen)),
		line[len(line)-1] != '}',
		!hash.decode(line[len(hashOpen):hashEnd]):
		v.AddUnreadable(`line is not {"hash":…,"record":…}`)
	default:
		v.Add(NoColumn, line[hashEnd+len(recordOpen):len(line)-1], hash[:])
	}
}

// readLine reads one line without its newline into buf. A line that is too long or has no
// newline is reported as not whole.
func readLine(r *bufio.Reader, buf []byte) (line []byte, whole bool, err error) {
	line, whole = buf, true
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			whole = false
		} else {
			line = append(line, part...)
		}
		switch {
		case err == nil:
			return bytes.TrimSuffix(line, []byte{'\n'}), whole, nil
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && (len(line) > 0 || !whole):
			return line, false, nil
		}
		return nil, false, err
	}
}
