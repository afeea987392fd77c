# Needs only python3 (3.11 or newer), make and git: every target installs what it needs into .venv first.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
DEMO_OUT ?= demo
EVIDENCE_OUT ?= evidence

BIN := .venv/bin
INSTALLED := .venv/.installed
LOWEST := .venv-lowest
# The default tests on up to four cores; those of one file share what they set up, and stay together.
PYTEST := python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile
BENCHMARKS := $(sort $(wildcard benchmarks/bench_*.py))

.PHONY: help install demo evidence test test-numeric test-cluster test-all test-lowest chaos lint format docs bench bench-search

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: $(INSTALLED) ## create .venv with everything in it

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("python3 must be 3.11 or newer, but got " + sys.version.split()[0] + "; set PYTHON=/path/to/a/newer/python3" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

demo: $(INSTALLED) ## the whole story on synthetic thermal images; results in DEMO_OUT (default: demo)
	$(BIN)/owkd demo --out '$(DEMO_OUT)'

evidence: $(INSTALLED) ## whether searching pays on real images; an hour, goes on where it was stopped; EVIDENCE_OUT, docs/evidence.md
	$(BIN)/python -m benchmarks.evidence --out '$(EVIDENCE_OUT)'

test: $(INSTALLED) ## the tests that need neither minutes, nor several nodes, nor a GPU
	$(BIN)/$(PYTEST)

test-numeric: $(INSTALLED) ## those of them that compute with torch, as a processor with AVX2 and nothing newer computes
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 $(BIN)/$(PYTEST) -m 'numeric and not slow and not cluster and not gpu'

test-cluster: $(INSTALLED) ## searches on several hosts of this machine, through `ray up`; needs root, says what else
	@$(BIN)/python -c 'import sys; from tests.cluster import hosts; sys.exit(hosts.missing() or 0)'
	$(BIN)/python -m pytest -m cluster

test-all: $(INSTALLED) ## every test that this machine can run
	marks=$$($(BIN)/python -c 'import torch; print("" if torch.cuda.is_available() else "not gpu")'); \
	$(BIN)/python -m pytest -m "$$marks"

$(LOWEST)/.installed: pyproject.toml constraints.txt constraints-lowest.txt
	@echo 'make test-lowest: $(LOWEST) gets these; where pip finds no CPU build of that torch, it is a CUDA build of gigabytes:'
	@grep == constraints-lowest.txt
	$(PYTHON) -m venv $(LOWEST)
	grep -vE '^(torch|ray|optuna)==' constraints.txt > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet -c $(LOWEST)/constraints.txt -c constraints-lowest.txt -e '.[dev]'
	touch $@

test-lowest: $(LOWEST)/.installed ## the default tests with the lowest promised torch, Ray and Optuna, in an environment of their own
	$(LOWEST)/bin/$(PYTEST)

chaos: $(INSTALLED) ## kill searches at random moments, go on, and check that nothing was lost: minutes
	$(BIN)/python -m tests.chaos $(CHAOS)
	$(BIN)/python -m tests.chaos.cuts --every 7
	$(BIN)/python -m tests.chaos.cuts --every 4 --power 1

lint: $(INSTALLED) ## ruff and mypy --strict
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(INSTALLED) ## put the code into its one format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(INSTALLED) ## the API reference, in build/docs; a warning is an error
	$(BIN)/python docs/api_reference.py build/docs

bench: $(INSTALLED) ## run every benchmarks/bench_*.py
	@[ -n '$(BENCHMARKS)' ] || { echo 'make bench: there is no benchmarks/bench_*.py' >&2; exit 1; }
	for file in $(BENCHMARKS); do module=$$(basename "$$file" .py); echo "== $$module"; $(BIN)/python -m benchmarks.$$module; done

bench-search: $(INSTALLED) ## our search against everybody's on landscapes with a known optimum: hours; BENCH_SEARCH adds arguments
	$(BIN)/python -m benchmarks.bench_search --report $(BENCH_SEARCH)
