package asset

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
)

// load reads a file that must be usable.
func load(t testing.TB, text string) *Org {
	t.Helper()
	o, err := Load(strings.NewReader(text), "org.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func example(t testing.TB) *Org {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "examples", "org.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return load(t, string(b))
}

// at reads a UTC time.
func at(t testing.TB, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.DateTime, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// event is an alert of tenant "default" at a quiet time, with fields as path, value pairs.
func event(t testing.TB, pairs ...string) *alert.Alert {
	t.Helper()
	a := &alert.Alert{TenantID: "default", EventStart: at(t, "2026-03-10 12:00:00")}
	for i := 0; i < len(pairs); i += 2 {
		a.Fields = append(a.Fields, alert.Field{
			Path: pairs[i], Value: pairs[i+1], Pointer: "/" + strings.ReplaceAll(pairs[i], ".", "/"),
		})
	}
	return a
}

// record flattens a JSON record as an adapter does.
func record(t testing.TB, text string) *alert.Alert {
	t.Helper()
	var fl alert.Flattener
	f, err := fl.Flatten([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	a := event(t)
	a.Fields = f
	return a
}
