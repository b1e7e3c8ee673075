package redact

// cueKind is what the words before a number may say about it.
type cueKind uint8

const (
	cuePhone cueKind = iota
	cueCard
	cueNational
	cueContact // weaker than cuePhone, for prose
)

var cues = [...]*wordTable{
	cuePhone:    words("phone telephone tel mobile cell cellphone fax call calling ring whatsapp sms handy dial reach contact"),
	cueCard:     words("card credit cc debit visa mastercard amex payment"),
	cueContact:  words("desk office home work direct line hotline messages message text texting contact reach me us"),
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
