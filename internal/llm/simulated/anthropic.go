package simulated

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/aluskort/aluskort/internal/llm"
)

// anthropicRequest is the body of a message as the vendor documents it.
type anthropicRequest struct {
	Model     string `json:"model"`
	MaxTokens int    `json:"max_tokens"`
	System    blocks `json:"system"`
	Messages  []struct {
		Role    string `json:"role"`
		Content blocks `json:"content"`
	} `json:"messages"`
	Tools []struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Input       json.RawMessage `json:"input_schema"`
		Strict      bool            `json:"strict"`
	} `json:"tools"`
	Output struct {
		Format *struct {
			Type   string          `json:"type"`
			Schema json.RawMessage `json:"schema"`
		} `json:"format"`
	} `json:"output_config"`
	Thinking *struct {
		Type   string `json:"type"`
		Budget int    `json:"budget_tokens"`
	} `json:"thinking"`
	Stream bool `json:"stream"`
}

// anthropicBlock is a block of content.
type anthropicBlock struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	Thinking  string          `json:"thinking"`
	Signature string          `json:"signature"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
	ToolUseID string          `json:"tool_use_id"`
	Content   blocks          `json:"content"`
	IsError   bool            `json:"is_error"`
	Cache     *struct {
		Type string `json:"type"`
	} `json:"cache_control"`
}

// blocks are content: a text or a list of blocks.
type blocks []anthropicBlock

// UnmarshalJSONFrom reads either form, without a copy of the text on the way.
func (b *blocks) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != '"' {
		return jsonv2.UnmarshalDecode(d, (*[]anthropicBlock)(b))
	}
	var text string
	err := jsonv2.UnmarshalDecode(d, &text)
	*b = blocks{{Type: "text", Text: text}}
	return err
}

// lenient reads JSON as vendors do: as strictly as encoding/json, and a good deal faster.
var lenient = jsonv2.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), jsonv2.MatchCaseInsensitiveNames(true))

// anthropicAsked is a request in neutral form, with what only the protocol knows.
type anthropicAsked struct {
	request *llm.Request
	stream  bool
	marked  bool // the end of the system block is marked for the cache
}

// readAnthropic decodes and checks a request as strictly as the vendor does.
func readAnthropic(body []byte) (*anthropicAsked, error) {
	var in anthropicRequest
	if err := jsonv2.Unmarshal(body, &in, lenient); err != nil {
		return nil, fmt.Errorf("invalid JSON: %w", err)
	}
	out := &anthropicAsked{stream: in.Stream, request: &llm.Request{Model: in.Model, MaxTokens: in.MaxTokens}}
	r := out.request
	for _, b := range in.System {
		r.System += b.Text
		out.marked = out.marked || b.Cache != nil
	}
	if err := in.think(r); err != nil {
		return nil, err
	}
	for i, m := range in.Messages {
		msg, err := anthropicTurn(llm.Role(m.Role), m.Content, r.ThinkingTokens > 0)
		if err != nil {
			return nil, fmt.Errorf("messages.%d: %w", i, err)
		}
		r.Messages = append(r.Messages, msg)
	}
	for _, t := range in.Tools {
		if !t.Strict {
			return nil, fmt.Errorf("tools: %s is not strict", t.Name)
		}
		r.Tools = append(r.Tools, llm.Tool{Name: t.Name, Description: t.Description, Input: t.Input})
	}
	if f := in.Output.Format; f != nil {
		if f.Type != "json_schema" {
			return nil, fmt.Errorf("output_config.format.type: %q", f.Type)
		}
		r.Answer = &llm.Schema{JSON: f.Schema}
	}
	return out, checkRequest(r)
}

func (in *anthropicRequest) think(r *llm.Request) error {
	switch t := in.Thinking; {
	case t == nil, t.Type == "disabled":
	case t.Type == "adaptive":
		r.ThinkingTokens = max(1, in.MaxTokens/2)
	case t.Type == "enabled" && t.Budget >= 1024 && t.Budget < in.MaxTokens:
		r.ThinkingTokens = t.Budget
	default:
		return errors.New("thinking: budget_tokens must be at least 1024 and less than max_tokens")
	}
	return nil
}

// anthropicTurn turns blocks into a message and checks that thinking came back unchanged.
func anthropicTurn(role llm.Role, list []anthropicBlock, thinking bool) (llm.Message, error) {
	m := llm.Message{Role: role}
	for i, b := range list {
		switch b.Type {
		case "text":
			m.Text += b.Text
		case "tool_use":
			m.Calls = append(m.Calls, llm.ToolCall{ID: b.ID, Name: b.Name, Input: b.Input})
		case "tool_result":
			res := llm.ToolResult{CallID: b.ToolUseID, Failed: b.IsError}
			for _, t := range b.Content {
				res.Text += t.Text
			}
			m.Results = append(m.Results, res)
		case "thinking":
			if b.Signature != signature(b.Thinking) {
				return m, errors.New("thinking blocks cannot be modified")
			}
			if i == 0 {
				m.Opaque, _ = json.Marshal(b.Thinking) // a text always encodes
			}
		default:
			return m, fmt.Errorf("unknown block type %q", b.Type)
		}
	}
	if role == llm.Assistant && thinking && len(m.Calls) > 0 && m.Opaque == nil {
		return m, errors.New("when thinking is enabled, an assistant turn with tool_use must begin with a thinking block")
	}
	return m, nil
}

// signature stands for the vendor's own: it shows that a block is unchanged.
func signature(thinking string) string {
	h := sha256.Sum256([]byte(thinking))
	return hex.EncodeToString(h[:])
}

var errTurns = errors.New("messages: roles must alternate and begin with user")

// checkRequest holds a request to what both vendors ask for.
func checkRequest(r *llm.Request) error {
	switch {
	case r.Model == "":
		return errors.New("model: required")
	case r.MaxTokens < 1:
		return errors.New("max_tokens: must be at least 1")
	case len(r.Messages) == 0:
		return errors.New("messages: required")
	}
	var open []llm.ToolCall
	for i, m := range r.Messages {
		if want := []llm.Role{llm.User, llm.Assistant}[i%2]; m.Role != want {
			return errTurns
		}
		if m.Text == "" && len(m.Calls) == 0 && len(m.Results) == 0 {
			return fmt.Errorf("messages.%d: content must not be empty", i)
		}
		if err := answered(open, m.Results); err != nil {
			return fmt.Errorf("messages.%d: %w", i, err)
		}
		open = m.Calls
	}
	for _, t := range r.Tools {
		if err := checkStrict(t.Input); err != nil {
			return fmt.Errorf("tools: %s: %w", t.Name, err)
		}
	}
	if r.Answer != nil {
		if err := checkStrict(r.Answer.JSON); err != nil {
			return fmt.Errorf("schema: %w", err)
		}
	}
	return nil
}

// answered checks that each call has its result, as both vendors demand.
func answered(calls []llm.ToolCall, results []llm.ToolResult) error {
	open := map[string]bool{}
	for _, c := range calls {
		open[c.ID] = true
	}
	for _, r := range results {
		if !open[r.CallID] {
			return fmt.Errorf("result for unknown call %q", r.CallID)
		}
		delete(open, r.CallID)
	}
	if len(open) > 0 {
		return errors.New("a tool call has no result")
	}
	return nil
}

// checkStrict holds a schema to the subset of strict modes: closed objects with every property
// required.
func checkStrict(raw json.RawMessage) error {
	var n schema
	if err := jsonv2.Unmarshal(raw, &n, lenient); err != nil {
		return fmt.Errorf("not a JSON Schema: %w", err)
	}
	return n.strict("$")
}

func (s *Server) anthropicMessage(w http.ResponseWriter, r *http.Request) {
	body := bodyOf(r)
	if r.Header.Get("Anthropic-Version") == "" {
		s.refuse(w, r, badRequest("anthropic-version: header is required"))
		return
	}
	asked, err := readAnthropic(body)
	if err != nil {
		s.refuse(w, r, badRequest(err.Error()))
		return
	}
	s.understood(body, asked.request)
	step := s.next(asked.request)
	if !s.begin(w, r, step) {
		return
	}
	m := s.anthropicAnswer(asked, step)
	if asked.stream {
		s.send(w, r, "text/event-stream; charset=utf-8", m.events(step), step)
		return
	}
	b, err := json.Marshal(m.whole())
	if err != nil {
		s.refuse(w, r, Failing(http.StatusInternalServerError))
		return
	}
	s.send(w, r, "application/json", b, step)
}

func badRequest(why string) Step {
	return Step{Status: http.StatusBadRequest, Type: "invalid_request_error", Message: why}
}

// anthropicMessageOut is an answer ready to be written.
type anthropicMessageOut struct {
	id, model string
	content   []map[string]any
	stop      any // nil for none
	usage     llm.Usage
	noUsage   bool
}

func (s *Server) anthropicAnswer(asked *anthropicAsked, step Step) *anthropicMessageOut {
	a := s.answer(asked.request, step, asked.marked, true)
	m := &anthropicMessageOut{id: s.newID("msg"), model: a.Model, usage: a.Usage, noUsage: step.NoUsage}
	if asked.request.ThinkingTokens > 0 {
		thought := thoughts(asked.request)
		m.content = append(m.content, map[string]any{"type": "thinking", "thinking": thought, "signature": signature(thought)})
	}
	if a.Text != "" {
		m.content = append(m.content, map[string]any{"type": "text", "text": a.Text})
	}
	for _, c := range a.Calls {
		m.content = append(m.content, map[string]any{"type": "tool_use", "id": c.ID, "name": c.Name, "input": c.Input})
	}
	m.stop = anthropicStop(a.Stop, step)
	return m
}

// thoughts is what the simulated model thinks: about the number of messages, which differs from
// turn to turn.
func thoughts(r *llm.Request) string {
	return fmt.Sprintf("I have %d messages and %d tools before me.", len(r.Messages), len(r.Tools))
}

func anthropicStop(stop llm.Stop, step Step) any {
	switch {
	case step.NoStop:
		return nil
	case step.RawStop != "":
		return step.RawStop
	}
	switch stop {
	case llm.StopTools:
		return "tool_use"
	case llm.StopLength:
		return "max_tokens"
	case llm.StopContext:
		return "model_context_window_exceeded"
	case llm.StopRefusal:
		return "refusal"
	case llm.StopPause:
		return "pause_turn"
	}
	return "end_turn"
}

// answer asks the model and applies what the step changes.
func (s *Server) answer(r *llm.Request, step Step, marked, writes bool) *llm.Response {
	a := s.cfg.Model.Answer(r)
	if a.Model == "" {
		a.Model = r.Model
	}
	for i := range a.Calls {
		if a.Calls[i].ID == "" {
			a.Calls[i].ID = s.newID("call")
		}
	}
	if a.Stop == "" {
		if a.Stop = llm.StopEnd; len(a.Calls) > 0 {
			a.Stop = llm.StopTools
		}
	}
	if step.Edit != nil {
		a.Text = step.Edit(a.Text)
	}
	if step.Response != nil {
		step.Response(a)
	}
	s.bill(r, a, marked, writes)
	return a
}

func (m *anthropicMessageOut) usageAt(output int64) map[string]any {
	return map[string]any{
		"input_tokens": m.usage.Input, "output_tokens": output,
		"cache_creation_input_tokens": m.usage.CacheWrite, "cache_read_input_tokens": m.usage.CacheRead,
	}
}

func (m *anthropicMessageOut) head() map[string]any {
	return map[string]any{"id": m.id, "type": "message", "role": "assistant", "model": m.model, "stop_sequence": nil}
}

// whole is the message in one piece.
func (m *anthropicMessageOut) whole() map[string]any {
	out := m.head()
	out["content"], out["stop_reason"] = m.content, m.stop
	if m.content == nil {
		out["content"] = []any{}
	}
	if !m.noUsage {
		out["usage"] = m.usageAt(m.usage.Output)
	}
	return out
}

// events is the message as a stream.
func (m *anthropicMessageOut) events(step Step) []byte {
	var b bytes.Buffer
	emit := func(name string, v map[string]any) {
		v["type"] = name
		data, err := json.Marshal(v)
		if err != nil {
			data = []byte("{}") // only a tool input that is no JSON: it is written as text below
		}
		fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", name, data)
	}
	head := m.head()
	head["content"], head["stop_reason"] = []any{}, nil
	if !m.noUsage {
		head["usage"] = m.usageAt(1)
	}
	emit("message_start", map[string]any{"message": head})
	emit("ping", map[string]any{})
	for i, block := range m.content {
		start, deltas := anthropicParts(block)
		emit("content_block_start", map[string]any{"index": i, "content_block": start})
		for _, d := range deltas {
			emit("content_block_delta", map[string]any{"index": i, "delta": d})
		}
		emit("content_block_stop", map[string]any{"index": i})
	}
	if step.ErrorInside {
		emit("error", map[string]any{"error": map[string]any{"type": step.Type, "message": step.Message}})
		return b.Bytes()
	}
	end := map[string]any{"delta": map[string]any{"stop_reason": m.stop, "stop_sequence": nil}}
	if !m.noUsage {
		end["usage"] = map[string]any{"output_tokens": m.usage.Output}
	}
	if !step.NoStop {
		emit("message_delta", end)
	}
	emit("message_stop", map[string]any{})
	return b.Bytes()
}

// anthropicParts splits a block into its empty start and its deltas.
func anthropicParts(block map[string]any) (start map[string]any, deltas []map[string]any) {
	switch block["type"] {
	case "text":
		for _, t := range pieces(block["text"].(string)) {
			deltas = append(deltas, map[string]any{"type": "text_delta", "text": t})
		}
		return map[string]any{"type": "text", "text": ""}, deltas
	case "thinking":
		for _, t := range pieces(block["thinking"].(string)) {
			deltas = append(deltas, map[string]any{"type": "thinking_delta", "thinking": t})
		}
		deltas = append(deltas, map[string]any{"type": "signature_delta", "signature": block["signature"]})
		return map[string]any{"type": "thinking", "thinking": "", "signature": ""}, deltas
	}
	for _, t := range pieces(string(block["input"].(json.RawMessage))) {
		deltas = append(deltas, map[string]any{"type": "input_json_delta", "partial_json": t})
	}
	return map[string]any{"type": "tool_use", "id": block["id"], "name": block["name"], "input": map[string]any{}}, deltas
}

// pieceLength is how much of an answer goes into one event. Long answers get longer pieces.
const pieceLength = 24

// pieces splits a text at rune boundaries.
func pieces(s string) []string {
	size := max(pieceLength, len(s)/400)
	var out []string
	for len(s) > size {
		n := size
		for n < len(s) && !utf8.RuneStart(s[n]) {
			n++
		}
		out, s = append(out, s[:n]), s[n:]
	}
	if s != "" {
		out = append(out, s)
	}
	return out
}

func (s *Server) anthropicCount(w http.ResponseWriter, r *http.Request) {
	body := bodyOf(r)
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		s.refuse(w, r, badRequest("invalid JSON"))
		return
	}
	if fields["max_tokens"] != nil {
		s.refuse(w, r, badRequest("max_tokens: extra inputs are not permitted"))
		return
	}
	fields["max_tokens"] = json.RawMessage("100000")
	full, err := json.Marshal(fields)
	if err != nil {
		s.refuse(w, r, badRequest("invalid JSON"))
		return
	}
	asked, err := readAnthropic(full)
	if err != nil {
		s.refuse(w, r, badRequest(strings.ToValidUTF8(err.Error(), "")))
		return
	}
	fixed, rest := promptLength(asked.request)
	writeJSON(w, http.StatusOK, map[string]any{"input_tokens": tokens(fixed + rest)})
}
