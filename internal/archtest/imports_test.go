package archtest

import (
	"fmt"
	"path"
	"strings"
	"testing"
)

// rule forbids some imports to some packages.
type rule struct {
	name   string
	reason string
	// from selects the packages that the rule binds, to the imports that it forbids them.
	from func(p string) bool
	to   func(i imported) bool
}

func within(folders ...string) func(string) bool {
	return func(p string) bool { return below(p, folders...) }
}

// outside binds everything of ours but the folders.
func outside(folders ...string) func(string) bool {
	return func(p string) bool { return !below(p, folders...) }
}

func ours(folders ...string) func(imported) bool {
	return func(i imported) bool { return i.ours && below(i.path, folders...) }
}

func foreign(modules ...string) func(imported) bool {
	return func(i imported) bool { return !i.ours && below(i.path, modules...) }
}

func either(a, b func(imported) bool) func(imported) bool {
	return func(i imported) bool { return a(i) || b(i) }
}

// standard reports whether i is of the standard library: its first element has no dot.
func standard(i imported) bool {
	first, _, _ := strings.Cut(i.path, "/")
	return !i.ours && !strings.Contains(first, ".")
}

// drivers are the libraries that talk to an engine or to a service outside the process.
var drivers = []string{
	"modernc.org/sqlite", "github.com/jackc/pgx", "github.com/lib/pq", "github.com/mattn/go-sqlite3", "github.com/pressly/goose",
	"github.com/twmb/franz-go", "github.com/redis", "github.com/qdrant", "github.com/neo4j",
	"github.com/aws/aws-sdk-go-v2", "github.com/minio", "cloud.google.com/go", "github.com/Azure/azure-sdk-for-go",
	"gocloud.dev", "github.com/maypok86/otter",
}

// sdks are the libraries of model providers.
var sdks = []string{
	"github.com/anthropics", "github.com/openai", "github.com/sashabaranov/go-openai", "google.golang.org/genai",
	"github.com/cohere-ai", "github.com/ollama", "github.com/aws/aws-sdk-go-v2/service/bedrockruntime",
}

// concrete reports whether i is an engine rather than the contract of one.
func concrete(i imported) bool {
	if !i.ours || !below(i.path, "internal/engine") || suite(i.path) {
		return false
	}
	parts := strings.Split(strings.TrimPrefix(i.path, "internal/engine/"), "/")
	if len(parts) < 2 {
		return false
	}
	return parts[1] != "migrate" // is shared by the engines of a role
}

var rules = []rule{
	{
		name:   "the foundation imports nothing of ours",
		reason: "everything stands on these packages, so they can stand on nothing; a canonical alert, a clock or a crash point must be usable from any package without a circle",
		from:   within("internal/alert", "internal/clock", "internal/id", "internal/ops", "internal/crash", "internal/parallel", "internal/config", "internal/statedir"),
		to:     func(i imported) bool { return i.ours },
	},
	{
		name:   "audit uses the standard library alone",
		reason: "a stranger who verifies an evidence package reads this code and should have to trust nothing else; every producer of events imports it as well",
		from:   within("internal/audit"),
		to:     func(i imported) bool { return !standard(i) },
	},
	{
		name:   "sigma knows alerts and nothing else of ours",
		reason: "field maps and weights reach it as data, so that the engine can be read and tested against the Sigma specification alone",
		from:   within("internal/sigma"),
		to:     func(i imported) bool { return i.ours && i.path != "internal/alert" && !below(i.path, "internal/sigma") },
	},
	{
		name:   "the domain imports no driver and no network",
		reason: "what an alert, evidence or a verdict is must not depend on where it is stored or how it travels; this code is tested without either",
		from:   within("internal/alert", "internal/evidence", "internal/tenant", "internal/audit", "internal/investigate", "internal/reason", "internal/sigma"),
		to: either(foreign(append([]string{"database/sql", "net/http", "os/exec"}, drivers...)...),
			ours("internal/engine")),
	},
	{
		name:   "the rules of an investigation are pure",
		reason: "states, gates, folds and the arithmetic of evidence give the same answer for the same input, in tests, in replays and on every replica; files, network and processes would end that",
		from:   within("internal/investigate", "internal/evidence", "internal/reason", "internal/audit", "internal/alert", "internal/sigma"),
		to:     foreign("os", "net/http", "os/exec", "syscall", "math/rand", "math/rand/v2"),
	},
	{
		name:   "only app and the commands name concrete engines",
		reason: "a service sees the contract it declares; which database is behind it is decided in one place, so that the same service runs embedded and in production",
		from:   outside("internal/app", "cmd", "internal/engine"),
		to:     concrete,
	},
	{
		name:   "only app, the commands and pipeline know the bus",
		reason: "a service takes batches and gives back results; the loops that fetch, commit and retry stand in pipeline, once",
		from:   outside("internal/app", "cmd", "internal/pipeline", "internal/engine/bus"),
		to:     ours("internal/engine/bus"),
	},
	{
		name:   "engines of one role do not know those of another",
		reason: "each is one small contract with its own suite; joined engines could not be replaced one by one. What suites of all roles share stands in engine/enginetest",
		from:   within("internal/engine"),
		to:     nil, // needs both ends: see checkEngines
	},
	{
		name:   "only engine/bus imports franz-go",
		reason: "one place knows the Kafka protocol and its errors; the rest sees records, batches and positions",
		from:   outside("internal/engine/bus"),
		to:     foreign("github.com/twmb/franz-go"),
	},
	{
		name:   "only engine/graph/neo4jgraph imports the driver of Neo4j",
		reason: "the contract of the graph is questions; Cypher and the errors of Bolt stand in one place, so that the SQL engine can answer in its stead",
		from:   outside("internal/engine/graph/neo4jgraph"),
		to:     foreign("github.com/neo4j"),
	},
	{
		name:   "only the engines of store import SQL drivers and migrations",
		reason: "the SQL of an aggregate stands in the package that owns it and runs on every engine; a driver's own types and errors would tie it to one",
		from:   outside("internal/engine/store"),
		to:     foreign("modernc.org/sqlite", "github.com/jackc/pgx", "github.com/lib/pq", "github.com/mattn/go-sqlite3", "github.com/pressly/goose"),
	},
	{
		name:   "only store/postgres imports pgx",
		reason: "the embedded engine must stay free of a network client; dbtest removes the schemas of tests with it",
		from:   outside("internal/engine/store/postgres", "internal/engine/store/dbtest"),
		to:     foreign("github.com/jackc/pgx"),
	},
	{
		name:   "only vector/qdrant speaks to Qdrant",
		reason: "its client brings gRPC and protocol buffers; whoever needs vectors sees collections, points and filters, and a build without it stays small",
		from:   outside("internal/engine/vector/qdrant"),
		to:     foreign("github.com/qdrant"),
	},
	{
		name:   "only engines import drivers",
		reason: "what is behind an engine is replaced by writing one package and passing one suite",
		from:   outside("internal/engine"),
		to:     foreign(drivers...),
	},
	{
		name:   "each engine of objects and cache alone imports its driver",
		reason: "these libraries are heavy; a build that leaves an engine out must not carry its driver, and the contract must not take on the types of one",
		from:   outside("internal/engine/blob/s3", "internal/engine/blob/cloud", "internal/engine/cache/memory", "internal/engine/cache/redis"),
		to:     foreign("github.com/minio", "gocloud.dev", "github.com/redis", "github.com/maypok86/otter"),
	},
	{
		name:   "only the gateway imports llm",
		reason: "the gateway is where text is cleaned, redacted, marked and paid for; a second way to a model would go around all of it",
		from:   outside("internal/gateway", "internal/llm"),
		to:     ours("internal/llm"),
	},
	{
		name:   "only llm imports a provider's SDK",
		reason: "keys, prices and the shapes of answers differ by provider and stay behind one contract",
		from:   outside("internal/llm"),
		to:     foreign(sdks...),
	},
	{
		name:   "only respond imports action connectors",
		reason: "an effect on the outside world needs intent, approval and read-back; the executor in respond is the one place that has them",
		from:   outside("internal/respond"),
		to: func(i imported) bool {
			return i.ours && (below(i.path, "internal/respond/connector", "internal/respond/connectors") || path.Base(i.path) == "connector")
		},
	},
	{
		name:   "suites are for tests",
		reason: "behaviour suites import testing and fail loudly; a program that links them carries both",
		from:   func(p string) bool { return !suite(p) },
		to: func(i imported) bool {
			return i.ours && (suite(i.path) || below(i.path, "internal/engine/faultproxy")) || !i.ours && below(i.path, "testing")
		},
	},
	{
		name:   "nothing imports the commands or the tests of the house",
		reason: "cmd is the top of the house and archtest stands outside it",
		from:   outside("cmd"),
		to:     ours("cmd", "internal/archtest"),
	},
}

// check returns every breach of the rules, with the reason.
func check(p *pkg, rules []rule) []string {
	var out []string
	for _, r := range rules {
		if r.to == nil || !r.from(p.path) {
			continue
		}
		for _, i := range p.imports {
			if r.to(i) {
				out = append(out, breach(r.name, r.reason, i.at, fmt.Sprintf("%s imports %s", p.path, i.path)))
			}
		}
	}
	return append(out, checkEngines(p)...)
}

func breach(name, reason, at, what string) string {
	return fmt.Sprintf("%s: %s\n\trule:   %s\n\treason: %s", at, what, name, reason)
}

// standsOn are engines that need no server of their own: they keep their data in the relational
// store, and know its contract like any owner of an aggregate.
var standsOn = map[string]string{
	"internal/engine/graph/sqlgraph": "internal/engine/store",
	"internal/engine/blob/queue":     "internal/engine/store",
}

// checkEngines finds engines that import those of another role.
func checkEngines(p *pkg) []string {
	role := func(p string) string {
		role, _, _ := strings.Cut(strings.TrimPrefix(p, "internal/engine/"), "/")
		return role
	}
	if !below(p.path, "internal/engine") {
		return nil
	}
	var out []string
	for _, i := range p.imports {
		if i.path == "internal/engine/enginetest" {
			continue // tells every role's tests where its engines listen
		}
		if i.ours && below(i.path, "internal/engine") && role(i.path) != role(p.path) && standsOn[p.path] != i.path {
			r := ruleNamed("engines of one role do not know those of another")
			out = append(out, breach(r.name, r.reason, i.at, fmt.Sprintf("%s imports %s", p.path, i.path)))
		}
	}
	return out
}

func ruleNamed(name string) rule {
	for _, r := range rules {
		if r.name == name {
			return r
		}
	}
	panic("no rule " + name)
}

func TestImports(t *testing.T) {
	for _, p := range load(t) {
		for _, b := range check(p, rules) {
			t.Error(b)
		}
	}
}

// TestRulesCanFail holds each rule against an import that breaks it and one that does not.
func TestRulesCanFail(t *testing.T) {
	for _, c := range []struct{ rule, from, bad, good string }{
		{"the foundation imports nothing of ours", "internal/clock", "internal/id", "time"},
		{"the foundation imports nothing of ours", "internal/alert", "internal/evidence", "github.com/go-json-experiment/json"},
		{"audit uses the standard library alone", "internal/audit", "internal/clock", "crypto/sha256"},
		{"audit uses the standard library alone", "internal/audit", "github.com/go-json-experiment/json", "encoding/json"},
		{"sigma knows alerts and nothing else of ours", "internal/sigma", "internal/evidence", "internal/alert"},
		{"the domain imports no driver and no network", "internal/evidence", "net/http", "context"},
		{"the domain imports no driver and no network", "internal/investigate", "internal/engine/store", "internal/evidence"},
		{"the rules of an investigation are pure", "internal/reason", "os", "math"},
		{"only app and the commands name concrete engines", "internal/orchestrate", "internal/engine/store/sqlite", "internal/engine/store"},
		{"only app and the commands name concrete engines", "internal/api", "internal/engine/cache/redis", "internal/engine/cache"},
		{"only app, the commands and pipeline know the bus", "internal/orchestrate", "internal/engine/bus", "internal/engine/store"},
		{"engines of one role do not know those of another", "internal/engine/bus", "internal/engine/store", "internal/engine/bus/bustest"},
		{"engines of one role do not know those of another", "internal/engine/store/dbtest", "internal/engine/bus", "internal/engine/enginetest"},
		{"only store/postgres imports pgx", "internal/engine/store/sqlite", "github.com/jackc/pgx/v5", "modernc.org/sqlite"},
		{"engines of one role do not know those of another", "internal/engine/graph/sqlgraph", "internal/engine/store/sqlite", "internal/engine/store"},
		{"only engine/bus imports franz-go", "internal/pipeline", "github.com/twmb/franz-go/pkg/kgo", "internal/engine/bus"},
		{"only engine/graph/neo4jgraph imports the driver of Neo4j", "internal/engine/graph", "github.com/neo4j/neo4j-go-driver/v5/neo4j", "internal/engine/graph"},
		{"only the engines of store import SQL drivers and migrations", "internal/auditlog", "modernc.org/sqlite", "database/sql"},
		{"only vector/qdrant speaks to Qdrant", "internal/engine/vector/embedded", "github.com/qdrant/go-client/qdrant", "golang.org/x/sys/cpu"},
		{"only engines import drivers", "internal/knowledge/intel", "github.com/redis/go-redis/v9", "github.com/gaissmai/bart"},
		{"each engine of objects and cache alone imports its driver", "internal/engine/blob", "github.com/minio/minio-go/v7", "io"},
		{"each engine of objects and cache alone imports its driver", "internal/engine/cache", "github.com/redis/go-redis/v9", "errors"},
		{"only the gateway imports llm", "internal/reason", "internal/llm", "internal/gateway"},
		{"only llm imports a provider's SDK", "internal/gateway", "github.com/openai/openai-go", "internal/llm"},
		{"only respond imports action connectors", "internal/orchestrate", "internal/respond/connector/edr", "internal/respond"},
		{"suites are for tests", "internal/app", "internal/engine/store/storetest", "internal/engine/store"},
		{"suites are for tests", "internal/engine/bus", "internal/engine/faultproxy", "internal/clock"},
		{"suites are for tests", "internal/parse", "testing", "errors"},
		{"nothing imports the commands or the tests of the house", "internal/app", "cmd/aluskort", "internal/config"},
	} {
		broken := func(to string) bool {
			i := imported{path: to, ours: below(to, "internal", "cmd", "rules")}
			for _, b := range check(&pkg{path: c.from, imports: []imported{i}}, rules) {
				if strings.Contains(b, "rule:   "+c.rule+"\n") {
					return true
				}
			}
			return false
		}
		if !broken(c.bad) {
			t.Errorf("rule %q does not see that %s imports %s", c.rule, c.from, c.bad)
		}
		if broken(c.good) {
			t.Errorf("rule %q forbids that %s imports %s", c.rule, c.from, c.good)
		}
	}
}
