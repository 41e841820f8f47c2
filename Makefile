# Every target sets itself up: a .venv at the root, made once, pinned by constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# A process for every core, up to eight; the tests of a file share what is dear to set up.
PYTEST := $(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile

# Sums in another order than on most processors: what is learned must not depend on it.
OTHER_KERNELS := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2

.PHONY: help setup test check page-check robustness pong control gaussian glimpse memory bench docs clean

help:
	@echo "make setup      a .venv with everything, once; every other target does so by itself"
	@echo "make pong       train Pong from raw pixels, live       (ARGS=\"--seconds 60\")"
	@echo "make control    guess-and-check balances a pole, a trust region swings up a pendulum; a picture"
	@echo "make gaussian   the score function estimator in pictures, and a playground"
	@echo "make glimpse    hard attention on MNIST, live; then its pictures"
	@echo "make memory     programs that copy and reverse with a sampled memory, live; then their pictures"
	@echo "make test       the whole test suite"
	@echo "make robustness training killed twenty times at random, beside one left alone: 15 minutes"
	@echo "make check      lint, types, import contract, tests, docs"
	@echo "make page-check types, lint and tests of the playground's modules, where there is Node.js"
	@echo "make bench      the tables of benchmarks/"
	@echo "make docs       the documentation site, strict, in site/"
	@echo "make clean      removes .venv and what was built"

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[applications,examples,docs,dev]"
	@touch $@

test: setup
	$(PYTEST) $(ARGS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(MAKE) page-check
	$(PYTEST)
	$(OTHER_KERNELS) $(PYTEST) -m training
	$(MAKE) docs

# The playground's sources: types, lint and format, numeric modules. The page itself needs no Node.js.
WEB := applications/gaussian
page-check:
	@if ! command -v npm >/dev/null; then \
		echo "page-check is skipped, since there is no npm: install Node.js 20 or later"; \
	elif ! $(MAKE) --no-print-directory $(WEB)/node_modules/.ready; then \
		echo "page-check is skipped, since npm cannot install its tools (above)"; \
	else \
		cd $(WEB) && npm run --silent types && npm run --silent lint && npm run --silent test; \
	fi

$(WEB)/node_modules/.ready: $(WEB)/package-lock.json
	cd $(WEB) && npm ci --silent --no-audit --no-fund
	@touch $@

robustness: setup
	$(BIN)/pytest -m robustness $(ARGS)

pong: setup
	$(BIN)/python -m applications.pong train $(ARGS)

control: setup
	$(BIN)/python -m applications.control train $(ARGS)
	$(BIN)/python -m applications.control train --method trust-region --environment Pendulum-v1 $(ARGS)
	$(BIN)/python -m applications.control plot

gaussian: setup
	$(BIN)/python -m applications.gaussian plot $(ARGS)

glimpse: setup
	$(BIN)/python -m applications.glimpse train --plot $(ARGS)

memory: setup
	for task in copy reverse; do \
		$(BIN)/python -m applications.memory train --task $$task --mode address --plot $(ARGS) \
			|| exit 1; \
	done

bench: setup
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[bench]"  # adds pyro
	$(BIN)/python -m benchmarks $(ARGS)

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf $(VENV) site .pytest_cache .ruff_cache
