package parse

// class is a set of properties of one byte. The scanner decides by it what to look at.
type class uint16

const (
	cToken  class = 1 << iota // part of a word: letters, digits, '-', '_', '.', beyond ASCII
	cDot                      // '.'
	cDash                     // '-'
	cDigit                    // 0-9
	cHex                      // a-f, A-F
	cLetter                   // every other letter, and '_'
	cHigh                     // beyond ASCII
	cStart                    // not in a word, but may begin an indicator, or be in one: \ / % : ~ @
	cFollow                   // behind a word, makes it worth a look: : @ \ [ ( {
	cPath                     // part of a Unix path
	cName                     // part of a component of a Windows path or registry key
	cURL                      // part of the path, query or fragment of a URL
	cSpace                    // white space
)

// classes is the dispatch table of the scanner.
var classes = buildClasses()

func buildClasses() (t [256]class) {
	set := func(chars string, c class) {
		for i := 0; i < len(chars); i++ {
			t[chars[i]] |= c
		}
	}
	for b := 0; b < 256; b++ {
		switch {
		case b >= 0x80:
			t[b] |= cToken | cHigh | cPath | cName
		case b >= '0' && b <= '9':
			t[b] |= cToken | cDigit | cPath | cName | cURL
		case b >= 'a' && b <= 'f', b >= 'A' && b <= 'F':
			t[b] |= cToken | cHex | cPath | cName | cURL
		case b >= 'g' && b <= 'z', b >= 'G' && b <= 'Z', b == '_':
			t[b] |= cToken | cLetter | cPath | cName | cURL
		}
	}
	set(".", cToken|cDot|cPath|cName|cURL)
	set("-", cToken|cDash|cPath|cName|cURL)
	set("\\/%:~@", cStart)
	set(":@\\[({", cFollow)
	set("/+@%~=#", cPath)
	set(" !#$%&'()+,;=@[]^`{}~", cName)
	set(":/?#[]@!$&'()*+,;=~%", cURL)
	set(" \t\r\n\v\f", cSpace)
	return t
}

func isAlnum(b byte) bool {
	return classes[b]&(cDigit|cHex) != 0 || classes[b]&cLetter != 0 && b != '_'
}

func isWord(b byte) bool { return classes[b]&(cDigit|cHex|cLetter|cHigh) != 0 }

func isDigit(b byte) bool { return classes[b]&cDigit != 0 }

func isHex(b byte) bool { return classes[b]&(cDigit|cHex) != 0 }

func isUpper(b byte) bool { return b >= 'A' && b <= 'Z' }

func isLower(b byte) bool { return b >= 'a' && b <= 'z' }

func lower(b byte) byte {
	if isUpper(b) {
		return b + 'a' - 'A'
	}
	return b
}

// foldEqual compares ASCII text with a word in lower case.
func foldEqual(s, low string) bool {
	if len(s) != len(low) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if lower(s[i]) != low[i] {
			return false
		}
	}
	return true
}

func foldPrefix(s, low string) bool { return len(s) >= len(low) && foldEqual(s[:len(low)], low) }
