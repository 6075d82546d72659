# Two commands for a fresh machine that has Python 3.11+ and make: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TESTED := $(VENV)/.tested

# By uv, which is several times as fast as pip: the machine's own, else the one that the lock names, brought in by pip. Where uv cannot
# do it, for example because only pip knows the address of the mirror, pip does it alone. $(1): what to install.
UV := PATH="$$PATH:$(BIN)" uv pip
PIP := $(BIN)/python -m pip
QUIETLY := --quiet --disable-pip-version-check
install = $(UV) install --quiet --python $(BIN)/python $(1) || $(PIP) install $(QUIETLY) $(1)

# uv leaves compiling to the first import. Where an environment forbids Python to keep what it compiled, every process would compile
# all of its libraries again: seconds for each command, half of the tests' time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test quick lint lock bench setup gpu

# `sync` takes away what an earlier lock had, TensorFlow's GPU build among it: both builds own the same files.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Tickercast needs Python 3.11 or newer; try: make PYTHON=python3.12"; exit 2; }
	@echo "Setting up $(VENV); this takes a minute or so"
	@$(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock >$(VENV)/uv.lock
	@command -v uv >/dev/null || $(PIP) install $(QUIETLY) --no-deps --require-hashes -r $(VENV)/uv.lock
	@$(UV) sync --quiet --python $(BIN)/python --require-hashes requirements.lock || $(PIP) install $(QUIETLY) --no-deps --require-hashes -r requirements.lock
	@$(call install,--no-deps --no-build-isolation --editable .)
	@touch $@

$(TESTED): requirements-dev.lock $(READY)
	$(call install,--no-deps --require-hashes -r requirements-dev.lock)
	@touch $@

setup: $(READY)

run: $(READY)
	@$(BIN)/tickercast nightly --profile demo

test: $(TESTED)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

# What needs no Prefect server and is quick: within a minute.
quick: $(TESTED)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not prefect and not slow" $(ARGS)

lint: $(TESTED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# TensorFlow with its GPU code and NVIDIA's libraries instead of the small build; Linux on x86-64, and about 5 GB more.
gpu: $(READY)
	$(UV) uninstall --quiet --python $(BIN)/python tensorflow-cpu
	$(call install,--no-deps --require-hashes -r requirements-gpu.lock)

# Hashes for every dependency and no address of an index: any mirror serves. The tools for tests come on top of what running needs, but not
# pyarrow, with which pandas keeps texts otherwise: tests shall see what `make run` installs.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--no-strip-extras --no-header
EXTRAS := --extra setup --extra dev --extra dask --extra plot
lock: $(TESTED)
	PATH="$$PATH:$(BIN)" $(COMPILE) pyproject.toml --extra setup --upgrade -o requirements.lock
	PATH="$$PATH:$(BIN)" $(COMPILE) pyproject.toml $(EXTRAS) --upgrade -c requirements.lock -o requirements-dev.lock
	echo 'tensorflow[and-cuda]' | PATH="$$PATH:$(BIN)" $(COMPILE) - --upgrade -c requirements.lock -o requirements-gpu.lock

bench: $(TESTED)
	$(BIN)/python -m tests.bench
