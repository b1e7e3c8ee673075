package auditlog

import (
	"errors"
	"slices"
	"testing"
)

func TestMessageRoundTrip(t *testing.T) {
	m, err := DecodeMessage(messageOf(t, "origin-1", "acme", 7, 9))
	if err != nil {
		t.Fatal(err)
	}
	if m.Origin != "origin-1" || m.Tenant != "acme" || m.From != 7 || m.To != 9 || len(m.Events) != 3 {
		t.Errorf("message %s %s %d to %d with %d events", m.Origin, m.Tenant, m.From, m.To, len(m.Events))
	}
	for i, e := range m.Events {
		if e.Err != nil || e.View.AlertID != []string{"origin-1/7", "origin-1/8", "origin-1/9"}[i] {
			t.Errorf("event %d: %s, %v", i, e.View.AlertID, e.Err)
		}
	}
}

func TestMessageEveryBitAndEveryCut(t *testing.T) {
	good := messageOf(t, "origin-1", "acme", 1, 2)
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 0x10
		if m, err := DecodeMessage(bad); !errors.Is(err, ErrMessage) || m.Origin != "" {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if m, err := DecodeMessage(good[:i]); !errors.Is(err, ErrMessage) || m.Origin != "" {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

func TestMessageOfAWrongProducer(t *testing.T) {
	e := event(t, "origin-1", 1)
	wire, err := e.AppendWire(nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		payload []byte
		header  bool // origin and numbers can be believed
	}{
		{"fewer events than numbers", messageWith("o", "acme", 1, 3, wire), true},
		{"more events than numbers", messageWith("o", "acme", 1, 1, wire, wire), true},
		{"no events", messageWith("o", "acme", 1, 1), true},
		{"numbers the wrong way round", messageWith("o", "acme", 2, 1, wire), false},
		{"number 0", messageWith("o", "acme", 0, 0, wire), false},
		{"numbers beyond reason", messageWith("o", "acme", 1, 1<<40, wire), false},
		{"negative number", messageWith("o", "acme", 1, -1, wire), false},
		{"no origin", messageWith("", "acme", 1, 1, wire), false},
		{"no tenant", messageWith("o", "", 1, 1, wire), false},
		{"tenant not UTF-8", messageWith("o", "\xff", 1, 1, wire), false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			m, err := DecodeMessage(tc.payload)
			if !errors.Is(err, ErrMessage) || (m.Origin != "") != tc.header || len(m.Events) != 0 {
				t.Errorf("origin %q, %d events, error %v", m.Origin, len(m.Events), err)
			}
		})
	}
}

func FuzzDecodeMessage(f *testing.F) {
	f.Add(messageOf(f, "origin-1", "acme", 1, 2))
	f.Add(messageWith("o", "acme", 1, 3, []byte("x")))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, payload []byte) {
		// The checksum is put right, so that what lies behind it is reached too.
		if len(payload) > fixedHead+sumSize {
			body := slices.Clone(payload[:len(payload)-sumSize])
			payload = finish(body, int64(payload[fromOffset+7]), int64(payload[fromOffset+15]))
		}
		m, err := DecodeMessage(payload)
		if err != nil {
			if !errors.Is(err, ErrMessage) || len(m.Events) > 0 {
				t.Errorf("%d events, error %v", len(m.Events), err)
			}
			return
		}
		if int64(len(m.Events)) != m.To-m.From+1 || m.Origin == "" || m.Tenant == "" {
			t.Errorf("accepted %q %q %d to %d with %d events", m.Origin, m.Tenant, m.From, m.To, len(m.Events))
		}
	})
}
