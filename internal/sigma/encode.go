package sigma

import (
	"encoding/base64"
	"encoding/binary"
	"unicode/utf16"
)

// base64Forms returns the three forms a text can take inside a longer base64 text, each cut to
// the characters that do not depend on its neighbours.
func base64Forms(text []byte) [3][]byte {
	var out [3][]byte
	// A shift by n bytes fills 8n bits; the characters that hold them are ceil(8n/6).
	skip := [3]int{0, 2, 3}
	for shift := range out {
		padded := make([]byte, shift+len(text))
		copy(padded[shift:], text)
		enc := base64.RawStdEncoding.EncodeToString(padded)
		// A last character that is not full depends on what follows.
		if (shift+len(text))%3 != 0 {
			enc = enc[:len(enc)-1]
		}
		if skip[shift] < len(enc) {
			out[shift] = []byte(enc[skip[shift]:])
		}
	}
	return out
}

func encodeUTF16(text []byte, order binary.AppendByteOrder, bom bool) []byte {
	units := utf16.Encode([]rune(string(text)))
	out := make([]byte, 0, 2*len(units)+2)
	if bom {
		out = order.AppendUint16(out, 0xFEFF)
	}
	for _, u := range units {
		out = order.AppendUint16(out, u)
	}
	return out
}
