package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/audit"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/engine/bus"
)

// swelling makes entities of n bytes out of every alert titled "large".
type swelling int

func (n swelling) Parse(a *alert.Alert) alert.Entities {
	out := alert.Entities{List: []alert.Entity{{Type: alert.Host, Value: "ws-1", Confidence: 1}}}
	if a.Title == "large" {
		out.Indicators = []alert.Indicator{{Value: strings.Repeat("x", int(n))}}
	}
	return out
}

func frame(t *testing.T, title string) bus.Record {
	t.Helper()
	b, err := alert.AppendFrame(nil, &alert.Message{Alert: alert.Alert{ID: title, Source: "test", TenantID: "a", Title: title, RawPayload: []byte("{}")}})
	if err != nil {
		t.Fatal(err)
	}
	return bus.Record{Topic: bus.AlertsRaw, Value: b}
}

// B4: a record that outgrows the bus on its way is a dead letter; it must not end the stage.
func TestB4WhatOutgrowsTheBusIsADeadLetter(t *testing.T) {
	p := &Parser{
		Stage:    Stage{Clock: clock.System{}, Log: slog.New(slog.DiscardHandler)},
		Entities: swelling(bus.MaxRecordBytes),
		Fields:   func(string, []byte) (alert.Fields, error) { return nil, nil },
	}
	work, err := p.parse(context.Background(), regular, bus.Batch{Records: []bus.Record{frame(t, "small"), frame(t, "large"), {Value: []byte("junk")}}})
	if err != nil {
		t.Fatal(err)
	}
	if len(work.out) != 1 || len(work.letters) != 2 || work.letters[0].Reason != "limit" || work.letters[1].Reason != "frame" {
		t.Errorf("%d records, letters %+v", len(work.out), work.letters)
	}
}

func TestOfferRefusesATenantWithoutAChain(t *testing.T) {
	in := &Intake{}
	for _, tenant := range []string{"", strings.Repeat("x", audit.MaxName+1), "\xff"} {
		if err := in.Offer(context.Background(), []alert.Alert{{ID: "1", TenantID: tenant}}); !errors.Is(err, audit.ErrTenant) {
			t.Errorf("tenant %.8q: %v", tenant, err)
		}
	}
}
