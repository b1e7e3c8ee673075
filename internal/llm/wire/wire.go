// Package wire is what every provider needs of HTTP: limits in time and size that hold for one
// attempt, and one way to tell what went wrong. It sits between a vendor's SDK and the network,
// so that neither an SDK's patience nor its leniency decides what counts as an answer.
package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"github.com/go-json-experiment/json/jsontext"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/llm"
)

// Limits bound one attempt. A zero field takes its default.
type Limits struct {
	// Total is from the first byte out to the last byte in; 2 minutes by default.
	Total time.Duration
	// FirstByte is until a stream begins; 30 seconds by default. An answer in one piece begins
	// when it is finished, so only Total bounds it.
	FirstByte time.Duration
	// Between is the longest silence inside an answer; 20 seconds by default.
	Between time.Duration
	// Answer is the largest answer in bytes as sent, after decompression; 10 MB by default.
	Answer int64
}

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&l.Total, 2*time.Minute)
	set(&l.FirstByte, 30*time.Second)
	set(&l.Between, 20*time.Second)
	if l.Answer <= 0 {
		l.Answer = 10 << 20
	}
	return l
}

// IdleConnections is how many connections to one provider are kept for the next call: no fewer
// than calls can be under way, so that none pays for a handshake of its own.
const IdleConnections = 4096

// Transport returns the transport that providers use by default: no proxy, and time limits for
// what comes before a request is sent. An operator with a proxy sets its Proxy field.
func Transport() *http.Transport {
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   IdleConnections,
		IdleConnTimeout:       90 * time.Second,
	}
}

// Form is the kind of body that an answer must have.
type Form int

// The forms.
const (
	JSON   Form = iota // one JSON object
	Events             // server-sent events
	Lines              // JSON Lines, of no stated length
)

// Link is the way to one provider. It is safe for concurrent use.
type Link struct {
	Provider  string
	Limits    Limits
	Clock     clock.Clock
	Transport http.RoundTripper
}

// Call is one attempt: the HTTP client of an SDK for exactly one request.
type Call struct {
	link   *Link
	limits Limits
	model  string
	form   Form

	caller context.Context
	ctx    context.Context
	cancel context.CancelCauseFunc
	stop   context.CancelFunc

	mu      sync.Mutex
	failure *llm.Error // the first thing that went wrong and has a name
	tail    []byte     // the last bytes of a stream
}

// The reasons of our own to give up.
var (
	errTotal = errors.New("no complete answer within the total time limit")
	errFirst = errors.New("no first byte in time")
	errStall = errors.New("silence inside the answer")
)

// wholeBelow is the largest answer, in tokens, that is fetched in one piece.
const wholeBelow = 4096

// InOnePiece reports whether an answer is fetched in one piece. Longer ones are streamed, so that a
// stall is noticed and an idle connection is not closed on the way.
func InOnePiece(r *llm.Request) bool { return r.MaxTokens <= wholeBelow && r.ThinkingTokens <= 0 }

// Start begins an attempt. The caller closes it.
func (l *Link) Start(ctx context.Context, model string, form Form) *Call {
	c := &Call{link: l, limits: l.Limits.withDefaults(), model: model, form: form, caller: ctx}
	inner, cancel := context.WithCancelCause(ctx)
	c.cancel = cancel
	c.ctx, c.stop = context.WithTimeoutCause(inner, c.limits.Total, errTotal)
	return c
}

// Context is the context for the SDK: it ends when the caller's does or a limit is reached.
func (c *Call) Context() context.Context { return c.ctx }

// Close releases what the attempt holds. It never fails; the error serves interfaces.
func (c *Call) Close() {
	c.stop()
	c.cancel(nil)
}

// Do sends the request. It implements the HTTP client interface of the SDKs.
func (c *Call) Do(req *http.Request) (*http.Response, error) {
	client := &http.Client{
		Transport: c.link.Transport,
		// A redirect would carry prompt and key to where nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for name := range req.Header {
		if strings.HasPrefix(name, "X-Stainless-") { // what the SDKs tell about the machine
			req.Header.Del(name)
		}
	}
	timer := c.watch(c.limits.FirstByte, errFirst)
	res, err := client.Do(req) //nolint:gosec // G704: the address is the one that the operator configured
	if err != nil {
		timer.Stop()
		_ = c.fail(c.refused(err))
		return nil, err
	}
	if c.form == JSON && res.StatusCode < 300 {
		timer.Stop() // what follows is the whole answer: see Limits
	}
	res.Body = &body{call: c, in: res.Body, left: c.limits.Answer, timer: timer}
	if res.StatusCode >= 300 {
		return nil, c.status(req, res)
	}
	if err := c.accept(res); err != nil {
		closeQuietly(res.Body)
		return nil, err
	}
	return res, nil
}

// watch ends the attempt after d. Answers in one piece have no first byte to wait for.
func (c *Call) watch(d time.Duration, why error) *time.Timer {
	if c.form == JSON {
		d = c.limits.Total
		why = errTotal
	}
	return time.AfterFunc(d, func() { c.cancel(why) })
}

// accept checks that the answer has the form asked for, and reads one in a single piece.
func (c *Call) accept(res *http.Response) error {
	media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case c.form == Lines:
		return nil // vendors name this form in many ways
	case err != nil:
		media = "nothing"
	case c.form == Events && media == "text/event-stream":
		return nil
	case c.form == JSON && (media == "application/json" || strings.HasSuffix(media, "+json")):
		return c.whole(res)
	}
	return c.fail(c.unreadable(fmt.Errorf("the answer says that it is %.40q", media)))
}

// whole reads an answer in one piece and holds it to strict JSON: SDKs take the first value of
// a body and forgive what follows, names that repeat and text that is not UTF-8.
func (c *Call) whole(res *http.Response) error {
	b, err := io.ReadAll(res.Body)
	closeQuietly(res.Body)
	if err != nil {
		return err
	}
	if !Object(b) {
		return c.fail(c.unreadable(errors.New("the answer is not one JSON object")))
	}
	res.Body = io.NopCloser(bytes.NewReader(b))
	return nil
}

// Object reports whether b is exactly one JSON object: complete, UTF-8, no name twice in an
// object, nothing behind it.
func Object(b []byte) bool {
	b = bytes.TrimLeft(b, " \t\r\n")
	return len(b) > 0 && b[0] == '{' && jsontext.Value(b).IsValid()
}

// Text reports whether a field came as a text: SDKs make texts of whatever they find.
func Text(raw string) bool { return len(raw) > 1 && raw[0] == '"' }

// TextOrNone reports whether a field came as a text, as null or not at all.
func TextOrNone(raw string) bool { return raw == "" || raw == "null" || Text(raw) }

func closeQuietly(c io.Closer) { _ = c.Close() }

// body is an answer under the limits.
type body struct {
	call  *Call
	in    io.ReadCloser
	left  int64
	timer *time.Timer
	begun bool
}

func (b *body) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.in.Read(p)
	if n > 0 {
		b.progress()
		b.call.passed(p[:n])
	}
	if b.left -= int64(n); b.left < 0 && b.call.form != Lines {
		return 0, b.call.fail(b.call.unreadable(fmt.Errorf("the answer exceeds %d bytes", b.call.limits.Answer)))
	}
	if err != nil {
		b.timer.Stop()
		if !errors.Is(err, io.EOF) {
			return n, b.call.fail(b.call.refused(err))
		}
	}
	return n, err
}

// progress restarts the clock of silence.
func (b *body) progress() {
	if !b.begun {
		b.begun = true
		b.timer.Stop()
		b.timer = time.AfterFunc(b.call.limits.Between, func() { b.call.cancel(errStall) })
		return
	}
	b.timer.Reset(b.call.limits.Between)
}

func (b *body) Close() error {
	b.timer.Stop()
	return b.in.Close()
}

// tailLength holds the mark of an end and what servers send behind it.
const tailLength = 256

// passed remembers the end of a stream.
func (c *Call) passed(p []byte) {
	if c.form != Events {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tail = append(c.tail, p[max(0, len(p)-tailLength):]...)
	c.tail = c.tail[max(0, len(c.tail)-tailLength):]
}

// Done reports whether the mark with which OpenAI's streams end has arrived. SDKs take the end
// of the connection for it. Texts cannot hold it: in JSON, a line break is escaped.
func (c *Call) Done() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	tail := bytes.ReplaceAll(c.tail, []byte("\r"), nil)
	return bytes.Contains(tail, []byte("data: [DONE]\n\n")) || bytes.Contains(tail, []byte("data:[DONE]\n\n"))
}

func (c *Call) fail(e *llm.Error) *llm.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil {
		c.failure = e
	}
	return c.failure
}

func (c *Call) failed() *llm.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

func (c *Call) newError(k llm.Kind, err error) *llm.Error {
	return &llm.Error{Kind: k, Provider: c.link.Provider, Model: c.model, Err: err}
}

func (c *Call) unreadable(err error) *llm.Error { return c.newError(llm.KindUnreadable, err) }

// refused names an error of the transport: before the answer the network, inside it a cut.
func (c *Call) refused(err error) *llm.Error {
	if e := c.ended(); e != nil {
		return e
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		// The URL adds nothing, and some servers take a key in it.
		if n, ok := errors.AsType[net.Error](u.Err); ok && n.Timeout() {
			return c.newError(llm.KindTimeout, u.Err)
		}
		return c.newError(llm.KindNetwork, u.Err)
	}
	return c.newError(llm.KindCut, err)
}

// ended names the end of the context, nil when it goes on.
func (c *Call) ended() *llm.Error {
	if c.caller.Err() != nil {
		return c.newError(llm.KindCanceled, c.caller.Err())
	}
	if c.ctx.Err() == nil {
		return nil
	}
	return c.newError(llm.KindTimeout, context.Cause(c.ctx))
}

// Fail returns what went wrong in an attempt whose SDK returned err, with the usage known so far.
func (c *Call) Fail(err error, used llm.Usage) *llm.Error {
	e := c.failed()
	switch {
	case e != nil:
	case c.ended() != nil:
		e = c.ended()
	default:
		if known, ok := errors.AsType[*llm.Error](err); ok {
			e = known
		} else {
			e = c.unreadable(describe(err))
		}
	}
	out := *e
	out.Usage = used
	return &out
}

// Unreadable is an answer that breaks the protocol.
func (c *Call) Unreadable(why string, used llm.Usage) *llm.Error {
	e := c.unreadable(errors.New(why))
	e.Usage = used
	return e
}

// Cut is an answer that ended before its end. What really happened may be known better.
func (c *Call) Cut(why string, used llm.Usage) *llm.Error {
	return c.Fail(c.newError(llm.KindCut, errors.New(why)), used)
}

// Told is an error that the provider reports inside an answer.
func (c *Call) Told(raw []byte, used llm.Usage) *llm.Error {
	t := parseTrouble(raw)
	e := c.newError(t.kind(0), t.safe(nil))
	e.Usage = used
	return e
}

// ToldStatus is an error that the provider reports with a status inside a list of results.
func (c *Call) ToldStatus(status int, raw []byte) *llm.Error {
	t := parseTrouble(raw)
	e := c.newError(t.kind(status), t.safe(nil))
	e.Status = status
	return e
}

// Named is an error of the kind.
func (c *Call) Named(k llm.Kind, why string) *llm.Error { return c.newError(k, errors.New(why)) }
