# SPDX-License-Identifier: AGPL-3.0-only
# The door to everything: make help.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PRESET ?= release
BUILD := build/$(PRESET)
JOBS ?= $(shell nproc)
export CTEST_PARALLEL_LEVEL ?= 2

.PHONY: help deps build test lint format demo bench campaign clean

help: ## what there is to call
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make test LABEL=POL-3      the tests of one requirement"
	@echo "  make test COVERAGE=1       with line coverage of the C++ rooms"
	@echo "  make test PRESET=asan      under AddressSanitizer and UBSan (also: tsan, dev, release-gcc)"
	@echo "  make demo ONCE=1           run the demo's steps and exit; 0 only if all came out as they should"
	@echo "  make bench SUITE=policy    one benchmark suite (policy, spine, relay, tiers)"
	@echo "  make campaign NAME=fuzz    a long run: fuzz, conformance, faults, floods, slow_clients, short_connections, upgrade, debian_kernel"

deps: ## install what Debian packages are missing
	@scripts/install-deps

build: ## configure and compile (PRESET=release)
	@scripts/install-deps --for build
	@cmake --preset $(PRESET) >/dev/null
	@cmake --build --preset $(PRESET) --parallel $(JOBS)

test: ## install, build, run every test; closes with ctest's summary
	@scripts/run-tests $(if $(COVERAGE),--coverage,--preset $(PRESET)) $(if $(LABEL),--label '$(LABEL)')

lint: ## clang-format, clang-tidy, cppcheck, shellcheck, yamllint, tree rules
	@scripts/install-deps --for build --for lint
	@scripts/lint

format: ## clang-format the C and C++ files in place
	@git ls-files '*.cpp' '*.hpp' '*.h' '*.c' | xargs clang-format-14 -i

demo: ## start the whole suite and send real traffic through it (ONCE=1: then exit)
	@PRESET=$(PRESET) scripts/demo $(if $(ONCE),--once)

bench: ## one JSON object a line; exit 1 when a goal is missed (SUITE=policy|spine|relay|tiers)
	@PRESET=$(PRESET) scripts/bench $(or $(SUITE),policy)

campaign: ## a long run by NAME; one JSON object a line
	@scripts/campaign $(or $(NAME),help)

clean: ## remove build trees
	@rm -rf build
