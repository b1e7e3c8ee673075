package models

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aluskort/aluskort/internal/llm/probe"
	"github.com/aluskort/aluskort/internal/llm/registry"
)

// Fitness is what probing a model showed.
type Fitness = probe.Report

// Probe asks each model of the tiers in use a few harmless questions: whether it keeps to a
// schema, calls tools, cites only what it was given, stays away from orders in data, is quick
// and says what it used. It costs a few thousand tokens a model and passes no data of alerts.
func (m *Models) Probe(ctx context.Context, each func(*Fitness)) {
	seen := map[registry.Ref]bool{}
	for _, tier := range registry.Tiers() {
		for _, ref := range m.table.Tier(tier).Models {
			p := m.byName[ref.Provider]
			if p == nil || seen[ref] || tier == registry.T2 {
				continue
			}
			if model, err := m.table.Model(ref); err != nil || !model.Stated() {
				continue
			}
			seen[ref] = true
			each(probe.Run(ctx, p, ref.Model, probe.Options{Clock: m.cfg.Clock, Within: m.table.Tier(tier).Latency}))
		}
	}
}

// maxList bounds what a server may answer to a question for its models.
const maxList = 1 << 20

// First returns the name of the first model that a compatible server lists.
func First(ctx context.Context, base, key string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(base, "/")+"/models", nil)
	if err != nil {
		return "", fmt.Errorf("models of %s: %w", base, err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("models of %s: %w", base, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxList))
	if err != nil {
		return "", fmt.Errorf("models of %s: %w", base, err)
	}
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(b, &list) != nil {
		return "", fmt.Errorf("models of %s: HTTP %d and no list of models; name the model yourself", base, resp.StatusCode)
	}
	if len(list.Data) == 0 || list.Data[0].ID == "" {
		return "", errors.New("the server at " + base + " lists no models")
	}
	return list.Data[0].ID, nil
}
