package question_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/ingest/adapters"
	"github.com/aluskort/aluskort/internal/investigate/question"
	"github.com/aluskort/aluskort/internal/orchestrate"
	"github.com/aluskort/aluskort/internal/reason"
)

func TestTry(t *testing.T) {
	_ = adapters.All
	n, err := app.Open(t.Context(), app.Options{Dir: t.TempDir(), Config: config.Default()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	s := app.NewSession(n, "auto", "default", app.NewTimes())
	for _, f := range strings.Fields(os.Getenv("TRY")) {
		if err := s.ReadFile(ctx, f, nil); err != nil {
			fmt.Println(f, err)
		}
	}
	if err := n.Settled(ctx); err != nil {
		t.Fatal(err)
	}
	list, _, err := n.Engine.List(ctx, "default", orchestrate.Filter{Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	lang := map[string]string{"wazuh": "Wazuh", "sentinel": "KQL", "splunk": "SPL", "elastic": "ES|QL"}
	def, none := 0, 0
	for _, x := range list {
		inv, err := n.Engine.Get(ctx, "default", x.ID)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("class", inv.Verdict.Classification, len(inv.Evidence))
		if !inv.Verdict.Classification.Deferred() {
			continue
		}
		def++
		q := question.Ask(inv, reason.DefaultThresholds(), lang[inv.Source])
		if len(q) < 2 {
			none++
		}
		fmt.Printf("## %s %s %.2f %d\n", inv.Source, inv.Title, inv.Verdict.Probability, len(q))
		for _, x := range q {
			fmt.Printf("  - %s [%+g/%+g %s/%s] %d\n", x.Text, x.IfYes, x.IfNo, x.AfterYes.Classification, x.AfterNo.Classification, len(x.Query))
		}
	}
	fmt.Println("deferred", def, "of", len(list), "fewer than two", none)
	stop()
	<-ended
	_ = n.Close()
}
