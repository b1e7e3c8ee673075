package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/aluskort/aluskort/internal/engine/store"
)

const (
	countItems = `SELECT COUNT(*) FROM item`
	insertItem = `INSERT INTO item (id, name) VALUES ($1, $2)`
)

var errOwn = errors.New("caller's own error")

func testTransactions(t *testing.T, open Open) {
	t.Run("commit is visible", func(t *testing.T) {
		db := fresh(t, open)
		exec(t, db, insertItem, 1, "a")
		if n := number(t, db, countItems); n != 1 {
			t.Errorf("%d items, want 1", n)
		}
	})
	t.Run("error rolls back and is returned as it is", func(t *testing.T) {
		db := fresh(t, open)
		err := db.Update(t.Context(), func(tx store.Tx) error {
			if _, err := tx.Exec(insertItem, 1, "a"); err != nil {
				return err
			}
			return errOwn
		})
		if err != errOwn { //nolint:errorlint // identity is the contract
			t.Errorf("got %v, want the caller's error itself", err)
		}
		if n := number(t, db, countItems); n != 0 {
			t.Errorf("%d items after rollback", n)
		}
	})
	t.Run("panic rolls back and reaches the caller", func(t *testing.T) {
		db := fresh(t, open)
		func() {
			defer func() {
				if p := recover(); p != errOwn { //nolint:errorlint // identity is the contract
					t.Errorf("recovered %v", p)
				}
			}()
			_ = db.Update(t.Context(), func(tx store.Tx) error {
				if _, err := tx.Exec(insertItem, 1, "a"); err != nil {
					return err
				}
				panic(errOwn)
			})
			t.Error("Update returned")
		}()
		if n := number(t, db, countItems); n != 0 {
			t.Errorf("%d items after panic", n)
		}
		exec(t, db, insertItem, 2, "b")
	})
	t.Run("reads its own writes", func(t *testing.T) {
		db := fresh(t, open)
		update(t, db, func(tx store.Tx) error {
			changed, err := tx.Exec(insertItem, 1, "a")
			if err != nil || changed != 1 {
				t.Errorf("insert changed %d rows, %v", changed, err)
			}
			var name string
			if err := tx.QueryRow(`SELECT name FROM item WHERE id = $1`, 1).Scan(&name); err != nil || name != "a" {
				t.Errorf("got %q, %v", name, err)
			}
			return nil
		})
	})
	t.Run("view is a snapshot", func(t *testing.T) {
		db := fresh(t, open)
		err := db.View(t.Context(), func(tx store.Tx) error {
			var before, after int
			if err := tx.QueryRow(countItems).Scan(&before); err != nil {
				return err
			}
			exec(t, db, insertItem, 1, "a")
			if err := tx.QueryRow(countItems).Scan(&after); err != nil {
				return err
			}
			if before != 0 || after != 0 {
				t.Errorf("counted %d, then %d inside one view", before, after)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := number(t, db, countItems); n != 1 {
			t.Errorf("%d items in a new view, want 1", n)
		}
	})
	t.Run("view refuses to write", func(t *testing.T) {
		db := fresh(t, open)
		err := db.View(t.Context(), func(tx store.Tx) error {
			_, err := tx.Exec(insertItem, 1, "a")
			return err
		})
		if err == nil {
			t.Error("a write in View succeeded")
		}
		if n := number(t, db, countItems); n != 0 {
			t.Errorf("%d items written by View", n)
		}
	})
	t.Run("hooks run after commit, in order", func(t *testing.T) {
		db := fresh(t, open)
		var ran []int
		update(t, db, func(tx store.Tx) error {
			for i := range 3 {
				tx.OnCommit(func() {
					if n := number(t, db, countItems); n != 1 {
						t.Errorf("hook %d runs before the commit is visible", i)
					}
					ran = append(ran, i)
				})
			}
			_, err := tx.Exec(insertItem, 1, "a")
			return err
		})
		if !slices.Equal(ran, []int{0, 1, 2}) {
			t.Errorf("ran %v", ran)
		}
	})
	t.Run("hooks do not run on rollback", func(t *testing.T) {
		db := fresh(t, open)
		err := db.Update(t.Context(), func(tx store.Tx) error {
			tx.OnCommit(func() { t.Error("hook ran") })
			return errOwn
		})
		if !errors.Is(err, errOwn) {
			t.Error(err)
		}
	})
	t.Run("an open cursor does not outlive the transaction", func(t *testing.T) {
		db := fresh(t, open)
		exec(t, db, insertItem, 1, "a")
		update(t, db, func(tx store.Tx) error {
			rows, err := tx.Query(`SELECT id FROM item`)
			if err != nil {
				return err
			}
			rows.Next()
			return nil // not closed: the engine tidies up
		})
		exec(t, db, insertItem, 2, "b")
	})
	t.Run("origin is stable", func(t *testing.T) {
		db := fresh(t, open)
		origin := db.Origin()
		if origin == "" {
			t.Fatal("no origin")
		}
		mustClose(t, db)
		again, err := open(t, Migrations(db.Dialect()))
		if err != nil {
			t.Fatal(err)
		}
		defer mustClose(t, again)
		if again.Origin() != origin {
			t.Errorf("origin changed from %s to %s", origin, again.Origin())
		}
	})
}

func testConcurrency(t *testing.T, open Open) {
	t.Run("updates serialise", func(t *testing.T) {
		db := fresh(t, open)
		exec(t, db, `INSERT INTO item (id, score) VALUES (1, 0)`)
		const workers, each = 8, 25
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for range each {
					err := db.Update(t.Context(), func(tx store.Tx) error {
						var n float64
						if err := tx.QueryRow(`SELECT score FROM item WHERE id = 1`).Scan(&n); err != nil {
							return err
						}
						_, err := tx.Exec(`UPDATE item SET score = $1 WHERE id = 1`, n+1)
						return err
					})
					if err != nil {
						t.Errorf("update: %v", err)
					}
				}
			})
		}
		wg.Wait()
		if n := number(t, db, `SELECT CAST(score AS BIGINT) FROM item WHERE id = 1`); n != workers*each {
			t.Errorf("counter is %d, want %d: an update was lost", n, workers*each)
		}
	})
	t.Run("views run beside an update", func(t *testing.T) {
		db := fresh(t, open)
		update(t, db, func(tx store.Tx) error {
			if _, err := tx.Exec(insertItem, 1, "a"); err != nil {
				return err
			}
			if n := number(t, db, countItems); n != 0 {
				t.Error("a view saw uncommitted rows")
			}
			return nil
		})
	})
	t.Run("cancelled before it begins", func(t *testing.T) {
		db := fresh(t, open)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for name, call := range map[string]func(context.Context, func(store.Tx) error) error{"Update": db.Update, "View": db.View} {
			err := call(ctx, func(tx store.Tx) error {
				_, err := tx.Exec(`SELECT 1`)
				return err
			})
			if !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: got %v, want context.Canceled alone", name, err)
			}
		}
	})
	t.Run("cancelled in the middle", func(t *testing.T) {
		db := fresh(t, open)
		ctx, cancel := context.WithCancel(t.Context())
		err := db.Update(ctx, func(tx store.Tx) error {
			if _, err := tx.Exec(insertItem, 1, "a"); err != nil {
				return err
			}
			cancel()
			_, err := tx.Exec(insertItem, 2, "b")
			return err
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		if n := number(t, db, countItems); n != 0 {
			t.Errorf("%d items after cancellation", n)
		}
		exec(t, db, insertItem, 3, "c")
	})
	t.Run("close twice", func(t *testing.T) {
		db := fresh(t, open)
		mustClose(t, db)
		mustClose(t, db)
		nop := func(store.Tx) error { return nil }
		if err := db.Update(t.Context(), nop); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Update after Close: %v", err)
		}
		if err := db.View(t.Context(), nop); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("View after Close: %v", err)
		}
	})
	t.Run("close waits for the running transaction", func(t *testing.T) {
		db := fresh(t, open)
		closed := make(chan error, 1)
		update(t, db, func(tx store.Tx) error {
			go func() { closed <- db.Close() }()
			_, err := tx.Exec(insertItem, 1, "a")
			return err
		})
		if err := <-closed; err != nil {
			t.Error(err)
		}
		again, err := open(t, Migrations(db.Dialect()))
		if err != nil {
			t.Fatal(err)
		}
		defer mustClose(t, again)
		if n := number(t, again, countItems); n != 1 {
			t.Errorf("%d items, want the one committed while closing", n)
		}
	})
}
