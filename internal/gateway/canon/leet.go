package canon

// leetRun is where words with digits for letters stand together.
type leetRun struct {
	words, start, end int
	done              bool
}

// leetGap is how far apart the words of one run may be.
const leetGap = 64

// word notes the word s[i:j] if it may be written with digits for letters. What comes first and has
// two such words is kept.
func (l *leetRun) word(s string, i, j int) {
	if j-i < 3 || l.done || !leetLike(s[i:j]) {
		return
	}
	if l.words > 0 && i-l.end > leetGap {
		if l.words >= 2 {
			l.done = true
			return
		}
		*l = leetRun{}
	}
	if l.words == 0 {
		l.start = i
	}
	l.words++
	l.end = j
}

// leetLike reports whether a word mixes letters with the digits that stand for letters, in one
// case, and could not be a hexadecimal number.
func leetLike(w string) bool {
	var lower, upper, digits, beyondHex int
	for i := 0; i < len(w); i++ {
		switch b := w[i]; {
		case b >= 'a' && b <= 'z':
			lower++
			if b > 'f' {
				beyondHex++
			}
		case b >= 'A' && b <= 'Z':
			if i > 0 {
				upper++
			}
			if b > 'F' {
				beyondHex++
			}
		case b >= '0' && b <= '9':
			if leetLetter(b) == b {
				return false
			}
			digits++
		case b != '-' && b != '_':
			return false
		}
	}
	inside := false
	for i := 0; i+1 < len(w); i++ {
		if w[i] >= '0' && w[i] <= '9' && hasLetter(w[i+1]) {
			inside = true
		}
	}
	return inside && digits > 0 && beyondHex > 0 && (lower == 0 || upper == 0) && digits <= len(w)*2/3
}

func hasLetter(b byte) bool { return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' }

func leetLetter(b byte) byte {
	switch b {
	case '0':
		return 'o'
	case '1', '!':
		return 'i'
	case '3':
		return 'e'
	case '4', '@':
		return 'a'
	case '5', '$':
		return 's'
	case '7':
		return 't'
	case '8':
		return 'b'
	case '9':
		return 'g'
	}
	return b
}

// unleet puts letters for the digits of words that have letters too.
func unleet(s string) string {
	out := []byte(s)
	for i := 0; i < len(out); {
		j, letters := i, false
		for j < len(out) && out[j] > ' ' && out[j] != '.' && out[j] != ',' {
			letters = letters || hasLetter(out[j])
			j++
		}
		for k := i; letters && k < j; k++ {
			out[k] = leetLetter(out[k])
		}
		i = j + 1
	}
	return string(out)
}
