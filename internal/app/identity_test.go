package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/asset"
	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/ingest"
)

// A logon session is known under the identity of its host: a host under several names has one,
// two hosts under one name have two, and what org.yaml does not list stays as it is written. The
// fingerprint, and so the investigation, does not depend on org.yaml.
func TestSessionsAreKnownByTheIdentityOfTheirHost(t *testing.T) {
	org, err := asset.Load(strings.NewReader(`
domains: [{netbios: EXAMPLE, dns: [example.com, lab.example.com]}]
hosts:
  - {name: ws-07.example.com, aliases: [old-ws-07]}
  - {name: ws-08.example.com}
  - {name: ws-08.lab.example.com}
`), "org.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{ // computer: host of the session
		"WS-07": "Host:ws-07.example.com", "ws-07.example.com": "Host:ws-07.example.com", "OLD-WS-07": "Host:ws-07.example.com",
		"ws-08.example.com": "Host:ws-08.example.com", "ws-08.lab.example.com": "Host:ws-08.lab.example.com",
		"ws-08": "ws-08", "ws-09.example.com": "ws-09", "ws-07.other.test": "ws-07",
	}
	run := func(o *asset.Org) (sessions, investigations map[string]string) {
		sessions, investigations = map[string]string{}, map[string]string{}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		n, err := Open(ctx, Options{Dir: t.TempDir(), Config: config.Default(), Org: o})
		if err != nil {
			t.Fatal(err)
		}
		runCtx, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- n.Run(runCtx) }()
		var alerts []alert.Alert
		for computer := range want {
			raw := fmt.Sprintf(`{"_index":"wazuh-alerts-4.x","_id":%q,"_source":{"agent":{"id":"001","name":%q},"manager":{"name":"m"},
				"rule":{"id":"60106","level":5,"description":"Windows logon success"},"id":"1.1","timestamp":"2026-03-03T07:00:02.120Z",
				"data":{"win":{"system":{"computer":%q,"eventID":"4624","channel":"Security"},"eventdata":{"targetLogonId":"0x4f1c77","targetUserName":"ada"}}}}}`, computer, computer, computer)
			a, err := n.Registry.Normalise(ingest.Record{Raw: []byte(raw)}, "wazuh", "default", time.Date(2026, 3, 3, 8, 0, 0, 0, time.UTC))
			if err != nil {
				t.Fatal(err)
			}
			alerts = append(alerts, a)
		}
		if err := errors.Join(n.Offer(ctx, alerts), n.Settled(ctx)); err != nil {
			t.Fatal(err)
		}
		for i := range alerts {
			loc, err := n.Engine.Locate(ctx, "default", "wazuh", alerts[i].ID)
			if err != nil {
				t.Fatal(err)
			}
			inv, err := n.Engine.Get(ctx, "default", loc.Investigation)
			if err != nil {
				t.Fatal(err)
			}
			investigations[alerts[i].ID] = inv.ID
			for _, l := range inv.Links {
				if l.Kind == alert.LinkSession {
					sessions[alerts[i].ID], _, _ = strings.Cut(l.Value, "|")
				}
			}
		}
		stop()
		if err := errors.Join(<-ended, n.Close()); err != nil {
			t.Error(err)
		}
		return sessions, investigations
	}
	sessions, with := run(org)
	for computer, host := range want {
		if sessions[computer] != host {
			t.Errorf("%s: the session is that of %q, want %q", computer, sessions[computer], host)
		}
	}
	plain, without := run(&asset.Org{})
	for computer := range want {
		if with[computer] != without[computer] {
			t.Errorf("%s: org.yaml changed the investigation", computer)
		}
		if host := plain[computer]; host != ingest.ShortHost(computer) {
			t.Errorf("%s: without org.yaml the session is that of %q", computer, host)
		}
	}
}
