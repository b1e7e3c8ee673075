package store

import "slices"

// span is the closed range lo..hi of sequence numbers.
type span struct{ lo, hi int64 }

// spans is a set of sequence numbers as ascending, disjoint, non-adjacent ranges. A range
// holds only numbers that were added one by one, so a number that was skipped (because its
// transaction has not committed yet) is never inside.
type spans []span

// find returns the index of the first range that ends at n or later.
func (s spans) find(n int64) int {
	i, _ := slices.BinarySearchFunc(s, n, func(r span, n int64) int {
		if r.hi < n {
			return -1
		}
		return 1
	})
	return i
}

func (s spans) contains(n int64) bool {
	i := s.find(n)
	return i < len(s) && s[i].lo <= n
}

func (s spans) add(n int64) spans {
	i := s.find(n)
	if i < len(s) && s[i].lo <= n {
		return s
	}
	left := i > 0 && s[i-1].hi == n-1
	right := i < len(s) && s[i].lo == n+1
	switch {
	case left && right:
		s[i-1].hi = s[i].hi
		return slices.Delete(s, i, i+1)
	case left:
		s[i-1].hi = n
		return s
	case right:
		s[i].lo = n
		return s
	default:
		return slices.Insert(s, i, span{n, n})
	}
}

// remove takes the range r out of s; r may cover a part of one range only.
func (s spans) remove(r span) spans {
	i := s.find(r.lo)
	for i < len(s) && s[i].lo <= r.hi {
		old := s[i]
		switch {
		case old.lo < r.lo && old.hi > r.hi:
			s[i].hi = r.lo - 1
			return slices.Insert(s, i+1, span{r.hi + 1, old.hi})
		case old.lo < r.lo:
			s[i].hi = r.lo - 1
			i++
		case old.hi > r.hi:
			s[i].lo = r.hi + 1
			return s
		default:
			s = slices.Delete(s, i, i+1)
		}
	}
	return s
}
