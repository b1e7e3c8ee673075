package graph

// Class is the worst that can happen in a zone (REFERENCE, consequence classes).
type Class string

// The classes, worst first. Unknown is a state of its own: it is no class and ranks last.
const (
	SafetyLife Class = "safety_life"
	Equipment  Class = "equipment"
	Downtime   Class = "downtime"
	DataLoss   Class = "data_loss"
	Unknown    Class = ""
)

// ranked are the classes by rank.
var ranked = [...]Class{Unknown, DataLoss, Downtime, Equipment, SafetyLife}

// Rank orders classes: 4 for SafetyLife down to 0 for Unknown, -1 for what is no class.
func (c Class) Rank() int {
	for i, r := range ranked {
		if c == r {
			return i
		}
	}
	return -1
}

// ClassOf is the class of a rank; Unknown for what is none.
func ClassOf(rank int) Class {
	if rank < 0 || rank >= len(ranked) {
		return Unknown
	}
	return ranked[rank]
}

// Worse returns the worse of two classes.
func (c Class) Worse(d Class) Class { return ClassOf(max(c.Rank(), d.Rank())) }

// Valid reports whether c is one of the four classes or Unknown.
func (c Class) Valid() bool { return c.Rank() >= 0 }

// Physical reports whether lives or equipment are at stake: no connector may act there.
func (c Class) Physical() bool { return c == SafetyLife || c == Equipment }
