# `make demo` shows the SDK at work; `make test` is what everyone runs before a commit. `make help` lists the rest.
#
#   PYTHON=python3.12   the interpreter the virtual environment is made with (3.10 or newer)
#   VENV=.venv          where it is
#   JOBS=2              processes of the test run
#   COVERAGE=100        percentage of lines and branches below which `make test` fails
#
# The tests of what workers share need a Redis server (sudo apt-get install redis-server); without one they are left out,
# which the last lines of `make test` say. TESTS_NEED_REDIS=1 makes that a failure.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
COVERAGE ?= 100

SHELL := bash
BIN := $(VENV)/bin
PY := $(BIN)/python
# Made again when the dependencies may have changed: the first is enough to run the package, the second to work on it.
RUN := $(VENV)/.stamp-run
DEV := $(VENV)/.stamp-dev
REPORT := $(VENV)/.last-pytest-output
# Without a Redis server its tests are left out, and so is the code that only they run.
REDIS := $(shell command -v redis-server || command -v valkey-server)
WITHOUT_REDIS := --omit='gigachat_sdk/_redis*.py'

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint types pytest format generate docs soak ray clean

help:  ## this list
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/  make \1@\2/p' $(MAKEFILE_LIST) | tr '@' '\t' | expand -t 18

demo: $(RUN)  ## the main job against the emulator: no key, no network
	@$(PY) examples/demo.py

# Cheap things first. Pytest's summary is the last line.
test: lint types pytest  ## everything: the generated tree, lint, types, tests, coverage

lint: $(DEV)  ## the generated tree is fresh, ruff has nothing to say
	$(PY) scripts/unasync.py --check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)  ## mypy and pyright in strict mode; every public name has a type
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(PY)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pyright --verifytypes gigachat_sdk --ignoreexternal  # it asks the PATH's python

pytest: $(DEV)  ## the tests, with coverage
	@$(BIN)/coverage erase
	set -o pipefail; $(BIN)/coverage run -m pytest -n $(JOBS) --dist worksteal | tee $(REPORT)
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=$(COVERAGE) $(if $(REDIS),,$(WITHOUT_REDIS))
	@$(if $(REDIS),,grep '^left out' $(REPORT);) tail -n 1 $(REPORT)

format: $(DEV)  ## let ruff repair and format what is written by hand, then generate the rest
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(PY) scripts/unasync.py

generate: $(DEV)  ## write the sync tree from the async one
	$(PY) scripts/unasync.py

docs: $(DEV)  ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

soak: $(DEV)  ## the long tests: millions of inputs, kill loops; by hand before an issue is called done
	$(PY) -m pytest -m soak

# Ray is large, and not needed for anything else: it gets an environment of its own.
ray: $(RUN)  ## the tests on a Ray cluster of two workers: 500 MB of packages go into .venvs/ray; needs redis-server
	$(BIN)/uv venv --quiet --allow-existing --python $(PY) .venvs/ray
	$(BIN)/uv pip install --quiet --python .venvs/ray/bin/python --editable '.[all,ray]' --group test
	.venvs/ray/bin/python -m pytest -m ray

clean:  ## delete what was built; the virtual environment stays
	rm -rf .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache .venvs build dist site
	find gigachat_sdk tests scripts examples -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "gigachat-sdk needs Python 3.10 or newer, and '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
	  exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUN): pyproject.toml | $(PY)
	$(PY) -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(PY) --editable '.[all]'
	@touch $@

$(DEV): $(RUN)
	$(BIN)/uv pip install --quiet --python $(PY) --editable '.[all]' --group dev
	@touch $@
