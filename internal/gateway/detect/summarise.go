package detect

import (
	"strings"
	"unicode/utf8"
)

// Neutral is what is left of a text of which nothing could be kept. It says nothing about why.
const Neutral = "The field holds free text without further facts."

// maxSentence is where a stretch without punctuation is cut.
const maxSentence = 400

// maxValues bounds the values that are kept of dropped sentences.
const maxValues = 32

// Summarise returns what may be told of a text with a finding: the sentences in which nothing
// was hit, and of the others the values that can be checked (addresses, hashes, names of
// hosts and files). It puts no marks where something was left out: they would tell an attacker
// what was noticed. The text is that for which the finding was made.
func Summarise(text string, f Finding) string {
	if f.Action == Pass {
		return text
	}
	var kept, values []string
	for _, s := range sentences(text) {
		part := strings.TrimSpace(text[s.start:s.end])
		switch {
		case part == "":
		case touched(f.Hits, s.start, s.end):
			values = gather(values, text, s, f.Hits)
		case !orderly(part):
			kept = append(kept, part)
		}
	}
	if len(values) > 0 {
		kept = append(kept, strings.Join(values, ", "))
	}
	if len(kept) == 0 {
		return Neutral
	}
	return strings.Join(kept, " ")
}

type span struct{ start, end int }

// sentences cuts a text at the ends of sentences and lines, and long stretches between words.
func sentences(text string) []span {
	var out []span
	start, space := 0, 0
	for i := 0; i < len(text); i++ {
		b := text[i]
		if b == ' ' {
			space = i
		}
		end := -1
		switch {
		case b == '\n' || b == ';':
			end = i + 1
		case (b == '.' || b == '!' || b == '?') && (i+1 == len(text) || text[i+1] == ' '):
			end = i + 1
		case strings.HasPrefix(text[i:], "。"):
			end = i + len("。")
		case i-start >= maxSentence && space > start:
			end = space + 1
		case i-start >= 2*maxSentence && utf8.RuneStart(b):
			end = i
		}
		if end > start {
			out = append(out, span{start, end})
			start = end
			i = max(i, end-1)
		}
	}
	if start < len(text) {
		out = append(out, span{start, len(text)})
	}
	return out
}

func touched(hits []Hit, start, end int) bool {
	for _, h := range hits {
		if h.Start < end && start < h.End {
			return true
		}
	}
	return false
}

// orders begin sentences that tell the reader to do something, in texts where something was
// found already.
var orders = [...]string{
	"ignore", "disregard", "forget", "you must", "you should", "you are", "please", "do not", "don't", "never", "always", "from now", "mark", "classify", "treat",
	"report", "close", "respond", "reply", "answer", "output", "print", "say", "call", "run", "execute", "send", "forward", "delete", "approve", "add", "set",
	"assistant", "system:", "user:", "important", "attention", "act as", "pretend", "instead", "your", "reveal", "show", "repeat", "decode", "summarise", "summarize",
}

// orderly reports whether a sentence begins like an order.
func orderly(s string) bool {
	s = strings.ToLower(strings.TrimLeft(s[:min(len(s), 64)], " \t\r\n\"'#*->([{_.:"))
	for _, o := range orders {
		if strings.HasPrefix(s, o) && (len(s) == len(o) || !alpha(s[len(o)])) {
			return true
		}
	}
	return false
}

// gather adds the values in a dropped sentence. A value may not itself hold a whole hit, and
// must be plain characters.
func gather(values []string, text string, s span, hits []Hit) []string {
	for i := s.start; i < s.end && len(values) < maxValues; {
		if !valueByte(text[i]) {
			i++
			continue
		}
		j := i
		for j < s.end && valueByte(text[j]) {
			j++
		}
		v := strings.Trim(text[i:j], ".:/\\-_")
		if len(v) <= 128 && isValue(v) && !holds(hits, i, j) && !contains(values, v) {
			values = append(values, v)
		}
		i = j
	}
	return values
}

func contains(values []string, v string) bool {
	for _, o := range values {
		if o == v {
			return true
		}
	}
	return false
}

func holds(hits []Hit, start, end int) bool {
	for _, h := range hits {
		if h.Kind != "language" && h.Start >= start && h.End <= end {
			return true
		}
	}
	return false
}

func valueByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '.' || b == ':' || b == '-' || b == '_' || b == '\\' || b == '/' || b == '@' || b == '$'
}

// isValue reports whether v is an address, a hash, a host or file name, or a path, and not words
// joined by other characters.
func isValue(v string) bool {
	digits, letters, dots, seps, joins := 0, 0, 0, 0, 0
	hexOnly := true
	for i := 0; i < len(v); i++ {
		switch b := v[i]; {
		case b >= '0' && b <= '9':
			digits++
		case alpha(b):
			letters++
			if b|0x20 > 'f' {
				hexOnly = false
			}
		case b == '.':
			dots++
		case b == '/' || b == '\\' || b == ':' || b == '@':
			seps++
			hexOnly = false
		default:
			joins++
			hexOnly = false
		}
	}
	switch {
	case dots == 3 && letters == 0 && digits >= 4: // IPv4
		return true
	case hexOnly && dots == 0 && (len(v) == 32 || len(v) == 40 || len(v) == 64): // digests
		return true
	case joins > 2 || letters+digits < 3:
		return false
	case dots >= 1 && letters > 0: // host or file
		return len(v) <= 64
	}
	return seps >= 2 && letters > 0 && len(v) <= 96 // path
}
