package corpus

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestSamplesAreAlwaysTheSame(t *testing.T) {
	a, b := Samples(), Samples()
	if len(a) != len(b) {
		t.Fatalf("%d, then %d", len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("sample %d: %+v, then %+v", i, a[i], b[i])
		}
	}
}

func TestEverythingIsExpanded(t *testing.T) {
	g := &grammar{slots: map[string]string{"fruit": "apple|pear"}, rng: rand.New(rand.NewPCG(1, 1))}
	seen := map[string]bool{}
	for range 64 {
		seen[g.expand(`{"a":"{fruit}"} {x|y{1|2}}`, 0)] = true
	}
	for _, want := range []string{`{"a":"apple"} x`, `{"a":"pear"} y1`, `{"a":"pear"} y2`} {
		if !seen[want] {
			t.Errorf("%q never came: %v", want, seen)
		}
	}
	for _, s := range Samples() {
		for _, left := range []string{"{goal}", "{obj}", "{user}", "{host}", "{ip}", "{mark}", "%s"} {
			if strings.Contains(s.Text, left) {
				t.Errorf("%q is left in %q", left, s.Text)
			}
		}
	}
}
