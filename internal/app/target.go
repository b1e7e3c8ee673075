package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aluskort/aluskort/internal/config"
	"github.com/aluskort/aluskort/internal/engine/bus"
)

// All is the target that runs every service in one process.
const All = "all"

// Target is a service that a process can run. Processes of different targets share the bus, the
// databases and the objects; an embedded installation has one process with all of them.
type Target struct {
	Name string
	// Does says in a line what it is for.
	Does string
	// Group is the consumer group whose lag tells how far it is; empty for one that reads no topic.
	Group string
	needs need
	// stages are the loops that it runs.
	stages func(*Node) []stage
}

// need is a set of engines and parts that a target opens.
type need uint8

const (
	// needState is the state database with its outbox.
	needState need = 1 << iota
	// needAudit is the database of the chains.
	needAudit
	// needEngine is the orchestrator's engine and all it knows: rules, taxonomy, indicators,
	// organisation, patterns, priors.
	needEngine
	// needModels is what asks language models, where the configuration names a provider.
	needModels
	// needIntake takes alerts over HTTP.
	needIntake
	// needPeople answers people: investigations, decisions, imports.
	needPeople
)

// Targets is the table of all services that have code, in the order in which they start.
func Targets() []Target {
	return []Target{
		{Name: "audit-service", Does: "audit.events into the chain of each tenant, and its verification", Group: bus.GroupAuditService,
			needs: needAudit, stages: (*Node).auditStages},
		{Name: "orchestrator", Does: "alerts.normalized into verdicts: evidence, links, revision, timers, the outbox", Group: bus.GroupOrchestrator,
			needs: needState | needEngine, stages: (*Node).orchestratorStages},
		{Name: "entity-parser", Does: "alerts.raw into alerts.normalized: entities, indicators, fingerprints", Group: bus.GroupEntityParser,
			needs: needState, stages: (*Node).parserStages},
		{Name: "context-gateway", Does: "questions of investigations to language models, redacted, routed, budgeted; /v1/llm and /v1/route",
			needs: needState | needEngine | needModels, stages: (*Node).consultants},
		{Name: "ingest", Does: "alerts over HTTP onto alerts.raw: /v1/ingest and the paths that products send to",
			needs: needState | needIntake},
		{Name: "api", Does: "the public API under /api/v1: investigations, decisions, imports",
			needs: needState | needAudit | needEngine | needPeople},
	}
}

// chosen returns the targets of names; none, or All among them, means every one.
func chosen(names []string) ([]Target, error) {
	targets := Targets()
	if len(names) == 0 || slices.Contains(names, All) {
		return targets, nil
	}
	known := []string{All}
	for _, t := range targets {
		known = append(known, t.Name)
	}
	var out []Target
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("target %q is not known; use %s", name, strings.Join(known, ", "))
		}
	}
	for _, t := range targets {
		if slices.Contains(names, t.Name) {
			out = append(out, t)
		}
	}
	return out, nil
}

// CheckTargets says whether a configuration can run targets: several processes share their engines,
// so those must be able to serve several.
func CheckTargets(c *config.Config, names []string) error {
	list, err := chosen(names)
	if err != nil {
		return err
	}
	if len(list) < len(Targets()) && c.Embedded() {
		return errors.New("the embedded engines serve one process: run --target all, or set bus.brokers and store.url in the configuration")
	}
	return nil
}

// has reports whether a part was asked for by any target of the process.
func (n *Node) has(part need) bool {
	return slices.ContainsFunc(n.targets, func(t Target) bool { return t.needs&part == part })
}

// whole reports whether every service runs in this process.
func (n *Node) whole() bool { return len(n.targets) == len(Targets()) }
