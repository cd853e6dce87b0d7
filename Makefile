# Two commands: `make up` provisions tst on the embedded PostgreSQL and proves it, `make test` runs the tests. Both set up what they need.

PYTHON ?= python3
BIN := .venv/bin
RUNTIME := .venv/.runtime
DEVELOPMENT := .venv/.development
BENCHMARKS := .venv/.benchmarks
# A process for each core, each with servers of its own; empty for one. Files go by name: the short tests, unit, even out the end.
WORKERS ?= --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help up test matrix faults docs lint bench down clean

help: ## show this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 8

up: $(RUNTIME) ## set up, provision tst on the embedded PostgreSQL, and prove its isolation
	$(BIN)/python -m golabs_infra up tst
	$(BIN)/python -m golabs_infra verify tst

test: $(DEVELOPMENT) ## set up, then run every test that can run here
	$(BIN)/python -m pytest $(WORKERS) $(PYTEST_ARGS)

matrix: $(DEVELOPMENT) ## test PostgreSQL 13 to 18, both kinds of admin, both engines; about a quarter of an hour
	$(BIN)/python -m pytest tests/matrix --matrix $(PYTEST_ARGS)

faults: $(DEVELOPMENT) ## cause every fault (kills, lost servers, full disks), and write the table of docs/faults.md
	$(BIN)/python -m pytest $(WORKERS) tests/faults tests/engine/test_faults_*.py --faults --faults-report docs/faults.md $(PYTEST_ARGS)

docs: $(DEVELOPMENT) ## write the reference pages that follow from the code
	$(BIN)/python -m tests.docs.reference

lint: $(DEVELOPMENT) ## ruff and mypy
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

bench: $(BENCHMARKS) ## compare with psql and the peers that are installed; about half an hour
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

down: $(RUNTIME) ## stop the embedded PostgreSQL; its data stays
	$(BIN)/python -m golabs_infra server stop

clean: ## remove what tools made; never state, data, output or configuration
	rm -rf .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	find golabs_infra tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("golabs-infra needs Python 3.11 or later, and $(PYTHON) is %d.%d: make PYTHON=/path/to/python3.11 ..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "setting up .venv (once, about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) --editable .
	@touch $@

$(DEVELOPMENT): $(RUNTIME)
	@$(PIP) --editable '.[dev]'
	@touch $@

$(BENCHMARKS): $(RUNTIME)
	@$(PIP) --editable '.[bench]'
	@touch $@
