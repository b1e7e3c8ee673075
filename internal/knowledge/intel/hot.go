package intel

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/aluskort/aluskort/internal/engine/cache"
)

// Hot is what Remote needs of a cache.
type Hot interface {
	GetMany(ctx context.Context, s cache.Space, names []string) ([][]byte, error)
	Set(ctx context.Context, s cache.Space, entries ...cache.Entry) error
}

// How long an answer is kept. The lifetimes of REFERENCE 6.6 are those of the indicators, which
// the database keeps as their expiry; an answer never outlives it. Beyond that the surest are
// looked up least often, and that there is no indicator is believed for the shortest time.
const (
	keepHigh   = 24 * time.Hour // confidence above 80
	keepMedium = 6 * time.Hour  // from 50
	keepLow    = time.Hour
	keepNone   = 5 * time.Minute
)

func keepFor(confidence int) time.Duration {
	switch {
	case confidence > 80:
		return keepHigh
	case confidence >= 50:
		return keepMedium
	default:
		return keepLow
	}
}

// answer is what the cache holds about one row: the indicator, or that there is none.
type answer struct {
	Indicator *Indicator `json:"i,omitempty"`
}

// noIndicator is the answer that there is none.
const noIndicator = "{}"

// hot is the cache as Remote sees it. An answer belongs to a generation, the number of imports
// that there were: what was read before an import is not found after it. It is sealed with a secret
// of the database, so that who can write to the cache cannot hide an indicator: that none is known
// may let a pattern close an alert.
type hot struct {
	cache  Hot
	secret []byte
}

const sealSize = 16

func iocSpace(owner string) cache.Space { return cache.Space{Tenant: owner, Name: "ioc"} }

func iocName(generation int64, r ref) string {
	return strconv.FormatInt(generation, 10) + ":" + string(r.kind) + ":" + r.value
}

// sealer seals the answers of one owner. It is not safe for concurrent use.
type sealer struct {
	mac   hash.Hash
	owner string
	buf   []byte
}

func (h *hot) sealer(owner string) *sealer {
	return &sealer{mac: hmac.New(sha256.New, h.secret), owner: owner}
}

// seal returns the seal of an answer, which is good until the next call.
func (s *sealer) seal(name string, body []byte) []byte {
	s.buf = s.buf[:0]
	for _, part := range [...]string{s.owner, name} {
		s.buf = binary.BigEndian.AppendUint32(s.buf, uint32(len(part)))
		s.buf = append(s.buf, part...)
	}
	s.mac.Reset()
	s.mac.Write(s.buf)
	s.mac.Write(body)
	s.buf = s.mac.Sum(s.buf[:0])
	return s.buf[:sealSize]
}

// open returns the answer in a value of the cache, nil for one that is none of ours.
func (s *sealer) open(name string, value []byte) *answer {
	if len(value) <= sealSize || !hmac.Equal(value[:sealSize], s.seal(name, value[sealSize:])) {
		return nil
	}
	var a answer
	if string(value[sealSize:]) == noIndicator {
		return &a // most are
	}
	if json.Unmarshal(value[sealSize:], &a) != nil {
		return nil
	}
	if a.Indicator != nil {
		a.Indicator.bound() // an empty list is none, as in the table
	}
	return &a
}

// get looks for rows of an owner and returns those that must be asked of the database: all of
// them when the cache does not answer.
func (h *hot) get(ctx context.Context, owner string, generation int64, refs []ref, found func(*Indicator)) (missing []ref) {
	names := make([]string, 0, len(refs))
	asked := make([]ref, 0, len(refs))
	for _, r := range refs {
		if name := iocName(generation, r); len(name) <= cache.MaxName {
			names, asked = append(names, name), append(asked, r)
		} else {
			missing = append(missing, r)
		}
	}
	if len(names) == 0 {
		return missing
	}
	values, err := h.cache.GetMany(ctx, iocSpace(owner), names)
	if err != nil || len(values) != len(names) {
		return refs
	}
	s := h.sealer(owner)
	for i, r := range asked {
		switch a := s.open(names[i], values[i]); {
		case a == nil:
			missing = append(missing, r)
		case a.Indicator != nil:
			found(a.Indicator)
		}
	}
	return missing
}

// keep stores what the database said about refs. That it fails costs a query, no more.
func (h *hot) keep(ctx context.Context, owner string, generation int64, refs []ref, rows map[ref]*Indicator, now time.Time) {
	entries, s := make([]cache.Entry, 0, len(refs)), h.sealer(owner)
	for _, r := range refs {
		name, life, i := iocName(generation, r), keepNone, rows[r]
		if i != nil {
			life = min(keepFor(i.Confidence), i.Expiry.Sub(now))
			short := *i
			short.Context, short.Tags = "", nil // evidence has no use for them
			i = &short
		}
		body, err := json.Marshal(&answer{i})
		if err != nil || len(name) > cache.MaxName || cache.CheckLife(life) != nil {
			continue
		}
		entries = append(entries, cache.Entry{Name: name, Value: slices.Concat(s.seal(name, body), body), Life: life})
	}
	if len(entries) > 0 {
		_ = h.cache.Set(ctx, iocSpace(owner), entries...)
	}
}
