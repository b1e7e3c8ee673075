package sqlite

import (
	"context"
	"time"
)

// checkpointEvery is how long after a commit the WAL is copied into the file.
const checkpointEvery = time.Second

// checkpoint copies the WAL into the file beside the writer, on a connection of its own, so that no
// commit has to. A commit that finds the WAL longer than walPages still copies what is left, which
// is little then, and begins it anew: under writes without a pause nobody else could.
//
// What was committed is safe while copying fails, but the WAL grows, and no commit says so: the
// first failure of a series is logged, and the end of the series.
func (db *DB) checkpoint(ctx context.Context) {
	defer close(db.copied)
	var c *conn
	defer func() {
		if c != nil {
			_ = c.close()
		}
	}()
	failing := false
	for db.untilDirty() {
		err := db.copyWAL(ctx, &c)
		switch {
		case err != nil && !failing:
			db.log.Error("the WAL of the database cannot be copied into its file and grows", "file", db.path, "error", err)
		case err == nil && failing:
			db.log.Info("the WAL of the database is copied into its file again", "file", db.path)
		}
		if failing = err != nil; failing {
			db.changed()
		}
	}
}

// untilDirty waits for a commit and then a little; false means that the database closes.
func (db *DB) untilDirty() bool {
	select {
	case <-db.closing:
		return false
	case <-db.dirty:
	}
	t := db.clock.NewTimer(checkpointEvery)
	defer t.Stop()
	select {
	case <-db.closing:
		return false
	case <-t.C:
		return true
	}
}

// copyWAL copies on a connection that it opens where there is none, and gives up after an error.
func (db *DB) copyWAL(ctx context.Context, c **conn) error {
	if *c == nil {
		next, err := open(ctx, db.readPool)
		if err != nil {
			return err
		}
		*c = next
	}
	err := (*c).exec("PRAGMA wal_checkpoint(PASSIVE)")
	if err != nil {
		_ = (*c).close()
		*c = nil
	}
	return err
}

// changed says that there is something to copy.
func (db *DB) changed() {
	select {
	case db.dirty <- struct{}{}:
	default:
	}
}
