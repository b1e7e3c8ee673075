package embed

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func vectorOf(t testing.TB, text string) []float32 {
	t.Helper()
	list, err := Lexical{}.Embed(t.Context(), "acme", []string{text})
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}

func cosine(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

const office = "Office program starts a command interpreter. analytic: proc_creation_win_office_child. techniques: T1059.001 T1204.002. entities: host process account"

// TestVersion holds the version and the vectors together: a change of one without the other would
// compare what cannot be compared.
func TestVersion(t *testing.T) {
	const want = "lexical/1 4fd4e803"
	h := sha256.New()
	for _, text := range []string{office, "Größe ΑΒΓ дом 東京", strings.Repeat("a bb ccc dddd eeeee ", 50)} {
		for _, x := range vectorOf(t, text) {
			// To a thousandth: processors may differ in the last bit of a logarithm.
			_ = binary.Write(h, binary.LittleEndian, int32(math.Round(float64(x)*1000)))
		}
	}
	h.Write([]byte(rarity))
	if got := (Lexical{}).Model().String() + " " + hex.EncodeToString(h.Sum(nil)[:4]); got != want {
		t.Errorf("vectors changed: got %q, want %q. A changed embedder needs another version", got, want)
	}
}

func TestAlikeIsNear(t *testing.T) {
	base := vectorOf(t, office)
	if n := cosine(base, base); math.Abs(n-1) > 1e-6 {
		t.Errorf("length %v", n)
	}
	order := []string{
		strings.ToUpper(office),
		strings.Replace(office, "T1204.002", "T1204.001", 1),
		"Office program starts a script host. analytic: proc_creation_win_office_script. techniques: T1059.005. entities: host process",
		"Password spray against a directory. analytic: signin_spray. techniques: T1110.003. entities: account ip",
	}
	last := 1.1
	for _, text := range order {
		n := cosine(base, vectorOf(t, text))
		if n >= last {
			t.Errorf("%q is at %.3f, not farther than the one before at %.3f", text, n, last)
		}
		last = n
	}
	if last > 0.3 {
		t.Errorf("strangers are at %.3f", last)
	}
}

func TestRareWordsCountMore(t *testing.T) {
	if Rarity("mimikatz") <= Rarity("the") {
		t.Errorf("mimikatz %.2f, the %.2f", Rarity("mimikatz"), Rarity("the"))
	}
	base := vectorOf(t, "the process zerologon")
	if common, rare := cosine(base, vectorOf(t, "the process other")), cosine(base, vectorOf(t, "an unknown zerologon")); rare <= common {
		t.Errorf("sharing the rare word gives %.3f, sharing common ones %.3f", rare, common)
	}
}

func TestSameTextSameVector(t *testing.T) {
	for range 20 { // maps iterate in another order each time
		if !slices.Equal(vectorOf(t, office), vectorOf(t, office)) {
			t.Fatal("the same text has two vectors")
		}
	}
}

func TestTextsThatCannotBeEmbedded(t *testing.T) {
	for _, text := range []string{"", " \n\t", "!!! --- ///", strings.Repeat("x", 100)} {
		if _, err := (Lexical{}).Embed(t.Context(), "acme", []string{"good", text}); !errors.Is(err, ErrText) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := (Lexical{}).Embed(t.Context(), "acme", make([]string, MaxTexts+1)); !errors.Is(err, ErrText) {
		t.Errorf("too many: %v", err)
	}
}

func FuzzLexical(f *testing.F) {
	for _, s := range []string{office, "", "\xff\xfe", strings.Repeat("é", MaxText), "a\u0301 b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := Lexical{}.Embed(t.Context(), "acme", []string{text})
		if err != nil {
			if !errors.Is(err, ErrText) {
				t.Fatal(err)
			}
			return
		}
		if n := cosine(list[0], list[0]); len(list[0]) != LexicalSize || math.Abs(n-1) > 1e-5 {
			t.Fatalf("%d dimensions of length %v", len(list[0]), n)
		}
		Words(text, func(w string) {
			if w == "" || utf8.ValidString(text) && !utf8.ValidString(w) {
				t.Fatalf("word %q", w)
			}
		})
	})
}

func BenchmarkLexical(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		vectorOf(b, office)
	}
}
