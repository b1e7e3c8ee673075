package api_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/clock"
	"github.com/aluskort/aluskort/internal/ingest"
)

func read(t testing.TB, in string) (out []api.Native) {
	t.Helper()
	err := api.ReadRecords((&ingest.Reader{Envelopes: []string{"results"}}), strings.NewReader(in), "x", func(n api.Native) error {
		out = append(out, n)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestReadRecordsKeepsBrokenBytes(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string // bytes; broken ones in front of a "!"
	}{
		"lines":           {"{\"a\":1}\n{\"b\": oops}\n{\"c\":3}\n", []string{`{"a":1}`, `!{"b": oops}`, `{"c":3}`}},
		"text":            {"hello\nworld\n{\"a\":1}", []string{"!hello", "!world", `{"a":1}`}},
		"cut":             {"{\"a\":1}\n{\"b\":[1,2", []string{`{"a":1}`, `!{"b":[1,2`}},
		"byte order mark": {"\ufeff{\"b\" 1}\n{\"a\":1}", []string{`!{"b" 1}`, `{"a":1}`}},
		"UTF-16":          {"\xff\xfe{\x00x\x00}\x00", []string{"!{x}"}},
		"blank":           {" \n\n", nil},
	} {
		var got []string
		for _, n := range read(t, c.in) {
			s := string(n.Raw)
			if n.Err != nil {
				s = "!" + s
			}
			got = append(got, s)
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestReadRecordsTellsTheSizeOfGiants(t *testing.T) {
	got := read(t, `{"a":1}`+"\n"+`{"b":"`+strings.Repeat("x", alert.MaxRecord)+"\"}\n"+`{"c":1}`)
	if len(got) != 3 || got[1].Size <= alert.MaxRecord || len(got[1].Raw) > alert.MaxRecord || string(got[2].Raw) != `{"c":1}` {
		t.Errorf("%d records", len(got))
	}
}

func FuzzReadRecords(f *testing.F) {
	for _, s := range []string{`{"a":1}`, "[{}, 1, {\"x\":", "\xff\xfe{\x00", "a,b\n1,2\n", `{"results":[{"a":1},2]}`, "\x1f\x8b\x08\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		last := -1
		_ = api.ReadRecords(&ingest.Reader{Envelopes: []string{"results"}}, strings.NewReader(in), "x", func(n api.Native) error {
			if n.Index != last+1 {
				t.Errorf("record %d follows %d", n.Index, last)
			}
			last = n.Index
			if n.Size < 0 || len(n.Raw) > alert.MaxRecord && n.Err != nil {
				t.Errorf("record %d: size %d, %d bytes", n.Index, n.Size, len(n.Raw))
			}
			return nil
		})
	})
}

func TestSender(t *testing.T) {
	var in strings.Builder
	for range 1200 {
		in.WriteString(plain(t) + "\n")
	}
	in.WriteString("this is no JSON\n{\"odd\":1}\n" + plain(t) + "\n" + `{"big":"` + strings.Repeat("x", alert.MaxRecord) + `"}` + "\n" + plain(t))
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		busy := 3
		f.offer = func(context.Context, int) error {
			if busy--; busy >= 0 {
				return errors.New("not now")
			}
			return nil
		}
		s := &api.Sender{Client: api.Direct(f.api, must1(everybody{}.Verify(""))), Reader: shared.node.Registry.Reader(), Source: ingest.Auto, Clock: clock.System{}}
		got, err := s.Send(t.Context(), strings.NewReader(in.String()), "x")
		if err != nil {
			t.Fatal(err)
		}
		if got.Accepted != 1202 || len(got.Rejected) != 3 || f.letters != 2 {
			t.Errorf("accepted %d, rejected %+v, %d letters", got.Accepted, got.Rejected, f.letters)
		}
		for i, want := range []int{1200, 1201, 1203} {
			if !strings.Contains(fmt.Sprint(indices(got.Rejected)), fmt.Sprint(want)) {
				t.Errorf("rejection %d: no index %d in %v", i, want, indices(got.Rejected))
			}
		}
		if len(f.calls) < 5 {
			t.Errorf("%d calls; the file must be sent in parts and again when refused", len(f.calls))
		}
	})
}

func indices(list []api.Rejected) (out []int) {
	for _, r := range list {
		out = append(out, r.Index)
	}
	return out
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
