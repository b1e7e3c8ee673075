// Package schema holds the numbered migrations of the state database, one folder per engine
// with equal numbering. A number is never reused and an applied file never changed.
package schema

import "embed"

// FS holds the migrations; the folders are named after the dialects of package store.
//
//go:embed sqlite/*.sql postgres/*.sql
var FS embed.FS

// The folders of the migrations by engine.
const (
	SQLiteDir   = "sqlite"
	PostgresDir = "postgres"
)
