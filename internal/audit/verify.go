package audit

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
)

// DefaultMaxFindings bounds Report.Findings when VerifyOptions leaves it at zero.
const DefaultMaxFindings = 100

// maxGaps bounds the gaps that wait for late records; further ones are reported at once.
const maxGaps = 1024

// VerifyOptions say what a chain is compared with.
type VerifyOptions struct {
	// Tenant is whose records they must be; empty takes it from the first record.
	Tenant string
	// From is the first number, 0 for a whole chain.
	From int64
	// Previous is the trusted hash of record From-1, so that the first link can be checked;
	// nil leaves it unchecked. Not used when From is 0, where it is known to be zero.
	Previous *Hash
	// Heads are trusted ends from outside of what is verified, a handful at most: without one a
	// cut tail and a chain written anew cannot be seen. A chain that has grown beyond is right.
	Heads []Head
	// MaxFindings bounds Report.Findings; 0 means DefaultMaxFindings.
	MaxFindings int
}

// Verifier checks records one at a time, in the order in which they are stored, and says what is
// wrong with them. It holds no more than a bounded number of findings and gaps, whatever the
// length of the chain. Not safe for concurrent use.
type Verifier struct {
	opt    VerifyOptions
	report Report
	tenant []byte // quoted, as in the record
	scan   scanner

	next    int64  // number that should come now
	links   []Hash // hashes that the next record may name; empty when unknown
	waiting change // content finding that the next record will explain
	pending bool
	unread  int64 // malformed records whose number is unknown
	gaps    []gap
	met     []bool // by trusted head: its record was read
}

// change is a record whose bytes do not have the stored hash.
type change struct {
	sequence int64
	computed Hash
}

// gap is a range of numbers that did not come yet.
type gap struct {
	from, last  int64
	before      Hash // hash of record from-1
	after       Hash // previous hash in record last+1
	knownBefore bool
	knownAfter  bool
}

// NewVerifier returns a verifier for one chain.
func NewVerifier(opt VerifyOptions) *Verifier {
	if opt.MaxFindings == 0 {
		opt.MaxFindings = DefaultMaxFindings
	}
	v := &Verifier{opt: opt, next: opt.From, met: make([]bool, len(opt.Heads))}
	v.report = Report{Tenant: opt.Tenant, From: opt.From, Head: Head{Sequence: opt.From - 1}, FirstBad: -1, Counts: map[Kind]int64{}}
	if opt.Tenant != "" {
		v.tenant, _ = appendQuoted(nil, opt.Tenant)
	}
	switch {
	case opt.From == 0:
		v.links = append(v.links, Hash{})
	case opt.Previous != nil:
		v.links = append(v.links, *opt.Previous)
		v.report.Head.Hash = *opt.Previous
	}
	return v
}

// NoColumn is passed to Add when records are stored without a number beside them.
const NoColumn = -1

// Add checks the next record: the number that it is stored under or NoColumn, its bytes and the
// hash stored beside them. The slices are not kept.
func (v *Verifier) Add(column int64, record, hash []byte) {
	v.report.Records++
	computed := Hash(sha256.Sum256(record))
	if !bytes.Equal(computed[:], hash) {
		v.changed(column, computed, hash)
		return
	}
	l, ok := v.scan.link(record)
	if !ok {
		v.unreadable(column, "the bytes have their hash but are not a record")
		return
	}
	at := l.sequence
	if column != NoColumn {
		at = column
	}
	if l.sequence != at {
		v.settle(nil)
		v.find(KindNumberMismatch, at, at, fmt.Sprintf("the record says %d", l.sequence))
		v.place(at, nil)
		return
	}
	v.checkNames(at, record, l.tenant)
	v.chain(at, l.previous, computed)
}

// AddUnreadable counts a record that could not even be taken apart from its surroundings.
func (v *Verifier) AddUnreadable(detail string) {
	v.report.Records++
	v.unreadable(NoColumn, detail)
}

func (v *Verifier) unreadable(column int64, detail string) {
	v.settle(nil)
	if column == NoColumn {
		v.find(KindMalformed, v.next+v.unread, v.next+v.unread, detail)
		v.unread++
		return
	}
	v.find(KindMalformed, column, column, detail)
	v.place(column, nil)
}

// changed handles a record that does not have its stored hash. Nothing inside it is believed;
// without a column it is taken for the number that should come now.
func (v *Verifier) changed(column int64, computed Hash, stored []byte) {
	v.settle(nil)
	at := column
	if column == NoColumn {
		at = v.next
	}
	var accept []Hash
	accept = append(accept, computed)
	if len(stored) == len(computed) {
		accept = append(accept, Hash(stored))
	}
	v.matchHead(at, accept...)
	v.place(at, accept)
	v.waiting, v.pending = change{at, computed}, true
}

// settle decides what was changed in the record that waits: if the next record links to its
// bytes, the stored hash was; else the bytes were.
func (v *Verifier) settle(previous *Hash) {
	if !v.pending {
		return
	}
	v.pending = false
	at := v.waiting.sequence
	if previous != nil && *previous == v.waiting.computed {
		v.find(KindHashChanged, at, at, "the next record links to these bytes; the hash stored beside them is another")
		return
	}
	v.find(KindContentChanged, at, at, "SHA-256 of the bytes is "+v.waiting.computed.String())
}

func (v *Verifier) checkNames(at int64, record, tenant []byte) {
	if v.tenant == nil {
		v.tenant = bytes.Clone(tenant)
		v.report.Tenant = unquote(tenant)
	} else if !bytes.Equal(tenant, v.tenant) {
		v.find(KindWrongTenant, at, at, "tenant "+unquote(tenant))
	}
	typ := scanType(record)
	if categories[Type(typ)] == 0 {
		v.find(KindUnknownType, at, at, fmt.Sprintf("event type %q", typ))
	}
	if at == 0 && string(typ) != string(Genesis) {
		v.find(KindMalformed, 0, 0, fmt.Sprintf("record 0 is %q, not %s", typ, Genesis))
	}
}

// chain checks a record that has its hash and its number against its neighbours.
func (v *Verifier) chain(at int64, previous, hash Hash) {
	if at < v.next {
		v.late(at, previous, hash)
		return
	}
	follows := at == v.next
	if follows {
		v.settle(&previous)
	} else {
		v.settle(nil)
	}
	if follows && len(v.links) > 0 && !slices.Contains(v.links, previous) {
		v.find(KindLinkChanged, at, at, fmt.Sprintf("its link or record %d was replaced", at-1))
	}
	v.matchHead(at, hash)
	v.step(at, previous, true)
	v.links = append(v.links[:0], hash)
	v.report.Head = Head{at, hash}
}

// place moves past a record whose link is not believed; accept are the hashes that the next
// record may name.
func (v *Verifier) place(at int64, accept []Hash) {
	if at < v.next {
		v.lateUnknown(at)
		return
	}
	v.step(at, Hash{}, false)
	v.links = append(v.links[:0], accept...)
	v.report.Head = Head{Sequence: at}
	if len(accept) > 0 {
		v.report.Head.Hash = accept[0]
	}
}

// step notes the numbers between the expected one and at as missing. Malformed records stand for
// as many of them, and the gap knows the links on both sides.
func (v *Verifier) step(at int64, previous Hash, known bool) {
	from := v.next + min(v.unread, at-v.next)
	v.unread = 0
	v.next = at + 1
	if from >= at {
		return
	}
	g := gap{from: from, last: at - 1, after: previous, knownAfter: known}
	if len(v.links) == 1 && from == v.report.Head.Sequence+1 {
		g.before, g.knownBefore = v.links[0], true
	}
	if len(v.gaps) == maxGaps {
		v.findGap(v.gaps[0])
		v.gaps = slices.Delete(v.gaps, 0, 1)
	}
	v.gaps = append(v.gaps, g)
}

// late handles a number below the expected one: out of its place when it was missing, else a
// repetition.
func (v *Verifier) late(at int64, previous, hash Hash) {
	v.settle(nil)
	i := slices.IndexFunc(v.gaps, func(g gap) bool { return g.from <= at && at <= g.last })
	if i < 0 {
		detail := "the same number again"
		if at == v.report.Head.Sequence {
			if slices.Contains(v.links, hash) {
				detail = "the same record again"
			} else {
				v.links = append(v.links, hash)
				detail = "another record with this number"
			}
		}
		v.find(KindDuplicate, at, at, detail)
		return
	}
	g := v.gaps[i]
	v.find(KindReordered, at, at, fmt.Sprintf("stands after record %d", v.next-1))
	if at == g.from && g.knownBefore && g.before != previous {
		v.find(KindLinkChanged, at, at, fmt.Sprintf("its link or record %d was replaced", at-1))
	}
	if at == g.last && g.knownAfter && g.after != hash {
		v.find(KindLinkChanged, at+1, at+1, fmt.Sprintf("its link or record %d was replaced", at))
	}
	v.matchHead(at, hash)
	v.fill(i, at, previous, hash, true)
}

func (v *Verifier) lateUnknown(at int64) {
	i := slices.IndexFunc(v.gaps, func(g gap) bool { return g.from <= at && at <= g.last })
	if i < 0 {
		v.find(KindDuplicate, at, at, "the same number again")
		return
	}
	v.find(KindReordered, at, at, fmt.Sprintf("stands after record %d", v.next-1))
	v.fill(i, at, Hash{}, Hash{}, false)
}

// fill takes number at out of gap i.
func (v *Verifier) fill(i int, at int64, previous, hash Hash, known bool) {
	g := v.gaps[i]
	var rest []gap
	if g.from < at {
		left := g
		left.last, left.after, left.knownAfter = at-1, previous, known
		rest = append(rest, left)
	}
	if at < g.last {
		right := g
		right.from, right.before, right.knownBefore = at+1, hash, known
		rest = append(rest, right)
	}
	v.gaps = slices.Replace(v.gaps, i, i+1, rest...)
}

// matchHead compares the record at a trusted head with it.
func (v *Verifier) matchHead(at int64, hashes ...Hash) {
	for i := range v.opt.Heads {
		h := &v.opt.Heads[i]
		if h.Sequence != at {
			continue
		}
		v.met[i] = true
		if !slices.Contains(hashes, h.Hash) {
			v.find(KindReplaced, at, at, fmt.Sprintf("the trusted hash is %s, the record has %s", h.Hash, hashes[0]))
		}
	}
}

// Finish returns the report. The verifier must not be used afterwards.
func (v *Verifier) Finish() Report {
	for i := range v.opt.Heads {
		if h := &v.opt.Heads[i]; v.pending && h.Sequence == v.waiting.sequence {
			v.settle(&h.Hash)
		}
	}
	v.settle(nil)
	for _, g := range v.gaps {
		v.findGap(g)
	}
	v.gaps = nil
	far := int64(-1)
	for i := range v.opt.Heads {
		if h := &v.opt.Heads[i]; !v.met[i] {
			far = max(far, h.Sequence)
		}
	}
	if first := v.next + v.unread; first <= far {
		v.find(KindTruncated, first, far, fmt.Sprintf("the trusted head is %d", far))
	}
	return v.report
}

func (v *Verifier) findGap(g gap) { v.find(KindGap, g.from, g.last, "") }

func (v *Verifier) find(kind Kind, from, last int64, detail string) {
	v.report.Counts[kind]++
	if !kind.Warning() && (v.report.FirstBad < 0 || from < v.report.FirstBad) {
		v.report.FirstBad = from
	}
	if len(v.report.Findings) < v.opt.MaxFindings {
		v.report.Findings = append(v.report.Findings, Finding{kind, from, last, detail})
	}
}
