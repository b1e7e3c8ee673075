package anthropic

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/packages/ssestream"

	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/wire"
)

// follow reads a stream to its end. Only a message_stop behind a stop reason is an end.
func follow(call *wire.Call, s *ssestream.Stream[sdk.MessageStreamEventUnion], text func(string)) (*llm.Response, error) {
	var (
		m       sdk.Message
		begun   bool
		ended   bool
		arrived int // bytes of the answer
		inputs  = map[int64][]byte{}
	)
	for !ended && s.Next() {
		e := s.Current()
		if begun == (e.Type == "message_start") {
			return nil, call.Unreadable("a message inside a message, or none around its parts", soFar(&m, arrived))
		}
		if err := m.Accumulate(e); err != nil {
			return nil, call.Unreadable("parts of the message do not fit together", soFar(&m, arrived))
		}
		switch e.Type {
		case "message_start":
			begun = true
		case "content_block_delta":
			arrived += len(e.Delta.Text) + len(e.Delta.PartialJSON) + len(e.Delta.Thinking)
			if !wire.TextOrNone(e.Delta.JSON.Text.Raw()) || !wire.TextOrNone(e.Delta.JSON.PartialJSON.Raw()) {
				return nil, call.Unreadable("a part of the answer is no text", soFar(&m, arrived))
			}
			inputs[e.Index] = append(inputs[e.Index], e.Delta.PartialJSON...)
			if e.Delta.Text != "" {
				text(e.Delta.Text)
			}
		case "message_stop":
			ended = true
		}
	}
	if err := s.Err(); err != nil {
		if told, ok := errors.AsType[*sdk.Error](err); ok {
			return nil, call.Told([]byte(told.RawJSON()), soFar(&m, arrived))
		}
		return nil, call.Fail(err, soFar(&m, arrived))
	}
	if !ended || m.StopReason == "" {
		return nil, call.Cut("the stream ended before the answer did", soFar(&m, arrived))
	}
	// The SDK makes an empty object of an input that broke off. Carried out, that would be a call
	// that nobody made.
	for i, input := range inputs {
		if len(input) > 0 && !wire.Object(input) && m.StopReason == sdk.StopReasonToolUse {
			return nil, call.Unreadable("the input of tool call "+strconv.FormatInt(i, 10)+" is incomplete", soFar(&m, arrived))
		}
	}
	return read(call, &m)
}

// soFar is the usage of an answer that did not end. The vendor tells the prompt at the start and
// the answer at the end, so the answer is at least what arrived, at two bytes a token: rather too
// much than free of charge.
func soFar(m *sdk.Message, arrived int) llm.Usage {
	u := usage(m)
	if u.Known {
		u.Output = max(u.Output, int64(arrived+1)/2)
	}
	return u
}

func usage(m *sdk.Message) llm.Usage {
	u := m.Usage
	if !u.JSON.InputTokens.Valid() || !u.JSON.OutputTokens.Valid() ||
		u.InputTokens < 0 || u.OutputTokens < 0 || u.CacheReadInputTokens < 0 || u.CacheCreationInputTokens < 0 {
		return llm.Usage{}
	}
	return llm.Usage{
		Input: u.InputTokens, Output: u.OutputTokens, Known: true,
		CacheRead: u.CacheReadInputTokens, CacheWrite: u.CacheCreationInputTokens,
	}
}

var stops = map[sdk.StopReason]llm.Stop{
	sdk.StopReasonEndTurn:                    llm.StopEnd,
	sdk.StopReasonStopSequence:               llm.StopEnd,
	sdk.StopReasonToolUse:                    llm.StopTools,
	sdk.StopReasonMaxTokens:                  llm.StopLength,
	sdk.StopReasonModelContextWindowExceeded: llm.StopContext,
	sdk.StopReasonRefusal:                    llm.StopRefusal,
	sdk.StopReasonPauseTurn:                  llm.StopPause,
}

// read puts a whole message into neutral form.
func read(call *wire.Call, m *sdk.Message) (*llm.Response, error) {
	if !wire.Text(m.JSON.ID.Raw()) || m.ID == "" || m.Type != "message" || m.Role != "assistant" {
		return nil, call.Unreadable("the answer is not a message", usage(m))
	}
	out := &llm.Response{ID: m.ID, Model: m.Model, Usage: usage(m), Stop: llm.StopUnknown}
	if s, ok := stops[m.StopReason]; ok {
		out.Stop = s
	}
	var text strings.Builder
	plain, seen := true, map[string]bool{}
	for _, b := range m.Content {
		switch b.Type {
		case "text":
			if !wire.TextOrNone(b.JSON.Text.Raw()) {
				return nil, call.Unreadable("a part of the answer is no text", out.Usage)
			}
			text.WriteString(b.Text)
		case "tool_use":
			if out.Stop != llm.StopTools {
				continue // a call that the model may not have finished is no call
			}
			if b.ID == "" || b.Name == "" || seen[b.ID] || !wire.Object(b.Input) {
				return nil, call.Unreadable("a tool call is incomplete or repeated", out.Usage)
			}
			seen[b.ID] = true
			out.Calls = append(out.Calls, llm.ToolCall{ID: b.ID, Name: b.Name, Input: b.Input})
		default:
			plain = false
		}
	}
	out.Text = text.String()
	if !plain {
		keep(out, m)
	}
	return finish(out), nil
}

// keep stores the turn as the vendor wrote it, for what a neutral form has no place for.
func keep(out *llm.Response, m *sdk.Message) {
	var o opaque
	for _, b := range m.Content {
		raw := json.RawMessage(b.RawJSON())
		if !wire.Object(raw) {
			return // a turn that cannot be handed back is handed back without its thinking
		}
		o.Content = append(o.Content, raw)
	}
	if b, err := json.Marshal(o); err == nil {
		out.Opaque = b
	}
}

// finish distrusts ends that end nothing: an empty answer, calls that are not there.
func finish(out *llm.Response) *llm.Response {
	if out.Stop == llm.StopEnd && strings.TrimSpace(out.Text) == "" || out.Stop == llm.StopTools && len(out.Calls) == 0 {
		out.Stop = llm.StopUnknown
	}
	return out
}
