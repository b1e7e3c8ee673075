package redact

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNoPrefixEndsWithAnother(t *testing.T) {
	for i, p := range prefixes {
		for j, q := range prefixes {
			if i != j && strings.HasSuffix(p, q) {
				t.Errorf("%s ends with %s", p, q)
			}
		}
	}
}

func TestTheSameValueHasTheSameTokenInAnyCase(t *testing.T) {
	s := plain(t)
	a, b, again := s.Redact("/home/ada/x"), s.Redact("/home/ADA/x"), s.Redact("/home/ada/x")
	if a != again || !strings.EqualFold(a, b) {
		t.Errorf("%s, %s, %s", a, b, again)
	}
	// Each spelling still comes back as it was, and so does a code that a model made upper case.
	both := a + " " + b
	if got, unknown := s.Restore(both); got != "/home/ada/x /home/ADA/x" || unknown != nil {
		t.Errorf("%q, unknown %q", got, unknown)
	}
	if s.Stats().Values["USER"] != 2 || s.Stats().Found["USER"] != 3 {
		t.Errorf("%+v", s.Stats())
	}
}

func TestMoreSpellingsThanACodeCanTell(t *testing.T) {
	s := plain(t)
	var in, out []string
	for n := range 2*maxSpell + 5 {
		name := []byte("abcdefghijkl")
		for i := range name {
			if n>>i&1 != 0 {
				name[i] -= 0x20
			}
		}
		in = append(in, "/home/"+string(name))
		out = append(out, s.Redact(in[n]))
	}
	got, unknown := s.Restore(strings.Join(out, " "))
	if want := strings.Join(in, " "); got != want || unknown != nil {
		t.Errorf("unknown %q\n got %s\nwant %s", unknown, got, want)
	}
}

func TestTokensDifferBetweenInvestigationsAndTenants(t *testing.T) {
	seen := map[string]string{}
	for _, tenant := range []string{"a", "b"} {
		k, err := NewTenantKey([]byte(strings.Repeat(tenant, 32)))
		if err != nil {
			t.Fatal(err)
		}
		for _, inv := range []string{"1", "2"} {
			key, err := k.Session(inv)
			if err != nil {
				t.Fatal(err)
			}
			got := New(DefaultPolicy()).Session(key, nil).Redact("/home/ada")
			if other, ok := seen[got]; ok {
				t.Errorf("%s/%s and %s have the token %s", tenant, inv, other, got)
			}
			seen[got] = tenant + "/" + inv
		}
	}
}

func TestTextInTheFormOfATokenComesBackUnchanged(t *testing.T) {
	for _, in := range []string{
		"USER_001", "USER-001", "USER-7KQXMTAB", "xUSER-7KQXMTABx", "HOST-4", "USER-7KQ/home/ada", "user-7kqxmtab",
		"USER-2/home/ada", "IP-3IP-3IP-3", "USER-USER-7KQXMTAB", "MAIL-9-", "-", "USER-",
	} {
		s := plain(t)
		out := s.Redact(in)
		if got, unknown := s.Restore(out); got != in || unknown != nil {
			t.Errorf("%q became %q and came back as %q, unknown %q", in, out, got, unknown)
		}
	}
	// The text of one pass through the redactor is text like any other.
	s := plain(t)
	once := s.Redact("mail ada@example.com")
	twice := s.Redact(once)
	if got, _ := s.Restore(twice); got != once {
		t.Errorf("%q became %q and came back as %q", once, twice, got)
	}
}

func TestAnInventedTokenRestoresNothing(t *testing.T) {
	s := plain(t)
	token := s.Redact("ada@example.com")
	other := New(DefaultPolicy()).Session(Key{9}, nil).Redact("bob@example.com")
	answer := "Ask " + token + ", not MAIL-7KQXMTAB or " + other + " or MAIL-7KQXMTAB."
	got, unknown := s.Restore(answer)
	if got != "Ask ada@example.com, not MAIL-7KQXMTAB or "+other+" or MAIL-7KQXMTAB." {
		t.Error(got)
	}
	if len(unknown) != 2 || unknown[0] != "MAIL-7KQXMTAB" || unknown[1] != other {
		t.Errorf("unknown: %q", unknown)
	}
	// A token under the prefix of another class is another token.
	if got, unknown := s.Restore("USER" + strings.TrimPrefix(token, "MAIL")); strings.Contains(got, "ada") || len(unknown) != 1 {
		t.Errorf("%q, %q", got, unknown)
	}
}

func TestCutEndsNeitherInARuneNorInAToken(t *testing.T) {
	s := plain(t)
	text := "über " + s.Redact("ada@example.com") + s.Redact("bob@example.com") + " ü"
	for n := range len(text) + 2 {
		got := Cut(text, n)
		if len(got) > n || !utf8.ValidString(got) || !strings.HasPrefix(text, got) {
			t.Fatalf("%d: %q", n, got)
		}
		back, unknown := s.Restore(got)
		if unknown != nil || strings.Contains(back, "MAIL") {
			t.Errorf("%d: %q has a piece of a token", n, got)
		}
	}
	if got := Cut("\x80\x80\x80\x80\x80", 4); len(got) > 4 {
		t.Errorf("%q", got)
	}
}
