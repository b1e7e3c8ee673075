package memory

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/aluskort/aluskort/internal/alert"
)

// named are the types of entities that are somebody's or somewhere; processes, files and malware
// say what happened, wherever it did.
func named(t alert.EntityType) bool {
	switch t {
	case alert.Account, alert.Host, alert.IP, alert.URL, alert.DNS, alert.Mailbox, alert.MailMessage, alert.SecurityGroup:
		return true
	}
	return false
}

// maxNames bounds how many names are looked for in one text.
const maxNames = 100

// Generic is a text with the names of hosts, accounts and the like replaced by what they are
// ("logon of <account> on <host>"), so that the same activity reads the same wherever it happens,
// and no name is kept. Names are found as whole words, without regard to case.
func Generic(text string, entities []alert.Entity) string {
	var names []*alert.Entity
	for i := range entities {
		if e := &entities[i]; named(e.Type) && len(e.Value) > 1 {
			names = append(names, e)
		}
	}
	// The longest first: a name may be part of another.
	slices.SortFunc(names, func(a, b *alert.Entity) int {
		return cmp.Or(cmp.Compare(len(b.Value), len(a.Value)), cmp.Compare(a.Value, b.Value), cmp.Compare(a.Type, b.Type))
	})
	for _, e := range names[:min(len(names), maxNames)] {
		text = replaceWord(text, e.Value, "<"+string(e.Type)+">")
	}
	return text
}

// replaceWord replaces a value where no letter or digit touches it.
func replaceWord(text, value, by string) string {
	var b strings.Builder
	folded, value := foldASCII(text), foldASCII(value)
	from := 0
	for at := 0; ; {
		i := strings.Index(folded[at:], value)
		if i < 0 {
			break
		}
		start, end := at+i, at+i+len(value)
		if wordAt(text[:start], text[end:]) {
			b.WriteString(text[from:start])
			b.WriteString(by)
			from, at = end, end
			continue
		}
		_, size := utf8.DecodeRuneInString(text[start:])
		at = start + size
	}
	if from == 0 {
		return text
	}
	b.WriteString(text[from:])
	return b.String()
}

// wordAt reports whether a word may begin behind before and end in front of after.
func wordAt(before, after string) bool {
	last, _ := utf8.DecodeLastRuneInString(before)
	next, _ := utf8.DecodeRuneInString(after)
	joins := func(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }
	return !joins(last) && !joins(next)
}

// foldASCII keeps every byte in its place.
func foldASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
