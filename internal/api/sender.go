package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/ingest"
)

// Bounds of one request of a Sender, and how often it tries when the server is busy.
const (
	sendRecords = 500
	sendBytes   = 4 << 20
	sendTries   = 30
)

// Sender offers the records of files to the intake, whatever their size, in requests that the
// intake takes. It is for one goroutine.
type Sender struct {
	Client *Client
	Reader *ingest.Reader
	Source string // an adapter's name or ingest.Auto
	Clock  clock.Clock
	// Progress hears the number of records so far; may be nil.
	Progress func(records int)

	total   Receipt
	records int
	body    bytes.Buffer
	indices []int // in the file, of the records in body
}

// Send offers all records of one input. Indices in the receipt are positions in that input.
// Records that the intake refused are in its dead letters; records that cannot even be sent
// are in the receipt alone, and nothing but the input has their bytes.
func (s *Sender) Send(ctx context.Context, in io.Reader, name string) (Receipt, error) {
	s.total = Receipt{Rejected: []Rejected{}}
	err := ReadRecords(s.Reader, in, name, func(rec Native) error {
		s.records++
		if s.Progress != nil {
			s.Progress(s.records)
		}
		return s.add(ctx, rec)
	})
	return s.total, errors.Join(err, s.flush(ctx))
}

func (s *Sender) add(ctx context.Context, rec Native) error {
	broken := rec.Err != nil
	if rec.Size > alert.MaxRecord || len(rec.Raw) == 0 {
		why := "the record is larger than 8 MiB; shorten it at its source"
		if broken {
			why = rec.Err.Error()
		}
		s.total.Rejected = append(s.total.Rejected, Rejected{Index: rec.Index, Reason: why})
		return nil
	}
	if s.body.Len() > 0 && (broken || s.body.Len()+len(rec.Raw) > sendBytes || len(s.indices) >= sendRecords) {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	s.body.Write(rec.Raw)
	s.body.WriteByte('\n')
	s.indices = append(s.indices, rec.Index)
	if broken { // alone, so that it cannot spoil others
		return s.flush(ctx)
	}
	return nil
}

func (s *Sender) flush(ctx context.Context) error {
	if s.body.Len() == 0 {
		return nil
	}
	got, err := s.post(ctx)
	if err != nil {
		return err
	}
	s.total.Accepted += got.Accepted
	s.total.Dropped += got.Dropped
	for _, r := range got.Rejected {
		r.Index = s.indices[min(max(r.Index, 0), len(s.indices)-1)]
		s.total.Rejected = append(s.total.Rejected, r)
	}
	s.body.Reset()
	s.indices = s.indices[:0]
	return nil
}

// post sends the body until the intake has taken it or refused it for good.
func (s *Sender) post(ctx context.Context) (Receipt, error) {
	for try := 1; ; try++ {
		var got Receipt
		err := s.Client.call(ctx, http.MethodPost, "/v1/ingest/"+s.Source, nil, bytes.NewReader(s.body.Bytes()), &got)
		var p *Problem
		switch {
		case err == nil:
			return got, nil
		case errors.As(err, &p) && p.Code == CodeNothingAccepted && p.Receipt != nil:
			return *p.Receipt, nil
		case !errors.As(err, &p) || p.RetryAfter == 0 || try == sendTries:
			return got, err
		}
		t := s.Clock.NewTimer(time.Duration(p.RetryAfter) * time.Second)
		select {
		case <-ctx.Done():
			t.Stop()
			return got, context.Cause(ctx)
		case <-t.C:
		}
	}
}
