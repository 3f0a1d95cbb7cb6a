# make help lists what can be made.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9

SERVE ?= 1
PORT ?= 8501
CUSTOMERS ?= 20000
DEMO ?= data/demo

.PHONY: help setup demo test test-full test-faults check format lock bench docs screenshots clean

help: ## List these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.done ## Make the virtual environment from the lock file

$(VENV)/.done: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
		|| { echo "Cohorte needs Python 3.11, 3.12 or 3.13; name one: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@# uv installs in seconds; where it cannot reach the index that pip is set up for, pip does it.
	@{ $(BIN)/python -m pip install -q uv==$(UV_VERSION) \
		&& VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/uv pip install -q --no-deps --require-hashes -r requirements.lock; } 2>/dev/null \
		|| $(BIN)/python -m pip install -q --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --no-deps --no-build-isolation --no-index -e .
	@touch $@

demo: setup ## Make a demo company, run the pipeline, serve the screens (SERVE=0: stop after the run)
	$(BIN)/cohorte init $(DEMO) --template demo --customers $(CUSTOMERS)
	$(BIN)/cohorte run -w $(DEMO)
ifneq ($(SERVE),0)
	$(BIN)/cohorte serve -w $(DEMO) --port $(PORT)
endif

test: setup ## Run the tests (under 15 minutes on 2 cores)
	$(BIN)/pytest -m "not full" -n 2 --dist loadfile --durations=20

test-full: setup ## Run all tests, the full real data sets too
	$(BIN)/pytest -m "" -n 2 --dist loadfile

test-faults: setup ## Kill, fill the disk and break writes at three moments of every station (half an hour)
	$(BIN)/pytest -m "" -n 2 tests/faults

check: setup ## Lint, types, layers, SQL
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint dbt --processes 2

format: setup ## Format the Python code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup ## Resolve the dependencies anew
	$(BIN)/uv pip compile --universal --generate-hashes --group dev pyproject.toml -o requirements.lock \
		--no-emit-index-url --no-header --no-annotate --upgrade -q

bench: setup ## Measure the pipeline (BENCH="--customers 100000": one size)
	$(BIN)/python -m benchmarks $(BENCH)
	$(BIN)/python -m benchmarks.segments $(BENCH_SEGMENTS)
	$(BIN)/python -m benchmarks.identity $(BENCH_IDENTITY)

bench-screens: setup ## Measure the pages of DEMO with 20 sessions at once (SESSIONS=20)
	$(BIN)/python -m benchmarks.screens $(DEMO) --sessions $(or $(SESSIONS),20)

docs: setup ## Write the page of the data model again
	$(BIN)/python docs/data_model.py
	PYTHONPATH=. $(BIN)/python docs/lineage.py

screenshots: setup ## Take the pictures of the README again, from the demo company
	$(BIN)/python -m dashboards.screenshots $(DEMO) docs/images

clean: ## Remove the virtual environment and the demo company
	rm -rf $(VENV) $(DEMO)
