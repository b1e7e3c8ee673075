package labelled

import (
	"hash/fnv"
	"strings"
)

// commonShingle is how many lines may share words before these are a carrier and not a payload.
const commonShingle = 6

// groups gives lines that share a payload, or are near copies, the same number. Five words in a
// row, or one long word, that few lines have make lines one group; so does a Jaccard similarity
// of character 8-grams above 0.7.
func groups(lines []Line) []int {
	u := newUnion(len(lines))
	by := map[uint64][]int{}
	for i := range lines {
		for _, h := range payloadShingles(lines[i].Text) {
			if l := by[h]; len(l) == 0 || l[len(l)-1] != i {
				by[h] = append(l, i)
			}
		}
	}
	for _, l := range by {
		if len(l) <= commonShingle {
			for _, i := range l[1:] {
				u.join(l[0], i)
			}
		}
	}
	copies(lines, u)
	out := make([]int, len(lines))
	for i := range lines {
		out[i] = u.root(i)
	}
	return number(out)
}

// number replaces group names by 0, 1, 2 in the order of their first line.
func number(roots []int) []int {
	seen := map[int]int{}
	for i, r := range roots {
		n, ok := seen[r]
		if !ok {
			n = len(seen)
			seen[r] = n
		}
		roots[i] = n
	}
	return roots
}

func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

func payloadShingles(text string) []uint64 {
	words := strings.Fields(strings.ToLower(text))
	var out []uint64
	if len(words) < 5 {
		out = append(out, hash(strings.Join(words, " ")))
	}
	for i := 0; i+5 <= len(words); i++ {
		out = append(out, hash(strings.Join(words[i:i+5], " ")))
	}
	for _, w := range words {
		if len(w) >= 20 {
			out = append(out, hash(w))
		}
	}
	return out
}

// copies joins near copies. Candidates share one of the smallest 8-gram hashes, which near
// copies almost always do.
func copies(lines []Line, u *union) {
	const sketch = 12
	grams := make([]map[uint64]struct{}, len(lines))
	by := map[uint64][]int{}
	for i := range lines {
		grams[i] = map[uint64]struct{}{}
		t := strings.Join(strings.Fields(strings.ToLower(lines[i].Text)), " ")
		for k := 0; k+8 <= len(t); k++ {
			grams[i][hash(t[k:k+8])] = struct{}{}
		}
		for _, h := range smallest(grams[i], sketch) {
			by[h] = append(by[h], i)
		}
	}
	for _, l := range by {
		for a := range l {
			for b := a + 1; b < min(len(l), a+40); b++ {
				if u.root(l[a]) != u.root(l[b]) && jaccard(grams[l[a]], grams[l[b]]) > 0.7 {
					u.join(l[a], l[b])
				}
			}
		}
	}
}

func smallest(set map[uint64]struct{}, n int) []uint64 {
	var out []uint64
	for h := range set {
		at := len(out)
		for at > 0 && out[at-1] > h {
			at--
		}
		if at >= n {
			continue
		}
		out = append(out, 0)
		copy(out[at+1:], out[at:])
		out[at] = h
		out = out[:min(len(out), n)]
	}
	return out
}

func jaccard(a, b map[uint64]struct{}) float64 {
	both := 0
	for h := range a {
		if _, ok := b[h]; ok {
			both++
		}
	}
	if all := len(a) + len(b) - both; all > 0 {
		return float64(both) / float64(all)
	}
	return 0
}

type union struct{ parent []int }

func newUnion(n int) *union {
	u := &union{make([]int, n)}
	for i := range u.parent {
		u.parent[i] = i
	}
	return u
}

// root returns the smallest line of the group, so that the numbering does not depend on order.
func (u *union) root(i int) int {
	for u.parent[i] != i {
		u.parent[i] = u.parent[u.parent[i]]
		i = u.parent[i]
	}
	return i
}

func (u *union) join(a, b int) {
	a, b = u.root(a), u.root(b)
	u.parent[max(a, b)] = min(a, b)
}
