# One line a step; what a step printed is in build/log. `make help` lists the targets.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
NODE := scripts/node

.PHONY: help setup build demo demo-cluster test test-all test-pacing bench lint format docs clean

help: ## Show this
	@echo 'Usage: make TARGET'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' Makefile | while IFS='|' read -r name text; do printf '%-13s %s\n' "$$name" "$$text"; done

setup: ## Bring Node 24, npm packages and missing apt packages; nothing if all is there
	@scripts/setup.sh

build: setup ## Compile the eBPF programs
	@scripts/build-bpf.sh

demo: setup ## Two minutes: a small cluster, what Netloom learns of it, what it answers (KEEP=1 leaves it running)
	@KEEP='$(KEEP)' scripts/demo.sh

demo-cluster: setup ## The same in front of a real kube-scheduler; builds Kubernetes once, needs Go (KEEP=1 as above)
	@KEEP='$(KEEP)' scripts/demo-cluster.sh

test: setup ## Types, lint, format and all tests but the slow ones
	@$(NODE) scripts/test.ts

test-all: setup ## The same with the slow tests
	@NETLOOM_TEST_ALL=1 $(NODE) scripts/test.ts

test-pacing: build ## Bandwidth limits with real pacing, in guests with Debian's kernels (CASES='6.1 3': some)
	@$(NODE) test/pacing/run.ts $(CASES)

bench: build ## Every benchmark against its baseline (BENCH=name: one)
	@scripts/bench.sh $(BENCH)

lint: setup ## Types and lint only
	@$(NODE) node_modules/typescript/bin/tsc --noEmit
	@$(NODE) node_modules/eslint/bin/eslint.js .

format: setup ## Format everything
	@$(NODE) node_modules/prettier/bin/prettier.cjs --log-level warn --write .

docs: setup ## Write docs/configuration.md and docs/errors.md from the sources
	@$(NODE) scripts/docs.ts

clean: ## Remove what was built (packages and Node stay)
	@rm -rf build
