# Sluice. `make demo` shows the main job, `make test` proves it; both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CHAOS_SECONDS ?= 1800
CHAOS_SEED ?= 1
CHECKED := broker consumer producer schemas sluice tests bench docs/examples

.DEFAULT_GOAL := help
.PHONY: help install demo test check chaos bench lock schemas metrics-docs clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP) ## create .venv with the locked dependencies and .venv/bin/sluice

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "sluice: $(PYTHON) is missing; install Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sluice: $(PYTHON) is not a working Python 3.11 or newer; try: make PYTHON=python3.11 install" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "sluice: Python's venv module is missing; install the system package python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: install ## run the five scenarios on an embedded Apache Kafka
	$(BIN)/sluice demo

test: install ## every test, on a real Kafka
	$(BIN)/python -m pytest

check: install ## format, lint, types, imports, unit and property tests (about a minute)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -m "not kafka and not slow"

chaos: install ## a long storm of faults (CHAOS_SECONDS, CHAOS_SEED)
	$(BIN)/python -m tests.chaos --seconds $(CHAOS_SECONDS) --seed $(CHAOS_SEED) --report tests/chaos/results

bench: install ## speed and memory of the main job, as ratios and CPU seconds
	$(BIN)/python -m bench

schemas: install ## write schemas/json and schemas/asyncapi.yaml from the models
	$(BIN)/python -m schemas.generate

metrics-docs: install ## write docs/metrics.md from the catalogue
	$(BIN)/python -m consumer.metrics.document

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile pyproject.toml --group dev --all-extras --universal --python-version 3.11 \
	    --generate-hashes --no-header --no-annotate --no-emit-index-url --upgrade -o requirements.lock

clean: ## remove what make made (files in exports/ stay)
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
