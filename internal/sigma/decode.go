package sigma

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"
)

// Limits on decoding commands out of one value.
const (
	minEncodedValue = 20
	minFlagBlob     = 12
	minCallBlob     = 8
	maxBlob         = 256 << 10
	maxBlobs        = 4
)

var base64Call = []byte("frombase64string")

// nextBlob finds the next base64 text in a command at or after from: the argument of
// PowerShell's -EncodedCommand in any of its short forms, or of FromBase64String. call says
// that it was the latter. next is where to go on, len(lower) when there is none.
func nextBlob(text, lower []byte, from int) (blob []byte, call bool, next int) {
	for i := from; i < len(lower); i++ {
		switch lower[i] {
		case '-', '/', 0xe2:
			n := dashLen(lower[i:])
			if n == 0 || i > 0 && !separates(lower[i-1]) {
				continue
			}
			if at := afterFlag(lower[i+n:]); at > 0 {
				at += i + n
				if blob = base64Run(text[at:]); len(blob) >= minFlagBlob {
					return blob, false, at + len(blob)
				}
			}
		case base64Call[0]:
			if !bytes.HasPrefix(lower[i:], base64Call) {
				continue
			}
			at := i + len(base64Call)
			for at < len(lower) && (separates(lower[at]) || lower[at] == '(') {
				at++
			}
			if blob = base64Run(text[at:]); len(blob) >= minCallBlob {
				return blob, true, at + len(blob)
			}
		}
	}
	return nil, false, len(lower)
}

func separates(c byte) bool {
	return c == ' ' || c == '\t' || c == '"' || c == '\'' || c == '\n' || c == '\r'
}

// afterFlag returns where the argument begins when b begins with a short form of
// encodedcommand, 0 when it does not.
func afterFlag(b []byte) int {
	const long = "encodedcommand"
	n := 0
	for n < len(b) && b[n] >= 'a' && b[n] <= 'z' {
		n++
	}
	flag := string(b[:min(n, len(long)+1)])
	if n == 0 || flag != "ec" && (n > len(long) || flag != long[:n]) {
		return 0
	}
	at := n
	for at < len(b) && (separates(b[at]) || b[at] == ':') {
		at++
	}
	if at == n {
		return 0
	}
	return at
}

func base64Run(b []byte) []byte {
	n := 0
	for n < len(b) && n < maxBlob {
		c := b[n]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '+' && c != '/' && c != '=' {
			break
		}
		n++
	}
	return b[:n]
}

// appendDecoded appends the text of a blob as UTF-8. Without call it must be UTF-16, which is
// what -EncodedCommand takes. ok is false when it is no text.
func appendDecoded(dst, blob []byte, call bool) (out []byte, ok bool) {
	blob = bytes.TrimRight(blob, "=")
	if len(blob)%4 == 1 {
		blob = blob[:len(blob)-1]
	}
	raw, err := base64.RawStdEncoding.AppendDecode(nil, blob)
	if err != nil {
		return dst, false
	}
	if isUTF16(raw) {
		return appendUTF16(dst, raw), true
	}
	if call && utf8.Valid(raw) && bytes.IndexByte(raw, 0) < 0 {
		return append(dst, raw...), true
	}
	return dst, false
}

// isUTF16 reports whether most characters are ASCII in UTF-16, low byte first.
func isUTF16(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	ascii := 0
	for i := 0; i+1 < len(b); i += 2 {
		if b[i+1] == 0 && b[i] != 0 {
			ascii++
		}
	}
	return ascii*4 >= len(b)/2*3
}

func appendUTF16(dst, b []byte) []byte {
	for i := 0; i+1 < len(b); i += 2 {
		r := rune(b[i]) | rune(b[i+1])<<8
		if r >= 0xd800 && r < 0xdc00 && i+3 < len(b) {
			if low := rune(b[i+2]) | rune(b[i+3])<<8; low >= 0xdc00 && low < 0xe000 {
				r = (r-0xd800)<<10 + low - 0xdc00 + 0x10000
				i += 2
			}
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}
