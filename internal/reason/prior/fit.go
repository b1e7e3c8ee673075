// Package prior learns how often the alerts of an analytic are malicious from what people
// concluded about them. The result is a snapshot with a version; it replaces the prior of the
// severity, moves by bounded steps and decides nothing alone.
//
// The package is pure. Snapshots are kept by package orchestrate/priorstore.
package prior

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/reason"
)

// The bounds of learning (DESIGN section 6).
const (
	// Strength is how many judgements the prior of the severity weighs.
	Strength = 4
	// HalfLife is the age in days at which a judgement counts half.
	HalfLife = 90
	// Step is the most, in bits, by which one account moves one analytic with the judgements of
	// one day (UTC).
	Step = 1
	// Cap is the most, in bits, by which a learned prior differs from that of the severity.
	Cap = 2
	// Horizon is the age beyond which a judgement weighs less than a thousandth and may be left out.
	Horizon = 10 * HalfLife * 24 * time.Hour
)

// ErrInvalid says that a judgement lacks something.
var ErrInvalid = errors.New("prior: invalid judgement")

// Judgement is what a person concluded about one investigation.
type Judgement struct {
	Tenant, Source string
	// Analytic is the innermost detection. Nothing is learned about an alert without one.
	Analytic string
	// Severity is the source's. The judgements of an analytic are pooled over its severities,
	// since they are about the same detection.
	Severity alert.Severity
	// Actor is the account of the person.
	Actor     string
	Malicious bool
	At        time.Time
}

// Check returns an error that wraps ErrInvalid and names what is missing.
func (j *Judgement) Check() error {
	for _, f := range []struct{ name, value string }{{"tenant", j.Tenant}, {"source", j.Source}, {"analytic", j.Analytic}, {"actor", j.Actor}} {
		if strings.TrimSpace(f.value) == "" {
			return fmt.Errorf("%w: it has no %s", ErrInvalid, f.name)
		}
	}
	if j.At.IsZero() {
		return fmt.Errorf("%w: it has no time", ErrInvalid)
	}
	return nil
}

type key struct{ tenant, source, analytic string }

func compareKeys(a, b key) int {
	return cmp.Or(cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.source, b.source), cmp.Compare(a.analytic, b.analytic))
}

// voice is one account on one day.
type voice struct {
	actor string
	day   int64
}

// said is how often a voice said either.
type said struct{ malicious, benign int }

// Fit learns from judgements as of now. Their order does not matter; those that Check refuses
// are left out, and those of the future count as of today. Days are counted in UTC, so that a
// fit gives the same snapshot all day.
func Fit(judgements []Judgement, now time.Time) *Snapshot {
	voices := map[key]map[voice]said{}
	for i := range judgements {
		j := &judgements[i]
		if j.Check() != nil {
			continue
		}
		k := key{j.Tenant, j.Source, j.Analytic}
		if voices[k] == nil {
			voices[k] = map[voice]said{}
		}
		v := voice{strings.ToLower(strings.TrimSpace(j.Actor)), day(j.At)}
		s := voices[k][v]
		if j.Malicious {
			s.malicious++
		} else {
			s.benign++
		}
		voices[k][v] = s
	}
	entries := make([]entry, 0, len(voices))
	for k, v := range voices {
		entries = append(entries, learn(k, v, day(now)))
	}
	slices.SortFunc(entries, func(a, b entry) int { return compareKeys(a.key(), b.key()) })
	return newSnapshot(entries, now)
}

func day(t time.Time) int64 {
	const length = 24 * 60 * 60
	s := t.Unix()
	d := s / length
	if s%length < 0 {
		d--
	}
	return d
}

// learn makes the entry of one analytic. What a voice says is bounded before it is added: as
// many malicious verdicts as the severity's prior holds double the odds, as many benign ones
// halve them, when nobody else has spoken; when others have, they move less. So no voice moves
// an analytic by more than Step, whatever the others said and in whatever order.
func learn(k key, voices map[voice]said, today int64) entry {
	e := entry{Tenant: k.tenant, Source: k.source, Analytic: k.analytic}
	order := make([]voice, 0, len(voices))
	for v, s := range voices {
		order = append(order, v)
		e.Malicious += s.malicious
		e.Benign += s.benign
	}
	slices.SortFunc(order, func(a, b voice) int { return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.actor, b.actor)) })
	for _, severity := range alert.Severities() {
		base := reason.SeverityPrior(severity).Bits
		p := reason.Probability(base)
		malicious, benign := Strength*p, Strength*(1-p)
		most := (math.Exp2(Step) - 1)
		mostMalicious, mostBenign := most*malicious, most*benign
		for _, v := range order {
			weight := math.Exp2(-float64(max(0, today-v.day)) / HalfLife)
			s := voices[v]
			malicious += weight * min(float64(s.malicious), mostMalicious)
			benign += weight * min(float64(s.benign), mostBenign)
		}
		moved := math.Log2(malicious/benign) - base
		e.Bits[severity] = round(base + min(max(moved, -Cap), Cap))
	}
	return e
}

// round keeps weights at a millionth of a bit, the resolution in which they are recorded.
func round(w float64) float64 { return math.Round(w*1e6) / 1e6 }
