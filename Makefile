.DEFAULT_GOAL := help
.PHONY: help demo stop test prove check format bench docs migration clean

# The first Python that is new enough; `make PYTHON=/path/to/python ...` chooses another.
PYTHON ?= $(shell for python in python3.11 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
TORCH := $(shell sed -n 's/^torch==//p' constraints.txt)
BIN := .venv/bin
WORKERS ?= auto
READY := .venv/.ready

# What pip builds (this project itself) is built with pinned tools too.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## show this list
	@awk -F ':.*## ' '/^[a-z.]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv: $(READY) ## make the environment, once: everything at the versions of constraints.txt

$(READY): constraints.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv .venv
	@echo "installing into .venv: three to five minutes, and about a gigabyte of downloads the first time"
	@$(BIN)/python -m pip install -qq torch==$(TORCH)
	@$(BIN)/python -m pip install -qq --editable '.[dev]'
	@touch $(READY)

demo: $(READY) ## two cited answers from this project's own pages, and a server that stays up
	@$(BIN)/python -m server.demo

stop: $(READY) ## stop the server that `make demo` left running, and revoke its key
	@$(BIN)/python -m server.demo --stop

test: $(READY) ## all tests, on SQLite and PostgreSQL, in a process for each core; WORKERS=N for another number
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal

prove: $(READY) ## the crash and load tests at their full counts; takes long
	@$(BIN)/python -m pytest -q -m prove

check: $(READY) ## style, types, what is banned, and the layers of the rooms
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/bandit -q -c pyproject.toml -r llmops chains prompts evals vectorstore server
	@$(BIN)/python -m pytest -q tests/test_layers.py tests/test_banned.py tests/test_public_names.py tests/test_repository.py

format: $(READY) ## let ruff put the code into shape
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

bench: $(READY) ## measure what README's figures say; DATA=DIR names the folder of the data sets
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" $(if $(DATA),--data "$(DATA)") || exit 1; done

docs: $(READY) ## write again what is generated: docs/cli.md, docs/faults.md, the routes in docs/http.md, the output in README.md
	@$(BIN)/python -m tests.pages
	@WRITE_DOCS=1 $(BIN)/python -m pytest -q tests/test_docs.py -k README.md

migration: $(READY) ## write the next migration from the rooms' tables: make migration m="why"
	@file=$$($(BIN)/python -m llmops.store.revise "$(m)" | tail -n 1) && $(BIN)/ruff format --quiet "$$file" && $(BIN)/ruff check --fix --quiet "$$file" && echo "$$file"

clean: ## remove the environment and what tools leave; no home is touched
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
