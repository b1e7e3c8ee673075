package fp

import (
	"testing"
	"time"
)

func TestSwitchesFailClosed(t *testing.T) {
	s := &Switches{}
	allowed := func(at time.Time) bool {
		ok, why := s.Allowed(at, "default", "p", "wazuh", []string{"T1046"})
		if ok != (why == "") {
			t.Errorf("%v with reason %q", ok, why)
		}
		return ok
	}
	if allowed(testTime) {
		t.Error("allowed before the first reading")
	}
	s.Replace(nil, 1, testTime)
	for _, c := range []struct {
		age time.Duration
		ok  bool
	}{{0, true}, {MaxSwitchAge, true}, {MaxSwitchAge + time.Microsecond, false}, {-MaxSwitchAge - time.Microsecond, false}} {
		if got := allowed(testTime.Add(c.age)); got != c.ok {
			t.Errorf("age %v: allowed %v", c.age, got)
		}
	}
	s.Replace(nil, 1, testTime.Add(time.Hour))
	if !allowed(testTime.Add(time.Hour)) {
		t.Error("not allowed after a fresh reading")
	}
	s.Replace([]Switch{{Dimension: DimensionPattern, Value: "p", Reason: "hides an attack"}}, 3, testTime)
	if allowed(testTime) {
		t.Error("allowed although the pattern is switched off")
	}
	s.Replace(nil, 2, testTime.Add(time.Second))
	if allowed(testTime) {
		t.Error("a reading from before took the switch back")
	}
	if ok, _ := s.Allowed(testTime, "default", "", "wazuh", nil); !ok {
		t.Error("a switch on one pattern stopped everything")
	}
	short := &Switches{MaxAge: time.Second}
	short.Replace(nil, 1, testTime)
	if ok, _ := short.Allowed(testTime.Add(2*time.Second), "default", "p", "wazuh", nil); ok {
		t.Error("MaxAge is not kept")
	}
}
