# `make` or `make help` lists what there is. Needs make, Python 3.10+ (PYTHON=... to choose one) and nothing else.
#
#   PY=/path/to/python   use an environment that is there already instead of making .venv
#   ARGS="-k crontab"    more arguments for pytest

# The tests start hundreds of processes: each would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

VENV ?= .venv
DEMO_VENV ?= .demo/venv
ARGS ?=

ifdef PY
ready :=
else
PY := $(VENV)/bin/python
ready := venv
endif
run := $(PY) -m

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-embedded test-faults lint format docs bench check clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## the main job with no server at all: two beats, one is killed, nothing is lost (30 seconds)
	@scripts/venv.sh $(DEMO_VENV) cli
	@$(DEMO_VENV)/bin/python examples/demo/run.py

test: $(ready) ## all tests but the full fault matrix; finds or starts the servers that they need
	@$(run) tests.servers ensure
	$(run) pytest -m "not full_matrix" $(ARGS)

test-embedded: $(ready) ## the tests that need no server
	$(run) pytest -m "not server and not full_matrix" $(ARGS)

test-faults: $(ready) ## the full fault matrix: each fault on each store and broker
	@$(run) tests.servers ensure
	$(run) pytest -m "faults or full_matrix" $(ARGS)

lint: $(ready) ## formatting, lint rules, types, import contracts
	$(run) ruff format --check .
	$(run) ruff check .
	$(run) mypy
	$(PY) -c 'import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint())'

format: $(ready) ## format, and mend what can be mended by itself
	$(run) ruff format .
	$(run) ruff check --fix .

docs: $(ready) ## build the documentation into site/
	$(run) mkdocs build --strict

bench: $(ready) ## the benchmark: minutes, and a quiet machine is wanted
	@$(run) tests.servers ensure
	$(run) tests.benchmarks $(ARGS)

check: lint test docs ## every check there is; what CI runs

clean: ## remove all that these commands made
	@test ! -e .test-servers/started.json || $(PY) -m tests.servers stop
	rm -rf .venv .demo .test-servers build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@scripts/venv.sh $(VENV) dev
