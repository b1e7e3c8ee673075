package eval

import (
	"strings"
	"testing"
	"time"
)

var testSpan = Span{time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 9, 0, 0, 0, 0, time.UTC)}

func TestShiftTimesMovesEveryForm(t *testing.T) {
	const d = -(3*24 + 7) * time.Hour
	for _, c := range []struct{ name, in, want string }{
		{"zone", `{"t":"2026-03-04T10:01:45.245+0000"}`, `{"t":"2026-03-01T03:01:45.245+0000"}`},
		{"other zone stays", `{"t":"2026-03-04T10:01:45+02:00"}`, `{"t":"2026-03-01T03:01:45+02:00"}`},
		{"Z", `{"t":"2026-03-04T10:01:45.2456789Z"}`, `{"t":"2026-03-01T03:01:45.2456789Z"}`},
		{"space, no zone", `{"utcTime":"2026-03-04 10:01:43.883"}`, `{"utcTime":"2026-03-01 03:01:43.883"}`},
		{"inside text", `{"m":"UtcTime: 2026-03-04 10:01:43.883\r\nImage: x"}`, `{"m":"UtcTime: 2026-03-01 03:01:43.883\r\nImage: x"}`},
		{"seconds as number", `{"t":1772618505}`, `{"t":1772334105}`},
		{"seconds with fraction as number", `{"t":1772618505.25}`, `{"t":1772334105.25}`},
		{"id of a manager", `{"id":"1772618505.29669431"}`, `{"id":"1772334105.29669431"}`},
		{"milliseconds in an array", `{"sort":[1772618505245, null]}`, `{"sort":[1772334105245, null]}`},
		{"microseconds", `{"t":"1772618505245123"}`, `{"t":"1772334105245123"}`},
		{"audit record", `{"m":"type=EXECVE msg=audit(1772618505.123:456): argc=2"}`, `{"m":"type=EXECVE msg=audit(1772334105.123:456): argc=2"}`},
		{"index", `{"_index":"wazuh-alerts-4.x-2026.03.04"}`, `{"_index":"wazuh-alerts-4.x-2026.03.01"}`},
		{"syslog", `{"m":"Mar  4 10:01:45 host sshd[1]: x"}`, `{"m":"Mar  1 03:01:45 host sshd[1]: x"}`},
		{"syslog with zero", `{"m":"Mar 04 10:01:45 host"}`, `{"m":"Mar 01 03:01:45 host"}`},
		{"apache", `{"m":"- - [04/Mar/2026:10:01:45 +0000] \"GET /\""}`, `{"m":"- - [01/Mar/2026:03:01:45 +0000] \"GET /\""}`},
		{"portal", `{"m":"Mar 4, 2026 @ 10:01:45.245"}`, `{"m":"Mar 1, 2026 @ 03:01:45.245"}`},
		{"american", `{"m":"3/4/2026 10:01:45 AM"}`, `{"m":"3/1/2026 3:01:45 AM"}`},
		{"compact in a file name", `{"f":"C:\\x\\20260304100145_out.zip"}`, `{"f":"C:\\x\\20260301030145_out.zip"}`},
		{"numbers stay", `{"a":5985,"b":"1234567890","c":"10.0.26100.4202","d":[1,2.50,true]}`, ""},
		{"versions stay", `{"fileVersion":"2026.03.04.1"}`, ""},
		{"layout of the record stays", "{ \"t\" :\n\t\"2026-03-04T10:01:45Z\" }", "{ \"t\" :\n\t\"2026-03-01T03:01:45Z\" }"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == "" {
				c.want = c.in
			}
			got, err := ShiftTimes([]byte(c.in), d, testSpan)
			if err != nil || string(got) != c.want {
				t.Errorf("got %s, %v; want %s", got, err, c.want)
			}
			back, err := ShiftTimes(got, -d, testSpan)
			if err != nil || string(back) != c.in {
				t.Errorf("back: got %s, %v; want %s", back, err, c.in)
			}
		})
	}
}

func TestShiftTimesRefuses(t *testing.T) {
	if _, err := ShiftTimes([]byte(`{"t":1}`), time.Millisecond, testSpan); err == nil {
		t.Error("a shift of milliseconds passed, though forms without fraction cannot hold it")
	}
	if _, err := ShiftTimes([]byte(`{"t":`), time.Hour, testSpan); err == nil || !strings.Contains(err.Error(), "byte") {
		t.Errorf("a broken record passed: %v", err)
	}
}

func TestTimesIn(t *testing.T) {
	s, err := TimesIn([]byte(`{"a":"2026-03-04T10:01:45.245+0000","b":{"c":["2026-03-01 00:00:00"]},"d":"text of 1999-01-01 00:00:00"}`), Span{})
	if err != nil || !s.From.Equal(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)) || !s.To.Equal(time.Date(2026, 3, 4, 10, 1, 45, 0, time.UTC)) {
		t.Errorf("got %v, %v", s, err)
	}
}
