package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

var (
	// ErrProof is returned when a proof does not lead to the root.
	ErrProof = errors.New("audit: proof does not match the root")
	// ErrTree is returned for an index or a stored state that no tree can have.
	ErrTree = errors.New("audit: no such Merkle tree")
)

// LeafHash is the hash of a record as a leaf: SHA-256(0x00 ‖ record), RFC 6962, section 2.1.
func LeafHash(record []byte) Hash {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(record)
	var out Hash
	h.Sum(out[:0])
	return out
}

// NodeHash is the hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
func NodeHash(left, right Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// Tree is the compact form of a Merkle tree: its size and the roots of its complete subtrees.
// It grows by one leaf in amortised constant time and gives the root at any moment. The zero
// value is the empty tree. Not safe for concurrent use.
type Tree struct {
	size  int64
	roots []Hash // of the complete subtrees, largest first: one for each bit set in size
}

// Size returns the number of leaves.
func (t *Tree) Size() int64 { return t.size }

// Append adds a leaf by its hash.
func (t *Tree) Append(leaf Hash) {
	for n := t.size; n&1 == 1; n >>= 1 {
		last := len(t.roots) - 1
		leaf = NodeHash(t.roots[last], leaf)
		t.roots = t.roots[:last]
	}
	t.roots = append(t.roots, leaf)
	t.size++
}

// Root returns the root; of the empty tree, the SHA-256 of nothing.
func (t *Tree) Root() Hash {
	if t.size == 0 {
		return sha256.Sum256(nil)
	}
	root := t.roots[len(t.roots)-1]
	for i := len(t.roots) - 2; i >= 0; i-- {
		root = NodeHash(t.roots[i], root)
	}
	return root
}

// AppendBinary appends the state of the tree: 8 bytes of size, big-endian, and the subtree roots.
func (t *Tree) AppendBinary(dst []byte) ([]byte, error) {
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.size))
	for i := range t.roots {
		dst = append(dst, t.roots[i][:]...)
	}
	return dst, nil
}

// UnmarshalBinary reads what AppendBinary wrote; the error wraps ErrTree.
func (t *Tree) UnmarshalBinary(b []byte) error {
	if len(b) < 8 {
		return fmt.Errorf("%w: %d bytes of state", ErrTree, len(b))
	}
	size := binary.BigEndian.Uint64(b)
	b = b[8:]
	if size > MaxSequence+1 || len(b) != bits.OnesCount64(size)*sha256.Size {
		return fmt.Errorf("%w: size %d with %d bytes of roots", ErrTree, size, len(b))
	}
	t.size, t.roots = int64(size), t.roots[:0]
	for ; len(b) > 0; b = b[sha256.Size:] {
		t.roots = append(t.roots, Hash(b[:sha256.Size]))
	}
	return nil
}

// RootOf returns the root over leaf hashes.
func RootOf(leaves []Hash) Hash {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	}
	k := split(len(leaves))
	return NodeHash(RootOf(leaves[:k]), RootOf(leaves[k:]))
}

// split returns the largest power of two smaller than n, for n > 1.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// InclusionProof returns the audit path of leaf index in the tree over leaves, from the leaf up
// (RFC 6962, section 2.1.1). It fails with ErrTree when there is no such leaf.
func InclusionProof(leaves []Hash, index int) ([]Hash, error) {
	if index < 0 || index >= len(leaves) {
		return nil, fmt.Errorf("%w: leaf %d of %d", ErrTree, index, len(leaves))
	}
	return path(leaves, index), nil
}

func path(leaves []Hash, index int) []Hash {
	if len(leaves) == 1 {
		return nil
	}
	k := split(len(leaves))
	if index < k {
		return append(path(leaves[:k], index), RootOf(leaves[k:]))
	}
	return append(path(leaves[k:], index-k), RootOf(leaves[:k]))
}

// VerifyInclusion checks that leaf is number index of the tree of that size and root (RFC 9162,
// section 2.1.3.2). It fails with ErrTree or ErrProof.
func VerifyInclusion(leaf Hash, index, size int64, proof []Hash, root Hash) error {
	if index < 0 || index >= size {
		return fmt.Errorf("%w: leaf %d of %d", ErrTree, index, size)
	}
	fn, sn := index, size-1
	at := leaf
	for _, p := range proof {
		if sn == 0 {
			return fmt.Errorf("%w: %d hashes are too many for %d leaves", ErrProof, len(proof), size)
		}
		if fn&1 == 1 || fn == sn {
			at = NodeHash(p, at)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			at = NodeHash(at, p)
		}
		fn, sn = fn>>1, sn>>1
	}
	if sn != 0 || at != root {
		return fmt.Errorf("%w: leaf %d of %d", ErrProof, index, size)
	}
	return nil
}

// ConsistencyProof returns the proof that the tree over leaves begins with the first old leaves
// (RFC 6962, section 2.1.2). It fails with ErrTree when 0 < old <= len(leaves) does not hold.
func ConsistencyProof(leaves []Hash, old int) ([]Hash, error) {
	if old <= 0 || old > len(leaves) {
		return nil, fmt.Errorf("%w: first %d of %d leaves", ErrTree, old, len(leaves))
	}
	return subproof(leaves, old, true), nil
}

func subproof(leaves []Hash, old int, whole bool) []Hash {
	if old == len(leaves) {
		if whole {
			return nil
		}
		return []Hash{RootOf(leaves)}
	}
	k := split(len(leaves))
	if old <= k {
		return append(subproof(leaves[:k], old, whole), RootOf(leaves[k:]))
	}
	return append(subproof(leaves[k:], old-k, false), RootOf(leaves[:k]))
}

// VerifyConsistency checks that the tree of newSize and newRoot begins with the tree of oldSize
// and oldRoot (RFC 9162, section 2.1.4.2). It fails with ErrTree or ErrProof.
func VerifyConsistency(oldSize, newSize int64, oldRoot, newRoot Hash, proof []Hash) error {
	if oldSize <= 0 || oldSize > newSize {
		return fmt.Errorf("%w: first %d of %d leaves", ErrTree, oldSize, newSize)
	}
	bad := fmt.Errorf("%w: first %d of %d leaves", ErrProof, oldSize, newSize)
	if oldSize == newSize {
		if len(proof) != 0 || oldRoot != newRoot {
			return bad
		}
		return nil
	}
	if oldSize&(oldSize-1) == 0 {
		proof = append([]Hash{oldRoot}, proof...)
	}
	if len(proof) == 0 {
		return bad
	}
	fn, sn := oldSize-1, newSize-1
	for fn&1 == 1 {
		fn, sn = fn>>1, sn>>1
	}
	fr, sr := proof[0], proof[0]
	for _, p := range proof[1:] {
		if sn == 0 {
			return bad
		}
		if fn&1 == 1 || fn == sn {
			fr, sr = NodeHash(p, fr), NodeHash(p, sr)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			sr = NodeHash(sr, p)
		}
		fn, sn = fn>>1, sn>>1
	}
	if sn != 0 || fr != oldRoot || sr != newRoot {
		return bad
	}
	return nil
}
