// Package anthropic calls the models of Anthropic, and of gateways that speak its protocol,
// through the vendor's SDK.
package anthropic

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/anthropics/anthropic-sdk-go/packages/param"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/wire"
)

// DefaultBaseURL is the vendor's.
const DefaultBaseURL = "https://api.anthropic.com"

// Config is what a provider needs. Nothing is read from the environment.
type Config struct {
	// Name is "anthropic" when empty.
	Name string
	// BaseURL is DefaultBaseURL when empty.
	BaseURL string
	// Key returns the key for one call, so that a new key is used as soon as it is there.
	Key func(context.Context) (string, error)
	// Limits bound each attempt.
	Limits wire.Limits
	// CacheFrom is the length in tokens, estimated, from which tools and system are marked for
	// the prompt cache: below, vendors do not cache and the mark is useless. 0 is 1,024; models
	// with a longer minimum ignore the mark at no cost. Negative marks nothing.
	CacheFrom int
	// CacheHour keeps cached prompts for an hour at twice the price instead of five minutes.
	CacheHour bool
	// Clock is the machine's when nil.
	Clock clock.Clock
	// Transport is wire.Transport() when nil.
	Transport http.RoundTripper
}

// Provider implements llm.Provider, llm.Batcher and llm.Counter.
type Provider struct {
	cfg  Config
	link *wire.Link
}

var (
	_ llm.Provider = (*Provider)(nil)
	_ llm.Batcher  = (*Provider)(nil)
	_ llm.Counter  = (*Provider)(nil)
)

// New returns a provider. It connects when it is first called.
func New(c Config) *Provider {
	if c.Name == "" {
		c.Name = "anthropic"
	}
	if c.BaseURL == "" {
		c.BaseURL = DefaultBaseURL
	}
	if c.CacheFrom == 0 {
		c.CacheFrom = 1024
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Transport == nil {
		c.Transport = wire.Transport()
	}
	return &Provider{cfg: c, link: &wire.Link{Provider: c.Name, Limits: c.Limits, Clock: c.Clock, Transport: c.Transport}}
}

// Name implements llm.Provider.
func (p *Provider) Name() string { return p.cfg.Name }

// start begins a call about r. The caller closes it.
func (p *Provider) start(ctx context.Context, r *llm.Request, form wire.Form) (call *wire.Call, messages sdk.MessageService, body sdk.MessageNewParams, err error) {
	call = p.link.Start(ctx, r.Model, form)
	opts, fail := p.options(call, r.Key)
	if fail != nil {
		call.Close()
		return nil, messages, body, fail
	}
	if body, err = p.params(r); err != nil {
		call.Close()
		return nil, messages, body, p.refuse(r.Model, err)
	}
	return call, sdk.NewMessageService(opts...), body, nil
}

// Complete implements llm.Provider.
func (p *Provider) Complete(ctx context.Context, r *llm.Request) (*llm.Response, error) {
	if !wire.InOnePiece(r) {
		return p.Stream(ctx, r, func(string) {})
	}
	call, messages, body, err := p.start(ctx, r, wire.JSON)
	if err != nil {
		return nil, err
	}
	defer call.Close()
	m, err := messages.New(call.Context(), body)
	if err != nil {
		return nil, call.Fail(err, llm.Usage{})
	}
	return read(call, m)
}

// Stream implements llm.Provider.
func (p *Provider) Stream(ctx context.Context, r *llm.Request, text func(string)) (*llm.Response, error) {
	call, messages, body, err := p.start(ctx, r, wire.Events)
	if err != nil {
		return nil, err
	}
	defer call.Close()
	s := messages.NewStreaming(call.Context(), body)
	defer func() { _ = s.Close() }() // what was read is what counts
	return follow(call, s, text)
}

// CountTokens implements llm.Counter.
func (p *Provider) CountTokens(ctx context.Context, r *llm.Request) (int64, error) {
	call, messages, body, err := p.start(ctx, r, wire.JSON)
	if err != nil {
		return 0, err
	}
	defer call.Close()
	raw, err := countable(body)
	if err != nil {
		return 0, p.refuse(r.Model, err)
	}
	n, err := messages.CountTokens(call.Context(), param.Override[sdk.MessageCountTokensParams](raw))
	if err != nil {
		return 0, call.Fail(err, llm.Usage{})
	}
	if !n.JSON.InputTokens.Valid() || n.InputTokens < 0 {
		return 0, call.Unreadable("the count has no number", llm.Usage{})
	}
	return n.InputTokens, nil
}

// countable leaves out of a request what a count does not take.
func countable(body sdk.MessageNewParams) (json.RawMessage, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	delete(fields, "max_tokens")
	return json.Marshal(fields)
}

// refuse is a request that cannot be put into the protocol.
func (p *Provider) refuse(model string, err error) *llm.Error {
	return &llm.Error{Kind: llm.KindRequest, Provider: p.cfg.Name, Model: model, Err: err}
}

// options are those of one call. The services are made without the SDK's client, which would
// read keys and addresses from the environment.
func (p *Provider) options(call *wire.Call, key string) ([]option.RequestOption, *llm.Error) {
	secret, err := p.cfg.Key(call.Context())
	if err != nil || secret == "" {
		return nil, &llm.Error{Kind: llm.KindAuth, Provider: p.cfg.Name, Err: errors.New("no key is to be had")}
	}
	opts := []option.RequestOption{
		option.WithoutEnvironmentDefaults(),
		option.WithBaseURL(p.cfg.BaseURL),
		option.WithAPIKey(secret),
		option.WithMaxRetries(0),
		option.WithHTTPClient(call),
	}
	if key != "" {
		opts = append(opts, option.WithHeader("Idempotency-Key", key), option.WithHeader("X-Client-Request-Id", key))
	}
	return opts, nil
}

// params puts a request into the vendor's form.
func (p *Provider) params(r *llm.Request) (sdk.MessageNewParams, error) {
	out := sdk.MessageNewParams{Model: r.Model, MaxTokens: int64(r.MaxTokens)}
	if r.System != "" {
		block := sdk.TextBlockParam{Text: r.System}
		if p.worthCaching(r) {
			block.CacheControl = sdk.NewCacheControlEphemeralParam()
			if p.cfg.CacheHour {
				block.CacheControl.TTL = sdk.CacheControlEphemeralTTLTTL1h
			}
		}
		out.System = []sdk.TextBlockParam{block}
	}
	for _, m := range r.Messages {
		msg, err := turn(m)
		if err != nil {
			return out, err
		}
		out.Messages = append(out.Messages, msg)
	}
	for _, t := range r.Tools {
		if !wire.Object(t.Input) {
			return out, errors.New("the schema of tool " + t.Name + " is not a JSON object")
		}
		tool := sdk.ToolParam{Name: t.Name, Strict: sdk.Bool(true), InputSchema: param.Override[sdk.ToolInputSchemaParam](t.Input)}
		if t.Description != "" {
			tool.Description = sdk.String(t.Description)
		}
		out.Tools = append(out.Tools, sdk.ToolUnionParam{OfTool: &tool})
	}
	if r.Answer != nil {
		format, err := answerFormat(r.Answer)
		if err != nil {
			return out, err
		}
		out.OutputConfig.Format = format
	}
	think(&out, r)
	return out, nil
}

// answerFormat keeps the schema byte for byte: models write properties in its order.
func answerFormat(s *llm.Schema) (sdk.JSONOutputFormatParam, error) {
	if !wire.Object(s.JSON) {
		return sdk.JSONOutputFormatParam{}, errors.New("the schema of the answer is not a JSON object")
	}
	raw, err := json.Marshal(map[string]any{"type": "json_schema", "schema": s.JSON})
	return param.Override[sdk.JSONOutputFormatParam](json.RawMessage(raw)), err
}

// worthCaching reports whether the part before the messages is long enough to be cached.
func (p *Provider) worthCaching(r *llm.Request) bool {
	n := len(r.System)
	for _, t := range r.Tools {
		n += len(t.Name) + len(t.Description) + len(t.Input)
	}
	const bytesPerToken = 4
	return p.cfg.CacheFrom > 0 && n/bytesPerToken >= p.cfg.CacheFrom
}

// budgeted are the models that take a budget for thinking; later ones think adaptively.
var budgeted = []string{"claude-3-7", "claude-opus-4-0", "claude-opus-4-1", "claude-opus-4-2", "claude-opus-4-5", "claude-sonnet-4-0", "claude-sonnet-4-2", "claude-sonnet-4-5", "claude-haiku-4-5"}

const (
	minBudget    = 1024 // the vendor's
	lowEffort    = 2048
	mediumEffort = 4096
)

// think asks for extended thinking in the way that the model knows.
func think(out *sdk.MessageNewParams, r *llm.Request) {
	if r.ThinkingTokens <= 0 {
		return
	}
	for _, b := range budgeted {
		if strings.HasPrefix(r.Model, b) {
			budget := max(minBudget, min(r.ThinkingTokens, r.MaxTokens-1))
			out.Thinking = sdk.ThinkingConfigParamUnion{OfEnabled: &sdk.ThinkingConfigEnabledParam{BudgetTokens: int64(budget)}}
			return
		}
	}
	out.Thinking = sdk.ThinkingConfigParamUnion{OfAdaptive: &sdk.ThinkingConfigAdaptiveParam{}}
	switch {
	case r.ThinkingTokens <= lowEffort:
		out.OutputConfig.Effort = sdk.OutputConfigEffortLow
	case r.ThinkingTokens <= mediumEffort:
		out.OutputConfig.Effort = sdk.OutputConfigEffortMedium
	default:
		out.OutputConfig.Effort = sdk.OutputConfigEffortHigh
	}
}

// opaque is a turn as this vendor wrote it. Other providers find no use for it.
type opaque struct {
	Content []json.RawMessage `json:"anthropic"`
}

// turn puts one message into the vendor's form. A turn of the model that comes with its original
// goes back as the original: thinking may neither move nor change.
func turn(m llm.Message) (sdk.MessageParam, error) {
	out := sdk.MessageParam{Role: sdk.MessageParamRole(m.Role)}
	var o opaque
	if m.Role == llm.Assistant && len(m.Opaque) > 0 && json.Unmarshal(m.Opaque, &o) == nil && len(o.Content) > 0 {
		for _, b := range o.Content {
			out.Content = append(out.Content, param.Override[sdk.ContentBlockParamUnion](b))
		}
		return out, nil
	}
	for _, res := range m.Results {
		out.Content = append(out.Content, sdk.NewToolResultBlock(res.CallID, res.Text, res.Failed))
	}
	if m.Text != "" {
		out.Content = append(out.Content, sdk.NewTextBlock(m.Text))
	}
	for _, c := range m.Calls {
		if !wire.Object(c.Input) {
			return out, errors.New("the input of a tool call is not a JSON object")
		}
		out.Content = append(out.Content, sdk.NewToolUseBlock(c.ID, c.Input, c.Name))
	}
	return out, nil
}
