package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aluskort/aluskort/internal/api"
)

const ownRule = `title: Logins of a test
id: 3f1c1b52-5d0e-4b7e-9a0b-6f3f5a1d7e21
status: stable
level: low
description: Matches the logins of this test.
author: ALUSKORT
date: 2026-03-01
logsource: {product: linux}
detection:
  selection: {rule.id: '5710'}
  condition: selection
aluskort:
  stance: malicious
  weight: 1
  kind: test.logins
  statement: 'a login of the test'
`

// TestReloadCommand changes and breaks a file beside a running server.
func TestReloadCommand(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	s := serve(t, state)
	rule := filepath.Join(state, "rules", "mine.yml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(rule, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out := s.want(t, exitDone, "reload"); !strings.Contains(out, "nothing changed") {
		t.Errorf("reload says %q", out)
	}
	write(ownRule)
	var got api.Reloaded
	if err := json.Unmarshal([]byte(s.want(t, exitDone, "reload", "--json")), &got); err != nil || len(got.Changed) != 1 || got.Changed[0] != "rules" {
		t.Errorf("%+v, %v", got, err)
	}
	write(strings.Replace(ownRule, "stance: malicious", "stance: undecided", 1))
	if out := s.want(t, exitFailed, "reload"); !strings.Contains(out, "nothing was changed") || !strings.Contains(out, "mine.yml") {
		t.Errorf("a broken rule: %q", out)
	}
	write(ownRule)
	if out := s.want(t, exitDone, "reload"); !strings.Contains(out, "nothing changed") {
		t.Errorf("the old rule again: %q", out)
	}
	if code := s.end(t); code != exitDone {
		t.Fatalf("serve ended with %d: %s", code, s.errs)
	}
	if out := s.want(t, exitDone, "reload"); !strings.Contains(out, "no server runs") {
		t.Errorf("without a server: %q", out)
	}
	if out := s.want(t, exitDone, "audit", "export"); strings.Count(out, "config.changed") != 2 {
		t.Errorf("%d records of a change", strings.Count(out, "config.changed"))
	}
}

// TestTaxonomyIsInUseAtOnce imports a technique that did not exist.
func TestTaxonomyIsInUseAtOnce(t *testing.T) {
	s := serve(t, filepath.Join(t.TempDir(), "state"))
	bundle := filepath.Join(t.TempDir(), "enterprise.json")
	text := `{"type":"bundle","id":"bundle--0b8e1a38-2c51-4f8b-9d7e-0a3a5a2b1c11","objects":[
		{"type":"x-mitre-collection","id":"x-mitre-collection--1f5f1533-f617-4ca8-9ab4-6a02367fa019","name":"Enterprise ATT&CK","x_mitre_version":"99.9"},
		{"type":"attack-pattern","id":"attack-pattern--0b8e1a38-2c51-4f8b-9d7e-0a3a5a2b1c12","name":"Invented for a test","x_mitre_domains":["enterprise-attack"],
		 "kill_chain_phases":[{"kill_chain_name":"mitre-attack","phase_name":"discovery"}],
		 "external_references":[{"source_name":"mitre-attack","external_id":"T9998"}]}]}`
	if err := os.WriteFile(bundle, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	line := strings.ReplaceAll(read(t, example), "\n", "\x00")
	line, _, _ = strings.Cut(line, "\x00")
	line = strings.ReplaceAll(line, "T1105", "T9998")
	techniques := func(id string) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), "alert.jsonl")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(line, "Example00001", id)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.want(t, exitDone, "ingest", file)
		for range 400 { // each is a request; the verdict is made meanwhile
			var page api.Page
			if err := json.Unmarshal([]byte(s.want(t, exitDone, "review", "list", "--limit", "1", "--json")), &page); err != nil {
				t.Fatal(err)
			}
			if len(page.Investigations) == 1 {
				return s.want(t, exitDone, "review", "show", page.Investigations[0].ID, "--json")
			}
		}
		t.Fatal("no verdict")
		return ""
	}
	s.want(t, exitDone, "taxonomy", "import", bundle)
	if out := s.want(t, exitDone, "taxonomy", "status"); !strings.Contains(out, "99.9") {
		t.Errorf("status says %q", out)
	}
	if out := techniques("imported"); !strings.Contains(out, "Invented for a test") {
		t.Errorf("the imported technique is not known: %s", out)
	}
	if code := s.end(t); code != exitDone {
		t.Fatalf("serve ended with %d: %s", code, s.errs)
	}
	if out := s.want(t, exitDone, "audit", "export"); strings.Count(out, "config.changed") != 1 || !strings.Contains(out, "taxonomy_after") {
		t.Errorf("%d records of a change", strings.Count(out, "config.changed"))
	}
}

// TestPriorsCommand learns from a person's verdict, through the server and without it.
func TestPriorsCommand(t *testing.T) {
	s := serve(t, filepath.Join(t.TempDir(), "state"))
	if out := s.want(t, exitDone, "priors", "list"); !strings.Contains(out, "0 analytics") || !strings.Contains(out, "never fitted") {
		t.Errorf("list says %q", out)
	}
	s.want(t, exitDone, "ingest", example)
	id, _ := s.waiting(t)
	s.want(t, exitDone, "review", "conclude", id, "--class", "true_positive", "--reason", "real")
	if out := s.want(t, exitDone, "priors", "list"); !strings.Contains(out, "0 analytics") {
		t.Errorf("learned before the fit: %q", out)
	}
	if out := s.want(t, exitDone, "priors", "refit"); !strings.Contains(out, "1 analytics") {
		t.Errorf("refit says %q", out)
	}
	var list api.PriorList
	if err := json.Unmarshal([]byte(s.want(t, exitDone, "priors", "list", "--json")), &list); err != nil || len(list.Priors) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	if p := list.Priors[0]; p.Malicious != 1 || p.Benign != 0 || p.Moved["high"] <= 0 || p.Source != "wazuh" {
		t.Errorf("%+v", p)
	}
	if code := s.end(t); code != exitDone {
		t.Fatalf("serve ended with %d: %s", code, s.errs)
	}
	if out := s.want(t, exitDone, "priors", "list"); !strings.Contains(out, list.Version) {
		t.Errorf("without a server: %q", out)
	}
	s.want(t, exitDone, "priors", "refit")
	if out := s.want(t, exitDone, "audit", "export"); strings.Count(out, "config.changed") != 1 {
		t.Errorf("%d records of a change", strings.Count(out, "config.changed"))
	}
}
