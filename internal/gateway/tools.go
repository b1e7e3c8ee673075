package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/aluskort/aluskort/internal/llm"
)

// maxToolBytes bounds what one look-up puts before the model.
const maxToolBytes = 2 << 10

// subjectSchema is the only argument of a look-up: a name from the data. It is the same in every
// question, which providers that cache prompts rely on.
const subjectSchema = `{"additionalProperties":false,"properties":{"subject":{"description":"a name or an indicator exactly as it is written in the data","type":"string"}},"required":["subject"],"type":"object"}`

// tools describes the look-ups to the model.
func tools(list []Tool) []llm.Tool {
	out := make([]llm.Tool, len(list))
	input := []byte(subjectSchema)
	for i, t := range list {
		out[i] = llm.Tool{Name: t.Name, Description: t.Description, Input: input}
	}
	return out
}

// useTools answers the look-ups of a reply. What cannot be looked up is said so; what would
// gather too much about people ends the conversation. What was found is quoted, judged and recorded
// like the texts of the question itself, and its stand-ins are kept before it leaves.
func (c *conversation) useTools(ctx context.Context, r *Reply) error {
	defer c.noteInjection() // also when it goes no further
	results, found := make([]llm.ToolResult, 0, len(r.Calls)), make([]string, len(r.Calls))
	for i := range r.Calls {
		text, err := c.look(&r.Calls[i])
		if breach, ok := errors.AsType[*Breach](err); ok {
			c.events.accumulated(c, breach.Error())
			return &Refusal{Reasons: append(c.refused, breach.Error())}
		}
		if err != nil {
			results = append(results, llm.ToolResult{CallID: r.Calls[i].ID, Text: err.Error(), Failed: true})
			continue
		}
		found[i] = text
		results = append(results, llm.ToolResult{CallID: r.Calls[i].ID, Text: c.quoteFound(text)})
	}
	before := maps.Clone(c.p.condemned)
	if err := c.judge(ctx); err != nil {
		return err
	}
	c.p.condemned = c.trial.condemned
	for i, text := range found {
		if is := fingerprint(sha256.Sum256([]byte(text))); c.p.condemned[is] && !before[is] && !results[i].Failed {
			results[i].Text = c.quoteFound(text)
		}
	}
	if err := c.save(ctx); err != nil {
		return err
	}
	c.request.Messages = append(c.request.Messages, r.Message(), llm.Message{Role: llm.User, Results: results})
	return nil
}

func (c *conversation) quoteFound(text string) string {
	left := maxToolBytes
	return c.g.quote(c.p, "", text, maxToolBytes, &left)
}

// look runs one look-up. Its argument must be something that the question holds.
func (c *conversation) look(call *llm.ToolCall) (string, error) {
	var tool *Tool
	for i := range c.q.Tools {
		if c.q.Tools[i].Name == call.Name {
			tool = &c.q.Tools[i]
		}
	}
	if tool == nil {
		return "", errors.New("there is no such tool")
	}
	var args struct {
		Subject string `json:"subject"`
	}
	if err := json.Unmarshal(call.Input, &args, json.RejectUnknownMembers(true)); err != nil {
		return "", errors.New("the only argument is subject, a text")
	}
	s, ok := c.p.subjects[strings.ReplaceAll(args.Subject, " ", c.p.mark)]
	if !ok {
		return "", errors.New("the subject is not in the data")
	}
	if s.account {
		if err := c.g.cfg.Guard.Admit(c.q.Tenant, c.q.Investigation, tool.Name, s.value); err != nil {
			return "", err
		}
	}
	text, err := tool.Call(s.value)
	if err != nil {
		return "", fmt.Errorf("%s is not available now", tool.Name)
	}
	return text, nil
}
