package redact

import (
	"slices"
	"strings"
	"sync"
)

// Session redacts and restores the texts of one investigation. It is safe for concurrent use.
type Session struct {
	r     *Redactor
	known *lexicon

	mu      sync.Mutex
	book    *book
	scratch scratch
	found   [numClasses]int
	secrets [numSecrets]int
}

// Session begins an investigation. known are the values that the entity parser found.
func (r *Redactor) Session(key Key, known []Known) *Session {
	return r.Resume(key, known, nil)
}

// Resume continues an investigation from its stored map, which may be nil.
func (r *Redactor) Resume(key Key, known []Known, m *Map) *Session {
	s := &Session{r: r, known: r.compile(known), book: newBook(key)}
	if m != nil {
		m.fill(s.book)
	}
	return s
}

// Redact returns the text without secrets and with tokens in place of the values that the policy
// replaces.
func (s *Session) Redact(text string) string { return s.RedactField("", text) }

// RedactField does the same for the value of a field: its name, a path in any notation, tells what a value
// without context is, such as an id or the name of a user.
func (s *Session) RedactField(name, text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.r.find(&s.scratch, s.known, name, text)
	if len(found) == 0 {
		return text
	}
	var b strings.Builder
	b.Grow(len(text) + 8*len(found))
	at := 0
	for i := range found {
		f := &found[i]
		b.WriteString(text[at:f.Start])
		if f.IsSecret {
			s.secrets[f.Secret]++
			b.WriteString(f.Secret.String())
		} else {
			s.found[f.Class]++
			b.WriteString(s.book.token(f.Class, text[f.Start:f.End]))
		}
		at = f.End
	}
	b.WriteString(text[at:])
	return b.String()
}

// Restore puts the values back in place of their tokens. Tokens that this investigation does not
// have stay as they are and are returned, each once.
func (s *Session) Restore(text string) (restored string, unknown []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restore(text, func(b *strings.Builder, v string) { b.WriteString(v) })
}

func (s *Session) restore(text string, write func(*strings.Builder, string)) (restored string, unknown []string) {
	var b strings.Builder
	at, from := 0, 0
	for {
		t, ok := nextShape(text, from)
		if !ok {
			break
		}
		from = t.start + len(prefixes[t.class]) + 1
		if !t.whole {
			continue
		}
		token := text[t.start:t.end]
		v, ok := s.book.value(token)
		if !ok {
			if !slices.Contains(unknown, token) && len(unknown) < maxUnknown {
				unknown = append(unknown, strings.Clone(token))
			}
			continue
		}
		b.WriteString(text[at:t.start])
		write(&b, v)
		at, from = t.end, t.end
	}
	if at == 0 {
		return text, unknown
	}
	b.WriteString(text[at:])
	return b.String(), unknown
}

// maxUnknown bounds the list that an answer full of invented tokens can make.
const maxUnknown = 256

// Stats say what a session has replaced, for the audit: never a value.
type Stats struct {
	// Values is the number of different values per class, Found how often they stood in texts.
	Values map[string]int `json:"values,omitempty"`
	Found  map[string]int `json:"found,omitempty"`
	// Secrets is how often a secret of a kind was removed.
	Secrets map[string]int `json:"secrets,omitempty"`
}

// Stats returns the counts so far. Values include those of a map that was resumed.
func (s *Session) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{Values: make(map[string]int), Found: make(map[string]int), Secrets: make(map[string]int)}
	for c := range numClasses {
		if n := len(s.book.tokens[c]); n > 0 {
			st.Values[c.String()] = n
		}
		if n := s.found[c]; n > 0 {
			st.Found[c.String()] = n
		}
	}
	for k := range numSecrets {
		if n := s.secrets[k]; n > 0 {
			st.Secrets[k.String()] = n
		}
	}
	return st
}
