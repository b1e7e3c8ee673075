// Package ingesttest is the behaviour suite that every adapter passes: golden files, records
// from which each field was taken in turn, and fuzzing.
package ingesttest

import (
	"bytes"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aluskort/aluskort/internal/alert"
	"github.com/aluskort/aluskort/internal/ingest"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Now is the time of acceptance in all tests.
var Now = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// Tenant is the tenant of the credential in all tests.
const Tenant = "acme"

// Natives returns the native records of a folder: name without ".json" to content.
func Natives(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no native records in %s (%v)", dir, err)
	}
	out := make(map[string][]byte, len(files))
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(name), ".json")] = bytes.TrimSpace(b)
	}
	return out
}

// Golden normalises every testdata/*.json and compares the canonical alert with the .golden
// file beside it. With -update it writes them.
func Golden(t *testing.T, a ingest.Adapter) {
	reg := ingest.New(a)
	for name, raw := range Natives(t, "testdata") {
		t.Run(name, func(t *testing.T) {
			got, err := reg.Normalise(ingest.Record{Raw: raw}, ingest.Auto, Tenant, Now)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.RawPayload, raw) {
				t.Error("the native bytes were changed")
			}
			checkRefs(t, reg, raw, &got)
			text, err := json.Marshal(&got, jsontext.WithIndent("  "))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, filepath.Join("testdata", name+".golden"), append(text, '\n'))
		})
	}
}

func compare(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; look, then run with -update\ngot\n%s\nwant\n%s", file, got, want)
	}
}

// checkRefs makes sure that every link points at a field of the record, and that the fields
// can be had again from the native bytes.
func checkRefs(t *testing.T, reg *ingest.Registry, raw []byte, a *alert.Alert) {
	t.Helper()
	for _, l := range a.Links {
		if !slices.ContainsFunc(a.Fields, func(f alert.Field) bool { return f.Pointer == l.Ref }) {
			t.Errorf("link %s %q points to %q, which is no field", l.Kind, l.Value, l.Ref)
		}
	}
	again, err := reg.Fields(a.Source, raw)
	if err != nil || !slices.Equal(again, a.Fields) {
		t.Errorf("the fields of the native bytes differ from those of the alert (%v)", err)
	}
}

// EachFieldRemoved takes every field out of the record in turn, at every depth, and expects an
// alert with a title, an id and a severity all the same, unless the pointer is in needed.
func EachFieldRemoved(t *testing.T, a ingest.Adapter, raw []byte, needed ...string) {
	t.Helper()
	reg := ingest.New(a)
	var doc any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	n := 0
	removeEach(doc, "", func(pointer string) {
		n++
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		got, err := reg.Normalise(ingest.Record{Raw: text}, a.Descriptor().Name, Tenant, Now)
		switch {
		case slices.Contains(needed, pointer):
			var reject *ingest.RejectError
			if !errors.As(err, &reject) || len(reject.Reason) < 8 {
				t.Errorf("without %s: got %v, want a rejection with its reason", pointer, err)
			}
		case err != nil:
			t.Errorf("without %s: %v", pointer, err)
		case got.Title == "" || got.ID == "" || got.EntitiesRaw == "":
			t.Errorf("without %s: title %q, id %q, entities %q", pointer, got.Title, got.ID, got.EntitiesRaw)
		}
	})
	if n < 5 {
		t.Errorf("only %d fields were removed", n)
	}
}

// removeEach calls fn with the document as it is without each member in turn.
func removeEach(v any, at string, fn func(pointer string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			member := v[key]
			pointer := at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
			delete(v, key)
			fn(pointer)
			v[key] = member
			removeEach(member, pointer, fn)
		}
	case []any:
		for i := range v {
			removeEach(v[i], at+"/"+strconv.Itoa(i), fn)
		}
	}
}

// Missing normalises the record without the fields at the given top-level or dotted paths, and
// returns the alert.
func Missing(t *testing.T, a ingest.Adapter, raw []byte, pointers ...jsontext.Pointer) alert.Alert {
	t.Helper()
	var doc any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	for _, p := range pointers {
		if !remove(doc, p) {
			t.Fatalf("the record has no %s", p)
		}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ingest.New(a).Normalise(ingest.Record{Raw: text}, ingest.Auto, Tenant, Now)
	if err != nil {
		t.Fatalf("without %v: %v", pointers, err)
	}
	return got
}

func remove(doc any, p jsontext.Pointer) bool {
	for token := range p.Parent().Tokens() {
		switch v := doc.(type) {
		case map[string]any:
			doc = v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i >= len(v) {
				return false
			}
			doc = v[i]
		}
	}
	m, ok := doc.(map[string]any)
	if !ok {
		return false
	}
	if _, ok := m[p.LastToken()]; !ok {
		return false
	}
	delete(m, p.LastToken())
	return true
}

// Normalise normalises one record with one adapter, given by name.
func Normalise(t testing.TB, a ingest.Adapter, raw string) (alert.Alert, error) {
	t.Helper()
	return ingest.New(a).Normalise(ingest.Record{Raw: []byte(raw)}, a.Descriptor().Name, Tenant, Now)
}

// Fuzz feeds the adapter with what the fuzzer makes of its native records: never a panic, and
// either an alert that keeps the invariants or one of the documented errors.
func Fuzz(f *testing.F, a ingest.Adapter) {
	for _, raw := range Natives(f, "testdata") {
		f.Add(raw)
	}
	f.Add([]byte(`{}`))
	reg := ingest.New(a)
	name := a.Descriptor().Name
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := reg.Normalise(ingest.Record{Raw: raw}, name, Tenant, Now)
		var reject *ingest.RejectError
		switch {
		case errors.As(err, &reject):
			if len(reject.Reason) < 8 {
				t.Fatalf("reason %q says too little", reject.Reason)
			}
		case errors.Is(err, ingest.ErrHeartbeat):
		case err != nil:
			t.Fatalf("untyped error %v", err)
		default:
			invariants(t, &got)
		}
	})
}

func invariants(t *testing.T, a *alert.Alert) {
	t.Helper()
	if a.ID == "" || a.Title == "" || a.EntitiesRaw == "" || a.TenantID != Tenant || !a.IngestedAt.Equal(Now) {
		t.Fatalf("incomplete alert %+v", a)
	}
	if len(a.Links) > ingest.MaxLinks {
		t.Fatalf("%d links", len(a.Links))
	}
	for _, x := range a.Techniques {
		if !alert.IsTechniqueID(x) {
			t.Fatalf("technique %q", x)
		}
	}
	if !a.Timestamp.Equal(a.Timestamp.Truncate(time.Microsecond)) {
		t.Fatalf("time %v is finer than microseconds", a.Timestamp)
	}
}
