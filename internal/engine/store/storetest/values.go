package storetest

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/engine/store"
)

func testValues(t *testing.T, open Open) {
	t.Run("bytes", func(t *testing.T) {
		db := fresh(t, open)
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		for i, want := range [][]byte{{0}, {0, 0, 'a', 0}, {0xff, 0xfe, 0xc3, 0x28}, all, bytes.Repeat(all, 4096), {}} {
			exec(t, db, `INSERT INTO item (id, data) VALUES ($1, $2)`, i, want)
			var got []byte
			var null sql.Null[[]byte]
			err := db.View(t.Context(), func(tx store.Tx) error {
				return tx.QueryRow(`SELECT data, data FROM item WHERE id = $1`, i).Scan(&got, &null)
			})
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes came back as %d (%v)", len(want), len(got), err)
			}
			if !null.Valid {
				t.Errorf("%d bytes came back as NULL", len(want))
			}
		}
	})
	t.Run("scanned bytes belong to the caller", func(t *testing.T) {
		db := fresh(t, open)
		exec(t, db, `INSERT INTO item (id, data) VALUES (1, $1), (2, $2)`, []byte("one"), []byte("two"))
		var got [][]byte
		err := db.View(t.Context(), func(tx store.Tx) error {
			rows, err := tx.Query(`SELECT data FROM item ORDER BY id`)
			if err != nil {
				return err
			}
			for rows.Next() {
				var b []byte
				if err := rows.Scan(&b); err != nil {
					return err
				}
				got = append(got, b)
			}
			return errors.Join(rows.Err(), rows.Close())
		})
		if err != nil || len(got) != 2 || string(got[0]) != "one" || string(got[1]) != "two" {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("integers", func(t *testing.T) {
		db := fresh(t, open)
		for _, want := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64, 1 << 53, 1<<53 + 1} {
			var got int64
			update(t, db, func(tx store.Tx) error {
				return tx.QueryRow(`INSERT INTO item (id) VALUES ($1) RETURNING id`, want).Scan(&got)
			})
			if got != want {
				t.Errorf("%d came back as %d", want, got)
			}
		}
	})
	t.Run("text", func(t *testing.T) {
		db := fresh(t, open)
		for i, want := range []string{"", "plain", "ümlaut \U0001F512", "it's $1 ? -- \"x\"", "line\nbreak"} {
			exec(t, db, insertItem, i, want)
			var got string
			err := db.View(t.Context(), func(tx store.Tx) error {
				return tx.QueryRow(`SELECT name FROM item WHERE id = $1`, i).Scan(&got)
			})
			if err != nil || got != want {
				t.Errorf("%q came back as %q (%v)", want, got, err)
			}
		}
	})
	t.Run("floats and booleans", func(t *testing.T) {
		db := fresh(t, open)
		exec(t, db, `INSERT INTO item (id, score, flag) VALUES ($1, $2, $3), ($4, $5, $6)`, 1, 0.1, true, 2, -math.MaxFloat64, false)
		err := db.View(t.Context(), func(tx store.Tx) error {
			for id, want := range map[int]struct {
				score float64
				flag  bool
			}{1: {0.1, true}, 2: {-math.MaxFloat64, false}} {
				var score float64
				var flag bool
				if err := tx.QueryRow(`SELECT score, flag FROM item WHERE id = $1`, id).Scan(&score, &flag); err != nil {
					return err
				}
				if score != want.score || flag != want.flag {
					t.Errorf("%d: got %v %v, want %v", id, score, flag, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Run("null", func(t *testing.T) {
		db := fresh(t, open)
		exec(t, db, `INSERT INTO item (id, name, data, score, flag) VALUES ($1, $2, $3, $4, $5)`, 1, nil, []byte(nil), nil, nil)
		err := db.View(t.Context(), func(tx store.Tx) error {
			var (
				name  *string
				data  []byte
				score sql.Null[float64]
				blob  sql.Null[[]byte]
			)
			if err := tx.QueryRow(`SELECT name, data, score, data FROM item`).Scan(&name, &data, &score, &blob); err != nil {
				return err
			}
			if name != nil || data != nil || score.Valid || blob.Valid {
				t.Errorf("NULLs came back as %v %v %v %v", name, data, score, blob)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		exec(t, db, `UPDATE item SET name = $1 WHERE id = 1`, "set")
		err = db.View(t.Context(), func(tx store.Tx) error {
			var name *string
			if err := tx.QueryRow(`SELECT name FROM item`).Scan(&name); err != nil {
				return err
			}
			if name == nil || *name != "set" {
				t.Errorf("got %v through a pointer", name)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Run("parameters by number", func(t *testing.T) {
		db := fresh(t, open)
		exec(t, db, `INSERT INTO item (name, id) VALUES ($2, $1)`, 7, "seven")
		if n := number(t, db, `SELECT id FROM item WHERE name = $1 AND id = $2 AND $1 <> ''`, "seven", 7); n != 7 {
			t.Errorf("got %d", n)
		}
	})
	t.Run("upsert and returning", func(t *testing.T) {
		db := fresh(t, open)
		const upsert = `INSERT INTO item (id, score) VALUES ($1, $2)
ON CONFLICT (id) DO UPDATE SET score = item.score + excluded.score RETURNING score`
		for i, want := range []float64{2, 4, 6} {
			var got float64
			update(t, db, func(tx store.Tx) error { return tx.QueryRow(upsert, 1, 2.0).Scan(&got) })
			if got != want {
				t.Errorf("upsert %d returned %v, want %v", i, got, want)
			}
		}
	})
	t.Run("a time is refused", func(t *testing.T) {
		db := fresh(t, open)
		err := db.Update(t.Context(), func(tx store.Tx) error {
			_, err := tx.Exec(insertItem, 1, time.Unix(0, 0))
			return err
		})
		if !errors.Is(err, store.ErrMisuse) {
			t.Errorf("got %v, want ErrMisuse", err)
		}
	})
}

func testErrors(t *testing.T, open Open) {
	t.Run("no rows", func(t *testing.T) {
		db := fresh(t, open)
		update(t, db, func(tx store.Tx) error {
			var id int64
			if err := tx.QueryRow(`SELECT id FROM item WHERE id = $1`, 1).Scan(&id); !errors.Is(err, store.ErrNoRows) {
				t.Errorf("got %v, want ErrNoRows", err)
			}
			_, err := tx.Exec(insertItem, 1, "still usable")
			return err
		})
	})
	refused := []struct {
		name, query string
		args        []any
		want        error
	}{
		{"primary key", insertItem, []any{1, "b"}, store.ErrConstraint},
		{"unique", insertItem, []any{2, "a"}, store.ErrConstraint},
		{"foreign key", `INSERT INTO child (id, item) VALUES (1, 99)`, nil, store.ErrConstraint},
		{"not null", `INSERT INTO ledger (id) VALUES (2)`, nil, store.ErrConstraint},
		{"update of an append-only table", `UPDATE ledger SET body = 'x'`, nil, store.ErrImmutable},
		{"delete from an append-only table", `DELETE FROM ledger`, nil, store.ErrImmutable},
		{"no such table", `INSERT INTO nowhere (id) VALUES (1)`, nil, store.ErrUnavailable},
	}
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			db := fresh(t, open)
			exec(t, db, insertItem, 1, "a")
			exec(t, db, `INSERT INTO ledger (id, body) VALUES (1, 'first')`)
			err := db.Update(t.Context(), func(tx store.Tx) error {
				_, err := tx.Exec(tt.query, tt.args...)
				return err
			})
			for _, kind := range []error{store.ErrConstraint, store.ErrImmutable, store.ErrUnavailable} {
				if got := errors.Is(err, kind); got != (kind == tt.want) { //nolint:errorlint // sentinels
					t.Errorf("%v: is %v = %v", err, kind, got)
				}
			}
			if n := number(t, db, `SELECT COUNT(*) FROM ledger WHERE body = 'first'`); n != 1 {
				t.Error("the append-only row is gone")
			}
		})
	}
	t.Run("a failed statement dooms the transaction", func(t *testing.T) {
		db := fresh(t, open)
		exec(t, db, insertItem, 1, "a")
		err := db.Update(t.Context(), func(tx store.Tx) error {
			if _, err := tx.Exec(insertItem, 2, "b"); err != nil {
				return err
			}
			_, _ = tx.Exec(insertItem, 1, "again") // ignored, as a careless caller would
			return nil
		})
		if !errors.Is(err, store.ErrConstraint) {
			t.Errorf("got %v, want the ignored error", err)
		}
		if n := number(t, db, countItems); n != 1 {
			t.Errorf("%d items, want only the first", n)
		}
	})
	t.Run("a nested update is refused", func(t *testing.T) {
		db := fresh(t, open)
		update(t, db, func(tx store.Tx) error {
			err := db.Update(tx.Context(), func(store.Tx) error { return nil })
			if !errors.Is(err, store.ErrMisuse) {
				t.Errorf("got %v, want ErrMisuse", err)
			}
			return nil
		})
	})
	t.Run("a statement while a cursor is open is refused", func(t *testing.T) {
		db := fresh(t, open)
		exec(t, db, insertItem, 1, "a")
		update(t, db, func(tx store.Tx) error {
			rows, err := tx.Query(`SELECT id FROM item`)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(insertItem, 2, "b"); !errors.Is(err, store.ErrMisuse) {
				t.Errorf("got %v, want ErrMisuse", err)
			}
			if err := rows.Close(); err != nil {
				return err
			}
			_, err = tx.Exec(insertItem, 2, "b")
			return err
		})
	})
	t.Run("a transaction is unusable after its end", func(t *testing.T) {
		db := fresh(t, open)
		var kept store.Tx
		update(t, db, func(tx store.Tx) error { kept = tx; return nil })
		if _, err := kept.Exec(insertItem, 1, "a"); !errors.Is(err, store.ErrMisuse) {
			t.Errorf("got %v, want ErrMisuse", err)
		}
	})
}

func testBulkInsert(t *testing.T, open Open) {
	for _, n := range []int{2, 3, 7, 130} {
		t.Run(fmt.Sprintf("%d rows of three keys", n), func(t *testing.T) {
			db := fresh(t, open)
			update(t, db, func(tx store.Tx) error {
				return store.BulkInsert(tx, `INSERT INTO item (id, name, score)`, 3, n, func(r, c int) any {
					return []any{r % 3, nil, 1.0}[c]
				}, `ON CONFLICT (id) DO UPDATE SET score = item.score + excluded.score`)
			})
			if got := number(t, db, `SELECT CAST(SUM(score) AS BIGINT) FROM item WHERE name IS NULL`); got != int64(n) {
				t.Errorf("the keys add up to %d, want %d", got, n)
			}
			if got := number(t, db, countItems); got != int64(min(n, 3)) {
				t.Errorf("%d keys", got)
			}
		})
	}
	for _, n := range []int{0, 1, 2, 3, 49, 50, 51, 163} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			db := fresh(t, open)
			data := func(r int) []byte { return []byte{byte(r), byte(r >> 8)} }
			row := func(r, c int) any {
				if c == 0 {
					return r
				}
				return data(r)
			}
			update(t, db, func(tx store.Tx) error {
				if err := store.BulkInsert(tx, `INSERT INTO item (id, data)`, 2, n, row, ``); err != nil {
					return err
				}
				// A second time, so that the suffix has something to do.
				return store.BulkInsert(tx, `INSERT INTO item (id, data)`, 2, n, row, `ON CONFLICT (id) DO NOTHING`)
			})
			if got := number(t, db, countItems); got != int64(n) {
				t.Errorf("%d rows inserted, want %d", got, n)
			}
			err := db.View(t.Context(), func(tx store.Tx) error {
				for r := range n {
					var got []byte
					if err := tx.QueryRow(`SELECT data FROM item WHERE id = $1`, r).Scan(&got); err != nil {
						return err
					}
					if !bytes.Equal(got, data(r)) {
						t.Errorf("row %d holds %v", r, got)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
