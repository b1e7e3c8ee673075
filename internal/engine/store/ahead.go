package store

import "context"

type aheadKey struct{}

// Ahead returns a context whose transactions wait for at most one that was asked for before them
// without it, where an engine has one writer (SQLite). Engines on which transactions go on side by
// side take no notice. It is for short transactions that somebody waits for.
func Ahead(ctx context.Context) context.Context { return context.WithValue(ctx, aheadKey{}, true) }

// IsAhead reports whether ctx is one of Ahead.
func IsAhead(ctx context.Context) bool {
	ahead, _ := ctx.Value(aheadKey{}).(bool)
	return ahead
}
