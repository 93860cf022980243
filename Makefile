# salvor. `make` lists what there is; `make build` leaves the program at bin/salvor.

GO       ?= go
LINT     := .tools/golangci-lint-2.15.0
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X main.version=$(VERSION)
KILLS    ?= 300
export CGO_ENABLED := 1

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/salvor (installs a C compiler first when it is missing and you are root)
	@scripts/setup.sh build
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/salvor ./cmd/salvor

.PHONY: test
test: ## run every test; as root also those that need loop devices, mounts and FUSE
	@scripts/setup.sh build test
	$(GO) vet ./...
	$(GO) test -timeout 15m ./...

.PHONY: lint
lint: $(LINT) ## run the linters and the layer rules
	@scripts/setup.sh build lint
	$(LINT) run ./...
	shellcheck scripts/*.sh .ci/run

$(LINT):
	@scripts/setup.sh build
	GOBIN=$(CURDIR)/.tools $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	mv .tools/golangci-lint $(LINT)

.PHONY: demo
demo: build ## image, verify, restore, purge a small failing disk; prints the attest
	@scripts/setup.sh demo
	@scripts/demo.sh bin/salvor

.PHONY: bench
bench: build ## speed of imaging against cp, memory for a 4 TB disk, ledger and container benchmarks
	@scripts/setup.sh build bench
	@scripts/bench.sh bin/salvor
	$(GO) test -run '^$$' -bench . -benchtime 1s ./custody/... ./rescue/... ./wipe/...

.PHONY: bench-rescue
bench-rescue: ## the rescue strategy against the installed ddrescue (SEED=101-103 SIZE=100G)
	@scripts/setup.sh build bench
	$(GO) run ./scripts/benchrescue -seeds $(or $(SEED),101-103) -sizes $(or $(SIZE),100G)

.PHONY: bench-wipe
bench-wipe: build ## wiping a disk against dd, shred and nwipe, as root (MIB=2048 RUNS=5 RATE=500 to change)
	@scripts/setup.sh build bench
	@scripts/bench-wipe.sh bin/salvor $(or $(MIB),2048) $(or $(RUNS),5) $(or $(RATE),500)

.PHONY: test-kill
test-kill: ## SIGKILL at 300 moments of imaging, 200 of purging and 250 wipes (KILLS=n to change)
	@scripts/setup.sh build test
	$(GO) test -timeout 120m ./cmd/salvor -run 'Kill' -v -args -kills $(KILLS)
	$(GO) test -timeout 60m ./wipe ./wipe/device -run Killed -v -args -kills 200

.PHONY: test-long
test-long: ## kills and drop-offs on a failing device, random histories by the thousand, a long year of a shop, every paper in a browser
	@scripts/setup.sh build test browser
	$(GO) test -timeout 60m ./rescue -run Killed -args -kills 1000
	$(GO) test -timeout 60m ./rescue/blockdev -run TestEngineSurvives -v -args -kills 1000
	$(GO) test -timeout 60m ./custody -run TestHistories -args -histories 10000
	$(GO) test -timeout 60m ./custody/report -args -all
	$(GO) test -timeout 60m ./cmd/salvor -run TestAYear -v -args -acts 400 -year 0
	$(GO) test -timeout 90m ./custody/ledger -run 'Converge|LosesNoHold|ErasedPrivate' -rapid.checks=2000

.PHONY: fuzz
fuzz: ## fuzz every format and rule, 30 seconds each (FUZZTIME=5m to change)
	@scripts/setup.sh build
	@scripts/fuzz.sh $(or $(FUZZTIME),30s)

.PHONY: clean
clean: ## remove what was built
	rm -rf bin .tools
