# Every goal sets up what it needs: a virtual environment in .venv, redone when pyproject.toml
# changes. Options: PYTHON=python3.12, DEMO="--threads 2 --json demo.json", TEST="-k softmax".

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test lint format prove clean

help:  ## list the goals
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST)

demo: $(READY)  ## compile a pretrained sentence encoder on every rung and compare
	@$(BIN)/python tutorials/sentence_encoder.py $(DEMO)

test: $(READY)  ## run the tests
	$(BIN)/python -m pytest $(TEST)

lint: $(READY)  ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)  ## put style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

prove: $(READY)  ## check every bound on every float32 input: minutes an operator
	$(BIN)/python -m pytest -m exhaustive $(TEST)

clean:  ## remove the environment and all that was built
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo 'error: $(PYTHON) is not Python 3.10 or later: install one, or name it: make PYTHON=...' >&2; \
	  exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo 'error: $(PYTHON) has no venv: install it (Debian and Ubuntu: apt install python3-venv)' >&2; \
	  exit 2; }
	@echo 'setting up .venv (a few minutes, once)'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --upgrade pip
	@$(BIN)/python -m pip install -qq --editable '.[dev,demo]'
	@touch $@
