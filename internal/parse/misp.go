package parse

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/go-json-experiment/json"
)

// maxWarningList bounds one list file, in bytes.
const maxWarningList = 64 << 20

var (
	// ErrListKind says that a warning list needs a kind of matching that is not supported:
	// "regex" and "substring" lists are refused, since they would hide what they do not mean.
	ErrListKind = errors.New("parse: kind of warning list is not supported")
	// ErrListTooLarge says that a warning list is larger than 64 MiB.
	ErrListTooLarge = errors.New("parse: warning list is larger than 64 MiB")
)

// LoadMISP adds a warning list in the format of the MISP project, a JSON object with name,
// type (cidr, string or hostname) and list, and returns how many entries it took. Entries
// that cannot be read are left out and counted in the error, which then is a *ListError; the
// rest is loaded. It must not run while Warn does.
func (l *WarningLists) LoadMISP(r io.Reader) (int, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxWarningList+1))
	if err != nil {
		return 0, fmt.Errorf("parse: reading warning list: %w", err)
	}
	if len(data) > maxWarningList {
		return 0, ErrListTooLarge
	}
	var doc struct {
		Name string   `json:"name"`
		Type string   `json:"type"`
		List []string `json:"list"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return 0, fmt.Errorf("parse: warning list is not the MISP format: %w", err)
	}
	reason := doc.Name
	if reason == "" {
		reason = "listed as harmless"
	}
	add, err := l.adder(doc.Type, reason)
	if err != nil {
		return 0, fmt.Errorf("list %q: %w", doc.Name, err)
	}
	bad := &ListError{Name: doc.Name}
	for _, entry := range doc.List {
		if !add(strings.TrimSpace(entry)) {
			bad.Entries = append(bad.Entries, entry)
		}
	}
	if len(bad.Entries) > 0 {
		return len(doc.List) - len(bad.Entries), bad
	}
	return len(doc.List), nil
}

func (l *WarningLists) adder(kind, reason string) (func(string) bool, error) {
	switch kind {
	case "cidr":
		return func(s string) bool { return l.addPrefix(s, reason) }, nil
	case "hostname":
		return func(s string) bool { return l.addName(s, reason) }, nil
	case "string", "":
		return func(s string) bool {
			if s == "" {
				return false
			}
			if l.addPrefix(s, reason) {
				return true
			}
			l.values[strings.ToLower(s)] = reason
			l.values[s] = reason
			if _, _, ok := validHost(strings.TrimPrefix(s, ".")); ok && strings.IndexByte(s, '.') > 0 {
				return l.addName(s, reason)
			}
			return true
		}, nil
	default:
		return nil, fmt.Errorf("%w: %q; use a list of type cidr, string or hostname", ErrListKind, kind)
	}
}

func (l *WarningLists) addPrefix(s, reason string) bool {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return false
		}
		p = netip.PrefixFrom(addr.Unmap().WithZone(""), addr.Unmap().BitLen())
	}
	if p.Bits() == 0 {
		return false // a list that covers every address is a mistake
	}
	if _, ok := l.prefixes.Get(p.Masked()); !ok {
		l.prefixes.Insert(p.Masked(), reason)
	}
	return true
}

func (l *WarningLists) addName(s, reason string) bool {
	s = strings.ToLower(strings.Trim(s, "."))
	if strings.Contains(s, "://") {
		s = URLHost(s)
	} else if slash := strings.IndexByte(s, '/'); slash >= 0 {
		s = s[:slash]
	}
	if _, _, ok := validHost(s); !ok {
		return false
	}
	if _, ok := l.names[s]; !ok {
		l.names[s] = reason
	}
	return true
}

// ListError names the entries of a warning list that could not be read.
type ListError struct {
	Name    string
	Entries []string
}

// Error implements error.
func (e *ListError) Error() string {
	return fmt.Sprintf("parse: warning list %q: %d entries cannot be read, the first is %q",
		e.Name, len(e.Entries), e.Entries[0])
}
