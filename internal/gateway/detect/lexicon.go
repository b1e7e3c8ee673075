package detect

import (
	_ "embed" // the lexicon and the rules
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var (
	//go:embed lexicon.txt
	lexiconText string
	//go:embed rules.txt
	rulesText string
)

// maxLiteral is the longest form in symbols; the positions of so many are remembered.
const maxLiteral = 64

// maxStages is how many concepts a rule may join.
const maxStages = 4

// lexicon is the compiled form of lexicon.txt and rules.txt.
type lexicon struct {
	latin   *automaton
	foreign *automaton
	symbols *symbols
	rules   []rule
	// use tells, for every concept, the stages that it can fill, the last stage first.
	use    [][]stageRef
	digest uint64
}

// rule is an order of concepts.
type rule struct {
	kind     string
	strength int
	stages   int
	gaps     [maxStages]int32
}

type stageRef struct {
	rule  uint16
	stage uint8
}

func newLexicon() (*lexicon, error) {
	l := &lexicon{symbols: newSymbols()}
	names, err := l.concepts()
	if err != nil {
		return nil, err
	}
	l.use = make([][]stageRef, len(names))
	for n, line := range contentLines(rulesText) {
		if err := l.addRule(line, names); err != nil {
			return nil, fmt.Errorf("rules.txt, rule %d: %w", n+1, err)
		}
	}
	for _, u := range l.use {
		slices.SortStableFunc(u, func(a, b stageRef) int { return int(b.stage) - int(a.stage) })
	}
	h := fnv.New64a()
	h.Write([]byte(rulesText))
	l.digest = h.Sum64()
	return l, nil
}

func contentLines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}

// concepts reads the lexicon into the two automata.
func (l *lexicon) concepts() (map[string]uint8, error) {
	names := map[string]uint8{}
	var latin, foreign []literal
	for _, line := range contentLines(lexiconText) {
		name, forms, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if _, twice := names[name]; !ok || twice || len(names) == 255 {
			return nil, fmt.Errorf("lexicon.txt: concept %q is malformed or there twice", name)
		}
		concept := uint8(len(names))
		names[name] = concept
		for form := range strings.SplitSeq(forms, ",") {
			form = strings.TrimSpace(form)
			syms, isLatin := l.symbols.literal(form)
			if len(syms) < 2 || len(syms) > maxLiteral {
				return nil, fmt.Errorf("lexicon.txt: %s: form %q has %d symbols", name, form, len(syms))
			}
			if isLatin {
				latin = append(latin, literal{syms, concept})
			} else {
				foreign = append(foreign, literal{syms, concept})
			}
		}
	}
	var ok bool
	if l.latin, ok = newAutomaton(latin, 6); !ok {
		return nil, fmt.Errorf("lexicon.txt: too many forms")
	}
	if l.foreign, ok = newAutomaton(foreign, 8); !ok {
		return nil, fmt.Errorf("lexicon.txt: too many forms")
	}
	return names, nil
}

// addRule compiles one line: kind strength: A 20 B|C 30 D.
func (l *lexicon) addRule(line string, names map[string]uint8) error {
	head, body, _ := strings.Cut(line, ":")
	kind, strength, _ := strings.Cut(head, " ")
	r := rule{kind: kind}
	var err error
	if r.strength, err = strconv.Atoi(strength); err != nil {
		return err
	}
	for i, f := range strings.Fields(body) {
		if i%2 == 1 {
			gap, err := strconv.ParseInt(f, 10, 32)
			if err != nil {
				return err
			}
			if r.stages == 0 || r.stages >= maxStages {
				return fmt.Errorf("more than %d concepts", maxStages)
			}
			r.gaps[r.stages-1] = int32(gap)
			continue
		}
		for name := range strings.SplitSeq(f, "|") {
			c, ok := names[name]
			if !ok {
				return fmt.Errorf("no concept %q", name)
			}
			l.use[c] = append(l.use[c], stageRef{uint16(len(l.rules)), uint8(r.stages)})
		}
		r.stages++
	}
	if r.stages == 0 {
		return fmt.Errorf("no concepts")
	}
	l.rules = append(l.rules, r)
	return nil
}

// Symbols of the Latin automaton: 0 is a space, then a to z, then the digits.
const (
	spaceSymbol = 0
	noSymbol    = 0xff // the character is passed over
)

// symbols turns characters into what the automata and the n-grams read.
type symbols struct {
	// ascii is, for each character, its symbol, what stands for it in n-grams (at gramAt) and its
	// kind (at kindAt), in one number.
	ascii [256]uint32
	base  [0x250]byte
	more  [0x100]byte // 1E00 to 1EFF
}

const (
	gramAt = 8
	kindAt = 16
	// The kinds: capitals, small letters, and what the fast loop leaves to the other. A capital
	// behind a small letter is a hump.
	hump    = 1
	below   = 2
	special = 4
)

func newSymbols() *symbols {
	s := &symbols{}
	for b := range 256 {
		word, gram, kind := uint32(spaceSymbol), uint32(b), uint32(0)
		switch c := byte(b); {
		case c >= 'a' && c <= 'z':
			word, kind = uint32(c-'a'+1), below
		case c >= 'A' && c <= 'Z':
			word, gram, kind = uint32(c-'A'+1), uint32(c+'a'-'A'), hump
		case c >= '0' && c <= '9':
			word, gram = uint32(c-'0'+27), '0'
		case c == '\'', c >= utf8.RuneSelf:
			word, kind = noSymbol, special
		case c <= ' ' || c == 0x7f:
			gram = ' '
		}
		s.ascii[b] = word | gram<<gramAt | kind<<kindAt
	}
	for r := rune(0x80); r < 0x250; r++ {
		s.base[r] = baseLetter(r)
	}
	for r := rune(0x1E00); r < 0x1F00; r++ {
		s.more[r-0x1E00] = baseLetter(r)
	}
	return s
}

// baseLetter returns the letter under the accents, 0 when there is none.
func baseLetter(r rune) byte {
	switch unicode.ToLower(r) {
	case 'ß':
		return 's'
	case 'æ':
		return 'a'
	case 'ø', 'œ':
		return 'o'
	case 'đ', 'ð':
		return 'd'
	case 'ł':
		return 'l'
	case 'ı':
		return 'i'
	case 'ħ':
		return 'h'
	}
	if d := norm.NFD.String(string(unicode.ToLower(r)))[0]; d >= 'a' && d <= 'z' {
		return d
	}
	return 0
}

// latin returns the base letter of a rune above ASCII, 0 when it is not Latin.
func (s *symbols) latin(r rune) byte {
	switch {
	case r < 0x250:
		return s.base[r]
	case r >= 0x1E00 && r < 0x1F00:
		return s.more[r-0x1E00]
	}
	return 0
}

// literal turns a form into symbols, with a space where a word must begin or end.
func (s *symbols) literal(form string) (syms []byte, isLatin bool) {
	open := strings.HasSuffix(form, "*")
	form = strings.TrimSuffix(form, "*")
	for _, r := range form {
		if r >= 0x80 && s.latin(r) == 0 {
			return []byte(norm.NFKC.String(form)), false
		}
	}
	syms = append(syms, spaceSymbol)
	for _, r := range form {
		var c byte
		if r < utf8.RuneSelf {
			c = byte(r)
		} else {
			c = s.latin(r)
		}
		if w := byte(s.ascii[c]); w != noSymbol && (w != spaceSymbol || syms[len(syms)-1] != spaceSymbol) {
			syms = append(syms, w)
		}
	}
	if !open {
		syms = append(syms, spaceSymbol)
	}
	return syms, true
}
