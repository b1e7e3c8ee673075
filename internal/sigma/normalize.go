package sigma

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// Classes of bytes that decide which forms of a text have to be made.
const (
	classHigh uint8 = 1 << iota // not ASCII
	classBackslash
	classAmpersand
	classNoise // quotes, carets, backticks
	classPercent
	classDollar
	classFlag // what begins a command line flag, or a call
)

var classes = func() (t [256]uint8) {
	for i := 0x80; i < 0x100; i++ {
		t[i] = classHigh
	}
	t['\\'] = classBackslash
	t['&'] = classAmpersand
	t['"'], t['\''], t['^'], t['`'] = classNoise, classNoise, classNoise, classNoise
	t['%'] = classPercent
	t['$'] = classDollar
	t['-'], t['/'], t['('] = classFlag, classFlag, classFlag
	return t
}()

var doubledBackslash = []byte(`\\`)

// appendPlain appends src with HTML entities decoded and doubled backslashes collapsed. It
// reports whether that differs from src.
func appendPlain(dst, src []byte, class uint8) ([]byte, bool) {
	entities := class&classAmpersand != 0 && bytes.IndexByte(src, ';') >= 0
	slashes := class&classBackslash != 0 && bytes.Contains(src, doubledBackslash)
	if !entities && !slashes {
		return dst, false
	}
	changed := slashes
	for i := 0; i < len(src); {
		switch c := src[i]; {
		case slashes && c == '\\' && i+1 < len(src) && src[i+1] == '\\':
			dst = append(dst, '\\')
			i += 2
		case entities && c == '&':
			r, n := entity(src[i:])
			if n == 0 {
				dst = append(dst, c)
				i++
				continue
			}
			changed = true
			dst = utf8.AppendRune(dst, r)
			i += n
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst, changed
}

// entity decodes the HTML entity that b begins with; n is 0 when it does not.
func entity(b []byte) (r rune, n int) {
	const longest = 10
	end := bytes.IndexByte(b[:min(len(b), longest)], ';')
	if end < 2 {
		return 0, 0
	}
	name := b[1:end]
	if name[0] == '#' {
		digits, base := name[1:], 10
		if len(digits) > 1 && digits[0]|0x20 == 'x' {
			digits, base = digits[1:], 16
		}
		v, err := strconv.ParseUint(string(digits), base, 32)
		if err != nil || v == 0 || v > utf8.MaxRune || !utf8.ValidRune(rune(v)) {
			return 0, 0
		}
		return rune(v), end + 1
	}
	switch string(name) {
	case "amp":
		r = '&'
	case "lt":
		r = '<'
	case "gt":
		r = '>'
	case "quot":
		r = '"'
	case "apos":
		r = '\''
	case "nbsp":
		r = ' '
	default:
		return 0, 0
	}
	return r, end + 1
}

// appendBare appends src without quotes, carets, backticks and the plus signs that join quoted
// pieces, and with slices of environment variables replaced. It reports whether that differs.
func appendBare(dst, src []byte) ([]byte, bool) {
	changed := false
	for i := 0; i < len(src); {
		switch c := src[i]; c {
		case '"', '\'':
			changed = true
			i += 1 + joint(src[i+1:])
		case '^', '`':
			changed = true
			i++
		case '%', '$':
			out, n := appendEnvSlice(dst, src[i:])
			if n == 0 {
				dst = append(dst, c)
				i++
				continue
			}
			changed = true
			dst = out
			i += n
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst, changed
}

// joint is the length of what joins two quoted pieces, after the closing quote: + and a quote.
func joint(b []byte) int {
	i := spaces(b)
	if i >= len(b) || b[i] != '+' {
		return 0
	}
	i++
	i += spaces(b[i:])
	if i >= len(b) || b[i] != '"' && b[i] != '\'' {
		return 0
	}
	return i + 1
}

func spaces(b []byte) int {
	i := 0
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

// environment holds variables whose values are the same on nearly every Windows host.
var environment = map[string]string{
	"comspec": `C:\Windows\system32\cmd.exe`, "systemroot": `C:\Windows`, "windir": `C:\Windows`,
	"systemdrive": `C:`, "homedrive": `C:`, "programfiles": `C:\Program Files`,
	"programfiles(x86)": `C:\Program Files (x86)`, "commonprogramfiles": `C:\Program Files\Common Files`,
	"programdata": `C:\ProgramData`, "allusersprofile": `C:\ProgramData`, "public": `C:\Users\Public`,
	"os": `Windows_NT`, "processor_architecture": `AMD64`,
	"pathext": `.COM;.EXE;.BAT;.CMD;.VBS;.VBE;.JS;.JSE;.WSF;.WSH;.MSC`,
	"pshome":  `C:\Windows\System32\WindowsPowerShell\v1.0`,
}

// appendEnvSlice replaces %NAME:~start,length%, $env:NAME[i,j] and $PSHOME[i] at the beginning
// of b; n is what it covers, 0 when b begins with none of them.
func appendEnvSlice(dst, b []byte) (out []byte, n int) {
	if b[0] == '%' {
		return appendCmdSlice(dst, b)
	}
	i := 1
	if len(b) > 5 && string(appendFold(nil, b[1:5])) == "env:" {
		i = 5
	}
	value, k := envValue(b[i:])
	if i += k; k == 0 || i >= len(b) || b[i] != '[' {
		return dst, 0
	}
	out = dst
	for b[i] != ']' {
		i++
		i += spaces(b[i:])
		v, k := integer(b[i:])
		if i += k; k == 0 {
			return dst, 0
		}
		i += spaces(b[i:])
		if v < 0 {
			v += len(value)
		}
		if v < 0 || v >= len(value) || i >= len(b) || b[i] != ',' && b[i] != ']' {
			return dst, 0
		}
		out = append(out, value[v])
	}
	return out, i + 1 + joinOperator(b[i+1:])
}

// joinOperator is the length of -join followed by two quotes.
func joinOperator(b []byte) int {
	const op = "-join"
	i := spaces(b)
	if len(b) < i+len(op) || string(appendFold(nil, b[i:i+len(op)])) != op {
		return 0
	}
	i += len(op)
	i += spaces(b[i:])
	if i+1 < len(b) && (b[i] == '"' || b[i] == '\'') && b[i+1] == b[i] {
		i += 2
	}
	return i
}

func appendCmdSlice(dst, b []byte) ([]byte, int) {
	value, k := envValue(b[1:])
	i := 1 + k
	if k == 0 || i+2 >= len(b) || b[i] != ':' || b[i+1] != '~' {
		return dst, 0
	}
	i += 2
	start, k := integer(b[i:])
	if k == 0 {
		return dst, 0
	}
	i += k
	length, given := 0, false
	if i < len(b) && b[i] == ',' {
		if length, k = integer(b[i+1:]); k == 0 {
			return dst, 0
		}
		given = true
		i += 1 + k
	}
	if i >= len(b) || b[i] != '%' {
		return dst, 0
	}
	return append(dst, cmdSlice(value, start, length, given)...), i + 1
}

// cmdSlice has the rules of cmd.exe: a negative start counts from the end, a negative length
// leaves that many off.
func cmdSlice(value string, start, length int, given bool) string {
	if start < 0 {
		start += len(value)
	}
	start = min(max(start, 0), len(value))
	end := len(value)
	if given && length < 0 {
		end += length
	} else if given {
		end = min(start+length, end)
	}
	return value[start:max(start, end)]
}

func envValue(b []byte) (value string, n int) {
	var name [24]byte
	for n < len(b) && n < len(name) {
		c := foldTable[b[n]]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '(' && c != ')' {
			break
		}
		name[n] = c
		n++
	}
	value, ok := environment[string(name[:n])]
	if !ok {
		return "", 0
	}
	return value, n
}

// integer reads a small signed number.
func integer(b []byte) (v, n int) {
	if n < len(b) && b[n] == '-' {
		n++
	}
	digits := n
	for n < len(b) && n < digits+4 && b[n] >= '0' && b[n] <= '9' {
		v = v*10 + int(b[n]-'0')
		n++
	}
	if n == digits {
		return 0, 0
	}
	if b[0] == '-' {
		v = -v
	}
	return v, n
}
