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
	ids      [4]string  // by idNames
	weights  [3]float64 // by weightNames
	weighted [3]bool
	benign   bool // stated to be for harmlessness by a name and not by a sign
}

var (
	idNames     = []string{"id", "evidence_id", "ref", "cite"}
	weightNames = []string{"weight", "bits", "score"}
	stanceNames = []string{"stance", "kind", "direction", "for", "supports"}
)

func (o *object) id() string {
	for _, s := range o.ids {
		if s != "" && len(s) <= 200 {
			return s
		}
	}
	return ""
}

// bits are above zero for malicious; false when there are none.
func (o *object) bits() (w float64, ok bool) {
	direction := 1.0
	if o.benign && slices.ContainsFunc(o.weights[:], func(w float64) bool { return w > 0 }) {
		direction = -1
	}
	for i, has := range o.weighted {
		if has {
			return o.weights[i] * direction, true
		}
	}
	return 0, false
}

// maxBroken is how many beginnings of JSON that does not end are tried: each may cost the whole
// length of the text.
const maxBroken = 500

// objects returns every object of JSON in the messages, nested ones behind those that hold them.
func objects(r *llm.Request) []object {
	var out []object
	for _, t := range texts(r) {
		b := []byte(t)
		failures := 0
		for at := bytes.IndexByte(b, '{'); at >= 0 && failures < maxBroken; {
			d := jsontext.NewDecoder(bytes.NewBuffer(b[at:]), lenient)
			step := 1
			if found, err := readObjects(d); err == nil {
				out = append(out, found...)
				step = int(d.InputOffset())
			} else {
				failures++
			}
			next := bytes.IndexByte(b[at+step:], '{')
			if next < 0 {
				break
			}
			at += step + next
		}
	}
	return out
}

// member is what an object holds under a name.
type member struct {
	name  string
	found []object
}

// readObjects reads one value. Members are visited by name, so that the order in which a prompt
// is written does not change an answer.
func readObjects(d *jsontext.Decoder) ([]object, error) {
	switch d.PeekKind() {
	case '{':
		return readMembers(d)
	case '[':
		return readItems(d)
	}
	return nil, d.SkipValue()
}

func readItems(d *jsontext.Decoder) (out []object, err error) {
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	for d.PeekKind() != ']' {
		found, err := readObjects(d)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	_, err = d.ReadToken()
	return out, err
}

func readMembers(d *jsontext.Decoder) ([]object, error) {
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	out := make([]object, 1, 4)
	var members []member
	for d.PeekKind() != '}' {
		token, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		switch d.PeekKind() {
		case '"', '0':
			err = out[0].read(d, name)
		default:
			var found []object
			if found, err = readObjects(d); len(found) > 0 {
				members = append(members, member{name, found})
			}
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	for _, m := range members {
		out = append(out, m.found...)
	}
	_, err := d.ReadToken()
	return out, err
}

// read takes a text or a number.
func (o *object) read(d *jsontext.Decoder, name string) error {
	text, number := slices.Index(idNames, name), slices.Index(weightNames, name)
	stance := slices.Contains(stanceNames, name)
	if text < 0 && number < 0 && !stance {
		return d.SkipValue()
	}
	token, err := d.ReadToken()
	if err != nil {
		return err
	}
	switch isText := token.Kind() == '"'; {
	case isText && text >= 0:
		o.ids[text] = token.String()
	case isText && stance:
		o.benign = o.benign || strings.Contains(strings.ToLower(token.String()), "benign")
	case !isText && number >= 0:
		o.weights[number], err = token.Float()
		o.weighted[number] = true
	}
	return err
}
