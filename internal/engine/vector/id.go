package vector

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/google/uuid"
)

// ID is the id of a point: a UUID or an unsigned number. The zero value is no id. IDs are
// comparable; a number never equals a UUID.
type ID struct {
	high, low uint64
	kind      idKind
}

type idKind uint8

const (
	kindNone idKind = iota
	kindNumber
	kindUUID
)

// Number returns the id of a number.
func Number(n uint64) ID { return ID{low: n, kind: kindNumber} }

// UUID returns the id of a UUID.
func UUID(u uuid.UUID) ID {
	return ID{high: binary.BigEndian.Uint64(u[:8]), low: binary.BigEndian.Uint64(u[8:]), kind: kindUUID}
}

// ParseID reads a decimal number or a UUID.
func ParseID(s string) (ID, error) {
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return Number(n), nil
	}
	u, err := uuid.Parse(s)
	if err != nil {
		return ID{}, fmt.Errorf("%w: %q is neither a number nor a UUID", ErrMisuse, s)
	}
	return UUID(u), nil
}

// IsZero reports whether i is no id.
func (i ID) IsZero() bool { return i.kind == kindNone }

// Number returns the number of i, and whether it is one.
func (i ID) Number() (uint64, bool) { return i.low, i.kind == kindNumber }

// UUID returns the UUID of i, and whether it is one.
func (i ID) UUID() (u uuid.UUID, ok bool) {
	if i.kind != kindUUID {
		return u, false
	}
	binary.BigEndian.PutUint64(u[:8], i.high)
	binary.BigEndian.PutUint64(u[8:], i.low)
	return u, true
}

// String returns the decimal number or the UUID; "" for no id.
func (i ID) String() string {
	switch i.kind {
	case kindNumber:
		return strconv.FormatUint(i.low, 10)
	case kindUUID:
		u, _ := i.UUID()
		return u.String()
	}
	return ""
}

// Compare orders ids: numbers first, by value, then UUIDs by their bytes.
func (i ID) Compare(j ID) int {
	return cmp.Or(cmp.Compare(i.kind, j.kind), cmp.Compare(i.high, j.high), cmp.Compare(i.low, j.low))
}
