package audit

import "fmt"

// Kind names what is wrong with a chain.
type Kind uint8

// The kinds of finding.
const (
	// KindMalformed: the bytes are not a record although their hash is right, or an export line
	// cannot be read.
	KindMalformed Kind = iota + 1
	// KindContentChanged: the bytes are not those that were sealed.
	KindContentChanged
	// KindHashChanged: the bytes are as sealed (the next record links to them), the hash stored
	// beside them is not.
	KindHashChanged
	// KindLinkChanged: the record names another previous hash than the record before it has;
	// either this link or that record was replaced by one with a fitting hash of its own.
	KindLinkChanged
	// KindNumberMismatch: the number inside the record is not the number it is stored under.
	KindNumberMismatch
	// KindDuplicate: the number occurs again.
	KindDuplicate
	// KindGap: numbers Sequence to Last are missing.
	KindGap
	// KindReordered: the record stands after a later one.
	KindReordered
	// KindTruncated: the chain ends before the expected head; Sequence to Last are missing.
	KindTruncated
	// KindReplaced: the record at the number of the expected head has another hash, and nothing
	// before it is wrong with it: the chain was written anew.
	KindReplaced
	// KindWrongTenant: the record belongs to another tenant.
	KindWrongTenant
	// KindUnknownType: the type is not in this program's list. A warning: a newer program may
	// have written the record.
	KindUnknownType
)

var kindNames = [...]string{"", "malformed", "content_changed", "hash_changed", "link_changed",
	"number_mismatch", "duplicate", "gap", "reordered", "truncated", "replaced", "wrong_tenant", "unknown_type"}

// String returns the name of the kind in reports.
func (k Kind) String() string { return name(kindNames[:], int(k)) }

// MarshalText writes the name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Warning reports whether the kind leaves the chain intact.
func (k Kind) Warning() bool { return k == KindUnknownType }

// Finding is one thing that is wrong.
type Finding struct {
	Kind     Kind   `json:"kind"`
	Sequence int64  `json:"sequence"`
	Last     int64  `json:"last"` // end of the range; equal to Sequence for a single record
	Detail   string `json:"detail,omitempty"`
}

// String returns the finding in one line.
func (f Finding) String() string {
	at := fmt.Sprintf("%s at %d", f.Kind, f.Sequence)
	if f.Last != f.Sequence {
		at = fmt.Sprintf("%s at %d to %d", f.Kind, f.Sequence, f.Last)
	}
	if f.Detail == "" {
		return at
	}
	return at + ": " + f.Detail
}

// Report is the result of a verification.
type Report struct {
	Tenant   string         `json:"tenant"`
	Records  int64          `json:"records"`   // read, bad ones included
	From     int64          `json:"from"`      // first number that was expected
	Head     Head           `json:"head"`      // end of what was read, by its own bytes
	FirstBad int64          `json:"first_bad"` // lowest number of a finding that is no warning, or -1
	Counts   map[Kind]int64 `json:"counts,omitempty"`
	Findings []Finding      `json:"findings,omitempty"` // the first ones; Counts has all
}

// OK reports whether nothing but warnings was found.
func (r *Report) OK() bool { return r.FirstBad < 0 }
