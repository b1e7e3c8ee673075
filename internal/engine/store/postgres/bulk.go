package postgres

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/aluskort/aluskort/internal/engine/store"
)

const (
	// fewRows are inserted by multi-row INSERT: arrays pay off beyond.
	fewRows = 4
	// arrayRows and arrayBytes bound what one statement carries.
	arrayRows  = 2000
	arrayBytes = 8 << 20
)

// shape identifies one bulk insert of the program.
type shape struct {
	insert, suffix string
	columns        int
}

// plan is how a shape is executed: one statement with an array per column, whatever the number
// of rows. COPY would be no option: the server refuses it on tables with row security, and it
// knows no ON CONFLICT.
type plan struct {
	text  string
	types []uint32 // of the columns; nil when a type has no array here
	keys  []int    // columns of the conflict target of DO UPDATE
}

// BulkInsert implements store.BulkInserter.
func (t *tx) BulkInsert(insert string, columns, rows int, arg func(row, col int) any, suffix string) error {
	if rows <= 1 {
		return t.inChunks(insert, columns, 0, rows, arg, suffix)
	}
	p, err := t.plan(shape{insert, suffix, columns})
	if err != nil {
		return err
	}
	for done := 0; done < rows; {
		n, arrays := p.gather(done, rows, columns, arg)
		if n <= fewRows {
			n = max(1, n)
			err = t.inChunks(insert, columns, done, n, arg, suffix)
		} else {
			_, err = t.Exec(p.text, arrays...)
		}
		if err != nil {
			return err
		}
		done += n
	}
	return nil
}

func (t *tx) inChunks(insert string, columns, from, n int, arg func(row, col int) any, suffix string) error {
	return store.InsertInChunks(t, insert, columns, n, func(row, col int) any { return arg(from+row, col) }, suffix)
}

// plan asks the server for the types of the columns, once per shape and process.
func (t *tx) plan(s shape) (*plan, error) {
	if p, ok := t.db.shapes.Load(s); ok {
		return p.(*plan), nil
	}
	if _, err := t.Start(s.insert, nil); err != nil {
		return nil, err
	}
	var b strings.Builder
	for i := range s.columns {
		fmt.Fprintf(&b, ", $%d", i+1)
	}
	one := s.insert + " VALUES (" + b.String()[2:] + ")"
	ctx, cancel := t.bound()
	defer cancel()
	d, err := t.conn.PgConn().Prepare(ctx, "", one, nil)
	if err != nil {
		return nil, t.fail(one, err)
	}
	p := &plan{types: d.ParamOIDs, keys: conflictColumns(s)}
	casts := make([]string, s.columns)
	for i, oid := range d.ParamOIDs {
		name, ok := arrayTypes[oid]
		if !ok {
			p.types = nil
			break
		}
		casts[i] = fmt.Sprintf("$%d::%s[]", i+1, name)
	}
	p.text = s.insert + " SELECT * FROM unnest(" + strings.Join(casts, ", ") + ") " + s.suffix
	actual, _ := t.db.shapes.LoadOrStore(s, p)
	return actual.(*plan), nil
}

var arrayTypes = map[uint32]string{
	pgtype.Int8OID: "bigint", pgtype.TextOID: "text", pgtype.ByteaOID: "bytea", pgtype.BoolOID: "boolean", pgtype.Float8OID: "double precision",
}

// conflictColumns finds the columns of ON CONFLICT (…) DO UPDATE among those of the INSERT. One
// statement may not update a row twice, so rows of equal key go into different ones.
func conflictColumns(s shape) (keys []int) {
	target, after, ok := strings.Cut(s.suffix, ")")
	if !ok || !strings.Contains(after, "DO UPDATE") {
		return nil
	}
	_, target, _ = strings.Cut(target, "(")
	_, list, _ := strings.Cut(s.insert, "(")
	columns := names(strings.TrimRight(list, ") \n\t"))
	for _, name := range names(target) {
		if i := slices.Index(columns, name); i >= 0 {
			keys = append(keys, i)
		}
	}
	return keys
}

func names(list string) []string {
	out := strings.Split(list, ",")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

// gather makes the arrays of as many rows from the given one on as fit one statement. It returns
// no arrays when a value has no place in the array of its column: then the driver decides.
func (p *plan) gather(from, rows, columns int, arg func(row, col int) any) (n int, arrays []any) {
	if p.types == nil {
		return 0, nil
	}
	limit := min(rows-from, arrayRows)
	cols := make([]column, columns)
	for i := range cols {
		cols[i].oid = p.types[i]
	}
	var seen map[string]struct{}
	if p.keys != nil {
		seen = make(map[string]struct{}, limit)
	}
	cells := make([]any, columns)
	size := 0
	for ; n < limit && size < arrayBytes; n++ {
		for c := range columns {
			cells[c] = arg(from+n, c)
		}
		if seen != nil {
			key := keyOf(cells, p.keys)
			if _, twice := seen[key]; twice {
				break
			}
			seen[key] = struct{}{}
		}
		for c := range columns {
			bytes, ok := cols[c].add(cells[c])
			if !ok {
				return min(n, fewRows), nil
			}
			size += bytes
		}
	}
	arrays = make([]any, columns)
	for i := range cols {
		arrays[i] = cols[i].array()
	}
	return n, arrays
}

// keyOf is the key of a row as a string that no other key has.
func keyOf(cells []any, keys []int) string {
	var b []byte
	for _, k := range keys {
		begin := len(b)
		b = append(b, 0, 0, 0, 0)
		switch v := cells[k].(type) {
		case string:
			b = append(b, v...)
		case []byte:
			b = append(b, v...)
		case int64:
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		default:
			b = fmt.Append(b, v)
		}
		binary.BigEndian.PutUint32(b[begin:], uint32(len(b)-begin))
	}
	return string(b)
}

// column is the array of one column. Without a NULL it is one of the plain slices, which the
// driver encodes without looking at each element's type.
type column struct {
	oid    uint32
	ints   []int64
	texts  []string
	blobs  [][]byte
	bools  []bool
	floats []float64
	valid  []bool // nil while there was no NULL
	n      int
}

// add appends v and returns about how many bytes it has; ok is false when v is of another kind
// than the column.
func (c *column) add(v any) (size int, ok bool) {
	null := v == nil
	if b, is := v.([]byte); is && b == nil {
		null = true
	}
	if null && c.valid == nil {
		c.valid = make([]bool, c.n, c.n+16)
		for i := range c.valid {
			c.valid[i] = true
		}
	}
	if c.valid != nil {
		c.valid = append(c.valid, !null)
	}
	c.n++
	switch c.oid {
	case pgtype.Int8OID:
		n, ok := asInt(v, null)
		c.ints = append(c.ints, n)
		return 8, ok
	case pgtype.TextOID:
		s, ok := asText(v, null)
		c.texts = append(c.texts, s)
		return len(s), ok
	case pgtype.ByteaOID:
		b, ok := v.([]byte)
		c.blobs = append(c.blobs, b)
		return len(b), ok || null
	case pgtype.BoolOID:
		b, ok := v.(bool)
		c.bools = append(c.bools, b)
		return 1, ok || null
	default:
		f, ok := v.(float64)
		c.floats = append(c.floats, f)
		return 8, ok || null
	}
}

func asInt(v any, null bool) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case int:
		return int64(n), true
	}
	if null {
		return 0, true
	}
	switch r := reflect.ValueOf(v); {
	case r.CanInt():
		return r.Int(), true
	case r.CanUint() && r.Uint() <= math.MaxInt64:
		return int64(r.Uint()), true
	}
	return 0, false
}

func asText(v any, null bool) (string, bool) {
	if s, ok := v.(string); ok || null {
		return s, true
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.String {
		return r.String(), true
	}
	return "", false
}

func (c *column) array() any {
	switch c.oid {
	case pgtype.Int8OID:
		if c.valid != nil {
			return nullable(c.ints, c.valid)
		}
		return c.ints
	case pgtype.TextOID:
		if c.valid != nil {
			return nullable(c.texts, c.valid)
		}
		return c.texts
	case pgtype.ByteaOID:
		return c.blobs // a nil slice is NULL
	case pgtype.BoolOID:
		if c.valid != nil {
			return nullable(c.bools, c.valid)
		}
		return c.bools
	default:
		if c.valid != nil {
			return nullable(c.floats, c.valid)
		}
		return c.floats
	}
}

// nullable has nil for what is not valid.
func nullable[T any](values []T, valid []bool) []*T {
	out := make([]*T, len(values))
	for i := range values {
		if valid[i] {
			out[i] = &values[i]
		}
	}
	return out
}

var _ store.BulkInserter = (*tx)(nil)
