package models

import (
	"context"

	"github.com/aluskort/aluskort/internal/llm/spend"
)

// Spending is what one model took for one task: of its cost, Estimated was not measured.
type Spending struct {
	Tier      string `json:"tier"`
	Provider  string `json:"provider"`
	Model     string `json:"model"`
	Task      string `json:"task"`
	Calls     int64  `json:"calls"`
	Input     int64  `json:"input_tokens"`
	Output    int64  `json:"output_tokens"`
	Cached    int64  `json:"cache_read_tokens"`
	MicroUSD  int64  `json:"cost_micro_usd"`
	Estimated int64  `json:"cost_estimated_micro_usd"`
}

// Spending lists what was spent, by tier, provider, model and task.
func (m *Models) Spending(ctx context.Context) ([]Spending, error) {
	lines, err := m.ledger.Report(ctx, spend.Query{}, spend.ByTier, spend.ByProvider, spend.ByModel, spend.ByTask)
	if err != nil {
		return nil, err
	}
	out := make([]Spending, len(lines))
	for i := range lines {
		l := &lines[i]
		out[i] = Spending{
			Tier: string(l.Tier), Provider: l.Provider, Model: l.Model, Task: string(l.Task),
			Calls:    l.Measured.Calls + l.Estimated.Calls + l.Unknown.Calls,
			Input:    l.Measured.Input + l.Measured.CacheWrite,
			Output:   l.Measured.Output,
			Cached:   l.Measured.CacheRead,
			MicroUSD: int64(l.Total()), Estimated: int64(l.Estimated.Cost + l.Unknown.Cost),
		}
	}
	return out, nil
}
