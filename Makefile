# What a developer types. `make help` lists it. Nothing but Python 3.11 or later (with venv) and make must be there.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
# Targets run with the environment's programs first on PATH, as if it were activated.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
unexport PYTHONHOME
# PYTHONPATH leads to users' own computations; what builds and fills the environment must not see it.
CLEAN := env -u PYTHONPATH

# The first interpreter that starts, is new enough and can make environments; `make PYTHON=... up` chooses another.
SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell unset PYTHONPATH; for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c '$(SUITABLE)' >/dev/null 2>&1 && echo "$$python" && break; done)

# The developers' environment has all that the local stack needs: where it is there, `make up` uses it.
RUNTIME := $(if $(wildcard $(VENV)/.dev),$(VENV)/.dev,$(VENV)/.local)
# So has it what Pulumi needs.
OPERATOR := $(if $(wildcard $(VENV)/.dev),$(VENV)/.dev,$(VENV)/.infra)
UV := $(CLEAN) $(BIN)/uv --no-progress
INSTALL_PROJECT := $(UV) pip install --quiet --no-deps --no-build-isolation --editable .

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  Variables: PYTHON (which interpreter), ARGS (for up, bench, preview and deploy: make up ARGS=--fresh),'
	@echo '  TESTS (for test-only), STACK (for preview and deploy)'

.PHONY: up
up: $(RUNTIME) ## the whole stack on this machine, until Ctrl-C; `make up ARGS=--fresh` forgets its data first
	@exec $(BIN)/python -m services.local $(ARGS)

.PHONY: test
test: lint ## everything that must hold, quickest first: linters, types, architecture, tests
	$(BIN)/python -m pytest

.PHONY: test-only
test-only: $(VENV)/.dev ## the tests named in TESTS: make test-only TESTS=tests/unit
	$(BIN)/python -m pytest $(TESTS)

.PHONY: lint
lint: $(VENV)/.dev ## linters, types and architecture
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

.PHONY: format
format: $(VENV)/.dev ## put the code into its standard form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: docs
docs: $(VENV)/.dev ## write what documents take from the code: tables of settings, the picture of a stack, what it costs
	$(BIN)/python -m tests.settings_tables --write
	$(BIN)/python -m tests.infra.picture
	$(BIN)/python -m tests.infra.cost_tables

.PHONY: bench
bench: $(VENV)/.dev ## measure, and write the table to bench/README.md
	$(BIN)/python -m bench $(ARGS)

# ---- a stack on AWS ----

# A folder, or with a CLI that does not start those, a file.
POLICY ?= infra/policy

.PHONY: stack
stack:
	@test -n '$(STACK)' || { echo 'Which stack? make $(MAKECMDGOALS) STACK=dev' >&2; exit 1; }

.PHONY: preview
preview: stack $(OPERATOR) ## what a deployment would change: make preview STACK=dev
	@$(BIN)/python -m infra.preflight '$(STACK)'
	pulumi preview --stack '$(STACK)' --policy-pack '$(POLICY)' $(ARGS)

.PHONY: deploy
deploy: stack $(OPERATOR) ## make a stack, or bring it up to date: make deploy STACK=dev
	@$(BIN)/python -m infra.preflight '$(STACK)'
	pulumi up --stack '$(STACK)' --policy-pack '$(POLICY)' $(ARGS)

# ---- environment ----

$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'Tidegate needs Python 3.11 or later with its venv module: install one, or name it: make PYTHON=/path/to/python3 $(MAKECMDGOALS)' >&2; exit 1; }
	@$(CLEAN) '$(PYTHON)' -c '$(SUITABLE)' || { echo '$(PYTHON) is not a Python 3.11 or later with venv and ensurepip: set PYTHON to one that is' >&2; exit 1; }
	$(CLEAN) '$(PYTHON)' -m venv $(VENV)

$(BIN)/uv: | $(BIN)/python
	$(CLEAN) $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/uv.txt

# One at a time: what one has and the other lacks is removed.
ENVIRONMENTS := $(VENV)/.dev $(VENV)/.local $(VENV)/.infra
$(ENVIRONMENTS): $(VENV)/.%: requirements/%.txt pyproject.toml | $(BIN)/uv
	@rm -f $(ENVIRONMENTS)
	$(UV) pip sync --quiet --require-hashes $<
	$(INSTALL_PROJECT)
	@touch $@

# ---- locks ----

# One lock for each thing that is installed somewhere. All are held to the versions of dev, which has what every service
# needs, so that they agree; what only infra needs is in infra alone.
LOCKS := uv local api autoscaler worker infra
LOCK_local := --extra local --group build
LOCK_api := --extra api --extra s3
LOCK_autoscaler := --extra autoscaler
LOCK_worker := --extra worker --extra s3 --extra dashboard
LOCK_infra := --group infra --group build
LOCK_dev := --all-extras --group dev
COMPILE = UV_CUSTOM_COMPILE_COMMAND='make lock' $(UV) pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links

.PHONY: lock
lock: | $(BIN)/uv ## resolve requirements/*.txt from pyproject.toml; ARGS=--upgrade takes the newest versions
	$(COMPILE) $(ARGS) $(LOCK_dev) pyproject.toml --output-file requirements/dev.txt
	@set -e; $(foreach lock,$(filter-out uv,$(LOCKS)),echo requirements/$(lock).txt; \
		$(COMPILE) $(ARGS) --constraint requirements/dev.txt $(LOCK_$(lock)) pyproject.toml --output-file requirements/$(lock).txt;)
	@echo requirements/uv.txt; echo uv | $(COMPILE) $(ARGS) --constraint requirements/dev.txt - --output-file requirements/uv.txt

.PHONY: clean
clean: ## remove the environment and caches; the stack's data in .tidegate stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
