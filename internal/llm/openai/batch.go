package openai

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/wire"
)

// endpoint is what the requests of a batch are for.
const endpoint = "/v1/chat/completions"

// batchRequest is a line of the file that a batch is made of.
type batchRequest struct {
	CustomID string                      `json:"custom_id"`
	Method   string                      `json:"method"`
	URL      string                      `json:"url"`
	Body     sdk.ChatCompletionNewParams `json:"body"`
}

// with runs one call and closes it.
func with[T any](ctx context.Context, p *Provider, key string, do func(*wire.Call, []option.RequestOption) (T, error)) (T, error) {
	var none T
	call := p.link.Start(ctx, "", wire.JSON)
	defer call.Close()
	opts, fail := p.options(call, key)
	if fail != nil {
		return none, fail
	}
	v, err := do(call, opts)
	if err != nil {
		return none, call.Fail(err, llm.Usage{})
	}
	return v, nil
}

// SubmitBatch implements llm.Batcher: the requests go up as a file, which the batch then names.
func (p *Provider) SubmitBatch(ctx context.Context, key string, requests []*llm.Request) (*llm.Batch, error) {
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	for _, r := range requests {
		if r.Key == "" {
			return nil, p.refuse(r.Model, errors.New("a request of a batch needs a key"))
		}
		body, err := p.params(r)
		if err != nil {
			return nil, p.refuse(r.Model, err)
		}
		if err := enc.Encode(batchRequest{r.Key, "POST", endpoint, body}); err != nil {
			return nil, p.refuse(r.Model, err)
		}
	}
	f, err := with(ctx, p, "", func(c *wire.Call, opts []option.RequestOption) (*sdk.FileObject, error) {
		files := sdk.NewFileService(opts...)
		return files.New(c.Context(), sdk.FileNewParams{File: sdk.File(&lines, "batch.jsonl", "application/jsonl"), Purpose: sdk.FilePurposeBatch})
	})
	if err != nil {
		return nil, err
	}
	return p.batch(ctx, key, func(c *wire.Call, s *sdk.BatchService) (*sdk.Batch, error) {
		return s.New(c.Context(), sdk.BatchNewParams{
			CompletionWindow: sdk.BatchNewParamsCompletionWindow24h, Endpoint: endpoint, InputFileID: f.ID,
			Metadata: map[string]string{"key": key},
		})
	})
}

// batch runs one call that returns a batch.
func (p *Provider) batch(ctx context.Context, key string, do func(*wire.Call, *sdk.BatchService) (*sdk.Batch, error)) (*llm.Batch, error) {
	b, err := p.raw(ctx, key, do)
	if err != nil {
		return nil, err
	}
	return neutral(b), nil
}

func (p *Provider) raw(ctx context.Context, key string, do func(*wire.Call, *sdk.BatchService) (*sdk.Batch, error)) (*sdk.Batch, error) {
	return with(ctx, p, key, func(c *wire.Call, opts []option.RequestOption) (*sdk.Batch, error) {
		s := sdk.NewBatchService(opts...)
		b, err := do(c, &s)
		if err == nil && b.ID == "" {
			return nil, c.Unreadable("the batch has no id", llm.Usage{})
		}
		return b, err
	})
}

var states = map[sdk.BatchStatus]llm.BatchState{
	sdk.BatchStatusValidating: llm.BatchRunning,
	sdk.BatchStatusInProgress: llm.BatchRunning,
	sdk.BatchStatusFinalizing: llm.BatchRunning,
	sdk.BatchStatusCancelling: llm.BatchCanceling,
	sdk.BatchStatusCompleted:  llm.BatchEnded,
	sdk.BatchStatusExpired:    llm.BatchEnded,
	sdk.BatchStatusCancelled:  llm.BatchEnded,
	sdk.BatchStatusFailed:     llm.BatchFailed,
}

func neutral(b *sdk.Batch) *llm.Batch {
	c := b.RequestCounts
	out := &llm.Batch{ID: b.ID, State: llm.BatchUnknown, Succeeded: c.Completed, Failed: c.Failed}
	if s, ok := states[b.Status]; ok {
		out.State = s
	}
	rest := max(0, c.Total-c.Completed-c.Failed)
	switch b.Status {
	case sdk.BatchStatusExpired:
		out.Expired = rest
	case sdk.BatchStatusCancelled:
		out.Canceled = rest
	default:
		out.Pending = rest
	}
	if len(b.Errors.Data) > 0 {
		out.Reason = b.Errors.Data[0].Code
	}
	return out
}

// FindBatches implements llm.Batcher by the key in the metadata.
func (p *Provider) FindBatches(ctx context.Context, key string, _ int) ([]*llm.Batch, error) {
	return with(ctx, p, "", func(c *wire.Call, opts []option.RequestOption) ([]*llm.Batch, error) {
		s := sdk.NewBatchService(opts...)
		page, err := s.List(c.Context(), sdk.BatchListParams{Limit: sdk.Int(100)})
		if err != nil {
			return nil, err
		}
		var out []*llm.Batch
		for i := range page.Data {
			if page.Data[i].Metadata["key"] == key {
				out = append(out, neutral(&page.Data[i]))
			}
		}
		return out, nil
	})
}

// PollBatch implements llm.Batcher.
func (p *Provider) PollBatch(ctx context.Context, id string) (*llm.Batch, error) {
	return p.batch(ctx, "", func(c *wire.Call, s *sdk.BatchService) (*sdk.Batch, error) { return s.Get(c.Context(), id) })
}

// CancelBatch implements llm.Batcher.
func (p *Provider) CancelBatch(ctx context.Context, id string) (*llm.Batch, error) {
	return p.batch(ctx, "", func(c *wire.Call, s *sdk.BatchService) (*sdk.Batch, error) { return s.Cancel(c.Context(), id) })
}

// BatchResults implements llm.Batcher. The vendor has one file for what succeeded and one for
// what did not.
func (p *Provider) BatchResults(ctx context.Context, id string, yield func(llm.BatchResult) error) error {
	b, err := p.raw(ctx, "", func(c *wire.Call, s *sdk.BatchService) (*sdk.Batch, error) { return s.Get(c.Context(), id) })
	if err != nil {
		return err
	}
	for _, file := range []string{b.OutputFileID, b.ErrorFileID} {
		if file == "" {
			continue
		}
		if err := p.results(ctx, file, yield); err != nil {
			return err
		}
	}
	return nil
}

func (p *Provider) results(ctx context.Context, file string, yield func(llm.BatchResult) error) error {
	call := p.link.Start(ctx, "", wire.Lines)
	defer call.Close()
	opts, fail := p.options(call, "")
	if fail != nil {
		return fail
	}
	files := sdk.NewFileService(opts...)
	res, err := files.Content(call.Context(), file)
	if err != nil {
		return call.Fail(err, llm.Usage{})
	}
	defer func() { _ = res.Body.Close() }() // what was read is what counts
	return lines(call, res.Body, func(line []byte) error {
		r, err := result(call, line)
		if err != nil {
			return err
		}
		return yield(r)
	})
}

// maxLine is the longest result, that of a single answer.
const maxLine = 16 << 20

func lines(call *wire.Call, in io.Reader, do func([]byte) error) error {
	s := bufio.NewScanner(in)
	s.Buffer(nil, maxLine)
	for s.Scan() {
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		if err := do(s.Bytes()); err != nil {
			return err
		}
	}
	if err := s.Err(); err != nil {
		return call.Fail(err, llm.Usage{})
	}
	return nil
}

// result reads one line of results.
func result(call *wire.Call, line []byte) (llm.BatchResult, error) {
	var in struct {
		CustomID string `json:"custom_id"`
		Response *struct {
			Status int             `json:"status_code"`
			Body   json.RawMessage `json:"body"`
		} `json:"response"`
		Error *struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	if !wire.Object(line) || json.Unmarshal(line, &in) != nil || in.CustomID == "" {
		return llm.BatchResult{}, call.Unreadable("a result is not what the protocol says", llm.Usage{})
	}
	out := llm.BatchResult{Key: in.CustomID}
	switch {
	case in.Response != nil && in.Response.Status == 200:
		out.Response, out.Err = inner(call, in.Response.Body)
	case in.Response != nil:
		out.Err = call.ToldStatus(in.Response.Status, in.Response.Body)
	case in.Error != nil && in.Error.Code == "batch_expired":
		out.Err = call.Named(llm.KindTimeout, "the batch expired before this request")
	case in.Error != nil && in.Error.Code == "batch_cancelled":
		out.Err = call.Named(llm.KindCanceled, "the batch was canceled before this request")
	default:
		out.Err = call.Unreadable("a result without answer and error", llm.Usage{})
	}
	return out, nil
}

func inner(call *wire.Call, body []byte) (*llm.Response, *llm.Error) {
	var c sdk.ChatCompletion
	if json.Unmarshal(body, &c) != nil {
		return nil, call.Unreadable("the answer in a result is not what the protocol says", llm.Usage{})
	}
	r, err := read(call, &c, 0)
	if err != nil {
		return nil, call.Fail(err, usage(&c.Usage))
	}
	return r, nil
}
