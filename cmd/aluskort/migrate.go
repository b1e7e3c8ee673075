package main

import (
	"errors"
	"fmt"

	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/statedir"
)

type migrateCmd struct{}

// Run brings both databases to the schema of this program. Embedded, nothing else may use them;
// a server of several processes takes care of that itself.
func (migrateCmd) Run(e *env) (err error) {
	if e.config.Embedded() {
		dir, err := statedir.Open(e.config.State)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, dir.Close()) }()
	}
	for _, d := range app.Databases() {
		before, after, err := d.Migrate(e.ctx, &e.config)
		if err != nil {
			return err
		}
		word := "is up to date"
		if before != after {
			word = fmt.Sprintf("migrated from version %d", before)
		}
		if _, err := fmt.Fprintf(e.stdout, "%s: version %d, %s\n", d.Place(&e.config), after, word); err != nil {
			return err
		}
	}
	return nil
}
