package vector

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// Check reports what of the collection no engine takes.
func (c *Collection) Check() error {
	if err := CheckName(c.Name); err != nil {
		return err
	}
	if c.Size < 1 || c.Size > MaxSize {
		return fmt.Errorf("%w: collection %s has %d dimensions, 1 to %d are allowed", ErrMisuse, c.Name, c.Size, MaxSize)
	}
	switch c.Distance {
	case Cosine, Dot, Euclid:
	default:
		return fmt.Errorf("%w: collection %s has the distance %q", ErrMisuse, c.Name, c.Distance)
	}
	if len(c.Fields) > MaxFields {
		return fmt.Errorf("%w: collection %s has %d fields, %d are allowed", ErrMisuse, c.Name, len(c.Fields), MaxFields)
	}
	for key, t := range c.Fields {
		if err := checkKey(key); err != nil {
			return err
		}
		switch t {
		case Keyword, Integer, Float, Bool:
		default:
			return fmt.Errorf("%w: field %s has the type %q", ErrMisuse, key, t)
		}
	}
	return nil
}

// CheckName reports whether a collection may have this name.
func CheckName(name string) error {
	ok := name != "" && len(name) <= MaxName && name[0] >= 'a' && name[0] <= 'z'
	for i := 0; ok && i < len(name); i++ {
		b := name[i]
		ok = b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '_' || b == '-'
	}
	if !ok {
		return fmt.Errorf("%w: %q is no name of a collection", ErrMisuse, name)
	}
	return nil
}

// CheckTenant reports whether a tenant was named.
func CheckTenant(tenant string) error {
	if tenant == "" || len(tenant) > MaxTenant || !utf8.ValidString(tenant) {
		return fmt.Errorf("%w: %q is no tenant", ErrMisuse, tenant)
	}
	return nil
}

func checkKey(key string) error {
	if key == "" || len(key) > MaxName || key == KeyTenant || key == KeyID {
		return fmt.Errorf("%w: %q is no key of a payload", ErrMisuse, key)
	}
	for i := range len(key) {
		if b := key[i]; (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '_' {
			return fmt.Errorf("%w: %q is no key of a payload", ErrMisuse, key)
		}
	}
	return nil
}

// Merge returns the collection with the fields of d added to those of c, as EnsureCollection
// does when c exists and d is asked for.
func (c *Collection) Merge(d *Collection) (Collection, error) {
	if c.Size != d.Size {
		return *c, fmt.Errorf("%w: collection %s has %d, %d are asked for", ErrDimension, c.Name, c.Size, d.Size)
	}
	if c.Distance != d.Distance {
		return *c, fmt.Errorf("%w: collection %s compares by %s, %s is asked for", ErrMisuse, c.Name, c.Distance, d.Distance)
	}
	out := *c
	out.Fields = map[string]FieldType{}
	for key, t := range c.Fields {
		out.Fields[key] = t
	}
	for key, t := range d.Fields {
		if had, ok := out.Fields[key]; ok && had != t {
			return *c, fmt.Errorf("%w: field %s of collection %s is %s, %s is asked for", ErrMisuse, key, c.Name, had, t)
		}
		out.Fields[key] = t
	}
	return out, out.Check()
}

// CheckVector reports whether the collection can hold or compare v.
func (c *Collection) CheckVector(v []float32) error {
	if len(v) != c.Size {
		return fmt.Errorf("%w: a vector has %d, collection %s has %d", ErrDimension, len(v), c.Name, c.Size)
	}
	// Not a number and infinity spread into the length.
	if l := Length(v); !(l >= minLength && l <= maxLength) {
		return fmt.Errorf("%w: the length of a vector is %g: zero, not finite or out of bounds", ErrMisuse, l)
	}
	return nil
}

// CheckPoints reports what of a batch the collection does not take.
func (c *Collection) CheckPoints(points []Point) error {
	if len(points) > MaxBatch {
		return fmt.Errorf("%w: %d points at once, %d are allowed", ErrMisuse, len(points), MaxBatch)
	}
	total := 0
	for i := range points {
		p := &points[i]
		if p.ID.IsZero() {
			return fmt.Errorf("%w: a point has no id", ErrMisuse)
		}
		if err := c.CheckVector(p.Vector); err != nil {
			return fmt.Errorf("point %s: %w", p.ID, err)
		}
		n, err := c.checkPayload(p.Payload)
		if err != nil {
			return fmt.Errorf("point %s: %w", p.ID, err)
		}
		if total += n + 4*len(p.Vector); total > MaxBatchBytes {
			return fmt.Errorf("%w: more than %d bytes at once", ErrMisuse, MaxBatchBytes)
		}
	}
	return nil
}

func (c *Collection) checkPayload(p Payload) (size int, err error) {
	for key, v := range p {
		if err := checkKey(key); err != nil {
			return 0, err
		}
		t, n, err := typeOf(v)
		if err != nil {
			return 0, fmt.Errorf("payload %s: %w", key, err)
		}
		if want, ok := c.Fields[key]; ok && want != t {
			return 0, fmt.Errorf("%w: payload %s is %s, the collection wants %s", ErrMisuse, key, t, want)
		}
		if size += len(key) + n; size > MaxPayloadBytes {
			return 0, fmt.Errorf("%w: a payload is longer than %d bytes", ErrMisuse, MaxPayloadBytes)
		}
	}
	return size, nil
}

func typeOf(v any) (t FieldType, size int, err error) {
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) {
			return "", 0, fmt.Errorf("%w: text that is not UTF-8", ErrMisuse)
		}
		return Keyword, len(v), nil
	case []string:
		for _, s := range v {
			if !utf8.ValidString(s) {
				return "", 0, fmt.Errorf("%w: text that is not UTF-8", ErrMisuse)
			}
			size += len(s) + 4
		}
		return Keyword, size, nil
	case int64:
		return Integer, 8, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "", 0, fmt.Errorf("%w: a number that is not finite", ErrMisuse)
		}
		return Float, 8, nil
	case bool:
		return Bool, 1, nil
	}
	return "", 0, fmt.Errorf("%w: values of type %T cannot be stored", ErrMisuse, v)
}

// CheckQuery reports what of a query the collection cannot answer.
func (c *Collection) CheckQuery(q *Query) error {
	if err := c.CheckVector(q.Vector); err != nil {
		return err
	}
	if q.Threshold != nil && math.IsNaN(*q.Threshold) {
		return fmt.Errorf("%w: a threshold that is no number", ErrMisuse)
	}
	if err := CheckLimit(q.Limit); err != nil {
		return err
	}
	return c.CheckFilter(&q.Filter)
}

// CheckLimit reports whether so many points may be asked for.
func CheckLimit(n int) error {
	if n < 1 || n > MaxLimit {
		return fmt.Errorf("%w: a limit of %d, 1 to %d are allowed", ErrMisuse, n, MaxLimit)
	}
	return nil
}

// CheckIDs reports whether so many ids may be named, and whether each is one.
func CheckIDs(ids []ID) error {
	if len(ids) > MaxBatch {
		return fmt.Errorf("%w: %d ids at once, %d are allowed", ErrMisuse, len(ids), MaxBatch)
	}
	for _, i := range ids {
		if i.IsZero() {
			return fmt.Errorf("%w: an id is empty", ErrMisuse)
		}
	}
	return nil
}

// CheckFilter reports what of a filter does not fit the fields of the collection.
func (c *Collection) CheckFilter(f *Filter) error {
	if f.Conditions() > MaxConditions {
		return fmt.Errorf("%w: %d conditions, %d are allowed", ErrMisuse, f.Conditions(), MaxConditions)
	}
	for _, list := range [][]Condition{f.Must, f.Should, f.MustNot} {
		for i := range list {
			if err := c.checkCondition(&list[i]); err != nil {
				return fmt.Errorf("condition on %s: %w", list[i].Key, err)
			}
		}
	}
	return nil
}

func (c *Collection) checkCondition(k *Condition) error {
	t, ok := c.Fields[k.Key]
	if !ok {
		return fmt.Errorf("%w: collection %s has no such field", ErrMisuse, c.Name)
	}
	set := 0
	fits := false
	if k.Match != nil {
		set++
		switch k.Match.(type) {
		case string:
			fits = t == Keyword
		case int64:
			fits = t == Integer
		case bool:
			fits = t == Bool
		}
	}
	if k.Any != nil {
		set++
		switch v := k.Any.(type) {
		case []string:
			fits = t == Keyword && len(v) > 0 && len(v) <= MaxAny
		case []int64:
			fits = t == Integer && len(v) > 0 && len(v) <= MaxAny
		}
	}
	if k.Range != nil {
		set++
		fits = (t == Integer || t == Float) && k.Range.check()
	}
	if set != 1 || !fits {
		return fmt.Errorf("%w: a field of type %s cannot be tested so", ErrMisuse, t)
	}
	return nil
}

func (r *Range) check() bool {
	for _, b := range []*float64{r.GT, r.GTE, r.LT, r.LTE} {
		if b != nil && math.IsNaN(*b) {
			return false
		}
	}
	return true
}
