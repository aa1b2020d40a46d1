# Sluice. `make demo` shows the main job, `make test` proves it; both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# `make NATIVE=no install` is what happens where there is no cargo.
NATIVE ?= yes
# Named by what is found, so that a toolchain that comes later is used. The redirection is for make 3.81,
# which would else run 'command' without a shell.
TOOLCHAIN := $(if $(word 2,$(shell command -v cargo 2>/dev/null; command -v cc 2>/dev/null)),cargo,none)
NATIVE_STAMP := $(VENV)/.native-$(NATIVE)-$(TOOLCHAIN)
NATIVE_SOURCES := $(wildcard native/*.toml native/Cargo.lock native/src/*.rs native/src/*/*.rs)
DEPLOY := .venv-deploy
VERSION = $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml)
BENCH_STAMP := $(VENV)/.bench-installed
CHAOS_SECONDS ?= 1800
CHAOS_SEED ?= 1
STORAGE ?= local
SOAK_SECONDS ?= 1200
TEST_WORKERS ?= 4
# Tests of `make test` wait for nodes and brokers most of their time.
WAITING_WORKERS ?= 5
HUNT_KILLS ?= 1000
FUZZ_SECONDS ?= 3600
HUNT ?=
CHECKED := acceptance broker clients consumer producer schemas sluice sluice_client tests bench compose docs/examples

# Hundreds of processes would compile the same files again, and pytest rewrite all assertions.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo client test test-long test-longest test-properties test-again check lint types test-unit chaos hostile native-check native-fuzz hunt bench load evidence soak scale deploy-check imports rules image lock schemas dashboard metrics-docs lane-diagram clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP) $(NATIVE_STAMP) ## create .venv with the locked dependencies and .venv/bin/sluice

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "sluice: $(PYTHON) is missing; install Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sluice: $(PYTHON) is not a working Python 3.11 or newer; try: make PYTHON=python3.11 install" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "sluice: Python's venv module is missing; install the system package python3-venv" >&2; exit 1; }
	@# Its pip, not its Python: an interrupted venv has the one without the other.
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@echo "installing what Sluice needs into $(VENV), once: a minute or two"
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Needs a Rust toolchain, and without one leaves the encoding to Python: it never fails.
$(NATIVE_STAMP): $(STAMP) requirements-native.lock native/install.sh $(NATIVE_SOURCES)
	@NATIVE=$(NATIVE) sh native/install.sh $(VENV)
	@rm -f $(VENV)/.native-* && touch $@

demo: install ## run the five scenarios on an embedded Apache Kafka
	$(BIN)/sluice demo

# Workers with one Kafka, which share the files; in the order of folders, as long files are in the
# first ones.
PYTEST_APART := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder --one-kafka

# Folders whose tests are all left out by their marks are not even imported.
UNMARKED := --ignore tests/hostile --ignore tests/integration --ignore tests/page

test: install ## the tests, on a real Kafka (about a quarter of an hour on two cores)
	@$(BIN)/python -m broker.record_classes
	$(PYTEST_APART) -n $(WAITING_WORKERS) -m "not long"

test-long: test-longest test-properties ## the longest tests, and properties with many examples

test-longest: install
	@$(BIN)/python -m broker.record_classes
	$(PYTEST_APART) -n $(TEST_WORKERS) -m long --timeout 1800

test-properties: install
	$(BIN)/python -m pytest -q -m "hypothesis and not kafka and not long" -n $(TEST_WORKERS) \
	    --dist worksteal --timeout 1800 --hypothesis-profile long $(UNMARKED)

test-again: install ## what failed last, once more and alone, as CI does
	$(BIN)/python -m tests.again

hunt: install ## kill Kafka under commits, and see whether it forgets some (HUNT_KILLS, HUNT)
	$(BIN)/python -m tests.chaos.commit_hunt --kills $(HUNT_KILLS) --seed $(CHAOS_SEED) $(HUNT)

check: install ## format, lint, types, imports, unit and property tests (one to three minutes)
	@$(MAKE) --no-print-directory -j 3 $(GROUPED) lint types imports native-check test-unit

# Prints what each of several targets prints at one go; the make of macOS can't.
GROUPED := $(if $(filter output-sync,$(.FEATURES)),--output-sync)

lint:
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/ruff check $(CHECKED)

types:
	$(BIN)/mypy

test-unit:
	$(BIN)/python -m pytest -q -m "not kafka and not slow and not long" -n $(TEST_WORKERS) --dist worksteal $(UNMARKED)

native-check: ## format, lint and tests of native/, where cargo is
	@# A distribution's cargo comes without clippy and rustfmt, and builds all the same; an old one
	@# doesn't know the crate's edition.
	@if cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1 \
	    && cargo metadata --no-deps --format-version 1 --manifest-path native/Cargo.toml >/dev/null 2>&1; \
	then set -e; unset MAKEFLAGS MFLAGS; cd native; \
	    cargo fmt --check; cargo fmt --check --manifest-path fuzz/Cargo.toml -- --config-path .; cargo clippy --quiet --locked --all-features --all-targets -- -D warnings; \
	    cargo test --quiet --locked; \
	else echo "sluice: no cargo of 1.88 or newer with clippy and rustfmt: native/ is not checked"; fi

native-fuzz: ## fuzz the JSON reader of native/ (FUZZ_SECONDS; needs a nightly toolchain and cargo-fuzz)
	cd native && cargo +nightly fuzz run record -- \
	    -dict=fuzz/json.dict -max_len=4096 -timeout=10 -max_total_time=$(FUZZ_SECONDS)

chaos: install ## a long storm of faults (CHAOS_SECONDS, CHAOS_SEED, STORAGE: local or s3)
	$(BIN)/python -m tests.chaos --seconds $(CHAOS_SECONDS) --seed $(CHAOS_SEED) --storage $(STORAGE) --report tests/chaos/results

hostile: install ## hostile input of every kind, sent at two nodes (some minutes; needs Linux)
	$(BIN)/python -m tests.hostile

bench: $(BENCH_STAMP) ## speed and memory beside others' (a quarter of an hour; needs Linux)
	$(BIN)/python -m bench

load: install ## 10,000 and 50,000 rows through a running node, then `sluice check`
	$(BIN)/python -m acceptance.load

evidence: $(BENCH_STAMP) ## the acceptance from start to end, into evidence/ (some minutes; needs Linux)
	$(BIN)/python -m acceptance.evidence --into evidence

soak: $(BENCH_STAMP) ## one node under a steady replayed load (SOAK_SECONDS; needs Linux)
	$(BIN)/python -m acceptance.soak --seconds $(SOAK_SECONDS)

scale: $(BENCH_STAMP) ## what an export costs, with one node and two (some minutes; needs Linux)
	$(BIN)/python -m acceptance.scale_out

$(BENCH_STAMP): $(STAMP) requirements-bench.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@

imports: install ## which package may import which; no cycles
	$(BIN)/lint-imports

rules: ## the alerts, by promtool (Debian package prometheus)
	@command -v promtool >/dev/null || { echo "sluice: promtool is missing; install the system package prometheus" >&2; exit 1; }
	promtool check rules rules/export.yml
	promtool test rules rules/export.test.yml

deploy-check: $(DEPLOY)/.installed ## the files in compose/ and .github/, by schemas and a linter
	$(DEPLOY)/bin/check-jsonschema --builtin-schema vendor.compose-spec compose/compose.yaml
	$(DEPLOY)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/export-ci.yml
	$(DEPLOY)/bin/kubernetes-validate --strict --quiet compose/kubernetes.yaml
	$(DEPLOY)/bin/hadolint compose/Dockerfile

$(DEPLOY)/.installed: requirements-deploy.lock
	$(PYTHON) -m venv $(DEPLOY)
	$(DEPLOY)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-deploy.lock
	@touch $@

client: install ## build the wheel sluice-client for services, into dist/
	cd sluice_client/wheel && ../../$(BIN)/python -m hatchling build -t wheel -d ../../dist

image: ## build the container image (needs Docker)
	@docker info >/dev/null 2>&1 || { echo "sluice: no Docker engine answers; the image is built by one" >&2; exit 1; }
	docker build --file compose/Dockerfile --tag sluice --tag sluice:$(VERSION) .

schemas: install ## write schemas/json and schemas/asyncapi.yaml from the models
	$(BIN)/python -m schemas.build.generate

dashboard: install ## write compose/grafana/export.json, the Grafana dashboard
	$(BIN)/python -m compose.grafana.dashboard

metrics-docs: install ## write docs/metrics.md from the catalogue
	$(BIN)/python -m consumer.metrics.document

lane-diagram: install ## draw a lane's states in docs/architecture.md from their table
	$(BIN)/python -m tests.model.diagram

lock: ## resolve the dependencies again (needs uv)
	uv pip compile pyproject.toml --group dev --all-extras --universal --python-version 3.11 \
	    --only-binary deflate --emit-build-options \
	    --generate-hashes --no-header --no-annotate --no-emit-index-url --upgrade -o requirements.lock
	uv pip compile --group pyproject.toml:bench -c requirements.lock --universal --python-version 3.11 \
	    --generate-hashes --no-header --no-annotate --no-emit-index-url --upgrade -o requirements-bench.lock
	uv pip compile --group pyproject.toml:deploy --universal --python-version 3.11 \
	    --generate-hashes --no-header --no-annotate --no-emit-index-url --upgrade -o requirements-deploy.lock
	uv pip compile --group pyproject.toml:native --universal --python-version 3.11 \
	    --generate-hashes --no-header --no-annotate --no-emit-index-url --upgrade -o requirements-native.lock
	uv pip compile pyproject.toml --group image -c requirements.lock --universal --python-version 3.11 \
	    --only-binary deflate --emit-build-options \
	    --generate-hashes --no-header --no-annotate --no-emit-index-url -o requirements-image.lock

clean: ## remove what make made (files in exports/ stay)
	rm -rf $(VENV) $(DEPLOY) native/target native/fuzz/target bench/node/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
