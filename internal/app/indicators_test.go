package app

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/knowledge/intel"
)

// TestIndicatorsAskedForByTheBatch runs a node that holds no index of indicators: evidence, the
// tool of models and the figures are those of one that does.
func TestIndicatorsAskedForByTheBatch(t *testing.T) {
	for _, lookup := range []string{"memory", "database"} {
		t.Run(lookup, func(t *testing.T) {
			c := config.Default()
			c.Intel.Lookup = lookup
			ctx := t.Context()
			n, err := Open(ctx, Options{Dir: t.TempDir(), Config: c})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := n.Close(); err != nil {
					t.Error(err)
				}
			}()
			if text, err := n.lookupIndicator("default", "www.evil.example"); err != nil || !strings.Contains(text, "was imported") {
				t.Errorf("before an import: %q, %v", text, err)
			}
			now := time.Now()
			if _, err := n.ImportIntel(ctx, "default", strings.NewReader("evil.example\n203.0.113.0/24\n"), intel.Options{Now: now, Confidence: 90, Feed: "list"}); err != nil {
				t.Fatal(err)
			}
			if got := (liveIntel{n}).Len(); got != 2 {
				t.Errorf("%d indicators, want 2", got)
			}
			for value, want := range map[string]string{"www.evil.example": "confidence 90", "203.0.113.9": "confidence 90", "good.example": "No feed lists it"} {
				if text, err := n.lookupIndicator("default", value); err != nil || !strings.Contains(text, want) {
					t.Errorf("%s: %q, %v", value, text, err)
				}
			}
			found, err := n.indicators.Gather(context.WithoutCancel(ctx), []evidence.Subject{{
				Alert: &alert.Alert{TenantID: "default", Timestamp: now},
				Entities: &alert.Entities{Indicators: []alert.Indicator{
					{Type: alert.IndicatorDomain, Value: "www.evil.example", Confidence: 1}, {Type: alert.IndicatorIPv4, Value: "203.0.113.9", Confidence: 1},
				}},
			}})
			if err != nil || len(found) != 1 || len(found[0].Items) != 2 {
				t.Errorf("%+v, %v", found, err)
			}
		})
	}
}
