package sqlite

import (
	"crypto/rand"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/storetest"
)

func benchDB(b *testing.B) *DB {
	b.Helper()
	return mustOpen(b, config(filepath.Join(b.TempDir(), "state.db"), fstest.MapFS{"0001_link.sql": {Data: []byte(
		`CREATE TABLE link (key_hash BLOB PRIMARY KEY, event_time INTEGER NOT NULL, investigation INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE item (id INTEGER PRIMARY KEY);` + store.OutboxSQLite)}}))
}

const insertLink = `INSERT INTO link (key_hash, event_time, investigation)`

func key() []byte {
	k := make([]byte, 16)
	_, _ = rand.Read(k) // never fails
	return k
}

func BenchmarkUpdateOneRow(b *testing.B) {
	db := benchDB(b)
	b.ReportAllocs()
	for b.Loop() {
		err := db.Update(b.Context(), func(tx store.Tx) error {
			_, err := tx.Exec(insertLink+` VALUES ($1, $2, $3)`, key(), 1, 2)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpdateOneRowParallel(b *testing.B) {
	db := benchDB(b)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			err := db.Update(b.Context(), func(tx store.Tx) error {
				_, err := tx.Exec(insertLink+` VALUES ($1, $2, $3)`, key(), 1, 2)
				return err
			})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkUpdate500Rows(b *testing.B) {
	db := benchDB(b)
	const rows = 500
	b.ReportAllocs()
	for b.Loop() {
		err := db.Update(b.Context(), func(tx store.Tx) error {
			return store.BulkInsert(tx, insertLink, 3, rows, func(_, col int) any {
				if col == 0 {
					return key()
				}
				return col
			}, "")
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkViewOneRow(b *testing.B) {
	db := benchDB(b)
	if err := db.Update(b.Context(), insert(1)); err != nil {
		b.Fatal(err)
	}
	var n atomic.Int64
	b.ReportAllocs()
	for b.Loop() {
		err := db.View(b.Context(), func(tx store.Tx) error {
			var id int64
			if err := tx.QueryRow(`SELECT id FROM item WHERE id = $1`, 1).Scan(&id); err != nil {
				return err
			}
			n.Add(id)
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenExisting(b *testing.B) {
	cfg := config(filepath.Join(b.TempDir(), "state.db"), storetest.Migrations(store.SQLite))
	db, err := Open(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		db, err := Open(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
