package sigma

// DecodedCommand is the virtual field that holds decoded PowerShell commands.
const DecodedCommand = "DecodedCommand"

// commandFields hold commands: what is decoded out of them becomes DecodedCommand. The parent's
// command line is not among them: what the parent decoded is evidence about the parent.
var commandFields = []string{
	"CommandLine", "ProcessCommandLine", "ScriptBlockText", "Payload",
	"HostApplication", "ContextInfo", "ImagePath", "ServiceFileName", "Details", "TaskContent",
	"Command", "Data",
}

// sourceTable binds the native paths of one source to the fields that rules name.
type sourceTable struct {
	names map[string][]string // the adapter's map
	paths map[string][]binding
	// native lists per field the paths it may have, best first.
	native [][]string
}

// binding says that a native path is the rank-th choice for a field.
type binding struct{ field, rank int32 }

func (s *Set) newTable(names map[string][]string) *sourceTable {
	t := &sourceTable{names: names, paths: make(map[string][]binding), native: make([][]string, len(s.fields))}
	for id := range s.fields {
		name := s.fields[id].name
		if name == DecodedCommand {
			continue
		}
		t.add(int32(id), names[name])
		t.add(int32(id), []string{name})
	}
	return t
}

func (t *sourceTable) add(id int32, paths []string) {
next:
	for _, p := range paths {
		for _, b := range t.paths[p] {
			if b.field == id {
				continue next
			}
		}
		t.paths[p] = append(t.paths[p], binding{id, int32(len(t.native[id]))})
		t.native[id] = append(t.native[id], p)
	}
}

// maxTables bounds the tables kept; sources are few, unless someone invents names.
const maxTables = 256

func (s *Set) table(source string) *sourceTable {
	if t, ok := s.tables.Load(source); ok {
		return t.(*sourceTable)
	}
	var names map[string][]string
	if s.fieldMap != nil {
		names = s.fieldMap(source)
	}
	t := s.newTable(names)
	if s.tableCount.Add(1) <= maxTables {
		s.tables.Store(source, t)
	}
	return t
}

// slot is the list of values a field has in the event at hand.
type slot struct {
	epoch      uint32
	rank       int32
	head, tail int32 // into run.links, -1 when empty
	filled     bool  // one of them is not empty
}

type link struct{ value, next int32 }

// bind sorts the values of the event by field. Of the paths of a field the first one counts
// that holds a value which is not empty, else the first that is there.
func (m *run) bind() {
	for i := range m.event.Fields {
		f := &m.event.Fields[i]
		binds := m.table.paths[f.Path]
		m.values[i].binds = binds
		for _, b := range binds {
			m.put(b, int32(i), f.Value != "")
		}
	}
}

func (m *run) put(b binding, value int32, filled bool) {
	s := &m.slots[b.field]
	switch {
	case s.epoch != m.epoch:
		*s = slot{epoch: m.epoch, rank: b.rank, head: -1, tail: -1}
	case b.rank == s.rank:
	case b.rank < s.rank && (filled || !s.filled), b.rank > s.rank && filled && !s.filled:
		*s = slot{epoch: m.epoch, rank: b.rank, head: -1, tail: -1}
	default:
		return
	}
	s.filled = s.filled || filled
	n := int32(len(m.links))
	m.links = append(m.links, link{value, -1})
	if s.tail >= 0 {
		m.links[s.tail].next = n
	} else {
		s.head = n
	}
	s.tail = n
}

// first is the list of values of a field, -1 when the event does not have it.
func (m *run) first(field int32) int32 {
	if s := &m.slots[field]; s.epoch == m.epoch {
		return s.head
	}
	return -1
}

// active reports whether the value of that path is one the field has.
func (m *run) active(b binding) bool {
	s := &m.slots[b.field]
	return s.epoch == m.epoch && s.rank == b.rank
}

// inside reports whether the field is an object in the event, with values below it.
func (m *run) inside(field int32) bool {
	for _, p := range m.table.native[field] {
		if m.event.Fields.Has(p) {
			return true
		}
	}
	return false
}
