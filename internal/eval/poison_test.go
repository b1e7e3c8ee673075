package eval_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/eval"
	"github.com/aluskort/aluskort/internal/orchestrate/priorstore"
	"github.com/aluskort/aluskort/internal/reason/prior"
	"github.com/aluskort/aluskort/internal/result"
)

// within runs fn with a node on a state directory.
func within(t *testing.T, dir string, fn func(ctx context.Context, n *app.Node) error) {
	t.Helper()
	n, err := app.Open(t.Context(), app.Options{Dir: dir, Config: config.Default()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	err = fn(ctx, n)
	stop()
	if err := errors.Join(err, <-ended, n.Close()); err != nil {
		t.Fatal(err)
	}
}

// verdictsOf are the published results of records, by alert id.
func verdictsOf(t *testing.T, dir string, records [][]byte) map[string]*result.Result {
	t.Helper()
	out := map[string]*result.Result{}
	within(t, dir, func(ctx context.Context, n *app.Node) error {
		s := app.NewSession(n, "auto", config.Default().Tenant, app.NewTimes())
		if err := s.Read(ctx, bytes.NewReader(bytes.Join(records, []byte("\n"))), "records", nil); err != nil {
			return err
		}
		if err := n.Settled(ctx); err != nil {
			return err
		}
		return s.Results(ctx, func(l result.Line) error {
			if l.Result != nil {
				out[l.Alert.ID] = l.Result
			}
			return nil
		})
	})
	return out
}

// poison stores 5,000 benign verdicts about each analytic, by many accounts on many days.
func poison(ctx context.Context, n *app.Node, list map[string]*result.Result) error {
	s, now := priorstore.New(n.State), time.Now()
	seen := map[string]bool{}
	for _, r := range list {
		key := r.Alert.Source + "\x00" + r.Alert.Analytic
		if seen[key] {
			continue
		}
		seen[key] = true
		err := n.State.Update(ctx, func(tx store.Tx) error {
			for i := range 5000 {
				j := prior.Judgement{Tenant: r.Alert.Tenant, Source: r.Alert.Source, Analytic: r.Alert.Analytic, Severity: r.Alert.Severity,
					Actor: fmt.Sprintf("account-%d", i%50), At: now.Add(-time.Duration(i%60) * 24 * time.Hour)}
				if err := s.Record(tx, j); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	_, err := s.Refit(ctx, now, nil)
	return err
}

// Whoever owns accounts, or tires analysts, teaches the product that a detection is noise. An
// attack behind it keeps its class: here each detection of the fixtures, and a carrier of which
// 5,000 alerts were harmless and one is not.
func TestPoisonedPriorsChangeNoAttack(t *testing.T) {
	records, labels := fixtures(t)
	const carried = `{"_id":"carried-1","_source":{"agent":{"name":"sensor-1","id":"004"},"manager":{"name":"mgr"},
"data":{"app_proto":"http","src_ip":"203.0.113.77","src_port":"80","dest_ip":"192.168.7.30","dest_port":"50112","proto":"TCP","event_type":"alert",
"alert":{"severity":"1","signature_id":"2900777","gid":"1","signature":"ET MALWARE Cobalt Strike Beacon Observed","category":"Malware Command and Control Activity Detected","action":"allowed"}},
"rule":{"level":3,"description":"Suricata: Alert - ET MALWARE Cobalt Strike Beacon Observed","groups":["ids","suricata"],"id":"86601"},
"location":"/var/log/suricata/eve.json","decoder":{"name":"json"},"id":"5.1","timestamp":"2026-11-03T08:18:42.520+0000"}}`
	records = append(records, bytes.ReplaceAll([]byte(carried), []byte("\n"), nil))
	plain := verdictsOf(t, t.TempDir(), records)
	if r := plain["carried-1"]; r == nil || r.Investigation.Classification.Benign() {
		t.Fatalf("the attack behind the carrier has no usable verdict: %+v", r)
	}
	dir := t.TempDir()
	within(t, dir, func(ctx context.Context, n *app.Node) error { return poison(ctx, n, plain) })
	learned, attacks := 0, 0
	for id, r := range verdictsOf(t, dir, records) {
		was, is := plain[id].Investigation, r.Investigation
		if strings.HasPrefix(is.PriorSource, "learned from") || strings.Contains(is.PriorSource, "set aside") {
			learned++
		}
		if labels[id].Label != eval.Positive && id != "carried-1" {
			continue
		}
		attacks++
		if is.Classification != was.Classification {
			t.Errorf("%s was %s and is %s (%s)", r.Alert.Title, was.Classification, is.Classification, is.PriorSource)
		}
	}
	if learned < len(plain)/2 || attacks < 10 {
		t.Errorf("%d of %d verdicts know the poisoned priors, %d attacks: the test shows nothing", learned, len(plain), attacks)
	}
}
