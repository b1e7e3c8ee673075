package embed

import (
	"context"
	_ "embed"
	"fmt"
	"math"
	"strings"
	"unicode"
)

// LexicalSize is the number of dimensions of the lexical embedder: that of text-embedding-3-small,
// so that both can fill the same collections.
const LexicalSize = 1536

// lexicalVersion changes with anything that changes a vector: the features, their weights, the
// table. A test holds the two together.
const lexicalVersion = "1"

// Lexical is the embedder that needs no model and no network. It compares spelling, not meaning:
// texts are alike when they share words, neighbouring words or parts of words, rare ones counting
// more. Words that merely mean the same are strangers to it.
//
// Each text is a bag of words, pairs of neighbouring words and groups of four characters inside
// longer words. A feature counts with 1 + ln of how often it occurs, times how rare its words are
// in the shipped rules, and is added with a sign to the dimension that its hash names.
type Lexical struct{}

var _ Embedder = Lexical{}

// The weights of features beside a whole word.
const (
	pairWeight  = 0.5
	pieceWeight = 0.35
	pieceLength = 4
	maxFeatures = 8192
)

// rarity holds, for each bucket of words, how rare they are: inverse document frequency in
// sixteenths of a nat. Written by the program in gen.
//
//go:embed rarity.bin
var rarity string

// rarityBuckets is the length of the table.
const rarityBuckets = 1 << 14

// Model implements Embedder.
func (Lexical) Model() Model {
	return Model{Name: "lexical", Version: lexicalVersion, Size: LexicalSize}
}

// Embed implements Embedder.
func (l Lexical) Embed(ctx context.Context, _ string, texts []string) ([][]float32, error) {
	if len(texts) > MaxTexts {
		return nil, fmt.Errorf("%w: %d at once, %d are allowed", ErrText, len(texts), MaxTexts)
	}
	out := make([][]float32, len(texts))
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if out[i] = l.vector(text); out[i] == nil {
			return nil, fmt.Errorf("%w: text %d has no word", ErrText, i)
		}
	}
	return out, nil
}

// feature is how often something occurs and what one occurrence is worth.
type feature struct {
	times  int
	weight float64
}

// vector is nil for a text without a word.
func (Lexical) vector(text string) []float32 {
	found := map[uint64]*feature{}
	add := func(hash uint64, weight float64) {
		f := found[hash]
		if f == nil {
			if len(found) >= maxFeatures {
				return
			}
			f = &feature{weight: weight}
			found[hash] = f
		}
		f.times++
	}
	var last uint64
	var lastRare float64
	Words(text, func(word string) {
		hash := hashOf(word)
		rare := rarityOf(hash)
		add(hash, rare)
		if last != 0 {
			add(mix(last, hash), pairWeight*(rare+lastRare)/2)
		}
		pieces(word, func(piece string) { add(mix(pieceSeed, hashOf(piece)), pieceWeight*rare) })
		last, lastRare = hash, rare
	})
	if len(found) == 0 {
		return nil
	}
	// Sums in double precision differ by their order, and maps have none: sixteen bits behind the
	// point are summed as integers.
	sums := make([]int64, LexicalSize)
	for hash, f := range found {
		value := int64(math.Round(f.weight * (1 + math.Log(float64(f.times))) * 65536))
		if hash>>63 != 0 {
			value = -value
		}
		sums[hash%LexicalSize] += value
	}
	return unit(sums)
}

// unit is nil when everything cancelled out.
func unit(sums []int64) []float32 {
	var squares float64
	for _, x := range sums {
		squares += float64(x) * float64(x)
	}
	if squares == 0 {
		return nil
	}
	out := make([]float32, len(sums))
	for i, x := range sums {
		out[i] = float32(float64(x) / math.Sqrt(squares))
	}
	return out
}

// Words calls fn for each word of a text: letters, digits and marks, in lower case. The text is
// cut at MaxText.
func Words(text string, fn func(string)) {
	if len(text) > MaxText {
		text = strings.ToValidUTF8(text[:MaxText], "")
	}
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) }) {
		if len(word) > maxWord {
			continue // is no word: a key, a blob
		}
		fn(strings.ToLower(word))
	}
}

const maxWord = 64

// pieces calls fn for the groups of characters of a word that is longer than one group.
func pieces(word string, fn func(string)) {
	var starts [maxWord + 1]int
	n := 0
	for i := range word {
		starts[n] = i
		n++
	}
	starts[n] = len(word)
	if n <= pieceLength {
		return
	}
	for i := 0; i+pieceLength <= n; i++ {
		fn(word[starts[i]:starts[i+pieceLength]])
	}
}

const pieceSeed = 0x9e3779b97f4a7c15

// hashOf is FNV-1a with the finisher of SplitMix64, so that all bits depend on all of the word.
func hashOf(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return finish(h)
}

func mix(a, b uint64) uint64 { return finish(a*0x9e3779b97f4a7c15 + b) }

func finish(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// Rarity tells how rare a word is, in nats.
func Rarity(word string) float64 { return rarityOf(hashOf(word)) }

func rarityOf(hash uint64) float64 { return float64(rarity[hash%rarityBuckets]) / 16 }

// RarityTable counts in how many of the texts each bucket of words occurs and returns the table
// that Lexical reads.
func RarityTable(texts []string) []byte {
	in := make([]int, rarityBuckets)
	for _, text := range texts {
		seen := map[uint64]bool{}
		Words(text, func(word string) {
			if b := hashOf(word) % rarityBuckets; !seen[b] {
				seen[b] = true
				in[b]++
			}
		})
	}
	out := make([]byte, rarityBuckets)
	for i, n := range in {
		out[i] = byte(min(255, math.Round(16*math.Log(float64(len(texts)+1)/float64(n+1))+4)))
	}
	return out
}

// WordHash is 63 bits that stand for a word where words are stored as numbers.
func WordHash(word string) int64 { return int64(hashOf(word) >> 1) }
