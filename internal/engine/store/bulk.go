package store

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// bulkRows is how many rows one INSERT carries: beyond about 50 the gain per row vanishes
// while the text and the number of bound parameters keep growing.
const bulkRows = 50

// bulkShape identifies the text of one multi-row INSERT.
type bulkShape struct {
	insert, suffix string
	columns, rows  int
}

// bulkTexts remembers the text of every shape. It is a memo of a pure function and stays
// small because insert and suffix are constants of the program: at most seven row counts each.
var bulkTexts sync.Map // bulkShape -> string

// BulkInsert inserts rows by multi-row INSERT statements of 50 rows, the remainder by powers
// of two, so that few distinct texts are prepared. insert is the statement up to and without
// VALUES ("INSERT INTO link (tenant, key_hash)"), suffix what follows the rows ("ON CONFLICT
// DO NOTHING"), both constant; arg returns the value of one cell. Values must not be changed
// before BulkInsert returns. An engine whose Tx is a BulkInserter does it in its own way.
func BulkInsert(tx Tx, insert string, columns, rows int, arg func(row, col int) any, suffix string) error {
	if columns < 1 || rows < 0 {
		return fmt.Errorf("%w: bulk insert of %d rows with %d columns", ErrMisuse, rows, columns)
	}
	if b, ok := tx.(BulkInserter); ok {
		return b.BulkInsert(insert, columns, rows, arg, suffix)
	}
	return InsertInChunks(tx, insert, columns, rows, arg, suffix)
}

// BulkInserter is implemented by the Tx of engines that have something better than multi-row
// INSERT. Columns and rows are in range.
type BulkInserter interface {
	BulkInsert(insert string, columns, rows int, arg func(row, col int) any, suffix string) error
}

// InsertInChunks is BulkInsert by multi-row INSERT on every engine.
func InsertInChunks(tx Tx, insert string, columns, rows int, arg func(row, col int) any, suffix string) error {
	args := make([]any, 0, min(rows, bulkRows)*columns)
	for done := 0; done < rows; {
		n := chunk(rows - done)
		args = args[:0]
		for r := done; r < done+n; r++ {
			for c := range columns {
				args = append(args, arg(r, c))
			}
		}
		if _, err := tx.Exec(bulkText(bulkShape{insert, suffix, columns, n}), args...); err != nil {
			return err
		}
		done += n
	}
	return nil
}

// chunk returns how many of the left rows the next statement takes.
func chunk(left int) int {
	if left >= bulkRows {
		return bulkRows
	}
	n := 1
	for n*2 <= left {
		n *= 2
	}
	return n
}

func bulkText(s bulkShape) string {
	if text, ok := bulkTexts.Load(s); ok {
		return text.(string)
	}
	var b strings.Builder
	b.WriteString(s.insert)
	b.WriteString(" VALUES ")
	for i := range s.rows * s.columns {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%s.columns == 0:
			b.WriteString("),(")
		default:
			b.WriteByte(',')
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(i + 1))
	}
	b.WriteByte(')')
	if s.suffix != "" {
		b.WriteByte(' ')
		b.WriteString(s.suffix)
	}
	text, _ := bulkTexts.LoadOrStore(s, b.String())
	return text.(string)
}
