// Package demo tells the story that `aluskort demo` runs: two hours of alerts of a company at a
// shift change, in the native forms of Microsoft Sentinel, Elastic Security, Splunk Enterprise
// Security and Wazuh. One intrusion runs through them; the rest is the noise of a working day,
// explained by who and what the company has. Everything is generated and invented: addresses
// are those of RFC 5737 and RFC 1918, names end in .example.
//
// The same seed always gives the same bytes. Another seed renames people, hosts and addresses
// and moves the story in time; what happens stays.
package demo

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

//go:generate go run ../../cmd/aluskort demo --write ../../demo

// Published is the seed of the story whose files are in the folder demo; 0 means the same.
const Published = 1

// Event is one alert as a product would send it.
type Event struct {
	// Source is the adapter that reads Raw: sentinel, elastic, splunk or wazuh.
	Source string
	// ID is the id that the source gives the alert.
	ID string
	// At is when the activity happened, Arrives when the alert reaches the SIEM's output.
	At, Arrives time.Time
	// Raw is the native record, one line of JSON.
	Raw []byte
	Truth
}

// Truth is what really happened. It never reaches the product.
type Truth struct {
	// Attack says that the alert belongs to the intrusion.
	Attack bool
	// Step is the step of the intrusion, or the kind of noise.
	Step string
	// Why explains the label in a sentence.
	Why string
	// Host and User are the host and account that the alert is about, where it has them.
	Host, User string
	// Alone says that an attack alert looks harmless by itself.
	Alone bool
	// Late says that the alert arrives twenty minutes after its like; Repeat that the record is
	// the second delivery of an alert; Injected that an attacker wrote instructions into it.
	Late, Repeat, Injected bool
}

// Length is how long the story is, from its first to its last activity.
const Length = 2 * time.Hour

// Story returns the alerts in order of arrival.
func Story(seed uint64) []Event {
	s := newStory(seed)
	s.intrusion()
	s.noise()
	slices.SortStableFunc(s.events, func(a, b Event) int {
		return cmp.Or(a.Arrives.Compare(b.Arrives), cmp.Compare(a.ID, b.ID))
	})
	return s.events
}

// story is a world and what was told about it so far.
type story struct {
	*world
	events []Event
	// fired counts how often each rule of Wazuh fired, records the events of each host.
	fired, records map[string]int
}

func newStory(seed uint64) *story {
	return &story{world: newWorld(seed), fired: map[string]int{}, records: map[string]int{}}
}

// tell adds an alert that arrives delay after its activity.
func (s *story) tell(source, id string, at time.Time, delay time.Duration, raw []byte, t Truth) {
	if t.Late {
		delay = 20 * time.Minute
	}
	s.events = append(s.events, Event{Source: source, ID: id, At: at, Arrives: at.Add(delay), Raw: raw, Truth: t})
}

// again delivers the last alert told a second time.
func (s *story) again(after time.Duration) {
	e := s.events[len(s.events)-1]
	e.Arrives = e.Arrives.Add(after)
	e.Repeat = true
	s.events = append(s.events, e)
}

// attack labels an alert of the intrusion, noise one that is not part of it.
func attack(step, why string) Truth { return Truth{Attack: true, Step: step, Why: why} }

func noise(kind, why string) Truth { return Truth{Step: kind, Why: why} }

// alone marks an alert of the intrusion that looks harmless by itself.
func (t Truth) alone() Truth {
	t.Alone = true
	return t
}

func (t Truth) late() Truth {
	t.Late = true
	return t
}

func (t Truth) injected() Truth {
	t.Injected = true
	return t
}

// on says what the alert is about.
func (t Truth) on(h *host, user string) Truth {
	if h != nil {
		t.Host = h.name
	}
	t.User = user
	return t
}

// seedOf makes 0 the published story.
func seedOf(seed uint64) uint64 {
	if seed == 0 {
		return Published
	}
	return seed
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0xa1a5c0de)) }
