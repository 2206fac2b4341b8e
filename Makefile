# `make demo` and `make test` create what they need from a bare checkout with only Python and make.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
export OMP_WAIT_POLICY ?= passive

.PHONY: help demo test test-slow test-faults test-python test-lowest verify lint format docs notebooks bench clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/'

$(VENV)/.run: setup.cfg $(CONSTRAINTS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable ".[dev]"
	touch $@

$(VENV)/.slow: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable ".[dev,slow,docs]"
	touch $@

$(VENV)/.faults: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable ".[dev,faults]"
	touch $@

$(VENV)/.docs: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --constraint $(CONSTRAINTS) --editable ".[docs]"
	touch $@

demo: $(VENV)/.run ## shapes -> VAE and CR-VAE -> probe -> demo/report.html, minutes on two cores
	$(BIN)/pointvae demo

test: $(VENV)/.dev ## the tests, under 10 minutes on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not faults"

test-slow: $(VENV)/.slow ## clusters, faults, scale: the tests that take minutes each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

test-faults: $(VENV)/.faults ## kills, faults of the machine, 100,000 hostile files: bounded in time, ends with a table
	rm -rf build/faults
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m faults; \
	ended=$$?; $(BIN)/python -m tests.faults.summary --of build/faults; exit $$ended

test-python: ## `make test` in an environment of its own for another Python: make test-python PYTHON=python3.13
	$(MAKE) test VENV=.venv-$(notdir $(PYTHON))

# Warnings do not fail this one: old releases use what their newer neighbours deprecate.
test-lowest: ## `make test` with the lowest versions that setup.cfg claims, on the oldest Python
	PYTEST_ADDOPTS="-W default" $(MAKE) test PYTHON=python3.10 VENV=.venv-lowest CONSTRAINTS=constraints-lowest.txt

verify: $(VENV)/.dev ## does every figure in README and docs say what the rows of results/ say?
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/experiments/verify.py

lint: $(VENV)/.dev ## format check, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev ## format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.docs ## the site, into site/; a warning fails it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

notebooks: $(VENV)/.dev ## make the notebooks of their scripts, run each, keep what they show in build/notebooks/ for the site
	OMP_NUM_THREADS=1 $(BIN)/python notebooks/build.py --execute

bench: $(VENV)/.dev ## the experiment whose rows stand in results/ (hours; needs ModelNet40)
	$(BIN)/python benchmarks/modelnet40.py

clean: ## remove what the targets above made
	rm -rf $(VENV) .venv-* demo build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
