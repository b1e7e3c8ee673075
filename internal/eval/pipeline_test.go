package eval_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/aluskort/aluskort/internal/app"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/eval"
	"github.com/aluskort/aluskort/internal/result"
)

// judge is the real pipeline: a node in a fresh state directory. Alerts that are judged alone
// get a tenant each.
func judge(t *testing.T) eval.Judge {
	t.Helper()
	return func(ctx context.Context, records [][]byte, alone bool) (out []eval.Judged, err error) {
		conf := config.Default()
		n, err := app.Open(ctx, app.Options{Dir: t.TempDir(), Config: conf})
		if err != nil {
			return nil, err
		}
		running, stop := context.WithCancelCause(ctx)
		ended := make(chan error, 1)
		go func() {
			err := n.Run(running)
			stop(errors.Join(errors.New("services ended"), err))
			ended <- err
		}()
		defer func() {
			stop(nil)
			err = errors.Join(err, <-ended, n.Close())
		}()
		step := max(1, len(records))
		if alone {
			step = 1
		}
		var sessions []*app.Session
		for i := 0; i < len(records); i += step {
			tenant := conf.Tenant
			if alone {
				tenant = fmt.Sprintf("tenant-%06d", i)
			}
			s := app.NewSession(n, "auto", tenant, app.NewTimes())
			if err := s.Read(running, bytes.NewReader(bytes.Join(records[i:i+step], []byte("\n"))), "records", nil); err != nil {
				return nil, err
			}
			sessions = append(sessions, s)
		}
		if err := n.Settled(running); err != nil {
			return nil, err
		}
		for _, s := range sessions {
			err := s.Results(running, func(l result.Line) error {
				j := eval.Judged{Line: l}
				if l.Result != nil {
					if j.Investigation, err = n.Engine.Get(running, l.Alert.Tenant, l.Investigation.ID); err != nil {
						return err
					}
				}
				out = append(out, j)
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		return out, nil
	}
}

// fixtures are native records of both classes with their labels, written for these tests.
func fixtures(t *testing.T) (records [][]byte, labels map[string]eval.Truth) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "wazuh.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		records = append(records, bytes.TrimSpace(line))
	}
	f, err := os.Open(filepath.Join("testdata", "wazuh.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	if labels, err = eval.ReadLabels(f); err != nil {
		t.Fatal(err)
	}
	return records, labels
}

// The fixtures hold attacks that anyone would call by their name, and daily life. Verdicts on
// them must not hang on names, times, order, neighbours or the words of a kit.
func TestFixturesUnderControls(t *testing.T) {
	records, labels := fixtures(t)
	rep, err := eval.Triage(t.Context(), judge(t), records, labels, eval.Options{Controls: true, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Positives != 9 || rep.Negatives != 9 || len(rep.LabelsUnused) > 0 {
		t.Fatalf("labels were not matched: %+v", rep.Figures)
	}
	if rep.Missed.Count > 0 || rep.FalseEscalation.Count > 0 {
		t.Errorf("missed %+v, escalated %+v", rep.MissedAlerts, rep.FalseEscalations)
	}
	if *rep.Recall.Rate < 0.8 {
		t.Errorf("recall %.2f on plain attacks; deferred: %+v", *rep.Recall.Rate, rep.Deferred)
	}
	for _, name := range []string{eval.ControlRenamed, eval.ControlShuffled, eval.ControlNeutral} {
		if c := rep.Controls[name]; c.Changed > 0 {
			t.Errorf("%s changed %d verdicts: %+v", name, c.Changed, c.Changes)
		}
	}
	if c := rep.Controls[eval.ControlInterleaved]; c.FalseEscalationPoints > 2 || c.Missed.Count > 0 {
		t.Errorf("next to attacks: %+v", c)
	}
}
