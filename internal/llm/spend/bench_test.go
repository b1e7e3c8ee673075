package spend

import (
	"testing"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/registry"
)

// BenchmarkReserveAndBook is one attempt of 64 callers at once: two durable commits, shared.
func BenchmarkReserveAndBook(b *testing.B) {
	db := openDB(b)
	table, err := registry.Load("local", []byte(unitTable))
	if err != nil {
		b.Fatal(err)
	}
	none := Limits{
		MonthHard: Unlimited, MonthSoft: Unlimited, TenantHour: Unlimited, InvestigationCalls: Unlimited, InvestigationTokens: Unlimited,
		InvestigationMoney: Unlimited, Quota: map[Plan]int64{Premium: Unlimited},
	}
	l, err := Open(b.Context(), Config{DB: db, Table: table, Limits: none, Clock: clock.System{}})
	if err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(32) // on two processors
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			k, err := l.Reserve(b.Context(), claim(100, 10))
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := k.Book(b.Context(), llm.Usage{Input: 100, Known: true}, ""); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
