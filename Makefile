# The commands of this repository. `make` alone lists them.
#
# Everything is installed into .venv, and Pyodide into web/node_modules, once: a command that
# finds its stamp file newer than what it was made from does not install again.

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TASK ?= Checkout fails for one customer in five since 09:40. Find the cause and say what to do.
PORT ?= 8000

# What a build of the page is made from.
SOURCES := pyproject.toml build_wasm.sh web/package-lock.json web/wheels.toml \
	$(shell find src web/page examples scripts -type f -not -name '*.pyc' 2>/dev/null)

.PHONY: help
help:
	@sed -n 's/^## \([a-z-]*\): /  make \1\t/p' Makefile | expand -t 24

## demo: a team of five works on an incident, in this terminal, offline
.PHONY: demo
demo: .venv/ready
	@$(BIN)/meerkat-mob run examples/incident-room "$(TASK)" --model scripted

## test: the whole suite on CPython, in Pyodide under Node, and in Chromium
.PHONY: test
test: .venv/ready-test .cache/test-dist/built
	@$(BIN)/python -m scripts.run_tests

## test-cpython: on this Python only; ARGS="tests/core -k name" narrows it (so for the next three)
## test-node: inside Pyodide under Node only
## test-chromium: inside Pyodide in Chromium only
## test-page: the page in Chromium only
.PHONY: test-cpython test-node test-chromium test-page
test-cpython: .venv/ready-test
	@$(BIN)/python -m scripts.run_tests --only cpython $(ARGS)
test-node test-chromium: test-%: .venv/ready-test .cache/test-dist/built
	@$(BIN)/python -m scripts.run_tests --only pyodide-$* $(ARGS)
test-page: .venv/ready-test .cache/test-dist/built
	@$(BIN)/python -m scripts.run_tests --only page $(ARGS)

## test-crash: kill writing processes at every write and at 1,000 instants; damage every byte
.PHONY: test-crash
test-crash: .venv/ready-test
	@MEERKAT_CRASHES=1000 $(BIN)/python -m pytest --quiet -s tests/store/host/test_crashes.py \
		tests/store/test_every_byte.py tests/sessions/host/test_crashes.py \
		tests/runtime/host/test_crashes.py tests/mob/host/test_crashes.py

## test-oldest: the suite on this Python with the oldest libraries that pyproject.toml allows
.PHONY: test-oldest
test-oldest: .venv-oldest/ready
	@.venv-oldest/bin/python -m pytest --quiet --floors

## floors: raise the floors of executed tests; LOWER="TARGET: WHY" lets one fall
.PHONY: floors
floors: .venv/ready-test
	@$(BIN)/python -m scripts.floors $(if $(LOWER),--lower "$(LOWER)")

## check: format, lint, import contracts and types: everything that runs no test
.PHONY: check
check: .venv/ready-test .venv/ready-lint
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/pyright

## format: let ruff put the code into shape
.PHONY: format
format: .venv/ready-lint
	$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

## web: build the page and serve it on loopback; PORT=8000
.PHONY: web
web: .venv/ready-test
	@./build_wasm.sh
	@$(BIN)/python -m scripts.serve --port $(PORT)

## test-real-model: a real server with a small real model, asked from the host and from a browser
.PHONY: test-real-model
test-real-model: .venv/ready-real-model .cache/test-dist/built
	@$(BIN)/python -m scripts.real_model

## bench: the benchmarks, as ratios beside their aims
.PHONY: bench
bench: .venv/ready-test
	@$(BIN)/python -m benchmarks

## clean: remove what was built; .venv and the downloads stay
.PHONY: clean
clean:
	rm -rf dist web/dist .cache/test-dist .cache/wheel .cache/tallies

# --- what the commands above need ----------------------------------------------------------------

.venv/bin/python:
	@python=$$(PYTHON="$(PYTHON)" scripts/find-python) && echo "making .venv with $$python" && \
		"$$python" -m venv .venv
	@$(PIP) install --upgrade pip # older ones do not know dependency groups

.venv/ready: pyproject.toml | .venv/bin/python
	@echo "installing meerkat-mob into .venv"
	@$(PIP) install --editable '.[all]'
	@touch $@

.venv/ready-test: .venv/ready
	@echo "installing what the tests need into .venv"
	@$(PIP) install --group test
	@touch $@

.venv/ready-lint .venv/ready-real-model: .venv/ready-%: .venv/ready
	@echo "installing the group '$*' into .venv"
	@$(PIP) install --group $*
	@touch $@

.venv-oldest/ready: pyproject.toml | .venv/ready-test
	@echo "installing the oldest libraries into .venv-oldest"
	@$(BIN)/python -m venv .venv-oldest
	@.venv-oldest/bin/python -m pip install --quiet --upgrade pip
	@.venv-oldest/bin/python -m pip install --disable-pip-version-check --quiet --group test \
		--editable '.[all]' $$($(BIN)/python -m scripts.oldest)
	@touch $@

.cache/test-dist/built: $(SOURCES) | .venv/ready-test
	@./build_wasm.sh --tests-too
	@touch $@
