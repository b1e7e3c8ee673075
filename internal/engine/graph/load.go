package graph

import (
	"context"
	"fmt"
)

// Compact returns the change with one entry for each node and edge: the last one, of mentions the
// first. An asset is OT when any of its entries says so.
func (c *Change) Compact() *Change {
	out := *c
	either := func(before, now Asset) Asset {
		now.OT = now.OT || before.OT
		return now
	}
	out.Assets = lastOf(c.Assets, func(a Asset) string { return a.ID }, either)
	out.Mentions = lastOf(c.Mentions, func(a Asset) string { return a.ID }, func(before, now Asset) Asset { return either(now, before) })
	out.Zones = lastOf(c.Zones, func(z Zone) string { return z.ID }, nil)
	out.Models = lastOf(c.Models, func(m Model) string { return m.ID }, nil)
	out.Findings = lastOf(c.Findings, func(f Finding) string { return f.ID }, nil)
	out.Edges = lastOf(c.Edges, func(e Edge) Edge { return e }, nil)
	return &out
}

func lastOf[T any, K comparable](list []T, key func(T) K, merge func(before, now T) T) []T {
	at := make(map[K]int, len(list))
	out := make([]T, 0, len(list))
	for _, v := range list {
		k := key(v)
		i, seen := at[k]
		switch {
		case !seen:
			at[k] = len(out)
			out = append(out, v)
		case merge != nil:
			out[i] = merge(out[i], v)
		default:
			out[i] = v
		}
	}
	return out
}

// Load applies a change of any size in pieces, what is taken away first and nodes before edges.
// It is not atomic; repeating it is safe. More than MaxChange zones are ErrTooLarge.
func Load(ctx context.Context, g Graph, tenant string, c *Change) error {
	if len(c.Zones) > MaxChange {
		return fmt.Errorf("%w: %d zones, at most %d", ErrTooLarge, len(c.Zones), MaxChange)
	}
	rest := *c
	for first := true; first || rest.Size() > 0; first = false {
		piece := &Change{Origin: c.Origin, At: c.At}
		cut(&rest, piece)
		if err := g.Apply(ctx, tenant, piece); err != nil {
			return err
		}
	}
	return nil
}

// cut moves what one Apply takes.
func cut(rest, piece *Change) {
	left := MaxChange
	ok := take(&rest.Detach, &piece.Detach, &left) && take(&rest.Remove, &piece.Remove, &left)
	// Any zone may name any other as the one around it, so they stay together.
	if !ok || len(rest.Zones) > left {
		return
	}
	_ = take(&rest.Zones, &piece.Zones, &left) &&
		take(&rest.Assets, &piece.Assets, &left) &&
		take(&rest.Models, &piece.Models, &left) &&
		take(&rest.Findings, &piece.Findings, &left) &&
		take(&rest.Mentions, &piece.Mentions, &left) &&
		take(&rest.Edges, &piece.Edges, &left)
}

// take moves at most left items and reports whether none stayed behind.
func take[T any](from, to *[]T, left *int) bool {
	n := min(*left, len(*from))
	*to, *from = (*from)[:n:n], (*from)[n:]
	*left -= n
	return len(*from) == 0
}
