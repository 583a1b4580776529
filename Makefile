# Two commands do all the set-up on a fresh clone: `make demo` and `make test`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OUT    := build/demo
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Everything is installed as requirements/ locks it: with hashes, and nothing that the lock does not name.
LOCKED := install --require-hashes --no-deps --no-build-isolation --use-pep517
EDITED := install --no-deps --no-build-isolation --editable .

.PHONY: demo test check deep docs fuzz bench bench-scale bench-sequences bench-verify bench-mixed bench-words bench-random bench-prove bench-windows bench-disguise bench-peers pictures programs mutants lock test-newest readers bench-circuits release clean

demo: $(VENV)/installed
	@mkdir -p $(OUT)
	@echo "\n1. compile programs/aab.py (predict b after aa, otherwise a) to a GPT-2 checkpoint"
	$(BIN)/handcraft compile programs/aab.py -o $(OUT)/aab
	@echo "\n2. complete aab with those weights"
	$(BIN)/handcraft run $(OUT)/aab aab
	@echo "\n3. verify: every context of up to 5 tokens, against what the rules mean"
	$(BIN)/handcraft verify $(OUT)/aab
	@echo "\n4. draw the program"
	$(BIN)/handcraft draw programs/aab.py -o $(OUT)/aab.svg
	@echo "\n5. explain why it answers a after aab"
	$(BIN)/handcraft explain programs/aab.py --prompt aab
	@echo "\n6. show which rule one weight serves"
	$(BIN)/handcraft explain $(OUT)/aab h.0.mlp.c_proj.weight 0 1
	@echo "\n7. write a page that runs the model in a browser"
	$(BIN)/handcraft page $(OUT)/aab -o $(OUT)/aab.html
	@echo "\nAll of it is in $(OUT)/: open $(OUT)/aab.html. Next: docs/tutorial.md"

# Two processes on two cores, so NumPy and torch use one thread in each.
# What Python compiles is kept, whatever the environment says: some forty processes import it.
test: check
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n 2

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

deep: $(VENV)/installed-dev
	HANDCRAFT_DEEP=1 HANDCRAFT_EXAMPLES=10000 $(BIN)/python -m pytest -n 2 tests/unit tests/property tests/judges \
		tests/acceptance/test_proofs.py
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/proof_mutations.py

fuzz: $(VENV)/installed-dev
	HANDCRAFT_FUZZ_SECONDS=$${HANDCRAFT_FUZZ_SECONDS:-600} HANDCRAFT_FUZZ_SEED=$${HANDCRAFT_FUZZ_SEED:-$$(date +%s)} \
		$(BIN)/python -m pytest tests/fuzz

bench: $(VENV)/installed
	@mkdir -p build
	@$(BIN)/python benchmarks/run.py | tee build/benchmarks.md

bench-scale: $(VENV)/installed-dev
	@mkdir -p build
	@$(BIN)/python benchmarks/scale.py | tee build/benchmarks-scale.md

bench-verify: $(VENV)/installed
	@mkdir -p build
	@$(BIN)/python benchmarks/verifying.py | tee build/benchmarks-verify.md

bench-mixed: $(VENV)/installed
	@mkdir -p build
	@$(BIN)/python benchmarks/mixed.py | tee build/benchmarks-mixed.md

bench-words: $(VENV)/installed-dev
	@mkdir -p build
	@$(BIN)/python benchmarks/words.py | tee build/benchmarks-words.md

# TRIALS: --programs for how many, --seed for the first, --results for a file from which a run goes on.
bench-random: $(VENV)/installed
	@$(BIN)/python benchmarks/random_programs.py $(TRIALS)

bench-prove: $(VENV)/installed
	@mkdir -p build
	@$(BIN)/python benchmarks/proving.py | tee build/benchmarks-prove.md

bench-circuits: $(VENV)/installed
	@mkdir -p build
	@$(BIN)/python benchmarks/circuits.py | tee build/benchmarks-circuits.md

bench-windows: $(VENV)/installed
	@mkdir -p build
	@$(BIN)/python benchmarks/long_proofs.py | tee build/benchmarks-windows.md

bench-disguise: $(VENV)/installed
	@mkdir -p build
	@$(BIN)/python benchmarks/disguises.py aab parity histogram induction | tee build/benchmarks-disguise.md

bench-sequences: $(VENV)/installed
	@mkdir -p build
	@$(BIN)/python benchmarks/sequences.py | tee build/benchmarks-sequences.md

# Tracr is in no package index: TRACR is a checkout of it, cloned where it is missing.
TRACR        ?= build/tracr
TRACR_COMMIT := 9ce2b8c82b6ba10e62e86cf6f390e7536d4fd2cd

bench-peers: $(VENV)/installed build/tracr-venv/installed $(TRACR)
	@build/tracr-venv/bin/python -m pip install --quiet --no-deps $(TRACR)
	@$(BIN)/python benchmarks/peers.py build/tracr-venv/bin/python | tee build/benchmarks-peers.md

build/tracr:
	git clone --quiet https://github.com/google-deepmind/tracr $@
	git -C $@ checkout --quiet $(TRACR_COMMIT)

build/tracr-venv/installed: benchmarks/requirements-tracr.txt
	@mkdir -p build
	$(PYTHON) -m venv build/tracr-venv
	build/tracr-venv/bin/python -m pip install --quiet -r benchmarks/requirements-tracr.txt
	@touch $@

# MUTANTS: files and folders such as compiler/features, --count for mutants of each file, --seed for others.
mutants: $(VENV)/installed-dev
	@mkdir -p build
	@$(BIN)/python benchmarks/mutants.py $(MUTANTS) | tee build/mutants.md

# The static site, in build/site/html; LIVE=... names the programs that get a page that runs them.
docs: $(VENV)/installed-dev
	$(BIN)/python docs/site/build.py $(if $(LIVE),--live $(LIVE))

# The pictures of README and docs, as the commands draw them now.
pictures: $(VENV)/installed
	@$(BIN)/python docs/draw_pictures.py

programs: $(VENV)/installed
	@mkdir -p build
	@$(BIN)/python benchmarks/programs.py | tee build/programs.md

# The newest of everything that pyproject.toml allows, except torch. Reports, and always ends well.
test-newest: NEWEST := .venv-newest
test-newest:
	@mkdir -p build
	$(PYTHON) -m venv --clear $(NEWEST)
	-$(NEWEST)/bin/python -m pip --quiet install --upgrade pip
	-$(NEWEST)/bin/python -m pip --quiet install "$$(grep '^torch' requirements/torch.in)" --editable '.[dev,judges]'
	@echo "\nnot as in the lock:"
	@sed -nE 's/^([^ #;]*==[^ ;]*).*/\1/p' requirements/*.txt > build/locked.txt
	-@$(NEWEST)/bin/python -m pip freeze --all --exclude-editable | tr _A-Z -a-z | grep -vixFf build/locked.txt
	-$(NEWEST)/bin/python -m pytest -n 2 | tee build/test-newest.txt
	@echo "\nReported, not required: the lock is what 'make test' holds to."

# Ground truth, read by the tools that it is for. EAP_IG is a checkout of EAP-IG, cloned where it is missing.
READERS       := .venv-readers
EAP_IG        ?= build/eap-ig
EAP_IG_COMMIT := 795f5607b25638935aec89aee3c1cb4bd9ed72f1

readers: $(READERS)/installed $(EAP_IG)
	$(READERS)/bin/python -m pip --quiet install --no-deps --no-build-isolation $(EAP_IG)
	$(READERS)/bin/python -m pytest -W ignore tests/readers
	@mkdir -p build
	@cd tests/readers && $(abspath $(READERS))/bin/python -W ignore attribution.py | tee $(CURDIR)/build/attribution.md

build/eap-ig:
	git clone --quiet https://github.com/hannamw/EAP-IG $@
	git -C $@ checkout --quiet $(EAP_IG_COMMIT)

$(READERS)/installed: requirements/build.txt requirements/readers.txt requirements/torch.txt pyproject.toml
	$(PYTHON) -m venv $(READERS)
	$(READERS)/bin/python -m pip --quiet $(LOCKED) -r requirements/build.txt
	$(READERS)/bin/python -m pip --quiet $(LOCKED) -r requirements/readers.txt
	$(READERS)/bin/python -m pip --quiet install --constraint requirements/torch.txt -r requirements/torch.in
	$(READERS)/bin/python -m pip --quiet $(EDITED)
	@touch $@

# Renews the lock: the newest versions that work together on every Python from 3.11 on.
# `make lock UPGRADE=` keeps what is locked and adds what is missing.
UPGRADE ?= --upgrade
COMPILE := .venv-lock/bin/uv --quiet pip compile --universal --python-version 3.11 --fork-strategy fewest \
	--custom-compile-command 'make lock' $(UPGRADE)
lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip --disable-pip-version-check --quiet install --upgrade uv
	$(COMPILE) requirements/torch.in --output-file requirements/torch.txt
	$(COMPILE) --generate-hashes --constraints requirements/torch.txt --extra dev --extra judges pyproject.toml \
		requirements/build.in requirements/torch.in \
		$$(sed -nE 's/^((torch|triton|nvidia-|cuda-)[a-z0-9-]*)==.*/--no-emit-package \1/p' requirements/torch.txt) \
		--output-file requirements/test.txt
	$(COMPILE) --generate-hashes --constraints requirements/test.txt pyproject.toml --output-file requirements/demo.txt
	$(COMPILE) --generate-hashes --constraints requirements/torch.txt pyproject.toml requirements/readers.in \
		requirements/torch.in \
		$$(sed -nE 's/^((torch|triton|nvidia-|cuda-)[a-z0-9-]*)==.*/--no-emit-package \1/p' requirements/torch.txt) \
		--output-file requirements/readers.txt
	$(COMPILE) --generate-hashes --constraints requirements/test.txt --allow-unsafe requirements/build.in \
		--output-file requirements/build.txt

# Builds wheel and sdist, installs the wheel alone in an empty environment, and tries it there.
release: $(VENV)/installed-dev
	.ci/release $(CURDIR)/$(BIN)/python

clean:
	rm -rf build dist $(VENV) .venv-lock .venv-newest $(READERS) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "handcraft needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python pyproject.toml requirements/build.txt requirements/demo.txt
	$(PIP) $(LOCKED) -r requirements/build.txt
	$(PIP) $(LOCKED) -r requirements/demo.txt
	$(PIP) $(EDITED)
	@touch $@

$(VENV)/installed-dev: $(BIN)/python pyproject.toml requirements/build.txt requirements/test.txt requirements/torch.txt
	$(PIP) $(LOCKED) -r requirements/build.txt
	$(PIP) $(LOCKED) -r requirements/test.txt
	$(PIP) install --constraint requirements/torch.txt -r requirements/torch.in
	$(PIP) $(EDITED)
	$(BIN)/python -m pip check
	@touch $@ $(VENV)/installed
