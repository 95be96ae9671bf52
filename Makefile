# Two commands: `make run` and `make test`. Everything they need, they set up by themselves.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin

.PHONY: help run test check lock clean
.DEFAULT_GOAL := help

help:  ## print this
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/make \1@\2/p' $(MAKEFILE_LIST) | column -t -s@ 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/make \1 - \2/p' $(MAKEFILE_LIST)

run: .venv/run  ## set up, migrate, and serve on http://localhost:8000 (embedded database and Redis unless URLs are set)
	@$(BIN)/python -m scripts migrate
	@$(BIN)/python -m scripts demo
	@exec $(BIN)/python -m service

test: .venv/dev  ## set up and test (TEST_DATABASE_URL and TEST_REDIS_URL choose servers; embedded ones otherwise)
	$(BIN)/python -m pytest

check: .venv/dev  ## what has to pass before a commit: lint, types, import rules, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

lock: .venv/dev  ## write requirements.txt and requirements-dev.txt anew from pyproject.toml
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
		pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		-c requirements.txt --group dev pyproject.toml -o requirements-dev.txt

clean:  ## remove the virtual environment (the data in .data stays)
	rm -rf .venv

.venv/python: Makefile
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found. Name one: make PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@touch $@

.venv/run: .venv/python requirements.txt
	@echo "Installing the locked dependencies into .venv ..."
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements.txt
	@touch $@

.venv/dev: .venv/run requirements-dev.txt
	@echo "Installing the locked development dependencies into .venv ..."
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.txt
	@touch $@
