# The program is built without cgo; the race detector alone needs it.
export CGO_ENABLED ?= 0

GO        ?= go
BIN       := bin
FUZZTIME  ?= 5m
# How many random kills of the whole node, and how often the other crash tests are repeated.
KILLS     ?= 200
REPEAT    ?= 20
# Tests whose names speak of crashes, kills, faults or loss.
FAULTRUN  := Crash|Kill|Fault|Lost
BENCHTIME ?= 1s
LINT      := ./.ci/lint

.PHONY: all build test test-engines race lint bench fuzz demo faults ci clean help

all: build test lint

help: ## This list.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

build: ## The program, into bin/.
	$(GO) build -trimpath -o $(BIN)/aluskort ./cmd/aluskort

test: ## All tests.
	$(GO) test ./...

test-engines: ## The suites, the owners of SQL and the services on real engines, started by scripts/engines.
	./.ci/engines

race: ## All tests in short mode under the race detector.
	CGO_ENABLED=1 $(GO) test -race -short ./...

lint: ## The pinned golangci-lint, installed outside the repository.
	$(LINT)

bench: ## Benchmarks of the parts, then of the whole path.
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...
	$(GO) run ./cmd/aluskort bench pipeline --alerts 50000

fuzz: ## Every fuzz target for FUZZTIME (5m).
	./.ci/fuzz $(FUZZTIME)

demo:
	$(GO) run ./cmd/aluskort demo --once

faults: ## The tests that kill the process, many times over.
	ALUSKORT_CRASH_KILLS=$(KILLS) $(GO) test -count 1 -timeout 2h -v -run '$(FAULTRUN)' ./internal/app/...
	$(GO) test -count $(REPEAT) -timeout 2h -run '$(FAULTRUN)' ./internal/audit/... ./internal/auditlog/... ./internal/engine/...

ci: ## What continuous integration runs.
	./.ci/run

clean: ## Remove what build made.
	rm -rf $(BIN)
