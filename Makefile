# Every target makes its own environment in .venv first, from pyproject.toml (ranges) and constraints.txt (versions).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_PEERS := $(VENV)/.ready-peers
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

# One worker a CPU, a whole file each: what a file starts, such as a server, it starts once. PyTorch takes one
# CPU as well: its networks are too small to gain from more.
.PHONY: test
test: $(READY) ## The tests, with branch coverage.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -p no:benchmark -n auto --dist loadfile --cov --cov-report=term

# The full numbers of machines, kills, power cuts, damage and mutated lines, of which `make test` runs a few.
SOAK := $(patsubst %,tests/delivery/test_%.py,every_point power_cut full_disk any_order plant damage bounds first_run)
SOAK += $(patsubst %,tests/delivery/test_%.py,away alarm_kills alarm_points told_kills told_flood)
SOAK += $(patsubst %,tests/servers/test_%.py,mqtt_source mqtt_sink_troubles influx_hostile influx_endless influx3_exchanges influx3_limits)
SOAK += tests/fuzz $(patsubst %,tests/hostile/test_%.py,feeds bit_flips)
SOAK += $(patsubst %,tests/unit/test_%.py,garbage_on_stdin rounds prepare_join alarm_machine history rules_modelled)
# What the names of those tests have in them.
SOAKED := killed or scored or mutated or flipped or flood or random or anywhere or slowly or what_waits or unasked
SOAKED += or very_many or without_an_end or whatever_the_server or whatever_ends_it or nothing_that_is_read
SOAKED += or again_and_again
.PHONY: soak
soak: $(READY) ## Hundreds of machines and kills, millions of broken lines: what `make test` runs a little of.
	EDGE_DETECT_SOAK=1 $(BIN)/python -m pytest -p no:benchmark -n auto --dist worksteal --timeout 3600 -v --durations=0 \
	  -k "$(SOAKED)" $(SOAK)

.PHONY: check
check: $(READY) ## Lint, format, types and the direction of imports, over everything.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py

# QUICK=1 takes two minutes instead of a quarter of an hour, and is less certain.
BENCH := $(BUILD)/bench
.PHONY: bench
bench: $(READY) $(READY_PEERS) ## How fast it is here, beside ONNX Runtime alone and what one would use instead.
	mkdir -p $(BENCH)
	$(BIN)/python -m pytest benchmarks --benchmark-columns=median,iqr,ops,rounds --benchmark-json=$(BENCH)/pytest.json \
	  --benchmark-warmup=on $(if $(QUICK),--benchmark-max-time=0.1,--benchmark-warmup-iterations=1000)
	failed=0; \
	$(BIN)/python -m benchmarks.targets $(if $(QUICK),--quick) || failed=1; \
	$(BIN)/python -m benchmarks.peers $(if $(QUICK),--quick) || failed=1; \
	$(BIN)/python -m benchmarks.summary --output $(BUILD)/bench.json --picture $(BUILD)/bench.png || failed=1; \
	exit $$failed

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
	rm -rf $(BUILD) dist .benchmarks .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt | system
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) pip
	$(PIP) torch
	$(PIP) --group dev --editable '.[workstation,mqtt]'
	touch $@

# One by one, so that what does not install on this Python leaves the others; the benchmark says what is missing.
$(READY_PEERS): $(READY)
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["peers"])' \
	  | tr ' ' '\n' | while read -r peer; do $(PIP) "$$peer" || echo "$$peer does not install here"; done
	touch $@

# What Debian has to bring, when root. InfluxDB is not installed, which would start a service: the demo and the tests
# unpack its package below build/, for which apt must know where to find it.
APT := DEBIAN_FRONTEND=noninteractive apt-get -qq
.PHONY: system
system:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  venv=; $(PYTHON) -c 'import ensurepip' 2>/dev/null || venv=python3-venv; \
	  influx=; command -v influxd >/dev/null || apt-cache show influxdb mosquitto prometheus-alertmanager >/dev/null 2>&1 || influx=influxdb; \
	  tools=; for tool in valgrind strace; do command -v $$tool >/dev/null || tools="$$tools $$tool"; done; \
	  if [ -n "$$venv$$influx$$tools" ]; then $(APT) update || true; fi; \
	  if [ -n "$$venv$$tools" ]; then $(APT) install --yes --no-install-recommends $$venv $$tools; fi; \
	fi
