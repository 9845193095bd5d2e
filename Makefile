# bidsmill: `make demo` converts the embedded sample dataset, `make test` runs the tests.
# Both set up a virtual environment in .venv first and need nothing but Python 3.11 and make.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
CORES ?= 2
TORCH ?= torch==2.13.0
TVB ?= tvb-library==2.10.0
TVB_VENV := .tvb
# File by file in their order: the long ones come first, so that no core waits for one at the end.
# One thread for each process, and one process more than cores, as some wait for servers: together
# they use all cores.
WORKERS ?= $(shell expr $(CORES) + 1)
RUN_TESTS = OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
  $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo test test-long check bench docs site lock clean

help:
	@echo "make demo       set up, convert the sample dataset, say what came out"
	@echo "make test       set up and run the tests (some 15 minutes on two cores after set-up)"
	@echo "make test-long  the same with the full counts"
	@echo "make check      lint, format and types"
	@echo "make bench      measure against peers; writes benchmarks/results/*.json"
	@echo "make docs       write docs/failures.md and the table of operations from the registries"
	@echo "make site       build the documentation as a static site in site/"
	@echo "make lock       pin the dependencies of pyproject.toml in requirements.lock"
	@echo "make clean      remove results, caches and the virtual environment"

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11) and "bidsmill needs Python 3.11 or later: make PYTHON=/path/to/python3.11")'
	@echo "setting up $(VENV): about 1.5 GB of packages, pinned in requirements.lock"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# PyTorch stays out of requirements.lock: an ordinary index serves it with CUDA.
$(VENV)/.torch: $(VENV)/.ready
	@echo "installing $(TORCH) for the tests of the loader: 0.2 GB for a CPU build, several GB"
	@echo "where the index serves CUDA builds; \`make test TORCH=\` leaves it out and skips them"
	@if [ -n "$(TORCH)" ]; then $(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)" && touch $@; fi

# tvb-library is under the GPL and belongs to no install of bidsmill: one long test runs it in an
# environment of its own.
$(TVB_VENV)/.ready: $(VENV)/.ready
	@echo "installing $(TVB) in $(TVB_VENV) for a test of the neural masses: 0.7 GB;"
	@echo "\`make test-long TVB=\` leaves it out and skips the test"
	@if [ -n "$(TVB)" ]; then $(BIN)/python -m venv $(TVB_VENV) && $(TVB_VENV)/bin/python -m pip install --quiet --disable-pip-version-check "$(TVB)" && touch $@; fi

demo: $(VENV)/.ready
	@BIDSMILL_SUMMARY=later $(BIN)/snakemake --cores $(CORES) --quiet all
	@$(BIN)/python -c 'from bidsmill.workflow.summary import print_summary as p; p(["sample", "spikes"], "results/store")'

test: $(VENV)/.ready $(VENV)/.torch
	@$(BIN)/python -m compileall -q src
	@$(RUN_TESTS)

test-long: $(VENV)/.ready $(VENV)/.torch $(TVB_VENV)/.ready
	@$(BIN)/python -m compileall -q src
	@BIDSMILL_LONG=1 BIDSMILL_TVB_PYTHON="$(if $(TVB),$(CURDIR)/$(TVB_VENV)/bin/python)" $(RUN_TESTS) --timeout 3600

check: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/snakemake --lint

bench: $(VENV)/.ready $(VENV)/.torch
	@mkdir -p benchmarks/results
	@for script in benchmarks/*.py; do \
	  name=$$(basename $$script .py); echo "== $$name"; \
	  $(BIN)/python $$script --json benchmarks/results/$$name.json || exit 1; \
	done

docs: $(VENV)/.ready
	$(BIN)/python docs/make_failures.py
	$(BIN)/python docs/make_operations.py
	$(BIN)/python docs/make_scale.py

site: $(VENV)/.ready
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open site/index.html, or for the search: python -m http.server --directory site"

lock: $(VENV)/.ready
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra pipeline --extra hed --extra simulate \
	  --extra docs --extra test --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-annotate --no-header --quiet --output-file requirements.lock

clean:
	rm -rf results site .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis $(VENV) $(TVB_VENV)
