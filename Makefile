# The developer's commands. `make` alone lists them. Everything is installed into .venv, from the lock files, by hash.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-print-directory

# The interpreter that .venv is made with: the first of these that runs, is new enough and can make environments.
PYTHONS ?= python3 python3.14 python3.13 python3.12 python3.11
# More arguments for pytest, as in `make test PYTEST_OPTIONS="-k jwks"`.
PYTEST_OPTIONS ?=
# How long `make soak` loads a server, in seconds.
SOAK_SECONDS ?= 120
# How much `make fuzz` tries, and where it begins: always the same, or with FUZZ_SEED=0 somewhere else each time.
FUZZ_RUNS ?= 5000
FUZZ_SEED ?= 1
# What `make bench` measures, one program after the other; each is explained at the top of its file.
BENCHMARKS ?= issuing issuing.footprint issuing.latency issuing.many_devices verification protected layers
# `make lock UPGRADE=--upgrade` moves every version to the newest; without it only what must change does.
UPGRADE ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST_OPTIONS)
NEEDS_NOTHING := not interop and not proxy and not recipes and not browser and not redis and not deploy and not soak \
	and not namespaces
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --custom-compile-command "make lock" $(UPGRADE)

.PHONY: help demo test quick check fmt fmt-check lint types walls recipes proxy deploy soak fuzz bench bench-quick interop redis namespaces faults browser \
	lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/server ## the whole story on this machine, in under a minute
	@$(BIN)/authserver demo

test: .venv/developer ## every test that needs nothing but Python
	@$(PYTEST) -m "$(NEEDS_NOTHING)"

quick: .venv/developer ## the tests that take less than a minute and a half together
	@$(PYTEST) -m "not slow and $(NEEDS_NOTHING)"

check: fmt-check lint types walls test ## everything that must hold before a commit

fmt: .venv/developer ## write the code in the one format
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix-only --quiet

fmt-check: .venv/developer
	@$(BIN)/ruff format --check

lint: .venv/developer walls ## style, mistakes, and the import walls
	@$(BIN)/ruff check

types: .venv/developer ## mypy, strict
	@$(BIN)/mypy

walls: .venv/developer ## who may import whom
	@$(BIN)/lint-imports --no-logo --no-cache

recipes: .venv/recipes ## the recipes of the documentation; needs curl, jq, openssl and sqlite3
	@$(BIN)/python -m pytest -m recipes $(PYTEST_OPTIONS)

proxy: .venv/deploy ## the hostile table through a proxy, and the proxies of deploy/; needs nginx
	@$(BIN)/python -m pytest -m proxy $(PYTEST_OPTIONS)

deploy: .venv/deploy ## deploy/ checked, and the server contained; needs root, systemd-analyze, and kustomize or kubectl
	@$(BIN)/python -m pytest -m deploy $(PYTEST_OPTIONS)

soak: .venv/developer ## a server under load for SOAK_SECONDS: nothing may grow
	@SOAK_SECONDS=$(SOAK_SECONDS) $(BIN)/python -m pytest -m soak -s $(PYTEST_OPTIONS)

fuzz: .venv/fuzz ## tokens, proofs and keys at random, read by us and by others; needs Linux on x86-64
	@mkdir -p build
	@for what in tokens proofs keys; do \
		$(BIN)/python -m tests.fuzz.jose $$what -runs=$(FUZZ_RUNS) -seed=$(FUZZ_SEED) -verbosity=0 \
			-artifact_prefix=build/fuzz- || exit 1; \
	done

bench: .venv/developer benchmarks/node/node_modules/installed ## how fast it is, and others, into build/bench: over an hour; needs wrk and two idle cores
	@for what in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$what build/bench || exit 1; done
	@$(BIN)/python -m benchmarks.policy > build/bench/policy.json

bench-quick: .venv/developer benchmarks/node/node_modules/installed ## the same in two minutes, with less of everything; into build/bench-quick
	@for what in issuing verification; do $(BIN)/python -m benchmarks.$$what --quick build/bench-quick || exit 1; done

interop: .venv/developer tests/interop/node_modules/installed ## programs of other ecosystems; needs node and npm
	@$(BIN)/python -m pytest -m interop $(PYTEST_OPTIONS)

redis: .venv/developer ## the store on Redis: failover, a node that dies, TLS; needs redis-server
	@$(BIN)/python -m pytest -m redis $(PYTEST_OPTIONS)

namespaces: .venv/developer ## several hosts, some of which are cut off; needs root and ip
	@$(BIN)/python -m pytest -m namespaces $(PYTEST_OPTIONS)

faults: .venv/developer ## everything that can fail, and docs/explanation/faults.md anew; needs redis-server, root and ip
	@rm -rf build/faults
	@AUTHSERVER_FAULTS=build/faults $(BIN)/python -m pytest tests/faults $(PYTEST_OPTIONS)
	@$(BIN)/python -m tests.faults.page build/faults

browser: .venv/browser ## a browser as a device; needs Chromium and its driver
	@$(BIN)/python -m pytest -m browser $(PYTEST_OPTIONS)

lock: .venv/developer ## work the lock files out again from pyproject.toml
	@$(COMPILE) pyproject.toml --extra server --output-file requirements.lock
	@$(COMPILE) pyproject.toml --extra server --group dev --constraint requirements.lock --output-file requirements-dev.lock
	@$(COMPILE) --group build --constraint requirements-dev.lock --output-file requirements-build.lock
	@$(COMPILE) --group recipes --constraint requirements-dev.lock --output-file requirements-recipes.lock
	@$(COMPILE) --group browser --constraint requirements-dev.lock --output-file requirements-browser.lock
	@$(COMPILE) --group deploy --constraint requirements-dev.lock --output-file requirements-deploy.lock
	@$(COMPILE) --group fuzz --constraint requirements-dev.lock --output-file requirements-fuzz.lock

clean: ## remove what the other targets made
	@rm -rf .venv .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist tests/interop/node_modules \
		benchmarks/node/node_modules
	@find authserver tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Each file below .venv that has no extension says that its part is installed; a newer lock makes it out of date.

.venv/python:
	@set -e; for python in $(PYTHONS); do \
		if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "Making .venv with $$("$$python" --version)"; \
			"$$python" -m venv --clear .venv; touch $@; exit 0; \
		fi; \
	done; \
	echo "No Python 3.11 or newer that can make virtual environments was found among: $(PYTHONS)." >&2; \
	echo "Install one (on Debian also python3-venv), or name it: make PYTHONS=/path/to/python3" >&2; \
	exit 1

.venv/server: .venv/python requirements.lock requirements-build.lock pyproject.toml
	@$(PIP) install --quiet --require-hashes -r requirements.lock -r requirements-build.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/developer: .venv/server requirements-dev.lock
	@$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

.venv/recipes: .venv/developer requirements-recipes.lock
	@$(PIP) install --quiet --require-hashes -r requirements-recipes.lock
	@touch $@

.venv/deploy: .venv/developer requirements-deploy.lock
	@$(PIP) install --quiet --require-hashes -r requirements-deploy.lock
	@touch $@

.venv/fuzz: .venv/developer requirements-fuzz.lock
	@$(PIP) install --quiet --require-hashes -r requirements-fuzz.lock
	@touch $@

.venv/browser: .venv/developer requirements-browser.lock
	@$(PIP) install --quiet --require-hashes -r requirements-browser.lock
	@touch $@

tests/interop/node_modules/installed: tests/interop/package.json tests/interop/package-lock.json
	@npm ci --prefix tests/interop --loglevel error --no-fund --no-audit
	@touch $@

# Without npm, what runs on node is left out of the measurements, which say so.
benchmarks/node/node_modules/installed: benchmarks/node/package.json benchmarks/node/package-lock.json
	@if command -v npm >/dev/null; then \
		npm ci --prefix benchmarks/node --loglevel error --no-fund --no-audit && touch $@; \
	fi
