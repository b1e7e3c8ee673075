package embedded

import (
	"math"

	"github.com/aluskort/aluskort/internal/engine/vector"
)

// lane is the number of dimensions that the scan takes at once; codes are padded to it with zeros.
const lane = 64

func padded(size int) int { return (size + lane - 1) / lane * lane }

// frontOf is how many of the dimensions are held against a query first. What the others can add is
// bounded by their lengths, so that most of what is far away is never looked at in full. Short
// vectors are not worth it.
func frontOf(stride int) int {
	if stride < 8*lane {
		return stride
	}
	return padded(stride / 2)
}

// maxCode is the largest magnitude of a code.
const maxCode = 127

// quantise writes v as codes·scale and returns the scale and an upper bound of the length of
// what is lost. codes is at least as long as v; the rest stays as it is.
func quantise(v []float32, codes []int8) (scale, lost float32) {
	var most float32
	for _, x := range v {
		most = max(most, x, -x)
	}
	scale = most / maxCode
	if scale == 0 {
		return 0, up(vector.Length(v))
	}
	by := 1 / float64(scale)
	var sum float64
	for i, x := range v {
		c := max(-maxCode, min(maxCode, math.RoundToEven(float64(x)*by)))
		codes[i] = int8(c)
		e := float64(x) - c*float64(scale)
		sum += e * e
	}
	return scale, up(math.Sqrt(sum))
}

// up rounds to the single-precision number that is surely not smaller.
func up(x float64) float32 {
	return math.Nextafter32(float32(x*(1+1e-6)), math.MaxFloat32)
}

// question is a query in the form in which it is held against codes.
type question struct {
	exact []float32
	codes []int16
	scale float64
	// lost bounds the length of what the codes lack; length is that of exact.
	lost, length float64
	// front is how many dimensions are looked at first, rear the length of the codes of the rest.
	front    int
	rear     float64
	distance vector.Distance
}

func newQuestion(c *vector.Collection, v []float32) *question {
	q := &question{exact: c.Prepared(v), distance: c.Distance, codes: make([]int16, padded(len(v)))}
	q.length = vector.Length(q.exact)
	// The largest magnitude with which no sum of products leaves 32 bits.
	limit := float64(min(math.MaxInt16, math.MaxInt32/(maxCode*len(q.codes))))
	var most float64
	for _, x := range q.exact {
		most = max(most, math.Abs(float64(x)))
	}
	q.scale = most / limit
	var sum float64
	for i, x := range q.exact {
		k := max(-limit, min(limit, math.RoundToEven(float64(x)/q.scale)))
		q.codes[i] = int16(k)
		e := float64(x) - k*q.scale
		sum += e * e
	}
	q.lost = math.Sqrt(sum)
	q.front = frontOf(len(q.codes))
	q.rear = lengthOf(q.codes[q.front:], q.scale)
	return q
}

// lengthOf is the length of codes·scale.
func lengthOf[T int8 | int16](codes []T, scale float64) float64 {
	var sum float64
	for _, c := range codes {
		sum += float64(c) * float64(c)
	}
	return math.Sqrt(sum) * scale
}

// rounding bounds the relative error of sums in double precision over MaxSize terms.
const rounding = 1e-11

// off bounds how far the product of the quantised parts is from that of x and q. With x = c + e and
// q = k + f, where c and k are the quantised parts, x·q = c·k + c·f + e·q, and by Cauchy and
// Schwarz |x·q - c·k| <= (|x|+|e|)·|f| + |e|·|q|.
func (q *question) off(lost float32, length float64) float64 {
	e := float64(lost)
	return (length+e)*q.lost + e*q.length + rounding*length*q.length
}

// bounds returns the interval that surely holds the rank of a stored vector, given the product of
// its codes with those of the query, their scale, the bound of what they lost, and its length.
func (q *question) bounds(codes int32, scale, lost float32, length float64) (low, high float64) {
	product, off := float64(codes)*float64(scale)*q.scale, q.off(lost, length)
	if q.distance != vector.Euclid {
		return product - off, product + off
	}
	squares := length*length + q.length*q.length
	rank := 2*product - squares
	off = 2*off + rounding*squares
	return rank - off, rank + off
}

// ceiling is an upper bound of the rank that rests on the product of the front alone; rear is the
// length of the quantised rest.
func (q *question) ceiling(front int32, scale, lost, rear float32, length float64) float64 {
	product := float64(front)*float64(scale)*q.scale + float64(rear)*q.rear*(1+rounding)
	product += q.off(lost, length)
	if q.distance != vector.Euclid {
		return product
	}
	squares := length*length + q.length*q.length
	return 2*product - squares + rounding*squares
}

// rank is what bounds bounds: higher is nearer.
func (q *question) rank(x []float32) float64 {
	if q.distance == vector.Euclid {
		return -squaredDistance(x, q.exact)
	}
	return product(x, q.exact)
}

// score turns a rank into the score that callers see.
func (q *question) score(rank float64) float64 {
	switch q.distance {
	case vector.Euclid:
		return math.Sqrt(-rank)
	case vector.Cosine:
		return max(-1, min(1, rank))
	}
	return rank
}

// least is the rank of a threshold.
func (q *question) least(threshold *float64) float64 {
	switch {
	case threshold == nil:
		return math.Inf(-1)
	case q.distance != vector.Euclid:
		return *threshold
	case *threshold < 0:
		return math.Inf(1)
	}
	return -*threshold * *threshold
}

// product is the scalar product in double precision, always summed in the same order.
func product(x, y []float32) float64 {
	y = y[:len(x)]
	var a, b, c, d float64
	for len(x) >= 4 && len(y) >= 4 {
		a += float64(x[0]) * float64(y[0])
		b += float64(x[1]) * float64(y[1])
		c += float64(x[2]) * float64(y[2])
		d += float64(x[3]) * float64(y[3])
		x, y = x[4:], y[4:]
	}
	for i := range x {
		a += float64(x[i]) * float64(y[i])
	}
	return a + b + c + d
}

func squaredDistance(x, y []float32) float64 {
	var sum float64
	for i := range x {
		d := float64(x[i]) - float64(y[i])
		sum += d * d
	}
	return sum
}

func dotPlain(codes []int8, query []int16) int32 {
	query = query[:len(codes)]
	var a, b, c, d int32
	for len(codes) >= 4 && len(query) >= 4 {
		a += int32(codes[0]) * int32(query[0])
		b += int32(codes[1]) * int32(query[1])
		c += int32(codes[2]) * int32(query[2])
		d += int32(codes[3]) * int32(query[3])
		codes, query = codes[4:], query[4:]
	}
	return a + b + c + d
}
