# Every target sets itself up: Python 3.11 to 3.13, git and make are all that is needed.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do $$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] < (3,14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: demo test ui faults setup clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Winnow needs Python 3.11, 3.12 or 3.13 on the PATH"; exit 1; }
	@echo "Installing into .venv (a few minutes the first time) ..."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup
	$(BIN)/winnow demo

test: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses auto --dist loadscope
	$(BIN)/dagster definitions validate -m assets.definitions

ui: setup
	$(BIN)/winnow ui

# Faults, tried and counted: about half an hour. As root it also mounts small disks in memory and fills them.
faults: setup
	$(BIN)/python -m benchmarks.faults --json build/faults.json

clean:
	rm -rf .venv build demo winnow-store
