# Everything these targets write stays inside the checkout, pip's own cache apart.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The first interpreter that is new enough; `make PYTHON=...` overrides the search.
PYTHON ?= $(shell for p in python3.11 python3 python3.14 python3.13 python3.12 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
BENCH_VENV := .cache/bench/asyncllm
# Twice quiet: the warnings of a pip configuration that has nothing to do with this project stay out of sight, errors do not.
PIP := $(BIN)/python -m pip --quiet --quiet --no-input --disable-pip-version-check
# Byte-compiling thousands of modules that nobody imports is a third of the time of a first install; Python compiles
# what it imports, unless the environment forbids it, which would make every start as slow as the first.
INSTALL := $(PIP) install --require-hashes --no-compile --progress-bar off
unexport PYTHONDONTWRITEBYTECODE

UV_VERSION := 0.13.9
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

# Tests wait for servers and subprocesses now and then: one process more than there are cores.
WORKERS = PYTEST_XDIST_AUTO_NUM_WORKERS=$$($(BIN)/python -c "import os; print(1 + (os.cpu_count() or 1))")

.PHONY: help demo test coverage web mutants lint docs bench bench-quick bench-environment bench-limits soak peers compat lock clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1@\2/p' $(firstword $(MAKEFILE_LIST)) | column -t -s @

demo: $(VENV)/run.stamp ## a call, a stream, a typed answer and a batch, on the embedded simulator
	@$(BIN)/asyncllm demo

test: $(VENV)/dev.stamp ## run the tests; TESTS=path runs some of them
	@$(WORKERS) $(BIN)/python -m pytest --quiet --numprocesses auto --dist worksteal $(TESTS)

coverage: $(VENV)/dev.stamp ## run the tests and measure which branches of the package they take; fails under 95 %
	@$(BIN)/coverage erase
	@$(WORKERS) $(BIN)/coverage run -m pytest --quiet --numprocesses auto --dist worksteal $(TESTS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

web: $(VENV)/dev.stamp ## serve the chat of examples/chat on the simulator, at http://127.0.0.1:8000
	@$(BIN)/uvicorn --app-dir examples/chat app:app

mutants: $(VENV)/dev.stamp ## count the small faults that the tests notice, in half an hour; PART=name for one part
	@$(BIN)/python -m benchmarks.mutants $(PART)

lint: $(VENV)/dev.stamp ## style, types, the direction of imports, and spelling
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/basedpyright --level error
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/codespell

docs: $(VENV)/dev.stamp ## build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: bench-environment ## measure against every peer, in a quarter of an hour; writes docs/benchmarks.md
	@$(BENCH_VENV)/bin/python -m benchmarks

bench-quick: bench-environment ## measure the larger part in two minutes
	@$(BENCH_VENV)/bin/python -m benchmarks --quick

# As every peer has its own: what linters and tests bring is looked through at each start, and is in no user's environment.
bench-environment:
	@$(MAKE) --silent VENV=$(BENCH_VENV) $(BENCH_VENV)/run.stamp

bench-limits: $(VENV)/run.stamp ## measure the limiter against providers with limits, in fifteen minutes; CASE=name for one of them
	@$(BIN)/python -m benchmarks.limits $(CASE)

soak: $(VENV)/dev.stamp ## kill, starve and fill batches for half an hour; CASE=name does one thing
	@$(BIN)/python -m benchmarks.batch $(CASE)

peers: $(VENV)/run.stamp ## check a real llama.cpp server and a LiteLLM proxy, each in its own environment; the first is compiled, for minutes
	@$(BIN)/python -m benchmarks.real_servers $(SERVER)

compat: $(BIN)/python ## build the wheel, and try it with the lowest and the newest versions of what it needs
	@$(PIP) install uv==$(UV_VERSION)
	@.ci/compat $(BIN)/uv

lock: $(BIN)/python ## write the lock files anew; UPGRADE=1 takes the newest releases
	@$(PIP) install uv==$(UV_VERSION)
	@$(LOCK) --all-extras pyproject.toml --output-file constraints.txt
	@$(LOCK) --no-annotate --extra trio --extra uvloop --extra build --constraints constraints.txt pyproject.toml --output-file constraints-run.txt

clean: ## remove the environment and everything built
	@rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis site dist out

$(BIN)/python:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "asyncllm needs Python 3.11" \
		"or newer, and found none. Install one, or say where it is: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

# The checkout itself is installed last and without its dependencies, so that nothing comes from outside the lock.
$(VENV)/run.stamp: constraints-run.txt pyproject.toml | $(BIN)/python
	@echo "Installing what asyncllm runs on (the first time takes about a minute)"
	@$(INSTALL) --requirement constraints-run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: constraints.txt $(VENV)/run.stamp
	@echo "Installing what tests, lint and docs need"
	@$(INSTALL) --requirement constraints.txt
	@touch $@
