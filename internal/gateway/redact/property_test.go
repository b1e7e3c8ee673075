package redact

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/aluskort/aluskort/internal/alert"
)

var propertyKnown = []Known{
	{Type: alert.Account, Value: "ada"},
	{Type: alert.Account, Value: "Ünal.Öz", Properties: map[string]string{"nt_domain": "CONTOSO"}},
	{Type: alert.Host, Value: "ws-07.hq.example.com"},
	{Type: alert.Account, Value: "Grace Hopper"},
	{Type: alert.IP, Value: "10.1.2.3"},
}

// pieces are what arbitrary text is made of beside random characters: everything that means
// something to a detector or to the form of tokens.
var pieces = []string{
	"ada", "ADA", "Ada", "ünal.öz", "ÜNAL.ÖZ", "ws-07", "WS-07.hq.example.com", "grace hopper", "10.1.2.3", "10.1.2.", "CONTOSO\\", "\\\\", "\\", "\\n", "\\t", "\\u00e9",
	"USER-", "USER-7KQXMTAB", "USER-7KQ", "HOST", "-7KQXMTAB", "IP-2", "MAC-", "TEXT-2AAAAAAA", "-", "2", "AAAAAAA", "aaaaaaa",
	"ada@example.com", "@", "@corp.local", ".local", "/home/", "C:\\Users\\", "\\Users\\", "S-1-5-21-1-2-3-4", "+44 20 7946 0958", "4111111111111111",
	"GB82WEST12345698765432", "password=", "password: \"", "hunter2", "Bearer ", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlMTIz", "https://ada:pw@", "\"", "'", "user=", "\"user\":\"",
	"-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "mysql -p", "net user ", "00:1b:44:11:3a:b7", "fe80::1", "tenantid=0b7c9a52-1f6e-4a8b-9c3d-2e4f5a6b7c8d",
	" ", "\n", "\r\n", "\x00", "\xff", "\xc3", "é"[:1], "é"[1:], "日", "日"[:2], "\u2028", "<", ">", "&", "{", "}", ",", ":", "%", "%40", "$6$", "::",
	"SECRET_PASSWORD", "078-05-1120", "Dr. ", "12 Main Street", "12345",
}

func anyText() *rapid.Generator[string] {
	piece := rapid.OneOf(rapid.SampledFrom(pieces), rapid.StringN(0, 4, 12), rapid.Custom(func(t *rapid.T) string {
		return string(rapid.SliceOfN(rapid.Byte(), 0, 6).Draw(t, "bytes"))
	}))
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(piece, 0, 14).Draw(t, "pieces"), "")
	})
}

// secretsOnly is the text without its secrets and otherwise as it was.
func secretsOnly(r *Redactor, known []Known, text string) string {
	p := r.policy
	p.Classes = 0
	s := New(p).Session(testKey, known)
	out, _ := s.Restore(s.Redact(text))
	return out
}

// roundTrip fails unless what the model answers, repeating tokens as it got them, is restored to
// the byte, except for secrets.
func roundTrip(t interface{ Fatalf(string, ...any) }, s *Session, want, text string) {
	out := s.Redact(text)
	if got, unknown := s.Restore(out); got != want || unknown != nil {
		t.Fatalf("%q became %q and came back as %q, want %q, unknown %q", text, out, got, want, unknown)
	}
}

func hides(s *Session) bool { return len(s.Stats().Secrets) > 0 }

func TestRoundTripIsExact(t *testing.T) {
	for name, p := range map[string]Policy{"default": DefaultPolicy(), "everything": EverythingPolicy()} {
		r := New(p)
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s := r.Session(testKey, propertyKnown)
				a, b := anyText().Draw(t, "a"), anyText().Draw(t, "b")
				first := s.Redact(a)
				roundTripPair(t, s, r, a, b, first)
			})
		})
	}
}

// roundTripPair redacts two texts and restores one answer that quotes both, without a gap.
func roundTripPair(t *rapid.T, s *Session, r *Redactor, a, b, first string) {
	wantA := a
	if hides(s) {
		wantA = stripped(r, a)
	}
	had := hides(s)
	second := s.Redact(b)
	wantB := b
	if hides(s) || had {
		wantB = stripped(r, b)
	}
	if got, unknown := s.Restore(first); got != wantA || unknown != nil {
		t.Fatalf("%q became %q and came back as %q, want %q, unknown %q", a, first, got, wantA, unknown)
	}
	if got, unknown := s.Restore(second); got != wantB || unknown != nil {
		t.Fatalf("%q became %q and came back as %q, want %q, unknown %q", b, second, got, wantB, unknown)
	}
	if again := s.Redact(a); again != first {
		t.Fatalf("%q became %q and later %q", a, first, again)
	}
	// The answer as a JSON string, and a map that was stored in between.
	resumed := r.Resume(testKey, propertyKnown, s.Map())
	if got, _ := resumed.Restore(first); got != wantA {
		t.Fatalf("%q came back as %q from a resumed map", a, got)
	}
}

func stripped(r *Redactor, text string) string { return secretsOnly(r, propertyKnown, text) }

// No known value survives, in whatever surroundings, unless it is a part of a longer word.
func TestNoKnownValueSurvives(t *testing.T) {
	r := New(DefaultPolicy())
	rapid.Check(t, func(t *rapid.T) {
		s := r.Session(testKey, propertyKnown)
		text := anyText().Draw(t, "text")
		out := strings.ToLower(s.Redact(text))
		for _, v := range []string{"ada", "ünal.öz", "ws-07", "grace hopper", "10.1.2.3"} {
			for at := 0; ; {
				n := strings.Index(out[at:], v)
				if n < 0 {
					break
				}
				at += n
				// Inside of a longer dotted number it is no address.
				longer := v == "10.1.2.3" && (at > 1 && out[at-1] == '.' && chars[out[at-2]]&cDigit != 0 ||
					strings.HasPrefix(out[at+len(v):], ".") && len(out) > at+len(v)+1 && chars[out[at+len(v)+1]]&cDigit != 0)
				if !longer && !wordBefore(out, at) && !wordAt(out, at+len(v)) {
					t.Fatalf("%q in %q, from %q", v, out, text)
				}
				at += len(v)
			}
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add("ada@example.com USER-7KQXMTAB /home/ada 10.1.2.3", "password=\"x\\\"y\" net user ada Pw1!")
	f.Add("CONTOSO\\ada\\nws-07.hq.example.com", "+44 20 7946 0958 4111 1111 1111 1111")
	f.Add(strings.Join(pieces, " "), strings.Join(pieces, ""))
	def, all := New(DefaultPolicy()), New(EverythingPolicy())
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, r := range []*Redactor{def, all} {
			s := r.Session(testKey, propertyKnown)
			roundTrip(t, s, stripped(r, a), a)
			roundTrip(t, s, stripped(r, b), b)
			if cut := Cut(a, len(a)/2); !strings.HasPrefix(a, cut) {
				t.Fatalf("%q is no beginning of %q", cut, a)
			}
		}
	})
}
