package simulated

import (
	"bytes"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/aluskort/aluskort/internal/llm"
)

// object is what matters of an object of JSON in a message. Everything else is read over, since
// prompts are long and answered by the thousand.
type object struct {
	id     string
	weight float64 // bits, above zero for malicious
	idBy   int8    // 1 + the place of its name in idNames; 0 for none
	bitsBy int8    // 1 + the place of its name in weightNames; 0 for none
	benign bool    // stated to be for harmlessness by a name and not by a sign
	above  bool    // a weight is above zero
}

// Names of members, the better ones first.
var (
	idNames     = []string{`"id"`, `"evidence_id"`, `"ref"`, `"cite"`}
	weightNames = []string{`"weight"`, `"bits"`, `"score"`}
	stanceNames = []string{`"stance"`, `"kind"`, `"direction"`, `"for"`, `"supports"`}
)

// bits are above zero for malicious; false when there are none.
func (o *object) bits() (w float64, ok bool) {
	if o.benign && o.above {
		return -o.weight, o.bitsBy > 0
	}
	return o.weight, o.bitsBy > 0
}

// maxBroken is how many beginnings of JSON that does not end are tried: each may cost the whole
// length of the text.
const maxBroken = 500

// objects returns every object of JSON in the messages, nested ones behind those that hold them.
func objects(r *llm.Request) []object {
	var w walk
	for _, t := range texts(r) {
		b := []byte(t)
		failures := 0
		for at := bytes.IndexByte(b, '{'); at >= 0 && failures < maxBroken; {
			w.d = jsontext.NewDecoder(bytes.NewBuffer(b[at:]), lenient)
			before, step := len(w.out), 1
			if err := w.value(); err == nil {
				step = int(w.d.InputOffset())
			} else {
				w.out = w.out[:before]
				failures++
			}
			next := bytes.IndexByte(b[at+step:], '{')
			if next < 0 {
				break
			}
			at += step + next
		}
	}
	return w.out
}

// walk collects objects.
type walk struct {
	d   *jsontext.Decoder
	out []object
}

// member is where the objects under a name are.
type member struct {
	name       string
	begin, end int
}

func (w *walk) value() error {
	switch w.d.PeekKind() {
	case '{':
		return w.object()
	case '[':
		return w.array()
	}
	return w.d.SkipValue()
}

func (w *walk) array() error {
	if _, err := w.d.ReadToken(); err != nil {
		return err
	}
	for w.d.PeekKind() != ']' {
		if err := w.value(); err != nil {
			return err
		}
	}
	_, err := w.d.ReadToken()
	return err
}

func (w *walk) object() error {
	if _, err := w.d.ReadToken(); err != nil {
		return err
	}
	var o object
	at := len(w.out)
	w.out = append(w.out, o)
	var members []member
	for w.d.PeekKind() != '}' {
		raw, err := w.d.ReadValue()
		if err != nil {
			return err
		}
		if k := w.d.PeekKind(); k == '{' || k == '[' {
			m := member{name: string(raw), begin: len(w.out)}
			err = w.value()
			m.end = len(w.out)
			members = append(members, m)
		} else {
			err = o.read(w.d, string(raw))
		}
		if err != nil {
			return err
		}
	}
	w.out[at] = o
	w.sort(at+1, members)
	_, err := w.d.ReadToken()
	return err
}

// sort puts members in the order of their names, so that the order in which a prompt is written
// does not change an answer.
func (w *walk) sort(from int, members []member) {
	byName := func(a, b member) int { return strings.Compare(a.name, b.name) }
	if len(w.out) == from || slices.IsSortedFunc(members, byName) {
		return
	}
	found := slices.Clone(w.out[from:])
	slices.SortStableFunc(members, byName)
	w.out = w.out[:from]
	for _, m := range members {
		w.out = append(w.out, found[m.begin-from:m.end-from]...)
	}
}

// read takes the text, number or other value of a member; name is as it is written.
func (o *object) read(d *jsontext.Decoder, name string) error {
	id, weight := int8(slices.Index(idNames, name)+1), int8(slices.Index(weightNames, name)+1)
	stance := slices.Contains(stanceNames, name)
	if id == 0 && weight == 0 && !stance {
		return d.SkipValue()
	}
	token, err := d.ReadToken()
	if err != nil {
		return err
	}
	switch token.Kind() {
	case '"':
		s := token.String()
		switch {
		case stance:
			o.benign = o.benign || strings.Contains(strings.ToLower(s), "benign")
		case id > 0 && s != "" && len(s) <= maxID && (o.idBy == 0 || id <= o.idBy):
			o.id, o.idBy = s, id
		}
	case '0':
		f, err := token.Float()
		if err != nil {
			return err
		}
		if weight > 0 {
			o.above = o.above || f > 0
			if o.bitsBy == 0 || weight <= o.bitsBy {
				o.weight, o.bitsBy = f, weight
			}
		}
	}
	return nil
}

// maxID bounds what counts as an id, in bytes.
const maxID = 200
