package embedded

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"

	"github.com/google/uuid"

	"github.com/aluskort/aluskort/internal/engine/vector"
)

// A log is the file of one tenant in one collection. It begins with fileMagic, the size of the
// vectors, and a checksum of both. Frames follow, one per committed batch:
//
//	magic, length of the body, number of operations, CRC-32C of the body, CRC-32C of these: 5 × 4 bytes
//	body: operations
//
// and an operation is
//
//	kind, id (1 + 16 bytes), and for a put: length of the payload, payload, vector of float32
//
// all numbers little-endian. A batch is there whole or not at all.
const (
	fileMagic   = "ALSKVEC1"
	fileHeader  = len(fileMagic) + 8
	frameMagic  = 0x564b4c41
	frameHeader = 20
	// maxFrame bounds what a header may ask to read.
	maxFrame = 1 << 30
	opPut    = 1
	opDelete = 2
	opHeader = 18
)

// ErrDamaged says that a file holds something that was not written there. What is merely cut off
// at the end of a log, by a crash, is no damage.
var ErrDamaged = errors.New("embedded: damaged file")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// file is what a log needs of an os.File.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

// op is one change. A put has vector and payload; those read from a file alias its bytes.
type op struct {
	kind    byte
	id      vector.ID
	payload []byte
	vector  []float32
	// raw is the vector as it stands in the file, at is where the payload begins.
	raw []byte
	at  int64
}

func header(size int) []byte {
	b := binary.LittleEndian.AppendUint32([]byte(fileMagic), uint32(size))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func appendID(b []byte, i vector.ID) []byte {
	if n, ok := i.Number(); ok {
		b = append(b, 1)
		b = binary.LittleEndian.AppendUint64(b, n)
		return append(b, make([]byte, 8)...)
	}
	u, _ := i.UUID()
	return append(append(b, 2), u[:]...)
}

func readID(b []byte) (vector.ID, bool) {
	switch b[0] {
	case 1:
		return vector.Number(binary.LittleEndian.Uint64(b[1:])), true
	case 2:
		return vector.UUID(uuid.UUID(b[1:17])), true
	}
	return vector.ID{}, false
}

// appendFrame encodes the operations and notes in each where its payload will stand when the
// frame is written at offset.
func appendFrame(b []byte, ops []op, offset int64) []byte {
	size := frameHeader
	for i := range ops {
		size += opHeader + 4 + len(ops[i].payload) + max(len(ops[i].raw), 4*len(ops[i].vector))
	}
	b = slices.Grow(b, size)
	start := len(b)
	b = append(b, make([]byte, frameHeader)...)
	for i := range ops {
		o := &ops[i]
		b = appendID(append(b, o.kind), o.id)
		if o.kind != opPut {
			continue
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(len(o.payload)))
		o.at = offset + int64(len(b)-start)
		b = append(b, o.payload...)
		from := len(b)
		if o.raw != nil {
			b = append(b, o.raw...)
		} else {
			b = appendVector(b, o.vector)
		}
		o.raw = b[from:]
	}
	head := b[start:][:frameHeader]
	body := b[start+frameHeader:]
	binary.LittleEndian.PutUint32(head, frameMagic)
	binary.LittleEndian.PutUint32(head[4:], uint32(len(body)))
	binary.LittleEndian.PutUint32(head[8:], uint32(len(ops)))
	binary.LittleEndian.PutUint32(head[12:], crc32.Checksum(body, castagnoli))
	binary.LittleEndian.PutUint32(head[16:], crc32.Checksum(head[:16], castagnoli))
	return b
}

func appendVector(b []byte, v []float32) []byte {
	at := len(b)
	b = append(b, make([]byte, 4*len(v))...)
	for i, x := range v {
		binary.LittleEndian.PutUint32(b[at+4*i:], math.Float32bits(x))
	}
	return b
}

func readVector(raw []byte, into []float32) {
	for i := range into {
		into[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
}

// parseOps reads the operations of a body that stands at offset in its file.
func parseOps(body []byte, count, size int, offset int64) ([]op, error) {
	if count > len(body)/opHeader {
		return nil, fmt.Errorf("%w: %d operations in %d bytes", ErrDamaged, count, len(body))
	}
	ops := make([]op, 0, count)
	rest := body
	for range count {
		if len(rest) < opHeader {
			return nil, fmt.Errorf("%w: an operation is cut off", ErrDamaged)
		}
		o := op{kind: rest[0]}
		var ok bool
		if o.id, ok = readID(rest[1:]); !ok {
			return nil, fmt.Errorf("%w: id", ErrDamaged)
		}
		rest = rest[opHeader:]
		switch o.kind {
		case opDelete:
		case opPut:
			if len(rest) < 4 {
				return nil, fmt.Errorf("%w: an operation is cut off", ErrDamaged)
			}
			n := uint64(binary.LittleEndian.Uint32(rest))
			rest = rest[4:]
			if n+uint64(4*size) > uint64(len(rest)) {
				return nil, fmt.Errorf("%w: an operation is cut off", ErrDamaged)
			}
			o.at = offset + int64(len(body)-len(rest))
			o.payload, o.raw, rest = rest[:n], rest[n:][:4*size], rest[int(n)+4*size:]
		default:
			return nil, fmt.Errorf("%w: operation %d", ErrDamaged, o.kind)
		}
		ops = append(ops, o)
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w: %d bytes too many in a frame", ErrDamaged, len(rest))
	}
	return ops, nil
}

// readLog calls fn for the operations of each frame, in order; they are valid until it returns. It
// returns where the last whole frame ends: behind it the file holds nothing, or what a crash cut
// off. Anything else is ErrDamaged.
func readLog(f io.ReaderAt, length int64, size int, fn func([]op) error) (end int64, err error) {
	head := make([]byte, max(fileHeader, frameHeader))
	if length < int64(fileHeader) {
		return 0, nil // not even the header was written
	}
	if _, err := f.ReadAt(head[:fileHeader], 0); err != nil {
		return 0, err
	}
	if !bytes.Equal(head[:fileHeader], header(size)) {
		if length == int64(fileHeader) {
			return 0, nil // the header was not synced, and nothing came after it
		}
		return 0, fmt.Errorf("%w: it is no log of vectors of size %d", ErrDamaged, size)
	}
	end = int64(fileHeader)
	behind := end // where a later frame would begin at the earliest
	var body []byte
	for end+frameHeader <= length {
		if _, err := f.ReadAt(head[:frameHeader], end); err != nil {
			return end, err
		}
		n, count, sum, ok := parseFrameHeader(head[:frameHeader])
		if !ok {
			behind = end + 1
			break
		}
		behind = end + frameHeader + n
		if behind > length {
			break
		}
		if int64(cap(body)) < n {
			body = make([]byte, n+n/4)
		}
		body = body[:n]
		if _, err := f.ReadAt(body, end+frameHeader); err != nil {
			return end, err
		}
		if crc32.Checksum(body, castagnoli) != sum {
			break
		}
		ops, err := parseOps(body, count, size, end+frameHeader)
		if err != nil {
			return end, err
		}
		if err := fn(ops); err != nil {
			return end, err
		}
		end = behind
	}
	return end, checkTail(f, end, behind, length)
}

func parseFrameHeader(b []byte) (length int64, count int, sum uint32, ok bool) {
	if binary.LittleEndian.Uint32(b) != frameMagic || binary.LittleEndian.Uint32(b[16:]) != crc32.Checksum(b[:16], castagnoli) {
		return 0, 0, 0, false
	}
	length = int64(binary.LittleEndian.Uint32(b[4:]))
	return length, int(binary.LittleEndian.Uint32(b[8:])), binary.LittleEndian.Uint32(b[12:]), length <= maxFrame
}

// checkTail tells what a crash cut off from damage: nothing was written behind a frame before it
// was synced, so a whole frame behind an unreadable one means that the latter was readable once.
func checkTail(f io.ReaderAt, end, from, length int64) error {
	const window = 1 << 20
	buf := make([]byte, window+frameHeader)
	for at := from; at < length; at += window {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), length-at)], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for i := 0; i+frameHeader <= n; i++ {
			if binary.LittleEndian.Uint32(buf[i:]) != frameMagic {
				continue
			}
			if size, _, sum, ok := parseFrameHeader(buf[i : i+frameHeader]); ok && wholeBody(f, at+int64(i)+frameHeader, size, length, sum) {
				return fmt.Errorf("%w: a frame at %d cannot be read, and one follows at %d", ErrDamaged, end, at+int64(i))
			}
		}
	}
	return nil
}

func wholeBody(f io.ReaderAt, at, n, length int64, sum uint32) bool {
	if at+n > length {
		return false
	}
	h := crc32.New(castagnoli)
	_, err := io.Copy(h, io.NewSectionReader(f, at, n))
	return err == nil && h.Sum32() == sum
}
