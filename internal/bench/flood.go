package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
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
	// portions of Portion over Connections, one after the other; a connection waits for its answers,
	// so a product that answers slowly is offered less, and sends a refused portion again.
	Rate, LoudRate       float64
	Portion, Connections int
	// Each round, the watched sender is alone and then in the flood, and is measured for Phase each
	// time; Onset is how long that goes on before, and is not measured.
	Phase, Onset time.Duration
	Seed         uint64
	// ID is the number of an alert, by which Clock hears of it.
	ID func(raw []byte) (string, error)
	// Progress hears the seconds that have passed; it may be nil.
	Progress func(n int)
}

// FloodReport is what became of the watched alerts, over all rounds.
type FloodReport struct {
	Watch   string    `json:"watch"`
	CPUs    int       `json:"cpus"`
	Rounds  int       `json:"rounds"`
	Alone   FloodPart `json:"alone"`
	Flooded FloodPart `json:"flooded"`
	// P99Ratio is that of the verdicts in the flood to that alone. P99Range is where 95 % of its
	// values are when rounds are drawn anew from those measured (the bootstrap over clusters: the
	// alerts of one round are not independent of each other); nil with fewer than five rounds.
	P99Ratio float64     `json:"p99_ratio"`
	P99Range *[2]float64 `json:"p99_ratio_95,omitempty"`
	// Accepted and Refused are alerts of the flood, over Seconds.
	Accepted int64   `json:"flood_accepted"`
	Refused  int64   `json:"flood_refused"`
	Seconds  float64 `json:"flood_seconds"`
	// Drained is how long it took at most from the end of the flood until all was settled.
	Drained float64 `json:"drained_seconds"`
}

// FloodPart are the watched alerts of the phases of one kind.
type FloodPart struct {
	Alerts  int         `json:"alerts"`
	Refused int         `json:"refused"`
	Answer  Percentiles `json:"answer_ms"`
	Latency Percentiles `json:"latency_ms"`
	// Audit is zero where nobody tells of the audit trail.
	Audit Percentiles `json:"audit_latency_ms,omitzero"`

	rounds  []*Clock
	answers []float64
}

func newFloodPart(rounds int) FloodPart {
	p := FloodPart{rounds: make([]*Clock, rounds)}
	for i := range p.rounds {
		p.rounds[i] = NewClock()
	}
	return p
}

// NewFlood returns a report whose clocks are to be told of verdicts and of the audit trail.
func NewFlood(rounds int) *FloodReport {
	return &FloodReport{CPUs: runtime.GOMAXPROCS(0), Rounds: rounds, Alone: newFloodPart(rounds), Flooded: newFloodPart(rounds)}
}

// Decided is Clock.Decided of all phases.
func (r *FloodReport) Decided(ids []string, seq int64) {
	for i := range r.Rounds {
		r.Alone.rounds[i].Decided(ids, seq)
		r.Flooded.rounds[i].Decided(ids, seq)
	}
}

// Appended is Clock.Appended of all phases.
func (r *FloodReport) Appended(seq int64) {
	for i := range r.Rounds {
		r.Alone.rounds[i].Appended(seq)
		r.Flooded.rounds[i].Appended(seq)
	}
}

// Run measures; settled waits until everything accepted is durable. Phases with and without a
// flood take turns, so that what the machine does besides falls on both.
func (r *FloodReport) Run(ctx context.Context, f Flood, settled func(context.Context) error) error {
	base := time.Now().Add(-time.Hour)
	g := NewGenerator(f.Seed, base)
	g.Level = f.Level
	loud := make([]*Generator, f.Connections)
	for c := range loud {
		loud[c] = NewGenerator(f.Seed+1+uint64(c), base)
	}
	stop := r.seconds(ctx, f.Progress)
	defer stop()
	for round := range r.Rounds {
		if err := r.Alone.send(ctx, &f, g, round); err != nil {
			return err
		}
		if err := r.flooded(ctx, &f, g, loud, round); err != nil {
			return err
		}
		begin := time.Now()
		if err := settled(ctx); err != nil {
			return err
		}
		r.Drained = max(r.Drained, time.Since(begin).Seconds())
	}
	r.Alone.count()
	r.Flooded.count()
	r.P99Ratio = ratio(r.Alone.rounds, r.Flooded.rounds)
	r.P99Range = r.resampled(f.Seed)
	return nil
}

// flooded is one phase in the flood, from its beginning to its end.
func (r *FloodReport) flooded(ctx context.Context, f *Flood, g *Generator, generators []*Generator, round int) error {
	loud, end := context.WithCancel(ctx)
	defer end()
	var accepted, refused atomic.Int64
	floods, loud := errgroup.WithContext(loud)
	begin := time.Now()
	every := time.Duration(float64(f.Portion*f.Connections) / f.LoudRate * float64(time.Second))
	for i, g := range generators {
		due := begin.Add(every * time.Duration(i) / time.Duration(len(generators)))
		floods.Go(func() error { return flood(loud, f, g, due, every, &accepted, &refused) })
	}
	err := r.Flooded.send(ctx, f, g, round)
	end()
	if floodErr := floods.Wait(); err == nil && ctx.Err() == nil {
		err = floodErr
	}
	r.Accepted += accepted.Load()
	r.Refused += refused.Load()
	r.Seconds += time.Since(begin).Seconds()
	return err
}

func (p *FloodPart) count() {
	p.Answer = percentiles(p.answers)
	p.Latency = percentiles(all(p.rounds, verdicts))
	p.Audit = percentiles(all(p.rounds, audits))
}

func verdicts(c *Clock) []float64 { return c.verdicts }
func audits(c *Clock) []float64   { return c.audits }

// all are the times of all rounds.
func all(rounds []*Clock, of func(*Clock) []float64) (times []float64) {
	for _, c := range rounds {
		c.mu.Lock()
		times = append(times, of(c)...)
		c.mu.Unlock()
	}
	return times
}

// ratio is that of the p99 of verdicts, finite whatever the times are.
func ratio(alone, flooded []*Clock) float64 {
	const shortest = 1e-9 // ms
	return percentiles(all(flooded, verdicts)).P99 / max(percentiles(all(alone, verdicts)).P99, shortest)
}

// Bounds of the bootstrap: fewer rounds say nothing of their spread.
const (
	leastRounds = 5
	resamples   = 2000
)

func (r *FloodReport) resampled(seed uint64) *[2]float64 {
	if r.Rounds < leastRounds {
		return nil
	}
	random := rand.New(rand.NewPCG(seed, 0))
	ratios := make([]float64, resamples)
	for i := range ratios {
		var alone, flooded []*Clock
		for range r.Rounds {
			k := random.IntN(r.Rounds)
			alone = append(alone, r.Alone.rounds[k])
			flooded = append(flooded, r.Flooded.rounds[k])
		}
		ratios[i] = ratio(alone, flooded)
	}
	slices.Sort(ratios)
	return &[2]float64{ratios[resamples*25/1000], ratios[resamples*975/1000]}
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

// send offers the watched alerts of one phase at their times; latency counts from there. Each has
// its interval to itself and comes at a random time within it: at regular times they would be in
// step with the portions of the flood and meet all of them, or none.
func (p *FloodPart) send(ctx context.Context, f *Flood, g *Generator, round int) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	random := rand.New(rand.NewPCG(f.Seed, uint64(round)))
	begin, interval := time.Now(), float64(time.Second)/f.Rate
	for n := 0.0; n*interval < float64(f.Onset+f.Phase); n++ {
		due := begin.Add(time.Duration((n + random.Float64()) * interval))
		if err := pause(ctx, time.Until(due)); err != nil {
			return err
		}
		raw := g.Next()
		id, err := f.ID(raw)
		if err != nil {
			return fmt.Errorf("generated alert: %w", err)
		}
		measured := n*interval >= float64(f.Onset)
		if measured {
			p.rounds[round].offered(id, due)
		}
		sent := time.Now()
		status, err := post(ctx, client, f.URL, f.Watched, raw)
		if err != nil {
			return err
		}
		if measured {
			p.note(status, time.Since(sent))
		}
	}
	return pause(ctx, time.Second) // for the verdicts of the last ones
}

func (p *FloodPart) note(status int, took time.Duration) {
	p.Alerts++
	if status != http.StatusAccepted {
		p.Refused++
	}
	p.answers = append(p.answers, took.Seconds()*1000)
}

// flood offers a portion every so often, the first when it is due, until ctx ends.
func flood(ctx context.Context, f *Flood, g *Generator, due time.Time, every time.Duration, accepted, refused *atomic.Int64) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	body := g.lines(f.Portion)
	for pause(ctx, time.Until(due)) == nil {
		due = due.Add(every)
		if late := time.Now(); due.Before(late) {
			due = late
		}
		status, err := post(ctx, client, f.URL, f.Loud, body)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			return err
		case status == http.StatusAccepted:
			accepted.Add(int64(f.Portion))
			body = g.lines(f.Portion)
		default:
			refused.Add(int64(f.Portion))
		}
	}
	return nil
}

func (g *Generator) lines(n int) (body []byte) {
	for range n {
		body = append(append(body, g.Next()...), '\n')
	}
	return body
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
