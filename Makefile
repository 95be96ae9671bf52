# Two commands: `make run` and `make test`. Everything they need, they set up by themselves.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin
# The tests of one file share what they have started, so they stay together.
PARALLEL := -n 2 --dist loadfile

.PHONY: help run test test-faults test-docs check bench bench-full bench-guard bench-memory screenshots lock clean
.DEFAULT_GOAL := help

help:  ## print this
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/make \1@\2/p' $(MAKEFILE_LIST) | column -t -s@ 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/make \1 - \2/p' $(MAKEFILE_LIST)

run: .venv/run  ## set up, migrate, and serve on http://localhost:8000 (embedded database and Redis unless URLs are set)
	@$(BIN)/python -m scripts migrate
	@$(BIN)/python -m scripts demo
	@exec $(BIN)/python -m service --owner $$PPID

test: .venv/dev  ## set up and test (TEST_DATABASE_URL and TEST_REDIS_URL choose servers; embedded ones otherwise)
	$(BIN)/python -m pytest $(PARALLEL)

test-faults: .venv/dev  ## kill, freeze and set back servers of its own under traffic, for some minutes (TEST_STORES=auto: on PostgreSQL)
	$(BIN)/python -m pytest tests/faults -m ""

test-docs: .venv/dev .venv-docs/ready  ## judge the OpenAPI description, and ask the service for all that it says (schemathesis)
	$(BIN)/python -m pytest tests/docs/test_conformance.py -m ""

check: .venv/dev  ## what has to pass before a commit: lint, types, import rules, more tests, with coverage
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow" --cov

bench: .venv/run  ## measure what token checks and logins cost, beside yardsticks on the same machine, for some minutes
	$(BIN)/python -m benchmarks
	@$(BIN)/python -m benchmarks.pages

bench-full: .venv/run  ## the same in full: every HASH_NICE, a million sessions, what one of each takes, and others beside it (TEST_STORES=auto: PostgreSQL)
	$(BIN)/python -m benchmarks --full
	$(BIN)/python -m benchmarks.peers
	@$(BIN)/python -m benchmarks.pages

bench-guard: .venv/run  ## attack the login: how many guesses are looked at, and whether their time tells names apart
	$(BIN)/python -m benchmarks.guard

bench-memory: .venv/run  ## see whether the memory of a worker stays flat over a million requests, for some minutes
	$(BIN)/python -m benchmarks.memory

screenshots: .venv/dev  ## make the pictures of docs/images anew, from services with invented people (needs Chromium, an emoji font, port 8000)
	$(BIN)/python -m docs.screenshots
	$(BIN)/python -m docs.page_screenshots

lock: .venv/dev  ## write the three files of locked requirements anew from pyproject.toml
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
		pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		-c requirements.txt --group dev --all-extras pyproject.toml -o requirements-dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --upgrade \
		--group pyproject.toml:docs -o tests/docs/requirements.txt

clean:  ## remove the virtual environments (the data in .data stays)
	rm -rf .venv .venv-docs .bench

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

.venv-docs/ready: .venv/python tests/docs/requirements.txt
	@echo "Installing the locked judges of the description into .venv-docs ..."
	@test -x .venv-docs/bin/python || $(BIN)/python -m venv .venv-docs
	@.venv-docs/bin/pip install -q --disable-pip-version-check --require-hashes --no-deps -r tests/docs/requirements.txt
	@touch $@
