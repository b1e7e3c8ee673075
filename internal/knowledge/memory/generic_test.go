package memory

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aluskort/aluskort/internal/alert"
)

func TestGeneric(t *testing.T) {
	entities := []alert.Entity{
		{Type: alert.Host, Value: "FIN-7"}, {Type: alert.Host, Value: "fin-7.corp.example.com"}, {Type: alert.Account, Value: "ada"},
		{Type: alert.IP, Value: "192.0.2.7"}, {Type: alert.Process, Value: "powershell.exe"}, {Type: alert.Account, Value: "x"}, {Type: alert.Account, Value: "müller"},
	}
	for in, want := range map[string]string{
		"Logon of ADA on fin-7": "Logon of <account> on <host>",
		"FIN-7.corp.example.com (192.0.2.7) started powershell.exe": "<host> (<ip>) started powershell.exe",
		"adaptive radar, data":          "adaptive radar, data",
		"fin-77 and afin-7 stay, FIN-7": "fin-77 and afin-7 stay, <host>",
		"192.0.2.70":                    "192.0.2.70",
		"x marks the spot":              "x marks the spot",
		"müller and Amüller":            "<account> and Amüller",
		"":                              "",
		"adaada ada":                    "adaada <account>",
	} {
		if got := Generic(in, entities); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func FuzzGeneric(f *testing.F) {
	f.Add("Logon of ada on FIN-7", "ada")
	f.Add("ééé é", "é")
	f.Add("\xff\xff", "\xff\xff")
	f.Fuzz(func(t *testing.T, text, name string) {
		got := Generic(text, []alert.Entity{{Type: alert.Host, Value: name}})
		if utf8.ValidString(text) && utf8.ValidString(name) && !utf8.ValidString(got) {
			t.Fatalf("%q becomes %q", text, got)
		}
		if len(name) > 1 && utf8.ValidString(text) && utf8.ValidString(name) && strings.HasPrefix(text, name+" ") && !strings.HasPrefix(got, "<host>") {
			t.Fatalf("%q keeps %q", text, name)
		}
	})
}
