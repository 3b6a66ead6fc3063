# make demo · make test · make check
#
# Every target does its own set-up: the first run creates .venv and installs what requirements.txt pins, the next
# ones find the stamp and start at once. `make PYTHON=/path/to/python3.13 venv` chooses the interpreter.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; \
	done)

# Test processes at once: two cores are the least anyone builds on, and many tests wait for a real clock.
WORKERS ?= 3
PIP_AUDIT := 2.10.1

.PHONY: help venv demo test soak check format lint types synth bench bench-quick deploy destroy lock cost audit clean

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 16

venv: $(STAMP) ## create .venv and install the pinned requirements

$(STAMP): requirements.txt lambdas/requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Sluiceway needs Python 3.11 or newer with the venv module; found none on PATH." \
	  "(Debian, Ubuntu: apt install python3-venv. Or: make PYTHON=/path/to/python3.13 ...)" >&2; exit 1; }
	@echo "setting up $(VENV) with $$($(PYTHON) --version): once, a minute or two"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

demo: $(STAMP) ## run an export job against a small export API, all on this machine
	@$(BIN)/python -m demo

test: $(STAMP) ## all tests
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile

soak: $(STAMP) ## longer runs through the engine: 2,000 files with faults and killed functions, what outlasts a function, large files
	@$(BIN)/python -m pytest -q tests/soak/soak_faults.py tests/soak/soak_long_jobs.py tests/soak/soak_large_files.py

check: $(STAMP) lint types test ## formatting, lint, types and tests: what CI runs

lint: $(STAMP)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(STAMP)
	@$(BIN)/mypy

format: $(STAMP) ## let ruff format and mend what it can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

synth: $(STAMP) ## write the CloudFormation template to cdk.out/
	@$(BIN)/python app.py

# Settings and words for CDK: make deploy ARGS="stage=test alarm_email=me@example.com --profile work"
deploy: $(STAMP) ## build the stack and deploy it to AWS
	@$(BIN)/python -m infra.deploy deploy $(ARGS)

destroy: $(STAMP) ## delete the stack; the buckets and what lies in them stay
	@$(BIN)/python -m infra.deploy destroy $(ARGS)

lock: $(STAMP) ## write lambdas/requirements.lock anew from lambdas/requirements.txt
	@$(BIN)/python -m infra.lock

bench: $(STAMP) ## Sluiceway and its peers in turn: about two hours, writes bench/RESULTS.md
	@$(BIN)/python -m bench

bench-quick: $(STAMP) ## the same with fewer peers and smaller files: under 3 minutes once it is built
	@$(BIN)/python -m bench --quick

cost: $(STAMP) ## write the tables of docs/cost.md anew
	@PYTHONPATH=.:lambdas $(BIN)/python -m bench.cost

audit: $(STAMP) ## ask the advisory database about every pinned package, and list licences anew; needs the network
	@$(BIN)/python -m infra.licences
	@test -x $(VENV)/audit/bin/pip-audit || { $(PYTHON) -m venv $(VENV)/audit && \
	  $(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==$(PIP_AUDIT); }
	@$(BIN)/python -m infra.advisories $(VENV)/audit/bin/pip-audit

clean: ## remove what the targets made
	rm -rf $(VENV) cdk.out landed-demo .pytest_cache .mypy_cache .ruff_cache .sluiceway *.egg-info
