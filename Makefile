# Everything a user or a developer runs. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := build

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
PREFIX  ?= /usr/local
LDFLAGS := -s -w -X github.com/distsuper/distsuper/pkg/version.Version=$(VERSION)
GO      ?= go
export CGO_ENABLED ?= 0

BINARIES := bin/distsuperd bin/distsuperagent bin/distsuperctl

.PHONY: help mutants build install demo demo-selftest test test-long quick check vet cross fuzz failover tolerance overload trials chaos chaos-selftest soak race bench-core figures words docs clean deps sim

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

build: ## the three binaries in bin/
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

install: build ## put the binaries below PREFIX (default /usr/local)
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BINARIES) $(DESTDIR)$(PREFIX)/bin/

demo: build ## three controllers and machines on loopback: kill a machine, see its processes move, kill the first controller, clean up
	$(GO) run ./hack/demo -bin bin

demo-selftest: ## the demo must fail when fencing is switched off
	@mkdir -p bin/unfenced
	$(GO) build -tags distsuper_unfenced -o bin/unfenced/ ./cmd/...
	! $(GO) run ./hack/demo -bin bin/unfenced

# What starts daemons or waits in real time.
REAL := /(hack|test/(ctl|e2e|fencing|parity|reaper|solo)|agentd/keeper/(engine|keeperd|logs)|store/(embedded|etcd|etcdapi)|cmd/internal|cmd/distsuperd|pkg/daemon)(/|$$)

quick: ## pure logic and virtual time, a few seconds
	@set -o pipefail; $(GO) test -short $$($(GO) list ./... | grep -Ev '$(REAL)') | grep -v 'no test files'

# What starts built programs, of which the race detector sees nothing.
BUILT := /(hack|test|store/embedded|cmd/distsuperd)(/|$$)

race: ## the race detector over all that runs in its own tests (needs gcc; some 4 minutes)
	@set -o pipefail; CGO_ENABLED=1 $(GO) test -race -short -timeout 15m $$($(GO) list ./... | grep -Ev '$(BUILT)') | grep -v 'no test files'

check: ## format, staticcheck and dead code, of everything (needs hack/tools, which go fetches once)
	@GO='$(GO)' hack/check

vet: ## go vet
	$(GO) vet ./...
	$(GO) vet -tags distsuper_unfenced ./agentd/keeper/...

deps: ## what the tests need from the system (Debian packages)
	@hack/install-test-deps

# These wait most. They begin first, and more packages run than there are cores, so that none of them runs alone at the end.
SLOW := ./test/e2e ./test/solo ./test/parity ./test/fencing ./agentd/keeper/engine ./store/...

test: deps check vet build ## everything but the long runs (at most 6 minutes with a warm build cache)
	$(GO) test -p 3 -timeout 6m $(SLOW) ./...

test-long: deps build ## the long runs: soaks of faults, every seed, many machines (at most 25 minutes)
	DISTSUPER_LONG=1 $(GO) test -timeout 25m -count=1 -run 'Long' ./...

# make sim SEED=7 plays one seed and prints its story; SEEDS and FIRST say how many and from which on.
SEED ?=
SEEDS ?= 100000
FIRST ?= 1

sim: build ## simulate fleets with faults drawn from SEEDS seeds, on all cores, or one SEED with its story
	$(if $(SEED),bin/distsuperctl verify --seed $(SEED),$(GO) run ./hack/simulate -bin bin -seeds $(SEEDS) -first $(FIRST) -page '$(PAGE)')

.PHONY: sim-pairs
sim-pairs: build ## simulate every pair of faults, at each instant of a short story
	bin/distsuperctl verify --pairs

# make failover PAGE=hack/docs/figures.md writes the figures into the page, and so do overload, soak, bench-core and tolerance (hack/docs/safety.md).
PAGE ?=

failover: build ## how long a machine's death, a drain and a leader's death take, as a table (some 10 minutes)
	$(GO) run ./hack/failover -bin bin -page '$(PAGE)'

tolerance: build ## how long etcd may be silent before anything is restarted, as a table (some 20 minutes, as root)
	$(GO) run ./hack/tolerance -bin bin -page '$(PAGE)'

overload: build ## starve this host with a fleet on it, and count what the fleet does for no reason (some 2 minutes)
	$(GO) run ./hack/overload -bin bin -page '$(PAGE)'

# make trials TRIALS="killed twins" plays those two; make trials TRIALS=outage AWAY=10m PAGE=hack/docs/safety.md PART=outage writes what
# came of it there.
TRIALS ?=
AWAY ?= 9m

trials: build ## make the bad states that a fleet meets, for real, and print what was promised and what was seen
	$(GO) run ./hack/trials -bin bin -away $(AWAY) -page '$(PAGE)' $(if $(PART),-part '$(PART)') $(TRIALS)

# make chaos N=1000 goes on until 1,000 faults of this commit stand in the ledger; make chaos SEED=17 plays that round again.
N ?= 100
JOBS ?= 1

chaos: build ## real faults of a fleet in namespaces of this host, drawn from a seed, into test/chaos/ledger.tsv (as root)
	$(GO) run ./hack/chaos -bin bin -n $(N) $(if $(SEED),-seed $(SEED)) -jobs $(JOBS)

chaos-selftest: ## the witnesses must see two copies when fencing is switched off (as root)
	@mkdir -p bin/unfenced
	$(GO) build -tags distsuper_unfenced -o bin/unfenced/ ./cmd/...
	$(GO) run ./hack/chaos -bin bin/unfenced -selftest -seed 100 -only stop-agent -faults 5 -ledger /dev/null

# make soak DURATION=60s is as long as the one in test-long.
DURATION ?= 30m

soak: build ## a fleet with starts, stops, crashes, moves and exchanged agents, for DURATION: whether its daemons grow, as a table
	$(GO) run ./hack/soak -bin bin -last $(DURATION) -page '$(PAGE)'

# make mutants ONLY=move tries those with "move" in their names.
ONLY ?=

mutants: ## take each guard away, one after the other, and see whether the simulator notices, as a table (an hour)
	$(GO) run ./hack/mutants -only '$(ONLY)' -page '$(PAGE)'

bench-core: build ## restart in place and the start of many against bare fork+exec, what the daemons cost, as tables
	$(GO) run ./hack/benchcore -bin bin -page '$(PAGE)'

figures: ## how the source is built: lines, comments, imports, the way of a start, as a table
	@$(GO) run ./hack/figures

words: ## print every sentence that a user can meet
	@$(GO) run ./hack/words

docs: ## write into the pages of hack/docs what the code prints of itself
	$(GO) run ./hack/docs/gen

FUZZTIME ?= 1000000x

fuzz: ## the fuzzers of the configuration, a million inputs each beside supervisor's own parser (FUZZTIME=1m: a minute each)
	@for f in FuzzParse FuzzExpand FuzzEnvironment FuzzSplit; do \
		$(GO) test ./pkg/ini -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) || exit 1; \
	done
	$(GO) test ./pkg/spec -run '^$$' -fuzz '^FuzzRead$$' -fuzztime $(FUZZTIME)

cross: ## distsuperctl for macOS and Windows, the daemons for arm64
	GOOS=darwin GOARCH=arm64 $(GO) build -o /dev/null ./cmd/distsuperctl
	GOOS=windows GOARCH=amd64 $(GO) build -o /dev/null ./cmd/distsuperctl
	GOOS=linux GOARCH=arm64 $(GO) build -o /dev/null ./cmd/distsuperctl
	GOOS=linux GOARCH=arm64 $(GO) build -o /dev/null ./cmd/distsuperd
	GOOS=linux GOARCH=arm64 $(GO) build -o /dev/null ./cmd/distsuperagent

clean: ## remove what was built
	rm -rf bin
