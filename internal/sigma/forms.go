package sigma

// prepare makes the forms of a value's text.
func (m *run) prepare(i int32) {
	v := &m.values[i]
	if v.ready {
		return
	}
	v.ready = true
	v.from = int32(len(m.variants))
	lo := len(m.arena)
	m.arena = append(m.arena, m.text(i)...)
	class := m.addForm(lo, false)
	at := v.from
	if class&(classAmpersand|classBackslash) != 0 {
		at, class = m.addPlain(at, class)
	}
	if class&(classNoise|classPercent|classDollar) != 0 {
		at = m.addBare(at)
	}
	if class&(classFlag|classHigh) != 0 && len(m.text(i)) >= minEncodedValue && !m.isDecoded(i) {
		m.addDecoded(i, at)
	}
	m.values[i].to = int32(len(m.variants))
}

// addForm completes the form whose text was appended to the arena at lo, and returns the
// classes of its bytes.
func (m *run) addForm(lo int, decoded bool) uint8 {
	hi := len(m.arena)
	var class uint8
	m.arena = append(m.arena, m.arena[lo:hi]...)
	lower := m.arena[hi:]
	for i, c := range lower {
		class |= classes[c]
		lower[i] = foldTable[c]
	}
	if class&classHigh != 0 {
		m.arena = appendFold(m.arena[:hi], m.arena[lo:hi])
	}
	m.variants = append(m.variants, variant{
		text: span{int32(lo), int32(hi)}, lower: span{int32(hi), int32(len(m.arena))}, decoded: decoded,
	})
	return class
}

func (m *run) bytes(s span) []byte { return m.arena[s.lo:s.hi] }

func (m *run) addPlain(at int32, class uint8) (int32, uint8) {
	lo := len(m.arena)
	out, changed := appendPlain(m.arena, m.bytes(m.variants[at].text), class)
	if !changed {
		m.arena = out[:lo]
		return at, class
	}
	m.arena = out
	class = m.addForm(lo, m.variants[at].decoded)
	return int32(len(m.variants) - 1), class
}

func (m *run) addBare(at int32) int32 {
	lo := len(m.arena)
	out, changed := appendBare(m.arena, m.bytes(m.variants[at].text))
	if !changed {
		m.arena = out[:lo]
		return at
	}
	m.arena = out
	m.addForm(lo, m.variants[at].decoded)
	return int32(len(m.variants) - 1)
}

// addDecoded decodes commands out of a form.
func (m *run) addDecoded(i, at int32) {
	var blob []byte
	var call bool
	src := m.variants[at]
	from := 0
	for range maxBlobs {
		blob, call, from = nextBlob(m.bytes(src.text), m.bytes(src.lower), from)
		if blob == nil {
			return
		}
		lo := len(m.arena)
		out, ok := appendDecoded(m.arena, blob, call)
		if !ok {
			continue
		}
		m.arena = out
		text := string(m.arena[lo:])
		first := int32(len(m.variants))
		if m.addForm(lo, true)&(classNoise|classPercent|classDollar) != 0 {
			m.addBare(first)
		}
		m.addDecodedValue(i, text)
	}
}

// isDecoded reports whether the value is a decoded command and not one of the record.
func (m *run) isDecoded(i int32) bool { return int(i) >= len(m.event.Fields) }

// addDecodedValue makes a decoded text a value of DecodedCommand, if a field that holds
// commands carried it.
func (m *run) addDecodedValue(carrier int32, text string) {
	if !m.holdsCommand(carrier) {
		return
	}
	b := binding{field: m.set.ids[DecodedCommand]}
	n := int32(len(m.values))
	m.values = append(m.values, value{decoded: text, carrier: carrier, binds: []binding{b}})
	m.put(b, n, true)
}

func (m *run) holdsCommand(i int32) bool {
	for _, b := range m.values[i].binds {
		if m.set.fields[b.field].command && m.active(b) {
			return true
		}
	}
	return false
}

// prepareCommands prepares the values that DecodedCommand may come from.
func (m *run) prepareCommands() {
	for i := range m.event.Fields {
		if m.holdsCommand(int32(i)) {
			m.prepare(int32(i))
		}
	}
}
