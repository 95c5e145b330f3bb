# First commands on a new machine with Python 3.11+, make and git: make demo, make dev, make test.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RIVALS := .venv-rivals
NEXT := .venv-next
export DAGSTER_HOME := $(CURDIR)/.dagster
export DAGSTER_DISABLE_TELEMETRY := yes
# WAREHOUSE=postgres: demo, dev and status use a PostgreSQL server from a Python package, with its data in data/postgres.
ON := $(if $(filter postgres,$(WAREHOUSE)),$(BIN)/python -m student360.warehouse.embedded_postgres data/postgres)
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.PHONY: setup demo dev test status lint format docs latency bench lock clean java trust faults bad-inputs kills mutants soak next-dagster

setup: $(READY)

demo: $(READY) java
	@$(ON) $(BIN)/python -m student360 demo

dev: $(READY)
	@umask 077 && $(ON) $(BIN)/dagster dev --host 127.0.0.1 --port $${PORT:-3000} -w workspace.yaml

status: $(READY)
	@$(ON) $(BIN)/python -m student360 status

test: $(READY) java lint
	@umask 077 && $(BIN)/dagster definitions validate -w workspace.yaml
	@$(BIN)/pytest

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@rm -rf build/sql && $(BIN)/python -m student360 sql --engine sqlite --to build/sql
	@$(BIN)/sqlfluff lint --processes 2 --disable-progress-bar build/sql

format: $(READY)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# Generated pages and pictures, then the site in build/site; a broken link or anchor is an error.
docs: $(READY)
	@$(BIN)/python -m student360_tests.site.column_lineage
	@$(BIN)/python -m student360_tests.site docs
	@$(BIN)/python -m student360_tests.trust page
	@$(BIN)/python -m student360_tests.rules.page
	@$(BIN)/python -m student360_tests.bench --page
	@NO_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs build --strict --quiet
	@echo "The documentation is in build/site/index.html"

# The pictures of the UI in docs/images/screenshots: a demo district on a temporary instance. Needs Chromium.
.PHONY: screenshots
screenshots: $(READY)
	@umask 077 && $(BIN)/python -m student360_tests.support.screenshots docs/images/screenshots

# Full-size tests of the guarantees in docs/explanation/reliability.md, printed as tables. `soak` can run overnight.
trust: faults bad-inputs kills mutants soak

faults: $(READY) java
	@umask 077 && $(BIN)/pytest -q -m fault --full

bad-inputs: $(READY)
	@umask 077 && $(BIN)/python -m student360_tests.trust bad-inputs

kills: $(READY)
	@umask 077 && $(BIN)/python -m student360_tests.trust kills --kills $${KILLS:-500}

mutants: $(READY)
	@umask 077 && $(BIN)/python -m student360_tests.trust mutants

soak: $(READY)
	@umask 077 && $(BIN)/python -m student360_tests.trust soak --minutes $${MINUTES:-30} --seed $${SEED:-1}

latency: $(READY)
	@$(BIN)/python -m student360_tests.bench.latency

# All comparisons, docs/reference/benchmarks.md and its chart: about two hours, 20 GB.
# BENCH="--students 5000 --history-days 200".
bench: $(READY) java $(RIVALS)/.ready
	@umask 077 && $(BIN)/python -m student360_tests.bench --dlt $(RIVALS)/bin/python $(BENCH)

$(RIVALS)/.ready:
	@$(PYTHON) -m venv $(RIVALS) && $(RIVALS)/bin/pip -q install "dlt[filesystem,postgres,sqlalchemy]==1.31.0" pandas
	@touch $@

$(READY): requirements.lock pyproject.toml setup.py dagster.yaml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: https://www.python.org/downloads/"; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version): some 600 MB, a few minutes the first time"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@mkdir -p data/landing && chmod 700 data/landing
	@mkdir -p -m 700 $(DAGSTER_HOME) && install -m 600 dagster.yaml $(DAGSTER_HOME)/dagster.yaml
	@touch $@

# Spark needs Java 17+. Installs it with the system's package manager if permitted; otherwise prints how to install it.
java: $(READY)
	@$(BIN)/python -m student360.spark.java >/dev/null 2>&1 || .ci/install-java || true

# Runs the tests that use Dagster with its newest release, to show what an upgrade would break.
next-dagster: java
	@test -x $(NEXT)/bin/python || $(PYTHON) -m venv $(NEXT)
	@$(NEXT)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(NEXT)/bin/pip install --quiet --disable-pip-version-check --upgrade --no-deps dagster dagster-graphql dagster-pandas \
		dagster-pipes dagster-postgres dagster-pyspark dagster-shared dagster-spark dagster-webserver
	@$(NEXT)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(NEXT)/bin/pip list 2>/dev/null | grep -i '^dagster'; $(NEXT)/bin/pip check | grep -v student360 || true
	@umask 077 && $(NEXT)/bin/pytest student360_tests/test_definitions.py student360_tests/test_end_to_end.py \
		student360_tests/orchestration student360_tests/instance student360_tests/trust/test_daemon_dies.py

lock:
	@uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --no-strip-extras -q -o requirements.lock

clean:
	rm -rf $(VENV) $(RIVALS) $(NEXT) .pytest_cache .ruff_cache .mypy_cache
