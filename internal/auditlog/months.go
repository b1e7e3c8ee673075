package auditlog

import (
	"context"
	"fmt"
	"time"

	"github.com/aluskort/aluskort/internal/engine/store"
)

// monthsAhead is how many months have a partition: a job that does not run for a year harms
// nothing, and what comes later lies in the partition for the rest.
const monthsAhead = 13

// PrepareMonths makes room for the records of the months to come: on PostgreSQL a partition for
// each of the next twelve. It is to be called when the audit database was opened and once a day;
// it does nothing when nothing is missing, and nothing on engines without partitions. Processes
// may call it at the same time.
func PrepareMonths(ctx context.Context, db store.DB, now time.Time) error {
	if db.Dialect() != store.Postgres {
		return nil
	}
	err := db.Update(ctx, func(tx store.Tx) error {
		var made int
		return tx.QueryRow(`SELECT audit_record_months($1, $2)`, now.UnixMicro(), monthsAhead).Scan(&made)
	})
	if err != nil {
		return fmt.Errorf("auditlog: prepare months: %w", err)
	}
	return nil
}
