package blob

import (
	"errors"
	"strings"
	"testing"
)

func TestEscapeTenant(t *testing.T) {
	seen := map[string]string{}
	for _, tenant := range []string{"acme", "Acme", "a.b", ".a", "..", "a/b", "a%2Fb", "a%", "~", "~" + strings.Repeat("0", 64), "ä", strings.Repeat("ä", 64), strings.Repeat("ä", 63) + "aa", strings.Repeat("x", 200)} {
		got, err := EscapeTenant(tenant)
		if err != nil || len(got) > 200 || strings.ContainsAny(got, "/\\") || got[0] == '.' {
			t.Errorf("%q: %q, %v", tenant, got, err)
		}
		if other, taken := seen[got]; taken {
			t.Errorf("%q and %q are both %q", tenant, other, got)
		}
		seen[got] = tenant
	}
	for _, bad := range []string{"", strings.Repeat("x", 201)} {
		if _, err := EscapeTenant(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
