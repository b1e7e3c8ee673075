package orchestrate

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/evidence"
	"github.com/aluskort/aluskort/internal/investigate"
)

// naming is an organisation that knows names of hosts and accounts, and nothing else.
type naming map[string]string

func (n naming) name(s string) string {
	if id, ok := n[s]; ok {
		return id
	}
	return s
}

func (naming) Adjust(_ string, s alert.Severity, _ []alert.Entity, _ time.Time) (alert.Severity, string) {
	return s, ""
}
func (naming) CommonLink(string, alert.LinkKind, string) bool { return false }
func (n naming) LinkValue(_ string, l *alert.Link, _ *alert.Alert) string {
	host, rest, ok := strings.Cut(l.Value, "|")
	if !ok {
		return l.Value
	}
	return n.name(host) + "|" + rest
}
func (n naming) Canonical(_, value string, _ *alert.Alert) string { return n.name(value) }
func (n naming) Owner(_ string, e *alert.Entity, _ time.Time) (string, bool) {
	return n.name(e.Value), e.Value != "nobody"
}

var known7 = naming{"ws-7": "Host:ws-7", "ws-7.example.com": "Host:ws-7", "007": "Host:ws-7", "other-7": "Host:other-7"}

// A logon session is one session whatever the host is called; two hosts stay two.
func TestLinksFollowTheIdentityOfAHost(t *testing.T) {
	for _, org := range []naming{nil, known7} {
		b := open(t)
		if org != nil {
			b.cfg.Org = org
		}
		out := b.process(
			message("anchor", "anchor", "5 k", withLink(alert.LinkSession, "ws-7|3e9")),
			message("fqdn", "fqdn", "1 w", withLink(alert.LinkSession, "ws-7.example.com|3e9")),
			message("agent", "agent", "1 w", withLink(alert.LinkProcess, "007|12|x")),
			message("other", "other", "1 w", withLink(alert.LinkSession, "other-7|3e9")),
		)
		want := 0
		if org != nil {
			want = 1
		}
		if n := len(b.lent(out[1].Investigation)); n != want {
			t.Errorf("known names %v: %d links, want %d", org, n, want)
		}
		b.process(message("agent anchor", "agent anchor", "5 k", withLink(alert.LinkProcess, "ws-7|12|x")))
		b.settle()
		if n := len(b.lent(out[2].Investigation)); n != want {
			t.Errorf("known names %v: %d links by process, want %d", org, n, want)
		}
		if n := len(b.lent(out[3].Investigation)); n != 0 {
			t.Errorf("another host is linked")
		}
	}
}

// Repetition is counted by identity: one host under three names reaches a count, as key and as
// the one value that is not three.
func TestCountsFollowTheIdentityOfAHost(t *testing.T) {
	names := []string{"ws-7", "ws-7.example.com", "007", "ws-7"}
	for _, tt := range []struct {
		name     string
		distinct bool
		want     bool
	}{{"one key under three names", false, true}, {"one value under three names", true, false}} {
		b := open(t, counting{tt.distinct})
		b.cfg.Org = known7
		var out []Outcome
		for i, n := range names {
			out = append(out, b.process(message(fmt.Sprint(i), fmt.Sprint(i), n, func(m *alert.Message) {
				m.Alert.Product = n
				if tt.distinct {
					m.Alert.Product = "k"
				}
			}))...)
		}
		b.settle()
		for _, o := range out {
			if got := len(b.get(o.Investigation).Evidence) > 0; got != tt.want {
				t.Errorf("%s: counted %v, want %v", tt.name, got, tt.want)
			}
		}
	}
}

// B2, I8: out of order, doubled, in any batches, with links, counts and risk by identity, the
// end is the same.
func TestB2OrderDoesNotMatterUnderAnyName(t *testing.T) {
	names := []string{"ws-7", "ws-7.example.com", "007", "other-7"}
	var msgs []*alert.Message
	for i := range 24 {
		host := names[i%len(names)]
		items := []string{"1 w", "3.5 k", "1 w,-2 fine", "5 big", ""}[i%5]
		msgs = append(msgs, message(fmt.Sprint(i), fmt.Sprint(i%9), items, onHost(host), withLink(alert.LinkSession, host+"|3e9"), func(m *alert.Message) {
			m.Alert.Product = host
			m.Alert.Timestamp = start.Add(time.Duration(i*7%20) * time.Minute)
			m.Alert.Severity = []alert.Severity{alert.Low, alert.Medium, alert.High}[i%3]
		}))
	}
	end := func(rng *rand.Rand, portion int) map[string]string {
		b := open(t, counting{})
		b.cfg.Org = known7
		list := append([]*alert.Message(nil), msgs...)
		if rng != nil {
			list = append(list, msgs[rng.IntN(len(msgs))], msgs[rng.IntN(len(msgs))])
			rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		}
		ids := map[string]bool{}
		for len(list) > 0 {
			n := min(portion, len(list))
			for _, o := range b.process(list[:n]...) {
				ids[o.Investigation] = true
			}
			list = list[n:]
			if rng != nil && rng.IntN(3) == 0 {
				b.settle()
			}
		}
		b.settle()
		state := map[string]string{}
		for id := range ids {
			inv := b.get(id)
			state[id] = fmt.Sprintf("%s %.6f %s %s %d %v risk %s", inv.Verdict.Classification, inv.Verdict.Probability, inv.State, inv.Verdict.Severity, inv.Alerts, evidenceOf(inv), inv.RiskState)
		}
		return state
	}
	want := end(nil, len(msgs))
	for seed := range uint64(15) {
		rng := rand.New(rand.NewPCG(seed, 4))
		if d := cmp.Diff(want, end(rng, 1+rng.IntN(10))); d != "" {
			t.Fatalf("seed %d: %s", seed, d)
		}
	}
}

func evidenceOf(inv *investigate.Investigation) (out []string) {
	for _, e := range inv.Evidence {
		out = append(out, fmt.Sprintf("%s %+.4f", e.ID, e.Counted))
	}
	return out
}

var _ evidence.Source = counting{}

func (naming) Classes(string, []alert.Entity, time.Time) []string { return nil }
