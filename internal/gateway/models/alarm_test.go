package models

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/aluskort/aluskort/internal/llm"
	"github.com/aluskort/aluskort/internal/llm/registry"
	"github.com/aluskort/aluskort/internal/llm/route"
	"github.com/aluskort/aluskort/internal/llm/spend"
)

func attempt(cost int64, prompt int64) []route.Attempt {
	return []route.Attempt{{Made: true, Spent: spend.Entry{Cost: registry.Micro(cost), Usage: llm.Usage{Input: prompt, Known: true}}}}
}

// TestC13CacheMissStorm: after the instructions changed, prompts are no longer read from the
// provider's cache and cost ten times as much. The alarm comes within five minutes, once.
func TestC13CacheMissStorm(t *testing.T) {
	var p priceAlarm
	now := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
	for range 60 {
		now = now.Add(30 * time.Second)
		if e := p.note(now, attempt(200, 2000)); e != nil {
			t.Fatalf("an even price raised an alarm: %+v", e)
		}
	}
	changed, alarms := now, 0
	for range 60 {
		now = now.Add(15 * time.Second)
		e := p.note(now, attempt(2000, 2000))
		if e == nil {
			continue
		}
		if alarms++; now.Sub(changed) > alarmWindow || e.Kind != "spend.soft_limit" || !strings.Contains(e.Reason, "prompt cache") {
			t.Errorf("after %s: %+v", now.Sub(changed), e)
		}
	}
	if alarms != 1 {
		t.Errorf("%d alarms", alarms)
	}
}

func TestMoreCallsAreNoJumpOfPrice(t *testing.T) {
	var p priceAlarm
	now := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
	for i := range 2000 {
		if i < 50 {
			now = now.Add(time.Minute)
		} else {
			now = now.Add(time.Second)
		}
		if e := p.note(now, attempt(300, 2000)); e != nil {
			t.Fatalf("call %d: %+v", i, e)
		}
	}
}

// TestSumsOfTheAlarmAreThoseOfItsCalls compares them with counting anew after every step.
func TestSumsOfTheAlarmAreThoseOfItsCalls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p priceAlarm
		now := time.Date(2026, 3, 4, 5, 0, 0, 0, time.UTC)
		for range rapid.IntRange(1, 60).Draw(t, "calls") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1200).Draw(t, "seconds")) * time.Second)
			p.note(now, attempt(rapid.Int64Range(0, 9).Draw(t, "cost"), rapid.Int64Range(0, 9).Draw(t, "prompt")))
			var before, after priceSum
			for i := range p.calls {
				c := &p.calls[i]
				switch age := now.Sub(c.at); {
				case age > alarmBaseline:
					t.Fatalf("a call of %s ago is remembered", age)
				case age > alarmWindow:
					before.count(c, 1)
				default:
					after.count(c, 1)
				}
			}
			if before != p.before || after != p.after {
				t.Fatalf("%+v and %+v, want %+v and %+v", p.before, p.after, before, after)
			}
		}
	})
}
