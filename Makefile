# make demo    the main job on synthetic scenes: train, evaluate, segment, a picture
# make test    format, lint, types, layers and the tests
# make install only the environment, .venv
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo check test clean

install: .venv/ready

# Compiled once: where PYTHONDONTWRITEBYTECODE is set, as in many containers, every process that
# imports torch would else compile it anew, for 15 seconds.
.venv/ready: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "glnet needs Python 3.11 or newer; say make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv==0.13.9
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --requirements requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	$(BIN)/python -m compileall -q src
	touch $@

demo: install
	$(BIN)/python examples/demo/run.py

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

clean:
	rm -rf .venv demo
