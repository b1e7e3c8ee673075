package openai

import (
	"encoding/json"
	"errors"
	"strings"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/wire"
)

// answer is what has arrived of a completion, in whichever form.
type answer struct {
	call *wire.Call
	max  int // tokens asked for at most

	id, model     string
	text, refusal strings.Builder
	finish        string
	calls         []pending
	usage         llm.Usage
}

// pending is a tool call whose arguments may still be arriving.
type pending struct {
	id, name string
	input    strings.Builder
}

// What breaks the protocol.
const (
	errMixed  = "parts of two answers in one stream"
	errNoText = "a part of the answer is no text"
)

// follow reads a stream to its end, which is the mark [DONE] behind a reason to finish.
func (a *answer) follow(s *ssestream.Stream[sdk.ChatCompletionChunk], text func(string)) (*llm.Response, error) {
	for s.Next() {
		c := s.Current()
		if why := a.add(&c, text); why != "" {
			return nil, a.call.Unreadable(why, a.usage)
		}
	}
	if err := s.Err(); err != nil {
		if told, ok := errors.AsType[*ssestream.StreamError](err); ok {
			return nil, a.call.Told(told.Event.Data, a.usage)
		}
		return nil, a.call.Fail(err, a.usage)
	}
	if !a.call.Done() || a.finish == "" {
		return nil, a.call.Cut("the stream ended before the answer did", a.usage)
	}
	return a.response()
}

// add takes one chunk and returns why it cannot belong to this answer.
func (a *answer) add(c *sdk.ChatCompletionChunk, text func(string)) string {
	if c.ID != "" && a.id == "" {
		a.id = c.ID
	}
	if c.ID != a.id && c.ID != "" {
		return errMixed
	}
	if !wire.TextOrNone(c.JSON.ID.Raw()) {
		return errNoText
	}
	if c.Model != "" {
		a.model = c.Model
	}
	if c.JSON.Usage.Valid() {
		a.usage = usage(&c.Usage)
	}
	for i := range c.Choices {
		choice := &c.Choices[i]
		if choice.Index != 0 {
			return "more answers than were asked for"
		}
		if a.finish != "" && (choice.Delta.Content != "" || len(choice.Delta.ToolCalls) > 0) {
			return "text behind the end of the answer"
		}
		if d := choice.Delta.JSON; !wire.TextOrNone(d.Content.Raw()) || !wire.TextOrNone(d.Refusal.Raw()) {
			return errNoText
		}
		if choice.FinishReason != "" {
			a.finish = choice.FinishReason
		}
		if choice.Delta.Content != "" {
			a.text.WriteString(choice.Delta.Content)
			text(choice.Delta.Content)
		}
		a.refusal.WriteString(choice.Delta.Refusal)
		for _, t := range choice.Delta.ToolCalls {
			if why := a.addCall(t); why != "" {
				return why
			}
		}
	}
	return ""
}

// addCall takes a part of a tool call. Calls come in the order of their indices.
func (a *answer) addCall(t sdk.ChatCompletionChunkChoiceDeltaToolCall) string {
	switch n := int64(len(a.calls)); {
	case t.Index == n:
		a.calls = append(a.calls, pending{id: t.ID, name: t.Function.Name})
	case t.Index < 0 || t.Index > n:
		return "a tool call is missing"
	case t.ID != "" && t.ID != a.calls[t.Index].id:
		return "two tool calls have one place"
	}
	a.calls[t.Index].input.WriteString(t.Function.Arguments)
	return ""
}

// usage puts the vendor's count into neutral form: there, cached tokens are a part of the prompt.
func usage(u *sdk.CompletionUsage) llm.Usage {
	read, write := u.PromptTokensDetails.CachedTokens, u.PromptTokensDetails.CacheWriteTokens
	if !u.JSON.PromptTokens.Valid() || !u.JSON.CompletionTokens.Valid() ||
		u.CompletionTokens < 0 || read < 0 || write < 0 || u.PromptTokens < read+write {
		return llm.Usage{}
	}
	return llm.Usage{Input: u.PromptTokens - read - write, Output: u.CompletionTokens, CacheRead: read, CacheWrite: write, Known: true}
}

// read puts a completion in one piece into neutral form.
func read(call *wire.Call, c *sdk.ChatCompletion, limit int) (*llm.Response, error) {
	a := &answer{call: call, max: limit, id: c.ID, model: c.Model, usage: usage(&c.Usage)}
	if len(c.Choices) != 1 {
		return nil, call.Unreadable("not one answer but none or several", a.usage)
	}
	m := &c.Choices[0].Message
	if !wire.TextOrNone(c.JSON.ID.Raw()) || !wire.TextOrNone(m.JSON.Content.Raw()) || !wire.TextOrNone(m.JSON.Refusal.Raw()) {
		return nil, call.Unreadable(errNoText, a.usage)
	}
	a.finish = c.Choices[0].FinishReason
	a.text.WriteString(m.Content)
	a.refusal.WriteString(m.Refusal)
	for _, t := range m.ToolCalls {
		a.calls = append(a.calls, pending{id: t.ID, name: t.Function.Name})
		a.calls[len(a.calls)-1].input.WriteString(t.Function.Arguments)
	}
	return a.response()
}

// response judges the answer as a whole.
func (a *answer) response() (*llm.Response, error) {
	out := &llm.Response{ID: a.id, Model: a.model, Text: a.text.String(), Usage: a.usage, Stop: a.stop()}
	if out.Stop == llm.StopRefusal {
		out.Text += a.refusal.String()
	}
	if out.Stop != llm.StopTools {
		return out, nil // calls of an answer that is not complete are no calls
	}
	seen := map[string]bool{}
	for i := range a.calls {
		c := &a.calls[i]
		input := json.RawMessage(c.input.String())
		if len(input) == 0 {
			input = json.RawMessage("{}") // how some servers write no arguments
		}
		if c.id == "" || c.name == "" || seen[c.id] || !wire.Object(input) {
			return nil, a.call.Unreadable("a tool call is incomplete or repeated", a.usage)
		}
		seen[c.id] = true
		out.Calls = append(out.Calls, llm.ToolCall{ID: c.id, Name: c.name, Input: input})
	}
	return out, nil
}

// stop says why the answer ended. Compatible servers are known to rewrite the reason, so what is
// said is held against what was sent.
func (a *answer) stop() llm.Stop {
	switch a.finish {
	case "length":
		return llm.StopLength
	case "content_filter":
		return llm.StopRefusal
	case "stop", "tool_calls":
	default:
		return llm.StopUnknown
	}
	switch {
	case a.refusal.Len() > 0:
		return llm.StopRefusal
	case a.usage.Known && a.max > 0 && a.usage.Output >= int64(a.max):
		return llm.StopLength // cut by the limit, whatever the server calls it
	case len(a.calls) > 0:
		return llm.StopTools
	case a.finish == "tool_calls", strings.TrimSpace(a.text.String()) == "":
		return llm.StopUnknown
	}
	return llm.StopEnd
}
