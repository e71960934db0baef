# Every goal sets up what it needs: a virtual environment in .venv for Relax and one in .venv-relay
# for Relay, since both TVMs are a package named tvm. They are redone when what they are made from
# changes. Options: PYTHON=python3.12, DEMO="--threads 2 --json demo.json", TEST="-k softmax",
# RECORDS="x86-64-v4 --minutes 10", PROVE="exp gelu", TASKS="lee reuters", TASKS=--formats
# or TASKS=--latency, PLANS=magika or PLANS=--precisions, SECONDS=600 SEED=1 RUNG=quake2 for the
# fuzzers, SWEEP="-k pooling".

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# What continuous integration installs.
LOCK := requirements-lock.txt
RELAY := .venv-relay/bin
RELAY_READY := .venv-relay/.ready
# TVM 0.16 as PyPI still serves it: loaded through ctypes, so its one wheel fits every Python 3.
RELAY_TVM := requirements-relay-tvm.txt
# The oldest XGBoost of the extra "tune"; the environment has the newest.
XGBOOST := 2.0.0
# Tests that run for both TVMs.
BOTH := tests/machines $(addprefix tests/numerics/test_,bits.py ladder.py single_rounding.py) \
  $(addprefix tests/test_,models.py options.py public.py reports.py tvm_version.py)

# Relax's tests in parts, which -j3 runs side by side: a longer one first, so that no core is idle
# at the end.
relax-models := $(wildcard tests/test_*.py) tests/cli
relax-kernels := $(addprefix tests/,kernels machines numerics schedules)
relax-importers := tests/importers
relax-passes := $(filter-out $(patsubst %,%/,$(relax-models) $(relax-kernels) $(relax-importers)) \
  %__pycache__/ tests/golden_% tests/relay/,$(wildcard tests/*/))
RELAX := relax-passes relax-kernels relax-models relax-importers
# Without emulated machines, real models, programs of the shell, tuners and fuzzers.
fast-passes := tests/passes tests/importers/onnx tests/planning tests/runtime tests/support
fast-schedules := tests/kernels tests/machines tests/numerics tests/schedules \
  $(addprefix tests/test_,compiler.py extending.py forms.py layers.py options.py packaging.py public.py \
  reports.py tvm_version.py)
fast-relay := $(filter-out %test_models.py,$(BOTH)) $(addprefix tests/relay/test_,fold_affine.py fusion.py \
  lower_kernels.py operators.py quake.py recognize_elementwise.py recognize_rows.py)
FAST := fast-passes fast-schedules fast-relay

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-relax test-xgboost test-relay cross-tools lint format records prove tasks
.PHONY: any-size norms decoders plans cliffs fuzz fuzz-torch fuzz-files sweep onnx-tests optimised-models
.PHONY: torch-operators torch-models torch-compile docs screens bench-models bench-rungs bfloat16 language-model lookup clean
.PHONY: $(RELAX) $(FAST)

# TVM's passes make so many small objects that a build takes a sixth less time if glibc's malloc
# keeps more of them for each thread. With ten times as many, what a long run frees is kept for so
# long that memory seems to leak.
test-fast test-relax test-relay test-xgboost sweep $(RELAX) $(FAST): \
  export GLIBC_TUNABLES ?= glibc.malloc.tcache_count=2000

help:  ## list the goals
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST)

demo: $(READY)  ## compile a pretrained sentence encoder on every rung and compare
	@$(BIN)/python tutorials/sentence_encoder.py $(DEMO)

test:  ## run the tests, for both TVMs, all of them even if some fail; -j3 side by side
	@$(MAKE) --keep-going test-relax test-relay test-xgboost

ifdef TEST
test-relax: $(READY) cross-tools
	$(BIN)/python -m pytest $(TEST)
else
test-relax: $(RELAX)  ## run the tests of Relax, on TVM 0.27
endif

test-fast: $(READY) $(RELAY_READY)  ## the first case of every test that is quick, for both TVMs: minutes
	@$(MAKE) --keep-going --jobs=2 --output-sync $(FAST)

fast-passes fast-schedules: $(READY)
	@$(BIN)/python -m pytest --first-case $($@)

fast-relay: $(RELAY_READY)
	@$(RELAY)/python -m pytest --first-case $($@)

$(RELAX): $(READY) cross-tools
	$(BIN)/python -m pytest $($@)

test-xgboost: $(READY)  ## run the cost model's tests with the oldest XGBoost that is supported
	@$(BIN)/python -m pip install -qq --no-deps --upgrade --target .venv/xgboost-$(XGBOOST) xgboost==$(XGBOOST)
	PYTHONPATH=.venv/xgboost-$(XGBOOST) $(BIN)/python -m pytest tests/tuning/test_cost_model.py

test-relay: $(RELAY_READY) cross-tools  ## run the tests of Relay, on TVM 0.16
	$(RELAY)/python -m pytest tests/relay $(BOTH) $(TEST)

cross-tools:
	@sh tests/install_cross_tools.sh

fuzz: $(READY)  ## random graphs against ONNX Runtime: two minutes, or SECONDS=; SEED= repeats
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),120) --rung $(or $(RUNG),quake3) \
	  $(if $(SEED),--seed $(SEED))

fuzz-torch: $(READY)  ## random torch programs against eager PyTorch: SECONDS=, SEED=
	@$(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/python -m pip install -qq --editable '.[torch]'
	@$(BIN)/python -m tests.fuzz.torch_programs --seconds $(or $(SECONDS),120) \
	  $(if $(SEED),--seed $(SEED))

torch-operators: $(READY)  ## torch's operators on torch's sample inputs against eager: an hour
	@$(BIN)/python -m pip install -qq --editable '.[torch]'
	@$(BIN)/python -W ignore -m tests.torch_operators

torch-compile: $(READY)  ## torch.compile beside inductor; writes docs/torch_compile.md: minutes
	@$(BIN)/python -m pip install -qq --editable '.[torch]'
	@$(BIN)/python -W ignore -m tests.torch_compile

torch-models: $(READY)  ## architectures of transformers and timm against eager: an hour
	@$(BIN)/python -m pip install -qq --editable '.[zoo]'
	@$(BIN)/python -W ignore -m tests.zoo

cliffs: $(READY)  ## time ONNX files beside ONNX Runtime: MODELS="a.onnx b.onnx"; SIZES="--size length=128"
	@$(BIN)/python -m pip install -qq --editable '.[torch]'
	@TVM_NUM_THREADS=1 $(BIN)/python -W ignore -m tests.cliffs $(SIZES) $(MODELS)

fuzz-files: $(READY)  ## mutated models, arrays, plans, records: success or one line; SECONDS=, SEED=
	@$(BIN)/python -m tests.fuzz.files --seconds $(or $(SECONDS),120) $(if $(SEED),--seed $(SEED))

sweep: $(READY)  ## every rule with every epilogue and extent, every ONNX case: hours; SWEEP="-k pooling"
	$(BIN)/python -m pytest -m sweep $(SWEEP)

onnx-tests: $(READY)  ## onnx's own tests of its operators; writes docs/onnx_node_tests.md: half an hour
	$(BIN)/python -W ignore -m tests.importers.onnx.collection

optimised-models: $(READY)  ## models that ONNX Runtime optimised; writes docs/optimised_models.md: minutes
	@$(BIN)/python -m pip install -qq --editable '.[torch]'
	@$(BIN)/python -W ignore -m tests.importers.onnx.optimised

lint: $(READY)  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY)  ## build the documentation into build/site, with all links checked
	@$(BIN)/python -c 'import mkdocs, material' 2>/dev/null || $(BIN)/python -m pip install -qq --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

screens: docs  ## pictures of the shell, a notebook and the site, in docs/screens; needs chromium: minutes
	@$(BIN)/python -m pip install -qq pyte pillow
	@$(BIN)/python -m tests.screens

format: $(READY)  ## put style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

records: $(READY)  ## tune the records that the library comes with: half an hour a target
	$(BIN)/python -m quake_tvm.tuning.shipped $(RECORDS)

prove: $(READY)  ## prove the bounds anew on every float32 input: minutes an operator; PROVE="exp gelu"
	$(BIN)/python -m quake_tvm.cli accuracy --exhaustive --update $(PROVE)
	$(BIN)/python -m quake_tvm.accuracy.row_table
	$(BIN)/python -m quake_tvm.accuracy.half_table

tasks: $(READY)  ## measure what rungs and number formats cost on real tasks: an hour
	@$(BIN)/python -m pip install -qq --editable '.[tasks]'
	@$(BIN)/python tutorials/real_tasks.py $(TASKS)
	@$(if $(TASKS),,$(BIN)/python tutorials/real_tasks.py --formats)

any-size: $(READY)  ## published models, one build for any size beside static builds and ONNX Runtime: half an hour
	@$(BIN)/python tutorials/any_size.py --page docs/benchmarks/any_size.md

bench-models: $(READY)  ## published models beside ONNX Runtime and OpenVINO; writes docs/benchmarks/models.md: takes long
	@$(BIN)/python -m pip install -qq --editable '.[bench,tasks]'
	@$(BIN)/python tutorials/bench_models.py --page docs/benchmarks/models.md
	@$(BIN)/python tutorials/bench_models.py --avx2 --page docs/benchmarks/models.md

bench-rungs: $(READY)  ## what lowering saves: published models on each rung beside exact; writes docs/benchmarks/rungs.md: takes long
	@$(BIN)/python -m pip install -qq --editable '.[bench,tasks]'
	@$(BIN)/python tutorials/bench_rungs.py --page docs/benchmarks/rungs.md

bfloat16: $(READY)  ## published models in bfloat16 beside float32 and OpenVINO; writes docs/benchmarks/precision.md: minutes
	@$(BIN)/python -m pip install -qq --editable '.[bench,tasks]'
	@$(BIN)/python tutorials/bench_bfloat16.py --page docs/benchmarks/precision.md

language-model: $(READY)  ## a small language model from scratch, with look-ups as its layers: half an hour
	@$(BIN)/python -m pip install -qq --editable '.[tasks]'
	@$(BIN)/python tutorials/lookup_language_model.py

norms: $(READY)  ## norms that sum in float16, in SmolLM2-135M: downloads 93 MB; minutes
	@$(BIN)/python -m pip install -qq --editable '.[tasks]'
	@$(BIN)/python tutorials/half_norms.py

decoders: $(READY)  ## generate text with SmolLM2-135M on every rung, and time decoders: downloads 93 MB; an hour
	@$(BIN)/python -m pip install -qq --editable '.[tasks,bench]'
	@$(BIN)/python tutorials/generate_text.py --rungs --count 200 --page docs/decoders.md
	@$(BIN)/python tutorials/decoder_figures.py --page docs/decoders.md
	@$(BIN)/python tutorials/decoder_figures.py --threads 2 --page docs/decoders.md

lookup: $(READY)  ## MiniLM-L6 with three and with all layers as hashed look-ups: downloads; forty minutes
	@$(BIN)/python -m pip install -qq --editable '.[tasks]'
	@$(BIN)/python tutorials/lookup_ffn.py $(LOOKUP)

plans: $(READY)  ## plan three models to two budgets, and hold the plans against unseen inputs
	@$(BIN)/python -m pip install -qq --editable '.[tasks]'
	@$(BIN)/python tutorials/real_plans.py $(PLANS)
	@$(if $(PLANS),,$(BIN)/python tutorials/real_plans.py --precisions)

clean:  ## remove the environment and all that was built
	rm -rf .venv .venv-relay build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml $(LOCK)
	$(call environment,.venv)
	@$(BIN)/python -m pip install -qq --constraint $(LOCK) --editable '.[dev,demo]'
	@touch $@

$(RELAY_READY): pyproject.toml requirements-relay.txt $(RELAY_TVM)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 13))' || { \
	  echo 'error: Relay needs NumPy 1.26, which ends with Python 3.12: make test-relay PYTHON=python3.12' >&2; \
	  exit 2; }
	$(call environment,.venv-relay)
	@$(RELAY)/python -m pip install -qq --requirement requirements-relay.txt
	@$(RELAY)/python -m pip install -qq --no-deps --upgrade --python-version 3.10 \
	  --only-binary=:all: --target "$$($(RELAY)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
	  --require-hashes --requirement $(RELAY_TVM)
	@$(RELAY)/python -m pip install -qq --no-deps --editable .
	@touch $@

# An empty virtual environment of this name.
define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo 'error: $(PYTHON) is not Python 3.10 or later: install one, or name it: make PYTHON=...' >&2; \
	  exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo 'error: $(PYTHON) has no venv: install it (Debian and Ubuntu: apt install python3-venv)' >&2; \
	  exit 2; }
	@echo 'setting up $(1) (a few minutes, once)'
	@$(PYTHON) -m venv $(1)
	@$(1)/bin/python -m pip install -qq --upgrade pip
endef
