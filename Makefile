# Each target does its own set-up: `make demo` and `make test` work on a fresh machine with Python 3.11-3.13 and make.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
# Two workers of one thread each use two cores better than one worker of two threads. Without byte code on the disk
# every worker, and every process that a test starts, would compile all sources.
WORKERS ?= 2
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -u -m pytest -n $(WORKERS) --dist loadgroup

.PHONY: help demo test test-slow test-all fuzz bench-gpu check format docs site picture build clean
.DELETE_ON_ERROR:

help:  ## Show this list.
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: .venv/.installed  ## Index the demo corpus, ask it questions, print cited answers.
	@$(BIN)/ragyena demo

test: .venv/.developed  ## Run the default tests.
	$(PYTEST)

test-slow: .venv/.developed  ## Run the tests that take over ten seconds each.
	$(PYTEST) -m slow

test-all: .venv/.developed  ## Run every test, the slow ones too.
	$(PYTEST) -m "slow or not slow"

FUZZ_SECONDS ?= 3600
FUZZ_FINDINGS ?= /tmp/ragyena-fuzz
fuzz: .venv/.developed  ## Fuzz every reader of files for an hour (FUZZ_SECONDS); findings go to FUZZ_FINDINGS.
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/fuzz.py --seconds $(FUZZ_SECONDS) --findings $(FUZZ_FINDINGS)

bench-gpu: .venv/.developed  ## Check and time the long convolution and whole readers on a CUDA device; writes dated JSON.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[gpu]'
	$(BIN)/ragyena bench operator --sweep
	$(BIN)/ragyena bench reader

check: .venv/.developed  ## Lint, check formatting, types and layers.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.developed  ## Format the code and apply lint fixes.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/.developed  ## Regenerate the generated pages of docs/.
	$(BIN)/python docs/generate.py

site: .venv/.developed  ## Build the documentation as a site into dist/site.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

picture: .venv/.developed  ## Draw the pictures of the README from real runs: the terminal, and the page in Chromium.
	$(BIN)/python docs/picture.py
	$(BIN)/python docs/page_picture.py

build: .venv/.developed  ## Build the wheel into dist/.
	$(BIN)/python -m hatchling build -t wheel

clean:  ## Remove the virtual environment and every cache.
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Packages to run ragyena. The versions are those of constraints.txt; pip is upgraded because the one that comes with
# Python 3.11 does not support dependency groups.
.venv/.installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11, 3.12 or 3.13 found; install one, or run: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "error: $(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "installing ragyena into .venv (once; some minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

# Further packages to test and to train.
.venv/.developed: .venv/.installed
	@echo "installing the development tools into .venv (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,ocr]' --group dev
	@touch $@
