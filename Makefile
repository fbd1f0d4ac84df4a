# `make` alone shows what there is. Needs Python 3.11 or newer with pip and venv, and nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A stamp is newer than what it was made from, so an install is repeated only when its cause has changed.
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Where this is set, each of the many processes of a service or a test run would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test fuzz check bench run migrate

help: ## Show this list
	@echo "SteadyRank: trains sequential recommenders whose rankings stay steady when a click is wrong."
	@echo
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

install: $(INSTALLED) ## Make .venv with all that `make demo` and `make test` need

demo: $(INSTALLED) ## Train three models on MovieLens 100K through the whole service (3 to 5 minutes)
	@$(BIN)/steadyrank demo

test: $(INSTALLED) ## Run the whole suite on real servers, in several processes; ARGS="-k cascade -x" goes to pytest
	@$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(ARGS)

fuzz: $(INSTALLED) ## Test the served API against its OpenAPI page, 200 examples an operation; ARGS goes to schemathesis
	@FUZZ_EXAMPLES=200 FUZZ_ARGS="$(ARGS)" $(BIN)/python -m pytest tests/app/test_schemathesis.py

check: $(INSTALLED_DEV) ## Lint, formatting, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED) ## Run the benchmarks, or those named: ARGS="training", ARGS="peers --peers rectools"
	@OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks $(ARGS)

run: $(INSTALLED) ## Start the service on this machine; ARGS="--port 8000" goes to `steadyrank up`
	@$(BIN)/steadyrank up $(ARGS)

migrate: $(INSTALLED) ## Bring the database named by DATABASE_URL to the newest schema
	@$(BIN)/steadyrank migrate

$(INSTALLED): pyproject.toml worker/install_torch.py
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"SteadyRank needs Python 3.11 or newer, and $(PYTHON) is {v[0]}.{v[1]}. Name another one: make install PYTHON=python3.12")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "Making $(VENV) ..."; $(PYTHON) -m venv --clear $(VENV); }
	@$(BIN)/python worker/install_torch.py
	@echo "Installing SteadyRank and what it needs ..."
	@$(PIP_INSTALL) --editable '.[embedded,worker,test]'
	@touch $@

$(INSTALLED_DEV): $(INSTALLED)
	@echo "Installing the linters ..."
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $@
