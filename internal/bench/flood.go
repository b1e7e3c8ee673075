package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Flood says how the measurement of one sender beside another that floods goes.
type Flood struct {
	// URL is where the intake of Wazuh alerts listens.
	URL string
	// Watched and Loud are the tokens of the sender whose alerts are timed and of the one that
	// floods.
	Watched, Loud string
	// Level is the severity that the watched alerts have at their source; 0 leaves what the
	// generator gives them.
	Level int
	// Rate and LoudRate are in alerts per second. The watched alerts come one by one, the flood in
	// portions of Portion over Connections; a connection waits for its answers, so a product that
	// answers slowly is offered less.
	Rate, LoudRate       float64
	Portion, Connections int
	// Alone is how long the watched sender is alone, Flooded how long it is measured after that;
	// Onset, between the two, is how long the flood lasts before, and is not measured.
	Alone, Onset, Flooded time.Duration
	Seed                  uint64
	// ID is the number of an alert, by which Clock hears of it.
	ID func(raw []byte) (string, error)
	// Progress hears the seconds that have passed; it may be nil.
	Progress func(n int)
}

// FloodReport is what became of the watched alerts.
type FloodReport struct {
	Watch   string    `json:"watch"`
	CPUs    int       `json:"cpus"`
	Alone   FloodPart `json:"alone"`
	Flooded FloodPart `json:"flooded"`
	// P99Ratio is that of the verdicts in the flood to that alone.
	P99Ratio float64 `json:"p99_ratio"`
	// Accepted and Refused are alerts of the flood, over Seconds.
	Accepted int64   `json:"flood_accepted"`
	Refused  int64   `json:"flood_refused"`
	Seconds  float64 `json:"flood_seconds"`
	// Drained is how long it took from the end of the flood until all was settled.
	Drained float64 `json:"drained_seconds"`
}

// FloodPart are the watched alerts of one phase.
type FloodPart struct {
	Alerts  int         `json:"alerts"`
	Refused int         `json:"refused"`
	Answer  Percentiles `json:"answer_ms"`
	Latency Percentiles `json:"latency_ms"`
	// Audit is zero where nobody tells of the audit trail.
	Audit Percentiles `json:"audit_latency_ms,omitzero"`

	clock *Clock
}

// NewFlood returns a report whose clocks are to be told of verdicts and of the audit trail.
func NewFlood() *FloodReport {
	return &FloodReport{CPUs: runtime.GOMAXPROCS(0), Alone: FloodPart{clock: NewClock()}, Flooded: FloodPart{clock: NewClock()}}
}

// Decided is Clock.Decided of both phases.
func (r *FloodReport) Decided(ids []string, seq int64) {
	r.Alone.clock.Decided(ids, seq)
	r.Flooded.clock.Decided(ids, seq)
}

// Appended is Clock.Appended of both phases.
func (r *FloodReport) Appended(seq int64) {
	r.Alone.clock.Appended(seq)
	r.Flooded.clock.Appended(seq)
}

// Run measures; settled waits until everything accepted is durable.
func (r *FloodReport) Run(ctx context.Context, f Flood, settled func(context.Context) error) error {
	base := time.Now().Add(-time.Hour)
	g := NewGenerator(f.Seed, base)
	g.Level = f.Level
	stop := r.seconds(ctx, f.Progress)
	defer stop()
	if err := r.Alone.send(ctx, &f, g, f.Alone); err != nil {
		return err
	}
	loud, end := context.WithCancel(ctx)
	defer end()
	var accepted, refused atomic.Int64
	floods, loud := errgroup.WithContext(loud)
	begin := time.Now()
	for c := range f.Connections {
		floods.Go(func() error { return flood(loud, &f, f.Seed+1+uint64(c), base, &accepted, &refused) })
	}
	err := pause(ctx, f.Onset)
	if err == nil {
		err = r.Flooded.send(ctx, &f, g, f.Flooded)
	}
	end()
	if floodErr := floods.Wait(); err == nil && ctx.Err() == nil {
		err = floodErr
	}
	if err != nil {
		return err
	}
	r.Accepted, r.Refused, r.Seconds = accepted.Load(), refused.Load(), time.Since(begin).Seconds()
	begin = time.Now()
	if err := settled(ctx); err != nil {
		return err
	}
	r.Drained = time.Since(begin).Seconds()
	r.Alone.count()
	r.Flooded.count()
	r.P99Ratio = r.Flooded.Latency.P99 / max(r.Alone.Latency.P99, 1e-9)
	return nil
}

func (p *FloodPart) count() {
	p.clock.mu.Lock()
	defer p.clock.mu.Unlock()
	p.Latency, p.Audit = percentiles(p.clock.verdicts), percentiles(p.clock.audits)
}

func (r *FloodReport) seconds(ctx context.Context, tell func(int)) (stop func()) {
	if tell == nil {
		return func() {}
	}
	ctx, stop = context.WithCancel(ctx)
	go func() {
		for n := 1; pause(ctx, time.Second) == nil; n++ {
			tell(n)
		}
	}()
	return stop
}

// send offers the watched alerts of one phase at their times; latency counts from there.
func (p *FloodPart) send(ctx context.Context, f *Flood, g *Generator, length time.Duration) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	begin := time.Now()
	var answers []float64
	for ; ; p.Alerts++ {
		due := begin.Add(time.Duration(float64(p.Alerts) / f.Rate * float64(time.Second)))
		if due.Sub(begin) >= length {
			break
		}
		if err := pause(ctx, time.Until(due)); err != nil {
			return err
		}
		raw := g.Next()
		id, err := f.ID(raw)
		if err != nil {
			return fmt.Errorf("generated alert: %w", err)
		}
		p.clock.offered(id, due)
		sent := time.Now()
		status, err := post(ctx, client, f.URL, f.Watched, raw)
		if err != nil {
			return err
		}
		if status != http.StatusAccepted {
			p.Refused++
		}
		answers = append(answers, time.Since(sent).Seconds()*1000)
	}
	p.Answer = percentiles(answers)
	return pause(ctx, time.Second) // for the verdicts of the last ones
}

// flood offers portions until ctx ends.
func flood(ctx context.Context, f *Flood, seed uint64, base time.Time, accepted, refused *atomic.Int64) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	g := NewGenerator(seed, base)
	every := time.Duration(float64(f.Portion*f.Connections) / f.LoudRate * float64(time.Second))
	due := time.Now()
	for pause(ctx, time.Until(due)) == nil {
		due = due.Add(every)
		if late := time.Now(); due.Before(late) {
			due = late
		}
		var body []byte
		for range f.Portion {
			body = append(append(body, g.Next()...), '\n')
		}
		status, err := post(ctx, client, f.URL, f.Loud, body)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			return err
		case status == http.StatusAccepted:
			accepted.Add(int64(f.Portion))
		default:
			refused.Add(int64(f.Portion))
		}
	}
	return nil
}

func post(ctx context.Context, c *http.Client, url, token string, body []byte) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode, err
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
