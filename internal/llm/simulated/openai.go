package simulated

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/aluskort/aluskort/internal/llm"
)

// openaiRequest is the body of a chat completion as the vendor documents it.
type openaiRequest struct {
	Model           string          `json:"model"`
	MaxTokens       int             `json:"max_tokens"`
	MaxCompletion   int             `json:"max_completion_tokens"`
	ReasoningEffort string          `json:"reasoning_effort"`
	Messages        []openaiMessage `json:"messages"`
	Tools           []struct {
		Function struct {
			Name        string          `json:"name"`
			Description string          `json:"description"`
			Strict      bool            `json:"strict"`
			Parameters  json.RawMessage `json:"parameters"`
		} `json:"function"`
	} `json:"tools"`
	Format *struct {
		Type   string `json:"type"`
		Schema struct {
			Name   string          `json:"name"`
			Strict bool            `json:"strict"`
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	} `json:"response_format"`
	Stream        bool `json:"stream"`
	StreamOptions struct {
		Usage bool `json:"include_usage"`
	} `json:"stream_options"`
}

type openaiMessage struct {
	Role      string       `json:"role"`
	Content   blocks       `json:"content"`
	CallID    string       `json:"tool_call_id"`
	ToolCalls []openaiCall `json:"tool_calls"`
}

type openaiCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type openaiAsked struct {
	request       *llm.Request
	stream, usage bool
}

var errFormat = errors.New("response_format: 'json_schema' is not supported by this server")

// readOpenAI decodes and checks a request.
func readOpenAI(body []byte, noSchema bool) (*openaiAsked, error) {
	var in openaiRequest
	if err := jsonv2.Unmarshal(body, &in, lenient); err != nil {
		return nil, fmt.Errorf("invalid JSON: %w", err)
	}
	out := &openaiAsked{stream: in.Stream, usage: in.StreamOptions.Usage}
	r := &llm.Request{Model: in.Model, MaxTokens: max(in.MaxTokens, in.MaxCompletion)}
	out.request = r
	if in.ReasoningEffort != "" {
		r.ThinkingTokens = 1
	}
	for i, m := range in.Messages {
		if err := m.add(r); err != nil {
			return nil, fmt.Errorf("messages.%d: %w", i, err)
		}
	}
	for _, t := range in.Tools {
		f := t.Function
		if !f.Strict {
			return nil, fmt.Errorf("tools: %s is not strict", f.Name)
		}
		r.Tools = append(r.Tools, llm.Tool{Name: f.Name, Description: f.Description, Input: f.Parameters})
	}
	if err := in.format(r, noSchema); err != nil {
		return nil, err
	}
	return out, checkRequest(r)
}

func (in *openaiRequest) format(r *llm.Request, noSchema bool) error {
	switch f := in.Format; {
	case f == nil, f.Type == "text":
	case f.Type == "json_schema" && noSchema:
		return errFormat
	case f.Type == "json_schema" && f.Schema.Strict && f.Schema.Name != "":
		r.Answer = &llm.Schema{Name: f.Schema.Name, JSON: f.Schema.Schema}
	case f.Type == "json_object":
		if !strings.Contains(strings.ToLower(r.System), "json") {
			return errors.New("'messages' must contain the word 'json' to use 'response_format' of type 'json_object'")
		}
		// A model of such a server finds the schema in its instructions, where the asker put it.
		if raw := embedded(r.System); raw != nil {
			r.Answer = &llm.Schema{JSON: raw}
		}
	default:
		return errors.New("response_format: unknown or incomplete")
	}
	return nil
}

// embedded returns the last JSON object of a text.
func embedded(text string) json.RawMessage {
	for at := strings.IndexByte(text, '{'); at >= 0; {
		d := json.NewDecoder(strings.NewReader(text[at:]))
		var raw json.RawMessage
		if d.Decode(&raw) == nil {
			return raw
		}
		next := strings.IndexByte(text[at+1:], '{')
		if next < 0 {
			return nil
		}
		at += 1 + next
	}
	return nil
}

// add puts a message into the neutral form, in which the results of tools are one user turn.
func (m openaiMessage) add(r *llm.Request) error {
	var text string
	for _, b := range m.Content {
		text += b.Text
	}
	last := len(r.Messages) - 1
	switch m.Role {
	case "system", "developer":
		if len(r.Messages) > 0 {
			return errors.New("system message behind others")
		}
		r.System += text
	case "tool":
		if last < 0 || r.Messages[last].Role != llm.User || r.Messages[last].Results == nil {
			r.Messages = append(r.Messages, llm.Message{Role: llm.User})
			last++
		}
		r.Messages[last].Results = append(r.Messages[last].Results, llm.ToolResult{CallID: m.CallID, Text: text})
	case "user":
		if last >= 0 && r.Messages[last].Role == llm.User && r.Messages[last].Text == "" {
			r.Messages[last].Text = text // behind the results of tools
			return nil
		}
		r.Messages = append(r.Messages, llm.Message{Role: llm.User, Text: text})
	case "assistant":
		out := llm.Message{Role: llm.Assistant, Text: text}
		for _, c := range m.ToolCalls {
			out.Calls = append(out.Calls, llm.ToolCall{ID: c.ID, Name: c.Function.Name, Input: json.RawMessage(c.Function.Arguments)})
		}
		r.Messages = append(r.Messages, out)
	default:
		return fmt.Errorf("unknown role %q", m.Role)
	}
	return nil
}

func (s *Server) openaiChat(w http.ResponseWriter, r *http.Request) {
	body := bodyOf(r)
	asked, err := readOpenAI(body, s.cfg.NoSchema)
	if err != nil {
		s.refuse(w, r, badRequest(err.Error()))
		return
	}
	s.understood(body, asked.request)
	step := s.next(asked.request)
	if !s.begin(w, r, step) {
		return
	}
	c := s.openaiAnswer(asked, step)
	if asked.stream {
		s.send(w, r, "text/event-stream", c.events(step, asked.usage), step)
		return
	}
	b, err := json.Marshal(c.whole())
	if err != nil {
		s.refuse(w, r, Failing(http.StatusInternalServerError))
		return
	}
	s.send(w, r, "application/json", b, step)
}

// openaiCompletion is an answer ready to be written.
type openaiCompletion struct {
	id      string
	answer  *llm.Response
	finish  any
	refusal bool
	noUsage bool
}

func (s *Server) openaiAnswer(asked *openaiAsked, step Step) *openaiCompletion {
	a := s.answer(asked.request, step, true, false)
	c := &openaiCompletion{id: s.newID("chatcmpl"), answer: a, noUsage: step.NoUsage}
	c.finish, c.refusal = openaiFinish(a.Stop, step)
	return c
}

func openaiFinish(stop llm.Stop, step Step) (finish any, refusal bool) {
	switch {
	case step.NoStop:
		return nil, false
	case step.RawStop != "":
		return step.RawStop, false
	}
	switch stop {
	case llm.StopTools:
		return "tool_calls", false
	case llm.StopLength, llm.StopContext:
		return "length", false
	case llm.StopRefusal:
		return "stop", true
	case llm.StopPause:
		return "pause", false // no such reason: an unknown one
	}
	return "stop", false
}

func (c *openaiCompletion) usage() map[string]any {
	u := c.answer.Usage
	return map[string]any{
		"prompt_tokens": u.Prompt(), "completion_tokens": u.Output, "total_tokens": u.Prompt() + u.Output,
		"prompt_tokens_details": map[string]any{"cached_tokens": u.CacheRead},
	}
}

func (c *openaiCompletion) calls(index bool) []map[string]any {
	var out []map[string]any
	for i, call := range c.answer.Calls {
		o := map[string]any{"id": call.ID, "type": "function", "function": map[string]any{"name": call.Name, "arguments": string(call.Input)}}
		if index {
			o["index"] = i
		}
		out = append(out, o)
	}
	return out
}

func (c *openaiCompletion) head(object string) map[string]any {
	return map[string]any{"id": c.id, "object": object, "created": 0, "model": c.answer.Model}
}

func (c *openaiCompletion) whole() map[string]any {
	m := map[string]any{"role": "assistant", "content": nil, "refusal": nil}
	switch {
	case c.refusal:
		m["refusal"] = c.answer.Text
	case c.answer.Text != "":
		m["content"] = c.answer.Text
	}
	if calls := c.calls(false); calls != nil {
		m["tool_calls"] = calls
	}
	out := c.head("chat.completion")
	out["choices"] = []any{map[string]any{"index": 0, "message": m, "finish_reason": c.finish, "logprobs": nil}}
	if !c.noUsage {
		out["usage"] = c.usage()
	}
	return out
}

// events is the completion as a stream.
func (c *openaiCompletion) events(step Step, usage bool) []byte {
	var b bytes.Buffer
	emit := func(v any) {
		data, err := json.Marshal(v)
		if err != nil {
			data = []byte("{}") // cannot be: the parts are texts
		}
		fmt.Fprintf(&b, "data: %s\n\n", data)
	}
	chunk := func(delta map[string]any, finish any) {
		out := c.head("chat.completion.chunk")
		out["choices"] = []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish}}
		if usage {
			out["usage"] = nil
		}
		emit(out)
	}
	chunk(map[string]any{"role": "assistant", "content": ""}, nil)
	field := "content"
	if c.refusal {
		field = "refusal"
	}
	for _, t := range pieces(c.answer.Text) {
		chunk(map[string]any{field: t}, nil)
	}
	for i, call := range c.answer.Calls {
		start := c.calls(true)[i]
		start["function"] = map[string]any{"name": call.Name, "arguments": ""}
		chunk(map[string]any{"tool_calls": []any{start}}, nil)
		for _, t := range pieces(string(call.Input)) {
			chunk(map[string]any{"tool_calls": []any{map[string]any{"index": i, "function": map[string]any{"arguments": t}}}}, nil)
		}
	}
	if step.ErrorInside {
		emit(map[string]any{"error": map[string]any{"type": step.Type, "code": step.Code, "message": step.Message}})
		return b.Bytes()
	}
	if !step.NoStop {
		chunk(map[string]any{}, c.finish)
	}
	if usage && !c.noUsage {
		out := c.head("chat.completion.chunk")
		out["choices"], out["usage"] = []any{}, c.usage()
		emit(out)
	}
	b.WriteString("data: [DONE]\n\n")
	return b.Bytes()
}
