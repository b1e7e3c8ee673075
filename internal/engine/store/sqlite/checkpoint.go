package sqlite

import (
	"context"
	"time"
)

// checkpointEvery is how long after a commit the WAL is copied into the file.
const checkpointEvery = time.Second

// checkpoint copies the WAL into the file beside the writer, on a connection of its own, so that no
// commit has to. A commit that finds the WAL longer than walPages still copies what is left, which
// is little then, and begins it anew: under writes without a pause nobody else could. An error is
// not reported, since that commit would meet it too.
func (db *DB) checkpoint(ctx context.Context) {
	defer close(db.copied)
	var c *conn
	defer func() {
		if c != nil {
			_ = c.close()
		}
	}()
	for {
		select {
		case <-db.closing:
			return
		case <-db.dirty:
		}
		t := db.clock.NewTimer(checkpointEvery)
		select {
		case <-db.closing:
			t.Stop()
			return
		case <-t.C:
		}
		if c == nil {
			var err error
			if c, err = open(ctx, db.readPool); err != nil {
				c = nil
				continue
			}
		}
		if err := c.exec("PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
			_ = c.close()
			c = nil
		}
	}
}

// changed tells the copier that there is something to copy.
func (db *DB) changed() {
	select {
	case db.dirty <- struct{}{}:
	default:
	}
}
