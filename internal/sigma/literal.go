package sigma

import (
	"regexp/syntax"
)

// requiredLiteral finds the longest ASCII text that every match of the expression contains, in
// lower case; nil when there is none worth using. Lower-casing both sides keeps it true for
// matching with and without case, see appendFold.
func requiredLiteral(re string) []byte {
	tree, err := syntax.Parse(re, syntax.Perl)
	if err != nil {
		return nil
	}
	return longest(tree, 0)
}

func longest(re *syntax.Regexp, depth int) []byte {
	if depth > maxDepth {
		return nil
	}
	switch re.Op {
	case syntax.OpLiteral:
		return asciiRun([]byte(string(re.Rune)))
	case syntax.OpCapture, syntax.OpPlus:
		return longest(re.Sub[0], depth+1)
	case syntax.OpRepeat:
		if re.Min < 1 {
			return nil
		}
		return longest(re.Sub[0], depth+1)
	case syntax.OpConcat:
		var best []byte
		for _, sub := range re.Sub {
			if l := longest(sub, depth+1); len(l) > len(best) {
				best = l
			}
		}
		return best
	default:
		return nil
	}
}

// asciiRun is the longest run of ASCII in b, lower-cased. Letters outside ASCII are left out
// because lower-casing them is not the same with and without their neighbours.
func asciiRun(b []byte) []byte {
	start, bestLo, bestHi := 0, 0, 0
	for i := 0; i <= len(b); i++ {
		if i < len(b) && b[i] < 0x80 {
			continue
		}
		if i-start > bestHi-bestLo {
			bestLo, bestHi = start, i
		}
		start = i + 1
	}
	return appendFold(nil, b[bestLo:bestHi])
}
