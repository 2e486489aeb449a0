# `make` alone says what there is to make.

PYTHON ?= python3
VENV ?= .venv
IN := $(VENV)/bin
MANAGE := $(IN)/python manage.py
# Without pip inside the environment: the machine's own pip fills it, which saves half of the time.
PIP := $(PYTHON) -m pip --python $(VENV) --disable-pip-version-check install --no-input --require-hashes
PYTEST := $(IN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal
# For `test`: which files, all unless said; and which PostgreSQL of this machine, `newest` or a version such as 15.
TESTS ?=
POSTGRESQL ?=
SCHEMA := config/openapi.json

say = @printf '\n==> %s\n' $(1)

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run test test-versions lint format types bench growth load fuzz schema schema-check pins clean
.DELETE_ON_ERROR:

help: ## say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/.setup ## make .venv with all that running needs

setup-dev: $(VENV)/.setup-dev ## make .venv with all that testing and checking needs

$(IN)/python:
	$(call say,"Making $(VENV) with $$($(PYTHON) --version)")
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Pinion needs Python 3.11 or newer: make PYTHON=python3.11 …'; exit 1; }
	@$(PYTHON) -c 'import pip; raise SystemExit([*map(int, pip.__version__.split(".")[:2])] < [22, 3])' || \
		{ echo 'Pinion needs pip 22.3 or newer: $(PYTHON) -m pip install --upgrade pip'; exit 1; }
	$(PYTHON) -m venv --without-pip $(VENV)

$(VENV)/.setup: requirements.txt | $(IN)/python
	$(call say,"Installing what running needs: $$(grep -c == $<) packages")
	$(PIP) -r $<
	@touch $@

$(VENV)/.setup-dev: requirements-dev.txt | $(IN)/python
	$(call say,"Installing what testing and checking need: $$(grep -c == $<) packages")
	$(PIP) -r $<
	@touch $@

run: setup ## set up, load the demo organisation, serve on http://localhost:8084
	$(call say,"Starting Pinion")
	$(MANAGE) quickstart

test: setup-dev ## run all tests on SQLite, then on PostgreSQL
	$(call say,"Testing on SQLite")
	$(PYTEST) --database sqlite $(TESTS)
	$(call say,"Testing on PostgreSQL")
	$(PYTEST) --database postgresql $(addprefix --postgresql ,$(POSTGRESQL)) $(TESTS)

test-versions: ## run the tests on the oldest and the newest Python, Django and PostgreSQL
	bash .ci/versions

lint: setup-dev ## check format, style and the directions of imports
	$(call say,"Checking the format")
	$(IN)/ruff format --check .
	$(call say,"Checking the style")
	$(IN)/ruff check .
	$(call say,"Checking the directions of imports")
	$(IN)/lint-imports

format: setup-dev ## put the code into its format, and mend what can be mended by itself
	$(IN)/ruff check --fix .
	$(IN)/ruff format .

types: setup-dev ## check the types
	$(call say,"Checking the types")
	$(IN)/mypy

bench: setup-dev ## run the benchmarks in tests/benchmarks on PostgreSQL, and write their table on the page there
	$(call say,"Measuring on PostgreSQL")
	BENCH_PAGE=yes $(IN)/python -m pytest --database postgresql --override-ini 'python_files=bench_*.py' -s tests/benchmarks

growth: setup-dev ## measure at 100 to 100,000 pipelines, and write the page about it
	$(call say,"Measuring growth on PostgreSQL")
	$(IN)/python -m pytest --database postgresql -s tests/benchmarks/bench_growth.py

LOAD_SECONDS ?= 600

load: setup-dev ## let mixed traffic loose for LOAD_SECONDS=600 on SQLite, then on PostgreSQL
	$(call say,"$(LOAD_SECONDS) seconds of traffic on SQLite")
	LOAD_SECONDS=$(LOAD_SECONDS) $(IN)/python -m pytest --database sqlite tests/load
	$(call say,"$(LOAD_SECONDS) seconds of traffic on PostgreSQL")
	LOAD_SECONDS=$(LOAD_SECONDS) $(IN)/python -m pytest --database postgresql tests/load

FUZZ_EXAMPLES ?= 30

fuzz: setup-dev ## attack the API with FUZZ_EXAMPLES of every request, and the console with every id, on PostgreSQL
	$(call say,"Attacking with $(FUZZ_EXAMPLES) examples of every request")
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(PYTEST) --database postgresql tests/attacks tests/config/test_schema.py

schema: setup-dev ## write the OpenAPI file anew
	$(call say,"Writing $(SCHEMA)")
	$(MANAGE) spectacular --format openapi-json --validate --fail-on-warn --file $(SCHEMA)

schema-check: setup-dev ## compare the committed OpenAPI file with what the code says
	$(call say,"Comparing $(SCHEMA) with the code")
	@made=$$(mktemp) && trap 'rm -f "$$made"' EXIT && \
		$(MANAGE) spectacular --format openapi-json --validate --fail-on-warn --file "$$made" && \
		{ diff -u $(SCHEMA) "$$made" || { echo 'The API changed and its file did not: make schema'; exit 1; }; }

# uv is no dependency of ours: it gets an environment of its own.
pins: ## pin the newest versions that pyproject.toml allows
	$(call say,"Pinning")
	test -x var/uv/bin/uv || { $(PYTHON) -m venv --without-pip var/uv && \
		$(PYTHON) -m pip --python var/uv --disable-pip-version-check install --no-input uv; }
	var/uv/bin/uv pip compile pyproject.toml --upgrade --output-file requirements.txt $(UV)
	var/uv/bin/uv pip compile pyproject.toml --upgrade --output-file requirements-dev.txt --all-extras $(UV)
UV := --quiet --python-version 3.11 --universal --generate-hashes --no-header --no-annotate --no-emit-index-url

clean: ## remove what was made, except the database
	rm -rf $(VENV) .venv-* var/uv var/static .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
