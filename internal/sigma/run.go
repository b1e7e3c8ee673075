package sigma

import (
	"github.com/aluskort/aluskort/internal/alert"
)

// run is the work space of matching one event. Runs are pooled; the stamps (epochs) save
// clearing what is sized by the set.
type run struct {
	set    *Set
	event  *Event
	table  *sourceTable
	origin origin
	epoch  uint32

	values   []value // as event.Fields, then decoded commands
	slots    []slot
	links    []link
	variants []variant
	arena    []byte

	answers    []uint32 // per test: epoch<<1 and the answer
	marked     []uint32 // per rule
	posted     []uint32 // per posting
	logs       []uint32 // per log source: epoch<<1 and the answer
	candidates []int32
	hits       Hits
}

// value is one value of the event.
type value struct {
	binds    []binding
	from, to int32 // variants
	ready    bool
	// decoded is the text of a decoded command, carried by the value at index carrier.
	decoded string
	carrier int32
}

// variant is one form of a value's text.
type variant struct {
	text, lower span
	decoded     bool
}

type span struct{ lo, hi int32 }

// Pooled buffers above these sizes are given back.
const (
	maxPooledArena  = 1 << 20
	maxPooledValues = 4096
)

func (s *Set) begin(ev *Event) *run {
	m, _ := s.runs.Get().(*run)
	if m == nil {
		m = &run{
			set: s, slots: make([]slot, len(s.fields)), answers: make([]uint32, len(s.tests)),
			marked: make([]uint32, len(s.rules)), posted: make([]uint32, len(s.posts)), logs: make([]uint32, len(s.logsources)),
		}
	}
	m.event, m.table = ev, s.table(ev.Source)
	m.tick()
	m.arena, m.variants, m.links, m.candidates, m.hits = m.arena[:0], m.variants[:0], m.links[:0], m.candidates[:0], m.hits[:0]
	m.values = m.values[:0]
	if cap(m.values) < len(ev.Fields) {
		m.values = make([]value, 0, len(ev.Fields)+8)
	}
	m.values = m.values[:len(ev.Fields)]
	clear(m.values)
	m.bind()
	m.origin = derive(ev.Logsource, m.firstText)
	return m
}

// tick starts a new epoch; 31 bits, since two of the stamps carry an answer beside it.
func (m *run) tick() {
	m.epoch++
	if m.epoch < 1<<31 {
		return
	}
	m.epoch = 1
	clear(m.slots)
	for _, stamps := range [][]uint32{m.answers, m.marked, m.posted, m.logs} {
		clear(stamps)
	}
}

// end gives the work space back, without what it refers to in the event.
func (m *run) end() {
	if cap(m.arena) > maxPooledArena || cap(m.values) > maxPooledValues {
		m.arena, m.values, m.links, m.variants = nil, nil, nil, nil
	}
	clear(m.values)
	clear(m.hits[:cap(m.hits)])
	m.event, m.table, m.origin = nil, nil, origin{}
	m.set.runs.Put(m)
}

func (m *run) firstText(field int32) string {
	if i := m.first(field); i >= 0 {
		return m.event.Fields[m.links[i].value].Value
	}
	return ""
}

// text is a value as the record has it.
func (m *run) text(i int32) string {
	if m.isDecoded(i) {
		return m.values[i].decoded
	}
	return m.event.Fields[i].Value
}

func (m *run) kind(i int32) alert.Kind {
	if m.isDecoded(i) {
		return alert.KindString
	}
	return m.event.Fields[i].Kind
}
