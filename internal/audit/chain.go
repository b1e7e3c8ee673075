package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Hash is a SHA-256 value.
type Hash [sha256.Size]byte

// String returns the hash in lower-case hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes the hash in hexadecimal.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads 64 hexadecimal digits.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) {
		return fmt.Errorf("audit: a hash has 64 hexadecimal digits, not %d", len(text))
	}
	if _, err := hex.Decode(h[:], text); err != nil {
		return fmt.Errorf("audit: hash: %w", err)
	}
	return nil
}

// Digest returns "sha256:" and the hexadecimal SHA-256 of b: how a record refers to bytes that
// it does not hold.
func Digest(b []byte) string { return "sha256:" + Hash(sha256.Sum256(b)).String() }

// MaxSequence is the largest sequence number; storage keys and audit ids keep 40 bits for it.
const MaxSequence = 1<<40 - 1

var (
	// ErrTenant is returned for a tenant name that a chain cannot have.
	ErrTenant = errors.New("audit: tenant name refused")
	// ErrFull is returned when a chain has reached MaxSequence.
	ErrFull = errors.New("audit: chain is full")
)

// Head is the end of a chain. The zero value is not a head; an empty chain is NoHead.
type Head struct {
	Sequence int64 `json:"sequence"`
	Hash     Hash  `json:"hash"`
}

// NoHead is the head of a chain without records: sequence -1 and 32 zero bytes, which the
// genesis record carries as its previous hash.
var NoHead = Head{Sequence: -1}

// Record is a sealed event: its number, its exact bytes and their SHA-256.
type Record struct {
	Sequence int64
	Bytes    []byte
	Hash     Hash
}

// Chain seals events one after the other. It is a value of one writer: not safe for concurrent
// use; that no second writer continues the same head is the task of the store that moves the
// head by compare-and-swap.
type Chain struct {
	tenant string
	quoted string // the tenant as a JSON string
	head   Head
}

// NewChain continues the chain of tenant after head; NoHead starts one. It fails with ErrTenant
// when tenant is empty, longer than MaxName bytes or not UTF-8.
func NewChain(tenant string, head Head) (*Chain, error) {
	if err := CheckTenant(tenant); err != nil {
		return nil, err
	}
	quoted, _ := appendQuoted(nil, tenant)
	return &Chain{tenant: tenant, quoted: string(quoted), head: head}, nil
}

// CheckTenant reports, with ErrTenant, why a chain cannot have this tenant's name.
func CheckTenant(tenant string) error {
	if tenant == "" || len(tenant) > MaxName || !utf8.ValidString(tenant) {
		return fmt.Errorf("%w: %q; 1 to %d bytes of UTF-8 are allowed", ErrTenant, tenant, MaxName)
	}
	return nil
}

// Head returns the number and hash of the record sealed last.
func (c *Chain) Head() Head { return c.head }

// Tenant returns whose chain it is.
func (c *Chain) Tenant() string { return c.tenant }

// SealGenesis seals record 0, system.genesis. It fails when the chain has records.
func (c *Chain) SealGenesis(dst []byte, ingestedAt int64) ([]byte, Record, error) {
	if c.head != NoHead {
		return dst, Record{}, fmt.Errorf("audit: genesis of %q: the chain is at %d", c.tenant, c.head.Sequence)
	}
	return c.seal(dst, &View{
		Type: Genesis, Timestamp: ingestedAt, category: CategorySystem, actor: ActorSystem,
		actorID: "audit-service", service: "audit-service",
		context: Fragment{`{"hash":"sha-256","tree":"rfc6962","types":"` + Version + `"}`},
	}, ingestedAt)
}

// Seal appends the record of v to dst and moves the head to it. Record.Bytes is a part of the
// returned slice. ingestedAt is the time of acceptance in microseconds UTC. It fails with
// ErrFull, or when the chain has no genesis yet.
func (c *Chain) Seal(dst []byte, v *View, ingestedAt int64) ([]byte, Record, error) {
	if c.head.Sequence < 0 {
		return dst, Record{}, fmt.Errorf("audit: chain of %q has no genesis", c.tenant)
	}
	return c.seal(dst, v, ingestedAt)
}

func (c *Chain) seal(dst []byte, v *View, ingestedAt int64) ([]byte, Record, error) {
	next := c.head.Sequence + 1
	if next > MaxSequence {
		return dst, Record{}, fmt.Errorf("%w: %q at %d", ErrFull, c.tenant, c.head.Sequence)
	}
	if ingestedAt < 0 || ingestedAt > MaxInt {
		return dst, Record{}, fmt.Errorf("%w: time of ingestion %d", ErrRange, ingestedAt)
	}
	begin := len(dst)
	dst = c.appendRecord(dst, v, next, ingestedAt)
	rec := Record{Sequence: next, Bytes: dst[begin:len(dst):len(dst)]}
	rec.Hash = sha256.Sum256(rec.Bytes)
	c.head = Head{Sequence: next, Hash: rec.Hash}
	return dst, rec, nil
}

// appendRecord writes the members in the order of their keys; that the order is right is what
// makes the bytes canonical.
func (c *Chain) appendRecord(dst []byte, v *View, sequence, ingestedAt int64) []byte {
	dst = append(dst, `{"actor_id":`...)
	dst, _ = appendQuoted(dst, v.actorID)
	dst = append(dst, `,"actor_permissions":`...)
	dst = v.permissions.appendJSON(dst)
	dst = append(dst, `,"actor_type":"`...)
	dst = append(dst, v.actor.String()...)
	dst = append(dst, `","alert_id":`...)
	dst, _ = appendQuoted(dst, v.AlertID)
	dst = append(dst, `,"audit_id":"`...)
	dst = c.appendAuditID(dst, sequence, ingestedAt)
	dst = append(dst, `","context":`...)
	dst = append(dst, v.context.String()...)
	dst = append(dst, `,"decision":`...)
	dst = append(dst, v.decision.String()...)
	dst = append(dst, `,"entity_ids":`...)
	dst = v.entities.appendJSON(dst)
	dst = append(dst, `,"event_category":"`...)
	dst = append(dst, v.category.String()...)
	dst = append(dst, `","event_type":"`...)
	dst = append(dst, v.Type...)
	dst = append(dst, `","ingested_at":`...)
	dst = strconv.AppendInt(dst, ingestedAt, 10)
	dst = append(dst, `,"investigation_id":`...)
	dst, _ = appendQuoted(dst, v.InvestigationID)
	dst = append(dst, `,"outcome":`...)
	dst = append(dst, v.outcome.String()...)
	dst = append(dst, `,"previous_hash":"`...)
	dst = hex.AppendEncode(dst, c.head.Hash[:])
	dst = append(dst, `","record_version":"`+Version+`","sequence_number":`...)
	dst = strconv.AppendInt(dst, sequence, 10)
	dst = append(dst, `,"severity":"`...)
	dst = append(dst, v.severity.String()...)
	dst = append(dst, `","source_service":`...)
	dst, _ = appendQuoted(dst, v.service)
	dst = append(dst, `,"tenant_id":`...)
	dst = append(dst, c.quoted...)
	dst = append(dst, `,"timestamp":`...)
	dst = strconv.AppendInt(dst, v.Timestamp, 10)
	return append(dst, '}')
}

// appendAuditID writes the UUIDv7 of a record (RFC 9562, section 5.7). Its 74 free bits are the
// sequence number (40 bits, so that ids of one tenant and millisecond sort as they were chained
// and a record is found by its id without an index) and 34 bits of the previous hash, which tell
// tenants apart; for genesis, which has none, of the hash of the tenant's name.
func (c *Chain) appendAuditID(dst []byte, sequence, ingestedAt int64) []byte {
	salt := c.head.Hash
	if sequence == 0 {
		salt = sha256.Sum256([]byte(c.tenant))
	}
	ms, seq := uint64(ingestedAt/1000), uint64(sequence)
	hi := ms<<16 | 7<<12 | seq>>28&0xfff
	lo := uint64(2)<<62 | seq&(1<<28-1)<<34 | uint64(salt[0])<<26 | uint64(salt[1])<<18 | uint64(salt[2])<<10 | uint64(salt[3])<<2 | uint64(salt[4])>>6
	var raw [16]byte
	for i := range 8 {
		raw[i] = byte(hi >> (56 - 8*i))
		raw[8+i] = byte(lo >> (56 - 8*i))
	}
	var text [32]byte
	hex.Encode(text[:], raw[:])
	for i, part := range [...][]byte{text[:8], text[8:12], text[12:16], text[16:20], text[20:]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = append(dst, part...)
	}
	return dst
}

// SequenceOf returns the sequence number inside an audit id, and false when id is not one.
func SequenceOf(id string) (int64, bool) {
	if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[14] != '7' || id[18] != '-' || id[23] != '-' {
		return 0, false
	}
	a, errA := strconv.ParseUint(id[15:18], 16, 16)
	b, errB := strconv.ParseUint(id[19:23], 16, 16)
	d, errD := strconv.ParseUint(id[24:36], 16, 64)
	if errA != nil || errB != nil || errD != nil || b>>14 != 2 {
		return 0, false
	}
	low := (b&(1<<14-1))<<14 | d>>34
	return int64(a<<28 | low), true
}
