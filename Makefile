# Every target makes its own environment in .venv first, from pyproject.toml (ranges) and constraints.txt (versions).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check install -c constraints.txt
BUILD := build

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this list.
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: demo
demo: $(READY) ## The whole way: a plant in a real InfluxDB, a detector trained, its faults found; a report.
	$(BIN)/python packaging/demo

# One worker a CPU, a whole file each: what a file starts, such as a server, it starts once.
.PHONY: test
test: $(READY) ## The tests, with branch coverage.
	$(BIN)/python -m pytest -p no:benchmark -n auto --dist loadfile --cov --cov-report=term

.PHONY: check
check: $(READY) ## Lint, format, types and the direction of imports, over everything.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: bench
bench: $(READY) ## How fast scoring is on this machine.
	$(BIN)/python -m pytest benchmarks --benchmark-columns=median,iqr,ops,rounds --benchmark-warmup=on --benchmark-warmup-iterations=1000
	$(BIN)/edge-detect bench

.PHONY: conformance
conformance: $(READY) ## Every kind of bundle through other ONNX runtimes: OpenVINO, tract, Node, the oldest and the newest.
	$(BIN)/python tests/conformance/run.py

RUNS := 5000000
.PHONY: fuzz
fuzz: $(READY) ## Broken and hostile bundles, RUNS of them, against the gate and the loader; what they teach is kept.
	mkdir -p $(BUILD)/fuzz
	for target in gate loader; do \
	  $(BIN)/python tests/fuzz/run.py $$target tests/fuzz/corpus/$$target -runs=$(RUNS) -max_len=16000 \
	    -artifact_prefix=$(BUILD)/fuzz/ -print_final_stats=1 || exit 1; \
	done

.PHONY: quality
quality: $(READY) ## What is found on the data below DATA, a folder: make quality DATA=DIR [NAME=simulated].
	$(BIN)/python benchmarks/quality/run.py $(NAME) --data $(DATA)

.PHONY: kit
kit: $(READY) ## An archive that installs on a gateway without a network, in build/kit.
	$(BIN)/python packaging/kit/build_kit.py --output $(BUILD)/kit

.PHONY: clean
clean: ## Remove what was built; .venv stays.
	rm -rf $(BUILD) dist .benchmarks .coverage .coverage.* .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt | system
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) pip
	$(PIP) torch
	$(PIP) --group dev --editable '.[workstation]'
	touch $@

# What Debian has to bring, when root. InfluxDB is not installed, which would start a service: the demo and the tests
# unpack its package below build/, for which apt must know where to find it.
APT := DEBIAN_FRONTEND=noninteractive apt-get -qq
.PHONY: system
system:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  venv=; $(PYTHON) -c 'import ensurepip' 2>/dev/null || venv=python3-venv; \
	  influx=; command -v influxd >/dev/null || apt-cache show influxdb >/dev/null 2>&1 || influx=influxdb; \
	  if [ -n "$$venv$$influx" ]; then $(APT) update || true; fi; \
	  if [ -n "$$venv" ]; then $(APT) install --yes --no-install-recommends $$venv; fi; \
	fi
