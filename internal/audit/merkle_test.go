package audit_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"github.com/aluskort/aluskort/internal/audit"
)

func leaves(n int) []audit.Hash {
	out := make([]audit.Hash, n)
	for i := range out {
		out[i] = audit.LeafHash(fmt.Appendf(nil, "record %d", i))
	}
	return out
}

func TestMerkleHashesAreThoseOfTheRFC(t *testing.T) {
	if got := new(audit.Tree).Root(); got != sha256.Sum256(nil) {
		t.Errorf("root of the empty tree is %s", got)
	}
	if got := audit.LeafHash([]byte("abc")); got != sha256.Sum256([]byte("\x00abc")) {
		t.Errorf("leaf hash is %s", got)
	}
	a, b, c := audit.LeafHash([]byte("a")), audit.LeafHash([]byte("b")), audit.LeafHash([]byte("c"))
	ab := sha256.Sum256([]byte("\x01" + string(a[:]) + string(b[:])))
	if want := sha256.Sum256([]byte("\x01" + string(ab[:]) + string(c[:]))); audit.RootOf([]audit.Hash{a, b, c}) != want {
		t.Error("root of three leaves is not hash(hash(a, b), c)")
	}
}

func TestTreeGrowsToTheSameRootAndSurvivesStorage(t *testing.T) {
	all := leaves(130)
	var tree audit.Tree
	for i := range all {
		tree.Append(all[i])
		if got, want := tree.Root(), audit.RootOf(all[:i+1]); got != want || tree.Size() != int64(i+1) {
			t.Fatalf("%d leaves: root %s, want %s", i+1, got, want)
		}
		state, err := tree.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		tree = audit.Tree{}
		if err := tree.UnmarshalBinary(state); err != nil {
			t.Fatal(err)
		}
		if err := new(audit.Tree).UnmarshalBinary(state[:len(state)-1]); !errors.Is(err, audit.ErrTree) {
			t.Errorf("cut state: %v", err)
		}
	}
}

func TestInclusionProofs(t *testing.T) {
	for size := 1; size <= 33; size++ {
		all := leaves(size)
		root := audit.RootOf(all)
		for i := range all {
			proof, err := audit.InclusionProof(all, i)
			if err != nil {
				t.Fatal(err)
			}
			n, at := int64(size), int64(i)
			if err := audit.VerifyInclusion(all[i], at, n, proof, root); err != nil {
				t.Fatalf("leaf %d of %d: %v", i, size, err)
			}
			bad := []error{
				audit.VerifyInclusion(audit.LeafHash(nil), at, n, proof, root),
				audit.VerifyInclusion(all[i], at, n, proof, audit.Hash{}),
				audit.VerifyInclusion(all[i], at, n, append(proof[:len(proof):len(proof)], root), root),
			}
			if size > 1 {
				bad = append(bad, audit.VerifyInclusion(all[i], at, n, proof[:len(proof)-1], root),
					audit.VerifyInclusion(all[i], (at+1)%n, n, proof, root))
			}
			for j, err := range bad {
				if !errors.Is(err, audit.ErrProof) {
					t.Fatalf("leaf %d of %d, wrong proof %d: %v", i, size, j, err)
				}
			}
		}
		if _, err := audit.InclusionProof(all, size); !errors.Is(err, audit.ErrTree) {
			t.Errorf("leaf %d of %d: %v", size, size, err)
		}
	}
}

func TestConsistencyProofs(t *testing.T) {
	all := leaves(33)
	for size := 1; size <= len(all); size++ {
		root := audit.RootOf(all[:size])
		for old := 1; old <= size; old++ {
			proof, err := audit.ConsistencyProof(all[:size], old)
			if err != nil {
				t.Fatal(err)
			}
			oldRoot := audit.RootOf(all[:old])
			if err := audit.VerifyConsistency(int64(old), int64(size), oldRoot, root, proof); err != nil {
				t.Fatalf("%d in %d: %v", old, size, err)
			}
			if err := audit.VerifyConsistency(int64(old), int64(size), audit.Hash{1}, root, proof); !errors.Is(err, audit.ErrProof) {
				t.Fatalf("%d in %d with a wrong old root: %v", old, size, err)
			}
			if err := audit.VerifyConsistency(int64(old), int64(size), oldRoot, audit.Hash{1}, proof); !errors.Is(err, audit.ErrProof) {
				t.Fatalf("%d in %d with a wrong new root: %v", old, size, err)
			}
		}
	}
	if _, err := audit.ConsistencyProof(all, 0); !errors.Is(err, audit.ErrTree) {
		t.Errorf("empty old tree: %v", err)
	}
}
