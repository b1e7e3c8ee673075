package detect

// Structures are forms that belong to the talk between a program and a model, and not to data.
// Their features follow those of the rules.
var structures = [...]struct {
	name     string
	kind     string
	strength int
}{
	{"template", "template", 3},   // <|im_start|>, [INST], <<SYS>>
	{"tag", "markup", 2},          // <system>, </alert>
	{"bracket", "markup", 2},      // [SYSTEM]
	{"heading", "markup", 2},      // ### System:
	{"assistant", "turn", 2},      // assistant: at the beginning of a line or sentence
	{"system", "turn", 2},         // SYSTEM: there
	{"user", "turn", 1},           // user: there
	{"answer", "answer", 2},       // {"verdict":"benign"
	{"steered", "answer", 1},      // "severity":"low"
	{"role", "answer", 3},         // "role":"system"
	{"toolcall", "answer", 3},     // "tool_calls":
	{"breakout", "breakout", 2},   // "," or </ closing what nobody opened
	{"image", "link", 3},          // ![x](http://…?…
	{"link", "link", 1},           // [x](http://…?…
	{"fence", "markup", 2},        // ```system
	{"separator", "separator", 1}, // ---------- or ======
	{"zerowidth", "hidden", 2},    // set by Field, as are all below
	{"tags", "hidden", 3},
	{"bidi", "hidden", 1},
	{"homoglyphs", "hidden", 2},
	{"marks", "hidden", 1},
	{"encoded", "encoded", 2},   // the text was found in an encoding
	{"disguised", "encoded", 2}, // the text was found in spaced letters or digits
	{"invisible", "encoded", 3}, // the text was found in invisible characters
}

const (
	template = iota
	tagMarkup
	bracket
	heading
	turnAssistant
	turnSystem
	turnUser
	answer
	steered
	roleKey
	toolCall
	breakout
	image
	link
	fence
	separatorLine
	signZeroWidth
	signTags
	signBidi
	signHomoglyphs
	signMarks
	viewEncoded
	viewDisguised
	viewInvisible
)

// structures looks for them in one pass. Every look ahead is bounded.
func (s *scanner) structures(t string) {
	s.found = s.found[:0]
	braces := false
	for i := 0; i < len(t); i++ {
		if !trigger[t[i]] {
			continue
		}
		what, n := -1, 0
		switch t[i] {
		case '<':
			what, n = angle(t, i)
		case '[':
			what, n = square(t, i)
		case '!':
			what, n = imageAt(t, i)
		case '#':
			what, n = headingAt(t, i)
		case '`':
			what, n = fenceAt(t, i)
		case '{':
			braces = true
		case '"':
			what, n = keyAt(t, i, braces)
		case ':':
			what, n = turnAt(t, i)
		case '-', '=', '*', '_', '%':
			what, n = ruleAt(t, i)
		}
		if what >= 0 && len(s.found) < maxFires {
			s.found = append(s.found, fire{feature: len(s.lex.rules) + what, start: int32(i), end: int32(min(i+n, len(t)))})
		}
		if n > 1 {
			i += n - 1
		}
	}
}

var trigger = [256]bool{'<': true, '[': true, '!': true, '#': true, '`': true, '{': true, '"': true, ':': true, '-': true, '=': true, '*': true, '_': true, '%': true}

// nameAt returns the word at t[i:], in lower case and at most 24 long.
func nameAt(t string, i int, buf *[24]byte) []byte {
	n := 0
	for i+n < len(t) && n < len(buf) {
		b := t[i+n]
		switch {
		case b >= 'A' && b <= 'Z':
			b |= 0x20
		case b >= 'a' && b <= 'z', b >= '0' && b <= '9', b == '_', b == '-':
		default:
			return buf[:n]
		}
		buf[n] = b
		n++
	}
	return buf[:n]
}

func speaker(name []byte) bool {
	switch string(name) {
	case "system", "assistant", "user", "human", "tool", "developer", "ai", "model", "inst", "sys", "instructions", "instruction", "system_prompt", "system-prompt":
		return true
	}
	return false
}

// boundary tags are those that a program puts around data, or that pretend to be such.
func boundary(name []byte) bool {
	switch string(name) {
	case "alert", "evidence", "untrusted", "untrusted_data", "user_input", "telemetry", "prompt", "context", "tool_result", "tool_output", "tool_use",
		"function_results", "function_calls", "search_results", "alert_data", "event_data", "log_data", "documents", "external_data", "user_data", "override",
		"admin", "important", "information", "thinking", "answer", "verdict", "file_path", "note", "policy", "new_instructions", "secret", "s", "end_of_turn", "start_of_turn", "eot", "bos", "eos":
		return true
	}
	return false
}

func angle(t string, i int) (what, n int) {
	var buf [24]byte
	if i+1 >= len(t) {
		return -1, 0
	}
	switch t[i+1] {
	case '|':
		if name := nameAt(t, i+2, &buf); len(name) > 1 && i+2+len(name) < len(t) && t[i+2+len(name)] == '|' {
			return template, len(name) + 4
		}
		return -1, 0
	case '<':
		k := i + 2
		if k < len(t) && t[k] == '/' {
			k++
		}
		if name := nameAt(t, k, &buf); speaker(name) || string(name) == "end" {
			return template, k - i + len(name) + 2
		}
		return -1, 0
	}
	k := i + 1
	closing := t[k] == '/'
	if closing {
		k++
	}
	name := nameAt(t, k, &buf)
	end := k + len(name)
	if len(name) == 0 || end >= len(t) || (t[end] != '>' && t[end] != ' ') {
		return -1, 0
	}
	if speaker(name) {
		// <System> with one capital is the element of Windows events.
		if t[k] == 'S' && k+1 < len(t) && t[k+1] == 'y' {
			return -1, 0
		}
		return tagMarkup, end - i + 1
	}
	if boundary(name) && (closing || t[end] == '>') {
		if closing && string(name) != "s" {
			return breakout, end - i + 1
		}
		return tagMarkup, end - i + 1
	}
	return -1, 0
}

func square(t string, i int) (what, n int) {
	var buf [24]byte
	k := i + 1
	if k < len(t) && t[k] == '/' {
		k++
	}
	name := nameAt(t, k, &buf)
	end := k + len(name)
	if end < len(t) && (t[end] == ']' || t[end] == ' ' || t[end] == ':') && len(name) > 1 {
		if string(name) == "inst" {
			return template, end - i + 1
		}
		if speaker(name) || string(name) == "admin" || string(name) == "override" || string(name) == "end" {
			return bracket, end - i + 1
		}
	}
	return linkAt(t, i, link)
}

func imageAt(t string, i int) (what, n int) {
	if i+1 < len(t) && t[i+1] == '[' {
		return linkAt(t, i+1, image)
	}
	return -1, 0
}

// linkAt looks for [text](http…?…) from the bracket at i.
func linkAt(t string, i, as int) (what, n int) {
	k := i + 1
	for k < len(t) && k-i < 80 && t[k] != ']' && t[k] != '\n' && t[k] != '[' {
		k++
	}
	if k+6 >= len(t) || t[k] != ']' || t[k+1] != '(' || t[k+2] != 'h' || t[k+3] != 't' || t[k+4] != 't' || t[k+5] != 'p' {
		return -1, 0
	}
	for e := k + 6; e < len(t) && e-k < 300; e++ {
		switch t[e] {
		case '?', '{':
			return as, e - i
		case ')', ' ', '\n':
			if as == image {
				return image, e - i
			}
			return -1, 0
		}
	}
	return -1, 0
}

func headingAt(t string, i int) (what, n int) {
	k := i
	for k < len(t) && t[k] == '#' && k-i < 8 {
		k++
	}
	if k-i < 2 {
		return -1, 0
	}
	hashes := k - i
	for k < len(t) && (t[k] == ' ' || t[k] == '*') && k-i < 16 {
		k++
	}
	var buf [24]byte
	name := nameAt(t, k, &buf)
	if speaker(name) || string(name) == "response" || string(name) == "new" || string(name) == "override" || string(name) == "end" {
		return heading, k - i + len(name)
	}
	return -1, hashes
}

func fenceAt(t string, i int) (what, n int) {
	if i+3 >= len(t) || t[i+1] != '`' || t[i+2] != '`' {
		return -1, 0
	}
	var buf [24]byte
	if name := nameAt(t, i+3, &buf); speaker(name) {
		return fence, 3 + len(name)
	}
	return -1, 3
}

// ruleAt recognises a row of the same character, as is drawn between parts.
func ruleAt(t string, i int) (what, n int) {
	k := i
	for k < len(t) && t[k] == t[i] {
		k++
	}
	if k-i >= 8 && (t[i] == '-' || t[i] == '=') {
		return separatorLine, k - i
	}
	return -1, k - i
}

// turnAt recognises the name of a speaker before the colon at i, where a turn may begin.
func turnAt(t string, i int) (what, n int) {
	k := i
	for k > 0 && i-k < 12 && alpha(t[k-1]) {
		k--
	}
	if k == i {
		return -1, 0
	}
	if k > 0 {
		p := k - 1
		for p > 0 && (t[p] == ' ' || t[p] == '*') && k-p < 6 {
			p--
		}
		switch t[p] {
		case '\n', '\r', '#', '>', ')', ']', '.', '|', '-', ';', '"', '\'', '}', '!', '?', ' ', '=', '/', '\\', '_':
		default:
			return -1, 0
		}
	}
	var buf [24]byte
	switch name := nameAt(t, k, &buf); string(name) {
	case "assistant", "ai", "chatgpt", "gpt", "claude", "model", "bot", "llm":
		return turnAssistant, 1
	case "system", "developer", "sysadmin":
		return turnSystem, 1
	case "user", "human":
		return turnUser, 1
	}
	return -1, 0
}

// keyAt looks at what may be a key of JSON at the quote at i.
func keyAt(t string, i int, braces bool) (what, n int) {
	var buf [24]byte
	name := nameAt(t, i+1, &buf)
	end := i + 1 + len(name)
	if len(name) == 0 {
		// "," or ", " continues an object that the text did not begin.
		if !braces && i+2 < len(t) && t[i+1] == ',' && (t[i+2] == '"' || t[i+2] == ' ' && i+3 < len(t) && t[i+3] == '"') {
			return breakoutAt(t, i)
		}
		return -1, 0
	}
	if end >= len(t) || t[end] != '"' {
		return -1, 0
	}
	v := end + 1
	for v < len(t) && t[v] == ' ' && v-end < 4 {
		v++
	}
	if v >= len(t) || t[v] != ':' {
		return -1, 0
	}
	for v++; v < len(t) && t[v] == ' ' && v-end < 8; v++ {
	}
	n = v - i
	switch string(name) {
	case "role":
		if v < len(t) && t[v] == '"' && speaker(nameAt(t, v+1, &buf)) {
			return roleKey, n
		}
	case "tool_calls", "tool_call", "function_call", "tool_use", "tool_choice", "tool_name":
		return toolCall, n
	case "verdict", "classification", "disposition", "malicious", "is_malicious", "false_positive", "triage", "final_answer", "is_threat", "final_verdict", "label", "threat", "assessment", "conclusion", "determination":
		if harmlessValue(t, v) {
			return answer, n
		}
	case "severity", "confidence", "risk", "risk_score", "riskscore", "priority", "score", "actions", "entities", "escalate", "status", "recommendation", "action":
		if harmlessValue(t, v) {
			return steered, n
		}
	}
	return -1, n
}

func breakoutAt(t string, i int) (what, n int) {
	var buf [24]byte
	k := i + 2
	for k < len(t) && t[k] != '"' {
		k++
	}
	name := nameAt(t, k+1, &buf)
	end := k + 1 + len(name)
	if len(name) > 1 && end+1 < len(t) && t[end] == '"' && (t[end+1] == ':' || t[end+1] == ' ' && end+2 < len(t) && t[end+2] == ':') {
		return breakout, 1
	}
	return -1, 0
}

// harmlessValue reports whether the value at v says that nothing happened.
func harmlessValue(t string, v int) bool {
	if v < len(t) && t[v] == '"' {
		v++
	}
	if v+1 < len(t) && t[v] == '[' && t[v+1] == ']' {
		return true
	}
	var buf [24]byte
	switch name := nameAt(t, v, &buf); string(name) {
	case "benign", "false_positive", "false-positive", "falsepositive", "false", "low", "info", "informational", "none", "null", "safe", "clean", "harmless",
		"close", "closed", "resolved", "no_action", "not_malicious", "fp", "0", "1", "legitimate", "authorized", "trusted", "benign_positive", "no", "suppress", "ignore", "dismiss":
		return true
	}
	return false
}
