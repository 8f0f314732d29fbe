# make run, make test; `make` alone lists the rest.
PYTHON ?= python3
ARGS ?=

BIN := .venv/bin
FAST := not tensorflow and not slow and not hardware
SLOW := (tensorflow or slow) and not hardware
INPUTS := pyproject.toml constraints.txt constraints-bookworm.txt scripts/setup

export PYTHON
.PHONY: help run check test soak static lock clean
.NOTPARALLEL:

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile

# Where there is a desktop, the live page opens in its browser.
PREVIEW := $(if $(DISPLAY)$(WAYLAND_DISPLAY),--preview --open)

run: .venv/.runtime ## see expressions: the first camera, or the demo; ARGS="--source clip.mkv" is passed on
	@$(BIN)/fer-edge run $(PREVIEW) $(ARGS)

check: .venv/.check static ## lint, types and the fast tests, in under a minute, without TensorFlow
	$(BIN)/pytest -q -n auto --dist worksteal -m "$(FAST)"

soak: .venv/.all ## break what may break, a quarter of an hour long; writes benchmarks/results/reliability.json
	$(BIN)/fer-bench soak --json benchmarks/results/reliability.json --plot benchmarks/results/reliability.png $(ARGS)

test: .venv/.all static ## every check and every test
	$(BIN)/pytest -q -n auto --dist worksteal -m "$(FAST)"
	$(BIN)/pytest -q -m "$(SLOW)"

static:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lock: .venv/.check ## write uv.lock and constraints.txt anew from pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5'
	$(BIN)/uv lock --upgrade --no-config --default-index https://pypi.org/simple
	$(BIN)/uv export --frozen --no-config --all-extras --no-emit-project --no-hashes --no-annotate --no-header \
		--quiet --output-file constraints.txt

clean: ## remove .venv, builds and caches; runs/ stays
	rm -rf .venv build dist test-output .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.runtime: $(INPUTS)
	@scripts/setup runtime
	@touch $@

.venv/.check: $(INPUTS)
	@scripts/setup check
	@touch $@

.venv/.all: $(INPUTS)
	@scripts/setup all
	@touch .venv/.check $@
