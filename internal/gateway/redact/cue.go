package redact

import "strings"

// cueKind is what the words before a number may say about it.
type cueKind uint8

const (
	cuePhone cueKind = iota
	cueCard
	cueNational
)

var cues = [...]*wordTable{
	cuePhone:    words("phone telephone tel mobile cell cellphone fax call calling ring whatsapp sms handy dial reach contact"),
	cueCard:     words("card credit cc debit visa mastercard amex payment"),
	cueNational: words("ssn social nino passport national sin bsn pesel personnummer hetu steuer taxpayer tax identification"),
}

// cueReach is how many bytes before a number its cue may stand.
const cueReach = 48

// cue looks for a word of the kind shortly before i.
func (w *walker) cue(i int, k cueKind) bool {
	from := max(0, i-cueReach)
	s := w.text[from:i]
	for end := len(s); end > 0; {
		for end > 0 && chars[s[end-1]]&cLetter == 0 {
			end--
		}
		start := end
		for start > 0 && chars[s[start-1]]&cLetter != 0 {
			start--
		}
		if start < end && cues[k].has(s[start:end]) {
			return true
		}
		end = start
	}
	return false
}

// trimmedHost takes scheme and path off a URL.
func trimmedHost(s string) string {
	if at := strings.Index(s, "://"); at >= 0 {
		s = s[at+3:]
	}
	if at := strings.IndexAny(s, "/?#:"); at >= 0 {
		s = s[:at]
	}
	return s
}
