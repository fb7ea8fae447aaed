SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

# Packages that are ours: what coverage speaks of.
OURS := ./internal/... ./receiver/... ./processor/... ./exporter/... ./extension/... ./cmd/scopegen/...

.PHONY: help build run demo test race fuzz crash accuracy bench overload queries lint generate ocb

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: ## bin/otelcol-scope, bin/scopegen
	@scripts/build.sh

run: build ## build, start on the embedded store, say where to send and where to look
	@scripts/run.sh

demo: build ## send a believable asynchronous system to a running collector
	@bin/scopegen demo

test: build ## everything, with the race detector; prints coverage
	@scripts/test.sh $(OURS)

race: ## the race detector alone, each test twice
	@go test -race -count=2 $(OURS)

fuzz: ## every fuzz target for FUZZTIME (default 20s)
	@scripts/fuzz.sh

crash: build ## load, kill -9, restart, look up all that was acknowledged: ROUNDS (default 50)
	@go run ./test/crash -rounds $(or $(ROUNDS),50)

accuracy: build ## what was found against what the generator knows is true
	@go run ./test/accuracy

bench: build ## the plain Collector and the whole pipeline in one run; writes docs/bench.md
	@go run ./test/bench

overload: build ## ten times the load, a failing back end, crowding, rising load; writes docs/overload.md: MINUTES (default 10)
	@go run ./test/overload -minutes $(or $(MINUTES),10)

queries: build ## ten million spans, and what it costs to ask; writes docs/queries.md: SPANS (default 10000000)
	@go run ./test/queries -spans $(or $(SPANS),10000000)

lint: ## formatting, vet, staticcheck
	@scripts/lint.sh

generate: ## ocb's output, metadata, protobuf
	@scripts/generate.sh

ocb: ## the same binary by plain ocb, into a temporary folder
	@scripts/ocb.sh
