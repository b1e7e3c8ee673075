// Package embed turns short texts into vectors whose cosine says how alike the texts are.
//
// A vector means something only beside vectors of the same model. Whoever stores vectors stores
// Model.String with each, and compares within it alone.
package embed

import (
	"context"
	"errors"
)

var (
	// ErrUnavailable wraps what passes: the model cannot be asked now.
	ErrUnavailable = errors.New("embed: the model is not available")
	// ErrText wraps what does not: a text that has nothing in it to embed, or too many texts.
	ErrText = errors.New("embed: text")
)

// Bounds of one call.
const (
	MaxTexts = 128
	// MaxText is how many bytes of a text are looked at; the rest is left out.
	MaxText = 16 << 10
)

// Model names what made a vector.
type Model struct {
	// Name and Version change whenever the same text would get another vector.
	Name, Version string
	// Size is the number of dimensions.
	Size int
}

// String is the form in which a model is stored beside its vectors.
func (m Model) String() string { return m.Name + "/" + m.Version }

// Embedder makes vectors. It is safe for concurrent use.
type Embedder interface {
	// Model is what Embed uses; it does not change while the process runs.
	Model() Model
	// Embed returns one vector of Model().Size for each text of a tenant, in order, of length 1. It
	// fails with ErrText or ErrUnavailable, or with the error of ctx. The tenant is whose texts they
	// are, and who pays; the vector of a text does not depend on it.
	Embed(ctx context.Context, tenant string, texts []string) ([][]float32, error)
}
