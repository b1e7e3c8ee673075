package fp

import (
	"fmt"
	"net/netip"
	"path"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/aluskort/aluskort/internal/alert"
)

// oracle is the specification read literally: every pattern, one by one, without an index.
func oracle(list []*Pattern, a *alert.Alert, e *alert.Entities) (id string, conf float64, ok bool) {
	text := func(t Text, v string) bool {
		v, w := strings.ToLower(v), strings.ToLower(t.Value)
		switch t.Op {
		case Equals:
			return v == w
		case Prefix:
			return strings.HasPrefix(v, w)
		case Glob:
			fits, err := path.Match(w, v) // the alphabet has no slash, bracket or backslash
			return err == nil && fits
		}
		addr, err := netip.ParseAddr(v)
		return err == nil && netip.MustParsePrefix(t.Value).Contains(addr)
	}
	for _, p := range list {
		named := len(p.Analytics) > 0 || len(p.AlertNames) > 0
		if len(p.Analytics) > 0 {
			named = false
			for _, x := range p.Analytics {
				named = named || strings.EqualFold(x, a.Analytic)
			}
		}
		if len(p.AlertNames) > 0 {
			fits := false
			for _, n := range p.AlertNames {
				fits = fits || text(n, a.Title)
			}
			named = named && fits
		}
		if !named || p.Tenant != a.TenantID {
			continue
		}
		satisfied := 0
		for _, c := range p.Entities {
			for _, x := range e.List {
				if x.Type == c.Type && (c.Role == "" || c.Role == x.Role) && x.Confidence >= 1 &&
					(x.Type != alert.Host || c.Role != "" || x.Role != alert.RoleSource) && text(c.Text, x.Value) {
					satisfied++
					break
				}
			}
		}
		score := 1.0
		if n := len(p.Entities); n > 0 {
			score = (1 + float64(satisfied)/float64(n)) / 2
		}
		leaves := true
		for _, c := range p.Payload {
			has := false
			for _, f := range a.Fields {
				has = has || f.Path == c.Path && text(c.Text, f.Value)
			}
			leaves = leaves && has
		}
		if leaves && score >= p.Threshold-1e-9 && (!ok || score > conf+1e-9 || score > conf-1e-9 && p.ID < id) {
			id, conf, ok = p.ID, score, true
		}
	}
	return id, conf, ok
}

// world draws from few values, so that patterns collide and alerts come close to them.
func word() *rapid.Generator[string] { return rapid.StringMatching(`[abAé]{1,3}`) }

func drawText(t *rapid.T, ops ...Op) Text {
	op := rapid.SampledFrom(ops).Draw(t, "op")
	v := word().Draw(t, "value")
	switch op {
	case Glob:
		v = rapid.StringMatching(`[ab*?]{1,5}`).Draw(t, "glob")
	case CIDR:
		v = fmt.Sprintf("192.0.2.%d/%d", rapid.IntRange(0, 7).Draw(t, "net"), rapid.IntRange(28, 32).Draw(t, "bits"))
	}
	return Text{op, v}
}

func drawDefinition(t *rapid.T) Definition {
	d := Definition{
		Name: "p", Tenant: rapid.SampledFrom([]string{"t1", "t2"}).Draw(t, "tenant"), Justification: "drawn by a generator",
		Threshold: rapid.SampledFrom([]float64{0.9, 0.95, 1}).Draw(t, "threshold"),
	}
	d.Analytics = rapid.SliceOfN(word(), 0, 2).Draw(t, "analytics")
	for range rapid.IntRange(0, 2).Draw(t, "names") {
		d.AlertNames = append(d.AlertNames, drawText(t, Equals, Prefix, Glob))
	}
	if len(d.Analytics)+len(d.AlertNames) == 0 {
		d.Analytics = []string{"a"}
	}
	for range rapid.SampledFrom([]int{0, 1, 2, 5, 6, 10}).Draw(t, "entities") {
		e := EntityCondition{Type: rapid.SampledFrom([]alert.EntityType{alert.IP, alert.Host, alert.Account}).Draw(t, "type")}
		e.Role = rapid.SampledFrom([]alert.Role{"", "", alert.RoleSource}).Draw(t, "role")
		ops := []Op{Equals, Prefix, Glob}
		if e.Type == alert.IP {
			ops = []Op{CIDR, CIDR, Prefix}
		}
		e.Text = drawText(t, ops...)
		d.Entities = append(d.Entities, e)
	}
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "payload") {
		d.Payload = append(d.Payload, PayloadCondition{rapid.SampledFrom([]string{"x", "y"}).Draw(t, "path"), drawText(t, Equals, Prefix, Glob)})
	}
	return d
}

func drawAlert(t *rapid.T) (*alert.Alert, *alert.Entities) {
	a := &alert.Alert{
		TenantID: rapid.SampledFrom([]string{"t1", "t2", "t3"}).Draw(t, "tenant"), Source: "generic",
		Title: word().Draw(t, "title"), Analytic: word().Draw(t, "analytic"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "leaves") {
		a.Fields = append(a.Fields, alert.Field{Path: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "path"), Value: word().Draw(t, "value")})
	}
	e := &alert.Entities{}
	for range rapid.IntRange(0, 5).Draw(t, "entities") {
		x := alert.Entity{
			Type:       rapid.SampledFrom([]alert.EntityType{alert.IP, alert.Host, alert.Account}).Draw(t, "type"),
			Role:       rapid.SampledFrom([]alert.Role{"", alert.RoleSource}).Draw(t, "role"),
			Confidence: rapid.SampledFrom([]float64{1, 1, 1, 0.8}).Draw(t, "confidence"), Value: word().Draw(t, "value"),
		}
		if x.Type == alert.IP {
			x.Value = fmt.Sprintf("192.0.2.%d", rapid.IntRange(0, 8).Draw(t, "address"))
		}
		e.List = append(e.List, x)
	}
	return a, e
}

// TestIndexIsTheOracle holds the index against the literal reading, with buckets large enough
// to be split by pivots.
func TestIndexIsTheOracle(t *testing.T) {
	hits := 0
	rapid.Check(t, func(t *rapid.T) {
		var list []*Pattern
		for i := range rapid.IntRange(1, 60).Draw(t, "patterns") {
			list = append(list, active(fmt.Sprintf("p%03d", i), drawDefinition(t)))
		}
		m := &Matcher{}
		if err := m.Replace(list, 1); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			a, e := drawAlert(t)
			id, conf, ok := oracle(list, a, e)
			got, gotOK := m.Match(a.TenantID, a, e, testTime)
			if gotOK != ok || got.PatternID != id || ok && (got.Confidence < conf-1e-5 || got.Confidence > conf+1e-5) {
				t.Fatalf("index says %v %+v, one by one %v %s %.6f\nalert %+v\nentities %+v", gotOK, got, ok, id, conf, a, e)
			}
			if ok {
				hits++
			}
		}
	})
	if hits == 0 {
		t.Error("no alert matched: the generator proves nothing")
	}
}

// TestSwapWhileMatching lets readers run while sets change: each answer belongs to one whole set.
func TestSwapWhileMatching(t *testing.T) {
	a, e := scanAlert()
	sets := [2][]*Pattern{}
	for i := range sets {
		for n := range 20 {
			p := active(fmt.Sprintf("set%d-%02d", i, n), scan())
			p.Name = fmt.Sprint("set", i)
			sets[i] = append(sets[i], p)
		}
	}
	m := matcher(t, sets[0]...)
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 2000 {
				got, ok := m.Match("default", a, e, testTime)
				if !ok || got.PatternID != got.Name+"-00" {
					t.Errorf("%v %+v", ok, got)
					return
				}
			}
		})
	}
	for i := range 200 {
		if err := m.Replace(sets[i%2], int64(i+2)); err != nil {
			t.Fatal(err)
		}
	}
	readers.Wait()
}
