package canon

import "unicode"

// lookalikes are pairs of a letter of another script and the Latin letter that it resembles.
// Both cases are listed where both resemble.
const lookalikes = "аaеeоoрpсcуyхxіiјjѕsԁdһhԛqԝwӏlАAВBЕEЅSІIЈJКKМMНHОOРPСCТTУYХXԌGкkмmтtвbнhгrпnиuԀDԚQԜWѵvѴVүyҮYєe" + // Cyrillic
	"αaεeοoρpνvιiκkτtυuχxγyωwηnσoζzβbΑAΒBΕEΖZΗHΙIΚKΜMΝNΟOΡPΤTΥYΧXϲcϳjϹC" + // Greek
	"օoսuոnհhցgզqոnսuՕOՏSԼLյjրnաwվpեt" + // Armenian
	"ᎪAᏴBᏟCᎠDᎬEᏀGᎻHᎥiᎫJᏦKᏞLᎷMᏢPᎡRᏚSᎢTᏙVᎳWᎩYᏃZ" // Cherokee

// latinForms are Latin letters in unusual shapes; they are folded wherever they stand.
const latinForms = "ɡgɪIɩiıiɢGɴNʀRʜHʟLʏYʙBᴀAᴄCᴅDᴇEꜰFᴊJᴋKᴍMᴏOᴘPꜱSᴛTᴜUᴠVᴡWᴢZɑaǀlℓlꞮI"

// folds is the table of all of that, made once.
type folds struct {
	posing map[rune]byte
	always map[rune]byte
}

func newFolds() *folds {
	return &folds{posing: pairs(lookalikes), always: pairs(latinForms)}
}

func pairs(s string) map[rune]byte {
	out := make(map[rune]byte, len(s)/3)
	var from rune
	for i, r := range []rune(s) {
		if i%2 == 0 {
			from = r
		} else {
			out[from] = byte(r)
		}
	}
	return out
}

// shape returns the Latin letter of a rune that is nothing but that letter in a frame.
func (f *folds) shape(r rune) (byte, bool) {
	switch {
	case r < 0x131:
		return 0, false
	case r >= 0x1F150 && r <= 0x1F169: // negative circled
		return byte('A' + r - 0x1F150), true
	case r >= 0x1F170 && r <= 0x1F189: // negative squared
		return byte('A' + r - 0x1F170), true
	case r >= 0x1F1E6 && r <= 0x1F1FF: // regional indicators, as in flags
		return byte('A' + r - 0x1F1E6), true
	}
	b, ok := f.always[r]
	return b, ok
}

// script tells the scripts apart whose letters pose as Latin ones.
func script(r rune) int {
	switch {
	case r >= 0x0370 && r < 0x0400, r >= 0x1F00 && r < 0x2000:
		return 1
	case r >= 0x0400 && r < 0x0530, r >= 0x1C80 && r < 0x1C90:
		return 2
	case r >= 0x0530 && r < 0x0590:
		return 3
	case r >= 0x13A0 && r < 0x1400, r >= 0xAB70 && r < 0xABC0:
		return 4
	}
	return 0
}

func wordRune(r rune) bool {
	if r < 0x80 {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_'
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.M, r)
}

func latinLetter(r rune) bool {
	if r < 0x80 {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
	}
	return r < 0x250 && unicode.IsLetter(r)
}
