package postgres

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/engine/store/storetest"
)

// BenchmarkInsert compares the ways to insert rows of three columns, 700 bytes each, in one
// durable transaction. COPY is for comparison: it works on tables without row security only.
func BenchmarkInsert(b *testing.B) {
	body := make([]byte, 700)
	for i := range body {
		body[i] = byte(i * 7)
	}
	for _, rows := range []int{10, 100, 1000} {
		name := func(way string) string { return fmt.Sprintf("%s/rows=%d", way, rows) }
		perRow := func(b *testing.B) {
			b.ReportMetric(float64(b.N)*float64(rows)/b.Elapsed().Seconds(), "rows/s")
		}
		insert := func(way func(tx store.Tx, insert string, columns, rows int, arg func(row, col int) any, suffix string) error) func(b *testing.B) {
			return func(b *testing.B) {
				db := mustOpen(b, config(b, schemaOf(b), storetest.Migrations(store.Postgres)))
				next := 0
				for b.Loop() {
					err := db.Update(b.Context(), func(tx store.Tx) error {
						return way(tx, `INSERT INTO item (id, data, score)`, 3, rows, func(r, c int) any {
							return []any{next + r, body, 0.5}[c]
						}, ``)
					})
					if err != nil {
						b.Fatal(err)
					}
					next += rows
				}
				perRow(b)
			}
		}
		b.Run(name("multi-row"), insert(store.InsertInChunks))
		b.Run(name("arrays"), insert(store.BulkInsert))
		b.Run(name("COPY"), func(b *testing.B) {
			db := mustOpen(b, config(b, schemaOf(b), storetest.Migrations(store.Postgres)))
			next := 0
			for b.Loop() {
				err := db.Update(b.Context(), func(t store.Tx) error {
					_, err := t.(*tx).conn.CopyFrom(t.Context(), pgx.Identifier{"item"}, []string{"id", "data", "score"},
						pgx.CopyFromSlice(rows, func(r int) ([]any, error) { return []any{next + r, body, 0.5}, nil }))
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
				next += rows
			}
			perRow(b)
		})
	}
}

// BenchmarkUpdate is one small durable transaction, by one caller and by 16 on rows of their own.
func BenchmarkUpdate(b *testing.B) {
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			db := mustOpen(b, config(b, schemaOf(b), storetest.Migrations(store.Postgres)))
			var next atomic.Int64
			b.SetParallelism(callers)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					err := db.Update(context.Background(), func(tx store.Tx) error {
						_, err := tx.Exec(`INSERT INTO item (id) VALUES ($1)`, next.Add(1))
						return err
					})
					if err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
