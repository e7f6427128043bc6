# `make help` lists what there is. Everything runs in .venv, which is made when it is missing or older than
# pyproject.toml or constraints.txt. ARGS go to the command: make test ARGS="-k scrape -x"

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO_STAMP := $(VENV)/.installed-demo
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
ARGS ?=
JOBS ?= 2

# Tests start hundreds of processes: without compiled modules on disk, each would compile every one again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## This list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1 | \2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

.PHONY: demo
demo: $(DEMO_STAMP) ## The classifier under 4 gunicorn workers with real traffic; ARGS=--once ends, ARGS=--break-model alerts
	@cd examples/aiclassifier && $(CURDIR)/$(BIN)/python -m demo $(ARGS)

# Whether the compiled paths are those of the source; without a compiler there are none.
COMPILED_STAMP := build/.compiled
$(COMPILED_STAMP): otel_obs/compiled/_recording.c hatch_build.py $(STAMP)
	@mkdir -p build
	@$(BIN)/python hatch_build.py
	@touch $@

.PHONY: compiled
compiled: $(COMPILED_STAMP) ## The compiled fast paths of recording, in place, where there is a compiler

.PHONY: sanitize
sanitize: $(STAMP) ## The tests of the compiled fast paths, and a fuzz of them, under AddressSanitizer and valgrind
	@scripts/sanitize $(ARGS)

.PHONY: test
test: $(STAMP) $(COMPILED_STAMP) servers ## The tests that take at most 10 minutes together, in JOBS processes
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not long" $(ARGS)

.PHONY: test-long
test-long: $(STAMP) $(COMPILED_STAMP) servers ## All other tests: every server, browsers, builds, whole examples
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "long" $(ARGS)

.PHONY: test-all
test-all: $(STAMP) $(COMPILED_STAMP) servers ## `make test` and `make test-long` in one run, which is shorter than two
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: check
check: $(STAMP) ## Style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@for example in examples/*/; do \
		echo "$(BIN)/mypy $$example"; \
		(cd "$$example" && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache .) || exit 1; \
	done
	$(BIN)/lint-imports

.PHONY: mutants
mutants: $(STAMP) $(COMPILED_STAMP) ## Small changes of the core, a sample, and which of them no test notices; ARGS="--sample 200"
	@$(PIP) --group mutants
	nice $(BIN)/python scripts/mutants.py $(ARGS)

.PHONY: bench
bench: $(STAMP) wrk ## Every published figure, all peers in one run: a quarter of an hour, idle machine; ARGS=--quick takes 2
	@$(BIN)/python -m benchmarks.comparison $(ARGS)
	@$(BIN)/python scripts/docs.py

.PHONY: ratios
ratios: $(STAMP) wrk ## Cost against peers, as ratios with a goal each; ARGS=--quick
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: pythons
pythons: $(STAMP) ## The heart of the suite on every Python that is promised; VERSIONS="3.10 3.13t"
	scripts/pythons $(VERSIONS)

.PHONY: release
release: $(STAMP) ## Everything of a release but the upload, in dist/
	$(BIN)/python scripts/release.py $(ARGS)

.PHONY: docs
docs: $(STAMP) ## Write the generated pages of docs/ again
	$(BIN)/python scripts/docs.py $(ARGS)

.PHONY: site
site: $(STAMP) ## The documentation's site in build/site, with every link checked
	$(BIN)/python scripts/docs.py --check
	$(BIN)/python scripts/site.py

.PHONY: deploy
deploy: $(STAMP) ## Write deploy/ again: configurations, rules and dashboards
	$(BIN)/python scripts/deploy.py $(ARGS)

PICTURES ?= build/pictures

.PHONY: pictures
pictures: $(STAMP) servers ## Every dashboard under real traffic, drawn by Grafana's own components
	rm -rf build/scenes
	SCENE_S=90 SCENE_DIR=build/scenes $(BIN)/python -m pytest tests/ops/test_dashboards.py -k every_query
	DRAW=yes SCENE_DIR=build/scenes PICTURES_DIR=$(PICTURES) $(BIN)/python -m pytest tests/ops/test_drawing.py $(ARGS)

.PHONY: operations
operations: $(STAMP) collector ## What stands around a service, really built and run: the image, stores, proxies; minutes
	@for program in victoria-logs sloth; do scripts/go-program $$program >/dev/null || echo "$$program is not to be had: tests that need it are skipped"; done
	@scripts/newer-debian victoria-metrics sid >/dev/null
	OPERATIONS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile tests/operations $(ARGS)

.PHONY: pins
pins: ## Write constraints.txt again, from every Python named in PYTHONS
	$(PYTHON) scripts/pins.py $(or $(PYTHONS),$(PYTHON))

.PHONY: clean
clean: ## Remove .venv, caches and builds
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip 25.1 is the first that knows dependency groups; Debian 12 ships an older one.
$(VENV)/.made: pyproject.toml constraints.txt
	@scripts/require-venv $(PYTHON)
	@echo "making $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) --upgrade "pip>=25.1"
	@touch $@

$(DEMO_STAMP): $(VENV)/.made
	@echo "installing what the demonstration needs; the first time takes up to a minute"
	@$(PIP) --editable '.[flask,cli,dashboards]' --group demo
	@touch $@

$(STAMP): $(VENV)/.made
	@echo "installing everything for development; the first time takes a minute or two"
	@$(PIP) --editable '.[all]' --group dev
	@touch $@

.PHONY: servers
servers:
	@scripts/install-server prometheus
	@scripts/install-server prometheus-alertmanager
	@scripts/install-server prometheus-node-exporter
	@scripts/install-server chromium
	@scripts/install-server nginx
	@scripts/install-server logrotate
	@scripts/install-server tini
	@scripts/install-server postgresql postgres

.PHONY: wrk
wrk:
	@command -v wrk >/dev/null || scripts/apt-install wrk

.PHONY: collector
collector: ## The OpenTelemetry Collector of collector/builder.yaml: build it once, print where it is
	@scripts/collector

.PHONY: prometheus3
prometheus3: ## Prometheus 3, which tests want beside Debian's: build it once, print where it is
	@scripts/prometheus3

.PHONY: uwsgi
uwsgi: $(STAMP) ## uWSGI, which tests of the faults want: pip compiles it, where there is a compiler
	@$(BIN)/python -c "import importlib.metadata as m; m.version('uwsgi')" 2>/dev/null || $(PIP) uwsgi==2.0.31 \
		|| echo "uWSGI cannot be built here: tests that need it are skipped"

.PHONY: matrix
matrix: $(STAMP) uwsgi ## Every server, way in and situation of a first process, through all that happens to a service
	@scripts/install-server tini
	@scripts/install-server dumb-init
	MATRIX=all $(BIN)/python -m pytest tests/services $(ARGS)

.PHONY: applications
applications: $(STAMP) ## Applications of the package index, unchanged, each in an environment of its own: minutes
	APPLICATIONS=1 $(BIN)/python -m pytest tests/applications $(ARGS)

.PHONY: faults-long
faults-long: uwsgi ## The fault suite at its full length: storms of 30 s, a thousand workers, 60,000 files, 400,000 requests
	FAULTS=long $(BIN)/python -m pytest tests/faults tests/cells/test_mutations.py tests/http/test_bounded.py $(ARGS)

.PHONY: versions
versions: $(STAMP) ## Tests with other versions of frameworks and servers; SETS="oldest newest 0.130", or all of them
	scripts/versions $(or $(SETS),oldest $(shell scripts/versions --minors) newest)

# 0.19 is the oldest that is promised.
CLIENTS ?= 0.19.0 0.20.0 0.21.1 0.22.1 0.23.1 0.24.1 0.25.0

.PHONY: clients
clients: $(STAMP) ## prometheus_client's own tests with ours in its place, of older versions; CLIENTS="0.19.0 0.25.0"
	CLIENTS="$(CLIENTS)" $(BIN)/python -m pytest tests/prometheus/test_suite.py -k another_version $(ARGS)

.PHONY: outage
outage: $(STAMP) collector ## The test of an outage of the cloud at its full length, a minute
	OUTAGE_S=60 $(BIN)/python -m pytest tests/collector/test_faults.py -k down_and_comes_back $(ARGS)
