// Package openai calls OpenAI and every server that speaks its chat completions: vLLM, Ollama,
// llama.cpp, LM Studio and gateways, through the vendor's SDK.
package openai

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/shared"

	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/wire"
)

// DefaultBaseURL is the vendor's. Compatible servers mostly end in /v1 as well.
const DefaultBaseURL = "https://api.openai.com/v1"

// SchemaMode is how a server is told the schema of an answer.
type SchemaMode string

// The modes, strictest first. Whatever the mode, the answer is to be checked: only the first
// makes a server hold to the schema.
const (
	SchemaStrict SchemaMode = "json_schema" // response_format with a strict schema
	SchemaObject SchemaMode = "json_object" // response_format "any JSON", schema in the instructions
	SchemaPrompt SchemaMode = "prompt"      // schema in the instructions only
)

// Abilities are what a server knows of the protocol. The zero value is a compatible server of
// today; Vendor returns those of OpenAI itself.
type Abilities struct {
	// Schema is SchemaStrict when empty.
	Schema SchemaMode
	// LooseTools leaves "strict" out of tools, for servers that refuse it.
	LooseTools bool
	// NoStreamUsage leaves stream_options out, for servers that refuse it; the usage of streams is
	// then unknown.
	NoStreamUsage bool
	// MaxCompletionTokens uses the vendor's newer name of max_tokens.
	MaxCompletionTokens bool
	// Effort sends reasoning_effort when thinking is asked for.
	Effort bool
}

// Vendor returns the abilities of the vendor's own service.
func Vendor() Abilities { return Abilities{MaxCompletionTokens: true, Effort: true} }

// Config is what a provider needs. Nothing is read from the environment.
type Config struct {
	// Name is "openai" when empty; a second server of the kind needs a name of its own.
	Name string
	// BaseURL is DefaultBaseURL when empty.
	BaseURL string
	// Key returns the key for one call, so that a new key is used as soon as it is there. Nil, or
	// an empty key for a server of one's own, sends none.
	Key func(context.Context) (string, error)
	// Limits bound each attempt.
	Limits    wire.Limits
	Abilities Abilities
	// Clock is the machine's when nil.
	Clock clock.Clock
	// Transport is wire.Transport() when nil.
	Transport http.RoundTripper
}

// Provider implements llm.Provider and llm.Batcher.
type Provider struct {
	cfg  Config
	link *wire.Link
}

var (
	_ llm.Provider = (*Provider)(nil)
	_ llm.Batcher  = (*Provider)(nil)
)

// New returns a provider. It connects when it is first called.
func New(c Config) *Provider {
	if c.Name == "" {
		c.Name = "openai"
	}
	if c.BaseURL == "" {
		c.BaseURL = DefaultBaseURL
	}
	if c.Abilities.Schema == "" {
		c.Abilities.Schema = SchemaStrict
	}
	if c.Clock == nil {
		c.Clock = clock.System{}
	}
	if c.Transport == nil {
		c.Transport = wire.Transport()
	}
	return &Provider{cfg: c, link: &wire.Link{Provider: c.Name, Limits: c.Limits, Clock: c.Clock, Transport: c.Transport}}
}

// With returns a provider that differs in the abilities of the server.
func (p *Provider) With(a Abilities) *Provider {
	c := p.cfg
	c.Abilities = a
	return New(c)
}

// Name implements llm.Provider.
func (p *Provider) Name() string { return p.cfg.Name }

// start begins a call about r. The caller closes it.
func (p *Provider) start(ctx context.Context, r *llm.Request, form wire.Form) (call *wire.Call, chat sdk.ChatCompletionService, body sdk.ChatCompletionNewParams, err error) {
	call = p.link.Start(ctx, r.Model, form)
	opts, fail := p.options(call, r.Key)
	if fail != nil {
		call.Close()
		return nil, chat, body, fail
	}
	if body, err = p.params(r); err != nil {
		call.Close()
		return nil, chat, body, p.refuse(r.Model, err)
	}
	return call, sdk.NewChatCompletionService(opts...), body, nil
}

// Complete implements llm.Provider.
func (p *Provider) Complete(ctx context.Context, r *llm.Request) (*llm.Response, error) {
	if !wire.InOnePiece(r) {
		return p.Stream(ctx, r, func(string) {})
	}
	call, chat, body, err := p.start(ctx, r, wire.JSON)
	if err != nil {
		return nil, err
	}
	defer call.Close()
	c, err := chat.New(call.Context(), body)
	if err != nil {
		return nil, call.Fail(err, llm.Usage{})
	}
	return read(call, c, r.MaxTokens)
}

// Stream implements llm.Provider.
func (p *Provider) Stream(ctx context.Context, r *llm.Request, text func(string)) (*llm.Response, error) {
	call, chat, body, err := p.start(ctx, r, wire.Events)
	if err != nil {
		return nil, err
	}
	defer call.Close()
	if !p.cfg.Abilities.NoStreamUsage {
		body.StreamOptions.IncludeUsage = sdk.Bool(true)
	}
	s := chat.NewStreaming(call.Context(), body)
	defer func() { _ = s.Close() }() // what was read is what counts
	a := &answer{call: call, max: r.MaxTokens}
	return a.follow(s, text)
}

// refuse is a request that cannot be put into the protocol.
func (p *Provider) refuse(model string, err error) *llm.Error {
	return &llm.Error{Kind: llm.KindRequest, Provider: p.cfg.Name, Model: model, Err: err}
}

// options are those of one call. The services are made without the SDK's client, which would
// read keys and addresses from the environment.
func (p *Provider) options(call *wire.Call, key string) ([]option.RequestOption, *llm.Error) {
	opts := []option.RequestOption{
		option.WithBaseURL(p.cfg.BaseURL),
		option.WithMaxRetries(0),
		option.WithHTTPClient(call),
	}
	secret, err := p.secret(call.Context())
	if err != nil {
		return nil, &llm.Error{Kind: llm.KindAuth, Provider: p.cfg.Name, Err: err}
	}
	if secret != "" {
		opts = append(opts, option.WithAPIKey(secret))
	}
	if key != "" {
		opts = append(opts, option.WithHeader("Idempotency-Key", key), option.WithHeader("X-Client-Request-Id", key))
	}
	return opts, nil
}

var errNoKey = errors.New("no key is to be had")

func (p *Provider) secret(ctx context.Context) (string, error) {
	secret := ""
	if p.cfg.Key != nil {
		s, err := p.cfg.Key(ctx)
		if err != nil {
			return "", errNoKey // the cause may hold a part of it
		}
		secret = s
	}
	if u, err := url.Parse(p.cfg.BaseURL); secret == "" && err == nil && u.Hostname() == "api.openai.com" {
		return "", errNoKey
	}
	return secret, nil
}

// params puts a request into the vendor's form.
func (p *Provider) params(r *llm.Request) (sdk.ChatCompletionNewParams, error) {
	a := p.cfg.Abilities
	out := sdk.ChatCompletionNewParams{Model: r.Model}
	if a.MaxCompletionTokens {
		out.MaxCompletionTokens = sdk.Int(int64(r.MaxTokens))
	} else {
		out.MaxTokens = sdk.Int(int64(r.MaxTokens))
	}
	if a.Effort && r.ThinkingTokens > 0 {
		out.ReasoningEffort = effort(r.ThinkingTokens)
	}
	system := r.System
	if r.Answer != nil {
		if !wire.Object(r.Answer.JSON) {
			return out, errors.New("the schema of the answer is not a JSON object")
		}
		system += p.format(&out, r.Answer)
	}
	if system != "" {
		out.Messages = append(out.Messages, sdk.SystemMessage(system))
	}
	for _, m := range r.Messages {
		list, err := turn(m)
		if err != nil {
			return out, err
		}
		out.Messages = append(out.Messages, list...)
	}
	for _, t := range r.Tools {
		f := shared.FunctionDefinitionParam{Name: t.Name}
		if t.Description != "" {
			f.Description = sdk.String(t.Description)
		}
		if !a.LooseTools {
			f.Strict = sdk.Bool(true)
		}
		if err := json.Unmarshal(t.Input, &f.Parameters); err != nil {
			return out, errors.New("the schema of tool " + t.Name + " is not a JSON object")
		}
		out.Tools = append(out.Tools, sdk.ChatCompletionFunctionTool(f))
	}
	return out, nil
}

// format asks for the schema in the way that the server knows, and returns what the instructions
// must say in addition.
func (p *Provider) format(out *sdk.ChatCompletionNewParams, s *llm.Schema) string {
	name := s.Name
	if name == "" {
		name = "answer"
	}
	switch p.cfg.Abilities.Schema {
	case SchemaStrict:
		out.ResponseFormat.OfJSONSchema = &shared.ResponseFormatJSONSchemaParam{JSONSchema: shared.ResponseFormatJSONSchemaJSONSchemaParam{
			Name: name, Strict: sdk.Bool(true), Schema: s.JSON, // as it is: models write properties in its order
		}}
		return ""
	case SchemaObject:
		out.ResponseFormat.OfJSONObject = &shared.ResponseFormatJSONObjectParam{}
	}
	return "\n\nAnswer with one JSON object and nothing else: no fence, no text before or after it. It must meet this JSON Schema:\n" + string(s.JSON)
}

const (
	lowEffort    = 2048
	mediumEffort = 4096
)

func effort(tokens int) shared.ReasoningEffort {
	switch {
	case tokens <= lowEffort:
		return shared.ReasoningEffortLow
	case tokens <= mediumEffort:
		return shared.ReasoningEffortMedium
	}
	return shared.ReasoningEffortHigh
}

// turn puts one message into the vendor's form, which has a message for each result of a tool.
func turn(m llm.Message) ([]sdk.ChatCompletionMessageParamUnion, error) {
	var out []sdk.ChatCompletionMessageParamUnion
	if m.Role == llm.Assistant {
		var a sdk.ChatCompletionAssistantMessageParam
		if m.Text != "" {
			a.Content.OfString = param.NewOpt(m.Text)
		}
		for _, c := range m.Calls {
			if !wire.Object(c.Input) {
				return nil, errors.New("the input of a tool call is not a JSON object")
			}
			a.ToolCalls = append(a.ToolCalls, sdk.ChatCompletionMessageToolCallUnionParam{OfFunction: &sdk.ChatCompletionMessageFunctionToolCallParam{
				ID: c.ID, Function: sdk.ChatCompletionMessageFunctionToolCallFunctionParam{Name: c.Name, Arguments: string(c.Input)},
			}})
		}
		return append(out, sdk.ChatCompletionMessageParamUnion{OfAssistant: &a}), nil
	}
	for _, res := range m.Results {
		text := res.Text
		if res.Failed {
			text = "ERROR: " + text // the protocol has no field for it
		}
		out = append(out, sdk.ToolMessage(text, res.CallID))
	}
	if m.Text != "" || len(m.Results) == 0 {
		out = append(out, sdk.UserMessage(m.Text))
	}
	return out, nil
}
