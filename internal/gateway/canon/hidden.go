package canon

import "unicode"

// what a character is to the eye
type visibility uint8

const (
	shown visibility = iota
	control
	zeroWidth
	tag
	selector
	bidi
)

func hiddenKind(r rune) visibility {
	switch {
	case r < 0x80:
		if (r < ' ' && r != '\n' && r != '\r' && r != '\t') || r == 0x7f {
			return control
		}
		return shown
	case r < 0xA0:
		return control
	case r == 0xAD, r == 0x034F, r == 0x061C, r == 0x115F, r == 0x1160, r == 0x17B4, r == 0x17B5, r == 0x3164, r == 0xFFA0, r == 0xFEFF,
		r >= 0x180B && r <= 0x180F, r >= 0x200B && r <= 0x200F, r >= 0x2060 && r <= 0x2065, r >= 0x206A && r <= 0x206F,
		r >= 0xFFF9 && r <= 0xFFFB, r >= 0x1D173 && r <= 0x1D17A:
		return zeroWidth
	case r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
		return bidi
	case r >= 0xFE00 && r <= 0xFE0F, r >= 0xE0100 && r <= 0xE01EF:
		return selector
	case r >= 0xE0000 && r <= 0xE007F:
		return tag
	}
	return shown
}

func selectorByte(r rune) byte {
	if r < 0xE0100 {
		return byte(r - 0xFE00)
	}
	return byte(r - 0xE0100 + 16)
}

// sequence returns the length of the terminal sequence at the beginning of s, at most 32.
func sequence(s string) int {
	if len(s) < 2 || s[1] != '[' {
		return 1
	}
	for i := 2; i < min(len(s), 32); i++ {
		if s[i] >= 0x40 && s[i] <= 0x7e {
			return i + 1
		}
		if s[i] < 0x20 || s[i] > 0x3f {
			break
		}
	}
	return 1
}

// hiding collects what was written in characters that are not seen, or seen in another order.
type hiding struct {
	on         bool
	text       []rune
	bytes      []byte
	selectors  int
	start, end int
	begun      bool
}

func (h *hiding) open(at int) {
	h.on = true
	h.grow(at, 0)
}

func (h *hiding) grow(at, n int) {
	if !h.begun {
		h.begun, h.start = true, at
	}
	h.end = at + n
}

func (h *hiding) feed(r rune, at, n int) {
	if !h.on {
		return
	}
	if r >= ' ' && r != 0x7f {
		h.text = append(h.text, r)
	}
	h.grow(at, n)
}

// written returns views of the tag characters and of the bytes in variation selectors.
func (h *hiding) written(views []View) []View {
	if len(h.text) > 0 {
		views = append(views, View{How: "tags", Text: string(h.text), Start: h.start, End: h.end})
	}
	if len(h.bytes) > 3 && readable(h.bytes) {
		views = append(views, View{How: "selectors", Text: string(h.bytes), Start: h.start, End: h.end})
	}
	return views
}

// reversed returns a view of what an override of the direction shows backwards, and closes it.
func (h *hiding) reversed(views []View) []View {
	if h.on && len(h.text) > 3 {
		out := make([]rune, 0, len(h.text))
		for i := len(h.text) - 1; i >= 0; i-- {
			if !unicode.Is(unicode.Mn, h.text[i]) {
				out = append(out, h.text[i])
			}
		}
		views = append(views, View{How: "reversed", Text: string(out), Start: h.start, End: h.end})
	}
	*h = hiding{}
	return views
}
