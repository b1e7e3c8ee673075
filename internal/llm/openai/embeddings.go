package openai

import (
	"context"
	"errors"
	"math"

	sdk "github.com/openai/openai-go/v3"

	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/wire"
)

// EmbeddingRequest asks for the vectors of texts. The texts leave the house as they are: only the
// gateway, which cleans and redacts them, may make one.
type EmbeddingRequest struct {
	Model string
	Texts []string
	// Size is the number of dimensions that the model has, or is asked to shorten its vectors to.
	Size int
	// Shorten sends Size to the server; for models that have just one size it must not be sent.
	Shorten bool
	// Key makes a repeated request recognisable.
	Key string
}

// Embeddings are the vectors of a request, in its order, each of length 1.
type Embeddings struct {
	Vectors [][]float32
	// Model is the one that answered.
	Model string
	Usage llm.Usage
}

// Embed asks the embeddings endpoint. It fails with *llm.Error; an answer that lacks a vector, or
// has one of another size or that is not finite, is unreadable.
func (p *Provider) Embed(ctx context.Context, r *EmbeddingRequest) (*Embeddings, error) {
	if r.Model == "" || len(r.Texts) == 0 || r.Size < 1 {
		return nil, p.refuse(r.Model, errors.New("an embedding needs a model, a text and a size"))
	}
	call := p.link.Start(ctx, r.Model, wire.JSON)
	defer call.Close()
	opts, fail := p.options(call, r.Key)
	if fail != nil {
		return nil, fail
	}
	body := sdk.EmbeddingNewParams{
		Model: r.Model, Input: sdk.EmbeddingNewParamsInputUnion{OfArrayOfStrings: r.Texts}, EncodingFormat: sdk.EmbeddingNewParamsEncodingFormatFloat,
	}
	if r.Shorten {
		body.Dimensions = sdk.Int(int64(r.Size))
	}
	service := sdk.NewEmbeddingService(opts...)
	answer, err := service.New(call.Context(), body)
	if err != nil {
		return nil, call.Fail(err, llm.Usage{})
	}
	out := &Embeddings{Model: answer.Model, Vectors: make([][]float32, len(r.Texts))}
	if n := answer.Usage.PromptTokens; n > 0 {
		out.Usage = llm.Usage{Input: n, Known: true}
	}
	for i := range answer.Data {
		d := &answer.Data[i]
		v := unit(d.Embedding, r.Size)
		if d.Index < 0 || d.Index >= int64(len(out.Vectors)) || out.Vectors[d.Index] != nil || v == nil {
			return nil, call.Unreadable("a vector is not one that was asked for", out.Usage)
		}
		out.Vectors[d.Index] = v
	}
	for _, v := range out.Vectors {
		if v == nil {
			return nil, call.Unreadable("a text has no vector", out.Usage)
		}
	}
	return out, nil
}

// unit is nil for a vector of another size, or of no length.
func unit(v []float64, size int) []float32 {
	if len(v) != size {
		return nil
	}
	var squares float64
	for _, x := range v {
		squares += x * x
	}
	if length := math.Sqrt(squares); length > 0 && !math.IsInf(length, 0) && !math.IsNaN(length) {
		out := make([]float32, size)
		for i, x := range v {
			out[i] = float32(x / length)
		}
		return out
	}
	return nil
}
