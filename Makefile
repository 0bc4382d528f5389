# Everything runs in .venv, which is made on first use and made again when pyproject.toml or constraints.txt change.
PYTHON ?= python3
PIP_TORCH ?=
PYTEST_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
DEMO := demo-out
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint format bench docs site clean

help:  ## show this list
	@echo "make TARGET, with"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Variables:"
	@echo "  PYTHON       the interpreter that makes .venv, 3.11 or newer (now: $(PYTHON))"
	@echo "  PIP_TORCH    options for installing torch, such as --index-url with an index of CPU builds"
	@echo "  PYTEST_ARGS  more arguments for pytest"

setup: $(STAMP)  ## make .venv with everything that the other targets need

demo: $(STAMP)  ## the main job: export, quantize, compile, run on a photograph, report into demo-out/
	$(BIN)/npuface demo --out $(DEMO)

test: $(STAMP)  ## run the tests
	$(BIN)/pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile $(PYTEST_ARGS)

check: lint test  ## lint, then test: what a change must pass

lint: $(STAMP)  ## ruff, mypy --strict and the import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)  ## let ruff sort imports and lay out the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(DEMO)/report.json  ## measure the demo's bundles again, report into demo-out/bench/
	$(BIN)/npuface bench $(DEMO)/bundles/* --report $(DEMO)/bench

docs: $(STAMP)  ## generate the pages that are made from data
	$(BIN)/python -m npuface_export.target_page docs/targets.md
	$(BIN)/python -m npuface_benchmarks.decode_page docs/decode.md
	$(BIN)/python -m npuface_benchmarks.decode_pictures docs/images
	$(BIN)/python -m npuface_benchmarks.matrix_page docs/matrix.md
	$(BIN)/python -m npuface_benchmarks.record_schema docs/benchmark.schema.json

site: $(STAMP)  ## build the documents as a site, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

clean:  ## remove all that make has made, .venv included
	rm -rf $(VENV) $(DEMO) dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(DEMO)/report.json: | $(STAMP)
	$(BIN)/npuface demo --out $(DEMO)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: NPUFace needs Python 3.11 or newer, and '$(PYTHON)' is not that." >&2; \
	  echo "  fix: install one and name it, for instance: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch goes first, so that PIP_TORCH can name another index for it alone; the build tools go before the package,
# so that it is built with the versions that constraints.txt names.
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV): a few minutes the first time"
	$(PIP_INSTALL) torch $(PIP_TORCH)
	$(PIP_INSTALL) hatchling editables
	$(PIP_INSTALL) --no-build-isolation -e '.[dev]'
	@touch $@
