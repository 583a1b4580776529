# Two commands do all the set-up on a fresh clone: `make demo` and `make test`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OUT    := build/demo

.PHONY: demo test check deep bench bench-scale bench-sequences programs clean

demo: $(VENV)/installed
	@mkdir -p $(OUT)
	@echo "\n1. compile programs/aab.py (predict b after aa, otherwise a) to a GPT-2 checkpoint"
	$(BIN)/handcraft compile programs/aab.py -o $(OUT)/aab
	@echo "\n2. complete aab with those weights"
	$(BIN)/handcraft run $(OUT)/aab aab
	@echo "\n3. verify: every context of up to 5 tokens, against what the rules mean"
	$(BIN)/handcraft verify $(OUT)/aab
	@echo "\n4. draw the data flow"
	$(BIN)/handcraft draw programs/aab.py -o $(OUT)/aab.svg
	@echo "\n5. ask a weight which rule it serves"
	$(BIN)/handcraft explain $(OUT)/aab h.0.attn.c_proj.weight 23 43
	@echo "\nAll of it is in $(OUT)/. Next: docs/tutorial.md"

test: check
	$(BIN)/python -m pytest -n 2

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

deep: $(VENV)/installed-dev
	HANDCRAFT_EXAMPLES=10000 $(BIN)/python -m pytest -n 2 tests/property/test_expressions_compiled.py

bench: $(VENV)/installed
	@mkdir -p build
	@$(BIN)/python benchmarks/run.py | tee build/benchmarks.md

bench-scale: $(VENV)/installed-dev
	@mkdir -p build
	@$(BIN)/python benchmarks/scale.py | tee build/benchmarks-scale.md

bench-sequences: $(VENV)/installed
	@mkdir -p build
	@$(BIN)/python benchmarks/sequences.py | tee build/benchmarks-sequences.md

programs: $(VENV)/installed
	@mkdir -p build
	@$(BIN)/python benchmarks/programs.py | tee build/programs.md

clean:
	rm -rf build dist $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "handcraft needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-dev: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,judges]'
	@touch $@ $(VENV)/installed
