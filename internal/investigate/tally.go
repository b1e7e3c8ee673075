package investigate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/reason"
	"github.com/aluskort/aluskort/internal/reason/opinion"
)

// Tally is a match of a rule that becomes evidence only when it repeats: what it would be
// worth, and how often it must occur within which time.
type Tally struct {
	evidence.Tally
	// First and Last bound the times of the investigation's own matches.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// MaxTallies bounds the tallies of one investigation.
const MaxTallies = 16

// Occurrence is one match of a tally's key, by any alert of the tenant.
type Occurrence struct {
	At            time.Time
	Investigation int64 // its first alert
	Alert         int64
	Value         int64 // hash of the value whose distinct ones are counted
}

func (inv *Investigation) addTallies(list []evidence.Tally, at time.Time) {
	for _, t := range list {
		i, found := slices.BinarySearchFunc(inv.Tallies, t, func(a Tally, b evidence.Tally) int {
			return cmp.Or(cmp.Compare(a.Item.ID, b.Item.ID), cmp.Compare(a.Key, b.Key))
		})
		if !found {
			inv.Tallies = slices.Insert(inv.Tallies, i, Tally{Tally: t, First: at, Last: at})
			continue
		}
		have := &inv.Tallies[i]
		if at.Before(have.First) {
			have.First = at
		}
		if at.After(have.Last) {
			have.Last = at
		}
		if t.Item.Statement < have.Item.Statement {
			have.Item = t.Item
		}
	}
	inv.Tallies = inv.Tallies[:min(len(inv.Tallies), MaxTallies)]
}

// Reached reports for which investigations a tally is reached: those with an occurrence in
// some window that holds enough of them. occurrences are sorted by time.
func Reached(t *evidence.Tally, occurrences []Occurrence) map[int64]bool {
	out := map[int64]bool{}
	values := map[int64]int{} // how often each is within the window that ends at to
	from, marked := 0, 0
	for to := range occurrences {
		if t.Distinct {
			values[occurrences[to].Value]++
		}
		for ; occurrences[to].At.Sub(occurrences[from].At) > t.Window(); from++ {
			if v := occurrences[from].Value; t.Distinct && values[v] > 1 {
				values[v]--
			} else {
				delete(values, v)
			}
		}
		n := to + 1 - from
		if t.Distinct {
			n = len(values)
		}
		if n < t.AtLeast {
			continue
		}
		for marked = max(marked, from); marked <= to; marked++ {
			out[occurrences[marked].Investigation] = true
		}
	}
	return out
}

// CountPrefix begins the id of evidence that rests on repetition.
const CountPrefix = "count:"

// Evidence is the item that a reached tally is worth.
func (t *Tally) Evidence() evidence.Evidence {
	e := t.Item
	e.ID = CountPrefix + e.ID
	what := "matches"
	if t.Distinct {
		what = "different values"
	}
	e.Statement = fmt.Sprintf("%s (at least %d %s within %s)", e.Statement, t.AtLeast, what, t.Window())
	return e
}

// derived reports whether an item depends on more than the investigation's own alerts: on other
// investigations, or on what a model thinks.
func derived(e *evidence.Evidence) bool {
	return reason.IsLink(e) || strings.HasPrefix(e.ID, CountPrefix) || opinion.IsModel(e)
}
