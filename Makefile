# Two commands from a fresh machine: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: env demo test lint train clean

env: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "daamkit wants Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	@echo "installing into .venv; this takes a minute or two"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

demo: env
	$(BIN)/daamkit explain "a red cat next to a blue car" --out demo

test: env lint
	$(BIN)/pytest

lint: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

train: env
	$(BIN)/python -m daamkit.toybox.train --out build/toybox --resume
	$(BIN)/python -m daamkit.toybox.teacher --out build/toybox
	$(BIN)/python -m daamkit.toybox.clip --out build/toybox

clean:
	rm -rf .venv build demo explained
