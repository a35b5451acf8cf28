# `make help` lists what there is to do. Needs Python 3.11 or later with pip, and make; everything else goes into .venv.

# The first interpreter that is new enough: `make up PYTHON=/path/to/python` picks another.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
BIN := .venv/bin
PACKAGES := packages/waypost-client packages/waypost packages/omnichannel
EDITABLE := $(addprefix --editable ,$(PACKAGES))
PEERS := dnsperf knot nsd bind9 dnsmasq-base pdns-server pdns-backend-bind haproxy etcd-server redis-server postgresql gcc libc6-dev
PROJECTS := $(addsuffix /pyproject.toml,$(PACKAGES))

.DEFAULT_GOAL := help
.PHONY: help up test soak lint bench bench-peers lock clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

up: .venv/run ## Set up .venv and run the platform of platform.toml in the foreground; Ctrl-C drains and stops it.
	@exec $(BIN)/waypost up platform.toml

test: .venv/dev ## Set up .venv and run every test, in two lanes side by side.
	@$(BIN)/python -m tests.lanes

soak: .venv/dev ## Run the storms that take minutes, which make test leaves out.
	$(BIN)/python -m pytest -m soak

lint: .venv/dev ## Check style and types: ruff, mypy --strict.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/dev ## Measure, side by side, what the documentation gives figures for.
	$(BIN)/python -m benchmarks $(ROWS)

# RUNLEVEL=1 keeps the packages from starting their services: each peer is started by the benchmark, on a port of its own.
bench-peers: .venv/python ## Install what make bench measures against, from Debian and PyPI (asks for root).
	$(if $(filter 0,$(shell id -u)),,sudo) env RUNLEVEL=1 apt-get install --yes --no-install-recommends $(PEERS)
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip --disable-pip-version-check install "moto[server]" aiohttp celery procrastinate "psycopg[binary]" redis requests

lock: ## Write the lock files anew (needs uv).
	requirements/lock.sh

clean: ## Remove .venv and the platform's state.
	rm -rf .venv .venv-bench var

.venv/python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or later found; install one, or name it: make up PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "creating .venv with $(PYTHON)"
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/run: .venv/python requirements/run.txt $(PROJECTS)
	@echo "installing what the platform needs, from requirements/run.txt"
	@$(BIN)/pip --disable-pip-version-check install --require-hashes --requirement requirements/run.txt
	@$(BIN)/pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation $(EDITABLE)
	@touch $@

.venv/dev: .venv/run requirements/dev.txt
	@echo "installing what the tests need, from requirements/dev.txt"
	@$(BIN)/pip --disable-pip-version-check install --quiet --require-hashes --requirement requirements/dev.txt
	@touch $@
