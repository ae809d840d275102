# Every target makes the environment it needs; `make help` lists them.
#   VENV=dir     use another virtual environment
#   PYTHON=exe   make it with another Python (3.11 or later)
#   ARGS="…"     more arguments for the program a target runs

VENV ?= .venv
PYTHON ?= $(shell for name in python3.11 python3 python3.13 python3.12 python; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; done)
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup check lint types format-check rules imports mypy pyright test test-long reliability sim bench demo run docs lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make the virtual environment

$(READY): requirements/ci.txt pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "Nextbeat needs Python 3.11 or later, and found none: install one, or name it with 'make PYTHON=/path/to/python3.11 …'" >&2; \
		exit 1; \
	fi
	@echo "making $(VENV) with $(PYTHON); the first time takes a minute"
	@"$(PYTHON)" -m venv --clear "$(VENV)"
	@"$(BIN)/python" -m pip install -qq --disable-pip-version-check --require-hashes --requirement requirements/ci.txt
	@"$(BIN)/python" -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

check: lint types test ## everything that must pass before a change is merged

lint: format-check rules imports ## formatting, lint and import contracts

types: mypy pyright ## both type checkers, strict

format-check: $(READY)
	"$(BIN)/ruff" format --check .

rules: $(READY)
	"$(BIN)/ruff" check .

imports: $(READY)
	"$(BIN)/lint-imports" --no-cache

mypy: $(READY)
	"$(BIN)/mypy"

pyright: $(READY)
	"$(BIN)/pyright" --pythonpath "$(BIN)/python"

test: $(READY) ## the tests
	"$(BIN)/pytest" $(ARGS)

test-long: $(READY) ## the tests that take minutes
	"$(BIN)/pytest" -m long $(ARGS)

sim: $(READY) ## a thousand simulated days full of faults: make sim ARGS="--seed 1 --seeds 1000 --days 1"
	"$(BIN)/nextbeat" sim $(or $(ARGS),--seed 1 --seeds 1000 --days 1)

reliability: $(READY) ## run the campaign of faults, and renew the figures of RELIABILITY.md
	rm -rf build/figures
	NEXTBEAT_FIGURES=build/figures "$(BIN)/pytest" tests/reliability tests/simulation $(ARGS)
	"$(BIN)/python" -m bench durability
	"$(BIN)/python" -m tests.reliability.promises build/figures

bench: $(READY) ## measure speed and memory against the machine's own limits
	"$(BIN)/python" -m bench $(ARGS)

demo: $(READY) ## a shop day in a minute, decided live
	"$(BIN)/nextbeat" demo $(ARGS)

run: $(READY) ## serve a workspace: make run ARGS="--workspace DIR --data DIR --port 8080"
	"$(BIN)/nextbeat" serve $(ARGS)

docs: $(READY) ## renew the files and outputs that the documentation shows
	"$(BIN)/python" tests/test_docs.py

lock: $(READY) ## renew requirements/ci.txt from pyproject.toml
	"$(BIN)/python" -m pip install -qq pip-tools
	"$(BIN)/python" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"], sep="\n")' > "$(VENV)/dev.in"
	"$(BIN)/pip-compile" --quiet --upgrade --generate-hashes --strip-extras --all-extras --allow-unsafe \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header --no-annotate \
		--output-file requirements/ci.txt pyproject.toml "$(VENV)/dev.in"

clean: ## forget everything that was made
	rm -rf "$(VENV)" dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
