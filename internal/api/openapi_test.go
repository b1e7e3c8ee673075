package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/aluskort/aluskort/internal/api"
	"github.com/aluskort/aluskort/internal/api/token"
)

// spec holds answers against the description of the API. Its schemas are closed: a member that
// is not described is an error here, although clients must expect it.
type spec struct {
	paths    map[string]map[string]any // by route and method
	compiler *jsonschema.Compiler

	mu   sync.Mutex
	made map[string]*jsonschema.Schema
	seen map[string]bool // operations whose good answer was held against the description
}

const specURL = "https://aluskort.example/openapi.json"

func newSpec(a *api.API) (*spec, error) {
	b, err := a.OpenAPI(true)
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	s := &spec{paths: map[string]map[string]any{}, compiler: jsonschema.NewCompiler(), made: map[string]*jsonschema.Schema{}, seen: map[string]bool{}}
	s.compiler.AssertFormat()
	if err := s.compiler.AddResource(specURL, doc); err != nil {
		return nil, err
	}
	for route, item := range doc.(map[string]any)["paths"].(map[string]any) {
		s.paths[route] = item.(map[string]any)
	}
	return s, nil
}

// route finds the description of a path; literal parts win over parameters.
func (s *spec) route(path string) string {
	path, _, _ = strings.Cut(path, "?")
	want := strings.Split(path, "/")
	best, literal := "", -1
	for route := range s.paths {
		parts := strings.Split(route, "/")
		if len(parts) != len(want) {
			continue
		}
		n, fits := 0, true
		for i, p := range parts {
			switch {
			case p == want[i]:
				n++
			case !strings.HasPrefix(p, "{"):
				fits = false
			}
		}
		if fits && n > literal {
			best, literal = route, n
		}
	}
	return best
}

// check holds one answer against the description.
func (s *spec) check(method, path string, a answer) error {
	route := s.route(path)
	op, ok := s.paths[route][strings.ToLower(method)].(map[string]any)
	if !ok || a.code == http.StatusMethodNotAllowed {
		return nil // such a path or method is not part of the surface
	}
	status := strconv.Itoa(a.code)
	responses := op["responses"].(map[string]any)
	if _, described := responses[status]; !described {
		status = "default"
		if a.code < 400 {
			return fmt.Errorf("%d is not described", a.code)
		}
	}
	content, _ := responses[status].(map[string]any)["content"].(map[string]any)
	media, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	if len(content) == 0 {
		if a.body != "" {
			return errors.New("a body that is not described")
		}
		return nil
	}
	if _, described := content[media]; !described {
		return fmt.Errorf("content type %q is not described", media)
	}
	if media == "text/plain" {
		return nil
	}
	if media == "text/event-stream" { // the events have tests of their own
		s.mu.Lock()
		s.seen[method+" "+route] = true
		s.mu.Unlock()
		return nil
	}
	body, err := jsonschema.UnmarshalJSON(strings.NewReader(a.body))
	if err != nil {
		return err
	}
	schema, err := s.schema(route, method, status, media)
	if err != nil {
		return err
	}
	if err := schema.Validate(body); err != nil {
		return err
	}
	if a.code < 400 {
		s.mu.Lock()
		s.seen[method+" "+route] = true
		s.mu.Unlock()
	}
	return nil
}

func (s *spec) schema(route, method, status, media string) (*jsonschema.Schema, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace
	at := fmt.Sprintf("%s#/paths/%s/%s/responses/%s/content/%s/schema", specURL, escape(route), strings.ToLower(method), status, escape(media))
	if s.made[at] == nil {
		schema, err := s.compiler.Compile(at)
		if err != nil {
			return nil, err
		}
		s.made[at] = schema
	}
	return s.made[at], nil
}

// served is the description as clients get it.
func served(t *testing.T) (doc struct {
	OpenAPI string                                `json:"openapi"`
	Paths   map[string]map[string]map[string]any  `json:"paths"`
	Parts   map[string]map[string]json.RawMessage `json:"components"`
}, text string) {
	t.Helper()
	a := shared.call(t, "", "GET", "/api/openapi.json", nil)
	if err := json.Unmarshal([]byte(a.body), &doc); err != nil || a.code != http.StatusOK {
		t.Fatalf("%d, %v", a.code, err)
	}
	return doc, a.body
}

// TestOpenAPIHasEveryRoute: what the surface test calls is described, and nothing else is.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	doc, _ := served(t)
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("version %q", doc.OpenAPI)
	}
	missing := map[string]bool{}
	for route, methods := range doc.Paths {
		for method := range methods {
			missing[strings.ToUpper(method)+" "+route] = true
		}
	}
	for _, e := range surface() {
		route := shared.spec.route(e.path)
		op, ok := doc.Paths[route][strings.ToLower(e.method)]
		if !ok {
			t.Errorf("%s %s is not described", e.method, e.path)
			continue
		}
		delete(missing, e.method+" "+route)
		if _, secured := op["security"]; secured != (e.roles != nil) {
			t.Errorf("%s %s: security described: %v", e.method, e.path, secured)
		}
	}
	for m := range missing {
		t.Errorf("%s is described and not in the surface test", m)
	}
}

// TestOpenAPIIsSound: names are unique, references resolve, parameters of paths are declared.
func TestOpenAPIIsSound(t *testing.T) {
	doc, text := served(t)
	ids := map[string]string{}
	for route, methods := range doc.Paths {
		for method, op := range methods {
			id, _ := op["operationId"].(string)
			if other := ids[id]; id == "" || other != "" {
				t.Errorf("%s %s: id %q is that of %s", method, route, id, other)
			}
			ids[id] = method + " " + route
			if op["summary"] == "" {
				t.Errorf("%s %s has no summary", method, route)
			}
			var declared []string
			list, _ := op["parameters"].([]any)
			for _, p := range list {
				if p := p.(map[string]any); p["in"] == "path" {
					declared = append(declared, "{"+p["name"].(string)+"}")
				}
			}
			for _, part := range strings.Split(route, "/") {
				if strings.HasPrefix(part, "{") && !slices.Contains(declared, part) {
					t.Errorf("%s %s: %s is not declared", method, route, part)
				}
			}
			for status, r := range op["responses"].(map[string]any) {
				content, _ := r.(map[string]any)["content"].(map[string]any)
				for media := range content {
					if _, err := shared.spec.schema(route, strings.ToUpper(method), status, media); err != nil {
						t.Errorf("%s %s %s: %v", method, route, status, err)
					}
				}
			}
		}
	}
	for _, part := range strings.Split(text, `"$ref":"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		if _, ok := doc.Parts["schemas"][name]; !ok {
			t.Errorf("%q is referred to and does not exist", name)
		}
	}
	if strings.Contains(text, "additionalProperties\":false") {
		t.Error("clients are told that answers never grow")
	}
}

// TestOpenAPICanFail: the check sees answers that are not as described.
func TestOpenAPICanFail(t *testing.T) {
	header := http.Header{"Content-Type": {"application/json"}}
	for name, c := range map[string]struct {
		path string
		a    answer
		ok   bool
	}{
		"right":          {"/api/v1/whoami", answer{200, header, `{"name":"n","actor":"a","roles":["admin"],"tenant":"t"}`}, true},
		"member missing": {"/api/v1/whoami", answer{200, header, `{"name":"n","actor":"a","roles":["admin"]}`}, false},
		"unknown member": {"/api/v1/whoami", answer{200, header, `{"name":"n","actor":"a","roles":["admin"],"tenant":"t","x":1}`}, false},
		"wrong type":     {"/api/v1/whoami", answer{200, header, `{"name":1,"actor":"a","roles":["admin"],"tenant":"t"}`}, false},
		"unknown role":   {"/api/v1/whoami", answer{200, header, `{"name":"n","actor":"a","roles":["king"],"tenant":"t"}`}, false},
		"wrong status":   {"/api/v1/whoami", answer{204, header, ``}, false},
		"no problem":     {"/api/v1/whoami", answer{403, header, `{}`}, false},
		"wrong time":     {"/api/v1/groups", answer{200, header, `{"as_of":"yesterday","groups":[]}`}, false},
	} {
		if err := shared.spec.check("GET", c.path, c.a); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOpenAPIAnswers makes the calls that no other test of this package makes with success.
func TestOpenAPIAnswers(t *testing.T) {
	ann := shared.person(t, "ann", "default", token.Admin)
	bob := shared.person(t, "bob", "default", token.SeniorAnalyst)
	cleo := shared.person(t, "cleo", "default", token.SeniorAnalyst)
	def := definition(t, "Described", "described-")
	good := func(a answer) answer {
		t.Helper()
		if a.code != http.StatusOK {
			t.Fatalf("%d %s", a.code, a.body)
		}
		return a
	}
	propose := func() string {
		t.Helper()
		return "/api/v1/patterns/" + decodeInto[api.PatternResult](t, good(ann("POST", "/api/v1/patterns", `{"definition":`+def+`}`))).Pattern.ID
	}
	good(ann("POST", "/api/v1/patterns/backtest", `{"definition":`+def+`}`))
	good(bob("POST", propose()+"/reject", `{"reason":"no"}`))
	path := propose()
	good(bob("POST", path+"/approve", `{"reason":"r","version":1}`))
	good(cleo("POST", path+"/approve", `{"reason":"r","version":2}`))
	good(bob("POST", path+"/reaffirm", `{"reason":"r","version":3}`))
	good(bob("POST", path+"/revoke", `{"reason":"r"}`))
	good(ann("POST", "/api/v1/intel/import?feed=described", "198.51.100.99\nnot an indicator at all\n"))
	good(ann("POST", "/api/v1/taxonomy/import", `{"type":"bundle","id":"bundle--0b8e1a38-2c51-4f8b-9d7e-0a3a5a2b1c13","objects":[
		{"type":"attack-pattern","id":"attack-pattern--0b8e1a38-2c51-4f8b-9d7e-0a3a5a2b1c14","name":"Invented for a test","x_mitre_domains":["ics-attack"],
		 "x_mitre_version":"1.0","kill_chain_phases":[{"kill_chain_name":"mitre-ics-attack","phase_name":"discovery"}],
		 "external_references":[{"source_name":"mitre-ics-attack","external_id":"T0999"}]}]}`))
	for _, path := range []string{"/_bulk", "/alerts/_bulk"} {
		for _, method := range []string{"POST", "PUT"} {
			good(shared.call(t, token.Ingest, method, path, strings.NewReader("{\"index\":{}}\n"+plain(t)+"\n")))
		}
	}
}

// unseen lists operations of which no test saw a good answer. Some have none, and a promotion
// needs the decisions of weeks.
func (s *spec) unseen() (out []string) {
	for route, methods := range s.paths {
		for method := range methods {
			op := strings.ToUpper(method) + " " + route
			if !s.seen[op] && !slices.Contains([]string{"GET /metrics", "POST /services/collector/ack", "POST /api/v1/patterns/{id}/promote"}, op) {
				out = append(out, op)
			}
		}
	}
	return out
}
