package vector

// Filter chooses points by their payload: all of Must hold, none of MustNot does and, when Should
// is not empty, at least one of Should. The empty filter fits every point.
type Filter struct {
	Must    []Condition
	Should  []Condition
	MustNot []Condition
}

// Condition is one test of one declared field; exactly one of Match, Any and Range is set. A
// point without the field fails it. A list passes when one of its values does.
type Condition struct {
	Key string
	// Match is a string, int64 or bool that the value equals.
	Match any
	// Any is a []string or []int64 of which the value is one.
	Any any
	// Range bounds an Integer or Float.
	Range *Range
}

// Range bounds a number; nil bounds nothing.
type Range struct{ GT, GTE, LT, LTE *float64 }

// Match is the condition that the field equals a string, int64 or bool.
func Match(key string, value any) Condition { return Condition{Key: key, Match: value} }

// AnyOf is the condition that the field is one of a []string or []int64.
func AnyOf(key string, values any) Condition { return Condition{Key: key, Any: values} }

// AtLeast is the condition that the field is not below x.
func AtLeast(key string, x float64) Condition { return Condition{Key: key, Range: &Range{GTE: &x}} }

// Below is the condition that the field is below x.
func Below(key string, x float64) Condition { return Condition{Key: key, Range: &Range{LT: &x}} }

// Contains reports whether x is within the bounds.
func (r *Range) Contains(x float64) bool {
	return (r.GT == nil || x > *r.GT) && (r.GTE == nil || x >= *r.GTE) &&
		(r.LT == nil || x < *r.LT) && (r.LTE == nil || x <= *r.LTE)
}

// Conditions counts the conditions of the filter.
func (f *Filter) Conditions() int { return len(f.Must) + len(f.Should) + len(f.MustNot) }
