package llm

import "context"

// Batcher is the optional ability of a provider to answer many requests later at a lower price.
// Like Provider, it makes one attempt per call and keeps nothing between calls. Errors are
// *Error.
type Batcher interface {
	// SubmitBatch hands over requests, at least one, and returns the batch as accepted. The key of
	// each is set, unique in the batch, and comes back with its result. After an error without an
	// HTTP status the provider may have accepted the batch all the same: look with FindBatches
	// before submitting again.
	SubmitBatch(ctx context.Context, key string, requests []*Request) (*Batch, error)
	// FindBatches returns those of the recent batches, newest first, that may be the submission
	// with the key: at most one where the provider keeps keys, else all of as many requests.
	FindBatches(ctx context.Context, key string, requests int) ([]*Batch, error)
	// PollBatch returns the state of a batch.
	PollBatch(ctx context.Context, id string) (*Batch, error)
	// BatchResults hands each result of an ended batch to yield, in any order, until yield returns
	// an error, which it passes on. A key that was never handed over has no result.
	BatchResults(ctx context.Context, id string, yield func(BatchResult) error) error
	// CancelBatch asks to stop. What was answered until then is billed and has results.
	CancelBatch(ctx context.Context, id string) (*Batch, error)
}

// Counter is the optional ability to count the tokens of a prompt before it is paid for.
type Counter interface {
	// CountTokens returns the length of the prompt as the model would see it.
	CountTokens(ctx context.Context, r *Request) (int64, error)
}

// BatchState says where a batch is.
type BatchState string

// The states. Only an ended batch has results.
const (
	BatchRunning   BatchState = "running"
	BatchCanceling BatchState = "canceling"
	BatchEnded     BatchState = "ended"
	BatchFailed    BatchState = "failed"  // refused as a whole: nothing was answered or billed
	BatchUnknown   BatchState = "unknown" // one that this program does not know
)

// Batch is a submission as the provider sees it.
type Batch struct {
	ID    string
	State BatchState
	// Pending counts the requests that are not decided, the others are decided.
	Pending, Succeeded, Failed, Canceled, Expired int64
	// Reason says why a batch failed, as far as the provider said.
	Reason string
}

// BatchResult is the outcome of one request: Response or Err.
type BatchResult struct {
	// Key is that of the request.
	Key      string
	Response *Response
	Err      *Error
}
