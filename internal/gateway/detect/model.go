package detect

import (
	_ "embed" // the trained weights
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

//go:embed weights.bin
var shippedWeights []byte

// Model is what training finds: a weight for every hashed n-gram and every rule, and the two
// thresholds.
type Model struct {
	grams []int8
	// scale and offset turn sums of grams into a logit.
	scale, offset float32
	// up and down weigh a logit of the n-grams above and below zero.
	up, down, bias float32
	features       []float32
	// summarise and quarantine are logits.
	summarise, quarantine float32
	digest                uint64
}

const magic = "ALUSINJ1"

// ErrWeights means that weights are damaged, or were trained for other rules.
var ErrWeights = errors.New("injection weights do not fit this program")

// Encode writes the model; the same model gives the same bytes.
func (m *Model) Encode() []byte {
	out := []byte(magic)
	out = binary.LittleEndian.AppendUint64(out, m.digest)
	for _, f := range []float32{m.scale, m.offset, m.up, m.down, m.bias, m.summarise, m.quarantine} {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(f))
	}
	out = binary.LittleEndian.AppendUint32(out, uint32(len(m.features)))
	for _, f := range m.features {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(f))
	}
	for _, g := range m.grams {
		out = append(out, byte(g))
	}
	return out
}

// decodeModel reads what Encode wrote.
func decodeModel(b []byte, lex *lexicon) (*Model, error) {
	const head = len(magic) + 8 + 7*4 + 4
	if len(b) < head || string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: not a file of weights", ErrWeights)
	}
	m := &Model{digest: binary.LittleEndian.Uint64(b[len(magic):])}
	if m.digest != lex.digest {
		return nil, fmt.Errorf("%w: the rules changed since the training; run the training command of internal/gateway/detect/train", ErrWeights)
	}
	at := len(magic) + 8
	next := func() float32 {
		f := math.Float32frombits(binary.LittleEndian.Uint32(b[at:]))
		at += 4
		return f
	}
	for _, p := range []*float32{&m.scale, &m.offset, &m.up, &m.down, &m.bias, &m.summarise, &m.quarantine} {
		*p = next()
	}
	n := int(binary.LittleEndian.Uint32(b[at:]))
	at += 4
	if n != lex.features() || len(b) != head+4*n+1<<gramBits {
		return nil, fmt.Errorf("%w: %d bytes and %d features", ErrWeights, len(b), n)
	}
	for range n {
		m.features = append(m.features, next())
	}
	m.grams = make([]int8, 1<<gramBits)
	for i := range m.grams {
		m.grams[i] = int8(b[at+i])
	}
	return m, nil
}

// features is how many there are.
func (l *lexicon) features() int { return len(l.rules) + len(structures) }

// logit is the score of a chunk with what holds for the whole field.
func (m *Model) logit(c *chunk, field bitset) float32 {
	sum := m.bias
	if c.gram > 0 {
		sum += m.up * c.gram
	} else {
		sum += m.down * c.gram
	}
	for k := range c.features {
		for w := c.features[k] | field[k]; w != 0; w &= w - 1 {
			sum += m.features[k<<6+trailing(w)]
		}
	}
	return sum
}

func sigmoid(x float32) float64 { return 1 / (1 + math.Exp(-float64(x))) }
