package anthropic

import (
	"context"
	"encoding/json"
	"errors"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/packages/param"

	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/wire"
)

// batches begins a call about batches.
func (p *Provider) batches(ctx context.Context, form wire.Form, key string) (*wire.Call, *sdk.MessageBatchService, *llm.Error) {
	call := p.link.Start(ctx, "", form)
	opts, fail := p.options(call, key)
	if fail != nil {
		call.Close()
		return nil, nil, fail
	}
	s := sdk.NewMessageBatchService(opts...)
	return call, &s, nil
}

// SubmitBatch implements llm.Batcher.
func (p *Provider) SubmitBatch(ctx context.Context, key string, requests []*llm.Request) (*llm.Batch, error) {
	var body sdk.MessageBatchNewParams
	for _, r := range requests {
		if r.Key == "" {
			return nil, p.refuse(r.Model, errors.New("a request of a batch needs a key"))
		}
		params, err := p.params(r)
		if err != nil {
			return nil, p.refuse(r.Model, err)
		}
		raw, err := json.Marshal(params)
		if err != nil {
			return nil, p.refuse(r.Model, err)
		}
		body.Requests = append(body.Requests, sdk.MessageBatchNewParamsRequest{
			CustomID: r.Key,
			Params:   param.Override[sdk.MessageBatchNewParamsRequestParams](json.RawMessage(raw)),
		})
	}
	call, s, fail := p.batches(ctx, wire.JSON, key)
	if fail != nil {
		return nil, fail
	}
	defer call.Close()
	b, err := s.New(call.Context(), body)
	return state(call, b, err)
}

// state puts a batch into neutral form.
func state(call *wire.Call, b *sdk.MessageBatch, err error) (*llm.Batch, error) {
	if err != nil {
		return nil, call.Fail(err, llm.Usage{})
	}
	if b.ID == "" {
		return nil, call.Unreadable("the batch has no id", llm.Usage{})
	}
	return neutral(b), nil
}

var states = map[sdk.MessageBatchProcessingStatus]llm.BatchState{
	sdk.MessageBatchProcessingStatusInProgress: llm.BatchRunning,
	sdk.MessageBatchProcessingStatusCanceling:  llm.BatchCanceling,
	sdk.MessageBatchProcessingStatusEnded:      llm.BatchEnded,
}

func neutral(b *sdk.MessageBatch) *llm.Batch {
	c := b.RequestCounts
	out := &llm.Batch{
		ID: b.ID, State: llm.BatchUnknown,
		Pending: c.Processing, Succeeded: c.Succeeded, Failed: c.Errored, Canceled: c.Canceled, Expired: c.Expired,
	}
	if s, ok := states[b.ProcessingStatus]; ok {
		out.State = s
	}
	return out
}

// FindBatches implements llm.Batcher. The vendor keeps no keys, so batches of as many requests are
// candidates; the keys in their results tell them apart.
func (p *Provider) FindBatches(ctx context.Context, _ string, requests int) ([]*llm.Batch, error) {
	call, s, fail := p.batches(ctx, wire.JSON, "")
	if fail != nil {
		return nil, fail
	}
	defer call.Close()
	page, err := s.List(call.Context(), sdk.MessageBatchListParams{Limit: sdk.Int(100)})
	if err != nil {
		return nil, call.Fail(err, llm.Usage{})
	}
	var out []*llm.Batch
	for i := range page.Data {
		b := neutral(&page.Data[i])
		if b.Pending+b.Succeeded+b.Failed+b.Canceled+b.Expired == int64(requests) {
			out = append(out, b)
		}
	}
	return out, nil
}

// PollBatch implements llm.Batcher.
func (p *Provider) PollBatch(ctx context.Context, id string) (*llm.Batch, error) {
	call, s, fail := p.batches(ctx, wire.JSON, "")
	if fail != nil {
		return nil, fail
	}
	defer call.Close()
	b, err := s.Get(call.Context(), id, sdk.MessageBatchGetParams{})
	return state(call, b, err)
}

// CancelBatch implements llm.Batcher.
func (p *Provider) CancelBatch(ctx context.Context, id string) (*llm.Batch, error) {
	call, s, fail := p.batches(ctx, wire.JSON, "")
	if fail != nil {
		return nil, fail
	}
	defer call.Close()
	b, err := s.Cancel(call.Context(), id, sdk.MessageBatchCancelParams{})
	return state(call, b, err)
}

// BatchResults implements llm.Batcher.
func (p *Provider) BatchResults(ctx context.Context, id string, yield func(llm.BatchResult) error) error {
	call, s, fail := p.batches(ctx, wire.Lines, "")
	if fail != nil {
		return fail
	}
	defer call.Close()
	lines := s.ResultsStreaming(call.Context(), id, sdk.MessageBatchResultsParams{})
	defer func() { _ = lines.Close() }() // what was read is what counts
	for lines.Next() {
		item := lines.Current()
		if item.CustomID == "" {
			return call.Unreadable("a result has no key", llm.Usage{})
		}
		if err := yield(p.result(call, item)); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return call.Fail(err, llm.Usage{})
	}
	return nil
}

func (p *Provider) result(call *wire.Call, item sdk.MessageBatchIndividualResponse) llm.BatchResult {
	out := llm.BatchResult{Key: item.CustomID}
	failed := func(k llm.Kind, why string) {
		out.Err = &llm.Error{Kind: k, Provider: p.cfg.Name, Err: errors.New(why)}
	}
	switch item.Result.Type {
	case "succeeded":
		r, err := read(call, &item.Result.Message)
		if err != nil {
			out.Err = call.Fail(err, usage(&item.Result.Message))
			return out
		}
		out.Response = r
	case "errored":
		out.Err = call.Told([]byte(item.Result.Error.RawJSON()), llm.Usage{})
	case "canceled":
		failed(llm.KindCanceled, "the batch was canceled before this request")
	case "expired":
		failed(llm.KindTimeout, "the batch expired before this request")
	default:
		failed(llm.KindUnreadable, "the result is of an unknown type")
	}
	return out
}
