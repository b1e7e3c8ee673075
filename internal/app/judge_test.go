package app

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/engine/store"
	"github.com/aluskort/aluskort/internal/gateway/detect"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/aluskort/aluskort/internal/llm/simulated"
)

// unsure are texts of which the sensor is not sure.
func unsure(t *testing.T) (out []string) {
	t.Helper()
	d, err := detect.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range attacks(t) {
		if d.Field(text).Action == detect.Summary && len(out) < 8 {
			out = append(out, text)
		}
	}
	if len(out) == 0 {
		t.Fatal("the sensor is sure of every text: the test shows nothing")
	}
	return out
}

// judgedTexts are the texts that reached the provider for judgement.
func judgedTexts(t *testing.T, s *simulated.Server) (out []string) {
	t.Helper()
	for _, r := range s.Received() {
		if r.Request == nil || r.Request.Answer == nil || !strings.Contains(string(r.Request.Answer.JSON), "is_attack") {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(strings.Split(r.Request.Messages[0].Text, "\n")[2])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	return out
}

// judgements are the records of the trail about one investigation: what the judge's calls cost, and
// how many texts it called attacks.
func judgements(ctx context.Context, t *testing.T, n *Node, investigation string) (calls int, micro int64, attacks int) {
	t.Helper()
	err := n.Audit.Investigation(ctx, "default", investigation, func(r audit.Record) error {
		var v struct {
			Context struct {
				Template string `json:"prompt_template_id"`
				Micro    int64  `json:"cost_micro_usd"`
				Attacks  int    `json:"judged_attacks"`
			} `json:"context"`
		}
		err := json.Unmarshal(r.Bytes, &v)
		if v.Context.Template == "injection_judge" {
			calls++
			micro += v.Context.Micro
		}
		attacks += v.Context.Attacks
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return calls, micro, attacks
}

// ledger is what the calls of the judge cost by the books.
func ledger(ctx context.Context, t *testing.T, n *Node, investigation string) (calls int, micro int64) {
	t.Helper()
	err := n.State.View(ctx, func(tx store.Tx) error {
		return tx.QueryRow(`SELECT COUNT(*), CAST(COALESCE(SUM(cost_micro), 0) AS BIGINT) FROM spend_call
	WHERE investigation = $1 AND task = 'injection_judge' AND tier = 'T0' AND state = 'booked'`, investigation).Scan(&calls, &micro)
	})
	if err != nil {
		t.Fatal(err)
	}
	return calls, micro
}

// TestJudgeOfInjections: what the sensor is not sure of is judged by a cheap model, whose calls are
// booked to the investigation and stand in the trail with what it said; the text reaches it redacted.
// An obedient judge calls nothing an attack, and no verdict moves towards benign for it.
func TestJudgeOfInjections(t *testing.T) {
	texts := unsure(t)
	var natives [][]byte
	runNode(t, Options{Config: config.Default()}, func(ctx context.Context, n *Node) error {
		natives = malicious(ctx, t, n)
		return nil
	})
	spliced := func(n *Node) (out []alert.Alert) {
		for i, text := range texts {
			for j, native := range natives {
				b, ok := splice(native, "commandLine", text+" by EXAMPLE\\ada.byron", i*len(natives)+j)
				if !ok {
					continue
				}
				a, err := n.Registry.Normalise(ingest.Record{Raw: b}, "wazuh", "default", time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC))
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, a)
				break
			}
		}
		return out
	}
	probabilities := func(ctx context.Context, n *Node) (list []alert.Alert, p map[string]float64) {
		list, p = spliced(n), map[string]float64{}
		if err := n.Offer(ctx, list); err != nil {
			t.Fatal(err)
		}
		if err := n.Settled(ctx); err != nil {
			t.Fatal(err)
		}
		for i := range list {
			inv := verdictOf(ctx, t, n, &list[i])
			p[inv.ID] = inv.Verdict.Probability
		}
		return list, p
	}
	var alone map[string]float64
	runNode(t, Options{Config: config.Default()}, func(ctx context.Context, n *Node) error {
		_, alone = probabilities(ctx, n)
		return nil
	})
	for name, model := range map[string]simulated.Model{"honest": simulated.Analyst{}, "obedient": simulated.Obedient{}} {
		t.Run(name, func(t *testing.T) {
			server := simulated.NewServer(simulated.Config{Model: model})
			defer server.Close()
			o := asking(server)
			o.Config.Models.Judge, o.Config.Models.JudgeShare = "suspicious", 1
			runNode(t, o, func(ctx context.Context, n *Node) error {
				list, p := probabilities(ctx, n)
				total, condemned := 0, 0
				for i := range list {
					inv := verdictOf(ctx, t, n, &list[i])
					calls, micro, attacks := judgements(ctx, t, n, inv.ID)
					booked, cost := ledger(ctx, t, n, inv.ID)
					if calls != booked || micro != cost || calls > 0 && (micro == 0 || inv.Consultation.MicroUSD <= micro) {
						t.Errorf("%d calls for %d in the trail, %d for %d in the books, %+v", calls, micro, booked, cost, inv.Consultation)
					}
					if p[inv.ID] < alone[inv.ID]-1e-9 {
						t.Errorf("%.4f without a model became %.4f", alone[inv.ID], p[inv.ID])
					}
					total += calls
					condemned += attacks
				}
				if total == 0 || (condemned > 0) != (name == "honest") {
					t.Errorf("%d calls, %d attacks", total, condemned)
				}
				for _, text := range judgedTexts(t, server) {
					if strings.Contains(text, "ada.byron") {
						t.Errorf("the judge read a name: %q", text)
					}
				}
				return nil
			})
		})
	}
}

// TestShareOfTheJudgeHolds: with the share that ships, few of many suspicious alerts are judged.
func TestShareOfTheJudgeHolds(t *testing.T) {
	server := simulated.NewServer(simulated.Config{})
	defer server.Close()
	o := asking(server)
	o.Config.Models.Judge = "suspicious"
	text := unsure(t)[0]
	runNode(t, o, func(ctx context.Context, n *Node) error {
		list := many(n, t, 60, 0)
		for i := range list {
			b, ok := splice(list[i].RawPayload, "commandLine", text, i)
			if !ok {
				t.Fatal("no command line to write into")
			}
			a, err := n.Registry.Normalise(ingest.Record{Raw: b}, "wazuh", "default", time.Now())
			if err != nil {
				return err
			}
			list[i] = a
		}
		if err := n.Offer(ctx, list); err != nil {
			return err
		}
		if err := n.Settled(ctx); err != nil {
			return err
		}
		ids, judged := map[string]bool{}, map[string]bool{}
		for i := range list {
			inv := verdictOf(ctx, t, n, &list[i])
			ids[inv.ID] = true
			if calls, _ := ledger(ctx, t, n, inv.ID); calls > 0 {
				judged[inv.ID] = true
			}
		}
		if len(ids) < 20 || len(judged) == 0 || len(judged)*20 > len(ids) {
			t.Errorf("%d of %d investigations are judged", len(judged), len(ids))
		}
		return nil
	})
}
